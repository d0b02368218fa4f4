"""Volatility: how much a price moves, whichever way, and how unevenly.

Estimators from bars live in `range_estimators.py`, channels in `bands.py`, a fitted model in `garch.py`, movement together with the
market in `market.py`. Returns are log total returns of a session.
"""

from __future__ import annotations

import math

import polars as pl

from quant_assets.features import range_estimators
from quant_assets.features.averages import average_true_range
from quant_assets.features.feature import CLOSES, RANGES, USD, Feature
from quant_assets.features.range_estimators import SESSIONS_A_YEAR
from quant_assets.features.shared import shared
from quant_assets.features.windows import deviation, mean, some

FAMILY = "volatility"
CLOSE = pl.col("adj_close")
RETURN = shared("log_return", (CLOSE / CLOSE.shift(1)).log())
DECAY = 0.94
SEED = 20
"""Returns whose mean square the exponential average starts from."""
SAME = 1e-12
"""Log returns nearer to each other than this are the same return, rounded."""


def realised_volatility(sessions: int) -> pl.Expr:
    """Standard deviation (ddof 1) of the last `sessions` daily log total returns, times sqrt(252)."""
    return deviation(RETURN, sessions) * math.sqrt(SESSIONS_A_YEAR)


def exponential_volatility() -> pl.Expr:
    """RiskMetrics: variance = 0.94 x variance before + 0.06 x return^2 with mean 0, from the mean square of the first 20 returns on."""
    square, place = RETURN.pow(2), pl.int_range(pl.len())
    seeded = pl.when(place == SEED).then(square.cum_sum() / SEED).when(place > SEED).then(square)
    return (seeded.ewm_mean(alpha=1 - DECAY, adjust=False) * SESSIONS_A_YEAR).sqrt()


def downside_deviation(sessions: int) -> pl.Expr:
    """Root mean square a year of the returns below 0, those above counting as 0 among all `sessions`."""
    return (mean(RETURN.clip(upper_bound=0.0).pow(2), sessions) * SESSIONS_A_YEAR).sqrt()


def where_returns_vary(value: pl.Expr, sessions: int) -> pl.Expr:
    """The value, null where the last `sessions` returns are one number: a moment over their spread would be rounding noise."""
    vary = some((RETURN - RETURN.shift(1)).abs() > SAME, sessions - 1)
    return pl.when(vary).then(value)


ATR_SOURCE = "Wilder (1978), New Concepts in Technical Trading Systems, ch. 4; TA-Lib ATR(14)"
VOLATILITY_SOURCE = "realised volatility of log total returns, ddof 1, sqrt(252)"

FEATURES = (
    Feature(
        name="atr_14",
        family=FAMILY,
        expression=pl.when(pl.col("price_basis") == "raw").then(average_true_range(14) / pl.col("growth")),
        inputs=(*RANGES, "prices.price_basis"),
        lookback=14,
        recursive=True,
        unit=USD,
        low=0.0,
        formula="Wilder average over 14 of max(high, close before) - min(low, close before), / growth",
        meaning="how many dollars the price usually travels in a session, gaps included, in prices of this session",
        missing="the bar has no high or low, or the name has adjusted prices only",
        source=ATR_SOURCE,
    ),
    Feature(
        name="atr_14_pct",
        family=FAMILY,
        expression=average_true_range(14) / CLOSE,
        inputs=RANGES,
        lookback=14,
        recursive=True,
        unit="fraction of close",
        low=0.0,
        formula="ATR(14) / close",
        meaning="how far the price usually travels in a session, gaps included, relative to the close",
        missing="the bar has no high or low",
        source=ATR_SOURCE,
    ),
    *(
        Feature(
            name=f"volatility_{sessions}",
            family=FAMILY,
            expression=realised_volatility(sessions),
            inputs=CLOSES,
            lookback=sessions,
            recursive=False,
            unit="fraction a year",
            low=0.0,
            formula=f"std(log return, {sessions}) * sqrt(252)",
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
        inputs=CLOSES,
        lookback=60,
        recursive=False,
        unit="ratio",
        low=0.0,
        formula="volatility_20 / volatility_60",
        meaning="volatility of the last 20 sessions over that of the last 60: above 1 while the price is getting wilder",
        missing="the return was the same on each of 60 sessions",
        source=VOLATILITY_SOURCE,
    ),
    Feature(
        name="ewma_volatility",
        family=FAMILY,
        expression=exponential_volatility(),
        inputs=CLOSES,
        lookback=SEED,
        recursive=True,
        unit="fraction a year",
        low=0.0,
        formula="sqrt(252 * v), v = 0.94 * v before + 0.06 * log return^2",
        meaning="volatility with the latest sessions weighing most: half the weight lies on the last 11",
        missing="never",
        source="RiskMetrics Technical Document (1996), ch. 5, decay 0.94, mean 0; v starts as the mean square of the first 20 returns",
    ),
    Feature(
        name="realised_skew_60",
        family=FAMILY,
        expression=where_returns_vary(RETURN.rolling_skew(60, bias=False, min_samples=60), 60),
        inputs=CLOSES,
        lookback=60,
        recursive=False,
        unit="ratio",
        formula="sqrt(60 * 59) / 58 * m3 / m2^1.5, central moments of 60 log returns",
        meaning="which side the large moves lay on: below 0 the crashes outdid the jumps",
        missing="the return was the same on each of 60 sessions",
        source="adjusted Fisher-Pearson G1, bias corrected as in pandas and Excel SKEW: Joanes and Gill (1998), The Statistician 47",
    ),
    Feature(
        name="realised_kurtosis_60",
        family=FAMILY,
        expression=where_returns_vary(RETURN.rolling_kurtosis(60, fisher=True, bias=False, min_samples=60), 60),
        inputs=CLOSES,
        lookback=60,
        recursive=False,
        unit="ratio",
        formula="59 / (58 * 57) * (61 * (m4 / m2^2 - 3) + 6), central moments of 60 log returns",
        meaning="how much of the movement came in few large moves: 0 as in a normal distribution, above it more",
        missing="the return was the same on each of 60 sessions",
        source="excess kurtosis G2 (normal is 0), bias corrected as in pandas and Excel KURT: Joanes and Gill (1998), The Statistician 47",
    ),
    Feature(
        name="downside_deviation_60",
        family=FAMILY,
        expression=downside_deviation(60),
        inputs=CLOSES,
        lookback=60,
        recursive=False,
        unit="fraction a year",
        low=0.0,
        formula="sqrt(252 * mean(min(log return, 0)^2, 60))",
        meaning="volatility of the losing sessions alone, scaled to a year",
        missing="never",
        source="Sortino and van der Meer (1991), J. Portfolio Management 17; target 0, divided by all 60 sessions, not by the losing ones",
    ),
    Feature(
        name="vol_of_vol_20",
        family=FAMILY,
        expression=deviation(realised_volatility(20), 20),
        inputs=CLOSES,
        lookback=39,
        recursive=False,
        unit="fraction a year",
        low=0.0,
        formula="std(volatility_20, 20)",
        meaning="how restless volatility itself has been over the last 20 sessions",
        missing="never",
        source="standard deviation (ddof 1) of the last 20 values of volatility_20, in its unit and not scaled again",
    ),
    *range_estimators.FEATURES,
)
