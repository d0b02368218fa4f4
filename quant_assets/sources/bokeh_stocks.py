"""Daily bars of five US stocks, 2000-03-01 to 2013-03-01, that ship inside `bokeh_sampledata` (Quandl WIKI, public domain).

Raw open, high, low, close and volume; the adjusted close carries the actions after 2013 too, so only its *changes* against the
raw close are used, to infer splits and dividends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.sources.base import among, known_at_close
from quant_assets.sources.corporate_actions import infer_actions

TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


class BokehStocks:
    name = "bokeh"
    table = "prices"
    policy = None

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        bars = _bars().groupby("ticker")["date"]
        offered = {
            ticker: Window(first.date(), last.date() + dt.timedelta(days=1))
            for ticker, first, last in zip(bars.min().index, bars.min(), bars.max(), strict=True)
        }
        return among(offered, keys)

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The bars of the window, and the one before it, against which its first corporate action shows."""
        data = _bars()
        mine = data[data["ticker"].isin(list(keys))]
        before = mine[mine["date"] < pd.Timestamp(window.start)].groupby("ticker").tail(1)
        inside = mine[(mine["date"] >= pd.Timestamp(window.start)) & (mine["date"] < pd.Timestamp(window.end))]
        return pd.concat([before, inside]).sort_values(["ticker", "date"], ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        prices = pl.col("open", "high", "low", "close", "volume", "adj_close").cast(pl.Float64)
        bars = pl.from_pandas(raw).select(pl.col("ticker").cast(pl.String), prices, session=pl.col("date").dt.date())
        return known_at_close(infer_actions(bars)).with_columns(
            price_basis=pl.lit("raw"), source=pl.lit(self.name), fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC"))
        )


def _bars() -> pd.DataFrame:
    """ticker, date, open, high, low, close, volume, adj_close."""
    from bokeh_sampledata import stocks  # its import reads five files: only for who asks

    data: pd.DataFrame = stocks.data
    return data
