"""Base rate and persistence against counting by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_assets.errors import ModelError
from quant_assets.models.baselines import Baseline, Majority, Persistence

X = pl.DataFrame({"other": [9.0] * 6, "ret_1": [0.01, 0.02, -0.01, -0.03, 0.0, None]})
Y = [1, 0, 0, 1, 1, 1]


def test_the_base_rate_for_every_row():
    learned = Majority().fit(X, Y)
    assert learned.scores(X).tolist() == pytest.approx([4 / 6] * 6)
    assert learned.predict(X).tolist() == [1] * 6
    weighted = Majority().fit(X, Y, sample_weight=[1, 5, 1, 1, 1, 1])
    assert weighted.scores(X[:1]) == pytest.approx([4 / 10])
    assert weighted.predict(X[:2]).tolist() == [0, 0]
    assert Majority(task="regression").fit(X, [1, 2, 3, 4, 5, 9]).predict(X[:1]) == pytest.approx([4])


def test_persistence_gives_a_move_the_share_that_went_on():
    """Of four rows that moved, two went on; with the first weighing 3, four sixths."""
    even = Persistence().fit(X, Y)
    assert even.scores(X).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 4 / 6, 4 / 6])
    learned = Persistence().fit(X, Y, sample_weight=[3, 1, 1, 1, 1, 1])
    assert learned.scores(X).tolist() == pytest.approx([4 / 6, 4 / 6, 2 / 6, 2 / 6, 6 / 8, 6 / 8])
    assert learned.predict(X[:4]).tolist() == [1, 1, 0, 0]


def test_where_moves_revert_persistence_says_so():
    learned = Persistence().fit(X[:4], [0, 0, 1, 1])
    assert learned.scores(X[:4]).tolist() == [0, 0, 1, 1]


def test_of_a_regression_persistence_is_the_last_move():
    learned = Persistence(task="regression").fit(X, [0.1] * 6)
    np.testing.assert_allclose(learned.predict(X), [0.01, 0.02, -0.01, -0.03, 0.1, 0.1])


@pytest.mark.parametrize("learner", [Majority(), Persistence(), Persistence(task="regression")])
def test_stored_to_the_last_bit(learner: Baseline):
    learner.fit(X, Y)
    assert (type(learner).from_bytes(learner.to_bytes()).scores(X) == learner.scores(X)).all()


def test_persistence_needs_moves():
    with pytest.raises(ModelError, match="no feature is called 'ret_5'; set move to the last return among other, ret_1"):
        Persistence(move="ret_5").fit(X, Y)
    with pytest.raises(ModelError, match="ret_1 moved in none of 2 rows"):
        Persistence().fit(X.with_columns(ret_1=pl.lit(0.0))[:2], Y[:2])
