"""Belief in Sharpe ratios against the published examples, exact maxima of normal draws, and simulated records."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from quant_assets.errors import BadArgument
from quant_assets.validation.sharpe import (
    SharpeEstimate,
    Trials,
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe,
)


def case(shared: Path, name: str) -> dict[str, Any]:
    return next(found for found in json.loads((shared / "reference/01_sharpe_pbo.json").read_text())["cases"] if found["id"] == name)


@pytest.mark.parametrize("name", ["mintrl_weekly", "mintrl_monthly", "mintrl_monthly_nonnormal"])
def test_published_track_records(shared: Path, name: str):
    found = case(shared, name)
    given, expected, tolerance = found["inputs"], found["expected"], found["tolerance"]
    annual = math.sqrt(given["periods_per_year"])
    estimate = SharpeEstimate(given["sr_annual"] / annual, 1000, given["skew"], given["kurtosis_raw"])
    n = minimum_track_record(estimate, given["bench_annual"] / annual, confidence=given["confidence"])
    assert n == pytest.approx(expected["n_obs"], abs=tolerance["abs"])
    assert n / given["periods_per_year"] == pytest.approx(expected["published_years"], abs=tolerance["years_vs_published"])


def test_published_expected_maximum(shared: Path):
    found = case(shared, "expected_max_sharpe_N10")
    value = expected_maximum(Trials(found["inputs"]["N"], 1.0))
    assert value == pytest.approx(found["expected"]["approx"], abs=found["tolerance"]["abs"])
    assert value == pytest.approx(found["expected"]["exact_order_statistic"], rel=0.024)


def test_published_deflated_sharpe(shared: Path):
    found = case(shared, "dsr_N100")
    given, expected, tolerance = found["inputs"], found["expected"], found["tolerance"]
    estimate = SharpeEstimate(given["sr_annual"] / math.sqrt(given["periods_per_year"]), given["n"], given["skew"], given["kurtosis_raw"])
    trials = Trials(given["N"], given["var_sr_annual"] / given["periods_per_year"])
    assert expected_maximum(trials) == pytest.approx(expected["sr0_daily"], abs=tolerance["abs"])
    assert deflated_sharpe(estimate, trials) == pytest.approx(expected["dsr"], abs=tolerance["abs"])
    assert deflated_sharpe(estimate, trials) == pytest.approx(expected["published"], abs=tolerance["abs_vs_published"])


def test_other_published_deflated_ratios():
    """The rest of the paper's example: 46 trials, and 88 were the returns normal."""
    daily, variance = 2.5 / math.sqrt(250), 0.5 / 250
    assert deflated_sharpe(SharpeEstimate(daily, 1250, -3, 10), Trials(46, variance)) == pytest.approx(0.9505, abs=1e-4)
    assert deflated_sharpe(SharpeEstimate(daily, 1250), Trials(88, variance)) == pytest.approx(0.9505, abs=1e-4)


def test_one_trial_deflates_nothing():
    estimate = SharpeEstimate(0.05, 500, -0.4, 5)
    assert deflated_sharpe(estimate, Trials(1, 0.0)) == probabilistic_sharpe(estimate)


def test_two_trials_fall_short_of_the_exact_maximum_by_eight_percent():
    exact = 1 / math.sqrt(math.pi)
    assert expected_maximum(Trials(2, 1.0)) / exact - 1 == pytest.approx(-0.08, abs=0.005)


def test_more_trials_expect_more():
    maxima = [expected_maximum(Trials(n, 0.01)) for n in (1, 2, 3, 10, 100, 10**6)]
    assert maxima == sorted(maxima)
    assert maxima[0] == 0.0
    assert expected_maximum(Trials(100, 0.04)) == pytest.approx(2 * expected_maximum(Trials(100, 0.01)))


def test_trials_are_counted_from_their_ratios():
    found = Trials.of([0.1, 0.2, 0.6])
    assert (found.n, found.variance) == (3, pytest.approx(0.07))
    assert Trials.of(np.array([0.3])) == Trials(1, 0.0)


def best_of(returns: np.ndarray) -> tuple[SharpeEstimate, Trials]:
    """The best of the strategies (n_strategies, n_sessions), and what was tried."""
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    best = returns[ratios.argmax()]
    return SharpeEstimate(ratios.max(), best.size, float(skew(best)), float(kurtosis(best, fisher=False))), Trials.of(ratios)


