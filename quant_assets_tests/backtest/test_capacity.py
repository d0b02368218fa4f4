"""Capacity: the fill that is largest beside its session's volume decides."""

from __future__ import annotations

import polars as pl
import pytest

from quant_assets.backtest.capacity import capacity_usd
from quant_assets.backtest.track import Track
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.records import NO_TRADES, equity, journal, trade


def volume(**usd: float) -> pl.DataFrame:
    """The same in every session, by name."""
    return pl.DataFrame(
        [(ticker, day, traded) for ticker, traded in usd.items() for day in DAYS[:10]],
        schema={"ticker": pl.String, "session": pl.Date, "dollar_volume": pl.Float64},
        orient="row",
    )


TRACK = Track.of(equity([10_000.0] * 10), journal(trade(0.0), trade(500.0, ticker="BBB", entered=2, held=3)))


def test_the_tightest_fill_decides():
    # AAA 1,000 in and out; BBB 1,000 in, 1,500 out: 1 % of 600,000 is four times that.
    assert capacity_usd(TRACK, volume(AAA=1e9, BBB=600_000.0)) == pytest.approx(40_000)
    assert capacity_usd(TRACK, volume(AAA=100_000.0, BBB=600_000.0)) == pytest.approx(10_000)
    assert capacity_usd(TRACK, volume(AAA=100_000.0, BBB=600_000.0), max_share=0.02) == pytest.approx(20_000)


def test_a_session_without_volume_carries_nothing():
    assert capacity_usd(TRACK, volume(AAA=0.0, BBB=1e9)) == 0.0


def test_trades_of_one_session_share_its_volume():
    twice = Track.of(equity([10_000.0] * 10), journal(trade(0.0, entered=1, held=1), trade(0.0, entered=2, held=1)))
    assert capacity_usd(twice, volume(AAA=1e6)) == pytest.approx(50_000)


def test_without_trades_there_is_no_capacity():
    assert capacity_usd(Track.of(equity([10_000.0] * 3), NO_TRADES), volume(AAA=1.0)) is None


def test_a_fill_without_volume_is_refused():
    with pytest.raises(BadArgument, match=f"2 of 4 fills have no volume, the first BBB {DAYS[2]}"):
        capacity_usd(TRACK, volume(AAA=1e9))
