"""Who stands behind a ticker, as Massive tells: identifiers, first and last day, and the tickers it had before.

Both frames are of the company (or fund) that has the ticker now. Who had it before somebody else is asked for by FIGI, not by ticker.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
import polars as pl

from quant_assets.errors import NoData
from quant_assets.schemas import UTC, Dtype
from quant_assets.sources.massive import fields, opened, policy_of, reading, table
from quant_assets.sources.wire.wire import Wire

DETAILS: dict[str, Dtype] = {
    "ticker": pl.String,
    "composite_figi": pl.String,
    "share_class_figi": pl.String,
    "cik": pl.String,
    "name": pl.String,
    "type": pl.String,
    "primary_exchange": pl.String,
    "active": pl.Boolean,
    "list_date": pl.Date,
    "delisted_utc": UTC,
}
CHANGES: dict[str, Dtype] = {"ticker": pl.String, "composite_figi": pl.String, "cik": pl.String, "known_as": pl.String, "since": pl.Date}


class MassiveReference:
    """Two requests a name: its details and its ticker changes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.policy = policy_of(wire.clock)

    def details(self, tickers: Sequence[str]) -> pl.DataFrame:
        """One row a ticker: the columns of `DETAILS`, with Massive's names; null where Massive has nothing.

        `cik` has ten digits; `type` is Massive's code (CS a common stock, ETF); `primary_exchange` an ISO 10383 code; `list_date` the
        day the *symbol* was first listed; `delisted_utc` the last day it traded.

        Raises
        ------
        NoData : Massive does not know a ticker. SourceError : no key is set, or the answer cannot be read; else as of the wire.
        """
        rows = [self._details(ticker) for ticker in tickers]
        return table(pd.DataFrame(rows, columns=list(DETAILS), dtype=object), DETAILS, "the reference")

    def changes(self, tickers: Sequence[str]) -> pl.DataFrame:
        """One row a ticker that the company has had: the columns of `CHANGES`, oldest first.

        `ticker` is the one asked for; the company was `known_as` from `since` on, until the next row's. A name that Massive has no
        events of has no rows. `since` need not be a session (META: Saturday 2022-06-11; elsewhere Massive has Thursday the 9th).

        Raises
        ------
        SourceError : no key is set, or the answer cannot be read; else as of the wire.
        """
        rows = [row for ticker in tickers for row in self._changes(ticker)]
        found = table(pd.DataFrame(rows, columns=list(CHANGES), dtype=object), CHANGES, "a ticker change")
        return found.unique(maintain_order=True).sort("ticker", "since", maintain_order=True)

    def _details(self, ticker: str) -> list[Any]:
        with opened(self._wire, self.policy, about=ticker) as client, reading("the reference", ticker):
            told = dict(zip(DETAILS, fields(client.get_ticker_details(quote(ticker, safe="")), DETAILS), strict=True))
            if told["ticker"] != ticker:
                raise ValueError(f"it is of {told['ticker']}")
            if told["list_date"] is not None:
                told["list_date"] = dt.date.fromisoformat(told["list_date"])
            if told["delisted_utc"] is not None:
                told["delisted_utc"] = dt.datetime.fromisoformat(told["delisted_utc"]).astimezone(dt.UTC)
            return list(told.values())

    def _changes(self, ticker: str) -> list[tuple[Any, ...]]:
        with opened(self._wire, self.policy, about=ticker) as client, reading("a ticker change", ticker):
            try:
                found = client.get_ticker_events(quote(ticker, safe=""), types="ticker_change")
            except NoData:
                return []
            who = (ticker, getattr(found, "composite_figi", None), getattr(found, "cik", None))
            changes = [event for event in found.events or () if event["type"] == "ticker_change"]
            return [(*who, event["ticker_change"]["ticker"], dt.date.fromisoformat(event["date"])) for event in changes]
