"""Ichimoku Kinko Hyo (9, 26, 52) as known at the close. Part of the family `trend.py`.

The cloud that stands at t was computed 26 sessions before and drawn ahead; nothing of it is newer. The lagging span (chikou), today's
close drawn 26 sessions back, is left out: at the bar where it stands it would be the future, and seen from today it is a 26-session return.
"""

from __future__ import annotations

import polars as pl

from quant_assets.features.feature import RANGES, Feature
from quant_assets.features.windows import highest, lowest

FAMILY = "trend"
HIGH, LOW, CLOSE = pl.col("adj_high"), pl.col("adj_low"), pl.col("adj_close")
AHEAD = 26
SOURCE = "Hosoda (1969), Ichimoku Kinko Hyo; 9, 26, 52 sessions"
CLOUD_SOURCE = f"{SOURCE}; drawn 26 sessions ahead, where some platforms count the current bar and draw it 25 ahead; no lagging span"


def middle(sessions: int) -> pl.Expr:
    """Middle between the highest high and the lowest low of `sessions` bars; null where one of them has none."""
    return (highest(HIGH, sessions) + lowest(LOW, sessions)) / 2


def leading_spans() -> tuple[pl.Expr, pl.Expr]:
    """The two edges of the cloud that stands at this bar, adjusted prices; the second is null wherever the first is."""
    return ((middle(9) + middle(26)) / 2).shift(AHEAD), middle(52).shift(AHEAD)


def beside_cloud() -> pl.Expr:
    """Close less the nearer edge of the cloud, adjusted prices; 0 inside; null where one edge is."""
    a, b = leading_spans()
    return pl.when(b.is_not_null()).then(CLOSE - CLOSE.clip(pl.min_horizontal(a, b), pl.max_horizontal(a, b)))


def at_whole_bars(value: pl.Expr) -> pl.Expr:
    """The value, null where the bar itself has no high or low."""
    return pl.when(HIGH.is_not_null() & LOW.is_not_null()).then(value)


FEATURES = (
    *(
        Feature(
            name=f"ichimoku_{line}_distance",
            family=FAMILY,
            expression=CLOSE / middle(sessions) - 1,
            inputs=RANGES,
            lookback=sessions - 1,
            recursive=False,
            unit="fraction",
            low=-1.0,
            formula=f"close / ((highest high + lowest low) / 2 of {sessions} sessions) - 1",
            meaning=f"how far the close stands above (+) or below (-) the middle of its {sessions}-session range",
            missing=f"one of the last {sessions} bars has no high or low",
            source=SOURCE,
        )
        for line, sessions in (("tenkan", 9), ("kijun", 26))
    ),
    Feature(
        name="ichimoku_cloud_distance",
        family=FAMILY,
        expression=at_whole_bars(beside_cloud() / CLOSE),
        inputs=RANGES,
        lookback=51 + AHEAD,
        recursive=False,
        unit="fraction of close",
        formula="(close - nearer edge of the cloud) / close outside, 0 inside; "
        "edges (middle(9) + middle(26)) / 2 and middle(52), both of 26 sessions ago",
        meaning="how far the close has left the cloud: above (+) in a rising market, below (-) in a falling one, 0 undecided",
        missing="the bar, or one of the 52 up to 26 sessions ago, has no high or low",
        source=CLOUD_SOURCE,
    ),
    Feature(
        name="ichimoku_cloud_thickness",
        family=FAMILY,
        expression=at_whole_bars((leading_spans()[0] - leading_spans()[1]).abs() / CLOSE),
        inputs=RANGES,
        lookback=51 + AHEAD,
        recursive=False,
        unit="fraction of close",
        low=0.0,
        formula="|(middle(9) + middle(26)) / 2 - middle(52)| / close, both of 26 sessions ago",
        meaning="how thick the support or resistance is that the cloud gives",
        missing="the bar, or one of the 52 up to 26 sessions ago, has no high or low",
        source=CLOUD_SOURCE,
    ),
)
