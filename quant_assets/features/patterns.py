"""Patterns: shapes of a few bars that traders name, with their trend and volume. TA-Lib's one- to five-bar shapes: `candlesticks.py`.

A flag is null while anything it reads is missing, also where the rest would already make it 0. Comparisons with a fraction of an average
ask for more than a difference of rounding (MARGIN), so that prices in whole cents which lie exactly on the threshold never count.
"""

from __future__ import annotations

import polars as pl

from quant_assets.features.averages import average_true_range, exponential_average
from quant_assets.features.feature import CLOSES, FLAG, RANGES, Feature
from quant_assets.features.windows import highest, lowest, mean

FAMILY = "patterns"
OPEN, HIGH, LOW, CLOSE, VOLUME = (pl.col(f"adj_{name}") for name in ("open", "high", "low", "close", "volume"))
MARGIN = 1e-9
"""Relative difference below which two averages of the same numbers, added up in another order, are one number."""


def flag(*conditions: pl.Expr) -> pl.Expr:
    """1.0 where all conditions are true, 0.0 where one is not, null where one is unknown."""
    every = conditions[0].cast(pl.Float64)
    for condition in conditions[1:]:
        every = every * condition.cast(pl.Float64)
    return every


def below(value: pl.Expr, fraction: float, average: pl.Expr) -> pl.Expr:
    """Whether the value lies below a fraction of an average by more than a difference of rounding."""
    return value < fraction * average * (1 - MARGIN)


def before(values: pl.Expr, sessions: int) -> pl.Expr:
    """Plain mean of the `sessions` bars before this one, today excluded."""
    return mean(values, sessions).shift(1)


def traded_before(sessions: int) -> pl.Expr:
    """Mean volume of the `sessions` bars before this one; null where nothing traded in them."""
    usual = before(VOLUME, sessions)
    return pl.when(usual > 0).then(usual)


def inside_day() -> pl.Expr:
    """1.0 where the whole range lies within that of the bar before, touching neither end."""
    return flag(HIGH.shift(1) > HIGH, LOW.shift(1) < LOW)


def small_range_day(sessions: int, fraction: float) -> pl.Expr:
    """1.0 where high - low is below `fraction` of its mean over the `sessions` bars before; 0.0 where those had no range at all."""
    extent = HIGH - LOW
    usual = before(extent, sessions)
    return flag(below(extent, fraction, usual), usual > 0)


def up_trend() -> pl.Expr:
    """1.0 where close > EMA 9 > EMA 21 and the close rose more than 5 percent in 10 sessions."""
    fast, slow = exponential_average(9), exponential_average(21)
    return flag(fast < CLOSE, fast > slow, CLOSE / CLOSE.shift(10) > 1.05)


def bull_flag() -> pl.Expr:
    """1.0 on a bar where a strong up-trend pauses. The rule can be read in several ways; this is the one taken.

    All four hold on the same bar t, the third (at least) of the pause, so the averages and the 10-session rise include the pause:

    trend : close > EMA 9 > EMA 21, and close / close[t-10] - 1 > 5 %.
    calm : ATR(14), Wilder's, is below the plain mean of its last 14 values, today's included.
    pause : each of the last three bars (t-2, t-1, t) is an inside day or a small-range day, in any mixture. Small is below 0.7 of the
        mean range of the 14 bars before that bar.
    dry : volume of t is below 0.7 of the mean of the 5 bars before t.

    It may stay 1 for several bars of one flag, and it says nothing about a later break.
    """
    range_now = average_true_range(14)
    calm = range_now < mean(range_now, 14)
    narrow = (inside_day() + small_range_day(14, 0.7) > 0).cast(pl.Float64)
    pause = lowest(narrow, 3) > 0
    return flag(up_trend(), calm, pause, below(VOLUME, 0.7, traded_before(5)))


def breakout(sessions: int, volume_ratio: float) -> pl.Expr:
    """1.0 where the close is above every high of the `sessions` bars before on more than `volume_ratio` times their mean volume."""
    return flag(highest(HIGH, sessions).shift(1) < CLOSE, volume_ratio * traded_before(sessions) * (1 + MARGIN) < VOLUME)


HIGHS, LOWS = ("prices.high", *CLOSES), ("prices.low", *CLOSES)
ALL_BUT_OPEN = (*RANGES, "prices.volume")


