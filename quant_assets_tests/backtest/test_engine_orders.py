"""Orders on tapes whose fills are computed by hand: which bar, how many shares, at what price, why.

Costs are on: 2 bp a side and $1 (`tapes.PLAIN`) where nothing else is said.
"""

from __future__ import annotations

import pytest

from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import CENT, FREE, QUIET, Bar, filled, refused, run

BUY = (1, 50, 100.02, "order")
SHORT = (1, -50, 99.98, "order")
GUARDED = Order("AAA", shares=50, stop_loss=5.02, take_profit=4.98)
"""Bought at 100.02: its stop is at 95, its target at 105."""
GUARDED_SHORT = Order("AAA", shares=-50, stop_loss=5.02, take_profit=4.98)
"""Sold at 99.98: its stop is at 105, its target at 95."""


@pytest.mark.parametrize(
    ("bar", "exits", "pnl"),
    [
        # Opens below the stop: at the open, 90 x 0.9998. 50 x (89.982 - 100.02) - 2 = -503.90.
        pytest.param((90, 96, 89, 95), (2, -50, 89.982, "gap"), -503.90, id="gap through the stop"),
        # 95 x 0.9998 = 94.981: 50 x (94.981 - 100.02) - 2 = -253.95.
        pytest.param((100, 101, 95, 96), (2, -50, 94.981, "stop"), -253.95, id="stop touched"),
        pytest.param((100, 106, 94, 100), (2, -50, 94.981, "stop"), -253.95, id="stop and target touched: the worse"),
        # A target is a limit: 105 is what is got. 50 x (105 - 100.02) - 2 = 247.
        pytest.param((100, 106, 96, 100), (2, -50, 105.0, "target"), 247.0, id="target touched"),
        # The bid has to reach 105: quoted 105 / 0.9998 = 105.021.
        pytest.param((100, 105.02, 96, 100), None, None, id="target short of the spread"),
        # Opens above the target: 110 x 0.9998. 50 x (109.978 - 100.02) - 2 = 495.90.
        pytest.param((110, 112, 94, 100), (2, -50, 109.978, "target"), 495.90, id="target gapped over, though the stop is touched later"),
    ],
)
def test_what_ends_a_long_position(bar: Bar, exits: tuple | None, pnl: float | None):
    done = run({"AAA": [QUIET, QUIET, bar]}, (0, GUARDED))
    assert filled(done) == [BUY, exits] if exits else filled(done) == [BUY]
    assert done.trades["pnl"].to_list() == ([pytest.approx(pnl, abs=CENT)] if pnl else [])
    if pnl:
        assert done.equity["equity"][-1] == pytest.approx(10_000 + pnl, abs=CENT)


@pytest.mark.parametrize(
    ("bar", "exits", "pnl"),
    [
        # 50 x (99.98 - 110.022) - 2 = -504.10.
        pytest.param((110, 111, 104, 105), (2, 50, 110.022, "gap"), -504.10, id="gap through the stop"),
        # 105 x 1.0002 = 105.021: 50 x (99.98 - 105.021) - 2 = -254.05.
        pytest.param((100, 105, 94, 96), (2, 50, 105.021, "stop"), -254.05, id="stop and target touched: the worse"),
        # 50 x (99.98 - 95) - 2 = 247.
        pytest.param((100, 101, 94, 96), (2, 50, 95.0, "target"), 247.0, id="target touched"),
        # 90 x 1.0002 = 90.018: 50 x (99.98 - 90.018) - 2 = 496.10.
        pytest.param((90, 106, 89, 96), (2, 50, 90.018, "target"), 496.10, id="target gapped over"),
    ],
)
def test_what_ends_a_short_position(bar: Bar, exits: tuple, pnl: float):
    done = run({"AAA": [QUIET, QUIET, bar]}, (0, GUARDED_SHORT))
    assert filled(done) == [SHORT, exits]
    assert done.trades["pnl"][0] == pytest.approx(pnl, abs=CENT)
    assert done.trades["side"][0] == -1
    # ret is of what was sold short for, costs added: 50 x 99.98 + 1.
    assert done.trades["ret"][0] == pytest.approx(pnl / 5000.0, abs=1e-9)


