"""Another list of features in the settings: every quarter is trained, scored and booked again, and the model says what it read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from quant_assets.features.catalog import feature_set_hash
from quant_assets.models.registry import ModelRegistry
from quant_assets_tests.night.homes import Home

MINE = ("rsi_14", "ret_5", "rank_ret_5", "garch_volatility")


def test_another_list_trains_again_and_the_model_says_so(finished: Home, copy: Callable[[], Home]):
    home = copy()
    file = home.folder / "quant_assets.toml"
    file.write_text(file.read_text() + f'\n[features]\nmodel = "mine"\nsets = {{ mine = {list(MINE)} }}\n')
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    trained, before = home.table("model_runs"), finished.table("model_runs")
    assert set(trained["feature_set"]) == {feature_set_hash(MINE)}
    assert trained.height == before.height
    work = home.workspace()
    booster = ModelRegistry(work.settings.mlflow_uri, work.settings.mlflow_artifacts).load(trained["model_run_id"][-1]).booster
    assert booster.feature_names == list(MINE)
    assert set(home.table("signal").filter(session=dt.date(2013, 3, 1))["model_run_id"]) == {trained["model_run_id"][-1]}
    assert not home.table("oos_predictions").equals(finished.table("oos_predictions"))
    assert home.table("features").equals(finished.table("features"))
