"""Tuning inside an outer cross-validation, on signals that are known: none, one that stays, one that turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from quant_assets.errors import ModelError
from quant_assets.models.linear import Logistic
from quant_assets.models.nested import Nested, nested_cv
from quant_assets.models.trees import XGBoost
from quant_assets.models.tune import Search, refuse_overlap
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.skill import measure
from quant_assets.validation.spans import LabelSpans
from quant_assets.validation.walk_forward import WalkForward
from quant_assets_tests.models.planted import FEATURES, best_auc, planted

ROWS = planted(200)


def quick(**other: Any) -> Search:
    return Search(**({"n_trials": 3, "folds": lambda span: PurgedKFold(3, label_span=span)} | other))


def nested(rows: pl.DataFrame = ROWS, learner: Any = None, outer: Any = None, **search: Any) -> Nested:
    span = rows.select("label_start", "label_end")
    folds = outer or PurgedKFold(4, label_span=span)
    return nested_cv(learner or Logistic(), rows.select(FEATURES), rows["label"], outer=folds, label_span=span, search=quick(**search))


def test_every_row_is_scored_by_what_did_not_see_it():
    found = nested()
    folds = PurgedKFold(4, label_span=ROWS.select("label_start", "label_end"))
    for number, (train, test) in enumerate(folds.split(ROWS)):
        assert (found.fold[test] == number).all()
        chosen = Logistic().set_params(**found.tuned[number].params)
        learned = chosen.fit(ROWS[train].select(FEATURES), ROWS[train]["label"])
        assert (found.scores[test] == learned.scores(ROWS[test].select(FEATURES))).all()
    assert np.isfinite(found.scores).all()


def test_what_an_outer_fold_tests_has_no_say_in_its_parameters():
    """The last block of a walk is turned upside down, features and labels."""
    span = ROWS.select("label_start", "label_end")
    outer = WalkForward(2, label_span=span, train_sessions=120)
    before = nested(outer=outer)
    tested = pl.Series(before.fold) == 1
    corrupted = ROWS.with_columns(
        label=pl.when(tested).then(1 - pl.col("label")).otherwise("label"), ret_1=pl.when(tested).then(9.0).otherwise("ret_1")
    )
    after = nested(corrupted, outer=outer)
    assert after.tuned == before.tuned
    assert (after.scores[before.fold == 0] == before.scores[before.fold == 0]).all()
    assert np.isnan(before.scores[before.fold == -1]).all()
    assert (before.fold == -1).sum() == 10 * 125


def test_studies_of_outer_folds_are_kept_apart_and_resumed(tmp_path: Path):
    storage = tmp_path / "journal.log"
    found = nested(storage=storage, study="night", n_trials=1)
    kept = storage.read_bytes()
    assert [name in kept.decode() for name in ("night-0", "night-3", "night-4")] == [True, True, False]
    assert nested(storage=storage, study="night", n_trials=1).tuned == found.tuned
    assert storage.read_bytes() == kept


def test_a_label_that_overlaps_the_test_is_refused():
    with pytest.raises(ModelError, match=r"\d+ of 1500 training labels overlap a tested one \(limit 0\)"):
        nested(outer=KFold(4))


class Twice:
    def split(self, X: Any, y: Any = None, groups: Any = None):
        return [(np.arange(1000), np.arange(1500, 2000))] * 2


def test_a_row_that_is_tested_twice_is_refused():
    with pytest.raises(ModelError, match="500 rows are tested twice"):
        nested(outer=Twice(), n_trials=1)


spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), min_size=2, max_size=12)


@given(spans, st.data())
@settings(max_examples=60)
def test_overlap_is_what_a_loop_over_all_pairs_finds(drawn: list[tuple[int, int]], data: st.DataObject):
    start = np.array([first for first, _ in drawn])
    end = start + np.array([length for _, length in drawn])
    n_train = data.draw(st.integers(1, len(drawn) - 1))
    train, test = np.arange(n_train), np.arange(n_train, len(drawn))
    overlapping = sum(any(start[i] <= end[j] and end[i] >= start[j] for j in test) for i in train)
    day = np.datetime64("2010-01-01")
    spans = LabelSpans(day + start, day + end)
    if overlapping:
        with pytest.raises(ModelError, match=f"^{overlapping} of {n_train} training labels"):
            refuse_overlap(spans, train, test)
    else:
        refuse_overlap(spans, train, test)


def test_pure_noise_stays_noise():
    """Whatever was the best of the trials in the folds: out of sample the interval of its AUC holds 0.5, and that of its rank IC 0."""
    rows = planted(240, signal=0.0, seed=4)
    learner = XGBoost(held_sessions=None, min_child_weight=10, n_rounds=8)
    found = nested(rows, learner, PurgedKFold(2, label_span=rows.select("label_start", "label_end")))
    scored = rows.select("ticker", "label", "ret", session="label_start", base_rate=pl.lit(rows["label"].mean()))
    skill = measure(scored.with_columns(score=pl.Series(found.scores)), threshold=0.65)
    assert skill.auc_low < 0.5 < skill.auc_high
    assert skill.rank_ic_low < 0 < skill.rank_ic_high


def test_a_signal_that_stays_is_recovered():
    found = nested(planted(300, 20))
    assert roc_auc_score(planted(300, 20)["label"], found.scores) == pytest.approx(best_auc(0.3), abs=0.015)


def test_after_a_change_of_regime_a_rolling_window_adapts_and_an_anchored_one_does_not():
    """The signal turns at session 400. Blocks are of about a quarter; the rolling window is half a year."""
    turned = 400
    rows = planted(800, signal=np.repeat([0.3, -0.3], [turned, 400]))
    span, y = rows.select("label_start", "label_end"), rows["label"].to_numpy()
    sessions = rows["label_start"].rank("dense").to_numpy() - 1
    aucs: dict[bool, dict[int, float]] = {}
    for anchored in (True, False):
        outer = WalkForward(11, label_span=span, train_sessions=126, anchored=anchored)
        found = nested(rows, outer=outer, n_trials=1)
        blocks = {int(sessions[found.fold == number].min()): found.fold == number for number in range(11)}
        aucs[anchored] = {start: roc_auc_score(y[block], found.scores[block]) for start, block in blocks.items()}
    before = [start for start in aucs[True] if start < turned - 61]
    adapted = [start for start in aucs[True] if turned + 126 + 8 <= start < 2 * turned - 61]
    assert all(aucs[anchored][start] > 0.57 for anchored in (True, False) for start in before)
    assert len(adapted) >= 3
    assert all(aucs[False][start] > 0.57 for start in adapted)
    assert all(aucs[True][start] < 0.43 for start in adapted)
