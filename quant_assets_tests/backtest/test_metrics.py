"""Figures of an account, against published numbers and by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from quant_assets.backtest.metrics import METRICS, measure, performance, sharpe_ratio
from quant_assets.backtest.ratios import omega, trials_of
from quant_assets.backtest.run import backtest
from quant_assets.backtest.track import Track
from quant_assets.validation.sharpe import SharpeEstimate, Trials, deflated_sharpe, minimum_track_record, probabilistic_sharpe
from quant_assets_tests.backtest.market import DAYS, QUIET, column, prices
from quant_assets_tests.backtest.records import NO_TRADES, equity, journal, published, trade


def account(
    wealth: list[float],
    *,
    position: list[float] | None = None,
    entries: list[int] | None = None,
    costs: list[float] | None = None,
    start: dt.date = DAYS[0],
) -> pl.DataFrame:
    """Invested from the second row on, by one entry, unless told otherwise."""
    position = position or [0.0, *wealth[1:]]
    return pl.DataFrame(
        {
            "strategy": "threshold",
            "account": "ticker",
            "ticker": "AAA",
            "session": pl.date_range(start, start + dt.timedelta(days=len(wealth) - 1), eager=True),
            "equity": wealth,
            "cash": [worth - held for worth, held in zip(wealth, position, strict=True)],
            "position": position,
            "entries": entries or [0, *[1] * (len(wealth) - 1)],
            "costs": costs or [0.0, *[3.0] * (len(wealth) - 1)],
        }
    )


def closed(*pnl: float, day: int = 1) -> pl.DataFrame:
    """Trades of these profits, all closed on DAYS[day]."""
    return journal(*(trade(value, entered=day, held=0) for value in pnl))


def case(shared: Path, name: str) -> dict[str, Any]:
    return next(found for found in json.loads((shared / "reference/09_performance.json").read_text())["cases"] if found["id"] == name)


PUBLISHED = {
    "total_return": "total_return",
    "sharpe": "sharpe",
    "sortino": "sortino",
    "max_drawdown": "max_drawdown",
    "omega": "omega_0.0",
    "var_95": "var_hist_0.05",
    "tail_ratio": "tail_ratio",
    "ulcer_index": "ulcer_index",
    "excess_kurtosis": "kurt_excess_biased",
    "up_capture": "up_capture",
    "down_capture": "down_capture",
    "gain_to_pain": "gain_to_pain",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures(shared: Path, name: str):
    expected = case(shared, PUBLISHED[name])
    assert METRICS[name].of(published(shared)) == pytest.approx(expected["expected"]["value"], abs=expected["tolerance"]["abs"])


def test_cagr_counts_calendar_days_as_ffn_does(shared: Path):
    expected = case(shared, "calmar")
    assert METRICS["calmar"].of(published(shared)) == pytest.approx(
        expected["expected"]["differing_libraries"]["ffn"], abs=expected["tolerance"]["abs"]
    )


def test_alpha_is_arithmetic_where_the_published_one_compounds(shared: Path):
    expected = case(shared, "alpha_ann_geometric")
    daily = METRICS["alpha"].of(published(shared)) / 252
    assert (1 + daily) ** 252 - 1 == pytest.approx(expected["expected"]["value"], abs=expected["tolerance"]["abs"])


def test_omega_at_another_threshold(shared: Path):
    expected = case(shared, "omega_0.0005")
    assert omega(published(shared).returns, 0.0005) == pytest.approx(expected["expected"]["value"], abs=expected["tolerance"]["abs"])


def test_drawdown_lengths(shared: Path):
    expected = case(shared, "drawdown_dates")["expected"]
    found = measure(published(shared))
    assert found["longest_drawdown"] == expected["longest_underwater_periods"]
    assert found["drawdown_fall"] == expected["peak_to_trough_periods"]
    assert found["under_water"] == expected["n_underwater"] / 251
    assert found["drawdown_recovery"] is None


def test_the_catalogue_defines_what_it_measures(shared: Path):
    assert len(METRICS) >= 40
    assert {metric.unit for metric in METRICS.values()} == {"fraction", "-", "USD", "sessions", "trades"}
    for metric in METRICS.values():
        assert metric.definition.endswith(".")
    assert len({metric.name for metric in METRICS.values()}) == len(METRICS)
    assert list(measure(published(shared))) == list(METRICS)


NOTHING_HAPPENED = {
    "one session": Track.of(equity([100.0]), NO_TRADES, pl.DataFrame({"session": DAYS[:1], "wealth": [1.0]})),
    "two sessions": Track.of(equity([100.0, 101.0]), NO_TRADES, pl.DataFrame({"session": DAYS[:2], "wealth": [1.0, 2.0]})),
    "never invested": Track.of(equity([100.0] * 9, position=[0.0] * 9), NO_TRADES),
    "only rises": Track.of(equity([100.0 * 1.01**n for n in range(9)]), journal(trade(5.0))),
    "ruined": Track.of(equity([100.0, 50.0, -20.0]), journal(trade(-120.0))),
}


@pytest.mark.parametrize("name", NOTHING_HAPPENED)
def test_a_figure_is_a_finite_number_or_nothing_with_a_reason(name: str):
    for key, value in measure(NOTHING_HAPPENED[name]).items():
        assert METRICS[key].missing if value is None else math.isfinite(value), key


def test_what_is_undefined_is_not_made_up():
    alone = measure(NOTHING_HAPPENED["one session"])
    assert {key for key, value in alone.items() if value is not None} == {
        *("total_return", "max_drawdown", "longest_drawdown", "n_trades", "n_entries", "exposure", "time_in_market", "total_costs")
    }
    rising = measure(NOTHING_HAPPENED["only rises"])
    assert (rising["volatility_annual"], rising["max_drawdown"]) == (pytest.approx(0, abs=1e-12), 0.0)
    undefined = ("sharpe", "sortino", "calmar", "omega", "average_drawdown", "probabilistic_sharpe", "skew", "profit_factor", "beta")
    assert [rising[name] for name in undefined] == [None] * len(undefined)
    ruined = measure(NOTHING_HAPPENED["ruined"])
    assert (ruined["total_return"], ruined["cagr"], ruined["exposure"]) == (pytest.approx(-1.2), None, pytest.approx(0.5))


def test_trade_figures_by_hand():
    # In the order of exits; the two that end on one day go by ticker.
    trades = journal(
        trade(30.0, entered=1, held=1),
        trade(-10.0, entered=1, held=2, ticker="BBB"),
        trade(-5.0, entered=2, held=1, ticker="AAA"),
        trade(0.0, entered=3, held=3),
        trade(-20.0, entered=7, held=0),
        trade(15.0, entered=8, held=5),
    )
    found = measure(Track.of(equity([10_000.0] * 20), trades))
    assert found["win_rate"] == 2 / 6
    assert found["profit_factor"] == 45 / 35
    assert found["expectancy"] == pytest.approx(10 / 6)
    assert (found["average_win"], found["average_loss"]) == (22.5, pytest.approx(-35 / 3))
    assert found["payoff"] == pytest.approx(22.5 / (35 / 3))
    assert found["longest_losing_streak"] == 2
    assert found["average_sessions_held"] == 2.0


def test_costs_and_turnover_by_hand():
    costs = {"commission": 2.0, "fees": 0.5, "spread_cost": 1.0, "impact_cost": 0.25, "borrow": 0.25}
    rows = equity([10_000.0, 9_000.0, 11_000.0]).with_columns(costs=pl.Series([1.0, 4.0, 7.0]))
    found = measure(Track.of(rows, journal(trade(100.0, shares=10.0, price=100.0, **costs))))
    years = (DAYS[2] - DAYS[0]).days / 365.25
    assert found["turnover"] == pytest.approx((1_000 + 1_100) / 2 / 10_000 / years)
    assert found["costs_of_notional"] == pytest.approx(4.0 / 2_100)
    assert found["total_costs"] == 6.0
    assert found["cost_drag"] == pytest.approx(6.0 / 10_000 / years)


def test_benchmark_figures_are_those_of_a_regression(shared: Path):
    track = published(shared)
    found = measure(track)
    fitted = stats.linregress(track.benchmark_returns, track.returns)
    assert (found["beta"], found["correlation"]) == (pytest.approx(fitted.slope, rel=1e-10), pytest.approx(fitted.rvalue, rel=1e-10))
    assert found["alpha"] == pytest.approx(fitted.intercept * 252, rel=1e-10)
    active = track.returns - track.benchmark_returns
    assert found["tracking_error"] == pytest.approx(active.std(ddof=1) * math.sqrt(252))
    assert found["information_ratio"] == pytest.approx(active.mean() * 252 / found["tracking_error"])


def test_an_account_that_is_the_benchmark(shared: Path):
    track = published(shared)
    found = measure(dataclasses.replace(track, benchmark=track.wealth))
    for name, value in {
        "alpha": 0.0,
        "beta": 1.0,
        "correlation": 1.0,
        "tracking_error": 0.0,
        "up_capture": 1.0,
        "down_capture": 1.0,
    }.items():
        assert found[name] == pytest.approx(value, abs=1e-12)
    assert found["information_ratio"] is None


def test_belief_in_the_sharpe_ratio(shared: Path):
    track = published(shared)
    found = measure(track)
    estimate = SharpeEstimate(found["sharpe"] / math.sqrt(252), 251, found["skew"], found["excess_kurtosis"] + 3)
    assert found["probabilistic_sharpe"] == pytest.approx(probabilistic_sharpe(estimate))
    assert found["minimum_track_record"] == pytest.approx(minimum_track_record(estimate))
    assert found["sharpe_standard_error"] == pytest.approx(estimate.standard_error * math.sqrt(252))
    assert found["deflated_sharpe"] is None
    trials = Trials(100, 0.5 / 252)
    deflated = measure(track, trials)
    assert deflated["deflated_sharpe"] == pytest.approx(deflated_sharpe(estimate, trials))
    assert deflated | {"deflated_sharpe": None} == found


def test_sharpe_ratios_of_many_sets_are_those_of_each():
    draw = np.random.default_rng(1)
    returns = draw.normal(0.0005, 0.01, size=(5, 300))
    returns[3] = 0.001
    expected = [row.mean() / row.std(ddof=1) * math.sqrt(252) for row in returns]
    expected[3] = math.nan
    assert sharpe_ratio(returns) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert sharpe_ratio(returns.T, axis=0) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert float(sharpe_ratio(returns[0])) == pytest.approx(expected[0], rel=1e-12)


def test_returns_that_differ_by_rounding_alone_have_no_sharpe_ratio():
    wealth = 10_000 * 1.0003 ** np.arange(500)
    returns = wealth[1:] / wealth[:-1] - 1
    assert returns.std(ddof=1) > 0
    assert math.isnan(sharpe_ratio(returns))
    assert math.isnan(sharpe_ratio(returns[:1]))
    assert np.isnan(sharpe_ratio(np.empty((3, 0)))).tolist() == [True] * 3


def test_trials_count_what_never_traded_but_do_not_measure_it():
    returns = np.random.default_rng(2).normal(size=(4, 50))
    returns[2] = 0.0
    ratios = np.delete(returns, 2, axis=0)
    expected = (ratios.mean(axis=1) / ratios.std(axis=1, ddof=1)).var(ddof=1)
    found = trials_of(returns)
    assert (found.n, found.variance) == (4, pytest.approx(expected))
    assert trials_of(returns[2:3]) == Trials(1, 0.0)


def test_flat_days_count():
    found = performance(account([100.0, 100.0, 110.0, 110.0], position=[0, 0, 55, 0]), closed(10.0))
    returns = [0.0, 0.1, 0.0]
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert found.volatility_annual == pytest.approx(deviation * math.sqrt(252))
    assert found.sharpe == pytest.approx(mean / deviation * math.sqrt(252))
    assert found.cagr == pytest.approx(1.1 ** (365.25 / 3) - 1)
    assert found.exposure == pytest.approx(0.5 / 4)
    assert found.sentence is None


def test_the_starting_wealth_is_a_peak():
    assert performance(account([100.0, 80.0, 90.0]), NO_TRADES).max_drawdown == pytest.approx(-0.2)


def test_trade_figures():
    rows = account([100.0, 101.0, 99.0], position=[0, 50, 0], entries=[0, 3, 4], costs=[0.0, 15.0, 24.0])
    found = performance(rows, closed(3.0, -1.0, -0.5, 0.0))
    assert (found.n_trades, found.n_entries, found.win_rate, found.total_costs) == (4, 4, 0.25, 24.0)


def test_without_a_trade_no_figure_is_made_up():
    found = performance(account([10_000.0] * 5, position=[0.0] * 5, entries=[0] * 5, costs=[0.0] * 5), NO_TRADES)
    assert (found.n_trades, found.n_entries) == (0, 0)
    assert found.sentence == "No trades: nothing was bought from 2012-01-03 to 2012-01-07."
    figures = (found.total_return, found.cagr, found.volatility_annual, found.sharpe, found.max_drawdown, found.exposure)
    assert (*figures, found.win_rate, found.total_costs) == (None,) * 8


def test_an_open_position_is_an_entry_but_not_a_trade():
    found = performance(account([100.0, 99.0, 103.0]), NO_TRADES)
    assert (found.n_trades, found.n_entries, found.win_rate, found.total_costs) == (0, 1, None, 3.0)
    assert found.total_return == pytest.approx(0.03)
    assert found.sentence == "Positions are open at the end, valued at the close without the cost of selling."


def test_what_happened_before_the_first_row_does_not_count():
    rows = account([110.0, 121.0, 121.0], position=[110.0, 0.0, 0.0], entries=[7, 8, 8], costs=[20.0, 26.0, 26.0])
    found = performance(rows, pl.concat([closed(-5.0, -5.0, day=0), closed(11.0, day=1)]))
    assert (found.n_trades, found.n_entries, found.win_rate, found.total_costs) == (1, 1, 1.0, 6.0)
    assert found.total_return == pytest.approx(0.1)


def test_rows_after_the_last_exit_hold_no_trade():
    flat = account([110.0, 110.0], position=[0.0, 0.0], entries=[7, 7], costs=[20.0, 20.0])
    found = performance(flat, closed(10.0, day=0))
    assert (found.n_trades, found.n_entries, found.total_return) == (0, 0, None)


def test_a_position_carried_through_has_figures_without_an_entry():
    found = performance(account([110.0, 121.0], position=[110.0, 121.0], entries=[1, 1], costs=[3.0, 3.0]), NO_TRADES)
    assert (found.n_trades, found.n_entries, found.total_costs) == (0, 0, 0.0)
    assert found.total_return == pytest.approx(0.1)


def test_a_flat_line_has_no_sharpe():
    assert performance(account([100.0, 100.0, 100.0], position=[0.0, 100.0, 0.0]), closed(0.0)).sharpe is None


def test_one_session_has_neither_growth_nor_risk():
    found = performance(account([100.0], position=[50.0]), NO_TRADES)
    assert (found.cagr, found.volatility_annual, found.sharpe) == (None, None, None)


def test_buy_and_hold_of_a_backtest_is_one_entry_a_name():
    names = ("AAA", "BBB")
    tables = backtest(
        prices({name: [QUIET] * 4 for name in names}),
        column("score", {name: [0.5] * 4 for name in names}),
        column("atr_14", {name: [2.0] * 4 for name in names}),
        as_of=DAYS[3],
    )
    # 99 shares alone; 49 of each in the portfolio.
    for ticker, kind, n_entries, shares in (("AAA", "ticker", 1, 99), ("PORTFOLIO", "portfolio", 2, 98)):
        rows = tables.equity.filter(pl.col("strategy") == "buy_and_hold", pl.col("ticker") == ticker)
        found = performance(rows, tables.trades.filter(pl.col("strategy") == "buy_and_hold", pl.col("account") == kind))
        assert (found.n_trades, found.n_entries) == (0, n_entries)
        assert found.total_costs == pytest.approx(n_entries + shares * 0.02)
        assert found.total_return == pytest.approx(-found.total_costs / 10_000)


def test_a_short_open_at_the_end_is_bought_back():
    found = performance(account([100.0, 101.0], position=[0.0, -50.0]), NO_TRADES)
    assert found.sentence == "Positions are open at the end, valued at the close without the cost of buying back."


def test_a_ruined_account_says_so():
    found = performance(account([100.0, 40.0, -3.5, 50.0]), NO_TRADES)
    assert found.sentence == "Ruined: equity was -3.50 USD at the close of 2012-01-05, and the figures end there."
    assert (found.total_return, found.cagr) == (pytest.approx(-1.035), None)


def test_more_than_one_account_is_refused():
    both = pl.concat([account([1.0, 2.0]), account([1.0, 2.0]).with_columns(ticker=pl.lit("BBB"))])
    with pytest.raises(ValueError, match="equity holds 2 accounts"):
        performance(both, NO_TRADES)
