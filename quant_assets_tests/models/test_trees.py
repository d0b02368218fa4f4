"""Three libraries behind one interface: what they learn, when they stop, and what the same rows give again."""

from __future__ import annotations

import datetime as dt
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from quant_assets.calendars import session_offset
from quant_assets.errors import BadArgument, ModelError
from quant_assets.models import pooled, trees
from quant_assets.models.trees import BoostedTrees, CatBoost, LightGBM, XGBoost
from quant_assets_tests.models.planted import FEATURES, best_auc, planted
from quant_assets_tests.small import FEATURES as SMALL_FEATURES
from quant_assets_tests.small import labelled

LIBRARIES = [XGBoost(), LightGBM(), CatBoost()]
HELD = 60
ROWS = planted(300)
X, SPAN = ROWS.select(FEATURES), ROWS.select("label_start", "label_end")
TARGETS = {"classification": "label", "regression": "ret", "ranking": "grade"}


def small(kind: BoostedTrees, **other: object) -> BoostedTrees:
    lightest = {} if isinstance(kind, CatBoost) else {"min_child_weight": 10.0}
    return clone(kind).set_params(**{"held_sessions": HELD, "n_rounds": 30, "patience_rounds": 8, **lightest, **other})


@pytest.fixture(params=LIBRARIES, ids=lambda kind: type(kind).__name__)
def kind(request: pytest.FixtureRequest) -> BoostedTrees:
    return request.param


@pytest.mark.parametrize("task", TARGETS)
def test_each_task_finds_the_planted_signal_and_nothing_else(kind: BoostedTrees, task: str):
    learned = small(kind, task=task).fit(X, ROWS[TARGETS[task]], label_span=SPAN)
    later = planted(200, seed=2)
    scores = learned.scores(later.select(FEATURES))
    shuffled = later.with_columns(pl.col("ret_1").shuffle(seed=1))
    assert np.corrcoef(scores, later["ret"])[0, 1] > 0.2  # at most 0.3
    assert abs(np.corrcoef(learned.scores(shuffled.select(FEATURES)), later["ret"])[0, 1]) < 0.1
    again = type(kind).from_bytes(learned.to_bytes())
    assert (again.scores(X) == learned.scores(X)).all()
    assert again.get_params() == learned.get_params()
    if task == "classification":
        assert ((scores > 0) & (scores < 1)).all()


def test_the_planted_auc_is_recovered():
    known, later = planted(600, 20), planted(400, 20, seed=2)
    learned = XGBoost().fit(known.select(FEATURES), known["label"], label_span=known.select("label_start", "label_end"))
    found = roc_auc_score(later["label"], learned.scores(later.select(FEATURES)))
    assert best_auc(0.3) - 0.025 < found < best_auc(0.3) + 0.013  # two standard errors of 8,000 rows above what is possible


def test_by_default_xgboost_is_the_pooled_model(monkeypatch: pytest.MonkeyPatch):
    """Its parameters, and its bytes."""
    plain = XGBoost(device="cpu")
    assert plain.parameters() == pooled.PARAMETERS | {"device": "cpu"}
    assert (plain.n_rounds, plain.held_sessions, plain.patience_rounds) == (
        pooled.MAX_ROUNDS,
        pooled.VALIDATION_SESSIONS,
        pooled.PATIENCE_ROUNDS,
    )
    monkeypatch.setattr(pooled, "MIN_TRAINING_SESSIONS", 80)
    monkeypatch.setattr(pooled, "VALIDATION_SESSIONS", 40)
    rows = labelled(240, tuple("ABCDEFGHIJ"))
    model = pooled.train(rows, dt.date(2011, 6, 1), with_members=False, features=SMALL_FEATURES)
    span = rows.select("label_end", label_start="session")
    learned = clone(plain).set_params(held_sessions=40).fit(rows.select(SMALL_FEATURES), rows["label"], label_span=span)
    assert learned.booster_.save_raw("ubj") == model.booster.save_raw("ubj")
    held = rows["label"].to_numpy()[learned.held_rows_]
    assert roc_auc_score(held, learned.held_scores_) == model.validation_auc


