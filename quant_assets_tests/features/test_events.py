"""Event features against loops over the calendar and over what was announced by each close."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping
from itertools import pairwise

import polars as pl
import pytest

from quant_assets.calendars import Window, is_session, session_close, session_table, sessions
from quant_assets.features import events
from quant_assets.features.compute import compute
from quant_assets.features.session_calendar import EVENTS, held, option_expiries, schedule, sessions_to
from quant_assets.quality.lookahead import leaks
from quant_assets.schemas import TABLES
from quant_assets_tests.features import told
from quant_assets_tests.features.panels import SESSIONS, bars, tables
from quant_assets_tests.features.test_recession import closes
from quant_assets_tests.small import FETCHED_AT

D = dt.date
NAMES = tuple(feature.name for feature in events.FEATURES)
CLOSED_UNPLANNED = {D(2012, 10, 29), D(2012, 10, 30)}  # a hurricane
OF_THE_CALENDAR = {"day_of_week", "month", "session_of_month", "turn_of_month", "days_to_option_expiry", "days_since_option_expiry"}
OF_A_SCHEDULE = {"fomc_day", "days_to_fomc", "cpi_day", "days_to_cpi"}
OF_A_NAME = {"days_since_earnings", "days_to_earnings", "days_since_ex_dividend"}


def day_by_day(session: dt.date, until: dt.date) -> int:
    """Planned sessions after `session` up to `until`."""
    days = (session + dt.timedelta(days=n) for n in range(1, (until - session).days + 1))
    return sum(is_session(day) or day in CLOSED_UNPLANNED for day in days)


def third_friday(year: int, month: int) -> dt.date:
    fridays = [week[calendar.FRIDAY] for week in calendar.monthcalendar(year, month) if week[calendar.FRIDAY]]
    day = D(year, month, fridays[2])
    return day if is_session(day) else day - dt.timedelta(days=1)


def test_the_calendar_by_hand():
    days = sessions(Window(D(2007, 12, 3), D(2013, 1, 1)))
    out = compute({"prices": closes(D(2008, 1, 2), D(2012, 12, 1))}, names=sorted(OF_THE_CALENDAR))
    expiries = [third_friday(year, month) for year in range(2007, 2014) for month in range(1, 13)]
    for row in out[::3].iter_rows(named=True):
        session = row["session"]
        of_month = [day for day in days if (day.year, day.month) == (session.year, session.month)]
        coming = min(day for day in expiries if day >= session)
        past = max(day for day in expiries if day <= session)
        expected = {
            "day_of_week": 1 + session.weekday(),
            "month": session.month,
            "session_of_month": 1 + of_month.index(session),
            "turn_of_month": float(session in (*of_month[:3], of_month[-1])),
            "days_to_option_expiry": day_by_day(session, coming),
            "days_since_option_expiry": sum(past < day <= session for day in days),
        }
        assert {name: row[name] for name in expected} == expected, session


def test_option_expiry_is_a_day_earlier_on_good_friday_and_juneteenth():
    """Of the OCC's calendars: 20 March 2008, 17 April 2014, 18 April 2019, 14 April 2022, 17 April 2025 and 18 June 2026 were Thursdays."""
    thursdays = [day for day in option_expiries() if day.weekday() == 3 and D(2005, 1, 1) < day < D(2027, 1, 1)]
    assert thursdays == [D(2008, 3, 20), D(2014, 4, 17), D(2019, 4, 18), D(2022, 4, 14), D(2025, 4, 17), D(2026, 6, 18)]
    assert all(day.weekday() in (3, 4) for day in option_expiries())


def test_a_closing_that_nobody_planned_shortens_no_count_ahead():
    """On the Friday before the hurricane both closed days still lay between it and November's expiry."""
    out = compute({"prices": closes(D(2012, 10, 26), D(2012, 11, 1))}, names=("days_to_option_expiry", "days_since_option_expiry"))
    assert out["days_to_option_expiry"].to_list() == [15, 12]
    assert out["days_since_option_expiry"].to_list() == [5, 6]
    assert compute({"prices": closes(D(2001, 9, 10), D(2001, 9, 18))}, names=("days_to_option_expiry",))[:, 2].to_list() == [9, 4]


