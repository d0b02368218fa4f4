"""The user's rule at other thresholds: how much of its record is the choice of that one number.

The account itself is `run.py`'s business, its figures are `metrics.py`'s. Whoever takes the best of these rows has tuned on the record:
they are for seeing whether a neighbour would have done the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from quant_assets.backtest.metrics import performance

if TYPE_CHECKING:
    from quant_assets.backtest.run import BacktestTables

GRID = (0.5, 0.525, 0.55, 0.575, 0.6, 0.625, 0.65, 0.675, 0.7, 0.725, 0.75)
STRATEGY = "threshold"
FIGURES = ("total_return", "cagr", "volatility_annual", "sharpe", "max_drawdown", "exposure", "win_rate", "total_costs")


def swept(own: float) -> tuple[float, ...]:
    """The thresholds that are tried, ascending: GRID and the user's own."""
    return tuple(sorted({*GRID, own}))


def figures_at(tables: BacktestTables, strategy: str, ends: Sequence[dt.date]) -> pl.DataFrame:
    """What one strategy's portfolio account had done by each of these sessions, since its beginning.

    Parameters
    ----------
    tables : as of `run.backtest_portfolio`.
    ends : sessions; one before the account's first has no row.

    Returns
    -------
    session, first (of the account), n_trades, n_entries and FIGURES as `metrics.Performance` defines them.
    """
    equity, trades = (rows.filter(strategy=strategy, account="portfolio") for rows in (tables.equity, tables.trades))
    rows = []
    for end in ends:
        until = equity.filter(pl.col("session") <= end)
        if until.height:
            done = performance(until, trades.filter(pl.col("session") <= end))
            told = {"session": end, "first": until["session"].min(), "n_trades": done.n_trades, "n_entries": done.n_entries}
            rows.append(told | {name: getattr(done, name) for name in FIGURES})
    counts = dict.fromkeys(("n_trades", "n_entries"), pl.Int64)
    return pl.DataFrame(rows, schema={"session": pl.Date, "first": pl.Date, **counts, **dict.fromkeys(FIGURES, pl.Float64)})
