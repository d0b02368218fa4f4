"""Statistics over windows of one name's bars, as columns that features read. How they are summed is `kernels.py`'s business.

Each is null while a bar of its window lacks a value, or there are not so many bars; NaN counts as none. `values` is any expression of one
name's bars in session order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from quant_assets.features.shared import kernel


def total(values: pl.Expr, sessions: int) -> pl.Expr:
    """Sum of the last `sessions` bars; exactly 0 where all of them are."""
    return kernel("total", values, parameters=(sessions, 1.0))


def mean(values: pl.Expr, sessions: int) -> pl.Expr:
    """Mean of the last `sessions` bars."""
    return kernel("total", values, parameters=(sessions, float(sessions)))


def deviation(values: pl.Expr, sessions: int, *, ddof: int = 1) -> pl.Expr:
    """Standard deviation over the last `sessions` bars (ddof 1 unless said), exactly 0 where the values have not moved."""
    return kernel("deviation", values, parameters=(sessions, ddof))


def highest(values: pl.Expr, sessions: int) -> pl.Expr:
    """The highest value of the last `sessions` bars."""
    return kernel("highest", values, parameters=(sessions, 1.0))


def lowest(values: pl.Expr, sessions: int) -> pl.Expr:
    """As `highest`, the lowest value."""
    return kernel("highest", values, parameters=(sessions, -1.0))


def place_of_highest(values: pl.Expr, sessions: int, *, latest: bool = False) -> pl.Expr:
    """Where in the last `sessions` bars the highest value stands: 1 is the oldest bar, `sessions` this one.

    Of equal ones the oldest counts, or the latest. TA-Lib's MAXINDEX takes now the one, now the other, depending on the bars before.
    """
    return kernel("place", values, parameters=(sessions, 1.0, latest))


def place_of_lowest(values: pl.Expr, sessions: int, *, latest: bool = False) -> pl.Expr:
    """As `place_of_highest`, of the lowest value."""
    return kernel("place", values, parameters=(sessions, -1.0, latest))


def rank(values: pl.Expr, sessions: int) -> pl.Expr:
    """Rank of this value among those of the last `sessions` bars, 1 the lowest; equal ones share the mean of their ranks."""
    return kernel("rank", values, parameters=(sessions,))


def quantile(values: pl.Expr, part: float, sessions: int) -> pl.Expr:
    """The value below which `part` of the last `sessions` bars lie, linear between two of them."""
    return kernel("quantile", values, parameters=(sessions, part))


def correlation(left: pl.Expr, right: pl.Expr, sessions: int) -> pl.Expr:
    """Pearson correlation of two columns over the last `sessions` bars, -1..1; null also where a column has not moved.

    polars' rolling correlation subtracts products of averages, which leaves nothing of a price that hardly moves; TA-Lib's keeps running
    sums of squares.
    """
    return kernel("correlation", left, right, parameters=(sessions,))


def weighted_sum(values: pl.Expr, weights: Sequence[float]) -> pl.Expr:
    """Sum of the last len(weights) values times the weights, the oldest first."""
    return kernel("weighted", values, parameters=(tuple(weights),))


def wilder_average(values: pl.Expr, sessions: int) -> pl.Expr:
    """Wilder's average: ((sessions - 1) x average before + value) / sessions, from the plain mean of the first `sessions` values on.

    Bars without a value are passed over, and have none.
    """
    return kernel("wilder", values, parameters=(sessions,))


def still(values: pl.Expr, changes: int) -> pl.Expr:
    """Whether the last `changes` changes were all 0; not true where there were not so many bars. Missing values are like each other."""
    return kernel("run", values, parameters=(math.nan,)) >= changes


def moved(values: pl.Expr, changes: int) -> pl.Expr:
    """Whether one of the last `changes` changes was not 0; null where a value at one of their ends is missing."""
    return kernel("moved", values, parameters=(changes,)) == 1.0


def every(condition: pl.Expr, sessions: int) -> pl.Expr:
    """Whether the condition held on each of the last `sessions` bars; not true while there are not so many, or where it is null on one."""
    return kernel("run", condition, parameters=(1.0,)) >= sessions


def some(condition: pl.Expr, sessions: int) -> pl.Expr:
    """Whether the condition held on one of the last `sessions` bars. A bar on which it is null, or a bar too few, counts as one.

    A guard for values that are null there by themselves.
    """
    return kernel("run", condition, parameters=(0.0,)) < sessions
