"""Figures of one account in tables: by year and month, by ticker, side and holding period, and costs by kind.

Definitions are those of `catalog.py`; null stands where they give None.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeVar

import polars as pl

from quant_assets.backtest import ratios
from quant_assets.backtest.catalog import METRICS
from quant_assets.backtest.track import Track
from quant_assets.backtest.trade_figures import COSTS, costs_usd

Period = TypeVar("Period", bound=Hashable)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
SIDES = {1: "long", -1: "short"}
HOLDINGS = ("up to 1", "2-3", "4-5", "6-20", "over 20")
LONGEST = (1, 3, 5, 20)
"""Sessions of the longest holding in each bucket but the last."""
OF_A_YEAR = {
    "total_return": pl.Float64,
    "volatility_annual": pl.Float64,
    "sharpe": pl.Float64,
    "max_drawdown": pl.Float64,
    "n_trades": pl.Int64,
}
OF_TRADES = {
    "n_trades": pl.Int64,
    **dict.fromkeys(("win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "average_sessions_held"), pl.Float64),
}


def by_year(track: Track) -> pl.DataFrame:
    """year, sessions, total_return, volatility_annual, sharpe, max_drawdown, n_trades, pnl (USD, of closed trades), benchmark_return.

    A year begins at the last close before it, the first at the starting wealth, so that the returns compound to the total; its peaks
    and troughs are its own. Trades count in the year of their exit.
    """
    rows = []
    for year, begin, end in _spans(track, lambda day: day.year):
        part = _part(track, begin, end)
        rows.append(
            {
                "year": year,
                "sessions": len(part.returns),
                **{name: METRICS[name].of(part) for name in OF_A_YEAR},
                "pnl": part.trades["pnl"].sum(),
                "benchmark_return": None if part.benchmark is None else ratios.total_return(part.benchmark),
            }
        )
    return pl.DataFrame(
        rows, schema={"year": pl.Int32, "sessions": pl.Int64, **OF_A_YEAR, "pnl": pl.Float64, "benchmark_return": pl.Float64}
    )


def by_month(track: Track) -> pl.DataFrame:
    """year, jan .. dec and `year_total`: returns, fraction; null outside the track. Months begin as the years of `by_year` do."""
    years: dict[int, dict[str, float]] = {}
    for (year, month), begin, end in _spans(track, lambda day: (day.year, day.month)):
        years.setdefault(year, {})[MONTHS[month - 1]] = ratios.total_return(track.wealth[begin : end + 1])
    for year, begin, end in _spans(track, lambda day: day.year):
        years[year]["year_total"] = ratios.total_return(track.wealth[begin : end + 1])
    rows = [{"year": year, **returns} for year, returns in years.items()]
    return pl.DataFrame(rows, schema={"year": pl.Int32, **dict.fromkeys((*MONTHS, "year_total"), pl.Float64)})


def by_ticker(track: Track) -> pl.DataFrame:
    """ticker and the figures of its closed trades: n_trades, win_rate, profit_factor, expectancy, average_win, average_loss (USD),
    average_sessions_held, pnl and costs (USD), ascending by ticker."""
    groups = {ticker: rows for (ticker,), rows in track.trades.sort("ticker", maintain_order=True).group_by("ticker", maintain_order=True)}
    return _of_groups(track, "ticker", groups)


def by_side(track: Track) -> pl.DataFrame:
    """side, long and short, and the figures of `by_ticker`."""
    return _of_groups(track, "side", {name: track.trades.filter(pl.col("side") == side) for side, name in SIDES.items()})


def by_holding(track: Track) -> pl.DataFrame:
    """holding, in buckets of sessions held, and the figures of `by_ticker`; a bucket without a trade has its row."""
    bucket = pl.col("sessions_held").bin_intervals(LONGEST, labels=HOLDINGS, right_closed=True).cast(pl.String)
    return _of_groups(track, "holding", {name: track.trades.filter(bucket == name) for name in HOLDINGS})


def cost_breakdown(track: Track) -> pl.DataFrame:
    """component (commission, fees, spread, impact, borrow), usd, share_of_gross_profit; of closed trades.

    Gross profit is their profit before all of these; without one the share is null.
    """
    gross = float(track.trades["pnl"].sum()) + costs_usd(track.trades)
    paid = {component: float(track.trades[column].sum()) for component, column in COSTS.items()}
    rows = [(component, usd, usd / gross if gross > 0 else None) for component, usd in paid.items()]
    return pl.DataFrame(rows, schema={"component": pl.String, "usd": pl.Float64, "share_of_gross_profit": pl.Float64}, orient="row")


def _spans(track: Track, period: Callable[[dt.date], Period]) -> Iterator[tuple[Period, int, int]]:
    """Each period with the places of the last close before it and of its own last close."""
    begin = 0
    for key, days in groupby(track.sessions[1:], key=period):
        end = begin + sum(1 for _ in days)
        yield key, begin, end
        begin = end


def _part(track: Track, begin: int, end: int) -> Track:
    within = slice(begin, end + 1)
    first, last = track.sessions[begin], track.sessions[end]
    return replace(
        track,
        sessions=track.sessions[within],
        wealth=track.wealth[within],
        exposure=track.exposure[within],
        costs=track.costs[within],
        entries=track.entries[within],
        trades=track.trades.filter(pl.col("session") > first, pl.col("session") <= last),
        benchmark=None if track.benchmark is None else track.benchmark[within],
    )


def _of_groups(track: Track, name: str, groups: Mapping[Any, pl.DataFrame]) -> pl.DataFrame:
    rows = [
        {
            name: key,
            **{figure: METRICS[figure].of(replace(track, trades=trades)) for figure in OF_TRADES},
            "pnl": trades["pnl"].sum(),
            "costs": costs_usd(trades),
        }
        for key, trades in groups.items()
    ]
    return pl.DataFrame(rows, schema={name: pl.String, **OF_TRADES, "pnl": pl.Float64, "costs": pl.Float64})
