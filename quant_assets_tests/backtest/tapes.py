"""Tiny tapes on real exchange sessions, and orders on them: what an engine's test reads at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from quant_assets.backtest import engine
from quant_assets.backtest.costs import Costs
from quant_assets.backtest.engine import Result
from quant_assets.backtest.orders import Order, table_of
from quant_assets.backtest.tape import Tape
from quant_assets_tests.backtest.market import DAYS

CENT = 1e-6
"""Tolerance, USD: rounding of doubles, far below a cent."""
PLAIN = Costs()
"""2 bp a side, half a cent a share, a dollar at least: what is bought at a quoted 100 costs 100.02, what is sold brings 99.98."""
FREE = Costs(commission_per_share=0, commission_minimum=0, half_spread=0)
QUIET = (100.0, 101.0, 99.0, 100.0)
REST = (1e6, 1.0, 0.0)
COLUMNS = ("open", "high", "low", "close", "volume", "split_factor", "dividend")

Bar = tuple[float | None, ...]
Bars = Mapping[str, Sequence[Bar | None]]
Decided = tuple[int, Order]
"""The day at whose close, and the order."""


def bars_of(bars: Bars) -> pl.DataFrame:
    """One bar a session from DAYS[0] on: open, high, low, close[, volume[, split factor[, dividend]]]; None leaves the session out."""
    rows = [
        (ticker, DAYS[day], *bar, *REST[len(bar) - 4 :])
        for ticker, listed in bars.items()
        for day, bar in enumerate(listed)
        if bar is not None
    ]
    return pl.DataFrame(rows, schema={"ticker": pl.String, "session": pl.Date, **dict.fromkeys(COLUMNS, pl.Float64)}, orient="row")


def tape_of(bars: Bars, *, gone: Mapping[str, int] | None = None) -> Tape:
    """A tape of as many sessions as the longest list; `gone` is the last day of each name that is delisted."""
    n_days = max(len(listed) for listed in bars.values())
    return Tape.of(bars_of(bars), sessions=DAYS[:n_days], delisted={ticker: DAYS[day] for ticker, day in (gone or {}).items()})


def orders_of(*decided: Decided) -> pl.DataFrame:
    return table_of([(DAYS[day], order) for day, order in decided])


def run(bars: Bars, *decided: Decided, gone: Mapping[str, int] | None = None, costs: Costs = PLAIN, **given: Any) -> Result:
    return engine.run(tape_of(bars, gone=gone), orders_of(*decided), costs=costs, **given)


def filled(result: Result) -> list[tuple[int, float, float, str]]:
    """(day, signed shares, price paid or got, reason) of each fill."""
    rows = result.fills.select("session", "shares", "price", "reason").iter_rows()
    return [(DAYS.index(session), round(shares, 9), round(price, 9), reason) for session, shares, price, reason in rows]


def refused(result: Result) -> list[tuple[str, int, str]]:
    """(ticker, day, reason) of each order, or rest of one, that was not filled."""
    rows = result.refused.select("ticker", "session", "reason").iter_rows()
    return [(ticker, DAYS.index(session), reason) for ticker, session, reason in rows]
