"""Volume: how much was traded, against what is usual for the name."""

from __future__ import annotations

import polars as pl

from quant_assets.features.feature import Feature

VOLUME = pl.col("adj_volume")


def volume_ratio(sessions: int) -> pl.Expr:
    """Volume over the mean of the `sessions` sessions before it, today excluded, in shares of one split basis."""
    return VOLUME / VOLUME.shift(1).rolling_mean(sessions, min_samples=sessions)


FEATURES = (
    Feature(
        name="volume_ratio_20",
        family="volume",
        expression=volume_ratio(20),
        inputs=("prices.volume", "prices.split_factor"),
        lookback=20,
        recursive=False,
        unit="ratio",
        meaning="shares traded over the average of the 20 sessions before: 2 is twice the usual trade",
        missing="one of the 21 volumes is missing, or nothing traded in the 20 sessions before",
        source="relative volume; splits are undone, dividends are not volume",
    ),
)
