"""Daily bars of any US listing, and of the indices, from Yahoo Finance. No key; personal use only by Yahoo's terms.

What Yahoo calls the close is divided by every split since, and so are open, high, low and dividends; volume is multiplied. Each answer
begins with the window and ends *now*, whatever window is asked for, so that it holds every split it was adjusted by: that gives back what
was traded. Answers of two days must never be mixed, for a split may lie between them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, last_settled_session, session_offset, session_on_or_after
from quant_assets.errors import NoData
from quant_assets.quality.repair import Repaired
from quant_assets.quality.vendor_repair import AS_RECORDED, repair_each
from quant_assets.schemas import TABLES
from quant_assets.sources.base import LEFT, known_at_close
from quant_assets.sources.yahoo_vendor import OverYahoo, yahoo_symbol

INDICES = {"nasdaq": "^IXIC", "sp500": "^GSPC"}
FIRST_OFFERED = dt.date(1990, 1, 2)
"""Yahoo has older bars; the exchange calendar begins here."""
TICK_DECIMALS = 4
"""Yahoo's numbers carry the noise of single precision, times the splits since; no US price moves by less than a hundredth of a cent."""
COLUMNS = ("Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits")
FIELDS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume", "Dividends": "dividend"}


class _Charts(OverYahoo):
    """Windows of charts, with what it takes to undo their adjustment."""

    @property
    def _covered(self) -> Window:
        return Window(FIRST_OFFERED, last_settled_session(self._wire.clock.now()) + dt.timedelta(days=1))

    def _bars(self, symbol: str, window: Window) -> pd.DataFrame:
        end = min(window.end, self._covered.end)  # of the moment before it is asked
        tomorrow = self._today + dt.timedelta(days=1)  # today's split is known before today's bar
        chart = self._client.daily(symbol, since=window.start, until=tomorrow)
        if chart.empty:
            raise NoData(f"yahoo has no bars of {symbol} since {window.start}", remedy="correct its name or its first session")
        splits = chart["Stock Splits"].where(chart["Stock Splits"] != 0, 1.0)
        later = splits[::-1].cumprod().shift(1, fill_value=1.0)[::-1]
        frame = chart[list(COLUMNS)].copy()
        frame["date"], frame["Later Splits"] = pd.DatetimeIndex(chart.index).tz_localize(None), later
        return frame[(frame["date"] >= pd.Timestamp(window.start)) & (frame["date"] < pd.Timestamp(end))].reset_index(drop=True)


class YahooPrices(_Charts):
    """Bars as traded with splits and dividends. Capital gains that funds distribute are not in `dividend`."""

    table = "prices"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Yahoo cannot be asked what it lists: any name may be there."""
        return dict.fromkeys(keys or (), self._covered)

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, lower-case `ticker` and `date`, and `Later Splits`: shares of today for one of that day.

        The bar of a session that is still running, or has just closed, is left out.
        """
        before = Window(session_offset(session_on_or_after(window.start), -1), window.end) if window.start > FIRST_OFFERED else window
        return pd.concat([self._bars(yahoo_symbol(key), before).assign(ticker=key) for key in sorted(keys)], ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        return self._rows(pl.from_pandas(raw), fetched_at=fetched_at)

    def repaired(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> Repaired:
        """The same rows with Yahoo's own contradictions put right, as far as `raw` reaches.

        The log tells of those, as traded, and of what looks wrong and is not proven.
        """
        whole = pl.from_pandas(raw)
        found = repair_each(whole, key="ticker", stamp="date", rules=AS_RECORDED)
        told = pl.concat([found.log, found.refused.with_columns(method=pl.lit(LEFT) + pl.col("method"))])
        before, after = (self._rows(rows, fetched_at=fetched_at) for rows in (whole, found.rows))
        return Repaired(after, _log(told, before, after))

    def _rows(self, frame: pl.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        later, split = pl.col("Later Splits"), pl.col("Stock Splits")
        prices = (pl.col("Open", "High", "Low", "Close").cast(pl.Float64) * later).round(TICK_DECIMALS).name.to_lowercase()
        bars = frame.select(
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


def _log(told: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows of `quality_log` of the cells told, those that are in `prices`, with the values of both normalised frames."""
    index = ["row", "ticker", "session"]
    cells = [
        rows.with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int64))
        .unpivot(list(FIELDS.values()), index=index, variable_name="field")
        for rows in (before, after)
    ]
    both = cells[0].rename({"value": "original"}).join(cells[1].select("row", "field", repaired="value"), on=["row", "field"])
    mine = told.filter(pl.col("field").is_in(list(FIELDS))).select("row", pl.col("field").replace(FIELDS), "method", "evidence")
    logged = mine.join(both, on=["row", "field"]).with_columns(table=pl.lit("prices"))
    return logged.select(list(TABLES["quality_log"].schema)).sort("ticker", "session", "field")


class YahooIndices(_Charts):
    """The S&P 500 and the Nasdaq Composite."""

    table = "index_prices"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return {series: self._covered for series in (INDICES if keys is None else keys) if series in INDICES}

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        charts = [self._bars(INDICES[key], window).assign(series=key) for key in sorted(keys) if key in INDICES]
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
