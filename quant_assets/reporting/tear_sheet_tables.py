"""Tables of the tear sheet, in words: which figures stand in which row, and how each is written. Charts are `tear_sheet_charts.py`'s.

The figures and their definitions are those of `backtest/metrics.py` and `backtest/breakdowns.py`; none is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from quant_assets.backtest import breakdowns
from quant_assets.backtest.metrics import METRICS
from quant_assets.backtest.track import Track
from quant_assets.backtest.trade_figures import COSTS
from quant_assets.reporting import wording

Figures = Mapping[str, float | None]

HEADLINE = ("total_return", "cagr", "volatility_annual", "sharpe", "max_drawdown", "exposure", "win_rate", "n_entries", "total_costs")
OF_WEALTH = ("total_return", "cagr", "volatility_annual", "sharpe", "max_drawdown")
"""Those of the headline that an index has too: it has no trades and pays no costs."""
SHOWN_TRADES = 100
FULL_HEAT = 0.10
"""A month's return, either way, at which its cell has its full colour."""
DASH = "–"
JOURNAL_HEADS = {
    "ticker": "Name", "side": "Side", "entered": "In", "session": "Out", "sessions_held": "Held", "entry_shares": "Shares",
    "entry_price": "In at", "exit_price": "Out at", "stop_price": "Stop", "exit_reason": "Exit", "costs": "Costs", "pnl": "Profit",
    "ret": "Return",
}  # fmt: skip


@dataclass(frozen=True)
class Head:
    label: str
    meaning: str = ""
    text: bool = False


@dataclass(frozen=True)
class Row:
    """`place` is that of the strategy whose colour the row carries."""

    label: str
    cells: Sequence[str]
    place: int | None = None
    note: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """`empty` is said where there is no row; `whole` tables do not scroll."""

    head: Sequence[Head]
    rows: Sequence[Row]
    caption: str = ""
    kind: str = ""
    empty: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Column:
    """One account in tables that put accounts side by side."""

    name: str
    place: int
    figures: Figures
    remark: str = ""
    is_index: bool = False
    idle: bool = False


def written(value: float | None, unit: str) -> str:
    """A figure by the unit of its metric: 12.3 %, $1,234.50, 63, 0.51; a dash where it is undefined."""
    if value is None:
        return DASH
    if unit == "fraction":
        return wording.percent(value, 1 if abs(value) >= 0.1 else 2)
    if unit == "USD":
        return usd(value)
    if unit in ("sessions", "trades"):
        return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:,.1f}"
    return wording.number(value, 2)


def usd(value: float) -> str:
    cents = round(value, 2)
    return f"{wording.MINUS if cents < 0 else ''}${abs(cents):,.2f}"


def headline(columns: Sequence[Column]) -> Table:
    """One row an account, the main figures across."""
    head = [Head("Strategy"), *(Head(METRICS[key].name, METRICS[key].definition) for key in HEADLINE)]
    rows = []
    for column in columns:
        known = () if column.idle else OF_WEALTH if column.is_index else HEADLINE
        cells = [written(column.figures[key], METRICS[key].unit) if key in known else DASH for key in HEADLINE]
        rows.append(Row(column.name, cells, place=column.place, remark=column.remark))
    return Table(head, rows, whole=True)


def measures(columns: Sequence[Column]) -> Table:
    """Every metric with its definition, one column an account; below it the reason where one is undefined."""
    shown = [column for column in columns if not column.is_index]
    rows = []
    for key, metric in METRICS.items():
        values = [column.figures[key] for column in shown]
        why = f" {DASH} here: {metric.missing}." if None in values else ""
        label = f"{metric.name} (sessions)" if metric.unit == "sessions" else metric.name
        rows.append(Row(label, [written(value, metric.unit) for value in values], note=f"{metric.definition}{why}"))
    return Table([Head("Figure"), *(Head(column.name) for column in shown)], rows, kind="measures", whole=True)


def comparison(pairs: pl.DataFrame, names: Mapping[str, str], reason: str) -> Table:
    """Differences in Sharpe.

    pairs : as `compare.compare` gives them. reason : why there is none.
    """
    rows = [
        Row(
            f"{names[pair['a']]} against {names[pair['b']]}",
            [
                wording.number(pair["sharpe_a"], 2),
                wording.number(pair["sharpe_b"], 2),
                wording.signed(pair["difference"], 2),
                wording.interval(pair["low"], pair["high"], sign=True, digits=2),
                wording.number(pair["p_value"], 3),
                wording.number(pair["p_holm"], 3),
            ],
        )
        for pair in pairs.iter_rows(named=True)
    ]
    head = [
        Head("Pair"),
        Head("Sharpe, first"),
        Head("Second"),
        Head("Difference"),
        Head("95 % interval"),
        Head("p"),
        Head("p, adjusted", "Holm (1979): adjusted for the number of pairs"),
    ]
    return Table(head, rows, empty=reason, whole=True)


