"""Volatility: how much a price moves, whichever way. Movement together with the market lives in `market.py`."""

from __future__ import annotations

import math

import polars as pl

from quant_assets.features.feature import SPLITS_AND_DIVIDENDS, USD, Feature

FAMILY = "volatility"
SESSIONS_A_YEAR = 252
CLOSE = pl.col("adj_close")
INPUTS = ("prices.close", *SPLITS_AND_DIVIDENDS)
RANGE_INPUTS = ("prices.high", "prices.low", *INPUTS)


def realised_volatility(sessions: int) -> pl.Expr:
    """Standard deviation (ddof 1) of the last `sessions` daily log total returns, times sqrt(252)."""
    return (CLOSE / CLOSE.shift(1)).log().rolling_std(sessions, min_samples=sessions, ddof=1) * math.sqrt(SESSIONS_A_YEAR)


def average_true_range(sessions: int) -> pl.Expr:
    """Wilder's ATR of the forward-adjusted bars; a bar without high or low gives null and is passed over.

    TA-Lib's ATR in polars terms, because TA-Lib itself returns null for ever after one missing high. The average starts as the plain
    mean of the first `sessions` true ranges, then ATR = ((sessions - 1) x ATR + true range) / sessions.
    """
    high, low, before = pl.col("adj_high"), pl.col("adj_low"), CLOSE.shift(1)
    complete = high.is_not_null() & low.is_not_null() & before.is_not_null()
    true_range = pl.when(complete).then(pl.max_horizontal(high, before) - pl.min_horizontal(low, before))
    counted = complete.cum_sum()
    seeded = pl.when(counted == sessions).then(true_range.cum_sum() / sessions).when(counted > sessions).then(true_range)
    return pl.when(complete).then(seeded.ewm_mean(alpha=1 / sessions, adjust=False, ignore_nulls=True))


def bollinger_bands(sessions: int, width: float) -> tuple[pl.Expr, pl.Expr]:
    """Middle (simple average of the close) and half width (`width` population standard deviations) of the bands."""
    return CLOSE.rolling_mean(sessions), width * CLOSE.rolling_std(sessions, ddof=0)


MIDDLE, HALF_WIDTH = bollinger_bands(20, 2.0)
ATR_SOURCE = "Wilder (1978), New Concepts in Technical Trading Systems, ch. 4; TA-Lib ATR(14)"
BOLLINGER_SOURCE = "Bollinger (2001), Bollinger on Bollinger Bands, ch. 7-8; TA-Lib BBANDS(20, 2, 2), ddof 0"
VOLATILITY_SOURCE = "realised volatility of log total returns, ddof 1, sqrt(252)"

FEATURES = (
    Feature(
        name="atr_14",
        family=FAMILY,
        expression=pl.when(pl.col("price_basis") == "raw").then(average_true_range(14) / pl.col("growth")),
        inputs=(*RANGE_INPUTS, "prices.price_basis"),
        lookback=14,
        recursive=True,
        unit=USD,
        meaning="how many dollars the price usually travels in a session, gaps included, in prices of this session",
        missing="the bar has no high or low, or the name has adjusted prices only",
        source=ATR_SOURCE,
    ),
    Feature(
        name="atr_14_pct",
        family=FAMILY,
        expression=average_true_range(14) / CLOSE,
        inputs=RANGE_INPUTS,
        lookback=14,
        recursive=True,
        unit="fraction of close",
        meaning="how far the price usually travels in a session, gaps included, relative to the close",
        missing="the bar has no high or low",
        source=ATR_SOURCE,
    ),
    Feature(
        name="bollinger_position",
        family=FAMILY,
        expression=(CLOSE - MIDDLE + HALF_WIDTH) / (2 * HALF_WIDTH),
        inputs=INPUTS,
        lookback=19,
        recursive=False,
        unit="fraction of band",
        meaning="where the close lies between the bands two standard deviations around its 20-session average: 0 lower, 1 upper band",
        missing="the close has not moved for 20 sessions",
        source=BOLLINGER_SOURCE,
    ),
    Feature(
        name="bollinger_width",
        family=FAMILY,
        expression=2 * HALF_WIDTH / MIDDLE,
        inputs=INPUTS,
        lookback=19,
        recursive=False,
        unit="fraction of average",
        meaning="distance between the two bands relative to the 20-session average: small in quiet times",
        missing="never",
        source=BOLLINGER_SOURCE,
    ),
    *(
        Feature(
            name=f"volatility_{sessions}",
            family=FAMILY,
            expression=realised_volatility(sessions),
            inputs=INPUTS,
            lookback=sessions,
            recursive=False,
            unit="fraction a year",
            meaning=f"how widely daily returns scattered over the last {sessions} sessions, scaled to a year",
            missing="never",
            source=VOLATILITY_SOURCE,
        )
        for sessions in (20, 60)
    ),
    Feature(
        name="volatility_ratio",
        family=FAMILY,
        expression=realised_volatility(20) / realised_volatility(60),
        inputs=INPUTS,
        lookback=60,
        recursive=False,
        unit="ratio",
        meaning="volatility of the last 20 sessions over that of the last 60: above 1 while the price is getting wilder",
        missing="the return was the same on each of 60 sessions",
        source=VOLATILITY_SOURCE,
    ),
)
