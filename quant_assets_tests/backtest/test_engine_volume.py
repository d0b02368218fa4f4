"""What the volume allows: participation, bars that fill nothing, impact of what was never traded. Computed by hand, without costs
where nothing else is said."""

from __future__ import annotations

import math

import pytest

from quant_assets.backtest.costs import US_STOCKS
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order
from quant_assets_tests.backtest.tapes import FREE, QUIET, filled, refused, run

TENTH = Limits(participation=0.1)
THIN = (100.0, 101.0, 99.0, 100.0, 200.0)
"""20 shares a bar, for who takes a tenth."""
CALM = Order("AAA", shares=50, exit_after=2)


def test_an_order_fills_over_three_bars_at_their_opens():
    bars = [QUIET, THIN, (102, 103, 101, 102, 200), (104, 105, 103, 104, 209)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, lasts=3)), costs=FREE, limits=TENTH)
    assert filled(done) == [(1, 20, 100, "order"), (2, 20, 102, "order"), (3, 10, 104, "order")]
    assert refused(done) == []
    assert done.equity["entries"].to_list() == [0, 1, 1, 1]


def test_what_is_left_when_it_expires_is_refused():
    done = run({"AAA": [QUIET, *[THIN] * 3]}, (0, Order("AAA", shares=50, lasts=2)), costs=FREE, limits=TENTH)
    assert [row[1] for row in filled(done)] == [20, 20]
    assert refused(done) == [("AAA", 2, "expired")]


def test_the_stop_of_an_order_in_parts_is_measured_from_its_first_fill():
    """95 from the first 100, though the second part was bought at 104."""
    bars = [QUIET, THIN, (104, 105, 103, 104, 200), (98, 99, 94, 96)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=40, stop_loss=5, lasts=2)), costs=FREE, limits=TENTH)
    assert filled(done)[-1] == (3, -40, 95, "stop")


def test_an_exit_goes_on_at_the_next_opens_and_is_one_trade():
    bars = [QUIET, QUIET, QUIET, THIN, (90, 91, 89, 90, 200), (80, 81, 79, 80, 200)]
    done = run({"AAA": bars}, (0, CALM), costs=FREE, limits=TENTH)
    assert filled(done)[1:] == [(3, -20, 100, "time"), (4, -20, 90, "time"), (5, -10, 80, "time")]
    [trade] = done.trades.iter_rows(named=True)
    assert trade["exit_price"] == pytest.approx((2_000 + 1_800 + 800) / 50)
    assert trade["pnl"] == pytest.approx(4_600 - 5_000)


def test_a_stop_that_the_volume_cuts_short_sells_the_rest_at_the_next_open():
    bars = [QUIET, QUIET, (100, 101, 94, 100, 200), (103, 104, 102, 103)]
    done = run({"AAA": bars}, (0, Order("AAA", shares=50, stop_loss=5)), costs=FREE, limits=TENTH)
    assert filled(done)[1:] == [(2, -20, 95, "stop"), (3, -30, 103, "stop")]


@pytest.mark.parametrize("order", [Order("AAA", shares=50, stop=102, lasts=3), Order("AAA", shares=50, trail=2, lasts=3)])
def test_a_stop_order_is_at_the_market_from_its_price_on(order: Order):
    """20 at 102, where it is reached; the rest at the next open of 99, which would not have reached it."""
    bars = [QUIET, (100, 103, 100, 101, 200), (99, 100, 98, 99)]
    done = run({"AAA": bars}, (0, order), costs=FREE, limits=TENTH)
    assert filled(done) == [(1, 20, 102, "order"), (2, 30, 99, "order")]


def test_what_was_filled_before_a_split_counts_in_new_shares():
    """20 of 50, then 2:1: 60 are left."""
    done = run({"AAA": [QUIET, THIN, (50, 51, 49, 50, 1e6, 2.0)]}, (0, Order("AAA", shares=50, lasts=2)), costs=FREE, limits=TENTH)
    assert filled(done) == [(1, 20, 100, "order"), (2, 60, 50, "order")]


def test_orders_share_the_volume_of_a_bar():
    three = [(0, Order("AAA", shares=shares, priority=-shares)) for shares in (7, 8, 9)]
    done = run({"AAA": [QUIET, THIN]}, *three, costs=FREE, limits=TENTH)
    assert [row[1] for row in filled(done)] == [7, 8, 5]
    assert refused(done) == [("AAA", 1, "expired")]


def test_what_was_bought_in_a_bar_takes_volume_from_its_stop():
    done = run({"AAA": [QUIET, (100, 101, 94, 96, 200), QUIET]}, (0, Order("AAA", shares=15, stop_loss=5)), costs=FREE, limits=TENTH)
    assert filled(done) == [(1, 15, 100, "order"), (1, -5, 95, "stop"), (2, -10, 100, "stop")]


@pytest.mark.parametrize(
    ("second", "shares"),
    [
        # 3,000 less the 2,000 spent: 12 at 80, 8 at 120; never a share more, and never one back.
        ((80, 81, 79, 80, 1e6), [20, 12]),
        ((120, 121, 119, 120, 1e6), [20, 8]),
        ((180, 181, 179, 180, 1e6), [20, 5]),
    ],
)
def test_a_budget_in_parts_is_what_was_spent_not_what_it_is_worth_now(second: tuple, shares: list[int]):
    done = run({"AAA": [QUIET, THIN, second]}, (0, Order("AAA", cash=3_000, lasts=3)), costs=FREE, limits=TENTH)
    assert [row[1] for row in filled(done)] == shares
    assert done.equity["cash"].min() >= 7_000


