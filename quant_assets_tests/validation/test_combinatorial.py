"""Splits of several blocks at once against the definition row by row, and paths against a loop. Counts and the book's map of paths are
tested in `backtest/test_combinatorial.py`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.errors import BadArgument, ModelError
from quant_assets.validation.combinatorial import CombinatorialPurgedKFold, group_edges
from quant_assets_tests.validation.panels import Span, blocks, dated, learned_beside, panels

SPANS = [(place, place + 3) for place in range(120) for _ in "ABC"][::-1]


@settings(max_examples=40)
@given(panels(), st.sampled_from([(3, 2), (4, 2), (5, 3)]), st.integers(0, 3))
def test_splits_are_those_of_the_definition(spans: list[Span], n_and_k: tuple[int, int], embargo: int):
    n_groups, n_test = n_and_k
    parts = blocks(spans, n_groups)
    if not all(parts):
        with pytest.raises(BadArgument, match=f"sessions cannot be {n_groups} groups"):
            CombinatorialPurgedKFold(n_groups, n_test, label_span=dated(spans))
        return
    split = CombinatorialPurgedKFold(n_groups, n_test, label_span=dated(spans), embargo_sessions=embargo).split(spans)
    for tested in itertools.combinations(parts, n_test):
        learned = learned_beside(spans, tested, embargo)
        if not learned:
            with pytest.raises(ModelError, match="are left to train on"):
                next(split)
            return
        train, test = next(split)
        assert test.tolist() == [row for row, (start, _) in enumerate(spans) if any(start in part for part in tested)]
        assert train.tolist() == learned


def test_each_path_has_every_row_once_and_each_prediction_is_used_once():
    """A prediction is the number of its split: of each row, all splits that test it, one a path, in their order."""
    cv = CombinatorialPurgedKFold(6, 2, label_span=dated(SPANS))
    tests = [test for _, test in cv.split(SPANS)]
    found = cv.paths([np.full(test.size, split, dtype=float) for split, test in enumerate(tests)])
    assert found.shape == (cv.n_paths, len(SPANS)) == (5, 360)
    for row in range(len(SPANS)):
        assert found[:, row].tolist() == [split for split, test in enumerate(tests) if row in test]


def test_predictions_stay_with_their_rows():
    cv = CombinatorialPurgedKFold(label_span=dated(SPANS))
    found = cv.paths([test.astype(float) for _, test in cv.split(SPANS)])
    assert cv.get_n_splits() == 45
    assert found.tolist() == [list(range(len(SPANS)))] * 9


def test_the_path_of_a_split_and_a_group():
    """The book's figure 12.2, from 0: split 5 (groups 1 and 2) gives group 1 to path 1 and group 2 to path 1; split 6 gives 1 to path 2."""
    cv = CombinatorialPurgedKFold(6, 2, label_span=dated(SPANS))
    assert [(cv.path_of(5, 1), cv.path_of(5, 2), cv.path_of(6, 1), cv.path_of(14, 5))] == [(1, 1, 2, 4)]
    with pytest.raises(BadArgument, match=r"split 5 does not test group 3; it tests \[1, 2\]"):
        cv.path_of(5, 3)


def test_predictions_that_do_not_fit_are_refused():
    cv = CombinatorialPurgedKFold(4, 2, label_span=dated(SPANS))
    predictions = [np.zeros(test.size) for _, test in cv.split(SPANS)]
    with pytest.raises(BadArgument, match=r"5 splits are predicted \(limit: all 6\)"):
        cv.paths(predictions[1:])
    with pytest.raises(BadArgument, match=r"split 2 tests 180 rows and its predictions have the shape \(180, 2\)"):
        cv.paths([*predictions[:2], np.zeros((180, 2)), *predictions[3:]])


@given(st.integers(1, 200), st.integers(1, 30))
def test_groups_are_as_equal_as_can_be(n_sessions: int, n_groups: int):
    if n_sessions < n_groups:
        with pytest.raises(BadArgument, match=f"{n_sessions} sessions cannot be {n_groups} groups"):
            group_edges(n_sessions, n_groups)
        return
    sizes = np.diff(group_edges(n_sessions, n_groups))
    assert (len(sizes), sizes.sum()) == (n_groups, n_sessions)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(sizes) <= 0).all()
