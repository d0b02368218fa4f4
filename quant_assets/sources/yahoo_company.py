"""What Yahoo Finance says of a company now: its largest holders, and fields such as sector, shares outstanding and ratios.

Both are known as of the fetch: Yahoo does not say since when it has shown them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.sources.vendor_rows import Record, new_york_day, number, raw_frame, rows_of, text, unreadable
from quant_assets.sources.yahoo_vendor import OverYahoo, delivered, yahoo_symbol

LATEST_REPORT = dt.timedelta(days=366)
OF_A_HOLDER = ("Holder", "Date Reported", "Shares", "pctHeld", "Value")
# Fields that are not kept, as they change with every trade or with the time of day:
QUOTE_PREFIXES = ("regularMarket", "preMarket", "postMarket", "overnightMarket", "fullday", "bid", "ask")
QUOTE_SUFFIXES = ("Change", "ChangePercent")  # of the last price from yesterday's, from its means, from the highs and lows
QUOTE_FIELDS = frozenset(
    {"currentPrice", "open", "previousClose", "dayLow", "dayHigh", "volume", "volume24Hr", "volumeAllCurrencies"}
    | {"marketState", "quoteSourceName", "maxAge"}
)
# Ratios to the price (trailingPE, marketCap, dividendYield, fiftyDayAverage) are kept, though they change once a session.


class YahooHolders(OverYahoo):
    """The ten or so largest institutions and funds, by their last reports."""

    table = "holders"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """The last year: only the last report of each holder is there."""
        return dict.fromkeys(keys or (), Window(self._today - LATEST_REPORT, self._today + dt.timedelta(days=1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, ticker and kind, of the holdings reported for a day of the window.

        Raises
        ------
        NoData : Yahoo does not know a name. SourceError : an answer is not what was promised; SourceUnavailable as of the wire.
        """
        rows = [row for key in sorted(keys) for row in self._holdings(key) if row["Date Reported"].date() in window]
        return raw_frame(rows, ("kind", *OF_A_HOLDER))

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(holding: Record) -> Record:
            return {
                "ticker": holding["ticker"],
                "kind": holding["kind"],
                "holder": text(holding["Holder"]),
                "reported": holding["Date Reported"].date(),
                "shares": number(holding["Shares"]),
                "fraction": number(holding["pctHeld"]),
                "value": number(holding["Value"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="holders")

    def _holdings(self, key: str) -> list[Record]:
        rows = list[Record]()
        for kind, held in self._client.holders(yahoo_symbol(key)).items():
            if held.empty:
                continue
            if absent := [name for name in OF_A_HOLDER if name not in held]:
                raise unreadable(self.policy, f"{kind} holders", key, f"no {', '.join(absent)} but {', '.join(map(str, held.columns))}")
            if held["Date Reported"].hasnans:
                raise unreadable(self.policy, f"{kind} holders", key, "one has no date")
            rows += [holding | {"ticker": key, "kind": kind} for holding in delivered(held)]
        return rows


class YahooCompanyInfo(OverYahoo):
    """Every field of yfinance's `info` but quotes; nested ones as JSON."""

    table = "company_info"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Of today: Yahoo does not tell what it said on another day."""
        return dict.fromkeys(keys or (), Window(self._today, self._today + dt.timedelta(days=1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Columns ticker, field and value; no rows unless today is in the window.

        Raises
        ------
        NoData : Yahoo does not know a name. SourceError : an answer is not what was promised; SourceUnavailable as of the wire.
        """
        asked = sorted(keys) if self._today in window else []
        rows = [(key, field, value) for key in asked for field, value in self._client.info(yahoo_symbol(key)).items()]
        return pd.DataFrame(rows, columns=["ticker", "field", "value"], dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(told: Record) -> Record:
            value = told["value"]
            return {
                "ticker": told["ticker"],
                "field": told["field"],
                "observed": new_york_day(fetched_at),
                "text": value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False),
                "number": None if isinstance(value, bool) or not isinstance(value, int | float) else number(value),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        kept = raw[raw["value"].notna() & ~raw["field"].map(_is_quote).astype(bool)]
        return rows_of(self.table, kept, row, policy=self.policy, what="company information")


def _is_quote(field: str) -> bool:
    return field in QUOTE_FIELDS or field.startswith(QUOTE_PREFIXES) or field.endswith(QUOTE_SUFFIXES)