def test_a_position_that_is_due_leaves_before_its_stop_is_looked_at():
    done = run({"AAA": [QUIET, QUIET, (90, 96, 89, 95)]}, (0, Order("AAA", shares=50, stop_loss=5.02, exit_after=1)))
    assert filled(done) == [BUY, (2, -50, 89.982, "time")]
    assert done.trades["sessions_held"].to_list() == [1]


def test_a_stop_lives_from_the_entry_bar_on():
    done = run({"AAA": [QUIET, (100, 101, 94, 96)]}, (0, GUARDED))
    assert filled(done) == [BUY, (1, -50, 94.981, "stop")]


def test_a_target_may_be_taken_in_the_bar_that_was_entered_at_its_open():
    done = run({"AAA": [QUIET, (100, 106, 99, 100)]}, (0, GUARDED))
    assert filled(done) == [BUY, (1, -50, 105.0, "target")]


def test_a_stop_above_what_the_entry_was_quoted_at_is_hit_at_once():
    """The stop, 100.02 - 0.01 = 100.01, was never quoted below the open of 100, which is what is got: 99.98."""
    done = run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", shares=50, stop_loss=0.01)))
    assert filled(done) == [BUY, (1, -50, 99.98, "stop")]


def test_in_bar_entry_by_a_buy_stop_whose_own_stop_is_touched():
    """Bought at 102 x 1.0002 = 102.0204, stop at 100; the low of 98 may have come before, and is taken to have come after."""
    done = run({"AAA": [QUIET, (100, 103, 98, 101)]}, (0, Order("AAA", shares=50, stop=102, stop_loss=2.0204)))
    assert filled(done) == [(1, 50, 102.0204, "order"), (1, -50, 99.98, "stop")]


def test_a_stop_closer_than_the_spread_sells_no_higher_than_the_entry_was_quoted():
    """The high is 102. A stop at 102.0204 - 0.01 was never bid: what is got is 102 x 0.9998."""
    done = run({"AAA": [QUIET, (100, 102, 98, 101)]}, (0, Order("AAA", shares=50, stop=102, stop_loss=0.01)))
    assert filled(done)[1] == (1, -50, 101.9796, "stop")


def test_in_bar_entry_by_a_limit_does_not_take_its_target_in_the_same_bar():
    """Bought at 98 in the bar, target 100: the high of 103 may have come before. The next bar takes it, at its limit."""
    bars = [QUIET, (99.5, 103, 97, 99), (99, 101, 98.5, 100)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, limit=98, take_profit=2, stop_loss=10)))
    assert filled(done) == [(1, 50, 98.0, "order"), (2, -50, 100.0, "target")]
    assert done.trades["pnl"][0] == pytest.approx(50 * 2 - 2, abs=CENT)


def test_in_bar_entry_by_a_limit_whose_stop_is_touched_on_the_way_down():
    done = run({"AAA": [QUIET, (99.5, 103, 95, 99)]}, (0, Order("AAA", shares=50, limit=98, stop_loss=2)))
    assert filled(done) == [(1, 50, 98.0, "order"), (1, -50, 95.9808, "stop")]


@pytest.mark.parametrize(
    ("order", "bar", "expected"),
    [
        # Opens better: at the open.
        (Order("AAA", shares=50, limit=101), QUIET, (1, 50, 100.02, "order")),
        (Order("AAA", shares=-50, limit=99), QUIET, (1, -50, 99.98, "order")),
        # The spread is inside the limit.
        (Order("AAA", shares=50, limit=99.5), QUIET, (1, 50, 99.5, "order")),
        (Order("AAA", shares=-50, limit=100.5), QUIET, (1, -50, 100.5, "order")),
        # The ask of the low, 99 x 1.0002 = 99.0198, does not reach 99.
        (Order("AAA", shares=50, limit=99), QUIET, None),
        (Order("AAA", shares=-50, limit=101), QUIET, None),
        # A stop is at the market from its price on.
        (Order("AAA", shares=50, stop=100.5), QUIET, (1, 50, 100.5201, "order")),
        (Order("AAA", shares=50, stop=100.5), (103, 104, 102, 103), (1, 50, 103.0206, "order")),
        (Order("AAA", shares=-50, stop=99.5), QUIET, (1, -50, 99.4801, "order")),
        (Order("AAA", shares=-50, stop=99.5), (97, 98, 96, 97), (1, -50, 96.9806, "order")),
        (Order("AAA", shares=50, stop=101.5), QUIET, None),
        # At the close.
        (Order("AAA", shares=50, at="close"), (100, 101, 99, 99.5), (1, 50, 99.5199, "order")),
    ],
)
def test_where_an_order_fills(order: Order, bar: Bar, expected: tuple | None):
    done = run({"AAA": [QUIET, bar]}, (0, order))
    assert filled(done) == ([expected] if expected else [])
    assert refused(done) == ([] if expected else [("AAA", 1, "expired")])


