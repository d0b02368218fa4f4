"""Steps of rows with labels against the purge of the pipeline's own training, and what cannot be walked."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

from quant_assets.errors import BadArgument, ModelError
from quant_assets.validation.purged import learnable
from quant_assets.validation.walk_forward import WalkForward
from quant_assets_tests.small import labelled

ROWS = labelled(300).sample(fraction=1, shuffle=True, seed=2).with_row_index("row")
SPANS = ROWS.select("label_end", label_start="session")
DAYS = ROWS["session"].unique().sort()


@settings(max_examples=15)
@given(st.booleans(), st.integers(1, 12), st.integers(20, 150), st.integers(0, 8))
def test_each_step_learns_what_a_cut_off_before_it_may(anchored: bool, n_splits: int, train_sessions: int, embargo: int):
    cv = WalkForward(n_splits, label_span=SPANS, anchored=anchored, train_sessions=train_sessions, embargo_sessions=embargo)
    place = train_sessions + embargo
    for train, test in cv.split(ROWS):
        tested = ROWS[test]["session"].unique().sort()
        assert tested.to_list() == DAYS[place : place + len(tested)].to_list()
        assert len(test) == ROWS["session"].is_in(tested.implode()).sum()
        since = DAYS[0 if anchored else place - embargo - train_sessions]
        known = learnable(ROWS, DAYS[place], embargo_sessions=embargo).filter(pl.col("session") >= since)
        assert train.tolist() == sorted(known["row"])
        place += len(tested)
    assert place == len(DAYS)


def test_twelve_steps_by_default_and_scikit_learn_takes_them():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(ROWS.height, 2)), rng.normal(size=ROWS.height)
    cv = WalkForward(label_span=SPANS, train_sessions=100)
    assert cv.get_n_splits(X) == 12
    assert len(cross_val_score(Ridge(), X, y, cv=cv)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "300 sessions are too few to learn from 504, leave out 5 and take 12 steps; pass a longer record"),
        ({"n_splits": 0}, "0 steps after 504 sessions"),
        ({"embargo_sessions": -2}, "an embargo of -2 sessions"),
    ],
)
def test_what_cannot_be_walked(options: dict[str, int], message: str):
    with pytest.raises(BadArgument, match=message):
        WalkForward(label_span=SPANS, **options)


def test_labels_longer_than_the_past_leave_nothing_to_learn_from():
    long = SPANS.with_columns(label_end=pl.lit(DAYS[-1]))
    with pytest.raises(ModelError, match=f"split 0: 0 of {ROWS.height} rows are left to train on"):
        next(WalkForward(label_span=long, train_sessions=100).split(ROWS))
