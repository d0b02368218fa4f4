"""A strategy sees the past alone, does what the same orders would have done, and fails in words."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order
from quant_assets.backtest.strategy import Past, ReachedAhead, Strategy, StrategyFailed, trade
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import FREE, PLAIN, QUIET, Bar, orders_of, tape_of

RISING: list[Bar | None] = [(100.0 + k, 102.0 + k, 99.0 + k, 101.0 + k, 1e5) for k in range(8)]
TAPE = tape_of({"AAA": RISING, "BBB": [QUIET] * 8})


def seen_on(day: int, look: Strategy) -> Strategy:
    """A strategy that looks on one day and orders nothing else."""
    return lambda past: look(past) if past.session == DAYS[day] else []


def test_a_strategy_does_what_its_orders_do():
    """Many kinds of order, some partly filled, some refused; more of them than the book first has room for."""
    rng = np.random.default_rng(3)
    days = 60
    walk = 100 * np.cumprod(1 + rng.normal(0, 0.02, (3, days)), axis=1)
    bars = {
        name: [(c * 1.001, c * 1.02, c * 0.98, c, 2_000.0) for c in path] for name, path in zip(("AAA", "BBB", "CCC"), walk, strict=True)
    }
    tape = tape_of(bars)
    wishes = [
        lambda name, close: Order(name, equity=0.3, stop_loss=2, take_profit=3, exit_after=5, only_flat=True),
        lambda name, close: Order(name, shares=-70, limit=close * 1.01, lasts=4),
        lambda name, close: Order(name, weight=0.2, priority=1),
        lambda name, close: Order(name, cash=4_000, stop=close * 1.005, lasts=0, trailing_stop=2),
        lambda name, close: Order(name, close=True, at="close"),
    ]
    decided = [
        (day, wishes[rng.integers(5)](name, walk[place, day]))
        for day in range(days)
        for place, name in enumerate(bars)
        if rng.random() < 0.8
    ]
    given = {"costs": US_STOCKS, "limits": Limits(participation=0.02, initial_margin=0.5, credit_rate=0.02, debit_rate=0.05)}
    mine = trade(tape, lambda past: [order for day, order in decided if tape.sessions[day] == past.session], **given)
    theirs = engine.run(tape, orders_of(*decided), **given)
    assert len(decided) > 64
    for table in ("trades", "fills", "equity", "refused", "orders"):
        assert_frame_equal(getattr(mine, table), getattr(theirs, table), check_exact=True)
    assert mine.trades.height > 20
    assert mine.refused["reason"].n_unique() >= 3


def test_what_is_seen_at_each_close():
    seen = []

    def look(past: Past) -> Iterable[Order]:
        assert past.bars("AAA").tolist() == [101.0 + k for k in range(past.n_sessions)]
        assert past.session == DAYS[past.n_sessions - 1]
        assert past.bar("AAA", past.session)["high"] == 101.0 + past.n_sessions
        seen.append((past.n_sessions, past.shares("AAA"), round(past.cash, 6), round(past.equity, 6)))
        return [Order("AAA", shares=10)] if past.n_sessions == 1 else []

    trade(TAPE, look, costs=FREE)
    assert seen[:3] == [(1, 0, 10_000, 10_000), (2, 10, 8_990, 10_010), (3, 10, 8_990, 10_020)]
    assert len(seen) == 8


def test_the_bars_cannot_be_written_on():
    def write(past: Past) -> Iterable[Order]:
        past.bars("AAA")[0] = 1.0
        return []

    with pytest.raises(StrategyFailed, match="read-only"):
        trade(TAPE, write, costs=FREE)


def test_total_return_has_splits_and_dividends_and_goes_over_gaps():
    """100, then 2:1 at 50 with a dividend of 5 a new share: 10 % up. No bar, then 60: 20 % more. At the level of the last close of 60."""
    bars = [QUIET, (50, 51, 49, 50, 1e6, 2.0, 5.0), None, (60, 61, 59, 60)]
    late = [None, None, QUIET, QUIET]
    found = {}

    def look(past: Past) -> Iterable[Order]:
        found.update(AAA=past.total_return("AAA").tolist(), LATE=past.total_return("LATE").tolist())
        return []

    trade(tape_of({"AAA": bars, "LATE": late}), look, costs=FREE)
    assert found["AAA"] == pytest.approx([60 / 1.2 / 1.1, 60 / 1.2, math.nan, 60], nan_ok=True)
    assert found["LATE"] == pytest.approx([math.nan, math.nan, 100, 100], nan_ok=True)


def test_who_asks_for_a_later_bar_is_told_which():
    with pytest.raises(ReachedAhead, match=f"at the close of {DAYS[2]} .* of AAA {DAYS[3]}"):
        trade(TAPE, seen_on(2, lambda past: past.bar("AAA", DAYS[3]) and []), costs=FREE)


def test_who_reads_past_the_end_is_told_where_it_is():
    with pytest.raises(StrategyFailed, match=f"at the close of {DAYS[2]} the strategy raised IndexError.* is number 2") as failed:
        trade(TAPE, seen_on(2, lambda past: past.bars("AAA")[past.n_sessions] and []), costs=FREE)
    assert isinstance(failed.value.__cause__, IndexError)


def ask_for(answer: object) -> Strategy:
    return lambda past: answer  # type: ignore[return-value, arg-type]


@pytest.mark.parametrize("answer", [3, ["buy"], Order("AAA", shares=1), [Order("AAA", shares=1), None], [{"ticker": "AAA"}]])
def test_an_answer_that_is_no_order_is_refused(answer: object):
    with pytest.raises(StrategyFailed, match=f"at the close of {DAYS[0]}"):
        trade(TAPE, ask_for(answer), costs=FREE)


@pytest.mark.parametrize("answer", [None, [], (), iter([])])
def test_no_answer_is_no_order(answer: object):
    assert trade(TAPE, ask_for(answer), costs=FREE).orders.height == 0


@pytest.mark.parametrize(
    ("look", "what"),
    [
        (lambda past: [Order("AAA", shares=math.nan)], "an order of AAA has shares=nan"),
        (lambda past: [Order("ZZZ", shares=1)], "the order of ZZZ .* is for a name without bars"),
        (lambda past: past.bars("ZZZ") and [], "no bars of ZZZ"),
        (lambda past: past.bars("AAA", "vwap") and [], "no field vwap"),
        (lambda past: past.bar("AAA", DAYS[0].replace(day=1)) and [], "2012-01-01 is no session"),
        (lambda past: [1 / 0], "ZeroDivisionError"),
    ],
)
def test_what_a_strategy_gets_wrong_names_the_session(look: Strategy, what: str):
    with pytest.raises(StrategyFailed, match=f"at the close of {DAYS[1]} .*{what}"):
        trade(TAPE, seen_on(1, look), costs=FREE)


def test_accounts_by_name_are_the_single_accounts():
    """Each name alone on its own tape, and all at once, each with the same cash and an opening of its own."""
    bars: dict[str, list[Bar | None]] = {"AAA": RISING, "BBB": [QUIET] * 8, "CCC": [None, None, *RISING[2:]]}
    wishes = [(3, Order(name, equity=0.9, stop_loss=1, exit_after=2, lasts=2)) for name in bars]
    wishes += [(6, Order(name, shares=-20, lasts=0)) for name in bars]
    limits = Limits(participation=0.0005, credit_rate=0.03)
    starts = {"AAA": DAYS[0], "BBB": DAYS[1], "CCC": DAYS[3]}
    together = engine.run(tape_of(bars), orders_of(*wishes), by_name=True, costs=PLAIN, limits=limits, starts=starts)
    for name in bars:
        own = orders_of(*((day, order) for day, order in wishes if order.ticker == name))
        alone = engine.run(tape_of({name: bars[name]}), own, by_name=True, costs=PLAIN, limits=limits, starts={name: starts[name]})
        for table in ("trades", "fills", "equity", "refused"):
            assert_frame_equal(getattr(together, table).filter(account=name), getattr(alone, table), check_exact=True)
        assert alone.fills.height > 0
    assert_frame_equal(together.orders.sort(pl.all()), orders_of(*wishes).sort(pl.all()))


def test_a_name_that_is_unknown_is_an_error_and_not_a_position_of_none():
    with pytest.raises(StrategyFailed, match="there are no bars of ZZZ"):
        trade(TAPE, lambda past: [Order("AAA", shares=1)] if not past.shares("ZZZ") else [], costs=FREE)


def test_what_was_kept_of_a_close_stays_as_it_was():
    kept = []

    def buys(past: Past) -> list[Order]:
        kept.append(past)
        return [Order("AAA", shares=1)] if past.n_sessions == 1 else []

    trade(TAPE, buys, costs=FREE)
    assert [past.shares("AAA") for past in kept[:3]] == [0.0, 1.0, 1.0]


def test_a_strategy_without_volumes_needs_costs_without_impact():
    with pytest.raises(BadArgument, match="the bars have none"):
        trade(tape_of({"AAA": [(*QUIET, None)] * 3}), lambda past: [])
