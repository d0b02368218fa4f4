"""Bars or ticks with a time of day: which stamps can be instants, which prices can be prices, and where bars are missing.

Daily bars by session are `gate.py`'s business, which rows of a table cannot be true `row_gate.py`'s. No source needs this yet: the lake has
no table of stamped bars.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.errors import BadArgument, require_columns
from quant_assets.schemas import UTC

PRICES = ("open", "high", "low", "close")
SECOND_PASS = dt.timedelta(minutes=30)
"""A step back this long inside the hour that a clock shows twice is the hour's second pass; a shorter one is a row out of its place."""
HOUR = dt.timedelta(hours=1)
MICROSECOND = dt.timedelta(microseconds=1)
WEEK = dt.timedelta(days=7)
EPOCH_WEEKDAY = dt.timedelta(days=3)  # 1970-01-01 was a Thursday
SHOWN = "%Y-%m-%d %H:%M:%S%.f"
REMEDY = "; quarantined, correct it at the source"


@dataclass(frozen=True)
class Closed:
    """The part of each week in which a market is shut, on its own clock, which changes to and from summer time while it is.

    since, until : (ISO weekday, time of day), the first inside and the second not; both in one week from Monday on.
    """

    zone: str
    since: tuple[int, dt.time]
    until: tuple[int, dt.time]


FX_WEEKEND = Closed("America/New_York", (5, dt.time(17)), (7, dt.time(17)))


