"""Hand-computed trades, to the cent.

Unless a test says otherwise: decided at the close of day 0 with ATR 2, filled on day 1 at 100 x 1.0002 = 100.02. 99 shares cost
9,901.98 and 1.00 commission, 97.02 is left; the stop is 100.02 - 4 = 96.02.
"""

from __future__ import annotations

import pytest

from quant_assets.backtest.default_trade import DEFAULT_TRADE, HELD_FOR_EVER, Simulation, Terms, simulate
from quant_assets_tests.backtest.market import DAYS, QUIET, Row, decisions, prices

CENT = 1e-6  # sums of a handful of float products around 10,000: far below a cent, far above rounding


def run(
    bars: list[Row | None],
    *,
    decided: tuple[int, ...] = (0,),
    atr: float = 2.0,
    terms: Terms = DEFAULT_TRADE,
    cash: float = 10_000.0,
) -> Simulation:
    chosen = decisions(*((day, "AAA", 0.7, atr, 1) for day in decided))
    return simulate(prices({"AAA": bars}), chosen, terms=terms, start=DAYS[0], as_of=DAYS[len(bars) - 1], cash=cash)


def only_trade(result: Simulation) -> dict:
    assert result.trades.height == 1
    return result.trades.row(0, named=True)


def cash_at_end(result: Simulation) -> float:
    return result.equity["cash"][-1]


def test_time_exit_at_the_open_of_t_plus_4():
    result = run([QUIET, (100, 102, 99, 101), QUIET, QUIET, (110, 200, 1, 50)])
    trade = only_trade(result)
    assert (trade["decided"], trade["entered"], trade["session"]) == (DAYS[0], DAYS[1], DAYS[4])
    assert (trade["exit_reason"], trade["entry_shares"], trade["exit_shares"]) == ("time", 99, 99)
    assert trade["entry_price"] == pytest.approx(100.02, abs=CENT)
    assert trade["exit_price"] == pytest.approx(109.978, abs=CENT)
    assert trade["stop_price"] == pytest.approx(96.02, abs=CENT)
    assert trade["commission"] == pytest.approx(2.00, abs=CENT)
    assert trade["spread_cost"] == pytest.approx(99 * 0.02 + 99 * 0.022, abs=CENT)
    assert trade["dividends"] == 0
    assert trade["pnl"] == pytest.approx(10_887.822 - 1 - 9_902.98, abs=CENT)
    assert trade["ret"] == pytest.approx(983.842 / 9_902.98, abs=1e-9)
    assert result.equity["equity"].to_list() == pytest.approx([10_000, 10_096.02, 9_997.02, 9_997.02, 10_983.842], abs=CENT)
    assert result.equity["position"].to_list() == pytest.approx([0, 9_999, 9_900, 9_900, 0], abs=CENT)
    assert result.equity["entries"].to_list() == [0, 1, 1, 1, 1]
    assert result.equity["costs"].to_list() == pytest.approx([0, 2.98, 2.98, 2.98, 6.158], abs=CENT)


def test_stop_within_the_bar_sells_at_the_stop_less_the_half_spread():
    result = run([QUIET, QUIET, (98, 99, 96, 97)])
    trade = only_trade(result)
    assert (trade["exit_reason"], trade["session"]) == ("stop", DAYS[2])
    assert trade["exit_price"] == pytest.approx(96.02 * 0.9998, abs=CENT)
    assert cash_at_end(result) == pytest.approx(9_600.098804, abs=CENT)


def test_low_above_the_stop_does_not_sell():
    assert run([QUIET, QUIET, (98, 99, 96.03, 97)]).trades.is_empty()


def test_gap_below_the_stop_sells_at_the_open():
    result = run([QUIET, QUIET, (90, 120, 80, 119)])
    assert only_trade(result)["exit_reason"] == "gap"
    assert cash_at_end(result) == pytest.approx(97.02 + 99 * 89.982 - 1, abs=CENT)


def test_stop_is_live_on_the_entry_bar():
    result = run([QUIET, (100, 101, 95, 100)])
    trade = only_trade(result)
    assert (trade["exit_reason"], trade["entered"], trade["session"]) == ("stop", DAYS[1], DAYS[1])
    assert cash_at_end(result) == pytest.approx(9_600.098804, abs=CENT)


@pytest.mark.parametrize("last_open", [97.0, 90.0])
def test_the_exit_at_the_open_precedes_that_bars_stop_and_gap(last_open: float):
    result = run([QUIET, QUIET, QUIET, QUIET, (last_open, 120, 50, 60)])
    assert only_trade(result)["exit_reason"] == "time"
    assert cash_at_end(result) == pytest.approx(97.02 + 99 * last_open * 0.9998 - 1, abs=CENT)


