"""The error of a mean against statsmodels, and how many lags it weighs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from quant_assets.validation.newey_west import lags, standard_error


def persistent(n: int, seed: int = 2) -> np.ndarray:
    """Sums of twenty neighbouring draws, as returns of overlapping windows are."""
    return np.convolve(np.random.default_rng(seed).normal(size=n + 19), np.ones(20), mode="valid") + 0.3


@pytest.mark.parametrize("lag", [0, 1, 4, 19])
@pytest.mark.parametrize("n", [60, 2500])
def test_it_is_that_of_statsmodels(n: int, lag: int):
    series = persistent(n)
    fitted = OLS(series, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": True})
    assert standard_error(series, lag) == pytest.approx(fitted.bse[0], rel=1e-10)


def test_without_lags_it_is_the_usual_one():
    series = persistent(50)
    assert standard_error(series, 0) == pytest.approx(series.std(ddof=1) / math.sqrt(50), rel=1e-12)


def test_overlapping_windows_have_a_wider_error():
    series = persistent(2500)
    assert standard_error(series, 19) > 2 * standard_error(series, 0)


def test_too_few_observations_have_none():
    series = persistent(20)
    assert standard_error(series, 19) is None
    assert standard_error(series, 18) is not None
    assert standard_error(series[:1], 0) is None
    assert standard_error(series[:0], 0) is None


@pytest.mark.parametrize(("n", "horizon", "expected"), [(0, 1, 0), (10, 1, 2), (100, 1, 4), (2500, 1, 8), (2500, 20, 19), (60, 3, 3)])
def test_lags_are_the_larger_of_overlap_and_rule(n: int, horizon: int, expected: int):
    assert lags(n, horizon=horizon) == expected
