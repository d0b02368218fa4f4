"""Range estimators: volatility from where a bar opened, closed and how far it went between. Registered by `volatility.py`.

Each uses bars of `SPAN` sessions and is a volatility a year: sqrt(252 x variance of a session). A bar's own four prices are compared
with each other as traded, as an adjustment would cancel; only Yang-Zhang looks back overnight, and does so on adjusted prices.
"""

from __future__ import annotations

import math

import polars as pl

from quant_assets.features.feature import BARS, Feature
from quant_assets.features.windows import deviation, mean

FAMILY = "volatility"
SESSIONS_A_YEAR = 252
SPAN = 20
OPEN, HIGH, LOW, CLOSE = (pl.col(name) for name in ("open", "high", "low", "close"))


def parkinson_variance(sessions: int) -> pl.Expr:
    """Variance of a session: mean of ln(high / low)^2, over 4 ln 2."""
    return mean((HIGH / LOW).log().pow(2), sessions) / (4 * math.log(2))


def garman_klass_variance(sessions: int) -> pl.Expr:
    """Variance of a session: mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2."""
    term = 0.5 * (HIGH / LOW).log().pow(2) - (2 * math.log(2) - 1) * (CLOSE / OPEN).log().pow(2)
    return mean(term, sessions)


def rogers_satchell_variance(sessions: int) -> pl.Expr:
    """Variance of a session: mean of ln(high / close) ln(high / open) + ln(low / close) ln(low / open)."""
    term = (HIGH / CLOSE).log() * (HIGH / OPEN).log() + (LOW / CLOSE).log() * (LOW / OPEN).log()
    return mean(term, sessions)


def yang_zhang_variance(sessions: int) -> pl.Expr:
    """Variance of a session, gap included: overnight + k x open to close + (1 - k) x Rogers-Satchell.

    The first two are sample variances (ddof 1) of ln(open / close before) on adjusted prices and of ln(close / open);
    k = 0.34 / (1.34 + (n + 1) / (n - 1)), which makes the variance of the estimate smallest (their eq. 8 with alpha 1.34).
    """
    k = 0.34 / (1.34 + (sessions + 1) / (sessions - 1))
    overnight = deviation((pl.col("adj_open") / pl.col("adj_close").shift(1)).log(), sessions) ** 2
    intraday = deviation((CLOSE / OPEN).log(), sessions) ** 2
    return overnight + k * intraday + (1 - k) * rogers_satchell_variance(sessions)


HIGH_AND_LOW = ("prices.high", "prices.low")
OWN_PRICES = ("prices.open", *HIGH_AND_LOW, "prices.close")
NO_FIELD = "one of the 20 bars lacks a price"
OUTSIDE = f"{NO_FIELD}, or opened or closed so far outside its high and low that the sum is negative"
ESTIMATORS = (
    (
        "parkinson_20",
        parkinson_variance(SPAN),
        HIGH_AND_LOW,
        SPAN - 1,
        "sqrt(252 * mean(ln(high / low)^2, 20) / (4 ln 2))",
        "volatility of the sessions' hours read off their ranges, gaps overnight left out",
        NO_FIELD,
        "Parkinson (1980), The Extreme Value Method, J. Business 53; no drift, no gaps",
    ),
    (
        "garman_klass_20",
        garman_klass_variance(SPAN),
        OWN_PRICES,
        SPAN - 1,
        "sqrt(252 * mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) * ln(close / open)^2, 20))",
        "volatility of the sessions' hours from range and body together, gaps overnight left out",
        OUTSIDE,
        "Garman and Klass (1980), On the Estimation of Security Price Volatilities, J. Business 53, the practical estimator; no gaps",
    ),
    (
        "rogers_satchell_20",
        rogers_satchell_variance(SPAN),
        OWN_PRICES,
        SPAN - 1,
        "sqrt(252 * mean(ln(high / close) * ln(high / open) + ln(low / close) * ln(low / open), 20))",
        "volatility of the sessions' hours that a steady climb or fall does not inflate, gaps overnight left out",
        OUTSIDE,
        "Rogers and Satchell (1991), Annals of Applied Probability 1; any drift, no gaps",
    ),
    (
        "yang_zhang_20",
        yang_zhang_variance(SPAN),
        BARS,
        SPAN,
        "sqrt(252 * (var(ln(open / close before), 20) + k * var(ln(close / open), 20) + (1 - k) * RS)), RS as in rogers_satchell_20, "
        f"k = 0.34 / (1.34 + 21 / 19) = {0.34 / (1.34 + 21 / 19):.4f}",
        "volatility from gaps, bodies and ranges together, with the least error of the four",
        OUTSIDE,
        "Yang and Zhang (2000), J. Business 73, eq. 7-8; variances with ddof 1, the gap is the total return from close to open",
    ),
)

FEATURES = tuple(
    Feature(
        name=name,
        family=FAMILY,
        expression=(variance * SESSIONS_A_YEAR).sqrt(),
        inputs=inputs,
        lookback=lookback,
        recursive=False,
        unit="fraction a year",
        low=0.0,
        formula=formula,
        meaning=meaning,
        missing=missing,
        source=source,
    )
    for name, variance, inputs, lookback, formula, meaning, missing, source in ESTIMATORS
)
