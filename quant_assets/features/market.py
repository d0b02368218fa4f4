"""Market: how a name moves together with the index. Ranks across names are cross-sectional and live on another grid."""

from __future__ import annotations

import polars as pl

from quant_assets.features.feature import CLOSES, Feature
from quant_assets.features.windows import deviation, mean

CLOSE, INDEX = pl.col("adj_close"), pl.col("index_close")


def rolling_beta(sessions: int) -> pl.Expr:
    """Slope of the regression of the name's total returns on the index's returns over the last `sessions` bars.

    The index return spans the name's own bars: where a name skipped a session, both returns cover the same two.
    """
    index_return = INDEX / INDEX.shift(1) - 1
    name_return = CLOSE / CLOSE.shift(1) - 1
    product = mean(name_return, sessions) * mean(index_return, sessions)
    covariance = mean(name_return * index_return, sessions) - product
    return covariance / deviation(index_return, sessions, ddof=0) ** 2


FEATURES = (
    Feature(
        name="beta_60",
        family="market",
        expression=rolling_beta(60),
        inputs=(*CLOSES, "index_prices.close"),
        lookback=60,
        recursive=False,
        unit="ratio",
        formula="cov(return, index return) / var(index return), 60 sessions",
        meaning="how much the name usually moved when the S&P 500 moved by 1, over the last 60 sessions",
        missing="the index has no close on one of the sessions, or did not move",
        source="ordinary least squares slope with intercept; Sharpe (1963), A Simplified Model for Portfolio Analysis",
    ),
)
