"""Trend: where the price stands against its own averages. Speed of movement lives in `momentum.py`."""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.feature import SPLITS_AND_DIVIDENDS, USD, Feature

FAMILY = "trend"
SPANS = (9, 21, 50, 200)
CLOSE = pl.col("adj_close")
INPUTS = ("prices.close", *SPLITS_AND_DIVIDENDS)
SOURCE = "exponential moving average, weight 2/(span + 1), seeded with the simple average of the first span closes: TA-Lib EMA"


def ema_level(span: int) -> pl.Expr:
    """Exponential average of the total-return close in USD of the session's own share: it can be drawn beside that day's raw close."""
    return pl.when(pl.col("price_basis") == "raw").then(talib.ema(CLOSE, span) / pl.col("growth"))


def ema_distance(span: int) -> pl.Expr:
    """Close over its exponential average, less 1."""
    average: pl.Expr = talib.ema(CLOSE, span)
    return CLOSE / average - 1


FEATURES = (
    *(
        Feature(
            name=f"ema_{span}",
            family=FAMILY,
            expression=ema_level(span),
            inputs=(*INPUTS, "prices.price_basis"),
            lookback=span - 1,
            recursive=True,
            unit=USD,
            meaning=f"average close of about the last {span} sessions, recent ones weighing more, in prices of this session",
            missing="the name has adjusted prices only, whose level later actions shift",
            source=SOURCE,
        )
        for span in SPANS
    ),
    *(
        Feature(
            name=f"ema_{span}_distance",
            family=FAMILY,
            expression=ema_distance(span),
            inputs=INPUTS,
            lookback=span - 1,
            recursive=True,
            unit="fraction",
            meaning=f"how far the close stands above (+) or below (-) its {span}-session exponential average",
            missing="never",
            source=SOURCE,
        )
        for span in SPANS
    ),
)
