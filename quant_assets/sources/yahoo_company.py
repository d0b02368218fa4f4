"""What Yahoo Finance says of a company now: its largest holders, and fields such as sector, shares outstanding and ratios.

Both are known as of the fetch: Yahoo does not say since when it has shown them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import SourceError
from quant_assets.schemas import UTC, Dtype
from quant_assets.sources.yahoo_vendor import ADAPT, NEW_YORK, OverYahoo, yahoo_symbol

HOLDER_COLUMNS: dict[str, Dtype] = {
    "ticker": pl.String,
    "kind": pl.String,
    "Holder": pl.String,
    "Date Reported": pl.Datetime("us"),
    **dict.fromkeys(("Shares", "pctHeld", "Value"), pl.Float64),
}
OF_A_HOLDER = tuple(HOLDER_COLUMNS)[2:]
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
        """Whatever is asked for, although only the last report of each holder is there."""
        return dict.fromkeys(keys or (), Window(dt.date.min, dt.date.max))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, ticker and kind, of the holdings reported for a day of the window.

        Raises
        ------
        NoData : Yahoo does not know a name. SourceError : an answer is not what was promised; SourceUnavailable as of the wire.
        """
        rows = [row for key in sorted(keys) for row in self._holdings(key) if row["Date Reported"].date() in window]
        return pd.DataFrame(rows, columns=list(HOLDER_COLUMNS), dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        rows = self._read(raw, HOLDER_COLUMNS).unique(maintain_order=True)
        return self._conformed(
            rows.select(
                "ticker",
                "kind",
                holder="Holder",
                reported=pl.col("Date Reported").dt.date(),
                shares="Shares",
                fraction="pctHeld",
                value="Value",
                source=pl.lit(self.name),
                fetched_at=pl.lit(fetched_at, dtype=UTC),
                known_at=pl.lit(fetched_at, dtype=UTC),
            )
        )

    def _holdings(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for kind, held in self._client.holders(yahoo_symbol(key)).items():
            absent = [name for name in OF_A_HOLDER if name not in held]
            if absent and not held.empty:
                message = f"yahoo's {kind} holders of {key} have no {', '.join(absent)} but {', '.join(map(str, held.columns))}"
                raise SourceError(message, remedy=ADAPT)
            if not held.empty and held["Date Reported"].hasnans:
                raise SourceError(f"yahoo's {kind} holders of {key}: one has no date", remedy=ADAPT)
            holdings = held.reindex(columns=list(OF_A_HOLDER)).itertuples(index=False)
            rows += [dict(zip(HOLDER_COLUMNS, (key, kind, *holding), strict=True)) for holding in holdings]
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
        fields = zip(raw["ticker"], raw["field"], raw["value"], strict=True)
        kept = [(ticker, field, value) for ticker, field, value in fields if value is not None and not _is_quote(field)]
        told = {
            "ticker": [ticker for ticker, _, _ in kept],
            "field": [field for _, field, _ in kept],
            "text": [_text(value) for *_, value in kept],
            "number": [_number(value) for *_, value in kept],
        }
        return self._conformed(
            pl.DataFrame(told, schema=dict.fromkeys(("ticker", "field", "text"), pl.String) | {"number": pl.Float64}).with_columns(
                observed=pl.lit(fetched_at.astimezone(NEW_YORK).date()),
                source=pl.lit(self.name),
                fetched_at=pl.lit(fetched_at, dtype=UTC),
                known_at=pl.lit(fetched_at, dtype=UTC),
            )
        )


def _is_quote(field: str) -> bool:
    return field in QUOTE_FIELDS or field.startswith(QUOTE_PREFIXES) or field.endswith(QUOTE_SUFFIXES)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
