"""Announcements of results, done and to come, as known at a moment. The features made of them are in `events.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

import polars as pl

from quant_assets.calendars import TIMEZONE
from quant_assets.features.feature import Beside, Tables
from quant_assets.features.known import last_known
from quant_assets.features.session_calendar import number_held, number_planned

COLUMNS = ("earnings_last", "earnings_next")
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "ticker": pl.String,
    "known_at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(COLUMNS, pl.Int64),
}

Row = tuple[dt.datetime, dt.date, dt.date | None, bool]
"""known_at, announced, period_end, whether the results are in."""


def states(rows: list[Row]) -> Iterator[tuple[dt.datetime, dt.date | None, dt.date | None]]:
    """Of one name: each moment at which something changes, with the last announcement that was made and the next one to come.

    Made is one whose results are in a row known by then. To come is one that is not made, nor over: of one quarter the day that became
    known last counts, of the quarters the nearest day. Rows that do not say their quarter count as of one quarter.

    Parameters
    ----------
    rows : sorted by known_at.
    """
    # A plan lapses when its day is over in New York.
    lapses = {dt.datetime.combine(row[1] + dt.timedelta(days=1), dt.time(), ZoneInfo(TIMEZONE)).astimezone(dt.UTC) for row in rows}
    told = {moment: list(group) for moment, group in groupby(rows, key=itemgetter(0))}
    made: dt.date | None = None
    plans: dict[dt.date | None, dt.date] = {}
    for moment in sorted(lapses | set(told)):
        now = told.get(moment, [])
        made = max((row[1] for row in now if row[3]), default=made) if made is None else max([made, *(row[1] for row in now if row[3])])
        for _, announced, period_end, _ in sorted((row for row in now if not row[3]), key=itemgetter(1), reverse=True):
            plans[period_end] = announced
        today = moment.astimezone(ZoneInfo(TIMEZONE)).date()
        plans = {quarter: day for quarter, day in plans.items() if day >= today and (made is None or day > made)}
        yield moment, made, min(plans.values(), default=None)


def announcements(earnings: pl.DataFrame) -> pl.DataFrame:
    """ticker, known_at, the place of the last announcement among the sessions held and of the next one among those planned."""
    is_in = pl.col("eps_actual").is_not_null() | pl.col("revenue_actual").is_not_null()
    rows = earnings.select("ticker", "known_at", "announced", "period_end", is_in=is_in).sort("ticker", "known_at", "announced")
    found = []
    for ticker, group in groupby(rows.iter_rows(), key=itemgetter(0)):
        for moment, made, coming in states([row[1:] for row in group]):
            found.append((ticker, moment, made and number_held(made), coming and number_planned(coming)))
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def beside(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """The bars with COLUMNS, as known at the close."""
    named = tables["earnings"].join(bars.select("ticker").unique(), on="ticker", how="semi").collect()
    return last_known(bars, announcements(named).lazy(), COLUMNS)


ANNOUNCEMENTS = Beside(tables=("earnings",), columns=COLUMNS, join=beside)
