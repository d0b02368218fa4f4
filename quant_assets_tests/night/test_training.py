"""`quant-assets train`, `predict` and `model list` after a night: models of one name, tuned ones, and what they leave alone."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from quant_assets.calendars import session_offset
from quant_assets.models.terms import MODEL_NAME, PERSISTENCE, RIDGE, own_model
from quant_assets.steps.tear_sheets import gather
from quant_assets_tests.night.homes import Home, new_home
from quant_assets_tests.night.test_restoring import assert_same_rows
from quant_assets_tests.operate.daemon import instance_of

CUTOFF = dt.date(2013, 1, 1)
PICTURES = {"calibration", "contributions", "cumulative_rank_ic", "importance", "learning_curve"}


def told_day(told: dict[str, Any]) -> dt.date:
    return dt.date.fromisoformat(told["as_of"])


def of_model(rows: pl.DataFrame, model: str) -> pl.DataFrame:
    return rows.filter(model=model)


def test_what_stands_beside_the_pooled_scores(finished: Home):
    """Baselines taught at the same cut-offs have scored the same rows."""
    scores = finished.table("oos_predictions")
    assert set(scores["model"]) == {MODEL_NAME, RIDGE, PERSISTENCE}
    keys = ["ticker", "session", "cutoff", "model_run_id"]
    pooled = of_model(scores, MODEL_NAME).drop_nulls("score").select(keys)
    for name in (RIDGE, PERSISTENCE):
        assert of_model(scores, name).drop_nulls("score").select(keys).equals(pooled)


def test_each_cut_off_has_a_run_with_its_evidence_and_dagster_links_to_it(finished: Home):
    trained = {f"{row['cutoff']:%Y-%m}": row["model_run_id"] for row in of_model(finished.table("model_runs"), MODEL_NAME).to_dicts()}
    with instance_of(finished) as instance:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("pooled_model"))
        told = [record.asset_materialization for record in instance.fetch_materializations(wanted, limit=50).records]
    linked = {each.partition: each.metadata for each in told if each}
    assert {partition: metadata["mlflow_run"].value for partition, metadata in linked.items()} == trained
    assert all(f"/runs/{trained[key]}?" in metadata["mlflow"].value for key, metadata in linked.items())
    assert [key for key, metadata in linked.items() if "registered_version" in metadata] == ["2013-01"]
    for run_id in trained.values():
        files = finished.folder / "mlflow" / "artifacts" / "pooled_model" / run_id / "artifacts"
        assert {picture.stem for picture in (files / "evidence").glob("*.png")} == PICTURES
        assert (files / "model" / "input_example.json").is_file()
    with closing(sqlite3.connect(finished.folder / "mlflow" / "mlflow.db")) as database:
        counted = "SELECT run_uuid, count(*) FROM metrics WHERE key = 'cv_auc_by_fold' GROUP BY run_uuid"
        assert dict(database.execute(counted)) == dict.fromkeys(trained.values(), 5)


def test_a_model_of_one_name_disturbs_no_night(finished: Home, copy: Callable[[], Home]):
    home, own = copy(), own_model("AAPL")
    code, told = home.json("train", "--each", "--tickers", "AAPL")
    assert (code, told["status"], told["items"]) == (1, "failed", [])
    short = "AAPL: 1,510 sessions before 2013-01-01, 1,519 are needed for a model of its own; leave it to the pooled model"
    assert [error["message"] for error in told["errors"]] == [short]

    # two months more are enough
    for file in (home.folder / "quant_assets.toml", home.folder / "universe.csv"):
        file.write_text(
            file.read_text()
            .replace("history_start = 2007-01-01", "history_start = 2006-01-01")
            .replace("bokeh,2007-01-03", "bokeh,2006-11-01")
        )
    code, told = home.json("train", "--each", "--tickers", "AAPL,FB,IBM")
    assert (code, told["status"]) == (3, "partial")
    assert [error["message"].split(",")[0] for error in told["errors"]] == ["FB: 155 sessions before 2013-01-01"]
    trained = [(item["model"], item["cutoff"]) for item in told["items"]]
    assert trained == [(own, "2013-01-01"), (own_model("IBM"), "2013-01-01")]  # FB, between them, was listed in 2012
    trained, scores = home.table("model_runs"), home.table("oos_predictions")
    [ended] = of_model(trained, own)["train_end"]
    assert session_offset(ended, 3) < session_offset(dt.date(2013, 1, 2), -5)
    mine = of_model(scores, own)
    assert (set(mine["ticker"]), mine["session"].min(), mine["score"].null_count()) == ({"AAPL"}, dt.date(2013, 1, 2), 0)
    for table in ("model_runs", "oos_predictions"):
        assert home.table(table).filter(~pl.col("model").is_in([own, own_model("IBM")])).equals(finished.table(table))

    code, told = home.json("predict", "--tickers", "AAPL,FB")
    assert code == 0
    by_model = {(item["model"], item["ticker"]): item["score"] for item in told["items"]}
    assert set(by_model) == {*((model, ticker) for model in (MODEL_NAME, RIDGE, PERSISTENCE) for ticker in ("AAPL", "FB")), (own, "AAPL")}
    assert by_model[MODEL_NAME, "FB"] is None
    assert by_model[own, "AAPL"] == mine.sort("session")["score"][-1]

    code, told = home.json("model", "list", "--all")
    listed = [(item["model"], item["version"], item["aliases"]) for item in told["items"]]
    assert listed[:3] == [(name, "1", ["challenger"]) for name in (MODEL_NAME, own, own_model("IBM"))]
    assert listed[3:] == [(MODEL_NAME, None, [])] * 8


def test_a_training_that_failed_tells_of_no_model(copy: Callable[[], Home]):
    home = copy()
    shutil.rmtree(home.folder / "mlflow")
    (home.folder / "mlflow").touch()
    code, told = home.json("train")
    assert (code, told["status"], told["items"]) == (1, "failed", [])


def test_the_same_training_once_more_is_the_same_run(finished: Home, copy: Callable[[], Home]):
    home = copy()
    code, told = home.json("train", "--start", "2012-10-01")
    assert (code, [item["cutoff"] for item in told["items"]]) == (0, ["2013-01-01", "2012-10-01"])
    assert_same_rows(home, finished, ("model_runs", "oos_predictions"))


def test_tuned_at_the_years_first_cut_off(finished: Home, copy: Callable[[], Home], monkeypatch: pytest.MonkeyPatch):
    home = copy()
    monkeypatch.setattr(Home, "environment", {**home.environment, "QUANT_ASSETS__MODELS__TRIALS": "2"})
    done = home.run("train", "--tune")
    assert done.returncode == 0, done.stderr
    [run_id] = home.table("model_runs").filter(cutoff=CUTOFF)["model_run_id"]
    with closing(sqlite3.connect(home.folder / "mlflow" / "mlflow.db")) as database:
        nested = database.execute("SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = ?", (run_id,)).fetchall()
        folds = database.execute("SELECT count(*) FROM metrics WHERE run_uuid = ? AND key = 'tuned_auc_by_fold'", (run_id,)).fetchone()
    assert (len(nested), folds) == (2, (5,))
    assert (home.folder / "mlflow" / "studies.db").is_file()
    before = finished.table("model_runs").filter(pl.col("cutoff") < CUTOFF)
    assert home.table("model_runs").filter(pl.col("cutoff") < CUTOFF).equals(before)


def test_trained_and_predicted_before_any_night(finished: Home, tmp_path: Path):
    home = new_home(tmp_path / "home")
    done = home.run("predict")
    assert done.returncode == 1
    remedy = "`quant-assets train --start 2013-01-02 --end 2013-01-02` trains it"
    assert done.stderr.strip() == f"error: no {MODEL_NAME} model for cut-off 2013-01-01; {remedy}."
    done = home.run("train")
    assert done.returncode == 0, done.stderr
    code, told = home.json("predict")
    assert (code, told["errors"]) == (0, [])
    assert home.run("predict", "--tickers", "IBM").stderr == ""  # nothing is left to do
    today = finished.table("oos_predictions").filter(pl.col("session") == told_day(told))
    scores = {(item["model"], item["ticker"]): item["score"] for item in told["items"]}
    assert scores == {(model, ticker): score for model, ticker, score in today.select("model", "ticker", "score").iter_rows()}


def test_names_go_with_models_of_their_own(finished: Home):
    done = finished.run("train", "--tickers", "AAPL")
    assert done.returncode == 2
    assert "--tickers goes with --each" in done.stderr


def test_the_tear_sheet_counts_what_was_tried(finished: Home):
    """One setting of the model, as MLflow knows, at each threshold of the sweep; rules without a setting have no trials."""
    work = finished.workspace()
    equity = work.lake.scan("equity", window=work.out_of_sample).collect()
    sheet = gather(work, equity, work.out_of_sample, names=None, notes=())
    n_thresholds = finished.table("threshold_sweep")["threshold"].n_unique()
    trials = {strategy.key: strategy.track.trials for strategy in sheet.strategies}
    assert trials["threshold"] is not None
    assert trials["threshold"].n == n_thresholds
    assert {trials["top_fifth"], trials["buy_and_hold"]} == {None}
