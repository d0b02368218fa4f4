"""Splits and dividends inferred from a vendor's adjusted close. Applying them is `adjustments.py`'s business."""

from __future__ import annotations

import polars as pl

# A vendor's adjusted/raw ratio is constant between actions up to the last digit it prints: below this a change is rounding.
NOISE = 2e-5
# Ratios that companies split by. Special dividends reach 11 % (MSFT, 2004-11-15), so the smallest ratio is well above that.
SPLIT_RATIOS = (5 / 4, 4 / 3, 3 / 2, 2.0, 5 / 2, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10, 1 / 20)
SPLIT_TOLERANCE = 0.01


def infer_actions(bars: pl.DataFrame) -> pl.DataFrame:
    """Adds `split_factor`, `dividend` (USD a share, after a split of the same day) and `inferred`.

    With g = (adj_close/close)_t / (adj_close/close)_{t-1}: g within 1 % of a usual split ratio is a split by that ratio, and what
    is left of g is 1 + d/close_t, a dividend d reinvested at the ex-date's close (Quandl WIKI's convention: it gives back the
    dividends that AAPL and IBM declared, 2.65 and 0.85, to the cent). The first bar of a ticker has nothing before it: no action.

    Parameters
    ----------
    bars : ticker, session, close (raw), adj_close (level arbitrary); sorted by ticker, session.
    """
    ratio = pl.col("adj_close") / pl.col("close")
    change = (ratio / ratio.shift().over("ticker")).fill_null(1.0)
    split = pl.lit(1.0)
    for usual in SPLIT_RATIOS:
        split = pl.when((pl.col("change") / usual - 1).abs() < SPLIT_TOLERANCE).then(pl.lit(usual)).otherwise(split)
    left = pl.col("change") / pl.col("split_factor")
    dividend = pl.when((left - 1).abs() > NOISE).then((left - 1) * pl.col("close")).otherwise(0.0)
    return (
        bars.with_columns(change=change)
        .with_columns(split_factor=split)
        .with_columns(dividend=dividend)
        .with_columns(inferred=(pl.col("split_factor") != 1.0) | (pl.col("dividend") != 0.0))
        .drop("change")
    )
