"""Where the models of `dbt_features` stand in the graph, and how the project is found and parsed. Builds are in `warehouse/`."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest

from quant_assets import warehouse
from quant_assets.definitions import build_defs
from quant_assets.defs import dbt
from quant_assets.defs.assets.warehouse import POOL, warehouse_assets
from quant_assets.defs.partitions import grids
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> dg.AssetsDefinition:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    [step] = warehouse_assets(settings, grids(Workspace.open(settings)))
    return step


@pytest.mark.parametrize(
    ("model", "parents"),
    [
        ("stg_prices", {"prices"}),
        ("stg_model_runs", {"pooled_model", "xgboost_model"}),
        ("stg_equity", {"backtest", "portfolio_backtest"}),
        ("stg_quarantine", {"prices"}),
        ("sessions", set()),
        ("index_asof", {"warehouse/sessions", "warehouse/stg_index_prices"}),
        ("returns", {"warehouse/sessions", "warehouse/stg_prices", "warehouse/index_asof"}),
        ("liquidity_wide", {"warehouse/liquidity", "warehouse/sessions"}),
        ("macro_asof", {"warehouse/sessions", "warehouse/stg_macro"}),
        ("fundamentals_asof", {"warehouse/sessions", "warehouse/stg_prices", "warehouse/stg_fundamentals"}),
        ("events_asof", {"warehouse/sessions", "warehouse/stg_prices", "warehouse/stg_earnings"}),
    ],
)
def test_lineage_is_one_graph(step: dg.AssetsDefinition, model: str, parents: set[str]):
    spec = next(spec for spec in step.specs if spec.key.path[-1] == model)
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == parents


def test_every_source_is_an_asset(step: dg.AssetsDefinition, tmp_path: Path):
    """Otherwise the graph would grow a second, empty `prices`."""
    graph = build_defs(Settings(home=tmp_path)).resolve_asset_graph()
    outside = {dep.asset_key for spec in step.specs for dep in spec.deps} - set(step.keys)
    assert len(outside) == 29
    assert outside <= graph.materializable_asset_keys


def test_one_pooled_step_with_a_check_for_each_test(step: dg.AssetsDefinition):
    assert step.op.pool == POOL
    assert len(step.keys) == 39
    blocking = {check.name: check.blocking for check in step.check_specs}
    assert blocking["returns_rows_are_as_declared"]
    assert all(blocking[f"{model}_knows_no_future"] for model in ("index_asof", "macro_asof", "fundamentals_asof", "events_asof"))
    assert not blocking["return_1_is_plausible"]


def test_the_project_is_parsed_once(monkeypatch: pytest.MonkeyPatch):
    first = dbt.manifest_file()

    def unwanted() -> str:
        raise AssertionError("parsed again")

    monkeypatch.setattr(dbt, "dbt_executable", unwanted)
    assert dbt.manifest_file() == first
    monkeypatch.setattr(dbt, "project_fingerprint", lambda: "another")
    with pytest.raises(AssertionError, match="parsed again"):
        dbt.manifest_file()
    assert first.is_file()


def test_dbt_is_found_beside_python_without_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert Path(dbt.dbt_executable()).parent == Path(sys.executable).parent


def test_installed_without_the_checkout_there_is_no_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warehouse, "PROJECT", tmp_path)
    graph = build_defs(Settings(home=tmp_path)).resolve_asset_graph()
    assert not [key for key in graph.materializable_asset_keys if key.path[0] == "warehouse"]
    assert dg.AssetKey("daily_report") in graph.materializable_asset_keys
