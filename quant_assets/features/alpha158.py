"""Alpha158: bar shape, and rolling statistics of price, volume and rank, in the spirit of qlib's set of that name.

The 158 names and their order are qlib's (`alpha_roc_5` for ROC5), the values differ from it in this:

- A value needs its whole window; qlib takes what there is (`min_periods=1`).
- Prices are total-return prices, dividends included, and volume is adjusted for splits; qlib takes what its data hold.
- Nothing is added to a denominator or under a logarithm (qlib: 1e-12 and, in CORR, 1 share): a ratio of zeros is null, and so is CORR
  while a session of the window had no volume. Nothing then depends on the unit of price or volume.
- A correlation is null where a column has not moved to 12 digits; qlib asks for a standard deviation below 2e-5 of whatever unit.
- Our bars have no VWAP: VWAP0 is the typical price, (high + low + close) / 3, over the close, and called `alpha_typical_0`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from quant_assets.features import bar_shape
from quant_assets.features.bar_shape import FAMILY, SOURCE
from quant_assets.features.feature import CLOSES, RANGES, VOLUMES, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import (
    correlation,
    deviation,
    highest,
    lowest,
    mean,
    place_of_highest,
    place_of_lowest,
    quantile,
    rank,
    still,
    total,
    weighted_sum,
)

SPANS = (5, 10, 20, 30, 60)
CLOSE, HIGH, LOW, VOLUME = pl.col("adj_close"), pl.col("adj_high"), pl.col("adj_low"), pl.col("adj_volume")
BEFORE, VOLUME_BEFORE = CLOSE.shift(1), VOLUME.shift(1)
PLACE = shared("place", pl.int_range(pl.len()).cast(pl.Float64))
"""Of the bar among its name's, from 0."""
TRADED = tuple(dict.fromkeys((*VOLUMES, *CLOSES)))
HIGHS, LOWS = ("prices.high", *CLOSES), ("prices.low", *CLOSES)


def slope_weights(sessions: int) -> list[float]:
    """What each value of a window, oldest first, adds to the slope of the least-squares line through them, a session."""
    middle = (sessions - 1) / 2
    scatter = sum((place - middle) ** 2 for place in range(sessions))
    return [(place - middle) / scatter for place in range(sessions)]


def regression_slope(sessions: int) -> pl.Expr:
    """Slope of the least-squares line through the last `sessions` closes, fraction of the close a session."""
    return weighted_sum(CLOSE, slope_weights(sessions)) / CLOSE


def regression_residual(sessions: int) -> pl.Expr:
    """Close less the end of the least-squares line through the last `sessions` closes, fraction of the close.

    The end of the line is the mean plus the slope times half the window, so the residual is a weighted sum too: summed window by window,
    where TA-Lib's LINEARREG carries a rest of earlier prices along.
    """
    end = [1 / sessions + weight * (sessions - 1) / 2 for weight in slope_weights(sessions)]
    weights = [-weight for weight in end[:-1]] + [1 - end[-1]]
    return weighted_sum(CLOSE, weights) / CLOSE


def r_squared(sessions: int) -> pl.Expr:
    """Share of the scatter of the last `sessions` closes that the least-squares line explains, 0..1."""
    return correlation(CLOSE, PLACE, sessions) ** 2


def stochastic(sessions: int) -> pl.Expr:
    """Close within the range of the last `sessions` bars: 0 at its low, 1 at its high."""
    bottom, top = lowest(LOW, sessions), highest(HIGH, sessions)
    return (CLOSE - bottom) / (top - bottom)


def volume_correlation(sessions: int) -> pl.Expr:
    """Correlation of close and log volume."""
    return correlation(CLOSE, pl.when(VOLUME > 0).then(VOLUME.log()), sessions)


def change_correlation(sessions: int) -> pl.Expr:
    """Correlation of close over the close before and log(volume over the volume before + 1)."""
    return correlation(CLOSE / BEFORE, pl.when(VOLUME_BEFORE > 0).then((VOLUME / VOLUME_BEFORE + 1).log()), sessions)


def share(condition: pl.Expr, sessions: int) -> pl.Expr:
    """Part of the last `sessions` bars on which the condition held."""
    return mean(condition.cast(pl.Float64), sessions)


def one_sidedness(column: pl.Expr, sessions: int) -> pl.Expr:
    """(rises - falls) / (rises + falls) of the last `sessions` changes, -1..1; null where the column has not moved.

    The rises less the falls are what the column has gained, so one sum does: `alpha_sump` is (1 + this) / 2, `alpha_sumn` (1 - this) / 2.
    """
    moves = (column - column.shift(1)).abs()
    gained = (column - column.shift(sessions)) / total(moves, sessions)
    return pl.when(~still(column, sessions)).then(gained.clip(-1, 1))


def money_spread(sessions: int) -> pl.Expr:
    """Standard deviation over mean of absolute return times volume; null where it was 0 throughout."""
    moved = (CLOSE / BEFORE - 1).abs() * VOLUME
    return deviation(moved, sessions) / mean(moved, sessions)


