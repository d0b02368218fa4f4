"""Probability of overfitting against the published case, a direct loop and worlds in which it is known."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from quant_assets.errors import BadArgument
from quant_assets.validation.overfitting import overfitting

NOISE = np.random.default_rng(3).normal(0, 0.01, (20, 400))


def test_the_published_case(shared: Path):
    cases = json.loads((shared / "reference" / "01_sharpe_pbo.json").read_text())["cases"]
    case = next(case for case in cases if case["id"] == "pbo_cscv_S8")
    returns = np.loadtxt(shared / "reference" / case["inputs"]["matrix_csv"], delimiter=",").T
    expected, tolerance = case["expected"], case["tolerance"]["abs"]
    found = overfitting(returns, n_groups=case["inputs"]["S"])
    assert len(found.logits) == expected["n_combinations"]
    assert found.probability == pytest.approx(expected["pbo"], abs=tolerance)
    np.testing.assert_allclose(np.sort(found.logits), expected["logit_sorted"], atol=tolerance)
    assert found.logits.mean() == pytest.approx(expected["logit_mean"], abs=tolerance)
    assert (found.out_of_sample < 0).mean() == pytest.approx(expected["prob_oos_loss"], abs=tolerance)
    assert np.bincount(found.chosen, minlength=len(returns)).tolist() == expected["selected_counts"]
    slope, intercept = np.polyfit(found.in_sample, found.out_of_sample, 1)
    assert slope == pytest.approx(expected["degradation_slope"], abs=tolerance)
    assert intercept == pytest.approx(expected["degradation_intercept"], abs=tolerance)


def test_sums_of_groups_give_what_whole_halves_give():
    """Three sessions too many for six groups: the first three are left out, as pypbo does."""
    returns = np.random.default_rng(9).normal(0.3, 0.01, (4, 63))  # a mean thirty times the deviation strains the sums
    groups = np.array_split(np.arange(3, 63), 6)
    found = overfitting(returns, n_groups=6)
    for place, half in enumerate(itertools.combinations(range(6), 3)):
        inside = np.concatenate([groups[group] for group in half])
        outside = np.concatenate([groups[group] for group in range(6) if group not in half])
        within, other = ([row[part].mean() / row[part].std(ddof=1) for row in returns] for part in (inside, outside))
        best = int(np.argmax(within))
        w = sum(ratio <= other[best] for ratio in other) / 5
        assert found.chosen[place] == best
        np.testing.assert_allclose(
            [found.in_sample[place], found.out_of_sample[place], found.logits[place]],
            [within[best], other[best], math.log(w / (1 - w))],
            rtol=1e-9,
            atol=1e-12,
        )


def test_a_set_that_is_truly_better_is_not_overfitted():
    assert overfitting(NOISE + np.eye(20, 1) * 0.01, n_groups=8).probability == 0.0


def test_a_set_is_overfitted_where_what_was_good_must_turn_bad():
    """Every set's returns sum to 0, so the best half is followed by the worst."""
    level = NOISE - NOISE.mean(axis=1, keepdims=True)
    assert overfitting(level, n_groups=8).probability > 0.9


@pytest.mark.parametrize(
    ("returns", "n_groups", "message"),
    [
        (NOISE[:1], 4, "of one set none is the best"),
        (NOISE, 5, "5 groups have no halves"),
        (NOISE[:, :10], 6, "10 sessions are fewer than two for each of 6 groups"),
        (np.where(np.arange(400) == 3, np.nan, NOISE), 4, r"set 0 has no return at place 3 \(20 in all"),
        (np.concatenate([NOISE[:2], NOISE[2:3] * (np.arange(400) < 150)]), 4, "set 2 stands still in 2 of 4 groups"),
    ],
)
def test_what_cannot_be_judged(returns: np.ndarray, n_groups: int, message: str):
    with pytest.raises(BadArgument, match=message):
        overfitting(returns, n_groups=n_groups)