def _flag(
    name: str, expression: pl.Expr, inputs: tuple[str, ...], lookback: int, formula: str, meaning: str, missing: str, source: str
) -> Feature:
    return Feature(
        name=name,
        family=FAMILY,
        expression=expression,
        inputs=inputs,
        lookback=lookback,
        recursive=name == "bull_flag",
        unit=FLAG,
        low=0.0,
        high=1.0,
        formula=formula,
        meaning=meaning,
        missing=missing,
        source=source,
    )


FEATURES = (
    _flag(
        "higher_high_5",
        flag(highest(HIGH, 5).shift(1) < HIGH),
        HIGHS,
        5,
        "high > max(high of the 5 sessions before)",
        "buyers paid more than on any of the last 5 days",
        "the bar or one of the 5 before has no high",
        "Dow's higher high, against the highest of 5 days; adjusted for splits and dividends",
    ),
    _flag(
        "higher_low_5",
        flag(lowest(LOW, 5).shift(1) < LOW),
        LOWS,
        5,
        "low > min(low of the 5 sessions before)",
        "sellers got no lower than the lowest price of the last 5 days",
        "the bar or one of the 5 before has no low",
        "Dow's higher low, against the lowest (not the highest) of 5 days; adjusted for splits and dividends",
    ),
    _flag(
        "inside_day",
        inside_day(),
        RANGES,
        1,
        "high < high[t-1] and low > low[t-1]",
        "the whole day took place within the range of the day before: a pause",
        "the bar or the one before has no high or low",
        "Bulkowski (2005), Encyclopedia of Chart Patterns: an equal high or low is not inside",
    ),
    _flag(
        "small_range_day",
        small_range_day(14, 0.7),
        RANGES,
        14,
        "high - low < 0.7 * mean(high - low of the 14 sessions before)",
        "the price travelled much less today than it usually does: a pause",
        "the bar or one of the 14 before has no high or low",
        "own definition, the fraction as in bull_flag",
    ),
    Feature(
        name="gap",
        family=FAMILY,
        expression=OPEN / CLOSE.shift(1) - 1,
        inputs=("prices.open", *CLOSES),
        lookback=1,
        recursive=False,
        unit="fraction",
        low=-1.0,
        formula="open / close[t-1] - 1",
        meaning="how far the price moved overnight, splits and dividends included",
        missing="the bar has no open",
        source="overnight total return; a dividend counts dividend * open / close, as it is reinvested at the ex-date's close",
    ),
    _flag(
        "gap_up",
        flag(HIGH.shift(1) < LOW),
        RANGES,
        1,
        "low > high[t-1]",
        "nobody could buy at a price of yesterday: a gap up that the day left open",
        "the bar has no low or the one before no high",
        "Edwards and Magee, Technical Analysis of Stock Trends, ch. 12: a gap is a price range in which nothing traded",
    ),
    _flag(
        "gap_down",
        flag(LOW.shift(1) > HIGH),
        RANGES,
        1,
        "high < low[t-1]",
        "nobody could sell at a price of yesterday: a gap down that the day left open",
        "the bar has no high or the one before no low",
        "Edwards and Magee, Technical Analysis of Stock Trends, ch. 12: a gap is a price range in which nothing traded",
    ),
    _flag(
        "bull_flag",
        bull_flag(),
        ALL_BUT_OPEN,
        27,
        "close > EMA 9 > EMA 21, close / close[t-10] > 1.05, ATR(14) < its mean of 14, the last 3 days inside or small, "
        "volume < 0.7 * mean(volume of the 5 sessions before)",
        "a strong rise rests: ever smaller days on little volume, and nobody sells",
        "high, low or volume is missing within the look-back, or nothing traded in the 5 sessions before",
        "flag pattern, Edwards and Magee, ch. 11, in numbers of our own; all four conditions hold on one and the same bar",
    ),
    _flag(
        "breakout_20",
        breakout(20, 1.5),
        ("prices.high", *CLOSES, "prices.volume"),
        20,
        "close > max(high of the 20 sessions before) and volume > 1.5 * mean(volume of the 20 sessions before)",
        "the price left its range of 20 days upwards, and many took part",
        "a high or volume is missing within the look-back, or nothing traded in the 20 sessions before",
        "Donchian's 20-day channel, closing basis, with volume to confirm",
    ),
)