@pytest.mark.parametrize("event", EVENTS)
def test_days_to_scheduled_events_by_hand(event: str):
    rows = schedule().filter(event=event).select("date", "known_from", "known_until").rows()
    first, last = min(row[0] for row in rows if row[0]), max(row[0] for row in rows if row[0])
    span = Window(D(2010, 1, 1), D(2014, 1, 1))
    names = (f"{event}_day", f"days_to_{event}")
    out = compute({"prices": closes(span.start, span.end)}, names=names)
    for _, session, flag, to in out.iter_rows():
        standing = [day for day, start, end in rows if (start or first) <= session <= (end or last)]
        if None in standing:
            assert flag is None
            assert to is None
            continue
        coming = min(day for day in standing if day >= session)
        assert (flag, to) == (float(coming == session), day_by_day(session, coming)), session


def test_the_schedule_is_known_as_it_stood():
    """The CPI of September 2013 was planned for 16 October; on the 18th, after the shutdown, it was known to come on the 30th."""

    def on(event: str, *days: dt.date) -> list[int | None]:
        found = dict(zip(held(), sessions_to(event), strict=True))
        return [found[day] for day in days]

    assert on("cpi", D(2013, 10, 11), D(2013, 10, 15)) == [3, 1]
    assert on("cpi", D(2013, 10, 16), D(2013, 10, 17), D(2013, 10, 18)) == [None, None, 8]
    assert on("cpi", D(2025, 10, 9), D(2025, 10, 10), D(2025, 10, 24), D(2025, 10, 27), D(2025, 11, 21)) == [4, 10, 0, None, 18]
    assert on("cpi", D(2026, 2, 3), D(2026, 2, 4), D(2026, 2, 11), D(2026, 2, 13)) == [6, 7, 2, 0]
    assert on("cpi", D(2017, 4, 13), D(2017, 4, 17), D(2017, 4, 18)) == [1, 0, 18]  # of Good Friday: prices answer on Monday
    # The meeting of 18 March 2020 was held on the Sunday before; nobody knew that on the Friday.
    assert on("fomc", D(2020, 3, 13), D(2020, 3, 16), D(2020, 3, 18)) == [3, 31, 29]
    # On 26 August 2011 a second day was added to the meeting of 20 September.
    assert on("fomc", D(2011, 8, 25), D(2011, 8, 26), D(2011, 9, 20), D(2011, 9, 21)) == [17, 17, 1, 0]


@pytest.mark.parametrize(("event", "years", "a_year"), [("fomc", range(1996, 2028), {8}), ("cpi", range(2005, 2027), {11, 12})])
def test_the_schedule_is_whole(event: str, years: range, a_year: set[int]):
    """Eight meetings a year and twelve CPIs, eleven in the year of the long shutdown, each on a planned session, weeks apart."""
    rows = schedule().filter(event=event).drop_nulls("date")
    final = rows.filter(pl.col("known_until").is_null() | (pl.col("date") == D(2020, 3, 18)))["date"].sort()
    counts = final.dt.year().value_counts(name="n").sort("date").rows()
    assert [year for year, n in counts if n in a_year and year in years] == list(years)
    closed = [day for day in final if day < D(2027, 1, 1) and not is_session(day)]
    assert closed == ([] if event == "fomc" else [D(2017, 4, 14), D(2020, 4, 10)])  # Good Fridays, on which the BLS works
    gaps = [(later - day).days for day, later in pairwise(final) if not D(2025, 9, 1) < day < D(2025, 12, 1)]
    shortest, longest = (34, 58) if event == "fomc" else (21, 45)
    assert shortest <= min(gaps) <= max(gaps) <= longest
    assert schedule()["source"].null_count() == 0