class Statistic(NamedTuple):
    """One statistic over each of SPANS; `{n}` in the words stands for the span. `reach` is the look-back beyond the window's n - 1."""

    name: str
    expression: Callable[[int], pl.Expr]
    inputs: tuple[str, ...]
    reach: int
    unit: str
    low: float | None
    high: float | None
    formula: str
    meaning: str
    missing: str = "never"


NO_BAR = "a bar of the window lacks it"
STATISTICS = (
    Statistic(
        "roc", lambda n: CLOSE.shift(n) / CLOSE, CLOSES, 1, "ratio", 0.0, None,
        "close[t-{n}] / close[t]", "the close of {n} sessions ago against this one: below 1 after a rise",
    ),
    Statistic(
        "ma", lambda n: mean(CLOSE, n) / CLOSE, CLOSES, 0, "ratio", 0.0, None,
        "SMA(close, {n}) / close", "average close of {n} sessions against this one: below 1 where the price stands above its average",
    ),
    Statistic(
        "std", lambda n: deviation(CLOSE, n) / CLOSE, CLOSES, 0, "fraction of close", 0.0, None,
        "std(close, {n}) / close, ddof 1", "how widely the closes of {n} sessions scattered",
    ),
    Statistic(
        "beta", regression_slope, CLOSES, 0, "fraction of close a session", None, None,
        "slope of the regression of {n} closes on time / close", "pace of the trend of {n} sessions",
    ),
    Statistic(
        "rsqr", r_squared, CLOSES, 0, "0..1", 0.0, 1.0,
        "R2 of the regression of {n} closes on time", "how straight the path of {n} sessions was: near 1 a steady trend, near 0 none",
        "the close has not moved for {n} sessions",
    ),
    Statistic(
        "resi", regression_residual, CLOSES, 0, "fraction of close", None, None,
        "(close - end of the regression line through {n} closes) / close",
        "how far the close stands above (+) or below (-) the trend line of {n} sessions",
    ),
    Statistic(
        "max", lambda n: highest(HIGH, n) / CLOSE, HIGHS, 0, "ratio", 0.0, None,
        "max(high, {n}) / close", "how far below the high of {n} sessions the close stands: 1 at the high", NO_BAR,
    ),
    Statistic(
        "min", lambda n: lowest(LOW, n) / CLOSE, LOWS, 0, "ratio", 0.0, None,
        "min(low, {n}) / close", "how far above the low of {n} sessions the close stands: 1 at the low", NO_BAR,
    ),
    Statistic(
        "qtlu", lambda n: quantile(CLOSE, 0.8, n) / CLOSE, CLOSES, 0, "ratio", 0.0, None,
        "80 % quantile of {n} closes / close, linear between two",
        "where the upper fifth of {n} closes begins: below 1 where this one is in it",
    ),
    Statistic(
        "qtld", lambda n: quantile(CLOSE, 0.2, n) / CLOSE, CLOSES, 0, "ratio", 0.0, None,
        "20 % quantile of {n} closes / close, linear between two",
        "where the lower fifth of {n} closes ends: above 1 where this one is in it",
    ),
    Statistic(
        "rank", lambda n: rank(CLOSE, n) / n, CLOSES, 0, "fraction of window", 0.0, 1.0,
        "rank of the close among the last {n} / {n}, equal ones share the mean of their ranks",
        "how many of the last {n} closes this one is above: 1 is the highest",
    ),
    Statistic(
        "rsv", stochastic, RANGES, 0, "fraction of range", None, None,
        "(close - min(low, {n})) / (max(high, {n}) - min(low, {n}))",
        "where the close lies in the range of {n} sessions: 0 low, 1 high",
        "a bar of the window lacks high or low, or the window has no range",
    ),
    Statistic(
        "imax", lambda n: place_of_highest(HIGH, n) / n, HIGHS, 0, "fraction of window", 0.0, 1.0,
        "place of the highest high among {n} bars, oldest 1, / {n}; the oldest of equal ones",
        "how recent the high of {n} sessions is: 1 today", NO_BAR,
    ),
    Statistic(
        "imin", lambda n: place_of_lowest(LOW, n) / n, LOWS, 0, "fraction of window", 0.0, 1.0,
        "place of the lowest low among {n} bars, oldest 1, / {n}; the oldest of equal ones",
        "how recent the low of {n} sessions is: 1 today", NO_BAR,
    ),
    Statistic(
        "imxd", lambda n: (place_of_highest(HIGH, n) - place_of_lowest(LOW, n)) / n, RANGES, 0, "fraction of window", -1.0, 1.0,
        "imax - imin over {n} bars", "whether the high of {n} sessions came after (+) or before (-) their low",
        "a bar of the window lacks high or low",
    ),
    Statistic(
        "corr", volume_correlation, TRADED, 0, "-1..1", -1.0, 1.0,
        "correlation of close and log(volume) over {n} bars", "whether high prices of {n} sessions went with much trading",
        "a bar of the window has no volume, or close or volume has not moved",
    ),
    Statistic(
        "cord", change_correlation, TRADED, 1, "-1..1", -1.0, 1.0,
        "correlation of close[t] / close[t-1] and log(volume[t] / volume[t-1] + 1) over {n} bars",
        "whether trading picked up on the rises of {n} sessions (+) or on the falls (-)",
        "a volume is missing, one before is 0, or a ratio has not moved",
    ),
    Statistic(
        "cntp", lambda n: share(CLOSE > BEFORE, n), CLOSES, 1, "fraction of sessions", 0.0, 1.0,
        "share of the last {n} sessions with close[t] > close[t-1]", "how often the price rose in {n} sessions",
    ),
    Statistic(
        "cntn", lambda n: share(CLOSE < BEFORE, n), CLOSES, 1, "fraction of sessions", 0.0, 1.0,
        "share of the last {n} sessions with close[t] < close[t-1]", "how often the price fell in {n} sessions",
    ),
    Statistic(
        "cntd", lambda n: mean((CLOSE - BEFORE).sign(), n), CLOSES, 1, "fraction of sessions", -1.0, 1.0,
        "cntp - cntn over {n} sessions", "rises less falls among {n} sessions",
    ),
    Statistic(
        "sump", lambda n: (1 + one_sidedness(CLOSE, n)) / 2, CLOSES, 1, "fraction", 0.0, 1.0,
        "sum of the rises of the close / sum of its absolute changes, {n} sessions",
        "share of the movement of {n} sessions that was upwards: an RSI of plain sums", "the close has not moved for {n} sessions",
    ),
    Statistic(
        "sumn", lambda n: (1 - one_sidedness(CLOSE, n)) / 2, CLOSES, 1, "fraction", 0.0, 1.0,
        "sum of the falls of the close / sum of its absolute changes, {n} sessions",
        "share of the movement of {n} sessions that was downwards", "the close has not moved for {n} sessions",
    ),
    Statistic(
        "sumd", lambda n: one_sidedness(CLOSE, n), CLOSES, 1, "-1..1", -1.0, 1.0,
        "sump - sumn over {n} sessions", "net over total movement of {n} sessions: 1 only rises, -1 only falls, near 0 to and fro",
        "the close has not moved for {n} sessions",
    ),
    Statistic(
        "vma", lambda n: mean(VOLUME, n) / VOLUME, VOLUMES, 0, "ratio", 0.0, None,
        "SMA(volume, {n}) / volume", "average volume of {n} sessions against this one: below 1 on a busy day",
        "a volume of the window is missing or this one is 0",
    ),
    Statistic(
        "vstd", lambda n: deviation(VOLUME, n) / VOLUME, VOLUMES, 0, "ratio", 0.0, None,
        "std(volume, {n}) / volume, ddof 1", "how unevenly {n} sessions were traded",
        "a volume of the window is missing or this one is 0",
    ),
    Statistic(
        "wvma", money_spread, TRADED, 1, "ratio", 0.0, None,
        "std(|return| * volume, {n}) / SMA(|return| * volume, {n}), ddof 1",
        "how much the movement of {n} sessions, weighed with volume, came in bursts",
        "a volume is missing, or no session both moved and traded",
    ),
    Statistic(
        "vsump", lambda n: (1 + one_sidedness(VOLUME, n)) / 2, VOLUMES, 1, "fraction", 0.0, 1.0,
        "sum of the rises of volume / sum of its absolute changes, {n} sessions",
        "share of the changes of volume in {n} sessions that were rises", "a volume is missing or has not moved for {n} sessions",
    ),
    Statistic(
        "vsumn", lambda n: (1 - one_sidedness(VOLUME, n)) / 2, VOLUMES, 1, "fraction", 0.0, 1.0,
        "sum of the falls of volume / sum of its absolute changes, {n} sessions",
        "share of the changes of volume in {n} sessions that were falls", "a volume is missing or has not moved for {n} sessions",
    ),
    Statistic(
        "vsumd", lambda n: one_sidedness(VOLUME, n), VOLUMES, 1, "-1..1", -1.0, 1.0,
        "vsump - vsumn over {n} sessions", "net over total change of volume in {n} sessions: positive where trading picked up",
        "a volume is missing or has not moved for {n} sessions",
    ),
)  # fmt: skip

FEATURES = (
    *bar_shape.FEATURES,
    *(
        Feature(
            name=f"alpha_{statistic.name}_{n}",
            family=FAMILY,
            expression=statistic.expression(n),
            inputs=statistic.inputs,
            lookback=n - 1 + statistic.reach,
            recursive=False,
            unit=statistic.unit,
            low=statistic.low,
            high=statistic.high,
            formula=statistic.formula.format(n=n),
            meaning=statistic.meaning.format(n=n),
            missing=statistic.missing.format(n=n),
            source=SOURCE,
        )
        for statistic in STATISTICS
        for n in SPANS
    ),
)