def test_a_stop_the_half_spread_put_above_the_open_sells_at_the_open():
    result = run([QUIET, QUIET], atr=0.0)
    trade = only_trade(result)
    assert trade["stop_price"] == pytest.approx(100.02, abs=CENT)
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", pytest.approx(99.98, abs=CENT))


def test_signals_while_holding_are_ignored_up_to_the_close_before_the_exit():
    result = run([QUIET] * 10, decided=(0, 1, 2, 3, 4))
    assert result.trades["decided"].to_list() == [DAYS[0], DAYS[4]]
    assert result.trades["entered"].to_list() == [DAYS[1], DAYS[5]]
    assert result.trades["session"].to_list() == [DAYS[4], DAYS[8]]
    assert run([QUIET] * 10, decided=(0, 3)).trades.height == 1


def test_a_signal_at_the_close_of_a_stopped_bar_counts():
    stopped = (98.0, 99.0, 96.0, 97.0)
    result = run([QUIET, QUIET, stopped, QUIET, QUIET, QUIET, QUIET], decided=(0, 1, 2))
    assert result.trades["entered"].to_list() == [DAYS[1], DAYS[3]]


def test_a_second_trade_compounds():
    result = run([QUIET, QUIET, QUIET, QUIET, (110, 110, 110, 110), QUIET, *[QUIET] * 3], decided=(0, 4))
    # 10,983.842 buys floor((10,983.842 - 1) / 100.02) = 109 shares and 109 x 0.005 is still below the minimum.
    assert result.trades["entry_shares"].to_list() == [99, 109]
    assert cash_at_end(result) == pytest.approx(10_983.842 - 109 * 100.02 - 1 + 109 * 99.98 - 1, abs=CENT)


def test_commission_by_the_share_above_its_minimum():
    ten = (10.0, 10.1, 9.9, 10.0)
    result = run([ten, ten, ten, ten, (11, 11, 11, 11)], atr=0.5)
    trade = only_trade(result)
    # floor(10,000 / (10.002 + 0.005)) = 999 shares, 4.995 commission a side.
    assert trade["entry_shares"] == 999
    assert trade["commission"] == pytest.approx(9.99, abs=CENT)
    assert result.equity["cash"][1] == pytest.approx(3.007, abs=CENT)
    assert cash_at_end(result) == pytest.approx(10_984.8142, abs=CENT)


def test_split_and_dividend_while_held():
    halved = (50.0, 51.0, 48.5, 50.0)
    # 2 for 1 and 0.50 a new share on day 2: 198 shares, 99.00 cash, and a stop of 48.01 that a low of 48.50 does not touch.
    result = run([QUIET, QUIET, (*halved, 2.0, 0.5), halved, (52, 53, 51, 52)])
    trade = only_trade(result)
    assert (trade["entry_shares"], trade["exit_shares"], trade["exit_reason"]) == (99, 198, "time")
    assert trade["dividends"] == pytest.approx(99.0, abs=CENT)
    assert trade["stop_price"] == pytest.approx(96.02, abs=CENT)
    assert result.equity["equity"][2] == pytest.approx(97.02 + 99 + 198 * 50, abs=CENT)
    assert cash_at_end(result) == pytest.approx(97.02 + 99 + 198 * 51.9896 - 1, abs=CENT)
    assert trade["pnl"] == pytest.approx(cash_at_end(result) - 10_000, abs=CENT)


def test_the_stop_follows_the_split():
    result = run([QUIET, QUIET, (50, 51, 48, 50, 2.0)])
    assert only_trade(result)["exit_price"] == pytest.approx(48.01 * 0.9998, abs=CENT)


def test_a_fraction_of_a_share_from_a_split_is_sold_with_the_rest():
    result = run([QUIET, QUIET, (66, 67, 65, 66, 1.5), (66, 67, 65, 66), (66, 67, 65, 66)])
    assert only_trade(result)["exit_shares"] == 148.5
    assert cash_at_end(result) == pytest.approx(97.02 + 148.5 * 66 * 0.9998 - 1, abs=CENT)


def test_a_split_at_the_entry_open_rescales_the_atr_and_the_ex_dividend_is_not_received():
    old = (200.0, 202.0, 198.0, 200.0)
    result = run([old, (100, 101, 97, 100, 2.0, 0.5), QUIET, QUIET, QUIET], atr=4.0)
    trade = only_trade(result)
    assert trade["stop_price"] == pytest.approx(96.02, abs=CENT)
    assert (trade["entry_shares"], trade["exit_shares"], trade["dividends"]) == (99, 99, 0)


def test_an_ex_dividend_on_the_day_of_the_exit_is_received():
    assert only_trade(run([QUIET, QUIET, QUIET, QUIET, (*QUIET, 1.0, 0.5)]))["dividends"] == pytest.approx(49.5, abs=CENT)


