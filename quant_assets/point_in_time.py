"""What was known at an instant, of tables that keep every version of a value. Every reader of them goes through here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TypeVar

import polars as pl

Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)


def as_of(macro: Rows, instant: dt.datetime) -> Rows:
    """Rows of `macro` as they stood at `instant` (aware): of each (series, session) the latest version known by then."""
    return _latest(macro, instant, of=["series", "session"], order=["known_at"])


def known(fundamentals: Rows, instant: dt.datetime) -> Rows:
    """Rows of `fundamentals` as they stood at `instant` (aware): of each figure and period the latest version filed by then.

    A figure is (ticker, taxonomy, concept, unit). Of two filings of one day the one with the higher accession number counts as later,
    which is right where one agent filed both.
    """
    figure = ["ticker", "taxonomy", "concept", "unit", "period_start", "period_end"]
    return _latest(fundamentals, instant, of=figure, order=["known_at", "accession"])


def _latest(rows: Rows, instant: dt.datetime, *, of: Sequence[str], order: Sequence[str]) -> Rows:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone, and what is known at it depends on one")
    return rows.filter(pl.col("known_at") <= instant.astimezone(dt.UTC)).sort(*of, *order).unique(of, keep="last", maintain_order=True)