def test_the_last_sessions_are_held_out_purged_and_embargoed(kind: BoostedTrees):
    """Labels that end within five sessions of them, or in them, teach nothing; the session before does."""
    start = ROWS["label_start"].unique().sort()[-HELD]
    limit = session_offset(start, -5)
    learner = small(kind, patience_rounds=99, n_rounds=8)

    def learned(flipped: pl.Expr) -> BoostedTrees:
        y = ROWS.select(pl.when(flipped).then(1 - pl.col("label")).otherwise("label")).to_series()
        return clone(learner).fit(X, y, label_span=SPAN)

    before = learned(pl.lit(False))
    assert ROWS["label_start"][before.held_rows_].unique().sort().to_list() == ROWS["label_start"].unique().sort()[-HELD:].to_list()
    late = learned((pl.col("label_end") >= limit) & (pl.col("label_start") < start))
    assert (late.held_scores_ == before.held_scores_).all()
    earlier = learned(pl.col("label_end") == session_offset(limit, -1))
    assert (earlier.held_scores_ != before.held_scores_).any()


def test_held_sessions_choose_the_number_and_all_rows_are_learned_from(kind: BoostedTrees):
    learned = small(kind).fit(X, ROWS["label"], label_span=SPAN)
    assert 1 <= learned.best_round_ <= 30
    whole = small(kind, held_sessions=None, n_rounds=learned.best_round_).fit(X, ROWS["label"])
    assert (whole.scores(X) == learned.scores(X)).all()
    assert whole.held_rows_.size == 0
    assert whole.best_round_ == learned.best_round_


@pytest.mark.parametrize("kind", [LightGBM(), CatBoost()], ids=["LightGBM", "CatBoost"])
def test_threads_change_no_bit(kind: BoostedTrees):
    one, two = (small(kind, n_jobs=n, held_sessions=None, n_rounds=5).fit(X, ROWS["label"]) for n in (1, 2))
    assert (one.scores(X) == two.scores(X)).all()


def test_weights_are_heard(kind: BoostedTrees):
    """Rows that weigh nothing might as well have another target."""
    weight = np.where(np.arange(ROWS.height) % 4 == 0, 0.0, 1.0)
    y = ROWS["label"].to_numpy()
    learner = small(kind, held_sessions=None, subsample=1.0)
    known = clone(learner).fit(X, y, sample_weight=weight).scores(X)
    assert (clone(learner).fit(X, np.where(weight == 0, 1 - y, y), sample_weight=weight).scores(X) == known).all()
    assert (clone(learner).fit(X, y).scores(X) != known).any()


def test_a_ranking_compares_the_rows_of_one_session(kind: BoostedTrees):
    """What is alike within each session ranks nothing, though it tells the grade; and rows may come in any order."""
    odd = ROWS.with_columns(level=pl.col("label_start").dt.ordinal_day() % 2).with_columns(grade=pl.col("grade") + 5 * pl.col("level"))
    table = odd.select(*FEATURES, pl.col("level").cast(pl.Float64))
    order = np.random.default_rng(3).permutation(odd.height)
    other = table.with_columns(level=1 - pl.col("level"))

    def moved(task: str) -> float:
        learner = small(kind, task=task, colsample_bytree=1.0).fit(table[order], odd["grade"][order], label_span=SPAN[order])
        assert np.corrcoef(learner.scores(table), odd["ret"])[0, 1] > (0.2 if task == "ranking" else 0)
        return float(np.abs(learner.scores(other) - learner.scores(table)).mean())

    assert moved("regression") > 2
    assert moved("ranking") < 0.05


