"""Adjusted closes of twenty US stocks, 1990 to 2022, that ship inside `skfolio`.

The level is adjusted for splits and dividends that came later, so only returns mean anything: `price_basis` is "adjusted" and
open, high, low and volume are null. Prices are printed to 0.001, which on a 1-dollar level is 0.1 % of noise in a return.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.sources.base import among, known_at_close
from quant_assets.sources.packaged import packaged_file

PRICE_STEP_USD = 0.001


@cache
def _closes() -> pd.DataFrame:
    return pd.read_csv(packaged_file("skfolio", "datasets", "data", "sp500_dataset.csv.gz"), index_col=0, parse_dates=True)


class SkfolioPrices:
    name = "skfolio"
    table = "prices"
    policy = None

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        closes = _closes()
        span = Window(closes.index[0].date(), closes.index[-1].date() + dt.timedelta(days=1))
        return among({str(ticker): span for ticker in closes.columns}, keys)

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The closes of the window, and the one before it, against which its first return shows."""
        closes = _closes()
        mine = closes[[key for key in keys if key in closes.columns]]
        start, end = (int(mine.index.searchsorted(pd.Timestamp(day))) for day in (window.start, window.end))
        inside = mine.iloc[max(start - 1, 0) : end].rename_axis("date").reset_index()
        long = inside.melt(id_vars="date", var_name="ticker", value_name="adj_close").dropna()
        return long.sort_values(["ticker", "date"], ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        bars = pl.from_pandas(raw).select(
            pl.col("ticker").cast(pl.String), session=pl.col("date").dt.date(), close=pl.col("adj_close").cast(pl.Float64)
        )
        absent = pl.lit(None, dtype=pl.Float64)
        return known_at_close(bars).with_columns(
            open=absent,
            high=absent,
            low=absent,
            volume=absent,
            price_basis=pl.lit("adjusted"),
            split_factor=pl.lit(1.0),
            dividend=pl.lit(0.0),
            inferred=pl.lit(False),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