STOP_LIMIT = Order("AAA", shares=50, stop=102, limit=103, lasts=3)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        # 102 is reached within the bar: 102 x 1.0002.
        ([(100, 104, 99, 103)], [(1, 50, 102.0204, "order")]),
        # Triggered above its limit and never back; then the next bar comes down to the limit.
        ([(105, 106, 104, 105), (104, 105, 102, 104)], [(2, 50, 103.0, "order")]),
        # Triggered above its limit at the open; the bar itself comes down to the limit afterwards.
        ([(105, 106, 102, 103)], [(1, 50, 103.0, "order")]),
        # Never triggered, though the limit is there all the time.
        ([QUIET, QUIET, QUIET, (105, 106, 102, 103)], []),
    ],
)
def test_a_stop_limit_is_a_limit_once_it_is_triggered(bars: list[Bar], expected: list):
    assert filled(run({"AAA": [QUIET, *bars]}, (0, STOP_LIMIT))) == expected


def test_a_stop_limit_with_its_limit_at_the_trigger_fills_from_the_next_bar_on():
    """Triggered within the bar at 102, the ask is 102.0204: above the limit."""
    done = run({"AAA": [QUIET, (100, 104, 99, 103), (103, 104, 101, 103)]}, (0, Order("AAA", shares=50, stop=102, limit=102, lasts=2)))
    assert filled(done) == [(2, 50, 102.0, "order")]


def test_a_trailing_stop_follows_highs_up_and_never_down():
    """Bought at 100.02, 5 below: 95.02. The high of 108 lifts it to 103, the lower high after it does not lower it."""
    bars = [QUIET, QUIET, (104, 108, 103.5, 107), (106, 107, 103.1, 104), (104, 105, 102, 103)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, trailing_stop=5)))
    assert filled(done) == [BUY, (4, -50, 102.9794, "stop")]
    assert done.trades["stop_price"][0] == pytest.approx(95.02, abs=CENT)


def test_a_trailing_stop_of_a_short_follows_lows_down():
    """Sold at 99.98; the low of 92 lowers the stop to 97; the next bar opens at 98, beyond it: 98 x 1.0002."""
    done = run({"AAA": [QUIET, QUIET, (96, 97, 92, 93), (98, 99, 97, 98)]}, (0, Order("AAA", shares=-50, trailing_stop=5)))
    assert filled(done) == [SHORT, (3, 50, 98.0196, "gap")]


def test_a_trailing_stop_does_not_know_the_bar_before_an_entry_at_its_close():
    """The high of 110 was before the entry at the close of 100, so the stop of 95.02 stays, and 96 does not touch it."""
    done = run({"AAA": [QUIET, (100, 110, 99, 100), (100, 101, 96, 100)]}, (0, Order("AAA", shares=50, at="close", trailing_stop=5)))
    assert filled(done) == [BUY]


def test_of_stop_and_trailing_stop_the_closer_one_counts():
    for distances in ({"stop_loss": 5.02, "trailing_stop": 9}, {"stop_loss": 9, "trailing_stop": 5.02}):
        done = run({"AAA": [QUIET, (100, 101, 94, 96)]}, (0, Order("AAA", shares=50, **distances)))
        assert filled(done) == [BUY, (1, -50, 94.981, "stop")]


def test_a_trailing_order_follows_the_bars_until_it_is_reached():
    """Sells 5 below the highest high since the close of 100: 95, then 108 - 5 = 103, which the third bar touches."""
    bars = [QUIET, QUIET, (104, 108, 103.5, 107), (106, 107, 102, 104)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50)), (1, Order("AAA", shares=-50, trail=5, lasts=0)))
    assert filled(done) == [BUY, (3, -50, 102.9794, "order")]


