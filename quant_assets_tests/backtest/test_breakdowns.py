"""Tables of an account: their parts add up to the whole, and each figure is that of the catalogue on its part."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest.breakdowns import HOLDINGS, MONTHS, by_holding, by_month, by_side, by_ticker, by_year, cost_breakdown
from quant_assets.backtest.metrics import measure
from quant_assets.backtest.run import backtest
from quant_assets.backtest.track import Track
from quant_assets.calendars import Window, sessions
from quant_assets_tests.backtest.market import DAYS, column, prices
from quant_assets_tests.backtest.records import NO_TRADES, equity, journal, trade

SPAN = sessions(Window(dt.date(2010, 11, 1), dt.date(2013, 2, 1)))
CENT = 1e-6


def over_years() -> Track:
    draw = np.random.default_rng(4)
    wealth, beside = (10_000 * np.exp(np.cumsum([0.0, *draw.normal(0.0003, 0.01, len(SPAN) - 1)])) for _ in range(2))
    benchmark = pl.DataFrame({"session": SPAN, "wealth": beside})
    exits = [(30, 5.0), (40, -2.0), (400, 7.0)]
    trades = [trade(pnl) | {"entered": SPAN[place - 1], "session": SPAN[place]} for place, pnl in exits]
    return Track.of(equity(wealth.tolist(), sessions=SPAN), journal(*trades), benchmark)


def test_years_begin_at_the_close_before_them():
    track = over_years()
    table = by_year(track)
    assert table["year"].to_list() == [2010, 2011, 2012, 2013]
    assert table["sessions"].sum() == len(SPAN) - 1
    assert (1 + table["total_return"]).product() == pytest.approx(track.wealth[-1] / track.wealth[0], rel=1e-12)
    assert (1 + table["benchmark_return"]).product() == pytest.approx(track.benchmark[-1] / track.benchmark[0], rel=1e-12)
    assert table.select("n_trades", "pnl").rows() == [(2, 3.0), (0, 0.0), (1, 7.0), (0, 0.0)]
    begin, end = SPAN.index(dt.date(2010, 12, 31)), SPAN.index(dt.date(2011, 12, 30))
    alone = measure(Track.of(equity(track.wealth[begin : end + 1].tolist(), sessions=SPAN[begin : end + 1]), NO_TRADES))
    assert table.row(1, named=True)["sharpe"] == pytest.approx(alone["sharpe"], rel=1e-12)
    assert table.row(1, named=True)["max_drawdown"] == pytest.approx(alone["max_drawdown"], rel=1e-12)


def test_months_compound_to_their_year():
    track = over_years()
    table = by_month(track)
    assert table.columns == ["year", *MONTHS, "year_total"]
    assert table["year_total"].to_list() == by_year(track)["total_return"].to_list()
    for row in table.iter_rows(named=True):
        known = [row[month] for month in MONTHS if row[month] is not None]
        assert math.prod(1 + value for value in known) == pytest.approx(1 + row["year_total"], rel=1e-12)
    december = SPAN.index(dt.date(2010, 11, 30)), SPAN.index(dt.date(2010, 12, 31))
    assert table["dec"][0] == pytest.approx(track.wealth[december[1]] / track.wealth[december[0]] - 1)
    assert table.row(0)[1:11] == (None,) * 10


TRADES = journal(
    trade(30.0, ticker="BBB", entered=1, held=0, side=1, borrow=0.0, fees=0.0, impact_cost=0.0),
    trade(-10.0, ticker="AAA", entered=1, held=1, side=-1, borrow=1.0, fees=0.5, impact_cost=0.25, commission=2.0),
    trade(20.0, ticker="AAA", entered=2, held=3, side=1, borrow=0.0, fees=0.5, impact_cost=0.25, spread_cost=3.0),
    trade(-5.0, ticker="AAA", entered=3, held=21, side=1, borrow=0.0, fees=0.0, impact_cost=0.0),
)
TRADED = Track.of(equity([10_000.0] * 30), TRADES)


def test_by_ticker():
    table = by_ticker(TRADED)
    assert table.select("ticker", "n_trades", "pnl", "win_rate", "average_sessions_held", "costs").rows() == [
        ("AAA", 3, 5.0, pytest.approx(1 / 3), pytest.approx(25 / 3), 7.5),
        ("BBB", 1, 30.0, 1.0, 0.0, 0.0),
    ]
    assert table["profit_factor"].to_list() == [20 / 15, None]


def test_by_side():
    assert by_side(TRADED).select("side", "n_trades", "pnl").rows() == [("long", 3, 45.0), ("short", 1, -10.0)]


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_by_holding():
    table = by_holding(TRADED)
    assert table.select("holding", "n_trades", "pnl").rows() == [
        ("up to 1", 2, 20.0),
        ("2-3", 1, 20.0),
        ("4-5", 0, 0.0),
        ("6-20", 0, 0.0),
        ("over 20", 1, -5.0),
    ]
    assert table["win_rate"].to_list() == [0.5, 1.0, None, None, 0.0]


@pytest.mark.parametrize(("held", "bucket"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (20, 3), (21, 4)])
def test_edges_of_the_holding_buckets(held: int, bucket: int):
    table = by_holding(Track.of(equity([10_000.0] * 30), journal(trade(1.0, held=held))))
    assert table.filter(pl.col("n_trades") == 1)["holding"].to_list() == [HOLDINGS[bucket]]


def test_costs_by_kind():
    table = cost_breakdown(TRADED)
    assert table["component"].to_list() == ["commission", "fees", "spread", "impact", "borrow"]
    assert table["usd"].to_list() == [2.0, 1.0, 3.0, 0.5, 1.0]
    assert table["share_of_gross_profit"].to_list() == pytest.approx([usd / 42.5 for usd in (2.0, 1.0, 3.0, 0.5, 1.0)])


def test_without_a_gross_profit_costs_have_no_share():
    table = cost_breakdown(Track.of(equity([10_000.0] * 3), journal(trade(-5.0, commission=2.0))))
    assert (table["usd"].sum(), table["share_of_gross_profit"].null_count()) == (2.0, 5)


def test_an_account_without_trades_has_tables_without_figures():
    empty = Track.of(equity([10_000.0]), NO_TRADES)
    assert [table(empty).height for table in (by_year, by_month, by_ticker)] == [0, 0, 0]
    assert by_side(empty)["n_trades"].to_list() == [0, 0]
    assert by_holding(empty)["n_trades"].to_list() == [0] * 5
    assert cost_breakdown(empty)["usd"].sum() == 0.0


moves = st.lists(st.tuples(st.floats(-0.08, 0.08), st.floats(0, 0.05)), min_size=24, max_size=24)
scores = st.lists(st.one_of(st.none(), st.floats(0.5, 0.9)), min_size=24, max_size=24)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(first=moves, second=moves, one=scores, other=scores)
def test_the_journal_and_the_equity_tell_the_same(first: list, second: list, one: list, other: list):
    """Flat at the end: the trades' profits are what wealth gained, their costs what the account paid, however they are cut."""
    bars = {}
    for name, listed in (("AAA", first), ("BBB", second)):
        close, bars[name] = 50.0, []
        for move, dip in listed:
            opening, close = close, close * (1 + move)
            bars[name].append((opening, max(opening, close), min(opening, close) * (1 - dip), close))
        bars[name] += [(close,) * 4] * 5
    scored = column("score", {"AAA": [*one, *[None] * 5], "BBB": [*other, *[None] * 5]})
    atr = column("atr_14", {name: [1.5] * 29 for name in bars})
    tables = backtest(prices(bars), scored, atr, as_of=DAYS[28])
    for strategy in ("threshold", "top_fifth"):
        own = (pl.col("strategy") == strategy) & (pl.col("account") == "portfolio")
        if tables.equity.filter(own).is_empty():
            continue
        track = Track.of(tables.equity.filter(own), tables.trades.filter(own))
        gained = track.wealth[-1] - track.wealth[0]
        assert track.exposure[-1] == 0
        for table in (by_ticker, by_side, by_holding, by_year):
            assert table(track)["pnl"].sum() == pytest.approx(gained, abs=CENT)
            assert table(track)["n_trades"].sum() == track.trades.height
        assert cost_breakdown(track)["usd"].sum() == pytest.approx(measure(track)["total_costs"], abs=CENT)
