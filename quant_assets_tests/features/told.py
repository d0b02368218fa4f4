"""What was told beside the bars, made up: macroeconomic series and announcements, from years before the first bar to after the last one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from quant_assets.schemas import TABLES
from quant_assets_tests.small import FETCHED_AT

FIRST, LAST = dt.date(1994, 1, 3), dt.date(2013, 6, 28)
RECESSIONS = ((dt.date(1998, 3, 1), dt.date(1999, 1, 1)), (dt.date(2003, 5, 1), dt.date(2004, 2, 1)))
DAILY = {"VIXCLS": (20.0, 8.0), "DFF": (2.0, 1.0), "DGS10": (4.0, 0.5), "DGS2": (3.0, 0.5), "BAA10Y": (2.0, 0.5)}
"""Level and spread of each daily series."""


def macro_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `macro` of series, session, published and value: known on the day of publication at half past four, New York."""
    at = pl.col("published").cast(pl.Datetime("us")) + dt.timedelta(hours=16, minutes=30)
    known_at = at.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
    return TABLES["macro"].conform(rows.with_columns(known_at=known_at, source=pl.lit("made up"), fetched_at=pl.lit(FETCHED_AT)))


def macro(seed: int = 5) -> pl.DataFrame:
    """Daily rates published on the next business day, a CPI of which every version counts, and recessions settled two years later."""
    rng = np.random.default_rng(seed)
    days = pl.date_range(FIRST, LAST, eager=True).alias("session")
    business = pl.DataFrame(days.filter(days.dt.weekday() < 6)).with_columns(published=pl.col("session").dt.add_business_days(1))
    parts = []
    for series, (level, spread) in DAILY.items():
        # a slow wave, so that the slope of the curve falls before each of the recessions, with noise
        wave = np.sin(np.arange(len(business)) / 260 + len(series))
        noise = rng.normal(0, 0.3, len(business))
        values = np.abs(level + spread * (wave + noise))
        parts.append(business.with_columns(series=pl.lit(series), value=pl.Series(values)))
    months = pl.date_range(dt.date(2007, 1, 1), dt.date(2013, 4, 1), "1mo", eager=True).alias("session")
    index = 200 * np.exp(np.cumsum(rng.normal(0.002, 0.002, len(months))))
    first = pl.DataFrame(months).with_columns(published=pl.col("session").dt.offset_by("1mo16d"), value=pl.Series(index))
    again = first.with_columns(
        published=pl.col("session").dt.offset_by("13mo10d"), value=pl.col("value") * rng.normal(1, 0.001, len(months))
    )
    parts += [frame.with_columns(series=pl.lit("CPIAUCSL")) for frame in (first, again)]
    states = pl.DataFrame({"session": pl.date_range(FIRST.replace(day=1), LAST, "1mo", eager=True)})
    inside = pl.any_horizontal(pl.col("session").is_between(*span) for span in RECESSIONS)
    told = states.with_columns(published=pl.col("session").dt.offset_by("2y"), value=inside.cast(pl.Float64), series=pl.lit("USREC"))
    columns = ("series", "session", "published", "value")
    return macro_rows(pl.concat([part.select(columns) for part in [*parts, told]]))


def earnings(tickers: Sequence[str] = ("AAA", "BBB", "CCC", "DDD")) -> pl.DataFrame:
    """Quarterly announcements: planned half a year ahead, moved a week before by a day, and made after the close."""
    rows = []
    rng = np.random.default_rng(8)
    for place, ticker in enumerate(tickers):
        for quarter_end in pl.date_range(dt.date(2007, 3, 31), dt.date(2013, 6, 30), "1q", eager=True):
            day = quarter_end + dt.timedelta(days=25 + place)
            row = {"ticker": ticker, "period_end": quarter_end, "eps_estimate": float(rng.uniform(0.5, 1.5)), "eps_actual": None}
            for known, announced in ((day - dt.timedelta(days=180), day + dt.timedelta(days=1)), (day - dt.timedelta(days=7), day)):
                rows.append({**row, "announced": announced, "known_at": _at(known)})
            rows.append(
                {
                    **row,
                    "announced": day,
                    "known_at": _at(day + dt.timedelta(days=1)),
                    "eps_actual": row["eps_estimate"] * float(rng.normal(1, 0.1)),
                }
            )
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(source=pl.lit("made up"), fetched_at=pl.lit(FETCHED_AT))
    absent = {name: dtype for name, dtype in TABLES["earnings"].schema.items() if name not in frame.columns}
    return TABLES["earnings"].conform(frame.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in absent.items()))


def _at(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(5), dt.UTC)