def test_outside_its_span_a_schedule_says_nothing():
    for event, first in (("fomc", D(1996, 1, 31)), ("cpi", D(2004, 2, 20))):
        found = dict(zip(held(), sessions_to(event), strict=True))
        before = max(day for day in held() if day < first)
        assert (found[before], found[first]) == (None, 0)
    assert sessions_to("cpi")[-1] is None


def announcements_by_hand(rows: pl.DataFrame, session: dt.date) -> tuple[int | None, int | None]:
    """Sessions since the last announcement whose results were in by the close, and planned sessions to the next one."""
    known = rows.filter(pl.col("known_at") <= session_close(session)).sort("known_at").to_dicts()
    made = [row["announced"] for row in known if row["eps_actual"] is not None]
    plans = {row["period_end"]: row["announced"] for row in known if row["eps_actual"] is None}
    coming = [day for day in plans.values() if day >= session and not any(day <= done for done in made)]
    since = len([day for day in SESSIONS if max(made) <= day <= session]) - 1 if made else None
    if made and not is_session(max(made)):
        since = len([day for day in SESSIONS if max(made) < day <= session]) - 1
    return since, day_by_day(session, min(coming)) + (not is_session(min(coming))) if coming else None


def test_announcements_by_hand():
    panel = tables()
    out = compute(panel, names=("days_since_earnings", "days_to_earnings"))
    rows = panel["earnings"].filter(ticker="AAA")
    for _, session, since, to in out[80::7].iter_rows():
        assert (since, to) == announcements_by_hand(rows, session), session


def announced(*rows: tuple[dt.date, dt.date | None, dt.datetime, float | None]) -> pl.DataFrame:
    """Rows of `earnings` of one name from announced, period_end, known_at, eps_actual."""
    schema = {"announced": pl.Date, "period_end": pl.Date, "known_at": pl.Datetime("us", "UTC"), "eps_actual": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        ticker=pl.lit("AAA"), source=pl.lit("x"), fetched_at=pl.lit(FETCHED_AT)
    )
    absent = {name: dtype for name, dtype in TABLES["earnings"].schema.items() if name not in frame.columns}
    return TABLES["earnings"].conform(frame.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in absent.items()))


def utc(*moment: int) -> dt.datetime:
    return dt.datetime(*moment, tzinfo=dt.UTC)


def seen(rows: pl.DataFrame, first: dt.date, last: dt.date) -> list[tuple[float | None, float | None]]:
    out = compute({"prices": closes(first, last), "earnings": rows}, names=("days_since_earnings", "days_to_earnings"))
    return out.select("days_since_earnings", "days_to_earnings").rows()


def test_an_announcement_that_is_moved_counts_under_its_new_day_once_that_is_known():
    quarter = D(2012, 3, 31)
    rows = announced(
        (D(2012, 4, 24), quarter, utc(2012, 4, 2, 12), None),
        (D(2012, 4, 26), quarter, utc(2012, 4, 19, 12), None),
        (D(2012, 7, 24), D(2012, 6, 30), utc(2012, 4, 2, 12), None),
        (D(2012, 4, 26), quarter, utc(2012, 4, 27, 4), 1.0),
    )
    found = seen(rows, D(2012, 4, 18), D(2012, 4, 28))
    # 18, 19, 20, 23, 24, 25, 26, 27 April; after the announcement the next quarter's is 60 planned sessions away
    assert found == [(None, 4), (None, 5), (None, 4), (None, 3), (None, 2), (None, 1), (None, 0), (1, 60)]


def test_results_before_the_opening_are_in_at_the_close_of_the_day():
    rows = announced((D(2012, 4, 24), None, utc(2012, 4, 2, 12), None), (D(2012, 4, 24), None, utc(2012, 4, 24, 13, 30), 1.0))
    assert seen(rows, D(2012, 4, 23), D(2012, 4, 26)) == [(None, 1), (0, None), (1, None)]


