"""A backfill of prices and features together, launched as the UI launches it, against a real daemon: no year runs before its look-back."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from quant_assets_tests.night.homes import new_home
from quant_assets_tests.operate.daemon import Daemon, instance_of, running, until

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
UNIVERSE = """ticker,source,listed
AAPL,bokeh,2010-01-04
IBM,bokeh,2010-01-04
KO,skfolio,2010-01-04
MSFT,bokeh,2010-01-04
"""
SETTINGS = """universe = "universe.csv"

[grids]
history_start = 2010-01-01
first_cutoff = 2012-01-01
first_decision = 2012-10-01
"""
ASSETS = ("prices", "features")
LAUNCH = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename
... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"


def launch_backfill(daemon: Daemon, assets: tuple[str, ...], first: str, last: str) -> str:
    chosen = [{"assetKey": {"path": [asset]}, "partitions": {"range": {"start": first, "end": last}}} for asset in assets]
    told = daemon.ask(LAUNCH, p={"partitionsByAssets": chosen, "tags": []})["launchPartitionBackfill"]
    assert told["__typename"] == "LaunchBackfillSuccess", told
    return str(told["backfillId"])


def status_of(daemon: Daemon, backfill: str) -> str:
    return str(daemon.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"])


def year_of(run: dg.RunRecord) -> int:
    first, last = (run.dagster_run.tags[f"dagster/asset_partition_range_{end}"][:4] for end in ("start", "end"))
    assert first == last
    return int(first)


def test_four_names_and_three_years_of_prices_and_features_together(tmp_path: Path):
    by_ui, by_terminal = (new_home(tmp_path / name, universe=UNIVERSE) for name in ("ui", "terminal"))
    for home in (by_ui, by_terminal):
        (home.folder / "quant_assets.toml").write_text(SETTINGS)
    done = by_terminal.run("backfill", "--tables", "index_prices,prices,features", "--end", "2012-12-31")
    assert done.returncode == 0, done.stderr
    done = by_ui.run("backfill", "--tables", "index_prices")
    assert done.returncode == 0, done.stderr
    with running(by_ui) as daemon:
        backfill = launch_backfill(daemon, ASSETS, "2010|AAPL", "2012|MSFT")
        until(lambda: status_of(daemon, backfill) not in ("REQUESTED", "REQUESTED_CANCEL"), "the backfill")
        assert status_of(daemon, backfill) == "COMPLETED_SUCCESS"
    with instance_of(by_ui) as instance:
        runs = instance.get_run_records(filters=dg.RunsFilter(tags={"dagster/backfill": backfill}))
        ran = {
            asset: {year_of(run): run for run in runs if dg.AssetKey(asset) in (run.dagster_run.asset_selection or ())} for asset in ASSETS
        }
        assert all(set(years) == {2010, 2011, 2012} for years in ran.values())
        for year, run in ran["features"].items():
            assert all(run.start_time >= ran["prices"][earlier].end_time for earlier in range(2010, year + 1))
        cells = {f"{year}|{ticker}" for year in (2010, 2011, 2012) for ticker in ("AAPL", "IBM", "KO", "MSFT")}
        assert instance.get_materialized_partitions(dg.AssetKey("features")) == cells
    for table in ("prices", "features"):
        assert by_ui.table(table).equals(by_terminal.table(table))
        assert by_ui.table(table)["ticker"].n_unique() == 4
