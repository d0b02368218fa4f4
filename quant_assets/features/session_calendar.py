"""What the calendar says of each session: where it lies in its month, and how far from it lie days that were planned ahead.

Ahead is counted on the calendar as it was planned: a closing that nobody planned (September 2001, a hurricane, a funeral) is a session
to come until it is past. Back is counted on the sessions that there were. Days of the FOMC and of the CPI are those of
`scheduled_dates.csv`, which says of each where it was published; what companies announce is in `events.py`.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from functools import cache
from itertools import pairwise
from pathlib import Path

import polars as pl

from quant_assets.calendars import exchange

SCHEDULE = Path(__file__).parent / "scheduled_dates.csv"
EVENTS = ("fomc", "cpi")
COLUMNS = (
    "calendar_number",
    "calendar_planned",
    "calendar_day_of_week",
    "calendar_month",
    "calendar_session_of_month",
    "calendar_turn_of_month",
    "calendar_to_expiry",
    "calendar_since_expiry",
    *(f"calendar_to_{event}" for event in EVENTS),
)


@cache
def held() -> list[dt.date]:
    """Sessions of the exchange, ascending, from 1990 to the end of next year."""
    return [stamp.date() for stamp in exchange().sessions]


@cache
def planned() -> list[dt.date]:
    """The sessions and the weekdays that would have been some, had the exchange not closed for something that nobody had planned."""
    first, last = held()[0], held()[-1]
    closed = {stamp.date() for stamp in exchange().adhoc_holidays}
    return sorted({*held(), *(day for day in closed if first <= day <= last and day.weekday() < 5)})


def number_held(day: dt.date) -> int | None:
    """The place among the sessions held of the first one on or after the day; None beyond the calendar."""
    return _place(held(), day)


def number_planned(day: dt.date) -> int | None:
    """The place among the sessions planned of the first one on or after the day; None beyond the calendar."""
    return _place(planned(), day)


@cache
def calendar_table() -> pl.DataFrame:
    """One row a session: `session` and COLUMNS, counts as integers; null where the calendar or the schedule does not reach."""
    days = held()
    number, ahead = range(len(days)), [number_planned(day) for day in days]
    of_month = [1]  # the calendar begins with the first session of 1990
    for before, day in pairwise(days):
        of_month.append(of_month[-1] + 1 if before.month == day.month else 1)
    ends_month = [_next_is_of_another_month(place) for place in ahead]
    expiries = option_expiries()
    past = [bisect_left(expiries, day + dt.timedelta(days=1)) - 1 for day in days]  # the last expiry on or before the day
    since = [place - _known(number_held(expiries[last])) if last >= 0 else None for place, last in zip(number, past, strict=True)]
    coming = [bisect_left(expiries, day) for day in days]
    to_expiry = [
        _until(expiries[next_one], place) if next_one < len(expiries) else None for next_one, place in zip(coming, ahead, strict=True)
    ]
    columns: dict[str, object] = {
        "session": days,
        "calendar_number": list(number),
        "calendar_planned": ahead,
        "calendar_day_of_week": [day.isoweekday() for day in days],
        "calendar_month": [day.month for day in days],
        "calendar_session_of_month": of_month,
        "calendar_turn_of_month": [
            int(nth <= 3 or last) if last is not None else None for nth, last in zip(of_month, ends_month, strict=True)
        ],
        "calendar_to_expiry": to_expiry,
        "calendar_since_expiry": since,
    }
    for event in EVENTS:
        columns[f"calendar_to_{event}"] = sessions_to(event)
    return pl.DataFrame(columns, schema={"session": pl.Date, **dict.fromkeys(COLUMNS, pl.Int64)})


def option_expiries() -> list[dt.date]:
    """Last days of trading of monthly equity options: each third Friday, or the session before it when the exchange plans to be closed."""
    found = []
    for year in range(held()[0].year, held()[-1].year + 1):
        for month in range(1, 13):
            first = dt.date(year, month, 1)
            third_friday = first + dt.timedelta(days=(4 - first.weekday()) % 7 + 14)
            place = bisect_left(planned(), third_friday)
            found.append(third_friday if planned()[place] == third_friday else planned()[place - 1])
    return found


def sessions_to(event: str) -> list[int | None]:
    """Of each session how many planned sessions lie between it and the next day of the event that then stood in its schedule.

    An event of a day without a session (a CPI of Good Friday) counts for the next one, on which prices can first answer. None before the
    first day of the schedule that is on file, after the last, and while none stood.
    """
    rows = schedule().filter(event=event)
    dated = rows.drop_nulls("date").sort("date")
    dates = [planned()[_known(number_planned(day))] for day in dated["date"] if day <= planned()[-1]]
    standing = list(zip(dated["known_from"], dated["known_until"], strict=True))[: len(dates)]
    blank = rows.filter(pl.col("date").is_null())
    suspended = list(zip(blank["known_from"], blank["known_until"], strict=True))
    found: list[int | None] = []
    for day in held():
        if not dates[0] <= day <= dates[-1] or any(first <= day <= last for first, last in suspended):
            found.append(None)
            continue
        place = bisect_left(dates, day)
        while place < len(dates) and not _stands(day, *standing[place]):
            place += 1
        found.append(_until(dates[place], _known(number_planned(day))) if place < len(dates) else None)
    return found


@cache
def schedule() -> pl.DataFrame:
    """`scheduled_dates.csv`: event, date, known_from and known_until (the sessions on which the date stood; null: always), source.

    A row without a date: no date stood between the two.
    """
    return pl.read_csv(SCHEDULE, schema_overrides=dict.fromkeys(("date", "known_from", "known_until"), pl.Date))


def _stands(day: dt.date, known_from: dt.date | None, known_until: dt.date | None) -> bool:
    return (known_from is None or known_from <= day) and (known_until is None or day <= known_until)


def _next_is_of_another_month(place: int | None) -> bool | None:
    """Whether the planned session after this one is of another month; None for the last one that the calendar has."""
    days = planned()
    return days[place + 1].month != days[place].month if place is not None and place + 1 < len(days) else None


def _until(day: dt.date, place: int | None) -> int | None:
    there = number_planned(day)
    return None if there is None or place is None else there - place


def _place(days: list[dt.date], day: dt.date) -> int | None:
    place = bisect_left(days, day)
    return place if days[0] <= day <= days[-1] else None


def _known(place: int | None) -> int:
    if place is None:
        raise ValueError("a day beyond the exchange calendar has no place in it")
    return place
