"""Counts of shares outstanding for the made-up names, as the cover pages of quarterly filings tell them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from quant_assets.features.cover_shares import CONCEPT
from quant_assets.schemas import TABLES

FIRST, LAST = dt.date(2009, 10, 16), dt.date(2012, 12, 1)


def count(ticker: str, day: dt.date, shares: float, *, delay: int = 12, **other: object) -> dict[str, object]:
    """One row of `fundamentals`: the shares on `day`, filed `delay` days later and known at the end of that day in New York (UTC-5)."""
    filed = day + dt.timedelta(days=delay)
    known_at = dt.datetime.combine(filed + dt.timedelta(days=1), dt.time(5), dt.UTC)
    row = {"ticker": ticker, "taxonomy": "dei", "concept": CONCEPT, "unit": "shares", "period_start": None, "period_end": day}
    row |= {"value": shares, "accession": f"{ticker}-{filed}", "form": "10-Q", "fiscal_year": day.year, "fiscal_period": "Q1"}
    return row | {"filed": filed, "source": "sec", "fetched_at": known_at, "known_at": known_at} | other


def fundamentals(rows: Sequence[dict[str, object]]) -> pl.DataFrame:
    return TABLES["fundamentals"].conform(pl.DataFrame(rows, schema=TABLES["fundamentals"].schema))


def shares_outstanding_rows() -> pl.DataFrame:
    """A count a quarter for each name, from before the first bar of a panel on; a little more each time."""
    quarters = range((LAST - FIRST).days // 91)
    return fundamentals(
        [
            count(ticker, FIRST + dt.timedelta(days=91 * quarter), 5e6 * 1.01**quarter)
            for ticker in ("AAA", "BBB", "CCC", "DDD")
            for quarter in quarters
        ]
    )
