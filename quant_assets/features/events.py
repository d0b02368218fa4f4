"""Events: what the calendar says of a session, and how far known events lie from it. How days are counted is in `session_calendar.py`."""

from __future__ import annotations

import polars as pl

from quant_assets.features.announcements import ANNOUNCEMENTS
from quant_assets.features.feature import FLAG, Beside, Feature, Tables
from quant_assets.features.session_calendar import COLUMNS, calendar_table

FAMILY = "events"
NUMBER, PLANNED = pl.col("calendar_number"), pl.col("calendar_planned")
SESSION = ("prices.session",)
EX_DATES = ("prices.dividend", "prices.price_basis")
"""Of the dividend its day counts alone, not its amount."""
ANNOUNCED = ("earnings.announced", "earnings.period_end", "earnings.eps_actual", "earnings.revenue_actual")
YEAR = 252
OFF_THE_CALENDAR = "no session of the exchange calendar, which begins with 1990"
FOMC = "scheduled meetings 1996 to 2027 by the Board's calendars (federalreserve.gov/monetarypolicy), which are published a year ahead"
CPI = "releases of February 2004 to 2026 by the schedules of the Bureau of Labor Statistics (bls.gov), which are published a year ahead"


def _join(bars: pl.LazyFrame, _: Tables) -> pl.LazyFrame:
    return bars.join(calendar_table().lazy(), on="session", how="left", maintain_order="left")


CALENDAR = Beside(tables=(), columns=COLUMNS, join=_join)
BESIDE = (CALENDAR, ANNOUNCEMENTS)


def days_since_ex_dividend() -> pl.Expr:
    """Sessions since the last ex-dividend day, 0 on it; null where the last YEAR bars are not all there or none of them is one."""
    since = NUMBER - pl.when(pl.col("dividend") > 0).then(NUMBER).forward_fill()
    complete = pl.int_range(pl.len()) >= YEAR
    return pl.when((pl.col("price_basis") == "raw") & complete & (since <= YEAR)).then(since)


def _event(name: str, expression: pl.Expr, unit: str, formula: str, meaning: str, **more: object) -> Feature:
    further: dict[str, object] = {"inputs": SESSION, "lookback": 0, "missing": OFF_THE_CALENDAR, "low": 0.0, **more}
    return Feature(
        name=name,
        family=FAMILY,
        expression=expression.cast(pl.Float64),
        recursive=False,
        unit=unit,
        formula=formula,
        meaning=meaning,
        **further,  # type: ignore[arg-type]
    )


def _scheduled(event: str, called: str, source: str, first: str, last: str) -> tuple[Feature, ...]:
    """Whether today is the day of the event, and how many sessions away the next one is."""
    to = pl.col(f"calendar_to_{event}")
    missing = f"before {first} or after {last}, or no day stood in the schedule (shutdown of the government)"
    return (
        _event(
            f"{event}_day",
            to == 0,
            FLAG,
            f"1 when {called} is scheduled for the session or a day without one just before it, by the schedule known on it",
            f"the day of {called}",
            source=source,
            missing=missing,
            high=1.0,
        ),
        _event(
            f"days_to_{event}",
            to,
            "sessions",
            f"planned sessions from this one to the next day of {called} in the schedule known on it, 0 on the day itself",
            f"how near {called} is: prices wait for it",
            source=source,
            missing=missing,
        ),
    )


FEATURES = (
    _event(
        "day_of_week",
        pl.col("calendar_day_of_week"),
        "1 to 5",
        "Monday 1, ..., Friday 5",
        "returns have differed between the days of the week",
        source="French (1980), Journal of Financial Economics 8(1)",
        low=1.0,
        high=5.0,
    ),
    _event(
        "month",
        pl.col("calendar_month"),
        "1 to 12",
        "January 1, ..., December 12",
        "returns have differed between months, those of small companies in January above all",
        source="Rozeff and Kinney (1976), Journal of Financial Economics 3(4)",
        low=1.0,
        high=12.0,
    ),
    _event(
        "session_of_month",
        pl.col("calendar_session_of_month"),
        "sessions",
        "sessions of the month up to this one, 1 for its first",
        "how far the month has gone: money is paid in and out at its turn",
        source="exchange calendar",
        low=1.0,
        high=23.0,
    ),
    _event(
        "turn_of_month",
        pl.col("calendar_turn_of_month"),
        FLAG,
        "1 on the last planned session of a month and on the first three of one",
        "the four sessions around the turn of a month, which have earned most of what the market has",
        source="Lakonishok and Smidt (1988), Review of Financial Studies 1(4): sessions -1 to +3",
        high=1.0,
    ),
    _event(
        "days_to_option_expiry",
        pl.col("calendar_to_expiry"),
        "sessions",
        "planned sessions to the next third Friday, or to the session before it when the exchange plans to close on it; 0 on the day",
        "how near the day is on which monthly options expire and positions that hedge them are undone",
        source="OCC and Cboe: equity options expire on the third Friday, the day before it when that is a holiday",
    ),
    _event(
        "days_since_option_expiry",
        pl.col("calendar_since_expiry"),
        "sessions",
        "sessions since the last third Friday, or the session before it when the exchange was closed on it; 0 on the day",
        "how long ago monthly options expired",
        source="as days_to_option_expiry",
        missing="before the first expiry of 1990",
    ),
    *_scheduled("fomc", "the FOMC's decision", FOMC, "1996-01-31", "2028-01-26"),
    *_scheduled("cpi", "the release of the CPI", CPI, "2004-02-20", "2026-12-10"),
    _event(
        "days_since_earnings",
        NUMBER - pl.col("earnings_last"),
        "sessions",
        "sessions from the day of the last announcement whose results are known at the close to this one",
        "how fresh the last results are: prices drift after them",
        inputs=ANNOUNCED,
        missing="no announcement is known",
        source="Bernard and Thomas (1989), Journal of Accounting Research 27; results after a close are known at the next one",
    ),
    _event(
        "days_to_earnings",
        pl.col("earnings_next") - PLANNED,
        "sessions",
        "planned sessions to the next announcement that the vendor expects as known at the close; 0 on the day until results are in",
        "how near the next results are: uncertainty is paid for until then",
        inputs=ANNOUNCED,
        missing="no announcement to come is known: history filled in later has none, as plans are known from the fetch on",
        source="of one quarter the day told last counts, of several quarters the nearest day",
    ),
    _event(
        "days_since_ex_dividend",
        days_since_ex_dividend(),
        "sessions",
        f"sessions since the last bar with a dividend, 0 on it, within {YEAR}",
        "how long ago the right to a dividend was cut off (the day of the next one is not in the bars)",
        inputs=EX_DATES,
        lookback=YEAR,
        missing=f"no dividend in the last {YEAR} sessions, or the name has adjusted prices only, which hide them",
        source="ex-dividend days of the stored bars",
        high=float(YEAR),
    ),
)
