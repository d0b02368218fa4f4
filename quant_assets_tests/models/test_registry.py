"""Models kept in a real MLflow on SQLite: one run a training, one version a run, the same scores back, and what is listed of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pytest
from filelock import FileLock

from quant_assets.errors import BadArgument, LockHeld, ModelError
from quant_assets.models import registry
from quant_assets.models.account_log import log_accounts
from quant_assets.models.model_files import BOOSTER, MEMBER_FILE
from quant_assets.models.model_listing import n_trials, registered, unregistered
from quant_assets.models.pooled import PARAMETERS, predict
from quant_assets.models.registry import ModelRegistry
from quant_assets.models.run_record import RunRecord
from quant_assets.models.terms import EXPERIMENT, MODEL_NAME
from quant_assets.models.tracking import PARENT
from quant_assets_tests.models.trained import ROWS, evidence_of, searched, trained
from quant_assets_tests.small import FEATURES


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Making the database takes seconds, so the tests share it; each trains on rows of its own."""
    folder = tmp_path_factory.mktemp("registry") / "new"
    return ModelRegistry(f"sqlite:///{folder}/mlflow.db", (folder / "artifacts").as_uri())


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """Files of a run that can be registered, without the cost of a flavour."""
    (tmp_path / "files" / "model").mkdir(parents=True)
    (tmp_path / "files" / "model" / "MLmodel").write_text("flavors: {}\n")
    return tmp_path / "files"


def identified(lake_version: str, cutoff: str = "2010-10-01") -> dict[str, str]:
    return {"cutoff": cutoff, "feature_set": "f", "lake_version": lake_version, "parameters": "p", "source": "s"}


def recorded(name: str, **changes: object) -> RunRecord:
    record = RunRecord(
        experiment="xgboost_model",
        name=f"{name} 2010-10",
        started_ms=1_285_891_200_000,
        identity=identified(name),
        tags={"model": name},
        params={"eta": "0.1"},
        metrics=(),
    )
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def children(kept: ModelRegistry, run_id: str) -> dict[str, mlflow.entities.Run]:
    return {run.data.tags["trial"]: run for run in kept.tracking.runs(f"tags.`{PARENT}` = '{run_id}'")}


def runs_of(kept: ModelRegistry, model: str) -> list[mlflow.entities.Run]:
    return [run for run in kept.tracking.runs(f"tags.model = '{model}'") if PARENT not in run.data.tags]


def dumped(kept: ModelRegistry) -> str:
    assert kept.tracking.database
    with closing(sqlite3.connect(kept.tracking.database)) as connection:
        return "\n".join(connection.iterdump())


def test_what_is_stored_scores_as_before(kept: ModelRegistry):
    model = trained(with_members=True)
    stored = kept.load(kept.log(model, partition="2010-10", files={"ridge": b"\0\1"}).run_id)
    assert stored.files == {"ridge": b"\0\1"}
    assert len(stored.members) == 3
    for ours, theirs in zip((model.booster, *model.members), (stored.booster, *stored.members), strict=True):
        assert predict(theirs, ROWS, features=FEATURES).tobytes() == predict(ours, ROWS, features=FEATURES).tobytes()


def test_the_run_says_what_was_trained(kept: ModelRegistry):
    model = trained(seed=11)
    by_fold = {"fold_auc": (0.51, None, 0.53)}
    logged = kept.log(model, partition="AAPL|2010-10", asset="xgboost_model", name=f"{MODEL_NAME}-AAPL", by_fold=by_fold)
    assert (logged.version, logged.waits) == (None, False)
    run = kept.client.get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert kept.client.get_experiment(run.info.experiment_id).name == "xgboost_model"
    assert {name: run.data.tags[name] for name in ("asset", "partition", "model", "cutoff", "feature_set", "lake_version")} == {
        "asset": "xgboost_model",
        "partition": "AAPL|2010-10",
        "model": "signal-xgboost-AAPL",
        "cutoff": "2010-10-01",
        "feature_set": model.feature_set,
        "lake_version": model.lake_version,
    }
    assert re.match(r"\d+\.\d+\.\d+", run.data.tags["code_version"])
    assert run.data.metrics["validation_auc"] == model.validation_auc
    assert run.data.metrics["fold_auc"] == pytest.approx(0.52)
    folds = kept.client.get_metric_history(logged.run_id, "fold_auc_by_fold")
    assert [(each.step, each.value) for each in folds] == [(0, 0.51), (2, 0.53)]
    assert run.data.params["max_depth"] == "4"
    assert run.data.params["n_features"] == "3"
    features = kept.client.download_artifacts(logged.run_id, "features.json")
    assert json.loads(Path(features).read_text()) == list(FEATURES)


