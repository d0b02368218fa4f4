"""The graph as a reviewer should see it change. Renew the golden file with `QUANT_ASSETS_RENEW_SNAPSHOT=1 pytest <this file>`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_assets.definitions import build_defs
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings

GOLDEN = Path(__file__).parent / "golden" / "dag_snapshot.json"
RENEW = "QUANT_ASSETS_RENEW_SNAPSHOT"
pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
TABLE_OF = {
    **dict.fromkeys(("pooled_model", "xgboost_model"), "model_runs"),
    "own_predictions": "oos_predictions",
    **dict.fromkeys(("backtest", "portfolio_backtest"), "equity"),
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def assets(definitions: dg.Definitions) -> dict[str, dg.AssetsDefinition]:
    """The step that makes each asset; the warehouse's makes many."""
    return {key.to_user_string(): asset for asset in definitions.resolve_asset_graph().assets_defs for key in asset.keys}


def partitions(asset: dg.AssetsDefinition) -> dict[str, Any]:
    grid = asset.partitions_def
    assert grid is not None
    dimensions = grid.partitions_defs if isinstance(grid, dg.MultiPartitionsDefinition) else []
    counts = {dimension.name: dimension.partitions_def.get_num_partitions() for dimension in dimensions}
    return {
        "count": grid.get_num_partitions(),
        "dimensions": counts or {"date": grid.get_num_partitions()},
        "last": grid.get_last_partition_key(),
    }


def mapped(mapping: dg.PartitionMapping | None) -> str:
    """Class and offsets: Dagster's own descriptions leave out what a dimension is widened by."""
    if isinstance(mapping, dg.MultiPartitionMapping):
        inside = mapping.downstream_mappings_by_upstream_dimension
        return ", ".join(f"{name}: {mapped(one.partition_mapping)}" for name, one in sorted(inside.items()))
    offsets = f" {mapping.start_offset:+d}..{mapping.end_offset:+d}" if isinstance(mapping, dg.TimeWindowPartitionMapping) else ""
    return type(mapping).__name__ + offsets


def spec_of(name: str, asset: dg.AssetsDefinition) -> dg.AssetSpec:
    return next(spec for spec in asset.specs if spec.key.to_user_string() == name)


def described(name: str, asset: dg.AssetsDefinition) -> dict[str, Any]:
    spec = spec_of(name, asset)
    policy = asset.backfill_policy
    assert policy is not None
    return {
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "partitions": partitions(asset),
        "backfill": policy.policy_type.value + (f" of {policy.max_partitions_per_run}" if policy.max_partitions_per_run else ""),
        "checks": sorted(check.name for check in asset.check_specs if check.asset_key == spec.key),
        "deps": {dep.asset_key.to_user_string(): mapped(dep.partition_mapping) for dep in spec.deps},
    }


def snapshot(definitions: dg.Definitions, assets: dict[str, dg.AssetsDefinition]) -> dict[str, Any]:
    jobs = [job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")]
    graph = definitions.resolve_asset_graph()
    return {
        "assets": {name: described(name, asset) for name, asset in sorted(assets.items())},
        "jobs": {job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys) for job in jobs},
        "order": [[key.to_user_string() for key in sorted(level)] for level in graph.toposorted_asset_keys_by_level],
    }


def test_the_graph_is_the_recorded_one(definitions: dg.Definitions, assets: dict[str, dg.AssetsDefinition]):
    found = snapshot(definitions, assets)
    if os.environ.get(RENEW):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    told = f"the graph has changed; when that is meant, renew the golden file: {RENEW}=1 pytest {Path(__file__).name}"
    assert found == json.loads(GOLDEN.read_text()), told


def test_every_asset_introduces_itself(assets: dict[str, dg.AssetsDefinition]):
    for name, asset in assets.items():
        spec = spec_of(name, asset)
        assert len((spec.description or "").split()) > 8, name
        assert spec.group_name not in (None, "default"), name
        assert spec.kinds, name


def test_every_dependency_says_how_partitions_map(assets: dict[str, dg.AssetsDefinition]):
    """Without a mapping the daemon asks for keys that do not exist."""
    for name, asset in assets.items():
        for dep in spec_of(name, asset).deps:
            assert dep.partition_mapping is not None, f"{name} on {dep.asset_key.to_user_string()}"


def test_every_asset_shows_the_columns_of_its_table(assets: dict[str, dg.AssetsDefinition]):
    for name, asset in assets.items():
        columns = spec_of(name, asset).metadata["dagster/column_schema"].columns
        table = name.removeprefix("warehouse/stg_")
        if name.startswith("warehouse/") and table == name:  # declared in dbt_features
            assert all(column.description for column in columns), name
        else:
            assert [column.name for column in columns] == list(TABLES[TABLE_OF.get(table, table)].schema), name


def test_definitions_load_without_a_word(tmp_path: Path):
    code = "from quant_assets.definitions import build_defs; build_defs().resolve_all_job_defs()"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        env={**os.environ, "QUANT_ASSETS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
