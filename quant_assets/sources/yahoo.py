"""Daily bars of any US listing, and of the indices, from Yahoo Finance. No key; personal use only by Yahoo's terms.

What Yahoo calls the close is divided by every split since, and so are open, high, low and dividends; volume is multiplied. Each answer
begins with the window and ends *now*, whatever window is asked for, so that it holds every split it was adjusted by: that gives back what
was traded. Answers of two days must never be mixed, for a split may lie between them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl

from quant_assets.calendars import TIMEZONE, Window, last_settled_session, next_settled, session_offset, session_on_or_after
from quant_assets.errors import NoData
from quant_assets.sources.base import known_at_close
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import Complaint, Policy, Rate, Trouble
from quant_assets.sources.wire.wire import Clock, Wire

if TYPE_CHECKING:
    from quant_assets.sources.yahoo_charts import Charts

CHART = "/v8/finance/chart/"
SERIES = {"nasdaq": "^IXIC", "sp500": "^GSPC"}
FIRST_OFFERED = dt.date(1990, 1, 2)
"""Yahoo has older bars; the exchange calendar begins here."""
REFUSALS = (401, 403)
TICK_DECIMALS = 4
"""Yahoo's numbers carry the noise of single precision, times the splits since; no US price moves by less than a hundredth of a cent."""
COLUMNS = ("Open", "High", "Low", "Close", "Volume", "Dividends", "Stock Splits")


def policy_of(clock: Clock) -> Policy:
    """Yahoo publishes no limits; these are below those at which users report to be shut out for hours."""
    return Policy(
        vendor="yahoo",
        server="https://query2.finance.yahoo.com",
        secret_params=frozenset({"crumb"}),
        rates=(Rate(2, 1.0), Rate(60, 60.0)),
        # Whatever the window, the answer ends now: it is complete until the next bar, and no longer.
        lasts=lambda request: next_settled(clock.now()) - clock.now(),
        complaint=_complaint,
        passes=_passes,
        symbol=_symbol,
    )


class YahooPrices:
    """Bars as traded with splits and dividends. Capital gains that funds distribute are not in `dividend`."""

    name = "yahoo"
    table = "prices"

    def __init__(self, wire: Wire) -> None:
        self.policy = policy_of(wire.clock)
        self._charts = _Charts(wire, self.policy)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Yahoo cannot be asked what it lists: any name may be there."""
        return dict.fromkeys(keys or (), self._charts.covered)

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, lower-case `ticker` and `date`, and `Later Splits`: shares of today for one of that day.

        The bar of a session that is still running, or has just closed, is left out.
        """
        before = Window(session_offset(session_on_or_after(window.start), -1), window.end) if window.start > FIRST_OFFERED else window
        return pd.concat([self._charts.bars(key, before).assign(ticker=key) for key in sorted(keys)], ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        later, split = pl.col("Later Splits"), pl.col("Stock Splits")
        prices = (pl.col("Open", "High", "Low", "Close").cast(pl.Float64) * later).round(TICK_DECIMALS).name.to_lowercase()
        bars = pl.from_pandas(raw).select(
            pl.col("ticker").cast(pl.String),
            prices,
            session=pl.col("date").dt.date(),
            volume=(pl.col("Volume") / later).round(),
            split_factor=pl.when(split == 0).then(1.0).otherwise(split.cast(pl.Float64)),
            # a share after the day's own split, as the later ones only are undone
            dividend=(pl.col("Dividends").cast(pl.Float64) * later).round(TICK_DECIMALS),
            inferred=pl.lit(False),
            price_basis=pl.lit("raw"),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(bars)


class YahooIndices:
    """The S&P 500 and the Nasdaq Composite."""

    name = "yahoo"
    table = "index_prices"

    def __init__(self, wire: Wire) -> None:
        self.policy = policy_of(wire.clock)
        self._charts = _Charts(wire, self.policy)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return {series: self._charts.covered for series in (SERIES if keys is None else keys) if series in SERIES}

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        charts = [self._charts.bars(SERIES[key], window).assign(series=key) for key in sorted(keys) if key in SERIES]
        return pd.concat(charts, ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        bars = pl.from_pandas(raw).select(
            pl.col("series").cast(pl.String),
            pl.col("Open", "High", "Low", "Close", "Volume").cast(pl.Float64).name.to_lowercase(),
            session=pl.col("date").dt.date(),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(bars)


class _Charts:
    """A window of a chart, with what it takes to undo its adjustment."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._wire, self._policy = wire, policy

    @property
    def covered(self) -> Window:
        return Window(FIRST_OFFERED, last_settled_session(self._wire.clock.now()) + dt.timedelta(days=1))

    @cached_property
    def _client(self) -> Charts:
        from quant_assets.sources.yahoo_charts import Charts  # yfinance imports for a second: only when asked for

        return Charts(self._wire, self._policy)

    def bars(self, symbol: str, window: Window) -> pd.DataFrame:
        now = self._wire.clock.now()
        tomorrow = now.astimezone(ZoneInfo(TIMEZONE)).date() + dt.timedelta(days=1)  # today's split is known before today's bar
        chart = self._client.daily(symbol, since=window.start, until=tomorrow)
        if chart.empty:
            raise NoData(f"yahoo has no bars of {symbol} since {window.start}", remedy="correct its name or its first session")
        splits = chart["Stock Splits"].where(chart["Stock Splits"] != 0, 1.0)
        later = splits[::-1].cumprod().shift(1, fill_value=1.0)[::-1]
        frame = chart[list(COLUMNS)].copy()
        frame["date"], frame["Later Splits"] = pd.DatetimeIndex(chart.index).tz_localize(None), later
        end = min(window.end, last_settled_session(now) + dt.timedelta(days=1))
        return frame[(frame["date"] >= pd.Timestamp(window.start)) & (frame["date"] < pd.Timestamp(end))].reset_index(drop=True)


def _symbol(request: Request) -> str | None:
    _, found, symbol = request.endpoint.partition(CHART)
    return unquote(symbol) if found else None


def _passes(request: Request, answer: Answer) -> bool:
    """What yfinance judges itself: the pages that give cookie and crumb, and a first refusal, after which it gets them."""
    asked_without = "crumb" not in dict(request.params)
    return CHART not in request.endpoint or (answer.status in REFUSALS and asked_without)


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """Yahoo explains itself in the chart's own JSON, whatever the status."""
    if answer.status >= 500 or answer.status in (*REFUSALS, 429):
        return None
    try:
        chart = json.loads(answer.body)["chart"]
        error, result = chart.get("error"), chart.get("result")
        if error:
            words = f"{error.get('code')}: {error.get('description')}"
            absent = error.get("code") == "Not Found" or "Data doesn't exist" in words
            return Complaint(Trouble.NO_DATA if absent else Trouble.UNUSABLE, words)
        if not result or not result[0].get("timestamp"):
            return Complaint(Trouble.NO_DATA, "the chart holds no bar")
        currency = result[0].get("meta", {}).get("currency")
        if currency not in ("USD", None):
            return Complaint(Trouble.UNUSABLE, f"is quoted in {currency}, and prices are US dollars")
        if result[0].get("meta", {}).get("regularMarketTime", 0) >= int(dict(request.params)["period2"]):
            # A split after what was asked for would be in the prices and not among the splits.
            return Complaint(Trouble.UNUSABLE, "trades later than what was asked for: this machine's clock is behind")
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # no chart at all: judged as any other answer
