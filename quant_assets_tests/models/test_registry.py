"""Models kept in a real MLflow on SQLite: one run a training, one version a run, and the same scores back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest

from quant_assets.errors import ModelError
from quant_assets.models import pooled, registry
from quant_assets.models.pooled import TrainedModel, predict, train
from quant_assets.models.registry import EXPERIMENT, ModelRegistry
from quant_assets.models.terms import MODEL_NAME
from quant_assets_tests.small import FEATURES, labelled

CUTOFF = dt.date(2010, 10, 1)
ROWS = labelled(120)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Making the database takes seconds, so the tests share it; each trains on rows of its own."""
    folder = tmp_path_factory.mktemp("registry") / "new"
    return ModelRegistry(f"sqlite:///{folder}/mlflow.db", (folder / "artifacts").as_uri())


def trained(*, seed: int = 0, with_members: bool = True) -> TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"MEMBERS": 3, "MIN_TRAINING_SESSIONS": 80, "VALIDATION_SESSIONS": 40}.items():
            patch.setattr(pooled, name, value)
        rows = ROWS.with_columns(pl.col(FEATURES[0]) * (1 + seed))
        return train(rows, CUTOFF, with_members=with_members, features=FEATURES)


def test_what_is_stored_scores_as_before(kept: ModelRegistry):
    model = trained()
    stored = kept.load(kept.log(model, partition="2010-10"))
    assert len(stored.members) == 3
    for ours, theirs in zip((model.booster, *model.members), (stored.booster, *stored.members), strict=True):
        assert predict(theirs, ROWS, features=FEATURES).tobytes() == predict(ours, ROWS, features=FEATURES).tobytes()


def test_the_run_says_what_was_trained(kept: ModelRegistry):
    model = trained()
    run = kept.client.get_run(kept.log(model, partition="2010-10"))
    assert run.info.status == "FINISHED"
    assert run.data.tags["asset"] == EXPERIMENT
    assert (run.data.tags["partition"], run.data.tags["cutoff"]) == ("2010-10", "2010-10-01")
    assert (run.data.tags["feature_set"], run.data.tags["lake_version"]) == (model.feature_set, model.lake_version)
    assert run.data.metrics["validation_auc"] == model.validation_auc
    assert run.data.params["max_depth"] == "4"
    assert run.data.params["features"] == ",".join(FEATURES)


def test_the_same_training_resumes_its_run(kept: ModelRegistry, monkeypatch: pytest.MonkeyPatch):
    """A past cut-off keeps no members; when the night comes to need them, the same run gets them."""
    first = kept.log(trained(seed=1, with_members=False), partition="2010-10")
    assert kept.load(first).members == ()
    again = kept.log(trained(seed=1), partition="2010-10")
    assert again == first
    assert len(kept.load(again).members) == 3
    assert kept.log(trained(seed=2), partition="2010-10") != first
    other_cutoff = dataclasses.replace(trained(seed=1), cutoff=dt.date(2011, 1, 1))
    assert kept.log(other_cutoff, partition="2011-01") != first
    monkeypatch.setattr(registry, "PARAMETERS", registry.PARAMETERS | {"eta": 0.1})
    assert kept.log(trained(seed=1), partition="2010-10") != first


# mlflow warns about a type hint of its own when its model flavours are first imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_registering_twice_makes_one_version(kept: ModelRegistry):
    model, other = trained(seed=3), trained(seed=4)
    run_id = kept.log(model, partition="2010-10")
    version = kept.register(run_id, model)
    assert kept.register(run_id, model) == version
    assert kept.client.get_model_version_by_alias(MODEL_NAME, "challenger").run_id == run_id
    assert [str(each.version) for each in kept.client.search_model_versions(f"name='{MODEL_NAME}'")] == [version]
    later = kept.register(kept.log(other, partition="2011-01"), other)
    assert int(later) == int(version) + 1
    assert str(kept.client.get_model_version_by_alias(MODEL_NAME, "challenger").version) == later


def test_a_missing_run_and_a_damaged_file_are_one_sentence(kept: ModelRegistry):
    with pytest.raises(ModelError, match=re.escape(f"model run {'0' * 32} cannot be read from {kept.uri} (")) as missing:
        kept.load("0" * 32)
    assert missing.value.remedy == "materialise pooled_model for its quarter again"
    run_id = kept.log(trained(seed=5), partition="2010-10")
    folder = Path(kept.client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    for name in (registry.MEMBER_FILE, registry.BOOSTER):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:100])
        with pytest.raises(ModelError, match=f"model run {run_id} cannot be read"):
            kept.load(run_id)
        (folder / name).write_bytes(whole)
    (folder / registry.BOOSTER).unlink()
    with pytest.raises(ModelError, match=f"model run {run_id} cannot be read"):
        kept.load(run_id)
