"""Statistics over every window of one ticker's bars that neither polars nor TA-Lib has an exact kernel for. Features live in families.

polars' rolling correlation subtracts products of averages, which leaves nothing of a price that hardly moves; TA-Lib's keeps running
sums of squares. Here a window is summed as distances from one of its own values: nothing before it leaves a trace, and because one of
the distances is 0, taking the mean out costs the sum of squares at most a factor of the window's length in rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import polars_talib as talib

from quant_assets.features.shared import shared

STILL = 1e-12
"""A column whose standard deviation is below this part of its last value has not moved: the rest is rounding."""


def correlation(left: pl.Expr, right: pl.Expr, sessions: int) -> pl.Expr:
    """Pearson correlation of two columns over the last `sessions` bars, -1..1.

    Null while a bar of the window lacks a value, and where a column has not moved.
    """

    def of_series(columns: Sequence[pl.Series]) -> pl.Series:
        return pl.Series(_correlation(columns[0].to_numpy(), columns[1].to_numpy(), sessions), nan_to_null=True)

    return pl.map_batches([left, right], of_series, return_dtype=pl.Float64)


def _correlation(left: np.ndarray, right: np.ndarray, sessions: int) -> np.ndarray:
    """left, right : (n,) values, NaN = none. Returns (n,), NaN where there is no correlation."""
    out = np.full(left.size, np.nan)
    if left.size < sessions:
        return out
    x, y, xx, yy, xy = _moments(left, right, sessions)
    scatter_x, scatter_y = xx - x * x / sessions, yy - y * y / sessions
    moved_x = scatter_x > sessions * (STILL * left[sessions - 1 :]) ** 2
    moved_y = scatter_y > sessions * (STILL * right[sessions - 1 :]) ** 2
    scale = np.sqrt(np.where(moved_x, scatter_x, np.nan)) * np.sqrt(np.where(moved_y, scatter_y, np.nan))
    out[sessions - 1 :] = np.clip((xy - x * y / sessions) / scale, -1.0, 1.0)
    return out


def _moments(left: np.ndarray, right: np.ndarray, sessions: int) -> np.ndarray:
    """Sums of x, y, xx, yy, xy over each full window, x and y being distances from one bar of the window: (5, n - sessions + 1).

    The series is cut into blocks of the window's length. A window is the end of one block and the beginning of the next, so its sums
    are two running sums that start where the blocks meet; distances are from the bar before that place, which is in every such window.
    """
    blocks = -(-left.size // sessions)
    padded = np.full((2, blocks * sessions), np.nan)
    padded[:, : left.size] = left, right
    both = padded.reshape(2, blocks, sessions)
    anchor = both[:, :, -1:]
    ends = np.cumsum(_products(both - anchor)[:, :, ::-1], axis=2)[:, :, ::-1]
    ends[:, :-1, 1:] += np.cumsum(_products(both[:, 1:] - anchor[:, :-1])[:, :, :-1], axis=2)
    return ends.reshape(5, -1)[:, : left.size - sessions + 1]


def _products(both: np.ndarray) -> np.ndarray:
    x, y = both
    return np.stack([x, y, x * x, y * y, x * y])


def place_of_lowest(column: pl.Expr, sessions: int) -> pl.Expr:
    """Where in the last `sessions` bars the lowest value stands: 1 is the oldest bar, `sessions` this one. Of equal ones the oldest counts.

    Null while a bar of the window lacks a value. TA-Lib's MININDEX takes now the oldest, now the latest of equal values, depending on the
    bars before the window; ranks, in which of equal values the earlier is lower, leave it no choice. Which of two bars has the lower
    rank depends on no third bar, so on no later one.
    """
    rank = column.rank("ordinal").fill_null(pl.len() + 1).cast(pl.Float64)
    at: pl.Expr = talib.minindex(rank, sessions)
    bar, gaps = pl.int_range(pl.len()), column.is_null().cum_sum()
    complete = (bar >= sessions - 1) & (gaps == gaps.shift(sessions, fill_value=0))
    return pl.when(complete).then(sessions - (bar - at.cast(pl.Int64))).cast(pl.Float64)


def place_of_highest(column: pl.Expr, sessions: int) -> pl.Expr:
    """As `place_of_lowest`, of the highest value."""
    return place_of_lowest(-column, sessions)


def still(column: pl.Expr, changes: int) -> pl.Expr:
    """Whether the column's last `changes` changes were all 0; null where there were not so many bars."""
    run = column.rle_id()
    return run == run.shift(changes)


def highest(column: str, sessions: int) -> pl.Expr:
    """The highest value of the last `sessions` bars; null while one of them has none."""
    return shared(f"highest_{column}_{sessions}", pl.col(column).rolling_max(sessions))


def lowest(column: str, sessions: int) -> pl.Expr:
    """As `highest`, the lowest value."""
    return shared(f"lowest_{column}_{sessions}", pl.col(column).rolling_min(sessions))


def simple_average(column: str, sessions: int) -> pl.Expr:
    """Mean of the last `sessions` bars; null while one of them has no value."""
    return shared(f"mean_{column}_{sessions}", pl.col(column).rolling_mean(sessions))


def weighted_sum(values: pl.Expr, weights: Sequence[float]) -> pl.Expr:
    """Sum of the last len(weights) values times the weights, the oldest first; null while one of them is."""
    # A weighted sum refuses nulls; a NaN passes through each window that holds it and no other, as every window is added up anew.
    size = len(weights)
    return values.fill_null(math.nan).rolling_sum(size, weights=list(weights), min_samples=size).fill_nan(None)


def every(condition: pl.Expr, sessions: int) -> pl.Expr:
    """Whether the condition held on each of the last `sessions` bars; not true while there are not so many, or where it is null on one.

    Runs of equal values tell at a fraction of the cost of a rolling highest or lowest value.
    """
    return condition & still(condition, sessions - 1)


def some(condition: pl.Expr, sessions: int) -> pl.Expr:
    """Whether the condition held on one of the last `sessions` bars. A bar on which it is null, or a bar too few, counts as one.

    A guard for values that are null there by themselves.
    """
    return ~every(~condition, sessions)


def moved(column: pl.Expr, changes: int) -> pl.Expr:
    """Whether one of the column's last `changes` changes was not 0; not true while the column lacks a value at one of their ends."""
    return every(column.is_not_null(), changes + 1) & ~still(column, changes)


def spread(column: pl.Expr, sessions: int) -> pl.Expr:
    """Standard deviation (ddof 1) over the last `sessions` bars, exactly 0 where the column has not moved."""
    scatter = column.rolling_std(sessions, ddof=1)
    return pl.when(still(column, sessions - 1)).then(pl.when(column.is_not_null()).then(0.0)).otherwise(scatter)
