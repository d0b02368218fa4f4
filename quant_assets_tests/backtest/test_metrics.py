"""Figures of an account, against published numbers and by hand."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest.metrics import performance
from quant_assets.backtest.run import backtest
from quant_assets.schemas import TABLES
from quant_assets_tests.backtest.market import DAYS, QUIET, column, prices

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
CASES = {case["id"]: case for case in json.loads((GOLDEN / "performance_cases.json").read_text())["cases"]}
NO_TRADES = pl.DataFrame(schema=TABLES["trades"].schema)


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


def journal(*pnl: float, session: dt.date = DAYS[0] + dt.timedelta(days=1)) -> pl.DataFrame:
    return pl.DataFrame([(session, value) for value in pnl], schema={"session": pl.Date, "pnl": pl.Float64}, orient="row")


@pytest.fixture(scope="module")
def golden():
    returns = pl.read_csv(GOLDEN / "performance_returns.csv", try_parse_dates=True)
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns["strategy"].to_numpy())]).tolist()
    base = returns["date"][0] - dt.timedelta(days=1)
    return performance(account(wealth).with_columns(session=pl.Series([base, *returns["date"]])), NO_TRADES)


@pytest.mark.parametrize("name", ["total_return", "sharpe", "max_drawdown"])
def test_published_figures(golden, name: str):
    case = CASES[name]
    assert getattr(golden, name) == pytest.approx(case["expected"]["value"], abs=case["tolerance"]["abs"])


def test_cagr_counts_calendar_days_as_ffn_does(golden):
    calmar = CASES["calmar"]["expected"]["differing_libraries"]["ffn"]
    assert golden.cagr / abs(golden.max_drawdown) == pytest.approx(calmar, abs=CASES["calmar"]["tolerance"]["abs"])


def test_flat_days_count():
    found = performance(account([100.0, 100.0, 110.0, 110.0], position=[0, 0, 55, 0]), journal(10.0))
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
    found = performance(rows, journal(3.0, -1.0, -0.5, 0.0))
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
    earlier, later = journal(-5.0, -5.0, session=DAYS[0]), journal(11.0, session=DAYS[0] + dt.timedelta(days=1))
    found = performance(rows, pl.concat([earlier, later]))
    assert (found.n_trades, found.n_entries, found.win_rate, found.total_costs) == (1, 1, 1.0, 6.0)
    assert found.total_return == pytest.approx(0.1)


def test_rows_after_the_last_exit_hold_no_trade():
    flat = account([110.0, 110.0], position=[0.0, 0.0], entries=[7, 7], costs=[20.0, 20.0])
    found = performance(flat, journal(10.0, session=DAYS[0]))
    assert (found.n_trades, found.n_entries, found.total_return) == (0, 0, None)


def test_a_position_carried_through_has_figures_without_an_entry():
    found = performance(account([110.0, 121.0], position=[110.0, 121.0], entries=[1, 1], costs=[3.0, 3.0]), NO_TRADES)
    assert (found.n_trades, found.n_entries, found.total_costs) == (0, 0, 0.0)
    assert found.total_return == pytest.approx(0.1)


def test_a_flat_line_has_no_sharpe():
    assert performance(account([100.0, 100.0, 100.0], position=[0.0, 100.0, 0.0]), journal(0.0)).sharpe is None


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


def test_more_than_one_account_is_refused():
    both = pl.concat([account([1.0, 2.0]), account([1.0, 2.0]).with_columns(ticker=pl.lit("BBB"))])
    with pytest.raises(ValueError, match="equity holds 2 accounts"):
        performance(both, NO_TRADES)
