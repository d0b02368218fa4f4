"""Averages and bands as a chart draws them: on prices adjusted to the day of the view. Features of the catalogue are in `catalog.py`."""

from __future__ import annotations

import polars as pl
import polars_talib as plta

EMAS = (9, 21, 200)


def overlays(adjusted: pl.LazyFrame) -> pl.DataFrame:
    """Adds ema_9, ema_21, ema_200 (TA-Lib, SMA-seeded) and the Bollinger bands (20, 2, ddof 0).

    Parameters
    ----------
    adjusted : from `adjustments.adjust`, all history of each ticker.
    """
    close = pl.col("close")
    mean, deviation = close.rolling_mean(20), close.rolling_std(20, ddof=0)
    return adjusted.with_columns(
        *(plta.ema(close, timeperiod=n).over("ticker").alias(f"ema_{n}") for n in EMAS),
        bollinger_middle=mean.over("ticker"),
        bollinger_upper=(mean + 2 * deviation).over("ticker"),
        bollinger_lower=(mean - 2 * deviation).over("ticker"),
    ).collect()