def test_a_trailing_order_to_buy():
    """2 above the lowest low since the close of 100: 102, then 95 + 2 = 97, beyond which the next bar opens."""
    done = run({"AAA": [QUIET, (99, 100, 95, 96), (98, 99, 97, 98)]}, (0, Order("AAA", shares=50, trail=2, lasts=0)))
    assert filled(done) == [(2, 50, 98.0196, "order")]


def test_two_orders_of_one_name_in_one_bar_the_worse_first():
    """Of what is held a stop at 95 and a limit at 105 would each sell all: the stop does; the limit finds nothing to close."""
    protect, profit = (Order("AAA", close=True, stop=95, lasts=0), Order("AAA", close=True, limit=105, lasts=0))
    done = run({"AAA": [QUIET, QUIET, (100, 106, 94, 100)]}, (0, Order("AAA", shares=50)), (1, profit), (1, protect))
    assert filled(done) == [BUY, (2, -50, 94.981, "order")]
    assert refused(done) == [("AAA", 2, "nothing to close")]


@pytest.mark.parametrize("side", [1, -1])
def test_orders_that_close_may_be_decided_with_the_one_that_opens(side: int):
    """They go against the position there will be: a stop 5 away and a limit 5 away, of a long or a short."""
    opens = Order("AAA", shares=50 * side, priority=1)
    stop = Order("AAA", close=True, stop=100 - 5 * side, lasts=0)
    limit = Order("AAA", close=True, limit=100 + 5 * side, lasts=0)
    away = (100, 106, 96, 100) if side > 0 else (100, 104, 94, 100)
    done = run({"AAA": [QUIET, QUIET, away]}, (0, opens), (0, stop), (0, limit))
    assert filled(done) == [(1, 50 * side, 100 * (1 + 0.0002 * side), "order"), (2, -50 * side, 100.0 + 5 * side, "order")]


def test_in_and_out_within_one_bar():
    for side in (1, -1):
        done = run({"AAA": [QUIET, (100, 101, 99, 100.5)]}, (0, Order("AAA", shares=50 * side)), (0, Order("AAA", close=True, at="close")))
        assert [row[:2] for row in filled(done)] == [(1, 50 * side), (1, -50 * side)]
        # 50 x 0.5 less the spread of 50 x (100 + 100.5) x 0.0002 = 2.005 and $2.
        assert done.trades["pnl"][0] == pytest.approx(25 * side - 2.005 - 2, abs=CENT)


def test_both_orders_of_one_open_fill_though_the_first_makes_the_second_a_sale_of_what_is_held():
    done = run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", shares=50, priority=1)), (0, Order("AAA", shares=-50)))
    assert filled(done) == [BUY, (1, -50, 99.98, "order")]


def test_one_order_turns_a_position_round():
    """Sells the 50 and 30 more, two fills of $1 each; the short's stop is measured from its own fill, 99.98 + 5.02."""
    bars = [QUIET, QUIET, QUIET, (100, 105, 99, 100)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50)), (1, Order("AAA", shares=-80, stop_loss=5.02)))
    assert filled(done) == [BUY, (2, -50, 99.98, "order"), (2, -30, 99.98, "order"), (3, 30, 105.021, "stop")]
    # 50 x -0.04 - 2; 30 x (99.98 - 105.021) - 2.
    assert done.trades["pnl"].to_list() == pytest.approx([-4.0, -153.23], abs=CENT)
    assert done.trades["side"].to_list() == [1, -1]


def test_a_stop_that_turns_a_position_round_in_the_bar_lets_its_own_stop_be_touched_in_it():
    """Sold at 98 x 0.9998 = 97.9804; the short's stop, 97.9804 + 2.0196 = 100, is below the bar's high."""
    bars = [QUIET, QUIET, (100, 101, 97, 98)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50)), (1, Order("AAA", shares=-80, stop=98, stop_loss=2.0196)))
    assert filled(done)[1:] == [(2, -50, 97.9804, "order"), (2, -30, 97.9804, "order"), (2, 30, 100.02, "stop")]


