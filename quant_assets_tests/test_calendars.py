"""Sessions and closes of real days, and windows of dates."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_assets.calendars import (
    Window,
    day_window,
    holidays,
    is_session,
    last_closed_session,
    last_opened_session,
    quarter_window,
    session_close,
    session_offset,
    session_on_or_after,
    session_on_or_before,
    session_table,
    sessions,
    year_window,
)

D = dt.date


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("session", "close"),
    [
        (D(2012, 11, 23), utc(2012, 11, 23, 18)),  # day after Thanksgiving: 13:00 in New York
        (D(2012, 12, 24), utc(2012, 12, 24, 18)),
        (D(2013, 3, 1), utc(2013, 3, 1, 21)),
        (D(2013, 3, 8), utc(2013, 3, 8, 21)),  # clocks go forward on 10 March
        (D(2013, 3, 11), utc(2013, 3, 11, 20)),
        (D(2012, 11, 2), utc(2012, 11, 2, 20)),  # and back on 4 November
        (D(2012, 11, 5), utc(2012, 11, 5, 21)),
    ],
)
def test_closes(session: dt.date, close: dt.datetime):
    assert session_close(session) == close
    assert session_table(day_window(session))["close_at"].to_list() == [close]


@pytest.mark.parametrize("closed", [D(2012, 10, 29), D(2012, 10, 30), D(2001, 9, 11), D(2001, 9, 14), D(2007, 1, 2), D(2013, 2, 18)])
def test_days_without_trading(closed: dt.date):
    assert not is_session(closed)
    assert closed in holidays(year_window(closed.year))


def test_sandy():
    assert sessions(Window(D(2012, 10, 26), D(2012, 11, 1))) == [D(2012, 10, 26), D(2012, 10, 31)]
    assert session_on_or_before(D(2012, 10, 30)) == D(2012, 10, 26)
    assert session_on_or_after(D(2012, 10, 27)) == D(2012, 10, 31)
    assert session_offset(D(2012, 10, 26), 1) == D(2012, 10, 31)
    assert session_offset(D(2012, 10, 31), -1) == D(2012, 10, 26)


def test_weekdays_are_sessions_or_holidays():
    window = year_window(2012)
    weekdays = [day for day in pl.date_range(window.start, window.last_day, eager=True) if day.weekday() < 5]
    assert sorted(sessions(window) + holidays(window)) == weekdays
    assert len(sessions(window)) == 250
    assert session_table(window)["session"].to_list() == sessions(window)


def test_empty_windows():
    nothing = Window(D(2012, 1, 3), D(2012, 1, 3))
    assert sessions(nothing) == holidays(nothing) == []
    assert session_table(nothing).is_empty()
    assert list(nothing.years) == []


@pytest.mark.parametrize(
    ("now", "session"),
    [
        (utc(2013, 3, 1, 20, 59, 59), D(2013, 2, 28)),
        (utc(2013, 3, 1, 21), D(2013, 3, 1)),
        (utc(2013, 3, 2, 3), D(2013, 3, 1)),  # still Friday evening in New York
        (utc(2013, 3, 4, 3), D(2013, 3, 1)),
        (utc(2012, 11, 23, 18), D(2012, 11, 23)),
        (utc(2012, 10, 30, 23), D(2012, 10, 26)),
    ],
)
def test_last_closed_session(now: dt.datetime, session: dt.date):
    assert last_closed_session(now) == session
    assert last_closed_session(now.astimezone(dt.timezone(dt.timedelta(hours=9)))) == session


@pytest.mark.parametrize(
    ("now", "session"),
    [
        (utc(2013, 3, 1, 14, 29, 59), D(2013, 2, 28)),
        (utc(2013, 3, 1, 14, 30), D(2013, 3, 1)),
        (utc(2013, 3, 2, 3), D(2013, 3, 1)),
        (utc(2013, 3, 11, 13, 29), D(2013, 3, 8)),
        (utc(2013, 3, 11, 13, 30), D(2013, 3, 11)),  # summer time began the day before
        (utc(2012, 10, 30, 23), D(2012, 10, 26)),
    ],
)
def test_last_opened_session(now: dt.datetime, session: dt.date):
    assert last_opened_session(now) == session
    assert last_opened_session(now.astimezone(dt.timezone(dt.timedelta(hours=9)))) == session


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (D(2012, 1, 1), D(2012, 1, 1), D(2012, 4, 1)),
        (D(2012, 3, 31), D(2012, 1, 1), D(2012, 4, 1)),
        (D(2012, 4, 1), D(2012, 4, 1), D(2012, 7, 1)),
        (D(2012, 12, 31), D(2012, 10, 1), D(2013, 1, 1)),
    ],
)
def test_quarters(day: dt.date, start: dt.date, end: dt.date):
    assert quarter_window(day) == Window(start, end)


def test_windows():
    window = Window(D(2011, 12, 30), D(2012, 1, 1))
    assert D(2011, 12, 30) in window
    assert D(2012, 1, 1) not in window
    assert list(window.years) == [2011]
    assert str(window) == "2011-12-30..2011-12-31"
    assert window.clipped(D(2011, 12, 31)).last_day == D(2011, 12, 30)
    assert window.clipped(D(2020, 1, 1)) == window
    early = window.clipped(D(2000, 1, 1))
    assert early.start == early.end == D(2011, 12, 30)