def test_a_plan_that_passes_without_results_is_no_announcement():
    rows = announced((D(2012, 4, 24), None, utc(2012, 4, 2, 12), None))
    assert seen(rows, D(2012, 4, 23), D(2012, 4, 26)) == [(None, 1), (None, 0), (None, None)]


def test_a_day_that_is_no_session_counts_as_the_next_one():
    rows = announced((D(2012, 4, 28), None, utc(2012, 4, 2, 12), None), (D(2012, 4, 28), None, utc(2012, 4, 29, 4), 1.0))
    assert seen(rows, D(2012, 4, 27), D(2012, 5, 2)) == [(None, 1), (0, None), (1, None)]


def test_sessions_since_the_last_dividend_by_hand():
    prices = bars("AAA").sample(fraction=0.97, seed=2).sort("session")
    out = compute({"prices": prices}, names=("days_since_ex_dividend",))["days_since_ex_dividend"].to_list()
    last = None
    for place, row in enumerate(prices.iter_rows(named=True)):
        last = row["session"] if row["dividend"] > 0 else last
        since = len([day for day in SESSIONS if last < day <= row["session"]]) if last else None
        assert out[place] == (since if place >= 252 and since is not None and since <= 252 else None)
    none = compute({"prices": bars("AAA", actions=False)}, names=("days_since_ex_dividend",))
    assert none["days_since_ex_dividend"].null_count() == none.height
    once = bars("AAA", actions=False).with_columns(dividend=pl.when(pl.col("session") == SESSIONS[10]).then(0.5).otherwise(0.0))
    values = compute({"prices": once}, names=("days_since_ex_dividend",))["days_since_ex_dividend"]
    assert values.drop_nulls().to_list() == list(range(242, 253))  # bars 252 to 262, then a year is over


def test_every_feature_is_compared_above():
    assert set(NAMES) == OF_THE_CALENDAR | OF_A_SCHEDULE | OF_A_NAME
    assert len(NAMES) == len(OF_THE_CALENDAR) + len(OF_A_SCHEDULE) + len(OF_A_NAME)


def with_moments() -> dict[str, pl.DataFrame]:
    known = session_table(Window(SESSIONS[0], SESSIONS[-1])).rename({"close_at": "known_at"})
    return {"prices": tables()["prices"].join(known, on="session"), "earnings": told.earnings()}


def test_no_feature_knows_what_is_announced_later():
    """Cut on the days around the announcements of the panel."""
    panel = with_moments()
    days = panel["earnings"].filter(ticker="AAA")["announced"].unique().sort()
    cuts = [session for session in SESSIONS[70:560] if any(abs((session - day).days) <= 1 for day in days)][::2]
    found = leaks(lambda given: compute(given, names=NAMES), panel, cuts)
    assert len(cuts) > 8
    assert found.is_empty(), found


def test_a_join_on_the_day_of_the_announcement_is_found():
    """The planted mistake: the results of an announcement after the close, on the day itself."""

    def leaking(given: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        results = given["earnings"].drop_nulls("eps_actual").select("ticker", session="announced", surprise="eps_actual")
        return compute(given, names=NAMES[:1]).join(results, on=["ticker", "session"], how="left")

    panel = with_moments()
    made = panel["earnings"].filter(ticker="AAA").drop_nulls("eps_actual")["announced"]
    day = made.filter(made.is_in(SESSIONS)).sort()[4]
    found = leaks(leaking, panel, [day])
    assert found["column"].unique().to_list() == ["surprise"]
    assert found["session"].unique().to_list() == [day]


def test_a_bar_on_a_day_that_is_no_session_has_no_calendar():
    odd = closes(D(2012, 4, 27), D(2012, 4, 28)).with_columns(session=pl.lit(D(2012, 4, 28)))
    out = compute({"prices": odd, "earnings": told.earnings()}, names=NAMES)
    assert out.select(NAMES).row(0) == (None,) * len(NAMES)