def test_target_weights_sell_before_they_buy_and_are_counted_at_the_close_of_the_decision():
    """At the close of day 1 the account is worth 10,000 - 90 x 0.02 - 1 = 9,997.20. Half of it are 49.986 shares of AAA at 100 and 99.972
    of BBB at 50: whole ones, 49 and 99. AAA's 41 are sold first, whatever the priority, or the cash of 997.20 would not buy BBB.
    """
    cheap = (50, 51, 49, 50)
    done = run(
        {"AAA": [QUIET, QUIET, (101, 102, 100, 101)], "BBB": [cheap, cheap, (51, 52, 50, 51)]},
        (0, Order("AAA", weight=0.901)),
        (1, Order("BBB", weight=0.5, priority=1)),
        (1, Order("AAA", weight=0.5)),
    )
    assert done.equity["equity"][1] == pytest.approx(9_997.20, abs=CENT)
    assert done.fills.select("ticker", "shares").rows() == [("AAA", 90), ("AAA", -41), ("BBB", 99)]
    # 997.20 + 41 x 101 x 0.9998 - 1 - 99 x 51 x 1.0002 - 1 = 84.3...
    assert done.equity["cash"][-1] == pytest.approx(997.20 + 41 * 100.9798 - 1 - 99 * 51.0102 - 1, abs=CENT)
    assert refused(done) == []


def test_weights_at_the_close_sell_first_too():
    done = run(
        {"AAA": [QUIET] * 3, "BBB": [QUIET] * 3},
        (0, Order("BBB", weight=0.9)),
        (1, Order("AAA", weight=0.9, at="close")),
        (1, Order("BBB", weight=0.0, at="close")),
    )
    assert done.fills.select("ticker", "shares").rows() == [("BBB", 90), ("BBB", -90), ("AAA", 89)]


