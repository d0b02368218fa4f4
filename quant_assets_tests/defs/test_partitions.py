"""The grids against the exchange's calendar, and what each partition asks of its parents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView

from quant_assets.calendars import Window, sessions
from quant_assets.definitions import build_defs
from quant_assets.defs.partitions import Grids, asked, grids, range_tags, window_of
from quant_assets.lake import Lake
from quant_assets.settings import Settings
from quant_assets.universe import Universe
from quant_assets.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def layout(settings: Settings) -> Grids:
    return grids(Workspace.open(settings))


@pytest.fixture(scope="module")
def universe(settings: Settings) -> Universe:
    return Universe.read(settings.universe_file)


@pytest.fixture(scope="module")
def graph(settings: Settings) -> AssetGraphView:
    return AssetGraphView.for_test(build_defs(settings))


def parents(graph: AssetGraphView, child: str, keys: Sequence[str], parent: str) -> set[str]:
    """Partitions of `parent` that these of `child` depend on; none of them may be a key that does not exist."""
    definition = graph.asset_graph.get(AssetKey.from_user_string(child)).partitions_def
    assert definition is not None
    subset = graph.get_subset_from_partition_keys(AssetKey.from_user_string(child), definition, set(keys))
    found, nonexistent = graph.compute_parent_subset_and_required_but_nonexistent_subset(AssetKey.from_user_string(parent), subset)
    assert nonexistent.is_empty
    return set(found.expensively_compute_partition_keys())


def context(*keys: str) -> Any:
    return SimpleNamespace(partition_keys=list(keys))


def test_grids_end_with_the_data(layout: Grids):
    years, quarters = layout.year.get_partition_keys(), layout.quarter.get_partition_keys()
    assert (years[0], years[-1]) == ("2000", "2013")
    assert (quarters[0], quarters[-1]) == ("2009-01", "2013-01")
    assert len(quarters) == 17
    assert layout.session.get_partition_keys()[-1] == "2013-03-01"


def test_session_keys_are_exactly_the_sessions_of_the_exchange(layout: Grids):
    keys = layout.session.get_partition_keys()
    assert keys == [day.isoformat() for day in sessions(Window(dt.date(2009, 1, 2), dt.date(2013, 3, 2)))]
    hurricane_and_presidents_day = {"2012-10-29", "2012-10-30", "2013-02-18"}
    assert not hurricane_and_presidents_day & set(keys)


def test_grids_of_tickers_hold_every_name_on_every_date(layout: Grids, universe: Universe):
    for dates, both in ((layout.year, layout.history), (layout.quarter, layout.training), (layout.session, layout.decision)):
        expected = {f"{date}|{ticker}" for date in dates.get_partition_keys() for ticker in universe.tickers}
        assert set(map(str, both.get_partition_keys())) == expected


def test_live_grids_hold_the_running_year_quarter_and_session(settings: Settings):
    """Now is 6 March 2024, 20:00 in New York: the session has closed, its year and quarter are still running."""
    now = dt.datetime(2024, 3, 7, 1, tzinfo=dt.UTC)
    live = settings.model_copy(update={"profile": "live", "universe": settings.universe_file})
    layout = grids(Workspace(live, Universe.read(live.universe_file), Lake(live.lake_root), dt.date(2024, 3, 6)))
    with dg.partition_loading_context(effective_dt=now):
        assert layout.year.get_last_partition_key() == "2024"
        assert layout.quarter.get_last_partition_key() == "2024-01"
        assert layout.session.get_last_partition_key() == "2024-03-06"


@pytest.mark.parametrize(
    ("key", "start", "end"),
    [
        ("2013", "2013-01-01", "2014-01-01"),
        ("2012-10", "2012-10-01", "2013-01-01"),
        ("2013-01", "2013-01-01", "2013-04-01"),
        ("2013-03-01", "2013-03-01", "2013-03-02"),
    ],
)
def test_window_of_each_kind_of_key(key: str, start: str, end: str):
    assert window_of(key) == Window(dt.date.fromisoformat(start), dt.date.fromisoformat(end))


def test_windows_of_keys_are_dagsters_own(layout: Grids):
    for dates in (layout.year, layout.quarter, layout.session):
        for key in dates.get_partition_keys():
            ours, theirs = window_of(key), dates.time_window_for_partition_key(key)
            assert theirs.start.date() == ours.start
            assert theirs.end.date() >= ours.end  # a Friday's lasts until Monday: why window_of does not ask Dagster


def test_asked_reads_one_rectangle(universe: Universe):
    tickers, windows = asked(context("2013|IBM", "2012|IBM", "2012|AAPL", "2013|AAPL"), universe)
    assert tickers == ["AAPL", "IBM"]
    assert list(windows) == ["2012", "2013"]
    assert asked(context("2012-10", "2013-01"), universe)[0] == universe.tickers


def test_asked_refuses_what_is_no_rectangle(universe: Universe):
    with pytest.raises(dg.Failure, match="not one rectangle: split it"):
        asked(context("2012|AAPL", "2013|IBM"), universe)
    with pytest.raises(dg.Failure, match="no partition: choose"):
        asked(context(), universe)


def test_range_tags_cover_exactly_the_rectangle(layout: Grids, universe: Universe):
    windows = ("2012-07", "2012-10", "2013-01")
    for tickers in (tuple(universe.tickers), ("GE", "GOOG", "HD")):
        tags = range_tags(tickers, windows)
        bounds = dg.PartitionKeyRange(tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
        covered = layout.training.get_partition_keys_in_range(bounds)
        assert set(map(str, covered)) == {f"{window}|{ticker}" for window in windows for ticker in tickers}
        assert len(covered) == len(windows) * len(tickers)
    tags = range_tags((), windows)
    bounds = dg.PartitionKeyRange(tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
    assert layout.quarter.get_partition_keys_in_range(bounds) == list(windows)


@pytest.mark.parametrize(
    ("child", "key", "parent", "expected"),
    [
        ("features", "2012|AAPL", "prices", {f"{year}|AAPL" for year in range(2000, 2013)}),
        ("features", "2000|AAPL", "prices", {"2000|AAPL"}),
        ("features", "2012|AAPL", "index_prices", {str(year) for year in range(2000, 2014)}),
        ("labels", "2012|AAPL", "prices", {"2012|AAPL", "2013|AAPL"}),
        ("labels", "2013|AAPL", "prices", {"2013|AAPL"}),
        ("oos_predictions", "2013-01|AAPL", "pooled_model", {"2013-01"}),
        ("oos_predictions", "2012-10|AAPL", "features", {"2012|AAPL"}),
        ("backtest", "2009-01|AAPL", "oos_predictions", {"2009-01|AAPL"}),
        ("backtest", "2009-07|AAPL", "oos_predictions", {"2009-01|AAPL", "2009-04|AAPL", "2009-07|AAPL"}),
        ("signal", "2013-03-01|AAPL", "oos_predictions", {"2013-01|AAPL"}),
        ("signal", "2013-03-01|AAPL", "features", {"2013|AAPL"}),
        ("signal", "2009-01-02|AAPL", "oos_predictions", {"2009-01|AAPL"}),
        ("signal", "2012-12-31|AAPL", "oos_predictions", {"2012-10|AAPL"}),
        ("trade_synthesis", "2013-03-01|AAPL", "signal", {"2013-03-01|AAPL"}),
        ("daily_report", "2013-03-01", "portfolio_backtest", {"2013-01"}),
        ("warehouse/stg_index_prices", "2012", "index_prices", {"2012"}),
        ("warehouse/returns", "2012", "warehouse/stg_prices", {"2012"}),
    ],
)
def test_what_a_partition_depends_on(graph: AssetGraphView, child: str, key: str, parent: str, expected: set[str]):
    assert parents(graph, child, [key], parent) == expected


def test_a_report_needs_the_verdict_on_every_name(graph: AssetGraphView, universe: Universe):
    found = parents(graph, "daily_report", ["2013-03-01"], "trade_synthesis")
    assert found == {f"2013-03-01|{ticker}" for ticker in universe.tickers}


def test_no_partition_of_any_asset_asks_for_a_key_that_does_not_exist(graph: AssetGraphView):
    """First and last windows are where offsets lead out of a grid."""
    for key in graph.asset_graph.materializable_asset_keys:
        node = graph.asset_graph.get(key)
        keys = list(map(str, node.partitions_def.get_partition_keys()))
        for parent in node.parent_keys:
            parents(graph, key.to_user_string(), [min(keys), max(keys)], parent.to_user_string())


def test_a_year_of_the_warehouse_needs_that_year_of_every_name(graph: AssetGraphView, universe: Universe):
    assert parents(graph, "warehouse/stg_prices", ["2012"], "prices") == {f"2012|{ticker}" for ticker in universe.tickers}
