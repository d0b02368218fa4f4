"""Tail figures against published values, scipy, and the integral they stand for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from quant_assets.backtest.tail_risk import (
    cornish_fisher_cvar,
    cornish_fisher_var,
    historical_cvar,
    historical_var,
    kurtosis,
    normal_cvar,
    normal_var,
    skewness,
    tail_ratio,
)
from quant_assets_tests.backtest.records import published

SKEWED = np.random.default_rng(3).gamma(9.0, size=400) * -0.004 + 0.035


@pytest.mark.parametrize(
    ("case", "figure"),
    [
        ("var_hist_0.05", historical_var),
        ("cvar_empyrical_0.01", lambda returns: historical_cvar(returns, 0.01)),
        ("cvar_le_var_0.01", lambda returns: historical_cvar(returns, 0.01)),
        ("tail_ratio", tail_ratio),
        ("kurt_excess_biased", lambda returns: kurtosis(returns) - 3),
    ],
)
def test_published_figures(shared: Path, case: str, figure):
    cases = {case["id"]: case for case in json.loads((shared / "reference/09_performance.json").read_text())["cases"]}
    expected = cases[case]
    assert figure(published(shared).returns) == pytest.approx(expected["expected"]["value"], abs=expected["tolerance"]["abs"])


def test_moments_are_scipys_population_moments():
    assert skewness(SKEWED) == pytest.approx(stats.skew(SKEWED), rel=1e-12)
    assert kurtosis(SKEWED) == pytest.approx(stats.kurtosis(SKEWED, fisher=False), rel=1e-12)


def test_normal_figures_are_the_quantile_and_the_mean_below_it():
    fitted = stats.norm(SKEWED.mean(), SKEWED.std(ddof=1))
    assert normal_var(SKEWED) == pytest.approx(fitted.ppf(0.05), rel=1e-12)
    below = quad(lambda r: r * fitted.pdf(r), fitted.mean() - 12 * fitted.std(), fitted.ppf(0.05), epsabs=1e-14)[0]
    assert normal_cvar(SKEWED) == pytest.approx(below / 0.05, rel=1e-9)


def expanded(probability: float) -> float:
    """Cornish-Fisher quantile in the words of Maillard (2012), equation 1."""
    z, s, k = stats.norm.ppf(probability), stats.skew(SKEWED), stats.kurtosis(SKEWED)
    shifted = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    return SKEWED.mean() + shifted * SKEWED.std(ddof=1)


def test_cornish_fisher_figures_are_the_quantile_and_the_mean_of_those_below_it():
    assert stats.skew(SKEWED) < -0.5
    assert cornish_fisher_var(SKEWED) == pytest.approx(expanded(0.05), rel=1e-12)
    mean_below = quad(expanded, 0, 0.05, limit=200)[0] / 0.05
    assert cornish_fisher_cvar(SKEWED) == pytest.approx(mean_below, rel=1e-6)


def test_without_skew_or_excess_kurtosis_cornish_fisher_is_normal():
    z = np.sqrt(3.0)
    three_point = np.array([-z, 0.0, 0.0, 0.0, 0.0, z]) * 0.01
    assert (skewness(three_point), kurtosis(three_point)) == (0.0, pytest.approx(3.0))
    assert cornish_fisher_var(three_point) == pytest.approx(normal_var(three_point), rel=1e-12)
    assert cornish_fisher_cvar(three_point) == pytest.approx(normal_cvar(three_point), rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_expansion_that_is_no_quantile_gives_no_figure(sign: int):
    """One jump among small returns: the expansion falls where z rises, far in one tail or near its edge."""
    jump = sign * np.array([*[0.001, -0.001] * 20, 0.2])
    z = np.linspace(-9, stats.norm.ppf(0.05), 2000)
    s, k = stats.skew(jump), stats.kurtosis(jump)
    curve = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    assert (np.diff(curve) < 0).any()
    assert (cornish_fisher_var(jump), cornish_fisher_cvar(jump)) == (None, None)


def test_a_fifth_percentile_of_zero_has_no_tail_ratio():
    assert tail_ratio(np.array([0.0] * 30 + [0.01])) is None
