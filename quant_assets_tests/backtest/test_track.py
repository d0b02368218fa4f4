"""The record of an account: what of its rows counts, what a journal with fewer columns means, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest.run import backtest
from quant_assets.backtest.track import Track
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS, QUIET, column, prices
from quant_assets_tests.backtest.records import NO_TRADES, equity, journal, trade


def benchmark(wealth: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({"session": DAYS[: len(wealth)], "wealth": wealth}, schema={"session": pl.Date, "wealth": pl.Float64})


def test_rows_in_any_order_give_the_record_by_session():
    rows = equity([100.0, 110.0, 99.0], position=[0.0, 55.0, -33.0])
    track = Track.of(rows.reverse(), NO_TRADES, benchmark([1.0, 2.0, 3.0, 4.0]).reverse())
    assert track.sessions == DAYS[:3]
    assert track.returns == pytest.approx([0.1, -0.1])
    assert track.exposure == pytest.approx([0.0, 0.5, -1 / 3])
    assert track.benchmark_returns == pytest.approx([1.0, 0.5])
    assert track.years == (DAYS[2] - DAYS[0]).days / 365.25


def test_trades_outside_the_sessions_after_the_first_do_not_count():
    trades = journal(*(trade(float(n), entered=1, held=n) for n in range(6)))
    track = Track.of(equity([100.0] * 3, sessions=DAYS[2:]), trades)
    assert track.trades["session"].to_list() == DAYS[3:5]


def test_the_lakes_journal_is_long_and_free_of_the_engines_costs():
    tables = backtest(
        prices({"AAA": [QUIET] * 8}),
        column("score", {"AAA": [0.9] + [None] * 7}),
        column("atr_14", {"AAA": [2.0] * 8}),
        as_of=DAYS[7],
    )
    own = (pl.col("strategy") == "threshold") & (pl.col("account") == "portfolio")
    track = Track.of(tables.equity.filter(own), tables.trades.filter(own))
    assert track.trades.select("side", "fees", "impact_cost", "borrow", "sessions_held").rows() == [(1, 0.0, 0.0, 0.0, 3)]


def test_what_the_engine_wrote_stays():
    own = {"side": -1, "fees": 1.0, "impact_cost": 2.0, "borrow": 3.0, "sessions_held": 7}
    track = Track.of(equity([100.0] * 3), journal(trade(1.0, **own)))
    assert track.trades.select(list(own)).row(0, named=True) == own


def test_sessions_held_are_exchange_sessions():
    over_a_weekend = journal(trade(1.0, entered=3, held=1), trade(1.0, entered=3, held=0))
    assert (DAYS[4] - DAYS[3]).days == 3
    track = Track.of(equity([100.0] * 6), over_a_weekend)
    assert sorted(track.trades["sessions_held"]) == [0, 1]


@pytest.mark.parametrize("worth", [0.0, -5.0])
def test_the_record_ends_where_nothing_is_left(worth: float):
    track = Track.of(equity([100.0, 50.0, worth, 20.0]), journal(trade(-50.0, entered=2, held=1)))
    assert track.ruined
    assert track.sessions == DAYS[:3]
    assert track.returns == pytest.approx([-0.5, worth / 50 - 1])
    assert math.isnan(track.exposure[-1])
    assert track.trades.is_empty()


REFUSED = {
    "empty": (equity([100.0]).clear(), "equity has no row where an account has at least one"),
    "two accounts": (pl.concat([equity([1.0, 2.0])] * 2), f"equity has 2 rows of {DAYS[0]} where one account has one"),
    "null": (equity([100.0, 1.0]).with_columns(equity=pl.Series([100.0, None])), f"equity of {DAYS[1]} is nan (limit: a finite number)"),
    "infinite": (equity([100.0, np.inf]), f"equity of {DAYS[1]} is inf (limit: a finite number)"),
    "nothing to start with": (equity([0.0, 1.0]), f"equity starts at 0.00 USD on {DAYS[0]} (limit: above 0)"),
    "no costs": (equity([1.0]).drop("costs"), "the table has no column costs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_are_no_account_are_refused(case: str):
    rows, message = REFUSED[case]
    with pytest.raises(BadArgument) as refused:
        Track.of(rows, NO_TRADES)
    assert refused.value.message == message


REFUSED_BENCHMARKS = {
    "short": (benchmark([1.0, 2.0]), f"the benchmark lacks one value for 2 of 4 sessions of the account, the first {DAYS[2]}"),
    "null": (benchmark([1.0, None, 1.0, 1.0]), f"the benchmark lacks one value for 1 of 4 sessions of the account, the first {DAYS[1]}"),
    "twice": (
        pl.concat([benchmark([1.0] * 4), benchmark([2.0])]),
        f"the benchmark lacks one value for 1 of 4 sessions of the account, the first {DAYS[0]}",
    ),
    "zero": (benchmark([1.0, 1.0, 0.0, 1.0]), f"the benchmark is 0.0 on {DAYS[2]} (limit: above 0)"),
    "nan": (benchmark([1.0, 1.0, math.nan, 1.0]), f"the benchmark is nan on {DAYS[2]} (limit: above 0)"),
    "other column": (benchmark([1.0]).rename({"wealth": "close"}), "the table has no column wealth"),
}


@pytest.mark.parametrize("case", REFUSED_BENCHMARKS)
def test_a_benchmark_of_other_sessions_is_refused(case: str):
    beside, message = REFUSED_BENCHMARKS[case]
    with pytest.raises(BadArgument) as refused:
        Track.of(equity([100.0] * 4), NO_TRADES, beside)
    assert refused.value.message == message
