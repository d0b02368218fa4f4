"""Windows over every name at once, compiled. Which column a family asks for is said in `windows.py`, when they run in `shared.py`.

A kernel reads columns of all names one below the other, and `starts`: where each name begins, and the end of the last. NaN is what is
missing, also in `out`. A window is summed as the end of one block and the beginning of the next, as distances from a value of its own:
nothing before it leaves a trace, what stands still has a spread of exactly 0, and no value depends on a later bar. One file holds it all,
as the cache of compiled functions does not notice that a function of another file was changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
# No fastmath: the same bits for the same bars.
compiled: Callable[[F], F] = numba.njit(cache=True, nogil=True, error_model="numpy")

STILL = 1e-12
"""A column whose standard deviation is below this part of its last value has not moved: the rest is rounding."""


@compiled
def total(starts: Places, out: Floats, x: Floats, n: int, over: float) -> None:
    """Sum of the last n values divided by `over`."""
    out[:] = np.nan
    tail = np.empty(n)
    for name in range(starts.size - 1):
        for first in range(starts[name], starts[name + 1], n):
            last = min(first + n, starts[name + 1])
            ahead = 0.0
            for i in range(first, last):
                ahead += x[i]
                if first > starts[name] and i - first < n - 1:
                    out[i] = (tail[i - first + 1] + ahead) / over
                elif i - first == n - 1:
                    out[i] = ahead / over
            if last == first + n:
                behind = 0.0
                for i in range(last - 1, first - 1, -1):
                    behind += x[i]
                    tail[i - first] = behind


@compiled
def deviation(starts: Places, out: Floats, x: Floats, n: int, ddof: int) -> None:
    """Standard deviation of the last n values."""
    out[:] = np.nan
    tail, tail_of_squares = np.empty(n), np.empty(n)
    for name in range(starts.size - 1):
        for first in range(starts[name], starts[name + 1], n):
            last = min(first + n, starts[name + 1])
            if first > starts[name]:
                anchor = x[first - 1]
                ahead = ahead_of_squares = 0.0
                for i in range(first, min(last, first + n - 1)):
                    away = x[i] - anchor
                    ahead += away
                    ahead_of_squares += away * away
                    s, q = tail[i - first + 1] + ahead, tail_of_squares[i - first + 1] + ahead_of_squares
                    out[i] = math.sqrt(max(q - s * s / n, 0.0) / (n - ddof)) if q == q else np.nan
            if last == first + n:
                anchor = x[last - 1]
                behind = behind_of_squares = 0.0
                for i in range(last - 1, first - 1, -1):
                    away = x[i] - anchor
                    behind += away
                    behind_of_squares += away * away
                    tail[i - first], tail_of_squares[i - first] = behind, behind_of_squares
                s, q = behind, behind_of_squares
                out[last - 1] = math.sqrt(max(q - s * s / n, 0.0) / (n - ddof)) if q == q else np.nan


@compiled
def highest(starts: Places, out: Floats, x: Floats, n: int, sign: float) -> None:
    """The highest of the last n values times the sign, times the sign: the lowest where it is -1."""
    out[:] = np.nan
    tail = np.empty(n)
    for name in range(starts.size - 1):
        for first in range(starts[name], starts[name + 1], n):
            last = min(first + n, starts[name + 1])
            ahead = -np.inf
            for i in range(first, last):
                value = sign * x[i]
                if value > ahead or value != value:  # what is NaN stays NaN: nothing is greater
                    ahead = value
                if i - first == n - 1:
                    out[i] = sign * ahead
                elif first > starts[name]:
                    before = tail[i - first + 1]
                    out[i] = sign * (before if before > ahead or before != before else ahead)
            if last == first + n:
                behind = -np.inf
                for i in range(last - 1, first - 1, -1):
                    value = sign * x[i]
                    if value > behind or value != value:
                        behind = value
                    tail[i - first] = behind


@compiled
def place(starts: Places, out: Floats, x: Floats, n: int, sign: float, latest: bool) -> None:
    """Where in the last n values the highest times the sign stands, 1 the oldest; of equal ones the oldest or the latest counts."""
    out[:] = np.nan
    for name in range(starts.size - 1):
        best, whole_since = -1, starts[name]
        for i in range(starts[name], starts[name + 1]):
            if x[i] != x[i]:
                whole_since, best = i + 1, -1
                continue
            since = i - n + 1
            if best < since:  # the highest has left the window, or there was none
                best = max(since, whole_since)
                for j in range(best + 1, i):
                    if sign * x[j] > sign * x[best] or (latest and x[j] == x[best]):
                        best = j
            if sign * x[i] > sign * x[best] or (latest and x[i] == x[best]):
                best = i
            if since >= whole_since:
                out[i] = best - since + 1


@compiled
def weighted(starts: Places, out: Floats, x: Floats, weights: Floats) -> None:
    """Sum of the last values times the weights, the oldest first."""
    n = weights.size
    out[:] = np.nan
    for name in range(starts.size - 1):
        for i in range(starts[name] + n - 1, starts[name + 1]):
            found = 0.0
            for k in range(n):
                found += weights[k] * x[i - n + 1 + k]
            out[i] = found


@compiled
def run(starts: Places, out: Floats, x: Floats, same_as: float) -> None:
    """How many values in a row, up to this one, are `same_as`; with NaN, how many values before this one are the same as it."""
    for name in range(starts.size - 1):
        length = 0
        for i in range(starts[name], starts[name + 1]):
            if same_as == same_as:
                length = length + 1 if x[i] == same_as else 0
            elif i > starts[name] and (x[i] == x[i - 1] or (x[i] != x[i] and x[i - 1] != x[i - 1])):
                length += 1
            else:
                length = 0
            out[i] = length


@compiled
def moved(starts: Places, out: Floats, x: Floats, changes: int) -> None:
    """1 where one of the last `changes` changes is not 0, else 0; NaN where a value at one of their ends is missing."""
    out[:] = np.nan
    for name in range(starts.size - 1):
        there = same = 0
        for i in range(starts[name], starts[name + 1]):
            same = same + 1 if i > starts[name] and x[i] == x[i - 1] else 0
            there = there + 1 if x[i] == x[i] else 0
            if there > changes:
                out[i] = 1.0 if same < changes else 0.0


@compiled
def rank(starts: Places, out: Floats, x: Floats, n: int) -> None:
    """Rank of this value among the last n, 1 the lowest; equal ones share the mean of their ranks."""
    out[:] = np.nan
    for name in range(starts.size - 1):
        there = 0
        for i in range(starts[name], starts[name + 1]):
            there = there + 1 if x[i] == x[i] else 0
            if there < n:
                continue
            below = equal = 0
            for j in range(i - n + 1, i + 1):
                below += x[j] < x[i]
                equal += x[j] == x[i]
            out[i] = below + (equal + 1) / 2


@compiled
def quantile(starts: Places, out: Floats, x: Floats, n: int, part: float) -> None:
    """The value below which `part` of the last n lie, linear between two of them."""
    out[:] = np.nan
    ordered = np.empty(n)
    at = part * (n - 1)
    low = math.floor(at)
    high = min(low + 1, n - 1)
    for name in range(starts.size - 1):
        there = 0
        for i in range(starts[name], starts[name + 1]):
            if x[i] != x[i]:
                there = 0
                continue
            size = min(there, n)
            # the value that leaves makes room: what lies between it and the new one moves by a place
            hole = np.searchsorted(ordered, x[i - n]) if size == n else size
            while hole > 0 and ordered[hole - 1] > x[i]:
                ordered[hole] = ordered[hole - 1]
                hole -= 1
            end = size if size == n else size + 1
            while hole + 1 < end and ordered[hole + 1] < x[i]:
                ordered[hole] = ordered[hole + 1]
                hole += 1
            ordered[hole] = x[i]
            there += 1
            if there >= n:
                out[i] = ordered[low] + (ordered[high] - ordered[low]) * (at - low)


@compiled
def correlation(starts: Places, out: Floats, x: Floats, y: Floats, n: int) -> None:
    """Pearson correlation of the last n values of two columns, -1..1; NaN also where one has not moved."""
    out[:] = np.nan
    tail = np.empty((n, 5))
    for name in range(starts.size - 1):
        for first in range(starts[name], starts[name + 1], n):
            last = min(first + n, starts[name + 1])
            if first > starts[name]:
                a, b = x[first - 1], y[first - 1]
                sx = sy = sxx = syy = sxy = 0.0
                for i in range(first, min(last, first + n - 1)):
                    dx, dy = x[i] - a, y[i] - b
                    sx += dx
                    sy += dy
                    sxx += dx * dx
                    syy += dy * dy
                    sxy += dx * dy
                    t = tail[i - first + 1]
                    out[i] = _related(t[0] + sx, t[1] + sy, t[2] + sxx, t[3] + syy, t[4] + sxy, x[i], y[i], n)
            if last == first + n:
                a, b = x[last - 1], y[last - 1]
                sx = sy = sxx = syy = sxy = 0.0
                for i in range(last - 1, first - 1, -1):
                    dx, dy = x[i] - a, y[i] - b
                    sx += dx
                    sy += dy
                    sxx += dx * dx
                    syy += dy * dy
                    sxy += dx * dy
                    t = tail[i - first]
                    t[0], t[1], t[2], t[3], t[4] = sx, sy, sxx, syy, sxy
                out[last - 1] = _related(sx, sy, sxx, syy, sxy, a, b, n)


@compiled
def _related(x: float, y: float, xx: float, yy: float, xy: float, last_x: float, last_y: float, n: int) -> float:
    scatter_x, scatter_y = xx - x * x / n, yy - y * y / n
    if scatter_x > n * (STILL * last_x) ** 2 and scatter_y > n * (STILL * last_y) ** 2:
        return min(max((xy - x * y / n) / (math.sqrt(scatter_x) * math.sqrt(scatter_y)), -1.0), 1.0)
    return np.nan


@compiled
def wilder(starts: Places, out: Floats, x: Floats, n: int) -> None:
    """Wilder's average of the values that are there: the mean of the first n, then (n - 1) / n of itself and 1 / n of each."""
    out[:] = np.nan
    for name in range(starts.size - 1):
        there, average = 0, 0.0
        for i in range(starts[name], starts[name + 1]):
            if x[i] != x[i]:
                continue
            there += 1
            if there <= n:
                average += x[i] / n
            else:
                average += (x[i] - average) / n
            if there >= n:
                out[i] = average
