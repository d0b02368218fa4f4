"""Orders that cannot be: each is named by ticker and session, and there is no result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order
from quant_assets.backtest.strategy import StrategyFailed, trade
from quant_assets.backtest.surroundings import Surroundings
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import FREE, PLAIN, QUIET, bars_of, orders_of, tape_of

TAPE = tape_of({"AAA": [QUIET] * 4, "BBB": [QUIET] * 4})
FINE = {"session": DAYS[0], "ticker": "AAA", "shares": 1.0}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ticker": "ZZZ", "shares": 1.0}, "is for a name without bars"),
    ({"shares": math.inf}, "has a number that is not finite"),
    ({"shares": 1.0, "limit": math.inf}, "has a number that is not finite"),
    ({}, "says how much not at all, or twice"),
    ({"shares": 1.0, "cash": 100.0}, "says how much not at all, or twice"),
    ({"shares": 1.0, "close": True}, "says how much not at all, or twice"),
    ({"shares": 0.0}, "asks for nothing"),
    ({"cash": 0.0}, "asks for nothing"),
    ({"equity": 0.0}, "asks for nothing"),
    ({"shares": 1.0, "limit": 0.0}, "has a price that is not positive"),
    ({"shares": 1.0, "stop": -1.0}, "has a price that is not positive"),
    ({"shares": 1.0, "trail": 0.0}, "has a price that is not positive"),
    ({"shares": 1.0, "stop_loss": -1.0}, "has a distance below zero"),
    ({"shares": 1.0, "take_profit": -1.0}, "has a distance below zero"),
    ({"shares": 1.0, "trailing_stop": -1.0}, "has a distance below zero"),
    ({"shares": 1.0, "trail": 1.0, "limit": 5.0}, "trails and has a limit or stop of its own"),
    ({"shares": 1.0, "at": "close", "stop": 5.0}, "is for the close and has a limit, stop or trail"),
    ({"shares": 1.0, "at": "noon"}, "is for neither the open nor the close"),
    ({"shares": 1.0, "lasts": -1}, "lasts a number of sessions below zero"),
    ({"shares": 1.0, "exit_after": 0}, "leaves before it has entered"),
    ({"shares": 1.0, "exit_after": -1}, "leaves before it has entered"),
]


@pytest.mark.parametrize(("wrong", "what"), WRONG)
def test_an_order_that_cannot_be_is_refused_from_a_table_and_from_a_strategy(wrong: dict[str, Any], what: str):
    asked = {"ticker": "BBB", **wrong}
    named = f"the order of {asked['ticker']} {DAYS[1]}.* {what}"
    rows = pl.DataFrame([FINE, {"session": DAYS[1], **asked}], infer_schema_length=None, strict=False)
    with pytest.raises(BadArgument, match=named):
        engine.run(TAPE, rows, costs=PLAIN)
    with pytest.raises(StrategyFailed, match=named):
        trade(TAPE, lambda past: [Order(**asked)] if past.session == DAYS[1] else [], costs=PLAIN)


@pytest.mark.parametrize("name", ["shares", "cash", "equity", "weight", "limit", "stop", "trail", "stop_loss", "priority"])
def test_a_number_that_is_none_is_refused(name: str):
    rows = pl.DataFrame([FINE, {"session": DAYS[1], "ticker": "BBB", **({} if name == "shares" else {"shares": 1.0}), name: math.nan}])
    with pytest.raises(BadArgument, match=f"the order of BBB {DAYS[1]}.* has a {name} that is no number"):
        engine.run(TAPE, rows, costs=PLAIN)
    with pytest.raises(BadArgument, match=f"an order of BBB has {name}=nan"):
        Order("BBB", **({} if name == "shares" else {"shares": 1.0}), **{name: math.nan})


def test_a_day_that_is_no_session_of_the_bars_is_refused():
    """A Saturday, a session after the tape, none at all."""
    for day in (DAYS[0].replace(day=7), DAYS[10], None):
        rows = pl.DataFrame([FINE, {"session": day, "ticker": "BBB", "shares": 1.0}])
        with pytest.raises(BadArgument, match=f"BBB {day}.* is decided on a day that is no session of the bars"):
            engine.run(TAPE, rows, costs=PLAIN)


def test_an_order_that_is_there_twice_is_refused():
    twice = [Order("AAA", shares=5), Order("BBB", shares=5, limit=90), Order("BBB", shares=5, limit=90)]
    with pytest.raises(BadArgument, match=f"the order of BBB {DAYS[1]}.* is there twice"):
        engine.run(TAPE, orders_of(*((1, order) for order in twice)), costs=PLAIN)
    with pytest.raises(StrategyFailed, match=f"the order of BBB {DAYS[1]}.* is there twice"):
        trade(TAPE, lambda past: twice if past.session == DAYS[1] else [], costs=PLAIN)


def test_the_same_order_on_two_days_or_with_two_limits_is_two_orders():
    rows = orders_of((0, Order("AAA", shares=5)), (1, Order("AAA", shares=5)), (1, Order("AAA", shares=5, limit=101)))
    assert engine.run(TAPE, rows, costs=PLAIN).fills.height == 3


def test_a_column_that_no_order_has_is_refused():
    with pytest.raises(BadArgument, match="a column size"):
        engine.run(TAPE, pl.DataFrame([{**FINE, "size": 1.0}]), costs=PLAIN)
    with pytest.raises(BadArgument, match="no column session or ticker"):
        engine.run(TAPE, pl.DataFrame({"session": [DAYS[0]], "shares": [1.0]}), costs=PLAIN)


def test_no_order_is_an_account_that_waits():
    done = engine.run(TAPE, orders_of(), costs=PLAIN)
    assert done.equity["equity"].to_list() == [10_000.0] * 4
    assert (done.trades.height, done.fills.height, done.refused.height) == (0, 0, 0)


def test_the_order_of_the_rows_does_not_matter():
    rows = orders_of(*((day, Order(name, shares=60, priority=day)) for day in (1, 0) for name in ("BBB", "AAA")))
    one, other = (engine.run(TAPE, table, costs=PLAIN) for table in (rows, rows.reverse()))
    assert one.fills.equals(other.fills)
    assert one.refused.equals(other.refused)


def test_an_account_is_of_a_name_and_a_session_of_the_tape():
    for starts in ({"ZZZ": DAYS[0]}, {"AAA": DAYS[10]}):
        with pytest.raises(BadArgument, match=f"the account of {next(iter(starts))}"):
            engine.run(TAPE, orders_of(), by_name=True, starts=starts, costs=PLAIN)


def test_an_order_needs_an_account_that_is_open():
    rows = orders_of((0, Order("AAA", shares=1)), (1, Order("BBB", shares=1)))
    with pytest.raises(BadArgument, match="BBB, which has no account"):
        engine.run(TAPE, rows, by_name=True, starts={"AAA": DAYS[0]}, costs=PLAIN)
    with pytest.raises(BadArgument, match=f"the order of BBB {DAYS[1]} is older than its account"):
        engine.run(TAPE, rows, by_name=True, starts={"AAA": DAYS[0], "BBB": DAYS[2]}, costs=PLAIN)


def test_shares_of_a_volume_need_a_volume():
    untold = type(TAPE).of(bars_of({"AAA": [QUIET] * 3}).drop("volume"))
    for given in ({"costs": US_STOCKS}, {"costs": FREE, "limits": Limits(participation=0.1)}):
        with pytest.raises(BadArgument, match="the bars have none"):
            engine.run(untold, orders_of(), **given)


def test_a_half_spread_that_is_none_is_refused():
    for wrong in (math.nan, -0.1, 1.0):
        table = np.zeros((2, 4))
        table[1, 2] = wrong
        with pytest.raises(BadArgument, match=f"the half-spread of BBB {DAYS[2]} is {wrong}"):
            engine.run(TAPE, orders_of(), costs=PLAIN, surroundings=Surroundings(half_spread=table))


@pytest.mark.parametrize("name", ["half_spread", "borrowable", "vix"])
def test_surroundings_of_other_sessions_are_refused(name: str):
    table = np.zeros(3) if name == "vix" else np.zeros((2, 3))
    with pytest.raises(BadArgument, match=f"{name} is of shape"):
        engine.run(TAPE, orders_of(), costs=PLAIN, surroundings=Surroundings(**{name: table}))


@pytest.mark.parametrize(
    "wrong",
    [{"initial_margin": 0.0}, {"initial_margin": 0.2}, {"maintenance_margin": -0.1}, {"participation": 0.0}, {"participation": 1.5}],
)
def test_limits_that_cannot_be_are_refused(wrong: dict[str, float]):
    """An initial margin of 0.2 lies below the maintenance margin of 0.25."""
    with pytest.raises(BadArgument):
        Limits(**wrong)
