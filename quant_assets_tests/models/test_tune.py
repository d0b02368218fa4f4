"""Choosing parameters: what is measured, what is kept, and that neither the future nor another study has a say."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.base import clone
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold

from quant_assets.errors import BadArgument, ModelError
from quant_assets.models import tune as tuning
from quant_assets.models.baselines import Majority
from quant_assets.models.linear import Logistic, Ridge
from quant_assets.models.trees import XGBoost
from quant_assets.models.tune import Search, Tuned, search_space, tune
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.signal_quality import rank_ic
from quant_assets_tests.models.planted import FEATURES, planted

ROWS = planted(160)
SPAN = ROWS.select("label_start", "label_end")
SPACE = {"alpha": FloatDistribution(1, 1e5, log=True)}
STORAGES = [lambda folder: folder / "studies" / "journal.log", lambda folder: f"sqlite:///{folder}/studies.db"]


def three(span: Any) -> PurgedKFold:
    return PurgedKFold(3, label_span=span)


def tuned(rows: pl.DataFrame = ROWS, learner: Any = None, **search: Any) -> Tuned:
    quick = Search(**({"n_trials": 9, "folds": three, "space": SPACE} | search))
    spans = rows.select("label_start", "label_end")
    return tune(learner or Logistic(), rows.select(FEATURES), rows["label"], label_span=spans, ret=rows["ret"], search=quick)


@pytest.mark.parametrize("objective", ["auc", "log_loss", "rank_ic"])
def test_the_first_trial_is_the_learner_as_it_is_given(objective: Any):
    """Each fold is learned without what it tests, and measured as its name says."""
    found = tuned(objective=objective, n_trials=1)
    expected = []
    for train, test in three(SPAN).split(ROWS):
        learned = Logistic().fit(ROWS[train].select(FEATURES), ROWS[train]["label"])
        held = ROWS[test].with_columns(score=pl.Series(learned.scores(ROWS[test].select(FEATURES))))
        daily = held.group_by("label_start").agg(ic=rank_ic("score", "ret"))["ic"].mean()
        expected.append(
            {"auc": roc_auc_score(held["label"], held["score"]), "log_loss": log_loss(held["label"], held["score"]), "rank_ic": daily}[
                objective
            ]
        )
    assert found.trials[0].params == {"alpha": Logistic().alpha}
    assert found.trials[0].folds == pytest.approx(expected)
    assert found.value == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("objective", ["auc", "log_loss"])
def test_the_best_of_the_completed_trials_is_chosen(objective: Any):
    found = tuned(objective=objective)
    completed = [trial for trial in found.trials if trial.value is not None]
    pick = max if objective == "auc" else min
    best = pick(completed, key=lambda trial: trial.value)
    assert (found.params, found.value) == (best.params, best.value)
    assert all(trial.value == pytest.approx(np.mean(trial.folds)) for trial in completed)
    assert len({trial.params["alpha"] for trial in found.trials}) == 9


def test_a_hopeless_trial_is_pruned_by_fold():
    """After five trials were completed: at its second fold, and the third is not learned."""
    values = iter([0.6] * 15 + [0.5, 0.5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_value", lambda *_: next(values))
        found = tuned(n_trials=6)
    assert [len(trial.folds) for trial in found.trials] == [3, 3, 3, 3, 3, 2]
    assert found.trials[5].value is None
    assert next(values, None) is None


def test_folds_at_once_change_nothing():
    assert tuned(n_jobs=3) == tuned()


@pytest.mark.parametrize(("storage", "at"), zip(STORAGES, [1, 10], strict=True), ids=["journal", "sqlite"])
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(storage: Callable[[Path], Any], at: int, tmp_path: Path):
    """In the second fold of the first trial, or of the fourth."""
    whole = tuned(n_trials=4)
    calls = iter(range(100))
    value = tuning._value

    def interrupted(*args: Any) -> float:
        if next(calls) == at:
            raise KeyboardInterrupt
        return value(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_value", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuned(storage=storage(tmp_path), n_trials=4)
    resumed = tuned(storage=storage(tmp_path), n_trials=4)
    assert [(trial.params, trial.folds) for trial in resumed.trials] == [(trial.params, trial.folds) for trial in whole.trials]
    assert (resumed.params, resumed.value) == (whole.params, whole.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_value", None)  # not called again
        assert tuned(storage=storage(tmp_path), n_trials=4) == resumed


OTHERS: dict[str, Callable[..., Tuned]] = {
    "objective": partial(tuned, objective="log_loss"),
    "space": partial(tuned, space={"alpha": FloatDistribution(1, 1e6, log=True)}),
    "learner": partial(tuned, learner=Logistic(alpha=7.0)),
    "data": partial(tuned, ROWS.with_columns(pl.when(pl.int_range(pl.len()) == 5).then(0.1).otherwise("noise_a").alias("noise_a"))),
    "folds": partial(tuned, folds=lambda span: PurgedKFold(4, label_span=span)),
    "seed": partial(tuned, seed=8),
}

OTHERNESS = {"data": "made from other rows", "folds": "made with other folds"}


@pytest.mark.parametrize("what", OTHERS)
def test_a_study_of_something_else_is_refused_and_kept(what: str, tmp_path: Path):
    storage = tmp_path / "journal.log"
    tuned(storage=storage, n_trials=2)
    before = storage.read_bytes()
    with pytest.raises(
        ModelError,
        match=rf"study 'tuning' was {OTHERNESS.get(what, f'made for {what} .* and not ')}.*; give this one another name or storage",
    ):
        OTHERS[what](storage=storage)
    assert storage.read_bytes() == before
    assert len(OTHERS[what](storage=storage, study="another", n_trials=1).trials) == 1


def test_other_features_are_another_study(tmp_path: Path):
    storage = tmp_path / "journal.log"
    tuned(storage=storage, n_trials=1)
    with pytest.raises(ModelError, match=r"was made for features \['ret_1', .*\] and not \['noise_a', 'ret_1'\]"):
        tune(
            Logistic(),
            ROWS.select("noise_a", "ret_1"),
            ROWS["label"],
            label_span=SPAN,
            ret=ROWS["ret"],
            search=Search(n_trials=1, folds=three, space=SPACE, storage=storage),
        )


@pytest.mark.parametrize("storage", STORAGES, ids=["journal", "sqlite"])
def test_damaged_studies(storage: Callable[[Path], Any], tmp_path: Path):
    for file in (tmp_path / "studies.db", tmp_path / "studies" / "journal.log"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("no study\n" * 500)
    with pytest.raises(ModelError, match=r"studies at .* cannot be read"):
        tuned(storage=storage(tmp_path))


def test_what_cannot_be_tuned():
    with pytest.raises(BadArgument, match="9 trials over nothing for Majority"):
        tuned(learner=Majority(), space=None)
    with pytest.raises(BadArgument, match="9 trials over depth for Logistic; search among alpha, feature_names"):
        tuned(space={"depth": IntDistribution(1, 2)})
    with pytest.raises(BadArgument, match=r'a regression has no auc; set objective="rank_ic"'):
        tuned(learner=Ridge())
    with pytest.raises(BadArgument, match="there is no objective 'sharpe'; choose among auc, log_loss, rank_ic"):
        tuned(objective="sharpe")
    with pytest.raises(BadArgument, match=r"n_jobs is 0 \(at least 1\)"):
        tuned(n_jobs=0)
    with pytest.raises(BadArgument, match=r"X is a polars\.LazyFrame"):
        tune(Logistic(), ROWS.select(FEATURES).lazy(), ROWS["label"], label_span=SPAN)
    with pytest.raises(ModelError, match=r"a fold tests \d+ rows of one class"):
        tuned(ROWS.with_columns(label=pl.when(pl.int_range(pl.len()) < 600).then(1).otherwise("label")))
    with pytest.raises(ModelError, match="no session of a fold has a rank IC: 4 names at most"):
        tuned(planted(160, 4), objective="rank_ic")
    with pytest.raises(ModelError, match=r"X has 1600 rows, and y, label_span, ret and weights have \[1599, 1600, 1599\]"):
        tune(Logistic(), ROWS.select(FEATURES), ROWS["label"][1:], label_span=SPAN)


def test_scores_that_rank_nothing_have_no_rank_ic():
    """Sessions in which all scores are one count as 0, so that a model which hardly ever speaks is not chosen for it."""
    flat = ROWS.with_columns(ret_1=pl.lit(1.0), **dict.fromkeys(FEATURES[1:], pl.lit(2.0)))
    assert tuned(flat, objective="rank_ic", n_trials=1).value == 0


def test_the_space_of_a_learner():
    assert set(search_space(Logistic(), 1_000)) == {"alpha"}
    assert search_space(Majority(), 1_000) == {}
    weights = search_space(XGBoost(), 600_000)["min_child_weight"]
    assert (weights.low, weights.high) == (10, 1_000)
    few = search_space(clone(XGBoost(min_child_weight=5)), 2_000)["min_child_weight"]
    assert (few.low, few.high) == (5, 20)
    assert {"max_depth", "learning_rate", "subsample", "colsample_bytree", "reg_lambda"} < set(search_space(XGBoost(), 2_000))


def test_folds_that_leak_are_refused():
    with pytest.raises(ModelError, match=r"\d+ of 1066 training labels overlap a tested one \(limit 0\)"):
        tuned(folds=lambda span: KFold(3, shuffle=True, random_state=1))


def test_each_trial_is_told():
    told: list[tuple[int, int]] = []
    found = tuned(n_trials=3, on_trial=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found.best in found.trials


@pytest.mark.usefixtures("as_in_a_terminal")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_takes_effect_after_the_trial_at_work(n_jobs: int, tmp_path: Path):
    """The signal comes in the first fold of the second trial, whose other two are measured; no third one is begun."""
    calls = iter(range(100))
    value = tuning._value

    def interrupted(*args: Any) -> float:
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return value(*args)

    def search(n_trials: int) -> Tuned:
        return tuned(storage=tmp_path / "journal.log", n_trials=n_trials, n_jobs=n_jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_value", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(4)
        assert next(calls) == 6
        assert [len(trial.folds) for trial in search(2).trials] == [3, 3]
        assert next(calls) == 7
    assert search(4).trials == tuned(n_trials=4).trials


def at_once(*searches: dict[str, Any]) -> list[Tuned]:
    with ThreadPoolExecutor(len(searches)) as pool:
        return list(pool.map(lambda search: tuned(**search), searches))


def test_searches_at_once_make_one_database_and_share_a_study(tmp_path: Path):
    """Tables are made once; of two on one study the second waits, and finds every trial there."""
    storage = f"sqlite:///{tmp_path}/studies.db"
    one, same, other = at_once(*({"storage": storage, "study": study, "n_trials": 2} for study in ("a", "a", "b")))
    assert one == same == tuned(n_trials=2)
    assert other == one
    kept = optuna.load_study(study_name="a", storage=storage)
    assert [trial.state.name for trial in kept.trials] == ["COMPLETE", "COMPLETE"]


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path):
    file = tmp_path / "bad.log"
    tuned(storage=tmp_path / "good.log", n_trials=1)
    cut = (tmp_path / "good.log").read_bytes()[:-5]
    for content, line in ((b"no journal", 1), (b"3\n", 1), (cut, cut.count(b"\n") + 1)):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=rf"bad.log cannot be read \(line {line} is no entry of a journal\); restore"):
            tuned(storage=file)
        assert file.read_bytes() == content


def test_a_storage_that_fails_amid_a_trial_says_so(tmp_path: Path):
    """Another program ends the trial at work, or nothing can be written where the study should lie."""
    storage = f"sqlite:///{tmp_path}/studies.db"

    def meddling(*_: Any) -> float:
        study = optuna.load_study(study_name="tuning", storage=storage)
        study.tell(study.trials[-1].number, state=optuna.trial.TrialState.FAIL)
        return 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_value", meddling)
        with pytest.raises(ModelError, match=r"studies at .* cannot be used now \(.*\); see that .* finished trials are kept"):
            tuned(storage=storage)
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"studies at .* cannot be used now"):
        tuned(storage=tmp_path / "file" / "journal.log")