@pytest.mark.parametrize("next_bar", [None, (100.0, None, 99.0, 100.0)])
def test_no_complete_bar_at_t_plus_1_drops_the_order(next_bar: Row | None):
    result = run([QUIET, next_bar, QUIET, QUIET, QUIET])
    assert result.trades.is_empty()
    assert result.equity["equity"].to_list() == [10_000.0] * 5


def test_no_bar_at_t_plus_4_sells_at_the_next_open_and_values_at_the_last_close():
    result = run([QUIET, QUIET, QUIET, (100, 104, 99, 103), None, (105, 106, 60, 61)])
    trade = only_trade(result)
    assert (trade["session"], trade["exit_reason"]) == (DAYS[5], "time")
    assert result.equity["equity"][4] == pytest.approx(97.02 + 99 * 103, abs=CENT)
    assert cash_at_end(result) == pytest.approx(97.02 + 99 * 104.979 - 1, abs=CENT)


def test_an_incomplete_bar_values_a_position_but_fills_nothing():
    result = run([QUIET, QUIET, (90, None, 80, 104), QUIET, QUIET])
    assert only_trade(result)["exit_reason"] == "time"
    assert result.equity["equity"][2] == pytest.approx(97.02 + 99 * 104, abs=CENT)


def test_a_position_open_at_the_end_is_in_the_equity_only():
    result = run([QUIET, QUIET, (100, 104, 99, 103)])
    assert result.trades.is_empty()
    day, equity, cash, position, entries, exits, costs = result.equity.row(2)
    assert (day, entries, exits) == (DAYS[2], 1, 0)
    assert (equity, cash, position, costs) == pytest.approx((97.02 + 99 * 103, 97.02, 99 * 103, 2.98), abs=CENT)


@pytest.mark.parametrize(("cash", "n_trades"), [(101.03, 1), (101.01, 0)])
def test_without_cash_for_a_share_and_its_commission_there_is_no_trade(cash: float, n_trades: int):
    result = run([QUIET] * 5, cash=cash)
    assert result.trades.height == n_trades
    if n_trades == 0:
        assert result.equity["equity"].to_list() == [cash] * 5
        assert result.equity.select("entries", "costs").unique().rows() == [(0, 0.0)]


def test_buy_and_hold_waits_for_its_first_bar_and_never_sells():
    result = run([QUIET, None, QUIET, (1, 1, 1, 1), QUIET, QUIET, QUIET], terms=HELD_FOR_EVER)
    assert result.trades.is_empty()
    assert result.equity["position"].to_list() == pytest.approx([0, 0, 9_900, 99, 9_900, 9_900, 9_900])


def two_names(*chosen: tuple[int, str, float, float, int], n_bars: int = 9) -> Simulation:
    fifty = (50.0, 50.5, 49.5, 50.0)
    bars = prices({"AAA": [QUIET] * n_bars, "BBB": [fifty] * n_bars})
    return simulate(bars, decisions(*chosen), terms=DEFAULT_TRADE, start=DAYS[0], as_of=DAYS[n_bars - 1])


def test_each_entry_of_a_portfolio_gets_its_part_of_the_equity():
    result = two_names((0, "AAA", 0.7, 2, 2), (0, "BBB", 0.8, 1, 2))
    shares = dict(result.trades.select("ticker", "entry_shares").iter_rows())
    assert shares == {"AAA": 49, "BBB": 99}  # floor(4,999 / 100.02), floor(4,999 / 50.01)
    assert result.equity["cash"][1] == pytest.approx(10_000 - 49 * 100.02 - 1 - 99 * 50.01 - 1, abs=CENT)


@pytest.mark.parametrize(
    ("score_a", "score_b", "shares"),
    [
        (0.7, 0.9, {"BBB": 199}),  # 9,952.99 spent, 47.01 left
        (0.9, 0.7, {"AAA": 99, "BBB": 1}),  # 97.02 left
        (0.8, 0.8, {"AAA": 99, "BBB": 1}),
    ],
)
def test_cash_goes_to_the_highest_score_then_to_the_first_name(score_a: float, score_b: float, shares: dict[str, int]):
    result = two_names((0, "BBB", score_b, 1, 1), (0, "AAA", score_a, 2, 1))
    assert dict(result.trades.select("ticker", "entry_shares").iter_rows()) == shares


def test_an_exit_pays_for_an_entry_at_the_same_open():
    result = two_names((0, "AAA", 0.7, 2, 1), (3, "BBB", 0.7, 1, 1))
    assert result.trades["entered"].to_list() == [DAYS[1], DAYS[4]]
    # 97.02 + 99 x 99.98 - 1 = 9,994.04 buys floor(9,993.04 / 50.01) shares.
    assert result.trades["entry_shares"].to_list() == [99, 199]
