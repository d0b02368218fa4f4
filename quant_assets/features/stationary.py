"""Stationary forms: prices and volumes made comparable in time, from the past alone. Comparison across names: `cross_section.py`."""

from __future__ import annotations

import math

import polars as pl

from quant_assets.features.feature import CLOSES, VOLUMES, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import deviation, mean, quantile, rank, weighted_sum

FAMILY = "stationary"
CLOSE, VOLUME = pl.col("adj_close"), pl.col("adj_volume")
RETURN = shared("return", CLOSE / CLOSE.shift(1) - 1)
ORDER, SIZE = 0.4, 252


def fractional_weights(d: float, size: int) -> list[float]:
    """The first `size` weights of (1 - L)^d, of today's value first: w[0] = 1, w[k] = -w[k-1] (d - k + 1) / k.

    Hosking (1981), Fractional differencing; Lopez de Prado (2018), Advances in Financial Machine Learning, section 5.4. d = 1 is the
    difference to the day before, a negative d adds up instead, and the weights of d - 1 are the running sums of those of d.
    """
    weights = [1.0]
    for k in range(1, size):
        weights.append(-weights[-1] * (d - k + 1) / k)
    return weights


def fractional_difference(values: pl.Expr, d: float, size: int) -> pl.Expr:
    """sum(w[k] x[t-k], k = 0 .. size - 1) with the weights of (1 - L)^d (fixed width: older values have no weight).

    Null where one of the `size` values is missing.
    """
    oldest_first = fractional_weights(d, size)[::-1]
    return weighted_sum(values, oldest_first)


def fractional_log_close() -> pl.Expr:
    """(1 - L)^0.4 of the log close, of 253 closes, with weights that sum to zero.

    Cut off after 252 closes, the weights of (1 - L)^0.4 would still sum to 0.074, and 0.074 log(close) depends on the currency and on
    the first stored bar. What the weights beyond have in all is therefore given to the oldest close. That is the same as
    (1 - L)^-0.6 of the log return cut off after 252 returns, which is how it is computed.
    """
    return fractional_difference((CLOSE / CLOSE.shift(1)).log(), ORDER - 1, SIZE)


def zscore(values: pl.Expr, sessions: int) -> pl.Expr:
    """Distance from the mean of the last `sessions` values in their standard deviations (ddof 1), today's value among them."""
    scatter = deviation(values, sessions)
    return pl.when(scatter > 0).then((values - mean(values, sessions)) / scatter)


def demeaned(values: pl.Expr, sessions: int) -> pl.Expr:
    """The value less the mean of the last `sessions` values, today's among them."""
    return values - mean(values, sessions)


def time_rank(values: pl.Expr, sessions: int) -> pl.Expr:
    """Share of the `sessions` - 1 values before that are lower than today's, an equal one counting half: 0 lowest, 1 highest."""
    return (rank(values, sessions) - 1) / (sessions - 1)


def robust_scaled(values: pl.Expr, sessions: int) -> pl.Expr:
    """(x - median) / interquartile range, both of the `sessions` values before today; quantiles interpolated linearly."""
    lower, middle, upper = (quantile(values, share, sessions).shift(1) for share in (0.25, 0.5, 0.75))
    return (values - middle) / (upper - lower)


WHAT = {"close": (CLOSE, CLOSES, 0), "ret_1": (RETURN, CLOSES, 1), "volume": (VOLUME, VOLUMES, 0)}
"""The values that are scaled, what they are made of and how many earlier sessions one needs."""
NEVER_OR_VOLUME = {"close": "never", "ret_1": "never", "volume": "a volume is missing within the look-back"}
WORDS = {"close": "close", "ret_1": "daily return", "volume": "volume"}

FEATURES = (
    Feature(
        name="fracdiff_close_04",
        family=FAMILY,
        expression=fractional_log_close(),
        inputs=CLOSES,
        lookback=SIZE,
        recursive=False,
        unit="log",
        formula="sum(W[k] * log(close[t-k] / close[t-k-1]), k = 0..251), W[0] = 1, W[k] = W[k-1] * (k - 0.4) / k",
        meaning="log price with its level taken out but a long memory kept: between the price (order 0) and the return (order 1)",
        missing="never",
        source="Hosking (1981); Lopez de Prado (2018), section 5.5, fixed width, order 0.4; the weight cut off is on the oldest close",
    ),
    *(
        Feature(
            name=f"{what}_zscore_{sessions}",
            family=FAMILY,
            expression=zscore(WHAT[what][0], sessions),
            inputs=WHAT[what][1],
            lookback=WHAT[what][2] + sessions - 1,
            recursive=False,
            unit="standard deviations",
            low=-(sessions - 1) / math.sqrt(sessions),
            high=(sessions - 1) / math.sqrt(sessions),
            formula=f"(x - mean(x, {sessions})) / std(x, {sessions}), x = {what}",
            meaning=f"how unusual the {WORDS[what]} is among those of the last {sessions} sessions, in standard deviations",
            missing=f"the {WORDS[what]} was the same on each of {sessions} sessions",
            source=f"standard score, today within its window, ddof 1; no value lies beyond {sessions - 1} / sqrt({sessions})",
        )
        for what in ("close", "ret_1")
        for sessions in (20, 60)
    ),
    Feature(
        name="ret_1_demeaned_60",
        family=FAMILY,
        expression=demeaned(RETURN, 60),
        inputs=CLOSES,
        lookback=60,
        recursive=False,
        unit="fraction",
        formula="r - mean(r, 60), r = close / close[t-1] - 1",
        meaning="today's return beyond the drift of the last 60 sessions",
        missing="never",
        source="return less its own 60-session mean, today within the window",
    ),
    *(
        Feature(
            name=f"{what}_rank_{sessions}",
            family=FAMILY,
            expression=time_rank(values, sessions),
            inputs=inputs,
            lookback=earlier + sessions - 1,
            recursive=False,
            unit="0..1",
            low=0.0,
            high=1.0,
            formula=f"(rank of {what} among its last {sessions} - 1) / {sessions - 1}, equal values sharing their mean rank",
            meaning=f"share of the last {sessions} sessions whose {WORDS[what]} was lower than today's: 0 lowest, 1 highest, 0.5 all equal",
            missing=NEVER_OR_VOLUME[what],
            source="percentile rank in time, an equal value counts half",
        )
        for what, (values, inputs, earlier) in WHAT.items()
        for sessions in (60, 252)
    ),
    *(
        Feature(
            name=f"{what}_robust_252",
            family=FAMILY,
            expression=robust_scaled(values, 252),
            inputs=inputs,
            lookback=earlier + 252,
            recursive=False,
            unit="interquartile ranges",
            formula=f"(x - median) / (upper - lower quartile), all three of the 252 sessions before, x = {what}",
            meaning=f"how unusual the {WORDS[what]} is against the year before today, which one wild day in that year hardly changes",
            missing="half of the 252 values before are one value" + (", or a volume is missing" if what == "volume" else ""),
            source="scikit-learn RobustScaler fitted on the 252 sessions before, today excluded; quantiles interpolated linearly",
        )
        for what, (values, inputs, earlier) in WHAT.items()
    ),
)