def test_what_cannot_be_ranked_or_stopped():
    ranking = small(XGBoost(), task="ranking")
    with pytest.raises(ModelError, match="a ranking compares the rows of one session; pass label_span"):
        ranking.fit(X, ROWS["grade"])
    for grade in (ROWS["grade"] - 1, ROWS["grade"] + 0.5, ROWS["grade"] * 10):
        with pytest.raises(ModelError, match=r"targets are no grade, as .*limits: whole, 0 to 30"):
            ranking.fit(X, grade, label_span=SPAN)
    with pytest.raises(ModelError, match="weights differ within 1 sessions"):
        ranking.fit(X, ROWS["grade"], label_span=SPAN, sample_weight=np.r_[2.0, np.ones(ROWS.height - 1)])
    with pytest.raises(ModelError, match="pass label_span, or set held_sessions=None"):
        small(XGBoost()).fit(X, ROWS["label"])
    with pytest.raises(ModelError, match=r"3,000 rows \(at least 4,000 are needed\)"):
        small(XGBoost(), min_child_weight=500).fit(X, ROWS["label"], label_span=SPAN)
    with pytest.raises(ModelError, match=r"20 of 3,000 rows are left before the 290 held sessions, with 2 outcomes \(at least 80 rows"):
        small(XGBoost(), held_sessions=290).fit(X, ROWS["label"], label_span=SPAN)


@pytest.mark.parametrize("kind", [LightGBM(), CatBoost()], ids=["lightgbm", "catboost"])
def test_a_library_that_is_not_installed(kind: BoostedTrees, monkeypatch: pytest.MonkeyPatch):
    name = type(kind).__name__.lower()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadArgument, match=rf"needs {name}, which is not installed; pip install 'quant-assets\[learn\]'"):
        small(kind).fit(X, ROWS["label"], label_span=SPAN)


def test_cuda_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trees, "_cuda", lambda: True)
    assert [XGBoost(device=device).parameters()["device"] for device in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    monkeypatch.setattr(trees, "_cuda", lambda: False)
    assert XGBoost().parameters()["device"] == "cpu"
    with pytest.raises(BadArgument, match="has no CUDA"):
        XGBoost(device="cuda").parameters()


NONSENSE = [
    (XGBoost, {"n_rounds": 0}, "n_rounds of this XGBoost is 0; set n_rounds to a whole number from 1"),
    (XGBoost, {"n_rounds": -3}, "n_rounds .* is -3"),
    (XGBoost, {"max_depth": 0}, "max_depth .* is 0; .* a whole number from 1 to 16"),
    (LightGBM, {"max_depth": -1}, "max_depth of this LightGBM is -1"),
    (CatBoost, {"max_depth": 4.5}, "max_depth of this CatBoost is 4.5"),
    (XGBoost, {"learning_rate": 0}, "learning_rate .* is 0; set learning_rate to a number above 0 to 1"),
    (XGBoost, {"learning_rate": float("nan")}, "learning_rate .* is nan"),
    (LightGBM, {"subsample": 2}, "subsample .* is 2"),
    (CatBoost, {"colsample_bytree": 0.0}, "colsample_bytree .* is 0.0"),
    (XGBoost, {"min_child_weight": -1}, "min_child_weight .* is -1; set min_child_weight to a number from 0"),
    (XGBoost, {"held_sessions": 0}, "held_sessions .* is 0"),
    (CatBoost, {"held_sessions": -5}, "held_sessions .* is -5"),
    (LightGBM, {"n_jobs": 0}, "n_jobs .* is 0"),
    (XGBoost, {"max_depth": "deep"}, "max_depth .* is 'deep'"),
    (XGBoost, {"device": "gpu"}, "device .* is 'gpu'; set device to auto, cpu or cuda"),
]


@pytest.mark.parametrize(("kind", "params", "message"), NONSENSE)
def test_parameters_outside_their_limits_are_refused_when_fitted(kind: type[BoostedTrees], params: dict[str, object], message: str):
    learner = clone(kind(**({"held_sessions": None, "min_child_weight": 10} if kind is not CatBoost else {}))).set_params(**params)
    with pytest.raises(BadArgument, match=message):
        learner.fit(X, ROWS["label"], label_span=SPAN)


def test_every_library_knows_the_highest_grade(kind: BoostedTrees):
    """Sessions of 31 names, graded from 0 to 30."""
    rows = planted(40, 31)
    grade = (pl.col("ret").rank().over("label_start") - 1).cast(pl.Int32)
    learner = small(kind, task="ranking", held_sessions=None, n_rounds=5)
    learned = learner.fit(rows.select(FEATURES), rows.select(grade).to_series(), label_span=rows.select("label_start", "label_end"))
    assert np.corrcoef(learned.scores(rows.select(FEATURES)), rows["ret"])[0, 1] > 0.2