def test_the_same_training_once_more_leaves_a_finished_run_as_it_is(kept: ModelRegistry):
    first = kept.log(trained(seed=12), partition="2010-10", by_fold={"auc": (0.5, 0.6)}, dagster_run="d-1").run_id
    before = kept.client.get_run(first)
    told = {name: len(kept.client.get_metric_history(first, name)) for name in before.data.metrics}
    by_fold = {"auc": (0.5, 0.6), "log_loss": (0.7, 0.6)}  # what it did not have is added
    assert kept.log(trained(seed=12), partition="2010-10", by_fold=by_fold, dagster_run="d-2").run_id == first
    after = kept.client.get_run(first)
    assert (after.info.start_time, after.info.end_time) == (before.info.start_time, before.info.end_time)
    assert after.data.tags == before.data.tags
    again = {name: len(kept.client.get_metric_history(first, name)) for name in after.data.metrics}
    assert again == {**told, "log_loss": 1, "log_loss_by_fold": 2}


def test_the_same_training_resumes_its_run(kept: ModelRegistry):
    """A past cut-off keeps no members; when the night comes to need them, the same run gets them, and keeps them."""
    first = kept.log(trained(seed=1), partition="2010-10").run_id
    assert kept.load(first).members == ()
    again = kept.log(trained(seed=1, with_members=True), partition="2010-10").run_id
    assert again == first
    assert len(kept.load(again).members) == 3
    kept.log(trained(seed=1), partition="2010-10")
    assert len(kept.load(again).members) == 3
    assert kept.log(dataclasses.replace(trained(seed=1), cutoff=dt.date(2011, 1, 1)), partition="2011-01").run_id != first
    assert kept.log(dataclasses.replace(trained(seed=1), parameters=PARAMETERS | {"eta": 0.1}), partition="2010-10").run_id != first
    assert kept.log(trained(seed=1), partition="2010-10", asset="xgboost_model").run_id != first


def test_each_trial_is_a_nested_run_once(kept: ModelRegistry):
    model = trained(seed=3)
    run_id = kept.log(model, partition="2010-10", trials=searched(3)).run_id
    assert kept.log(model, partition="2010-10", trials=searched(4)).run_id == run_id  # the search went on
    nested = children(kept, run_id)
    assert sorted(nested) == ["0", "1", "2", "3"]
    assert nested["3"].data.params == {"max_depth": "5"}
    assert nested["3"].data.metrics["objective"] == 0.53
    folds = kept.client.get_metric_history(nested["3"].info.run_id, "objective_by_fold")
    assert [(each.step, each.value) for each in folds] == [(0, 0.5), (1, 0.51), (2, 0.52)]
    assert [nested[number].info.status for number in ("0", "1", "2")] == ["FINISHED", "FAILED", "KILLED"]
    assert "objective" not in nested["2"].data.metrics


# mlflow warns about a type hint of its own when its model flavours are first imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_registered_model_loads_as_mlflow_loads_it(kept: ModelRegistry):
    model = trained(seed=4)
    with pytest.raises(BadArgument, match="signal-own 2010-10 is to be registered without evidence"):
        kept.log(model, partition="2010-10", name="signal-own", register=True)
    logged = kept.log(dataclasses.replace(model, evidence=evidence_of(model)), partition="2010-10", name="signal-own", register=True)
    assert logged.version == "1"
    alias = kept.client.get_model_version_by_alias("signal-own", "challenger")
    assert (str(alias.version), alias.run_id) == ("1", logged.run_id)
    folder = Path(kept.client.download_artifacts(logged.run_id, "model"))
    loaded = mlflow.pyfunc.load_model(str(folder))
    assert loaded.metadata.get_input_schema().input_names() == list(FEATURES)
    assert len(loaded.input_example) == 5
    rows = ROWS.select(FEATURES).to_pandas()
    expected = predict(model.booster, ROWS, features=FEATURES)
    np.testing.assert_array_equal(loaded.predict(rows), expected)
    np.testing.assert_array_equal(mlflow.xgboost.load_model(str(folder)).inplace_predict(rows), expected)
    assert "xgboost==" in (folder / "requirements.txt").read_text()
    there = {Path(item.path).name for item in kept.client.list_artifacts(logged.run_id, "evidence")}
    names = ("calibration", "cumulative_rank_ic", "learning_curve")
    assert there == {f"{name}.{kind}" for name in names for kind in ("csv", "png")} | {
        *("gains.csv", "mean_contributions.csv", "importance.png", "contributions.png", "held.parquet")
    }


