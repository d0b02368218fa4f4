"""What happens to a position without an order: splits, dividends, fees, interest, margin, the last session. Computed by hand.

Costs are 2 bp a side and $1 a fill (`tapes.PLAIN`) where nothing else is said. DAYS begin on a Tuesday: 3 is a Friday, 4 a Monday.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order, table_of
from quant_assets.backtest.surroundings import Surroundings
from quant_assets.backtest.tape import Tape
from quant_assets.calendars import Window, sessions
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import CENT, FREE, PLAIN, QUIET, bars_of, filled, orders_of, refused, run, tape_of

GUARDED = Order("AAA", shares=50, stop_loss=5.02)
"""Bought at 100.02, stop at 95."""
HALVED = (50.0, 51.0, 48.0, 50.0, 1e6, 2.0)
TREBLED = (300.0, 306.0, 288.0, 300.0, 1e6, 1 / 3)
HALF_MARGIN = Limits(initial_margin=0.5)
ALL_IN = Order("AAA", cash=20_000)
"""With half a margin 199 shares for 199 x 100.02 + 1 = 19,904.98... less than 20,000; 200 would take 20,005."""
DEBT = 10_000 - 199 * 100.02 - 1


@pytest.mark.parametrize(
    ("split", "after", "shares", "price"),
    [
        # 2:1: 100 shares, stop 47.5, sold at 47.5 x 0.9998.
        (HALVED, (49, 50, 47, 48), 100, 47.4905),
        # 1:3: 16 2/3 shares, stop 285, sold at 285 x 0.9998; the fraction leaves with the rest.
        (TREBLED, (294, 300, 282, 288), 50 / 3, 284.943),
    ],
)
def test_a_split_changes_shares_and_stop_and_no_money(split: tuple, after: tuple, shares: float, price: float):
    """50 x (94.981 - 100.02) - 2 = -253.95, as without it."""
    done = run({"AAA": [QUIET, QUIET, split, after]}, (0, GUARDED))
    assert filled(done)[1] == (3, round(-shares, 9), price, "stop")
    assert done.equity["position"][2] == pytest.approx(5_000, abs=CENT)
    [trade] = done.trades.select("pnl", "entry_shares", "exit_shares", "stop_price").rows()
    assert trade == pytest.approx((-253.95, 50, shares, 95), abs=CENT)


def test_a_split_moves_the_high_a_trailing_stop_is_measured_from():
    """From 108 and 5 to 54 and 2.5: the stop is at 51.5, where the bar after the split opens at 52 and touches it."""
    bars = [QUIET, (100, 108, 99, 107), (53, 53.5, 52, 52.5, 1e6, 2.0), (52, 52.5, 51, 52)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, trailing_stop=5)))
    assert filled(done)[1] == (3, -100, 51.4897, "stop")


@pytest.mark.parametrize(
    ("distance", "bar", "exits"),
    [
        # 5 below becomes 2.5 below: 45 x 0.9998.
        ({"stop_loss": 5}, (46, 47, 45, 46), (4, -100, 44.991, "stop")),
        ({"trailing_stop": 5}, (47, 47, 45, 46), (4, -100, 45.4909, "stop")),
        ({"take_profit": 5}, (48, 51, 47, 50), (4, -100, 50.0, "target")),
    ],
)
def test_a_working_order_follows_a_split_with_its_distances(distance: dict[str, float], bar: tuple, exits: tuple):
    """50 at 95 become 100 at 47.5, decided before the split, filled after it. It closes that bar at 48, which lifts the trailing stop, 2.5
    away, to 45.5.
    """
    bars = [QUIET, QUIET, (50, 51, 49, 50, 1e6, 2.0), (48, 49, 47, 48), bar]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, limit=95, lasts=0, **distance)))
    assert filled(done) == [(3, 100, 47.5, "order"), exits]


def test_an_order_decided_at_the_close_before_a_split_is_of_that_close():
    """Half of 10,000 are 50 shares at the close of 100, which are 100 at the open of 50; $5,000 stay $5,000."""
    done = run({"AAA": [QUIET, HALVED]}, (0, Order("AAA", weight=0.5)))
    assert filled(done) == [(1, 100, 50.01, "order")]
    done = run({"AAA": [QUIET, HALVED]}, (0, Order("AAA", cash=5_001)))
    assert filled(done) == [(1, 99, 50.01, "order")]


def test_a_trailing_order_and_a_stop_follow_a_split():
    for order in (Order("AAA", shares=-50, trail=6, lasts=0), Order("AAA", shares=-50, stop=94, lasts=0)):
        done = run({"AAA": [QUIET, QUIET, HALVED, (48, 49, 46, 47)]}, (0, order))
        # 94 / 2 = 47; the trailing one, 3 below the high of 51, is reached at the open of 48.
        assert filled(done) == [(3, -100, 47.9904 if order.trail else 46.9906, "order")]


def test_a_dividend_is_cash_on_the_ex_date():
    """50 x 0.50. Who buys at the open of the ex-date has none, who sells at it has."""
    bars = [QUIET, QUIET, (*QUIET, 1e6, 1.0, 0.5), QUIET]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, exit_after=1)))
    assert done.trades.select("dividends", "pnl").row(0) == pytest.approx((25, 25 - 2 - 2), abs=CENT)
    late = run({"AAA": bars}, (1, Order("AAA", shares=50, exit_after=1)))
    assert late.trades.select("dividends", "pnl").row(0) == pytest.approx((0, -4), abs=CENT)


def test_a_dividend_on_the_day_of_a_split_is_of_the_new_shares():
    done = run({"AAA": [QUIET, QUIET, (50, 51, 49, 50, 1e6, 2.0, 0.25)]}, (0, Order("AAA", shares=50)))
    assert done.equity["cash"].diff()[2] == pytest.approx(100 * 0.25, abs=CENT)


def test_a_short_pays_the_dividend():
    bars = [QUIET, QUIET, (*QUIET, 1e6, 1.0, 0.5), QUIET]
    done = run({"AAA": bars}, (0, Order("AAA", shares=-50, exit_after=2)))
    assert done.trades.select("dividends", "pnl").row(0) == pytest.approx((-25, -25 - 2 - 2), abs=CENT)


def test_borrowed_shares_cost_three_days_over_a_week_end():
    """5,000 x 3.6 % / 360 = 0.50 a day, of the value at the close before: Friday's 5,000, Monday's 50 x 102."""
    bars = [QUIET, QUIET, QUIET, QUIET, (102, 103, 101, 102), QUIET]
    done = run({"AAA": bars}, (2, Order("AAA", shares=-50, exit_after=2)), costs=Costs(borrow_annual=0.036))
    assert (DAYS[3].weekday(), (DAYS[4] - DAYS[3]).days) == (4, 3)
    assert done.equity["carry"].to_list() == pytest.approx([0, 0, 0, 0, -1.50, -2.01], abs=CENT)
    assert done.trades.select("borrow", "pnl").row(0) == pytest.approx((2.01, -2.01 - 2 - 2), abs=CENT)


def test_what_cannot_be_borrowed_can_still_be_sold_but_not_beyond():
    none = Surroundings(borrowable=np.zeros((1, 3)))
    done = run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=50)), (1, Order("AAA", shares=-80)), surroundings=none)
    assert [row[1] for row in filled(done)] == [50, -50]
    assert refused(done) == [("AAA", 2, "not borrowable")]


def test_half_a_margin_buys_twice_the_equity():
    """250 are wanted; 199 cost 19,904.98 (with their $1), 200 would cost 20,005."""
    done = run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", shares=250)), limits=HALF_MARGIN)
    assert filled(done) == [(1, 199, 100.02, "order")]
    assert refused(done) == [("AAA", 1, "no cash")]
    assert done.equity["cash"][-1] == pytest.approx(DEBT, abs=CENT)


def test_a_short_sale_needs_margin_of_its_own():
    """Without leverage 10,000 carry shares worth 10,000, less a dollar: 99. What they brought buys nothing more."""
    done = run({"AAA": [QUIET] * 3, "BBB": [QUIET] * 3}, (0, Order("AAA", shares=-120)), (1, Order("BBB", shares=10)))
    assert filled(done) == [(1, -99, 99.98, "order")]
    assert refused(done) == [("AAA", 1, "no cash"), ("BBB", 2, "no cash")]


def test_a_short_sale_by_value_needs_the_same_margin():
    """10,000 would be brought by 100 shares at 99.98, and 100 shares are worth 10,000, but a dollar is paid as well."""
    done = run({"AAA": [QUIET] * 2}, (0, Order("AAA", cash=-10_500)))
    assert filled(done) == [(1, -99, 99.98, "order")]


@pytest.mark.parametrize(
    ("close", "called"),
    [
        # 199 x 67 - 9,904.98 = 3,428.02: 25.7 % of 13,333.
        (67.0, False),
        # 199 x 66 - 9,904.98 = 3,229.02: 24.6 % of 13,134.
        (66.0, True),
    ],
)
def test_an_account_below_its_maintenance_margin_is_sold_at_the_next_open(close: float, called: bool):
    """At 60 x 0.9998 = 59.988."""
    bars = [QUIET, QUIET, (70, 71, close, close), (60, 80, 59, 80), QUIET]
    done = run({"AAA": bars}, (0, ALL_IN), (2, Order("AAA", shares=10)), (3, Order("AAA", shares=10)), limits=HALF_MARGIN)
    if called:
        assert filled(done)[1:] == [(3, -199, 59.988, "margin"), (4, 10, 100.02, "order")]
        assert refused(done) == [("AAA", 3, "margin")]
        assert done.equity["cash"][3] == pytest.approx(DEBT + 199 * 59.988 - 1, abs=CENT)
    else:
        assert "margin" not in [row[3] for row in filled(done)]


def test_a_margin_call_waits_for_a_bar():
    bars = [QUIET, QUIET, (70, 71, 60, 60), None, (50, 51, 49, 50, 0.0), (40, 41, 39, 40)]
    done = run({"AAA": bars}, (0, ALL_IN), limits=HALF_MARGIN)
    assert filled(done)[1:] == [(5, -199, 39.992, "margin")]


def test_a_short_squeezed_is_bought_back():
    """99 sold at 99.98; at a close of 165 the account is worth 10,000 + 99 x (99.98 - 165) - 1 = 3,562: 21.8 % of 16,335."""
    bars = [QUIET, QUIET, (150, 166, 149, 165), (170, 171, 169, 170)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=-99)))
    assert filled(done)[1:] == [(3, 99, 170.034, "margin")]
    assert done.equity["equity"][-1] == pytest.approx(10_000 + 99 * (99.98 - 170.034) - 2, abs=CENT)


def test_an_account_may_end_below_zero_and_then_buys_nothing():
    """Sold at 40 x 0.9998: 199 x 39.992 - 1 less the debt is -1,947.57; a weight of it would be a short sale."""
    bars = [QUIET, QUIET, (70, 71, 60, 60), (40, 41, 39, 40), QUIET, QUIET]
    later = [Order("AAA", shares=1), Order("AAA", weight=0.5), Order("AAA", equity=0.5), Order("AAA", cash=100)]
    done = run({"AAA": bars}, (0, ALL_IN), *((3, order) for order in later), limits=HALF_MARGIN)
    assert done.equity["equity"][3:].to_list() == pytest.approx([DEBT + 199 * 39.992 - 1] * 3, abs=CENT)
    assert done.equity["equity"][3] < 0
    assert len(filled(done)) == 2
    assert {row[2] for row in refused(done)} <= {"margin", "no cash"}
    assert len(refused(done)) == 4


def test_interest_on_cash_and_on_debt_by_calendar_days():
    """10,000 x 3.6 % / 360 = 1.00 a day, three of them over the week-end; simple within a gap, compounded between sessions."""
    idle = run({"AAA": [QUIET] * 5}, limits=Limits(credit_rate=0.036))
    assert idle.equity["carry"].to_list() == pytest.approx([0, 1, 2.0001, 3.00030001, 3.00030001 + 3 * 1.000300030001], abs=CENT)
    owing = run({"AAA": [QUIET] * 5}, (0, ALL_IN), limits=Limits(initial_margin=0.5, credit_rate=0.036, debit_rate=0.072))
    assert owing.equity["carry"][1:3].to_list() == pytest.approx([1, 1 + (DEBT + 1) * 0.0002], abs=CENT)


def test_what_short_sales_brought_earns_nothing():
    """Cash after the sale is 10,000 + 50 x 99.98 - 1 = 14,998; 5,000 of it stand for the shares owed."""
    done = run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=-50)), limits=Limits(credit_rate=0.036))
    assert done.equity["carry"].diff()[2] == pytest.approx((14_999 + 1 - 5_000 - 1) * 0.0001, abs=CENT)


def test_an_account_that_opens_later_has_earned_nothing_before():
    tape = tape_of({"AAA": [QUIET] * 5, "BBB": [QUIET] * 5})
    starts = {"AAA": DAYS[0], "BBB": DAYS[4]}
    done = engine.run(tape, orders_of(), by_name=True, costs=FREE, limits=Limits(credit_rate=0.036), starts=starts)
    assert done.equity.filter(account="BBB").select("session", "equity", "carry").rows() == [(DAYS[4], 10_000.0, 0.0)]


def test_a_name_is_sold_at_the_close_of_its_last_session_and_its_orders_end():
    bars = [QUIET, QUIET, (90, 91, 79, 80), QUIET, QUIET]
    working, late = Order("AAA", shares=5, limit=70, lasts=0), Order("AAA", shares=10, lasts=0)
    done = run({"AAA": bars}, (0, Order("AAA", shares=50)), (1, working), (2, late), gone={"AAA": 2})
    assert filled(done) == [(1, 50, 100.02, "order"), (2, -50, 79.984, "delisted")]
    assert refused(done) == [("AAA", 2, "delisted"), ("AAA", 3, "delisted")]


def test_a_delisting_after_the_tape_has_not_happened_yet():
    assert filled(run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=50)), gone={"AAA": 10})) == [(1, 50, 100.02, "order")]


def test_a_half_day_is_a_day():
    """23 November 2012 closed at 13:00: it counts among the sessions held, fills at its open, and its interest is by the calendar."""
    days = sessions(Window(dt.date(2012, 11, 21), dt.date(2012, 11, 28)))
    assert days[1] == dt.date(2012, 11, 23)
    bars = bars_of({"AAA": [QUIET] * 4}).with_columns(session=pl.Series(days[:4]))
    orders = table_of([(days[0], Order("AAA", shares=50, exit_after=1))])
    done = engine.run(Tape.of(bars), orders, costs=PLAIN, limits=Limits(credit_rate=0.036))
    assert done.fills["session"].to_list() == [days[1], days[2]]
    assert done.trades["sessions_held"].to_list() == [1]
    assert done.equity["carry"][1] == pytest.approx(2, abs=CENT)


def test_fractions_of_shares():
    """(1,000 - 1) / 100.02 shares leave 9,000.00; half of the account is then bought exactly, counted at the close of 100."""
    fractions = Limits(whole_shares=False)
    done = run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", cash=1_000)), limits=fractions)
    assert done.fills["shares"][0] == pytest.approx(999 / 100.02, abs=1e-9)
    assert done.equity["cash"][-1] == pytest.approx(9_000, abs=CENT)
    assert run({"AAA": [QUIET, QUIET]}, (0, Order("AAA", weight=1 / 3)), limits=fractions).fills["shares"][0] == pytest.approx(100 / 3)


def test_all_that_a_us_broker_passes_on_to_the_cent():
    """1,000 bought at an open of 50 with 100,000 a day traded: 1 %, 2.1 bp x 1.5 at the open.
    Bought at 50 x (1 + 0.0002 + 0.000315) = 50.02575; $5 commission, $3 exchange.
    Sold at 50 x (1 - 0.000515) = 49.97425; $5 + $3, SEC 50,000 x 27.80 / 1,000,000 = 1.39, TAF 0.166.
    """
    bars = [(50, 51, 49, 50, 1e5)] * 3
    done = run({"AAA": bars}, (0, Order("AAA", shares=1_000, exit_after=1)), costs=US_STOCKS, cash=100_000)
    assert filled(done) == [(1, 1_000, 50.02575, "order"), (2, -1_000, 49.97425, "time")]
    assert done.trades.select("commission", "fees", "spread_cost", "impact_cost").row(0) == pytest.approx((10, 7.556, 20, 31.5), abs=CENT)
    assert done.trades["pnl"][0] == pytest.approx(-(10 + 7.556 + 20 + 31.5), abs=CENT)
    assert done.equity["costs"][-1] == pytest.approx(69.056, abs=CENT)