@dataclass(frozen=True)
class Stamped:
    """accepted : the good rows in their order, and `at`, the stamp's instant (UTC). quarantined : the others as they came, with `row` (from
    0), `check` and `reason`. gaps : after, until (UTC) and n, the bars missing between them.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    gaps: pl.DataFrame


def judge_stamped(
    rows: pl.DataFrame,
    *,
    zone: str | None = None,
    cadence: dt.timedelta | None = None,
    closed: Closed | None = None,
    prices: Sequence[str] = PRICES,
) -> Stamped:
    """Accepts or quarantines each row of one series, with the first of these checks that it fails:

    stamp, skipped_hour, repeated_hour, closed_hours, duplicate, unique_key, stamp_order, positive_price, ohlc_order. An exact copy of a row
    is a duplicate and the first stays; other rows of one instant all go. Of the hour that a clock shows twice the second pass begins where
    the stamp steps back by half an hour or more, of hourly bars where another bar has the same stamp; where that never happens nobody knows
    which of the two it was, and the hour's rows go. Out of order are the fewest rows without which all others ascend.

    Parameters
    ----------
    rows : `stamp` (Datetime) and the prices, in the order in which they were delivered.
    zone : whose wall clock the stamps are; not for stamps that have a zone of their own.
    cadence : time from one bar to the next while the market is open; None: any, and no gap is looked for.
    closed : when no bar is due and none can be.
    prices : columns above 0; with all of PRICES among them their order is looked at too.

    Raises
    ------
    BadArgument : a column is absent; nobody says what clock the stamps are, or two do; `closed` does not lie in one week.
    """
    require_columns(rows.columns, "stamp", *prices)
    told = _with_instants(rows.with_row_index("row"), zone, cadence)
    if closed is not None:
        told = told.with_columns(_within=_microseconds_of_week(closed).is_between(*_bounds(closed), closed="left"))
    original = pl.struct(rows.columns)
    told = told.with_columns(
        _copy=~pl.struct(original, "at").is_first_distinct(),
        _first=pl.col("row").first().over(original, "at"),
    )
    sound = told.filter(_no_instant().is_null(), ~pl.col("_copy"), ~_shut(closed))
    several = sound.filter(pl.struct("at").is_duplicated()).select("row", _n=pl.len().over("at"))
    single = sound.join(several, on="row", how="anti")
    placed = single.with_columns(_late=pl.Series(_out_of_order(single["at"].to_physical().to_list()), dtype=pl.Boolean))
    kept = pl.when(~pl.col("_late")).then("at")
    late = placed.select("row", "_late", _before=kept.forward_fill(), _after=kept.backward_fill())
    for part in (several, late):
        told = told.join(part, on="row", how="left", maintain_order="left")
    judged = told.with_columns(_found=_found(told, rows, prices, closed, zone))
    good = judged.filter(pl.col("_found").is_null())
    bad = judged.filter(pl.col("_found").is_not_null()).with_columns(pl.col("_found").struct.unnest())
    gaps = _gaps(good, cadence, closed)
    return Stamped(good.select(*rows.columns, "at"), bad.select(*rows.columns, "row", "check", "reason"), gaps)


def _with_instants(rows: pl.DataFrame, zone: str | None, cadence: dt.timedelta | None) -> pl.DataFrame:
    """`at` (null where there is none, or two) and `_clock`: why there is none."""
    stamp, own = pl.col("stamp"), rows.schema["stamp"]
    if not isinstance(own, pl.Datetime) or (own.time_zone is None) == (zone is None):
        told = f"stamps are {own} and their zone is given as {zone}"
        raise BadArgument(told, remedy="give the zone of a Datetime column without one, and of no other")
    if zone is None:
        return rows.with_columns(at=stamp.cast(UTC), _clock=pl.lit(None, dtype=pl.String))
    wall = stamp.cast(pl.Datetime("us"))

    def instant(ambiguous: str) -> pl.Expr:
        return wall.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null").dt.convert_time_zone("UTC")  # type: ignore[arg-type]

    bar = pl.struct(pl.exclude("row"))
    rows = rows.with_columns(_one=instant("earliest"), _other=instant("latest"), _again=bar == bar.shift(1))
    twice = rows.filter(pl.col("_one") != pl.col("_other")).select("row", "_one", "_again", hour=wall.dt.truncate("1h"))
    least = SECOND_PASS if cadence is None else min(SECOND_PASS, max(HOUR - cadence, dt.timedelta(0)))
    back = ((pl.col("_one").diff() <= -least) & ~pl.col("_again")).over("hour").fill_null(False)
    passes = twice.with_columns(_pass=back.cum_sum().over("hour")).select("row", "_pass", _passes=pl.col("_pass").max().over("hour") + 1)
    both = rows.join(passes, on="row", how="left", maintain_order="left")
    untold = pl.col("_passes") == 1
    clock = pl.when(stamp.is_not_null() & pl.col("_one").is_null()).then(pl.lit("skipped_hour")).when(untold).then(pl.lit("repeated_hour"))
    at = pl.when(untold).then(None).when(pl.col("_pass") > 0).then("_other").otherwise("_one")
    return both.with_columns(at=at, _clock=clock).drop("_one", "_other", "_again", "_pass", "_passes")


def _no_instant() -> pl.Expr:
    """The check that a row without an instant fails, null where there is one."""
    return pl.coalesce("_clock", pl.when(pl.col("at").is_null()).then(pl.lit("stamp")))


def _shut(closed: Closed | None) -> pl.Expr:
    return pl.lit(False) if closed is None else pl.col("_within").fill_null(False)


def _found(told: pl.DataFrame, rows: pl.DataFrame, prices: Sequence[str], closed: Closed | None, zone: str | None) -> pl.Expr:
    """check and reason of the first check that a row fails, null where it fails none."""
    stamp, own = pl.col("stamp").dt.to_string(SHOWN), rows.columns
    shown = {name: pl.col(name).cast(pl.String).fill_null("missing") for name in prices}
    hours = f"{closed.zone} is shut from {_named(closed.since)} to {_named(closed.until)}" if closed else ""
    checks: list[tuple[str, pl.Expr, pl.Expr]] = [
        ("stamp", _no_instant() == "stamp", pl.format("row {} has no stamp" + REMEDY, "row")),
        ("skipped_hour", _no_instant() == "skipped_hour", pl.format(f"{{}}: clocks of {zone} skipped that hour{REMEDY}", stamp)),
        (
            "repeated_hour",
            _no_instant() == "repeated_hour",
            pl.format(
                f"{{}}: clocks of {zone} showed that hour twice and the rows show it once; quarantined, ask the source for UTC", stamp
            ),
        ),
        ("closed_hours", _shut(closed), pl.format(f"{{}}: {hours}; quarantined, correct the clock or the hours", stamp)),
        ("duplicate", pl.col("_copy"), pl.format("{}: row {} again; quarantined, the first one stays", stamp, "_first")),
        (
            "unique_key",
            pl.col("_n").is_not_null(),
            pl.format("{}: {} rows of that instant differ (limit 1)" + REMEDY, stamp, "_n"),
        ),
        (
            "stamp_order",
            pl.col("_late").fill_null(False),
            pl.format(
                "{}: row {}, between {} and {} of the others; quarantined, sort the rows if their order means nothing",
                stamp,
                "row",
                *(pl.col(name).dt.to_string(SHOWN + " UTC").fill_null("no stamp") for name in ("_before", "_after")),
            ),
        ),
        *(
            (
                "positive_price",
                pl.col(name).is_null() | ~(pl.col(name).is_finite() & (pl.col(name) > 0)),
                pl.format(f"{{}}: {name} is {{}}, a price is above 0{REMEDY}", stamp, shown[name]),
            )
            for name in prices
        ),
    ]
    if set(PRICES) <= set(prices) & set(own):
        top, bottom = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
        checks += [
            ("ohlc_order", pl.col("high") < top, pl.format("{}: high {} is below {} of its own bar" + REMEDY, stamp, "high", top)),
            ("ohlc_order", pl.col("low") > bottom, pl.format("{}: low {} is above {} of its own bar" + REMEDY, stamp, "low", bottom)),
        ]
    return pl.coalesce(
        pl.when(fails.fill_null(False)).then(pl.struct(check=pl.lit(check), reason=reason)) for check, fails, reason in checks
    )


def _named(moment: tuple[int, dt.time]) -> str:
    return f"{('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')[moment[0] - 1]} {moment[1]:%H:%M}"


def _out_of_order(instants: list[int]) -> list[bool]:
    """False for the members of one longest ascending part (patience sorting), True for the others."""
    tails: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for place, instant in enumerate(instants):
        n = bisect_left(tails, instant)
        before.append(at[n - 1] if n else -1)
        if n == len(tails):
            tails.append(instant)
            at.append(place)
        else:
            tails[n], at[n] = instant, place
    late = [True] * len(instants)
    place = at[-1] if at else -1
    while place >= 0:
        late[place] = False
        place = before[place]
    return late


def _bounds(closed: Closed) -> tuple[int, int]:
    """Microseconds since Monday 0:00."""
    since, until = (
        dt.timedelta(days=day - 1, hours=time.hour, minutes=time.minute, seconds=time.second) // MICROSECOND
        for day, time in (closed.since, closed.until)
    )
    if since >= until:
        told = f"a market is shut from {_named(closed.since)} to {_named(closed.until)}"
        raise BadArgument(told, remedy="give two moments of one week, Monday first")
    return since, until


def _market_time(closed: Closed) -> pl.Expr:
    """Microseconds on the market's wall clock since a Monday 0:00."""
    wall = pl.col("at").dt.convert_time_zone(closed.zone).dt.replace_time_zone(None)
    return wall.to_physical() + EPOCH_WEEKDAY // MICROSECOND


def _microseconds_of_week(closed: Closed) -> pl.Expr:
    return _market_time(closed) % (WEEK // MICROSECOND)


def _open_time(closed: Closed | None) -> pl.Expr:
    """Microseconds in which the market was open, since long ago."""
    if closed is None:
        return pl.col("at").to_physical()
    since, until = _bounds(closed)
    week, place = _market_time(closed) // (WEEK // MICROSECOND), _microseconds_of_week(closed)
    return week * (WEEK // MICROSECOND - (until - since)) + place.clip(upper_bound=since) + (place - until).clip(lower_bound=0)


def _gaps(rows: pl.DataFrame, cadence: dt.timedelta | None, closed: Closed | None) -> pl.DataFrame:
    """after, until, n (bars missing); a row each."""
    if cadence is None:
        return pl.DataFrame(schema={"after": UTC, "until": UTC, "n": pl.Int64})
    missing = (_open_time(closed).diff() - 1) // (cadence // MICROSECOND)
    return rows.select(after=pl.col("at").shift(1), until=pl.col("at"), n=missing.cast(pl.Int64)).filter(pl.col("n") > 0)
