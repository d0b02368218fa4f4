"""Macroeconomic series of the Federal Reserve Bank of St. Louis (FRED), with the moment each value became public.

Where values are revised, ALFRED's record of releases is read: every version, and the day it came. Where they are not, and in files that
hold the last version only, the day comes from the publication lag declared here.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pandas as pd
import polars as pl
from pandas.tseries.holiday import USFederalHolidayCalendar

from quant_assets.calendars import TIMEZONE, Window
from quant_assets.errors import BadArgument, NoData, SourceError
from quant_assets.schemas import TABLES, UTC
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import OVERLOADED, Complaint, Policy, Rate, Trouble

if TYPE_CHECKING:
    from quant_assets.sources.wire.over_fredapi import Fred
    from quant_assets.sources.wire.wire import Wire

KEY_VARIABLE = "FRED_API_KEY"
LAST_VERSION = "fred, last version"
"""`source` of rows that came without their history: the value may be one that was revised after `known_at`."""
LONGEST_LAG = dt.timedelta(days=14)  # of the lags below that FRED is asked with: a business day, over any holidays


def _next_business_day(days: pl.Expr) -> pl.Expr:
    return days.dt.add_business_days(1, holidays=_federal_holidays(), roll="backward")


def _end_of_next_month(days: pl.Expr) -> pl.Expr:
    return days.dt.offset_by("1mo").dt.month_end()


def _two_years_later(days: pl.Expr) -> pl.Expr:
    return days.dt.offset_by("2y")


@cache
def _federal_holidays() -> list[dt.date]:
    """The Board publishes on none of them, although the exchange opens on Columbus and Veterans Day."""
    return [day.date() for day in USFederalHolidayCalendar().holidays("1950-01-01", "2099-12-31")]


@dataclass(frozen=True)
class Release:
    """How values of a series become public.

    Parameters
    ----------
    at : time after midnight of the day of publication, New York, at which they are on FRED at the latest.
    lag : from the day a value is about to the day it was published; None: not declared.
    revised : values change after their first publication: ALFRED's record of releases is read, not `lag`.
    """

    at: dt.timedelta
    lag: Callable[[pl.Expr], pl.Expr] | None
    revised: bool


# The Board's H.15 "will be published at 4:15pm every business day" (federalreserve.gov/datadownload, H.15, announcement of 2016-09-26)
# with the rates of the business day before, of a weekend those of its days. ALFRED holds more vintages of them (one a day) than FRED's
# interface gives out at once (2000). They are not revised, but now and then corrected or a day late (federalreserve.gov/feeds/h15):
# of such a day the lag says too early, and the corrected value stands as if it were the first.
_H15 = Release(at=dt.timedelta(hours=16, minutes=30), lag=_next_business_day, revised=False)
# The Bureau of Labor Statistics publishes at 8:30 (bls.gov/schedule) in the month after; the CPI of January 2015 came on 26 February.
# A shutdown of the government delays that, which only ALFRED knows.
_BLS = Release(at=dt.timedelta(hours=10), lag=_end_of_next_month, revised=True)
# The NBER dated the trough of March 1991 on 22 December 1992 (nber.org/research/business-cycle-dating): 21 months late, the longest so far.
# FRED goes on with the state of before until then, and ALFRED shows when that was put right.
_NBER = Release(at=dt.timedelta(hours=25), lag=_two_years_later, revised=True)
RELEASES = {
    "BAA10Y": _H15,  # Moody's Baa yield less a rate of the H.15
    "CPIAUCSL": _BLS,
    "DFF": _H15,
    "DGS10": _H15,
    "DGS2": _H15,
    "T10YIE": _H15,  # the difference of two rates of the H.15
    "UNRATE": _BLS,
    "USREC": _NBER,
    "VIXCLS": Release(at=dt.timedelta(hours=10), lag=_next_business_day, revised=False),  # on FRED the morning after; not revised
}
SERIES = tuple(RELEASES)
# Of any other series: ALFRED's day, at its end in St. Louis.
_BY_VINTAGE = Release(at=dt.timedelta(hours=25), lag=None, revised=True)


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """FRED's own words, and an answer that was cut to the `limit` of its interface, which fredapi would take for all there is."""
    if answer.status in OVERLOADED or answer.status >= 500:
        return None
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError:
        return None
    if root.tag == "error":
        words = root.get("message") or root.findtext("message") or "an error without a message"
        trouble = Trouble.KEY_REFUSED if "api_key" in words else Trouble.NO_DATA if "does not exist" in words else Trouble.UNUSABLE
        return Complaint(trouble, " ".join(words.split()))
    count, limit = (int(root.get(name, "0")) for name in ("count", "limit"))
    if count > limit:
        return Complaint(Trouble.UNUSABLE, f"gave the first {limit} of {count} observations")
    return None


POLICY = Policy(
    vendor="fred",
    server="https://api.stlouisfed.org",
    promises="xml",
    key_variable=KEY_VARIABLE,
    secret_params=frozenset({"api_key"}),
    rates=(Rate(120, 60.0),),
    lasts=lambda request: dt.timedelta(hours=12),  # never last night's answer
    complaint=_complaint,
)


