"""Windows summed exactly: ties, gaps, columns that stand still, series shorter than a window."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from quant_assets.features.windows import correlation, place_of_highest, place_of_lowest, spread, still


def column(expression: pl.Expr, **columns: list[float | None]) -> list[float | None]:
    return pl.DataFrame(columns).cast(pl.Float64).select(expression.alias("out"))["out"].to_list()


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


def test_spread_of_what_stands_still_is_0():
    x = [1e9, 5.0, 0.1, 0.1, 0.1, None, None, None, 7.0, 7.0, 8.0]
    found = column(spread(pl.col("x"), 3), x=x)
    assert found == [
        None,
        None,
        pytest.approx(np.std(x[:3], ddof=1)),
        pytest.approx(np.std(x[1:4], ddof=1)),
        0.0,
        *[None] * 5,
        pytest.approx(np.std(x[8:], ddof=1)),
    ]
    assert column(still(pl.col("x"), 2), x=[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]) == [None, None, True, False, False, True]
