"""What was known at an instant, of tables that keep every version of a value. Every reader of them goes through here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TypeVar

import polars as pl

from quant_assets.schemas import TABLES, Table

Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)


def as_of(rows: Rows, instant: dt.datetime, *, table: str = "macro") -> Rows:
    """Rows of `macro`, or of a table that accumulates, as they stood at `instant` (aware): of each key the latest version known by then.

    An announcement of earnings that was moved stands under both days until it is made: of two to come, the one known later counts.
    """
    return _latest(rows, instant, of=[name for name in TABLES[table].key if name != "known_at"], order=["known_at"])


def known(fundamentals: Rows, instant: dt.datetime) -> Rows:
    """Rows of `fundamentals` as they stood at `instant` (aware): of each figure and period the latest version filed by then.

    A figure is (ticker, taxonomy, concept, unit). Of two filings of one day the one with the higher accession number counts as later,
    which is right where one agent filed both.
    """
    figure = ["ticker", "taxonomy", "concept", "unit", "period_start", "period_end"]
    return _latest(fundamentals, instant, of=figure, order=["known_at", "accession"])


def with_changes(stored: pl.DataFrame, fetched: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The stored rows of a table that accumulates, and of those fetched now each that says something new.

    What differs from the newest stored version became known when it was fetched, if it does not itself say a later moment: a figure that a
    vendor corrects afterwards was not known when the first one was announced.
    """
    of = [name for name in table.key if name != "known_at"]
    values = [name for name in table.schema if name not in (*of, table.event_time, "fetched_at", "known_at")]  # a field may be of today
    newest = stored.sort(*of, "known_at").unique(of, keep="last", maintain_order=True).select(*of, *values, "known_at")
    beside = fetched.join(newest, on=of, how="left", suffix="_stored", maintain_order="left")
    unchanged = pl.all_horizontal(pl.lit(True), *(pl.col(name).eq_missing(pl.col(f"{name}_stored")) for name in values))
    new = beside.filter(pl.col("known_at_stored").is_null() | ~unchanged)
    later = pl.when(pl.col("known_at") <= pl.col("known_at_stored")).then("fetched_at").otherwise("known_at")
    return pl.concat([stored, new.with_columns(known_at=later).select(stored.columns)])


def _latest(rows: Rows, instant: dt.datetime, *, of: Sequence[str], order: Sequence[str]) -> Rows:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone, and what is known at it depends on one")
    return rows.filter(pl.col("known_at") <= instant.astimezone(dt.UTC)).sort(*of, *order).unique(of, keep="last", maintain_order=True)
