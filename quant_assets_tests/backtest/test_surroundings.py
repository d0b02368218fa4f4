"""Spreads and what can be borrowed, as known at the close before."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest import engine
from quant_assets.backtest.costs import Costs
from quant_assets.backtest.surroundings import Surroundings, estimated_half_spread, known_before, quoted_half_spread
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS, QUIET, prices

FREE = Costs(commission_per_share=0, commission_minimum=0, half_spread=0)


def told(*rows: tuple[str, int, float]) -> pl.DataFrame:
    return pl.DataFrame([(ticker, DAYS[day], value) for ticker, day, value in rows], schema=["ticker", "session", "value"], orient="row")


@pytest.fixture
def tape() -> Tape:
    return Tape.of(prices({"AAA": [QUIET] * 4, "BBB": [QUIET] * 4}))


def test_a_value_counts_from_the_session_after_its_own(tape: Tape):
    table = known_before(tape, told(("AAA", 0, 0.1), ("AAA", 2, 0.3), ("ZZZ", 0, 9.0)), "value", otherwise=-1)
    assert table.tolist() == [[-1, 0.1, 0.1, 0.3], [-1, -1, -1, -1]]


def test_two_values_of_one_session_are_refused(tape: Tape):
    with pytest.raises(BadArgument, match=f"value of AAA {DAYS[0]}"):
        known_before(tape, told(("AAA", 0, 0.1), ("AAA", 0, 0.2)), "value", otherwise=0)


def test_the_quoted_spread_of_the_close_before_is_paid(tape: Tape):
    quotes = pl.DataFrame({"ticker": ["AAA", "AAA"], "session": [DAYS[0], DAYS[1]], "bid": [99.0, 0.0], "ask": [101.0, 102.0]})
    half = quoted_half_spread(quotes)
    assert half["half_spread"].to_list() == [0.01, None]
    table = known_before(tape, half, "half_spread", otherwise=0.0)
    orders = pl.DataFrame({"ticker": ["AAA", "BBB"], "session": [DAYS[0], DAYS[0]], "shares": [10.0, 10.0]})
    done = engine.run(tape, orders, costs=FREE, surroundings=Surroundings(half_spread=table))
    assert done.fills.sort("ticker")["price"].to_list() == [101.0, 100.0]
    assert done.fills.sort("ticker")["spread_cost"].to_list() == pytest.approx([10.0, 0.0])


def test_an_estimated_spread_is_halved():
    rows = pl.DataFrame({"ticker": ["AAA"], "session": [DAYS[0]], "corwin_schultz_spread_20": [0.004]})
    assert estimated_half_spread(rows, "corwin_schultz_spread_20")["half_spread"].to_list() == [0.002]


def test_a_name_that_cannot_be_borrowed_is_not_sold_short(tape: Tape):
    table = np.array([[1.0, 1, 1, 1], [0.0, 0, 0, 0]])
    orders = pl.DataFrame({"ticker": ["AAA", "BBB"], "session": [DAYS[0], DAYS[0]], "shares": [-10.0, -10.0]})
    done = engine.run(tape, orders, costs=FREE, surroundings=Surroundings(borrowable=table))
    assert done.fills["ticker"].to_list() == ["AAA"]
    assert done.refused.select("ticker", "reason").rows() == [("BBB", "not borrowable")]
