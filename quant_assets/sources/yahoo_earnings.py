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
from quant_assets.sources.vendor_rows import OPENING, Record, earnings_known_at, number, raw_frame, rows_of, unreadable
from quant_assets.sources.yahoo_vendor import ADAPT, OverYahoo, delivered, yahoo_symbol

ANNOUNCED, ESTIMATE, ACTUAL = "Earnings Date", "EPS Estimate", "Reported EPS"
CLOSING = dt.time(16)
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
        return pd.DataFrame(rows, columns=["ticker", ANNOUNCED, ESTIMATE, ACTUAL], dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Rows of the same day are one announcement, whose hour is null where they disagree.

        What was announced on a day counts as known at the end of that day in New York, whatever the hour, for that is often a guess. What
        is yet to be announced, and what Yahoo has no figure of, is known as of now.
        """

        def row(announcement: Record) -> Record:
            actual = number(announcement[ACTUAL])
            return {
                **{name: announcement[name] for name in ("ticker", "announced", "announced_when")},
                "eps_estimate": number(announcement[ESTIMATE]),
                "eps_actual": actual,
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": earnings_known_at(announcement["announced"], None, is_out=actual is not None, fetched_at=fetched_at),
            }

        return rows_of(self.table, self._by_day(raw), row, policy=self.policy, what="earnings")

    def _by_day(self, raw: pd.DataFrame) -> pd.DataFrame:
        """One record a name and day. Raises SourceError when rows of a day have different figures."""
        days = []
        for (ticker, day), told in raw.groupby(["ticker", raw[ANNOUNCED].map(dt.datetime.date)], sort=False):
            figures = {name: told[name].dropna().unique().tolist() for name in (ESTIMATE, ACTUAL)}
            if any(len(values) > 1 for values in figures.values()):
                raise unreadable(self.policy, "earnings", str(ticker), f"several of {day}: {figures}")
            hours = {_when(moment) for moment in told[ANNOUNCED]} - {None}
            one = {name: next(iter(values), None) for name, values in figures.items()}
            days.append({"ticker": ticker, "announced": day, "announced_when": hours.pop() if len(hours) == 1 else None, **one})
        return raw_frame(days, ("announced", "announced_when", ESTIMATE, ACTUAL))

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
        if absent := [name for name in (ESTIMATE, ACTUAL) if name not in page]:
            raise unreadable(self.policy, "earnings", key, f"no {', '.join(absent)} but {', '.join(map(str, page.columns))}")
        moments = [moment.tz_convert(TIMEZONE).to_pydatetime() for moment in page.index]
        return [(moment, row[ESTIMATE], row[ACTUAL]) for moment, row in zip(moments, delivered(page), strict=True)]


def _when(moment: dt.datetime) -> str | None:
    """By the hour in New York; nobody announces at midnight, which is a day without an hour."""
    hour = moment.time()
    if hour == dt.time():
        return None
    return "before_open" if hour < OPENING else "after_close" if hour >= CLOSING else "in_session"