def test_a_weight_of_whole_shares_is_not_one_short_by_rounding():
    """0.57 x 10,000 / 100 is 56.99999999999999 in doubles."""
    assert 0.57 * 10_000 / 100 < 57
    assert filled(run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", weight=0.57))))[0][1] == 57


def test_a_weight_that_is_there_already_costs_nothing():
    """Twice the same fraction of an account whose fractions do not come out even: no dust is traded for a dollar."""
    third = [(0, Order("AAA", weight=1 / 3)), (1, Order("AAA", weight=1 / 3)), (2, Order("AAA", weight=1 / 3))]
    done = run({"AAA": [QUIET] * 4}, *third, costs=FREE, limits=Limits(whole_shares=False))
    assert done.fills["shares"].to_list() == pytest.approx([100 / 3])


def test_a_weight_below_zero_sells_short():
    assert filled(run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", weight=-0.5)))) == [SHORT]


def test_an_order_lasts_as_many_sessions_as_it_says():
    """Touched on the fourth session: three sessions are too few, and 0 is for ever."""
    bars = [QUIET, QUIET, QUIET, QUIET, (96, 97, 94, 95)]
    assert refused(run({"AAA": bars}, (0, Order("AAA", shares=50, limit=97, lasts=3)))) == [("AAA", 3, "expired")]
    assert filled(run({"AAA": bars}, (0, Order("AAA", shares=50, limit=97, lasts=4)))) == [(4, 50, 96.0192, "order")]
    assert filled(run({"AAA": bars}, (0, Order("AAA", shares=50, limit=97, lasts=0)))) == [(4, 50, 96.0192, "order")]


def test_only_flat_looks_at_the_close_of_the_decision():
    """Day 1's position is due at the open of day 2: a signal at the close of day 1 is ignored, one at the close of day 2 counts."""
    again = Order("AAA", shares=50, exit_after=1, only_flat=True)
    done = run({"AAA": [QUIET] * 4}, (0, again), (1, again), (2, again))
    assert [row[:2] for row in filled(done)] == [(1, 50), (2, -50), (3, 50)]
    assert refused(done) == [("AAA", 2, "held")]


def test_priority_decides_who_gets_the_cash_and_the_rest_is_refused():
    """BBB's 60 take 6,001.20 + 1; 3,997.80 buy 39 of CCC (3,900.78 + 1); 96.02 buy none of AAA."""
    done = run(
        {name: [QUIET, QUIET] for name in ("AAA", "BBB", "CCC")},
        *((0, Order(name, shares=60, priority=priority)) for name, priority in (("AAA", 0), ("BBB", 2), ("CCC", 1))),
    )
    assert done.fills.select("ticker", "shares").rows() == [("BBB", 60), ("CCC", 39)]
    assert refused(done) == [("CCC", 1, "no cash"), ("AAA", 1, "no cash")]
    assert done.equity["cash"][-1] == pytest.approx(10_000 - 6_002.20 - 3_901.78, abs=CENT)


def test_of_equal_priority_the_alphabet_decides():
    done = run({name: [QUIET, QUIET] for name in ("BBB", "AAA")}, (0, Order("BBB", shares=99)), (0, Order("AAA", shares=99)))
    assert done.fills["ticker"].to_list() == ["AAA"]


def test_a_budget_includes_the_costs():
    """1,000.00 buy 9 at 100.02 and their $1 (901.18); 10 would take 1,001.20. A budget of 1,001.20 buys ten."""
    for cash, shares in ((1_000, 9), (1_001.2, 10)):
        assert filled(run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", cash=cash))))[0][1] == shares
    assert filled(run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", equity=0.1))))[0][1] == 9
    assert filled(run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", cash=-1_000))))[0][1] == -9


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("AAA", cash=50), "less than a share"),
        (Order("AAA", shares=0.5), "less than a share"),
        (Order("AAA", close=True), "nothing to close"),
        (Order("AAA", close=True, limit=100), "nothing to close"),
        (Order("AAA", close=True, trail=1), "nothing to close"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(order: Order, reason: str):
    done = run({"AAA": [QUIET, QUIET]}, (0, order))
    assert (filled(done), refused(done)) == ([], [("AAA", 1, reason)])


@pytest.mark.parametrize("order", [Order("AAA", weight=0.5), Order("AAA", shares=5, trail=1)])
def test_what_is_measured_from_a_close_needs_one(order: Order):
    assert refused(run({"AAA": [QUIET, None, QUIET], "BBB": [QUIET] * 3}, (1, order))) == [("AAA", 2, "no bar")]


def test_journals_have_no_end():
    """20 orders a session in and out, for longer than the first pages last."""
    turns = [(day, Order("AAA", shares=(-1) ** k, priority=-k)) for day in range(100) for k in range(20)]
    done = run({"AAA": [QUIET] * 101}, *turns, costs=FREE)
    assert done.fills["shares"].to_list() == [1.0, -1.0] * 1_000
    assert done.fills["session"].to_list() == [session for session in DAYS[1:101] for _ in range(20)]
    assert (done.trades.height, done.equity["exits"][-1], done.equity["equity"][-1]) == (1_000, 1_000, 10_000)


def test_a_part_of_a_share_is_not_sold_of_a_position_either():
    done = run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=50)), (1, Order("AAA", shares=-0.5)), (1, Order("AAA", cash=-50)))
    assert filled(done) == [BUY]
    assert refused(done) == [("AAA", 2, "less than a share")] * 2


def test_an_order_by_value_closes_the_other_side_and_goes_no_further():
    done = run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=-20)), (1, Order("AAA", cash=5_000)))
    assert [row[1] for row in filled(done)] == [-20, 20]


def test_a_fill_adds_to_a_position_and_leaves_its_stop():
    """50 at 100.02 and 40 at 102.0204: one trade, all of it sold at the first stop. 90 x 94.981 - 5,001 - 4,080.816 - 3 = -536.526."""
    bars = [QUIET, QUIET, (102, 103, 101, 102), (100, 101, 94, 96)]
    done = run({"AAA": bars}, (0, GUARDED), (1, Order("AAA", shares=40, stop_loss=1)))
    assert filled(done) == [BUY, (2, 40, 102.0204, "order"), (3, -90, 94.981, "stop")]
    [trade] = done.trades.iter_rows(named=True)
    assert trade["pnl"] == pytest.approx(-536.526, abs=CENT)
    assert trade["entry_price"] == pytest.approx((5_001 + 4_080.816) / 90, abs=CENT)
