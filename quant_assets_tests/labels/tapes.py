"""Bars of one name written out by hand, and the calendar of the made-up panels."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import Window, session_table

CALENDAR = session_table(Window(dt.date(2010, 1, 1), dt.date(2013, 1, 1)))


def hand_made(closes: dict[dt.date, float], **columns: dict[dt.date, float | None]) -> pl.DataFrame:
    """AAA, open, high and low equal to the close, no action, but for the days that a column names."""
    plain = {
        "open": closes,
        "high": closes,
        "low": closes,
        "split_factor": dict.fromkeys(closes, 1.0),
        "dividend": dict.fromkeys(closes, 0.0),
    }
    told = {name: [columns.get(name, {}).get(day, value) for day, value in values.items()] for name, values in plain.items()}
    frame = pl.DataFrame(
        {"session": list(closes), "close": list(closes.values()), **told}, schema_overrides=dict.fromkeys(told, pl.Float64)
    )
    return frame.with_columns(ticker=pl.lit("AAA"), volume=pl.lit(1e6), price_basis=pl.lit("raw"))
