"""Bars of one ticker that look like two securities: what `identity.py` knows from map files, where there is none.

A doubt, no verdict: a company also comes back from a halt, or loses half its value in a night.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import Window, session_table

LONG_GAP = 60
"""Sessions without a bar. Of the 277 US names with bars from 1990 to 2012 none comes back after so many."""
APART = 2.0
"""Close after over close before, or the inverse."""
BEFORE = 20
TURNOVER = 20.0
"""Median dollar volume of 20 sessions over that of the 20 before, or the inverse: news does not keep a name so much busier for a month."""
MAX_MOVE = 0.5


def back_as_another(rows: pl.DataFrame) -> pl.DataFrame:
    """The first bars after a gap of LONG_GAP sessions whose close is a factor of APART away: a ticker that was lent again?"""
    placed = _placed(rows)
    gap = pl.col("place") - pl.col("place").shift().over("ticker") - 1
    close = pl.col("close") * pl.col("split_factor") / pl.col("close").shift().over("ticker")
    far = (gap >= LONG_GAP) & ((close > APART) | (close * APART < 1))
    doubt = f"back after {LONG_GAP} sessions or more at a price {APART:g} times away: another security under the ticker?"
    return placed.filter(far.fill_null(False)).drop("place").with_columns(doubt=pl.lit(doubt))


def sudden_change(rows: pl.DataFrame) -> pl.DataFrame:
    """Bars at which the close moves by more than half without a split and the dollar volume of the 20 sessions from there on is at another
    level: it shows when those are there."""
    ordered = rows.sort("ticker", "session")
    turnover = pl.col("close") * pl.col("volume")
    median = turnover.rolling_median(BEFORE, min_samples=BEFORE)
    before, after = median.shift(1).over("ticker"), median.shift(1 - BEFORE).over("ticker")
    move = (pl.col("close") * pl.col("split_factor") / pl.col("close").shift().over("ticker") - 1).abs()
    other = (after > TURNOVER * before) | (before > TURNOVER * after)
    doubt = f"the price moves by half and the turnover stays {TURNOVER:g} times away: another security under the ticker?"
    return ordered.filter(((move > MAX_MOVE) & other).fill_null(False)).with_columns(doubt=pl.lit(doubt))


def _placed(rows: pl.DataFrame) -> pl.DataFrame:
    """In order, with the number of each session in the exchange's calendar."""
    days = session_table(Window(dt.date.min, dt.date.max)).select("session").with_row_index("place")
    return rows.join(days.with_columns(pl.col("place").cast(pl.Int64)), on="session").sort("ticker", "session")
