"""Averages and prices that several families are made of, so that none of them needs another one."""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.shared import shared
from quant_assets.features.windows import wilder_average

HIGH, LOW, CLOSE = pl.col("adj_high"), pl.col("adj_low"), pl.col("adj_close")
TYPICAL = shared("typical", (HIGH + LOW + CLOSE) / 3)


def exponential_average(span: int) -> pl.Expr:
    """Exponential average of the total-return close: weight 2/(span + 1), seeded with the simple average of the first `span` closes."""
    return shared(f"ema_{span}", talib.ema(CLOSE, span))


def average_true_range(sessions: int) -> pl.Expr:
    """Wilder's ATR of the forward-adjusted bars; a bar without high or low gives null and is passed over.

    Not TA-Lib's own ATR, which returns null for ever after one missing high.
    """
    before = CLOSE.shift(1)
    complete = HIGH.is_not_null() & LOW.is_not_null() & before.is_not_null()
    between = pl.when(complete).then(pl.max_horizontal(HIGH, before) - pl.min_horizontal(LOW, before))
    return wilder_average(between, sessions)