def test_the_best_of_many_strategies_without_skill_does_not_pass():
    """200 searches, each of 20 fat-tailed strategies over two years: undeflated, most of their winners would be believed."""
    returns = np.random.default_rng(17).standard_t(4, size=(200, 20, 504)) * 0.01
    winners = [best_of(search) for search in returns]
    undeflated = sum(probabilistic_sharpe(estimate) > 0.95 for estimate, _ in winners)
    deflated = sum(deflated_sharpe(estimate, trials) > 0.95 for estimate, trials in winners)
    assert undeflated > 100
    assert deflated <= 10


def test_a_strategy_with_skill_passes_among_many_without():
    """A daily ratio of 0.25 (about 4 a year) over four years."""
    returns = np.random.default_rng(18).standard_t(4, size=(20, 20, 1008)) * 0.01
    returns[:, 7] += 0.25 * 0.01 * math.sqrt(2)  # a t distribution of 4 degrees of freedom has variance 2
    assert all(deflated_sharpe(*best_of(search)) > 0.95 for search in returns)


def test_the_standard_error_is_that_of_simulated_records():
    """Skewed, fat-tailed returns: exponentials shifted to a Sharpe ratio of 0.2, skew 2 and raw kurtosis 9."""
    returns = np.random.default_rng(7).exponential(size=(20_000, 200)) - 0.8
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    # Within 3 %: the spread of 20,000 draws is known to 0.5 %, the rest is of order 1 / n.
    assert SharpeEstimate(0.2, 200, 2.0, 9.0).standard_error == pytest.approx(ratios.std(), rel=0.03)


shapes = st.tuples(st.floats(-3, 3), st.floats(0.01, 30)).map(lambda pair: (pair[0], 1 + pair[0] ** 2 + pair[1]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(sharpe=st.floats(0.02, 1), shape=shapes, above=st.floats(0, 0.9), confidence=st.floats(0.55, 0.999))
def test_at_the_minimum_length_the_probability_is_the_confidence(
    sharpe: float, shape: tuple[float, float], above: float, confidence: float
):
    benchmark = above * sharpe
    n = minimum_track_record(SharpeEstimate(sharpe, 2, *shape), benchmark, confidence=confidence)
    shorter, longer = max(2, math.floor(n)), max(2, math.ceil(n))
    assert probabilistic_sharpe(SharpeEstimate(sharpe, longer, *shape), benchmark) >= confidence - 1e-9
    if longer > 2:
        assert probabilistic_sharpe(SharpeEstimate(sharpe, shorter, *shape), benchmark) <= confidence + 1e-9


def test_no_length_shows_what_is_not_there():
    assert minimum_track_record(SharpeEstimate(0.0, 100)) is None
    assert minimum_track_record(SharpeEstimate(0.1, 100), 0.1) is None
    assert probabilistic_sharpe(SharpeEstimate(0.1, 100), 0.1) == 0.5


REFUSED = {
    "excess kurtosis": (lambda: SharpeEstimate(0.1, 100, 0.0, 0.0), "kurtosis 0 with skew 0 (limit: at least 1 + skew² = 1)"),
    "impossible": (lambda: SharpeEstimate(0.1, 100, 3.0, 5.0), "kurtosis 5 with skew 3 (limit: at least 1 + skew² = 10)"),
    "nan": (lambda: SharpeEstimate(0.1, 100, 0.0, math.nan), "kurtosis nan with skew 0 (limit: at least 1 + skew² = 1)"),
    "one return": (lambda: SharpeEstimate(0.1, 1), "a Sharpe ratio of 1 returns (limit: at least 2)"),
    "no trial": (lambda: Trials(0, 1.0), "0 trials (limit: at least 1)"),
    "negative": (lambda: Trials(5, -1.0), "a variance of -1.0 (limit: finite, at least 0)"),
    "no ratio": (lambda: Trials.of([]), "0 trials (limit: at least 1)"),
    "ratio nan": (lambda: Trials.of([0.1, math.nan, math.inf]), "2 of 3 Sharpe ratios are not numbers (limit 0)"),
    "variance nan": (lambda: Trials(5, math.nan), "a variance of nan (limit: finite, at least 0)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_record_can_be_is_refused(name: str):
    make, message = REFUSED[name]
    with pytest.raises(BadArgument) as refused:
        make()
    assert refused.value.message == message
