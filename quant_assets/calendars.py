"""Exchange sessions, closes and windows of dates. Partition objects live in `defs/partitions.py`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

import exchange_calendars as xcals
import pandas as pd
import polars as pl

EXCHANGE = "XNYS"
TIMEZONE = "America/New_York"
FIRST_DAY_KNOWN = "1990-01-01"
SETTLING = dt.timedelta(minutes=15)
"""After a close, until vendors have its auction in their bars."""


@dataclass(frozen=True, order=True)
class Window:
    """A half-open range of dates: `start` is in, `end` is out."""

    start: dt.date
    end: dt.date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, dt.date) and self.start <= day < self.end

    def clipped(self, end: dt.date) -> Window:
        """The part before `end` (empty when the window starts later)."""
        return Window(self.start, max(self.start, min(self.end, end)))

    @property
    def last_day(self) -> dt.date:
        return self.end - dt.timedelta(days=1)

    @property
    def years(self) -> range:
        """Calendar years the window touches."""
        return range(self.start.year, self.last_day.year + 1) if self.start < self.end else range(0)

    def __str__(self) -> str:
        return f"{self.start}..{self.last_day}"


def year_window(year: int) -> Window:
    return Window(dt.date(year, 1, 1), dt.date(year + 1, 1, 1))


def quarter_window(day: dt.date) -> Window:
    """The calendar quarter that holds `day`; its start is the training cut-off of the models used in it."""
    first_month = 3 * ((day.month - 1) // 3) + 1
    start = dt.date(day.year, first_month, 1)
    end = dt.date(day.year + 1, 1, 1) if first_month == 10 else dt.date(day.year, first_month + 3, 1)
    return Window(start, end)


def day_window(day: dt.date) -> Window:
    return Window(day, day + dt.timedelta(days=1))


@cache
def exchange() -> xcals.ExchangeCalendar:
    """The New York Stock Exchange calendar from 1990 to the end of next year."""
    return xcals.get_calendar(EXCHANGE, start=FIRST_DAY_KNOWN, end=f"{dt.datetime.now(dt.UTC).year + 1}-12-31")


def sessions(window: Window) -> list[dt.date]:
    """Exchange sessions inside the window, ascending."""
    if window.start >= window.end:
        return []
    found = exchange().sessions_in_range(pd.Timestamp(window.start), pd.Timestamp(window.last_day))
    return [stamp.date() for stamp in found]


def is_session(day: dt.date) -> bool:
    return bool(exchange().is_session(pd.Timestamp(day)))


def session_offset(session: dt.date, n: int) -> dt.date:
    """The session `n` sessions after `session` (before it, when negative)."""
    return _date(exchange().session_offset(pd.Timestamp(session), n))


def ends_a_week(session: dt.date) -> bool:
    """Whether the next session is of another week."""
    return session_offset(session, 1).isocalendar()[:2] != session.isocalendar()[:2]


def session_on_or_before(day: dt.date) -> dt.date:
    return _date(exchange().date_to_session(pd.Timestamp(day), direction="previous"))


def session_on_or_after(day: dt.date) -> dt.date:
    return _date(exchange().date_to_session(pd.Timestamp(day), direction="next"))


def session_open(session: dt.date) -> dt.datetime:
    """The instant (UTC) at which the session opened."""
    opening: pd.Timestamp = exchange().session_open(pd.Timestamp(session))
    return opening.to_pydatetime().astimezone(dt.UTC)


def session_close(session: dt.date) -> dt.datetime:
    """The instant (UTC) at which the session closed: half days close early."""
    close: pd.Timestamp = exchange().session_close(pd.Timestamp(session))
    return close.to_pydatetime().astimezone(dt.UTC)


def last_closed_session(now: dt.datetime) -> dt.date:
    """The latest session whose close is not after `now` (an aware datetime)."""
    day = session_on_or_before(now.astimezone(dt.UTC).date())
    return day if session_close(day) <= now else session_offset(day, -1)


def last_opened_session(now: dt.datetime) -> dt.date:
    """The latest session whose opening is not after `now` (an aware datetime)."""
    day = session_on_or_before(now.astimezone(dt.UTC).date())
    opening: pd.Timestamp = exchange().session_open(pd.Timestamp(day))
    return day if opening <= now else session_offset(day, -1)


def last_settled_session(now: dt.datetime) -> dt.date:
    """The latest session whose closing auction vendors have had the time to book by `now`: its daily bar is final."""
    return last_closed_session(now - SETTLING)


def next_settled(now: dt.datetime) -> dt.datetime:
    """The instant (UTC) at which the next daily bar will be final."""
    return session_close(session_offset(last_settled_session(now), 1)) + SETTLING


def holidays(window: Window) -> list[dt.date]:
    """Weekdays inside the window on which the exchange does not open."""
    open_days = set(sessions(window))
    days = pl.date_range(window.start, window.last_day, eager=True)
    return [day for day in days if day.weekday() < 5 and day not in open_days]


def session_table(window: Window) -> pl.DataFrame:
    """One row a session of the window: `session` (Date), `close_at` (UTC instant)."""
    return _every_session().filter(pl.col("session").is_between(window.start, window.end, closed="left"))


@cache
def _every_session() -> pl.DataFrame:
    closes = exchange().closes
    return pl.DataFrame(
        {"session": closes.index.to_numpy(), "close_at": closes.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()}
    ).select(
        pl.col("session").cast(pl.Date),
        pl.col("close_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )


def _date(session: pd.Timestamp) -> dt.date:
    return session.date()
