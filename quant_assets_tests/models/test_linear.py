"""Straight lines against the equations that define them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_assets.models.linear import Linear, Logistic, Ridge
from quant_assets_tests.models.planted import FEATURES, best_auc, planted

ROWS = planted(150)
X = ROWS.select(FEATURES)
WEIGHT = np.random.default_rng(5).uniform(0.5, 2, ROWS.height)


def standardised(weight: np.ndarray) -> np.ndarray:
    """Column by column, over the rows that know it; 0 where unknown."""
    table = X.to_numpy()
    for column in table.T:
        known = ~np.isnan(column)
        mean = np.average(column[known], weights=weight[known])
        scale = np.sqrt(np.average((column[known] - mean) ** 2, weights=weight[known]))
        column[:] = np.where(known, (column - mean) / scale, 0)
    return table


def test_ridge_solves_the_weighted_normal_equations():
    alpha = 50.0
    learned = Ridge(alpha=alpha).fit(X, ROWS["ret"], sample_weight=WEIGHT)
    z, y = standardised(WEIGHT), ROWS["ret"].to_numpy()
    centred, target = z - np.average(z, axis=0, weights=WEIGHT), y - np.average(y, weights=WEIGHT)
    gram = (centred * WEIGHT[:, None]).T @ centred + alpha * np.eye(len(FEATURES))
    slopes = np.linalg.solve(gram, (centred * WEIGHT[:, None]).T @ target)
    np.testing.assert_allclose(learned.coef_, slopes, rtol=1e-8)
    np.testing.assert_allclose(learned.scores(X), centred @ slopes + np.average(y, weights=WEIGHT), rtol=1e-8)


def test_logistic_stands_where_its_gradient_is_zero():
    alpha = 20.0
    learned = Logistic(alpha=alpha).fit(X, ROWS["label"], sample_weight=WEIGHT)
    z, error = standardised(WEIGHT), learned.scores(X) - ROWS["label"].to_numpy()
    assert np.abs((WEIGHT * error) @ z + alpha * learned.coef_).max() < 1e-3
    assert abs((WEIGHT * error).sum()) < 1e-3


@pytest.mark.parametrize("learner", [Ridge(), Logistic()])
def test_an_unknown_value_counts_as_the_mean(learner: Linear):
    learner.fit(X, ROWS["label"])
    blank = X.head(1).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in FEATURES)
    mean = pl.DataFrame(learner.mean_[None, :], schema=list(FEATURES))
    np.testing.assert_allclose(learner.scores(blank), learner.scores(mean))


@pytest.mark.parametrize("learner", [Ridge(), Logistic()])
def test_stored_to_the_last_bit(learner: Linear):
    learner.fit(X.with_columns(noise_a=7.0), ROWS["label"])
    assert (type(learner).from_bytes(learner.to_bytes()).scores(X) == learner.scores(X)).all()


def test_a_planted_signal_is_recovered_up_to_what_is_possible():
    from sklearn.metrics import roc_auc_score

    known, later = planted(400, 20), planted(400, 20, seed=2)
    learned = Logistic().fit(known.select(FEATURES), known["label"])
    found = roc_auc_score(later["label"], learned.scores(later.select(FEATURES)))
    assert found == pytest.approx(best_auc(0.3), abs=0.015)  # two standard errors of 8,000 rows
