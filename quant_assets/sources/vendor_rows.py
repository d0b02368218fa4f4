"""What the files of vendors with a key share: the key, numbers and moments as vendors write them, rows told twice, what cannot be read.

Which fields a vendor has, and what they mean, is in its own file.
"""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl

from quant_assets.calendars import TIMEZONE, Window
from quant_assets.errors import SchemaMismatch, SourceError
from quant_assets.schemas import TABLES
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.secrecy import HIDDEN

NULLS = ("", "-", "None")
"""How vendors that write numbers as text write that there is none."""
OPENING = dt.time(9, 30)
SHOWN_CHARACTERS = 80
UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)

Record = Mapping[str, Any]


def required_key(policy: Policy, *, page: str) -> str:
    """The vendor's key. Raises SourceError when none is set; `page` is where one is to be had."""
    if key := os.environ.get(policy.key_variable or ""):
        return key
    raise SourceError(f"{policy.vendor}: no key in {policy.key_variable}", remedy=f"get one from {page} and set the variable")


def new_york_day(moment: dt.datetime) -> dt.date:
    return moment.astimezone(ZoneInfo(TIMEZONE)).date()


def end_of_day(day: dt.date) -> dt.datetime:
    """The instant (UTC) at which the day is over in New York: what is dated by it was public by then."""
    return _in_new_york(day + dt.timedelta(days=1), dt.time())


def earnings_known_at(announced: dt.date, when: str | None, *, is_out: bool, fetched_at: dt.datetime) -> dt.datetime:
    """From when on a row of `earnings` may be used: results from the day's opening when they came before it, else from the day's end.

    That an announcement is to come is the vendor's word at the moment of the fetch.
    """
    if not is_out:
        return fetched_at
    return _in_new_york(announced, OPENING) if when == "before_open" else end_of_day(announced)


def number(value: Any) -> float | None:
    """A finite number that may be written as text. Raises ValueError or TypeError for anything else."""
    if value is None or value in NULLS:
        return None
    if isinstance(value, bool):
        raise TypeError(f"{value} where a number was expected")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{value} is no number")
    return found


def whole_number(value: Any) -> int | None:
    found = number(value)
    if found is not None and found != int(found):
        raise ValueError(f"{value} is no whole number")
    return None if found is None else int(found)


def text(value: Any) -> str | None:
    """None for an empty text. Raises TypeError for what is no text."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} where a text was expected")
    return value or None


def listed(answer: Any, policy: Policy, what: str, ticker: str) -> list[dict[str, Any]]:
    """The answer, if it is a list of objects. Raises SourceError otherwise."""
    if isinstance(answer, list) and all(isinstance(item, dict) for item in answer):
        return answer
    raise unreadable(policy, what, ticker, f"{type(answer).__name__} where a list of objects was expected")


def is_about(asked: str, told: object) -> bool:
    """Whether two spellings of a ticker are the same one: vendors write BRK.B, BRK-B and BRK/B."""
    return _letters(asked) == _letters(str(told))


def unreadable(policy: Policy, what: str, ticker: str, said: str) -> SourceError:
    """The error that says what arrived; `said` is shortened, and a key in it hidden."""
    key = os.environ.get(policy.key_variable or "")
    shown = said.replace(key, HIDDEN) if key else said  # vendors repeat it in their answers
    return SourceError(
        f"{policy.vendor}: {what} of {ticker} cannot be read ({shown[:SHOWN_CHARACTERS]})", remedy=f"see whether {policy.vendor} changed it"
    )


def dated(records: Iterable[Record], field: str, window: Window, *, policy: Policy, what: str) -> Iterator[Record]:
    """The records whose day is in the window. Raises SourceError for one without a day."""
    for record in records:
        try:
            inside = dt.date.fromisoformat(record[field]) in window
        except UNREADABLE:
            raise unreadable(policy, what, record["ticker"], f"{field} is {record.get(field)!r}") from None
        if inside:
            yield record


def raw_frame(records: Iterable[Record], fields: Iterable[str]) -> pd.DataFrame:
    """The records as delivered, one column a field; None where a record lacks one. A field that every record lacks has no column."""
    told = list(records)
    columns = ["ticker", *(name for name in fields if not told or any(name in record for record in told))]
    return pd.DataFrame([[record.get(name) for name in columns] for record in told], columns=columns, dtype=object)


def rows_of(table: str, raw: pd.DataFrame, row: Callable[[Record], Record], *, policy: Policy, what: str) -> pl.DataFrame:
    """The rows of `table` that `row` makes of each record, those told twice once.

    Raises
    ------
    SourceError : a record cannot be read, or two rows with one key differ.
    """
    spec = TABLES[table]
    tickers = ", ".join(sorted(set(raw["ticker"])))
    try:
        frame = pl.DataFrame(list(_read(raw, row, policy, what)), schema=spec.schema, orient="row")
        return spec.conform(frame.unique(maintain_order=True))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise unreadable(policy, what, tickers, str(error).splitlines()[0]) from None
    except SchemaMismatch as error:
        message = f"{policy.vendor}: {what} of {tickers} does not fit: {error.message}"
        raise SourceError(message, remedy=f"see whether {policy.vendor} changed it") from None


def _read(raw: pd.DataFrame, row: Callable[[Record], Record], policy: Policy, what: str) -> Iterator[Record]:
    for record in raw.to_dict("records"):
        try:
            yield row({str(name): value for name, value in record.items()})
        except UNREADABLE as error:
            raise unreadable(policy, what, record["ticker"], str(error)) from None


def _letters(ticker: str) -> str:
    return "".join(letter for letter in ticker.upper() if letter.isalnum())


def _in_new_york(day: dt.date, time: dt.time) -> dt.datetime:
    return dt.datetime.combine(day, time, ZoneInfo(TIMEZONE)).astimezone(dt.UTC)
