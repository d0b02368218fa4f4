"""What had been told of a name at each moment at which something was told: the only past that a family of filings or opinions reads.

Rows are handed out in the order in which they became known, so what a ledger says after a moment cannot know a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from quant_assets.calendars import TIMEZONE
from quant_assets.features.known import last_known

UTC = pl.Datetime("us", "UTC")


class Ledger(Protocol):
    """What is kept of one name: it takes rows as they become known, and says how things stand."""

    def tell(self, row: Sequence[Any]) -> None:
        """One row, without ticker and known_at."""

    def state(self) -> Sequence[Any]:
        """How things stand after the rows told so far."""


def moment_by_moment(told: pl.LazyFrame, ledger: Callable[[], Ledger], state: Mapping[str, DataType | DataTypeClass]) -> pl.LazyFrame:
    """How things stood after each moment at which something of a name became known.

    Parameters
    ----------
    told : `ticker`, `known_at` (UTC) and the columns that the ledger takes; rows of one moment are told in the order of the frame.
    ledger : a new one for each name.
    state : columns and types of what a ledger states.

    Returns
    -------
    `ticker known_at` and the columns of `state`, a row for each (ticker, known_at), sorted.
    """
    rows = told.sort("ticker", "known_at", maintain_order=True).with_columns(pl.col("known_at").to_physical()).collect()
    found = []
    for ticker, of_a_name in groupby(rows.select("ticker", "known_at", pl.exclude("ticker", "known_at")).iter_rows(), itemgetter(0)):
        kept = ledger()
        for known_at, of_a_moment in groupby(of_a_name, itemgetter(1)):
            for row in of_a_moment:
                kept.tell(row[2:])
            found.append((ticker, known_at, *kept.state()))
    schema = {"ticker": pl.String, "known_at": pl.Int64, **state}
    return pl.LazyFrame(found, schema=schema, orient="row").with_columns(pl.col("known_at").cast(UTC))


def start_of_day(day: pl.Expr) -> pl.Expr:
    """The instant (UTC) at which a day begins in New York."""
    return day.cast(pl.Datetime("us")).dt.replace_time_zone(TIMEZONE).dt.convert_time_zone("UTC")


def beside(bars: pl.LazyFrame, told: pl.LazyFrame, columns: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    """The bars with these columns of the last row of `told` that was known at their close, and with no other column of it."""
    given = last_known(bars, told.select("ticker", "known_at", **columns), list(columns))
    return given.select(*bars.collect_schema().names(), *columns)
