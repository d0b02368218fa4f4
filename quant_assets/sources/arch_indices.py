"""Daily S&P 500 and Nasdaq Composite, 1999 to 2018, that ship inside `arch`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.sources.base import among, known_at_close
from quant_assets.sources.packaged import packaged_file

SERIES = ("nasdaq", "sp500")


@cache
def _bars(series: str) -> pd.DataFrame:
    return pd.read_csv(packaged_file("arch", "data", series, f"{series}.csv.gz"), index_col="Date", parse_dates=True)


class ArchIndices:
    name = "arch"
    table = "index_prices"
    policy = None

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        spans = {series: _bars(series).index for series in SERIES}
        offered = {series: Window(days[0].date(), days[-1].date() + dt.timedelta(days=1)) for series, days in spans.items()}
        return among(offered, keys)

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        known = pd.concat([_bars(key).assign(series=key) for key in sorted(keys)]).rename_axis("date").reset_index()
        return known[(known["date"] >= pd.Timestamp(window.start)) & (known["date"] < pd.Timestamp(window.end))].reset_index(drop=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        bars = pl.from_pandas(raw).select(
            "series",
            pl.col("Open", "High", "Low", "Close", "Volume").cast(pl.Float64).name.to_lowercase(),
            session=pl.col("date").dt.date(),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(bars)
