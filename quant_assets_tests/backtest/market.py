"""Small markets for backtests, every bar under control, on real exchange sessions from 2012-01-03 on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window, sessions

DAYS = sessions(Window(dt.date(2012, 1, 1), dt.date(2012, 7, 1)))
QUIET = (100.0, 101.0, 99.0, 100.0)

Row = tuple[float | None, ...]


def prices(bars: Mapping[str, Sequence[Row | None]], *, basis: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Bars by ticker, one a session from DAYS[0] on: (open, high, low, close[, split_factor[, dividend]]); None leaves the session out."""
    rows = [
        (ticker, DAYS[day], *row, *(1.0, 0.0)[len(row) - 4 :], (basis or {}).get(ticker, "raw"))
        for ticker, listed in bars.items()
        for day, row in enumerate(listed)
        if row is not None
    ]
    numbers = ("open", "high", "low", "close", "split_factor", "dividend")
    schema = {"ticker": pl.String, "session": pl.Date, **dict.fromkeys(numbers, pl.Float64), "price_basis": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def column(name: str, values: Mapping[str, Sequence[float | None]]) -> pl.DataFrame:
    """ticker, session and one value a session from DAYS[0] on."""
    rows = [(ticker, DAYS[day], value) for ticker, listed in values.items() for day, value in enumerate(listed)]
    return pl.DataFrame(rows, schema={"ticker": pl.String, "session": pl.Date, name: pl.Float64}, orient="row")


def decisions(*rows: tuple[int, str, float, float, int]) -> pl.DataFrame:
    """Decisions as (day, ticker, score, atr, n_tradable)."""
    schema = {"session": pl.Date, "ticker": pl.String, "score": pl.Float64, "atr_14": pl.Float64, "n_tradable": pl.Int64}
    return pl.DataFrame([(DAYS[day], *rest) for day, *rest in rows], schema=schema, orient="row")