class FredMacro:
    """FRED through fredapi and the wire; its key is in FRED_API_KEY."""

    name = "fred"
    table = "macro"
    policy = POLICY

    def __init__(self, wire: Wire, *, series: Sequence[str] = SERIES) -> None:
        self._wire = wire
        self._series = tuple(series)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Its series, each for all time: what FRED has of one shows when it is fetched."""
        return {series: Window(dt.date.min, dt.date.max) for series in self._series if keys is None or series in keys}

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Columns series, date, realtime_start (NaT where the lag decides), value (NaN where FRED has a dot).

        At least what was published in the window. Of a revised series that is everything: asked for a part of its history, ALFRED moves
        the first day of older values to that part's beginning.

        Raises
        ------
        SourceError : no key is set, or FRED refuses it or the series; SourceUnavailable and NoData as of the wire.
        """
        from quant_assets.sources.wire.over_fredapi import Fred  # of the extra `live`

        key = os.environ.get(KEY_VARIABLE)
        if not key:
            raise SourceError(f"fred: no key in {KEY_VARIABLE}", remedy="get one from fred.stlouisfed.org and set the variable")
        client = Fred(self._wire, POLICY, key)
        try:
            frames = [self._one(client, series, window) for series in keys if series in self._series]
        finally:
            client.close()
        return pd.concat(frames, ignore_index=True) if frames else _frame([], [], [], [])

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        columns = [pl.col("series").cast(pl.String), pl.col("realtime_start").cast(pl.Date), pl.col("value").cast(pl.Float64)]
        return _rows(pl.from_pandas(raw).select(*columns, session=pl.col("date").cast(pl.Date)), source=self.name, fetched_at=fetched_at)

    def _one(self, client: Fred, series: str, window: Window) -> pd.DataFrame:
        try:
            if RELEASES.get(series, _BY_VINTAGE).revised:
                found = client.get_series_all_releases(series)
                days, realtime, values = ([], [], []) if found.empty else (found["date"], found["realtime_start"], found["value"])
            else:
                found = client.get_series(series, observation_start=window.start - LONGEST_LAG, observation_end=window.last_day)
                days, realtime, values = found.index, [None] * len(found), found
            return _frame([series] * len(found), days, realtime, values)
        except SourceError as error:
            if "vintage dates" not in error.message:
                raise
            remedy = f"declare how {series} is published in quant_assets.sources.fred.RELEASES, so that its record is not asked for"
            raise SourceError(error.message, remedy=remedy) from None
        except (ValueError, TypeError) as error:  # of fredapi, which reads dates and numbers without a look at them
            raise SourceError(f"fred: an observation of {series} cannot be read ({error})", remedy="see whether FRED changed it") from None


def read_last_version(file: Path, *, fetched_at: dt.datetime, series: str | None = None) -> pl.DataFrame:
    """Rows of `macro` from a file as FRED hands it out: a column of dates, a column named `value` or as the series.

    Its values are the last version, whatever was published first: `source` says so, and `known_at` is the declared lag.

    Parameters
    ----------
    series : FRED's name; None: that of the second column, or of the file where the column says `value`.

    Raises
    ------
    SourceError : the file is not such a table; NoData : it holds no value. BadArgument : the series has no declared publication lag, or is
        another one.
    """
    try:
        table = pl.read_csv(file, infer_schema=False, null_values=["", "."])
        dates, values = table.columns
        name = file.stem if values == "value" else values
        days, numbers = table[dates].str.to_date("%Y-%m-%d", strict=True), table[values].cast(pl.Float64)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{file} is no table of dates and values ({reason})", remedy="download it from FRED again") from None
    if series not in (None, name):
        raise BadArgument(f"{file} holds {name}, not {series}", remedy="name the file that does")
    if not numbers.count():
        raise NoData(f"{file} holds no value of {name}", remedy="download it from FRED again")
    raw = pl.DataFrame({"session": days, "value": numbers}).with_columns(series=pl.lit(name), realtime_start=pl.lit(None, dtype=pl.Date))
    return _rows(raw, source=LAST_VERSION, fetched_at=fetched_at)


def _frame(series: Iterable[str], days: Iterable[Any], realtime: Iterable[Any], values: Iterable[Any]) -> pd.DataFrame:
    numbers = [None if pd.isna(value) else value for value in values]  # beside dates fredapi's dot is no number but NaT
    frame = pd.DataFrame({"series": list(series), "date": list(days), "realtime_start": list(realtime), "value": numbers})
    return frame.astype({"series": object, "date": "datetime64[us]", "realtime_start": "datetime64[us]", "value": float})


def _rows(raw: pl.DataFrame, *, source: str, fetched_at: dt.datetime) -> pl.DataFrame:
    """Rows of `macro` from series, session, realtime_start and value."""
    values = raw.drop_nulls("value")
    dated = [_dated(part, RELEASES.get(name, _BY_VINTAGE)) for (name,), part in values.group_by("series", maintain_order=True)]
    return TABLES["macro"].conform(
        pl.concat([pl.DataFrame(schema=values.schema).pipe(_dated, _BY_VINTAGE), *dated]).with_columns(
            source=pl.lit(source), fetched_at=pl.lit(fetched_at, dtype=UTC)
        )
    )


def _dated(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """Rows of one series with `published` and `known_at` in place of `realtime_start`."""
    published = pl.col("realtime_start")
    if rows["realtime_start"].null_count():
        if release.lag is None:
            message = f"{rows['series'][0]} has no declared publication lag, and its rows do not say when they were published"
            raise BadArgument(message, remedy="declare its lag in quant_assets.sources.fred.RELEASES, or read it through FRED's interface")
        published = pl.coalesce(published, release.lag(pl.col("session")))
    known_at = (
        (published.cast(pl.Datetime("us")) + release.at).dt.replace_time_zone(TIMEZONE, ambiguous="latest").dt.convert_time_zone("UTC")
    )
    return rows.with_columns(published=published, known_at=known_at).drop("realtime_start")
