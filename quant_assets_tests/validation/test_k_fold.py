"""Purge and embargo against the book's cases and the definition row by row; scikit-learn's grammar; what cannot be split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor

from quant_assets.errors import BadArgument, ModelError
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets_tests.validation.panels import DAYS, Span, blocks, dated, learned_beside, panels

DAILY = [(place, place + 3) for place in range(100) for _ in "AB"]


def case(shared: Path, name: str) -> dict[str, Any]:
    return next(found for found in json.loads((shared / "reference/02_cpcv_purging.json").read_text())["cases"] if found["id"] == name)


def folds(spans: list[Span], n_splits: int, embargo: int) -> list[dict[str, list[int]]]:
    cv = PurgedKFold(n_splits, label_span=dated(spans), embargo_sessions=embargo)
    return [{"train": train.tolist(), "test": test.tolist()} for train, test in cv.split(spans)]


def test_published_folds_of_closed_spans_with_an_embargo(shared: Path):
    found = case(shared, "purge_closed_embargo2")
    given = found["inputs"]
    assert folds(list(enumerate(given["t1"])), given["n_splits"], given["embargo_obs"]) == found["expected"]


def test_published_folds_of_half_open_spans(shared: Path):
    """The book's snippet 7.3 keeps labels that end as the test starts, or start as it ends: spans that end one session earlier.

    Its last fold also learns from row 11, which it tests, since that label ends as it starts.
    """
    found = case(shared, "purgedkfold_snippet73_emb0.0")
    spans = [(start, max(start, end - 1)) for start, end in enumerate(found["inputs"]["t1"])]
    assert [len(set(fold["train"]) & set(fold["test"])) for fold in found["expected"]] == [0, 0, 1]
    honest = [{**fold, "train": [row for row in fold["train"] if row not in fold["test"]]} for fold in found["expected"]]
    assert folds(spans, found["inputs"]["n_splits"], 0) == honest


@settings(max_examples=60)
@given(panels(), st.integers(2, 5), st.integers(0, 4))
def test_folds_are_those_of_the_definition(spans: list[Span], n_splits: int, embargo: int):
    parts = blocks(spans, n_splits)
    if not all(parts):
        with pytest.raises(BadArgument, match=f"sessions cannot be {n_splits} groups"):
            PurgedKFold(n_splits, label_span=dated(spans))
        return
    split = PurgedKFold(n_splits, label_span=dated(spans), embargo_sessions=embargo).split(spans)
    for part in parts:
        learned = learned_beside(spans, [part], embargo)
        if not learned:
            with pytest.raises(ModelError, match=f"0 of {len(spans)} rows are left to train on"):
                next(split)
            return
        train, test = next(split)
        assert test.tolist() == [row for row, (start, _) in enumerate(spans) if start in part]
        assert train.tolist() == learned


@settings(max_examples=30)
@given(panels(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_split(spans: list[Span], random: Any):
    order = list(range(len(spans)))
    random.shuffle(order)
    shuffled = [spans[row] for row in order]
    for plain, mixed in zip(folds_or_none(spans), folds_or_none(shuffled), strict=True):
        assert plain == {part: sorted(order[row] for row in rows) for part, rows in mixed.items()}


def folds_or_none(spans: list[Span]) -> list[dict[str, list[int]]]:
    try:
        return folds(spans, 3, 2)
    except (BadArgument, ModelError):
        return []


def test_the_embargo_counts_sessions_of_the_exchange():
    """One row a month: five sessions after a month's label are less than the month after it."""
    first = [place for place, day in enumerate(DAYS) if place and DAYS[place - 1].month != day.month]
    monthly = [(place, place + 3) for place in first[:20]]
    [fold, *_] = folds(monthly, 4, 5)
    assert fold == {"test": [0, 1, 2, 3, 4], "train": list(range(5, 20))}
    [fold, *_] = folds(monthly, 4, 30)
    assert fold["train"] == [row for row in range(5, 20) if monthly[row][0] > monthly[4][1] + 30] == list(range(6, 20))


def test_scikit_learn_takes_it():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(len(DAILY), 2))
    y = X[:, 0] + rng.normal(size=len(DAILY))
    cv = PurgedKFold(label_span=dated(DAILY))
    scores = cross_val_score(Ridge(), X, y, cv=cv)
    by_hand = [Ridge().fit(X[train], y[train]).score(X[test], y[test]) for train, test in cv.split(X, y)]
    assert scores.tolist() == by_hand
    assert len(scores) == cv.get_n_splits() == 5
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1e6]}, cv=cv).fit(X, y)
    assert search.best_params_ == {"alpha": 0.1}
    assert search.cv_results_["split4_test_score"][0] == pytest.approx(scores[4], rel=0.01)


def test_frames_are_taken_as_they_are():
    rows = pl.DataFrame({"feature": range(len(DAILY)), "y": [0, 1] * 100})
    spans = pl.DataFrame({"label_start": [DAYS[start] for start, _ in DAILY], "label_end": [DAYS[end] for _, end in DAILY]})
    found = PurgedKFold(label_span=spans).split(rows.select("feature"), rows["y"])
    for (train, test), expected in zip(found, folds(DAILY, 5, 5), strict=True):
        assert (train.tolist(), test.tolist()) == (expected["train"], expected["test"])


@pytest.mark.parametrize(
    ("error", "message", "y", "options"),
    [
        (ModelError, r"split 0: 0 of 200 rows are left to train on \(limit 1\); pass more history", None, {"embargo_sessions": 80}),
        (ModelError, "split 0: the 144 rows left to train on all have the outcome 1 .limit: two.", [1] * 200, {}),
        (ModelError, "split 4: the 154 rows left to train on all have the outcome 0", [0] * 160 + [1] * 40, {}),
        (BadArgument, "200 label spans for 200 rows and 3 outcomes", [0, 1, 0], {}),
        (BadArgument, "an embargo of -1 sessions", None, {"embargo_sessions": -1}),
        (BadArgument, "100 sessions cannot be 101 groups", None, {"n_splits": 101}),
        (BadArgument, "1 of 1 groups cannot be tested", None, {"n_splits": 1}),
    ],
)
def test_what_cannot_be_split(error: type[Exception], message: str, y: list[int] | None, options: dict[str, int]):
    with pytest.raises(error, match=message):
        list(PurgedKFold(label_span=dated(DAILY), **options).split(DAILY, y))


def test_groups_are_refused():
    with pytest.raises(BadArgument, match="groups were passed"):
        next(PurgedKFold(label_span=dated(DAILY)).split(DAILY, groups=[1] * 200))


def test_rows_of_another_number_are_refused():
    with pytest.raises(BadArgument, match="200 label spans for 199 rows"):
        next(PurgedKFold(label_span=dated(DAILY)).split(DAILY[:-1]))


def test_noise_has_skill_in_folds_of_rows_and_none_in_purged_folds():
    """Two names that share one market, a feature that only tells the time, and labels that overlap: the neighbour knows the answer."""
    horizon, n = 10, 400
    market = np.random.default_rng(12).normal(size=n + horizon)
    ahead = np.convolve(market, np.ones(horizon), mode="valid")[1:]
    X = np.tile(np.arange(n, dtype=float), 2)[:, None]
    y = np.tile(ahead, 2)
    spans = [(place, place + horizon) for place in range(n)] * 2
    learner = KNeighborsRegressor(1)
    by_row = cross_val_score(learner, X, y, cv=5)
    purged = cross_val_score(learner, X, y, cv=PurgedKFold(label_span=dated(spans)))
    assert by_row.mean() > 0.5
    assert purged.mean() < 0
