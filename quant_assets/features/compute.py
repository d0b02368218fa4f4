"""Evaluates catalogue features on prices. What each one means is said in its family file; where the rows go is the lake's business."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window
from quant_assets.features.catalog import CATALOG, select

INDEX_SERIES = "sp500"


def compute(
    prices: pl.LazyFrame, index_prices: pl.LazyFrame, *, window: Window | None = None, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Features of every bar, as known at its close.

    Parameters
    ----------
    prices : table `prices`, all history of each ticker from its first stored bar (recursive features start there); bars after the
        window are ignored.
    index_prices : table `index_prices`; the S&P 500 series is read.
    window : sessions to return; all when None.
    names : catalogue features, in this order; all when None.

    Returns
    -------
    (n_bars, 2 + n_features): `ticker`, `session` and one Float64 column a feature, sorted by (ticker, session). Null: not enough
    history, or the feature's `missing` rule; never NaN or infinite. A row reads bars with session <= its own, of its own ticker.

    Raises
    ------
    BadArgument : an unknown feature name.
    QuantAssetsError : an impossible corporate action (see `adjustments.forward_adjusted`).
    """
    features = select(tuple(CATALOG) if names is None else names)
    if window is not None:
        prices = prices.filter(pl.col("session") < window.end)
    index = index_prices.filter(pl.col("series") == INDEX_SERIES).select("session", index_close="close")
    bars = forward_adjusted(prices).join(index, on="session", how="left", maintain_order="left")
    values = bars.select("ticker", "session", *(feature.expression.over("ticker").alias(feature.name) for feature in features))
    if window is not None:
        values = values.filter(pl.col("session") >= window.start)
    columns = [pl.col(feature.name) for feature in features]
    return values.with_columns(pl.when(column.is_finite()).then(column) for column in columns).collect()
