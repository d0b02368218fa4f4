"""Bands: channels around a price, where it stands in them and how wide they are. The bands that charts draw live in `overlays.py`."""

from __future__ import annotations

import polars as pl

from quant_assets.features.averages import average_true_range, exponential_average
from quant_assets.features.feature import CLOSES, FLAG, RANGES, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import deviation, highest, lowest, mean, moved

FAMILY = "bands"
CLOSE = pl.col("adj_close")
SQUEEZE_SESSIONS = 90


def bollinger_bands(sessions: int, width: float) -> tuple[pl.Expr, pl.Expr]:
    """Middle (simple average of the close) and half width (`width` population standard deviations) of the bands."""
    return mean(CLOSE, sessions), width * deviation(CLOSE, sessions, ddof=0)


def keltner_channel(sessions: int, range_sessions: int, width: float) -> tuple[pl.Expr, pl.Expr]:
    """Middle (exponential average of the close) and half width (`width` of Wilder's ATR) of the channel."""
    return exponential_average(sessions), width * average_true_range(range_sessions)


def donchian_channel(sessions: int) -> tuple[pl.Expr, pl.Expr]:
    """Lowest low and highest high of the `sessions` bars before this one, null where this bar or one of those has no high or low."""
    high, low = pl.col("adj_high"), pl.col("adj_low")
    whole = high.is_not_null() & low.is_not_null()
    return pl.when(whole).then(lowest(low, sessions).shift(1)), pl.when(whole).then(highest(high, sessions).shift(1))


def squeeze(width: pl.Expr, sessions: int) -> pl.Expr:
    """1 where the width is one of the lowest fifth of the last `sessions` widths, this one included; null until there are as many.

    The fifth is exact for 90: the 20 % quantile at place 0.2 x 89 = 17.8 of the sorted widths lies between the 18th and the 19th, so a
    width at most that is one of the 18 lowest. The 18th itself is taken, which leaves no interpolation to round.
    """
    threshold = width.rolling_quantile(0.2, interpolation="lower", window_size=sessions, min_samples=sessions)
    return pl.when(moved(width, sessions - 1)).then((width <= threshold).cast(pl.Float64))


MIDDLE, HALF_WIDTH = bollinger_bands(20, 2.0)
BOLLINGER_WIDTH = shared("bollinger_width", 2 * HALF_WIDTH / MIDDLE)
KELTNER_MIDDLE, KELTNER_HALF = keltner_channel(20, 10, 2.0)
LOWEST, HIGHEST = donchian_channel(20)
BOLLINGER_SOURCE = "Bollinger (2001), Bollinger on Bollinger Bands, ch. 7-8; TA-Lib BBANDS(20, 2, 2), ddof 0"
KELTNER_SOURCE = "Keltner channel as Linda Raschke draws it: exponential average, seeded with the simple one, and Wilder's ATR"
DONCHIAN_SOURCE = "Donchian channel; as in the Turtle rules: today's bar is not in the channel it may break"
NO_RANGE = "the bar or one of the 20 before it has no high or low"

FEATURES = (
    Feature(
        name="bollinger_position",
        family=FAMILY,
        expression=(CLOSE - MIDDLE + HALF_WIDTH) / (2 * HALF_WIDTH),
        inputs=CLOSES,
        lookback=19,
        recursive=False,
        unit="fraction of band",
        formula="(close - lower) / (upper - lower), bands at SMA(close, 20) -+ 2 * std(close, 20)",
        meaning="where the close lies between the bands two standard deviations around its 20-session average: 0 lower, 1 upper band",
        missing="the close has not moved for 20 sessions",
        source=BOLLINGER_SOURCE,
    ),
    Feature(
        name="bollinger_width",
        family=FAMILY,
        expression=2 * HALF_WIDTH / MIDDLE,
        inputs=CLOSES,
        lookback=19,
        recursive=False,
        unit="fraction of average",
        low=0.0,
        formula="4 * std(close, 20) / SMA(close, 20)",
        meaning="distance between the two bands relative to the 20-session average: small in quiet times",
        missing="never",
        source=BOLLINGER_SOURCE,
    ),
    Feature(
        name="bollinger_squeeze",
        family=FAMILY,
        expression=squeeze(BOLLINGER_WIDTH, SQUEEZE_SESSIONS),
        inputs=CLOSES,
        lookback=19 + SQUEEZE_SESSIONS - 1,
        recursive=False,
        unit=FLAG,
        low=0.0,
        high=1.0,
        formula="bollinger_width <= 20 % quantile of its last 90 values, today's included: one of the 18 lowest of 90",
        meaning="the bands are as narrow as on few of the last 90 sessions: a calm that often ends in a large move, either way",
        missing="all 90 widths are the same",
        source="Bollinger (2001), ch. 15, The Squeeze, who takes the lowest of six months; here the lowest fifth of 90 sessions",
    ),
    Feature(
        name="keltner_position",
        family=FAMILY,
        expression=(CLOSE - KELTNER_MIDDLE + KELTNER_HALF) / (2 * KELTNER_HALF),
        inputs=RANGES,
        lookback=19,
        recursive=True,
        unit="fraction of channel",
        formula="(close - lower) / (upper - lower), channel at EMA(close, 20) -+ 2 * ATR(10)",
        meaning="where the close lies between the lines two usual daily ranges around its average: 0 lower, 1 upper line, beyond in a run",
        missing="the bar has no high or low, or the price has not moved since the first bar",
        source=KELTNER_SOURCE,
    ),
    Feature(
        name="keltner_width",
        family=FAMILY,
        expression=2 * KELTNER_HALF / KELTNER_MIDDLE,
        inputs=RANGES,
        lookback=19,
        recursive=True,
        unit="fraction of average",
        low=0.0,
        formula="4 * ATR(10) / EMA(close, 20)",
        meaning="distance between the two lines relative to the average price: how wide usual days are",
        missing="the bar has no high or low",
        source=KELTNER_SOURCE,
    ),
    Feature(
        name="donchian_20_position",
        family=FAMILY,
        expression=(CLOSE - LOWEST) / (HIGHEST - LOWEST),
        inputs=RANGES,
        lookback=20,
        recursive=False,
        unit="fraction of channel",
        formula="(close - lowest low) / (highest high - lowest low) of the 20 sessions before this one",
        meaning="where the close lies in the range of the 20 sessions before: above 1 it broke out upwards, below 0 downwards",
        missing=f"{NO_RANGE}, or the price did not move in them",
        source=DONCHIAN_SOURCE,
    ),
    Feature(
        name="donchian_20_width",
        family=FAMILY,
        expression=(HIGHEST - LOWEST) / CLOSE,
        inputs=RANGES,
        lookback=20,
        recursive=False,
        unit="fraction of close",
        low=0.0,
        formula="(highest high - lowest low) of the 20 sessions before this one / close",
        meaning="how wide a range the price covered in the 20 sessions before, relative to the close",
        missing=NO_RANGE,
        source=DONCHIAN_SOURCE,
    ),
)
