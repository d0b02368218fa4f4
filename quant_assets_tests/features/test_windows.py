"""Windows (`kernels.py` through `windows.py`) against plain loops: ties, gaps, standstills, short series, names one below the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.features import windows
from quant_assets.features.shared import evaluate
from quant_assets.features.windows import correlation, deviation, every, moved, place_of_highest, place_of_lowest, some, still, total
from quant_assets_tests.features.panels import evaluated

X = pl.col("x")
Loop = Callable[[list[float]], float]


def column(expression: pl.Expr, **columns: list[float | None]) -> list[float | None]:
    return evaluated(pl.DataFrame(columns).cast(pl.Float64), out=expression)["out"].to_list()


def average_rank(window: list[float]) -> float:
    below, equal = sum(value < window[-1] for value in window), window.count(window[-1])
    return below + (equal + 1) / 2


LOOPS: dict[str, tuple[Callable[[int], pl.Expr], Loop]] = {
    "total": (lambda n: total(X, n), math.fsum),
    "mean": (lambda n: windows.mean(X, n), lambda window: math.fsum(window) / len(window)),
    "deviation": (lambda n: deviation(X, n, ddof=0), lambda window: float(np.std(np.array(window, dtype=np.longdouble)))),
    "highest": (lambda n: windows.highest(X, n), max),
    "lowest": (lambda n: windows.lowest(X, n), min),
    "place of highest": (lambda n: place_of_highest(X, n), lambda window: window.index(max(window)) + 1),
    "latest of highest": (lambda n: place_of_highest(X, n, latest=True), lambda window: len(window) - window[::-1].index(max(window))),
    "place of lowest": (lambda n: place_of_lowest(X, n), lambda window: window.index(min(window)) + 1),
    "rank": (lambda n: windows.rank(X, n), average_rank),
    "quantile": (lambda n: windows.quantile(X, 0.3, n), lambda window: float(np.quantile(window, 0.3))),
    "weighted": (lambda n: windows.weighted_sum(X, [0.5**k for k in range(n)]), lambda w: sum(0.5**k * v for k, v in enumerate(w))),
}
series = st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=40)


@pytest.mark.parametrize("what", LOOPS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(first=series, second=series, n=st.integers(1, 12))
def test_every_window_is_what_a_loop_says(what: str, first: list[float | None], second: list[float | None], n: int):
    """Of two names one below the other; null while a bar of the window has no value."""
    expression, loop = LOOPS[what]
    frame = pl.DataFrame({"ticker": ["A"] * len(first) + ["B"] * len(second), "x": pl.Series(first + second, dtype=pl.Float64)})
    found = evaluate(frame, [expression(n).alias("out")])["out"].to_list()
    expected: list[float | None] = []
    for values in (first, second):
        for t in range(len(values)):
            window = values[t - n + 1 : t + 1] if t >= n - 1 else [None]
            known = [value for value in window if value is not None]
            expected.append(loop(known) if len(known) == n else None)
    largest = max((abs(value) for value in first + second if value is not None), default=0.0)
    assert [value is None for value in found] == [value is None for value in expected]
    # sums are taken as distances from a value of the window: 1e-15 of the largest of them, and its square root for a deviation
    loose = 1e-6 if what == "deviation" else 1e-12
    assert [v for v in found if v is not None] == pytest.approx([v for v in expected if v is not None], rel=1e-9, abs=loose * largest)


def test_runs_and_standstills():
    x = [1.0, 1.0, 1.0, 2.0, None, None, 3.0, 3.0]
    assert column(still(X, 2), x=x) == [False, False, True, False, False, False, False, False]
    assert column(still(X, 1), x=x) == [False, True, True, False, False, True, False, True]
    assert column(moved(X, 1), x=x) == [None, False, False, True, None, None, None, False]
    assert column(every(X < 2, 2), x=x) == [False, True, True, False, False, False, False, False]
    assert column(some(X < 2, 2), x=x) == [True, True, True, True, True, True, True, False]


def test_wilders_average_passes_over_what_is_missing():
    x = [2.0, None, 4.0, 6.0, None, 1.0]
    assert column(windows.wilder_average(X, 3), x=x) == [None, None, None, pytest.approx(4.0), None, pytest.approx(3.0)]
    assert column(windows.wilder_average(X, 7), x=x) == [None] * 6


@pytest.mark.parametrize("sessions", [2, 5, 20, 60])
@pytest.mark.parametrize("scatter", [1e-2, 1e-7])
@pytest.mark.parametrize("n", [1, 4, 5, 59, 60, 61, 120, 187])
def test_correlation_against_extended_precision(sessions: int, scatter: float, n: int):
    """Every length against the blocks of the window, and what follows a hundredfold fall. Tolerance: 1e-15 / 1e-7 a digit of the price."""
    rng = np.random.default_rng([sessions, n])
    x, y = 100 * np.exp(np.cumsum(rng.normal(0, scatter, n))), rng.normal(12, 0.5, n)
    x[n // 2 :] /= 100
    found = column(correlation(pl.col("x"), pl.col("y"), sessions), x=x.tolist(), y=y.tolist())
    for t, value in enumerate(found):
        if t < sessions - 1:
            assert value is None
            continue
        a, b = (series[t - sessions + 1 : t + 1].astype(np.longdouble) for series in (x, y))
        a, b = a - a.mean(), b - b.mean()
        assert value == pytest.approx(float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())), rel=1e-9, abs=1e-12), t


def test_correlation_is_the_same_to_the_bit_whatever_follows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 150)).tolist()
    whole = column(correlation(pl.col("x"), pl.col("y"), 20), x=x, y=y)
    for cut in (19, 20, 21, 40, 99):
        assert column(correlation(pl.col("x"), pl.col("y"), 20), x=x[:cut], y=y[:cut]) == whole[:cut]


def test_correlation_of_what_stands_still_or_is_missing_is_null():
    ramp: list[float | None] = [float(i) for i in range(12)]
    flat: list[float | None] = [0.1] * 12
    nearly: list[float | None] = [0.1, 0.1 + 1e-16, 0.30000000000000004 - 0.2] * 4
    gap = [*ramp[:6], None, *ramp[7:]]
    for other in (flat, nearly):
        assert column(correlation(pl.col("x"), pl.col("y"), 4), x=ramp, y=other) == [None] * 12
        assert column(correlation(pl.col("x"), pl.col("y"), 4), x=other, y=ramp) == [None] * 12
    holed = column(correlation(pl.col("x"), pl.col("y"), 4), x=ramp, y=gap)
    assert [value is None for value in holed] == [t < 3 or 6 <= t < 10 for t in range(12)]
    assert all(value is None or math.isclose(value, 1.0, rel_tol=1e-15) for value in holed)


def test_of_equal_values_the_oldest_has_the_place():
    x = [3.0, 1.0, 1.0, 3.0, 3.0, 2.0, None, 1.0, 2.0, 2.0]
    assert column(place_of_lowest(pl.col("x"), 3), x=x) == [None, None, 2, 1, 1, 3, None, None, None, 1]
    assert column(place_of_highest(pl.col("x"), 3), x=x) == [None, None, 1, 3, 2, 1, None, None, None, 2]


def test_places_in_whole_numbers_against_a_loop():
    """TA-Lib's MAXINDEX alone fails here: of equal values it takes the one that its way through the series met."""
    x = np.random.default_rng(1).integers(0, 6, 400).astype(float)
    low, high = (column(place(pl.col("x"), 20), x=x.tolist()) for place in (place_of_lowest, place_of_highest))
    for t in range(19, 400):
        assert (low[t], high[t]) == (x[t - 19 : t + 1].argmin() + 1, x[t - 19 : t + 1].argmax() + 1), t


def test_deviation_of_what_stands_still_is_0():
    x = [1e9, 5.0, 0.1, 0.1, 0.1, None, None, None, 7.0, 7.0, 8.0]
    found = column(deviation(X, 3), x=x)
    assert found[4] == 0.0
    assert [value is None for value in found] == [True, True, False, False, False, True, True, True, True, True, False]
    assert [found[place] for place in (2, 3, 10)] == pytest.approx([np.std(w, ddof=1) for w in (x[:3], x[1:4], x[8:])])


def test_a_sum_of_zeros_after_millions_is_0():
    assert column(total(X, 3), x=[1e9, 1e-9, 7.0, 0.0, 0.0, 0.0])[-1] == 0.0