def costs(columns: Sequence[Column], tracks: Mapping[str, Track]) -> Table:
    """What closed trades paid, by kind, one row a strategy."""
    rows: list[Row] = []
    kinds: list[str] = []
    for column, track in zip(columns, tracks.values(), strict=True):
        found = breakdowns.cost_breakdown(track)
        kinds = found["component"].to_list()
        amounts = found["usd"].to_list()
        rows.append(Row(column.name, [*(usd(amount) for amount in amounts), usd(sum(amounts))], place=column.place))
    head = [Head("Closed trades"), *(Head(kind.capitalize()) for kind in kinds), Head("Together")]
    return Table(head, rows, whole=True)


def by_group(frame: pl.DataFrame, caption: str) -> Table:
    """Closed trades in groups: the first column names the group."""
    name, *_ = frame.columns
    rows = [
        Row(
            str(row[name]),
            [
                f"{row['n_trades']:,}",
                written(row["win_rate"], "fraction"),
                usd(row["pnl"]),
                DASH if row["expectancy"] is None else usd(row["expectancy"]),
                written(row["profit_factor"], "-"),
                usd(row["costs"]),
            ],
        )
        for row in frame.filter(pl.col("n_trades") > 0).iter_rows(named=True)
    ]
    head = [
        Head(name.replace("_", " ").capitalize()),
        Head("Trades"),
        Head("Win rate"),
        Head("Profit"),
        Head("A trade"),
        Head("Profit factor"),
        Head("Costs"),
    ]
    return Table(head, rows, caption=caption, empty="no trade was closed")


def by_year(track: Track, market_name: str | None) -> Table:
    rows = [
        Row(
            str(row["year"]),
            [
                written(row["total_return"], "fraction"),
                *([written(row["benchmark_return"], "fraction")] if market_name else []),
                written(row["sharpe"], "-"),
                written(row["max_drawdown"], "fraction"),
                f"{row['n_trades']:,}",
                usd(row["pnl"]),
            ],
        )
        for row in breakdowns.by_year(track).iter_rows(named=True)
    ]
    market = [Head(market_name)] if market_name else []
    head = [
        Head("Year"),
        Head("Return"),
        *market,
        Head("Sharpe"),
        Head("Max drawdown"),
        Head("Trades", "Closed in the year"),
        Head("Profit"),
    ]
    return Table(head, rows, caption="By year", empty="the account has one session only")


def months(track: Track) -> list[dict[str, Any]]:
    """A row a year: its months and the year in per cent, and how deep each cell is coloured."""
    return [
        {"year": row["year"], "cells": [_month(row[name]) for name in breakdowns.MONTHS], "told": _per_cent(row["year_total"])}
        for row in breakdowns.by_month(track).iter_rows(named=True)
    ]


def _month(value: float | None) -> dict[str, Any] | None:
    if value is None:
        return None
    heat = round(6 + 54 * min(abs(value) / FULL_HEAT, 1)) if round(value, 4) else 0
    return {"told": _per_cent(value), "side": "up" if value >= 0 else "down", "heat": heat}


def _per_cent(value: float) -> str:
    return wording.number(value * 100, 1)


def journal_table(trades: pl.DataFrame) -> Table:
    """The first hundred trades by exit."""
    shown = trades.head(SHOWN_TRADES).with_columns(costs=pl.sum_horizontal(COSTS.values()))
    rows = [
        Row(
            row["ticker"],
            [
                "long" if row["side"] > 0 else "short",
                str(row["entered"]),
                str(row["session"]),
                str(row["sessions_held"]),
                f"{row['entry_shares']:,g}",
                f"{row['entry_price']:,.2f}",
                f"{row['exit_price']:,.2f}",
                DASH if row["stop_price"] is None else f"{row['stop_price']:,.2f}",
                row["exit_reason"],
                usd(row["costs"]),
                usd(row["pnl"]),
                wording.percent(row["ret"], 2),
            ],
        )
        for row in shown.iter_rows(named=True)
    ]
    text = ("side", "exit_reason", "entered", "session")
    return Table(
        [Head(label, text=name in text) for name, label in JOURNAL_HEADS.items()], rows, kind="journal", empty="no trade was closed"
    )


def sweep(rows: pl.DataFrame) -> Table:
    """rows : threshold, sharpe, total_return, max_drawdown, n_entries."""
    head = [Head(label) for label in ("Threshold", "Sharpe", "Total return", "Max drawdown", "Entries")]
    told = [
        Row(
            f"{row['threshold']:g}",
            [
                written(row["sharpe"], "-"),
                written(row["total_return"], "fraction"),
                written(row["max_drawdown"], "fraction"),
                f"{row['n_entries']:,}",
            ],
        )
        for row in rows.iter_rows(named=True)
    ]
    return Table(head, told)
