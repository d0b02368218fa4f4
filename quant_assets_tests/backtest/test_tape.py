"""Bars that cannot be, and what a tape says of those that can."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument, SchemaMismatch
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import QUIET, bars_of, tape_of

BARS = bars_of({"AAA": [QUIET] * 3, "BBB": [QUIET] * 3})


def with_value(column: str, value: Any) -> pl.DataFrame:
    """BARS with one value of BBB's second bar."""
    here = (pl.col("ticker") == "BBB") & (pl.col("session") == DAYS[1])
    return BARS.with_columns(pl.when(here).then(pl.lit(value, dtype=BARS[column].dtype)).otherwise(pl.col(column)).alias(column))


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -5.0])
def test_a_price_that_is_none_is_refused(column: str, value: float):
    with pytest.raises(SchemaMismatch, match=f"BBB {DAYS[1]} .* is not positive and finite"):
        Tape.of(with_value(column, value))


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("close", None, "has no close"),
        ("volume", -1.0, "has a volume below zero"),
        ("volume", math.nan, "has a volume below zero"),
        ("split_factor", 0.0, "has a split factor that is not positive"),
        ("split_factor", math.nan, "has a split factor that is not positive"),
        ("dividend", math.inf, "has a dividend that is not finite"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(column: str, value: float | None, what: str):
    with pytest.raises(SchemaMismatch, match=f"BBB {DAYS[1]} .* {what}"):
        Tape.of(with_value(column, value))


def test_rows_out_of_order_or_twice_are_refused():
    with pytest.raises(SchemaMismatch, match=f"AAA {DAYS[1]} .* stands after a later one, or twice"):
        Tape.of(BARS.reverse().sort("ticker", maintain_order=True))
    with pytest.raises(SchemaMismatch, match=f"BBB {DAYS[2]} .* stands after a later one, or twice"):
        Tape.of(pl.concat([BARS, BARS[-1:]]))


def test_sessions_out_of_order_are_refused():
    for days in (DAYS[2::-1], [DAYS[0], DAYS[0], DAYS[1]]):
        with pytest.raises(BadArgument, match=f"the session {days[1]} stands after"):
            Tape.of(BARS, sessions=days)


def test_no_session_is_refused():
    with pytest.raises(BadArgument, match="no session"):
        Tape.of(BARS, sessions=[])


def test_a_table_without_prices_is_refused():
    with pytest.raises(BadArgument, match="low"):
        Tape.of(BARS.drop("low"))


def test_bars_on_other_days_are_not_read_and_missing_ones_are_none():
    tape = Tape.of(BARS.filter((pl.col("ticker") == "AAA") | (pl.col("session") == DAYS[0])), sessions=DAYS[:2])
    assert (tape.tickers, tape.sessions) == (("AAA", "BBB"), tuple(DAYS[:2]))
    assert tape.bars["close"].tolist()[0] == [100, 100]
    assert np.isnan(tape.bars["close"][1]).tolist() == [False, True]
    assert tape.bars["fillable"].tolist() == [[1, 1], [1, 0]]


def test_a_bar_fills_when_all_its_prices_are_there_and_it_traded():
    tape = tape_of({"AAA": [QUIET, (*QUIET, 0.0), (*QUIET, None), (100, None, 99, 100)]})
    assert tape.bars["fillable"].tolist() == [[1, 0, 1, 0]]


def test_average_volume_is_known_a_session_later_and_leaves_out_what_did_not_trade():
    tape = tape_of({"AAA": [(*QUIET, volume) for volume in (100.0, 0.0, 300.0, None, 500.0)]})
    assert tape.average_volume()[0].tolist() == pytest.approx([math.nan, 100, 100, 200, 200], nan_ok=True)


def test_average_volume_of_a_name_that_stopped_trading_is_the_last_there_was():
    tape = tape_of({"AAA": [(*QUIET, 100.0), *[(*QUIET, 0.0)] * 25]})
    assert tape.average_volume()[0][1:].tolist() == [100] * 25


def test_volatility_is_of_total_returns_known_a_session_later():
    """Returns of 10 %, over a split 0 %, with the dividend 10 %: ddof 1 over those known at the close before."""
    bars = [QUIET, (110, 111, 109, 110), (55, 56, 54, 55, 1e6, 2.0), (55, 56, 54, 55, 1e6, 1.0, 5.5), QUIET]
    expected = [math.nan, math.nan, math.nan, np.std([0.1, 0.0], ddof=1), np.std([0.1, 0.0, 0.1], ddof=1)]
    assert tape_of({"AAA": bars}).volatility()[0].tolist() == pytest.approx(expected, nan_ok=True)


def test_sessions_that_leave_out_a_split_are_refused():
    split = [QUIET, (50.0, 50.5, 49.5, 50.0, 1e6, 2.0), (50.0, 50.5, 49.5, 50.0)]
    with pytest.raises(BadArgument, match=f"AAA has a split or dividend on {DAYS[1]}"):
        Tape.of(bars_of({"AAA": split}), sessions=[DAYS[0], DAYS[2]])


@pytest.mark.parametrize("wrong", [lambda bars: bars.lazy(), lambda bars: bars.with_columns(pl.col("session").cast(pl.Datetime))])
def test_what_is_no_frame_of_dates_is_refused(wrong):
    with pytest.raises(BadArgument, match=r"the bars are a LazyFrame|sessions are Datetime"):
        Tape.of(wrong(bars_of({"AAA": [QUIET] * 2})))


def test_a_name_that_was_gone_before_the_first_session_fills_nothing():
    tape = Tape.of(BARS, delisted={"BBB": DAYS[0] - dt.timedelta(days=30)})
    assert tape.bars["fillable"].sum(axis=1).tolist() == [3.0, 0.0]
