"""Announcements of quarterly results from Yahoo's earnings calendar, done and to come, newest first.

The calendar is a page for people, read by yfinance. It tells the day, a whole hour that is often only a guess, and earnings per share on
Yahoo's adjusted basis; not the quarter, nor the revenue.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pandas as pd
import polars as pl

from quant_assets.calendars import TIMEZONE, Window
from quant_assets.errors import NoData, SourceError
from quant_assets.schemas import UTC, Dtype
from quant_assets.sources.yahoo_vendor import ADAPT, OverYahoo, yahoo_symbol

ANNOUNCED, ESTIMATE, ACTUAL = "Earnings Date", "EPS Estimate", "Reported EPS"
RAW_COLUMNS: dict[str, Dtype] = {
    "ticker": pl.String,
    ANNOUNCED: pl.Datetime("us", TIMEZONE),
    ESTIMATE: pl.Float64,
    ACTUAL: pl.Float64,
}
OPEN, CLOSE = dt.time(9, 30), dt.time(16)
A_PAGE = 100
"""The most that Yahoo gives at once."""
Announcement = tuple[dt.datetime, Any, Any]
"""When, in New York, and what was expected and reported."""


class YahooEarnings(OverYahoo):
    """The earnings calendar, one row a day of announcement."""

    table = "earnings"
    promises = "anything"  # a page

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Whatever is asked for: that a name has no earnings (a fund) shows when it is fetched."""
        return dict.fromkeys(keys or (), Window(dt.date.min, dt.date.max))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, and ticker.

        Raises
        ------
        NoData : the calendar has nothing of a name. SourceError : a page is not what was promised, or repeats one; SourceUnavailable as of
        the wire.
        """
        rows = [(key, *row) for key in sorted(keys) for row in self._announcements(key, window)]
        return pd.DataFrame(rows, columns=list(RAW_COLUMNS), dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Rows of the same day are one announcement, whose hour is null where they disagree.

        What was announced on a day counts as known at the end of that day in New York, whatever the hour, for that is often a guess. What
        is yet to be announced, and what Yahoo has no figure of, is known as of now.
        """
        moment = pl.col(ANNOUNCED)
        when = (
            pl.when(moment.dt.time() == dt.time(0))  # nobody announces at midnight: a day without an hour
            .then(None)
            .when(moment.dt.time() < OPEN)
            .then(pl.lit("before_open"))
            .when(moment.dt.time() >= CLOSE)
            .then(pl.lit("after_close"))
            .otherwise(pl.lit("in_session"))
        )
        told = self._read(raw, RAW_COLUMNS).with_columns(announced=moment.dt.date(), when=when)
        days = told.group_by("ticker", "announced", maintain_order=True).agg(pl.col("when", ESTIMATE, ACTUAL).drop_nulls().unique())
        for row in days.filter((pl.col(ESTIMATE).list.len() > 1) | (pl.col(ACTUAL).list.len() > 1)).iter_rows(named=True):
            message = f"yahoo has several earnings of {row['ticker']} on {row['announced']}: expected {row[ESTIMATE]}, actual {row[ACTUAL]}"
            raise SourceError(message, remedy="look which of them the company announced, and report the other to Yahoo")
        end_of_day = (pl.col("announced").cast(pl.Datetime("us")) + dt.timedelta(days=1)).dt.replace_time_zone(TIMEZONE)
        now = pl.lit(fetched_at, dtype=UTC)
        one = {name: pl.col(column).list.first() for name, column in (("eps_estimate", ESTIMATE), ("eps_actual", ACTUAL))}
        return self._conformed(
            days.select(
                "ticker",
                "announced",
                announced_when=pl.when(pl.col("when").list.len() == 1).then(pl.col("when").list.first()),
                period_end=pl.lit(None, dtype=pl.Date),
                fiscal_year=pl.lit(None, dtype=pl.Int64),
                fiscal_quarter=pl.lit(None, dtype=pl.Int64),
                **one,
                revenue_estimate=pl.lit(None, dtype=pl.Float64),
                revenue_actual=pl.lit(None, dtype=pl.Float64),
                source=pl.lit(self.name),
                fetched_at=now,
                known_at=pl.when(one["eps_actual"].is_not_null()).then(end_of_day.dt.convert_time_zone("UTC")).otherwise(now),
            )
        )

    def _announcements(self, key: str, window: Window) -> Iterator[Announcement]:
        """Those of the window, page by page back to its start."""
        last: list[Announcement] = []
        for offset in count(0, A_PAGE):
            page = self._page(key, offset)
            if page and page == last:
                message = f"yahoo gives the same earnings of {key} from the {offset + 1}th on as from the {offset - A_PAGE + 1}th on"
                raise SourceError(message, remedy=ADAPT)
            yield from (row for row in page if row[0].date() in window)
            if len(page) < A_PAGE or min(row[0] for row in page).date() < window.start:
                return
            last = page

    def _page(self, key: str, offset: int) -> list[Announcement]:
        try:
            page = self._client.earnings(yahoo_symbol(key), limit=A_PAGE, offset=offset)
        except NoData:
            if offset:
                return []
            raise
        figures = page[[ESTIMATE, ACTUAL]].astype(object).where(page[[ESTIMATE, ACTUAL]].notna(), None)
        moments = [moment.tz_convert(TIMEZONE).to_pydatetime() for moment in page.index]
        return list(zip(moments, figures[ESTIMATE], figures[ACTUAL], strict=True))