def test_registering_twice_makes_one_version(kept: ModelRegistry, model_folder: Path):
    first, later = (recorded("signal-twice", identity=identified(each), register_as="signal-twice") for each in ("1", "2"))
    assert [kept.store(record, model_folder).version for record in (first, first, later)] == ["1", "1", "2"]
    assert str(kept.client.get_model_version_by_alias("signal-twice", "challenger").version) == "2"


def test_only_the_latest_cut_off_is_registered_and_the_newest(kept: ModelRegistry, model_folder: Path):
    def register(cutoff: str, lake_version: str = "1") -> str | None:
        record = recorded("signal-later", identity=identified(lake_version, cutoff), register_as="signal-later")
        return kept.store(record, model_folder).version

    def newest() -> str:
        return str(kept.client.get_model_version_by_alias("signal-later", "challenger").version)

    assert (register("2010-07-01"), newest()) == ("1", "1")
    assert (register("2011-01-01"), newest()) == ("2", "2")
    assert (register("2010-10-01"), newest()) == (None, "2")  # a night of the past
    assert (register("2010-07-01"), newest()) == ("1", "2")
    assert (register("2011-01-01", lake_version="2"), newest()) == ("3", "3")


def test_what_other_code_or_another_library_trained_is_another_run(kept: ModelRegistry, monkeypatch: pytest.MonkeyPatch):
    model, better = trained(seed=8), trained(seed=9)
    first = kept.log(model, partition="2010-10").run_id
    monkeypatch.setattr(registry, "source_hash", lambda: "fixed")
    mended = kept.log(dataclasses.replace(better, lake_version=model.lake_version), partition="2010-10").run_id
    monkeypatch.setattr(registry, "version", lambda name: f"0 of {name}")
    upgraded = kept.log(model, partition="2010-10").run_id
    assert len({first, mended, upgraded}) == 3
    assert kept.load(first).booster.save_raw() == model.booster.save_raw() != better.booster.save_raw()


def test_a_run_says_what_was_told_last(kept: ModelRegistry, tmp_path: Path):
    (tmp_path / "page.html").write_text("accounts")

    def log(accounts: str, sharpe: float, dagster_run: str | None) -> str:
        told = {"partition": "2010-10", "booked": {"accounts": accounts}, "figures": {"sharpe": sharpe, "sortino": None}}
        return log_accounts(kept, **told, pictures={}, files=tmp_path, dagster_run=dagster_run)  # type: ignore[arg-type]

    run_id = log("a", 0.6, None)
    assert log("a", 0.5, "d-1") == log("a", 0.4, "d-2") == run_id  # less than before, and not the largest
    assert log("b", 0.9, "d-3") != run_id
    run = kept.client.get_run(run_id)
    assert run.data.metrics == {"sharpe": 0.4}
    assert run.data.tags["dagster_run"] == "d-1"
    assert run.data.tags["mlflow.note.content"] == "Made by Dagster run `d-1`: its log is at `/runs/d-1` of the Dagster UI."
    kept.client.set_tag(run_id, "mlflow.note.content", "mine")
    log("a", 0.4, "d-4")
    assert kept.client.get_run(run_id).data.tags["mlflow.note.content"] == "mine"


def test_parallel_steps_make_one_run_a_training_and_one_version_a_run(kept: ModelRegistry, model_folder: Path):
    """Each of two trainings is logged by two threads with a registry of their own, as steps do."""

    def log(each: int) -> tuple[str, str | None]:
        record = recorded("signal-parallel", identity=identified(f"p{each % 2}"), register_as="signal-parallel")
        logged = ModelRegistry(kept.tracking.uri, kept.tracking.artifacts).store(record, model_folder)
        return logged.run_id, logged.version

    with ThreadPoolExecutor(4) as pool:
        done = set(pool.map(log, range(4)))
    assert len(done) == 2
    assert {version for _, version in done} == {"1", "2"}
    assert len(runs_of(kept, "signal-parallel")) == 2


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