def test_an_order_to_buy_never_sells_when_its_fraction_of_the_account_has_shrunk():
    """Half of 10,000 in parts of 4,000: at a close of 60 the account is worth 8,400, and 4,200 less 4,000 buy 3 at 60. At 20 it is worth
    6,800: 3,400 are spent already.
    """
    for price, bought in ((60.0, [40, 3]), (20.0, [40])):
        falling = [QUIET, (100, 101, price, price, 400), (price, price, price, price, 400)]
        done = run({"AAA": falling}, (0, Order("AAA", equity=0.5, lasts=2)), costs=FREE, limits=TENTH)
        assert [row[1] for row in filled(done)] == bought


def test_a_bar_without_volume_or_without_all_prices_fills_nothing_and_moves_no_stop():
    """The stop of 95 is gapped over by three bars that are none; the next one opens below it. Its own order finds none either."""
    none = [(90, 91, 80, 85, 0.0), None, (90, None, 80, 85)]
    bars = [QUIET, QUIET, *none, (92, 93, 91, 92)]
    done = run({"AAA": bars, "BBB": [QUIET] * 6}, (0, Order("AAA", shares=50, stop_loss=5)), (1, Order("AAA", shares=1)), costs=FREE)
    assert filled(done) == [(1, 50, 100, "order"), (5, -50, 92, "gap")]
    assert refused(done) == [("AAA", 2, "no bar")]
    # The value at a close that is there, or the last one.
    assert done.equity["position"].to_list() == [0, 5_000, 4_250, 4_250, 4_250, 0]


def test_a_trailing_stop_does_not_follow_a_bar_that_did_not_trade():
    """From the entry bar's high of 101 the stop is at 96, not at 125."""
    bars = [QUIET, QUIET, (120, 130, 119, 125, 0.0), (100, 101, 96.5, 100)]
    assert len(filled(run({"AAA": bars}, (0, Order("AAA", shares=50, trailing_stop=5)), costs=FREE))) == 1


def test_a_time_exit_waits_for_a_bar():
    done = run({"AAA": [QUIET, QUIET, QUIET, None, (97, 98, 96, 97)]}, (0, CALM), costs=FREE)
    assert filled(done)[1:] == [(4, -50, 97, "time")]


def test_a_volume_that_is_not_known_lets_nobody_take_a_share_of_it():
    bars = [QUIET, (*QUIET, math.nan), QUIET, (*QUIET, math.nan), QUIET]
    told = [None if bar is None else tuple(None if value != value else value for value in bar) for bar in bars]
    done = run({"AAA": told}, (0, Order("AAA", shares=50, lasts=2, exit_after=1)), costs=FREE, limits=TENTH)
    assert [row[:2] for row in filled(done)] == [(2, 50), (4, -50)]
    unlimited = run({"AAA": told}, (0, Order("AAA", shares=50, exit_after=1)), costs=FREE)
    assert [row[:2] for row in filled(unlimited)] == [(1, 50), (2, -50)]


@pytest.mark.parametrize("order", [Order("AAA", shares=50), Order("AAA", shares=50, limit=101), Order("AAA", cash=5_000)])
def test_nothing_is_opened_whose_impact_is_not_known(order: Order):
    """Neither on terms, since a stop may have to leave at the market."""
    unknown = (*QUIET, None)
    done = run({"AAA": [unknown] * 3, "BBB": [QUIET] * 3}, (0, order), costs=US_STOCKS)
    assert (filled(done), refused(done)) == ([], [("AAA", 1, "no volume known")])


def test_who_was_locked_in_for_a_month_leaves_at_the_impact_of_the_volume_before():
    """25 sessions without a trade: the last average known, 1,000,000, is what 50 shares are measured by."""
    bars = [*[QUIET] * 3, *[(*QUIET, 0.0)] * 25, QUIET, QUIET]
    done = run({"AAA": bars}, (1, Order("AAA", shares=50, exit_after=3)), costs=US_STOCKS)
    assert filled(done)[1][:2] == (28, -50)
    assert done.fills["impact_cost"][1] == pytest.approx(5_000 * (2 + 0.1 * 0.005) * 1.5 * 1e-4)
    assert math.isfinite(done.equity["equity"][-1])


def test_what_the_volume_left_of_an_entry_is_over_once_its_position_is_being_left():
    """20 of 100 shares on day 1 and 40 on day 2, in whose bar the stop at 95 is hit with no volume left: 20 go at each open after it."""
    fall = (100.0, 101.0, 90.0, 91.0, 400.0)
    order = Order("AAA", shares=100, lasts=0, stop_loss=5.0)
    done = run({"AAA": [QUIET, THIN, fall, *[THIN] * 4]}, (0, order), costs=FREE, limits=TENTH)
    assert filled(done) == [(1, 20, 100, "order"), (2, 40, 100, "order"), *[(day, -20, 100, "stop") for day in (3, 4, 5)]]
    assert refused(done) == [("AAA", 2, "its position was left")]


def test_what_is_still_at_work_when_the_bars_end_is_told():
    done = run({"AAA": [QUIET] * 3}, (0, Order("AAA", shares=5, limit=50.0, lasts=0)), (2, Order("AAA", shares=7)), costs=FREE)
    assert (filled(done), refused(done)) == ([], [("AAA", 2, "the bars end"), ("AAA", 2, "the bars end")])