@contextmanager
def killed_at(kept: ModelRegistry, call: str, *, nth: int) -> Iterator[None]:
    """The nth such call of MLflow's client is done, and the next thing never happens."""
    done = getattr(kept.client, call)
    calls = iter(range(nth))

    def last(*args: object, **kwargs: object) -> object:
        answer = done(*args, **kwargs)
        if next(calls) == nth - 1:
            raise Killed
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept.client, call, last)
        yield


KILLS = {"create_run": 3, "create_model_version": 1}


@pytest.mark.parametrize(("call", "nth"), KILLS.items(), ids=KILLS)
def test_what_was_killed_amid_sending_is_completed_without_twins(kept: ModelRegistry, model_folder: Path, call: str, nth: int):
    name = f"signal-killed-{call}"
    record = recorded(name, trials=tuple(searched(3)), register_as=name)
    with killed_at(kept, call, nth=nth), pytest.raises(Killed):
        kept.store(record, model_folder)
    logged = kept.store(record, model_folder)
    assert [run.info.run_id for run in runs_of(kept, name)] == [logged.run_id]
    assert [logged.version] == [str(each.version) for each in kept.client.search_model_versions(f"name = '{name}'")] == ["1"]
    nested = kept.tracking.runs(f"tags.`{PARENT}` = '{logged.run_id}'")
    assert sorted((run.data.tags["trial"], run.info.status) for run in nested) == [("0", "FINISHED"), ("1", "FAILED"), ("2", "KILLED")]


def test_versions_and_cut_offs_are_listed(kept: ModelRegistry, model_folder: Path):
    earlier, now, historical = (trained(seed=21, cutoff=dt.date(2010, month, 1)) for month in (4, 10, 7))
    run_ids = {}
    for model in (earlier, now, historical):
        run_ids[model.cutoff] = kept.log(model, partition=f"{model.cutoff:%Y-%m}", name="signal-listed").run_id
    for model in (earlier, now):
        kept.store(_same_run(kept, run_ids[model.cutoff], register_as="signal-listed"), model_folder)
    kept.client.set_registered_model_alias("signal-listed", "champion", "1")
    latest, first = [each for each in registered(kept.tracking) if each.model == "signal-listed"]
    assert (latest.version, latest.aliases, latest.cutoff, latest.run_id) == ("2", ("challenger",), now.cutoff, run_ids[now.cutoff])
    assert (first.version, first.aliases, first.cutoff) == ("1", ("champion",), earlier.cutoff)
    assert (latest.n_rows, latest.feature_set) == (now.n_rows, now.feature_set)
    assert (latest.validation_auc, latest.validation_log_loss) == (now.validation_auc, now.validation_log_loss)
    assert latest.trained_at.tzinfo is dt.UTC
    [rest] = [each for each in unregistered(kept.tracking) if each.model == "signal-listed"]
    assert (rest.version, rest.aliases, rest.cutoff, rest.run_id) == (None, (), historical.cutoff, run_ids[historical.cutoff])
    kept.client.delete_run(latest.run_id)
    [gone, _] = [each for each in registered(kept.tracking) if each.model == "signal-listed"]
    assert (gone.version, gone.run_id, gone.cutoff, gone.validation_auc) == ("2", latest.run_id, None, None)


def test_every_setting_that_was_tried_counts_once(kept: ModelRegistry, tmp_path: Path):
    def log(cutoff: str, feature_set: str, n: int, *, parameters: str = "") -> None:
        parameters = parameters or ("tuned" if n else "default")
        identity = identified(cutoff, cutoff) | {"feature_set": feature_set, "parameters": parameters}
        kept.store(recorded("signal-tried", identity=identity, trials=tuple(searched(n)) if n else ()), tmp_path)

    assert n_trials(kept.tracking, "signal-tried") == 0
    log("2010-01-01", "f", 0)
    log("2010-04-01", "f", 0)
    assert n_trials(kept.tracking, "signal-tried") == 1
    log("2010-07-01", "f", 3)  # one was completed, one pruned
    assert n_trials(kept.tracking, "signal-tried") == 1 + 2
    log("2010-10-01", "f", 4)  # the same and one more
    assert n_trials(kept.tracking, "signal-tried") == 1 + 3
    log("2011-01-01", "g", 3)
    assert n_trials(kept.tracking, "signal-tried") == 1 + 3 + 2
    log("2011-04-01", "g", 0, parameters="tuned")  # with what that year's search chose
    assert n_trials(kept.tracking, "signal-tried") == 1 + 3 + 2
    log("2011-07-01", "f", 0, parameters="by hand")
    assert n_trials(kept.tracking, "signal-tried") == 1 + 3 + 2 + 1


def test_a_registry_that_refuses_is_one_sentence_and_nothing_is_written(kept: ModelRegistry):
    """As a file that is read-only does; who runs tests as root may write every file."""
    model = trained(seed=5)
    assert kept.tracking.database
    tables = ("runs", "tags", "params", "latest_metrics")
    with closing(sqlite3.connect(kept.tracking.database)) as connection, connection:
        for table in tables:
            for verb in ("INSERT", "UPDATE"):
                refusal = "SELECT RAISE(ABORT, 'attempt to write a readonly database')"
                connection.execute(f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN {refusal}; END")
    before = dumped(kept)
    try:
        said = re.escape(f"MLflow at {kept.tracking.uri} refuses (") + ".*readonly database"
        with pytest.raises(ModelError, match=said) as refused:
            kept.log(model, partition="2010-10")
        assert refused.value.remedy == "make it writable, or restore it from a backup"
        assert "\n" not in str(refused.value)
        assert dumped(kept) == before
    finally:
        with closing(sqlite3.connect(kept.tracking.database)) as connection, connection:
            for table in tables:
                for verb in ("INSERT", "UPDATE"):
                    connection.execute(f"DROP TRIGGER {table}_{verb}")


def test_a_file_that_is_no_database_is_refused_and_stays(tmp_path: Path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(ModelError, match=re.escape(f"MLflow at sqlite:///{file} refuses (")):
        ModelRegistry(f"sqlite:///{file}", tmp_path.as_uri()).log(trained(), partition="2010-10")
    assert file.read_bytes() == b"no database" * 100


def test_a_process_that_never_ends_its_sending_is_told(kept: ModelRegistry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "PATIENCE_SECONDS", 0)
    assert kept.tracking.database
    with (
        FileLock(kept.tracking.database.with_suffix(".lock")),
        pytest.raises(LockHeld, match=r"another process has been sending runs to sqlite:\S+ for 0 seconds"),
    ):
        kept.log(trained(seed=6), partition="2010-10")


def test_a_missing_run_and_a_damaged_file_are_one_sentence(kept: ModelRegistry):
    with pytest.raises(ModelError, match=re.escape(f"model run {'0' * 32} cannot be read from {kept.tracking.uri} (")) as missing:
        kept.load("0" * 32)
    assert missing.value.remedy.startswith("train its cut-off again: `quant-assets train --start")
    run_id = kept.log(trained(seed=7, with_members=True), partition="2010-10", name="signal-xgboost-AAPL").run_id
    folder = Path(kept.client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    for name in (MEMBER_FILE, BOOSTER):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:100])
        with pytest.raises(ModelError, match=f"model run {run_id} cannot be read") as damaged:
            kept.load(run_id)
        assert damaged.value.remedy == "`quant-assets train --start 2010-10-01 --end 2010-10-01 --each --tickers AAPL` trains it"
        (folder / name).write_bytes(whole)
    (folder / BOOSTER).write_bytes(bytes(byte ^ 255 if 2000 < place < 2040 else byte for place, byte in enumerate(whole)))
    with pytest.raises(ModelError, match=r"\(booster.ubj is not what was written\)"):  # XGBoost might take it, and die of it
        kept.load(run_id)
    (folder / BOOSTER).unlink()
    with pytest.raises(ModelError, match=f"model run {run_id} cannot be read"):
        kept.load(run_id)


def _same_run(kept: ModelRegistry, run_id: str, *, register_as: str) -> RunRecord:
    """The record of a run that is stored already, to be registered."""
    run = kept.client.get_run(run_id)
    identity = {name: run.data.tags[name] for name in ("cutoff", "feature_set", "lake_version", "parameters", "source", "libraries")}
    return recorded(register_as, experiment=EXPERIMENT, identity=identity, params={}, register_as=register_as)
