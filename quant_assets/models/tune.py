"""Choosing a learner's parameters by purged cross-validation. What the choosing is worth, `nested.py` tells; where trials are kept is
`study.py`'s business, which rows a fold has `validation/`'s, logging them the registry's.

The choice sees the rows it is given and nothing else: pass those that were known at the cut-off.

Choices made here
- The value of a fold is unweighted; weights are for learning. A trial's value is the mean of its folds.
- Trees choose their number on the last sessions of each fold's training rows, so no row that a fold tests has a say in it.
- The first trial is the learner as it is given, so that what is chosen is never worse in the folds than what the house starts from.
- Once five trials are completed, one is pruned after its second fold or a later one when the best of its means so far is worse than the
  median of the completed trials' there (Optuna's MedianPruner).
- Each trial is drawn by a sampler of its own seed, so that a study that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import optuna
import polars as pl
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sklearn.base import clone

from quant_assets.errors import BadArgument, ModelError
from quant_assets.interrupts import held_back
from quant_assets.models.learner import Learner
from quant_assets.models.pooled import content_hash
from quant_assets.models.sample import Column, Floats, Table, refuse_no_table
from quant_assets.models.study import Direction, Storage, finished, work_on
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.signal_quality import MIN_NAMES, rank_ic
from quant_assets.validation.spans import LabelSpan, LabelSpans
from quant_assets.validation.splitter import Places

N_TRIALS = 50
SEED = 7
FOLDS = "folds"
Fold = tuple[Places, Places]
"""Places of the rows to learn from, and of those to test."""
Objective = Literal["auc", "log_loss", "rank_ic"]
DIRECTIONS: Mapping[Objective, Direction] = {"auc": "maximize", "log_loss": "minimize", "rank_ic": "maximize"}
SPACE: Mapping[str, BaseDistribution] = {
    "max_depth": IntDistribution(2, 6),
    "learning_rate": FloatDistribution(0.01, 0.2, log=True),
    "subsample": FloatDistribution(0.4, 1.0),
    "colsample_bytree": FloatDistribution(0.3, 1.0),
    "reg_lambda": FloatDistribution(0.1, 1_000, log=True),
    "alpha": FloatDistribution(10, 1_000_000, log=True),
}
"""Of each parameter that a learner may have: about the defaults, as far as daily returns make sense of it."""
LEAF_WEIGHTS = (10.0, 1_000.0)
LIGHTEST_ROWS = 100
"""Rows for each unit of a space's heaviest leaf: with fewer, the training rows of a fold might not be enough for a tree."""


class Splitter(Protocol):
    """A `cv` of scikit-learn."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[Fold]: ...


def five_folds(label_span: LabelSpan) -> Splitter:
    """Five purged folds of rows with these spans."""
    return PurgedKFold(label_span=label_span)


@dataclass(frozen=True)
class Search:
    """How parameters are looked for.

    Parameters
    ----------
    objective : ROC AUC, log-loss (nats), or the mean over sessions of the rank correlation of score and return.
    space : Optuna's distributions by parameter; None = `search_space` of the learner.
    n_trials : in total, those of an interrupted study included; failed ones do not count.
    folds : makes the splitter of rows from their spans.
    storage : where the study is kept and resumed: a URL (`sqlite:///...`), or the path of a journal file; None = nowhere. Where another
        thread or process is at work on the study, `tune` waits for it.
    study : its name there.
    n_jobs : folds of a trial that are fitted at once; they change no result.
    on_trial : called after each trial with the number of those that are finished and `n_trials`, in the thread that tunes.
    """

    objective: Objective = "auc"
    space: Mapping[str, BaseDistribution] | None = None
    n_trials: int = N_TRIALS
    folds: Callable[[LabelSpan], Splitter] = five_folds
    storage: Storage = None
    study: str = "tuning"
    seed: int = SEED
    n_jobs: int = 1
    on_trial: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Attempt:
    """One trial: value is None where it was pruned after the folds it has values of."""

    number: int
    params: Mapping[str, Any]
    folds: tuple[float, ...]
    value: float | None


@dataclass(frozen=True)
class Tuned:
    """The best trial, whose value in the folds is what was looked for and no forecast, and every trial."""

    objective: Objective
    best: Attempt
    trials: tuple[Attempt, ...]

    @property
    def params(self) -> Mapping[str, Any]:
        return self.best.params

    @property
    def value(self) -> float:
        return float(self.best.value)  # type: ignore[arg-type]  # only a completed trial is the best


@dataclass(frozen=True)
class Rows:
    """What `tune` is given, in arrays of one length, as a fold takes its part of it."""

    X: Table
    y: np.ndarray[Any, Any]
    span: LabelSpans
    weight: np.ndarray[Any, Any] | None
    ret: np.ndarray[Any, Any]

    def take(self, places: Places) -> Rows:
        span = LabelSpans(self.span.start[places], self.span.end[places])
        return Rows(self.X[places], self.y[places], span, None if self.weight is None else self.weight[places], self.ret[places])

    @property
    def days(self) -> LabelSpan:
        return np.column_stack([self.span.start, self.span.end])

    def fitted(self, learner: Learner) -> Learner:
        return clone(learner).fit(self.X, self.y, sample_weight=self.weight, label_span=self.days)  # type: ignore[no-any-return]


def tune(
    learner: Learner,
    X: Table,
    y: Column,
    *,
    label_span: LabelSpan,
    sample_weight: Column | None = None,
    ret: Column | None = None,
    search: Search | None = None,
) -> Tuned:
    """The parameters that do best in purged folds of the rows.

    Ctrl-C takes effect after the trial at work; a study in a storage then goes on where it stopped.

    Parameters
    ----------
    X, y, sample_weight, label_span : as `Learner.fit` takes them; every row was known at the cut-off.
    ret : (n_rows,) what `rank_ic` correlates scores with; None = y.

    Raises
    ------
    ModelError : the study in the storage was made for another objective, space, learner, feature set, data, folds or seed (nothing is
        changed), or the storage is damaged; a training label of a fold overlaps a tested one; a fold cannot be measured; what the learner
        refuses.
    BadArgument : an objective that there is not, or the learner's task has not; nothing to search; `n_jobs` below 1.
    """
    return tune_rows(learner, rows_of(X, y, label_span, sample_weight, ret), search or Search())


def search_space(learner: Learner, n_rows: int) -> dict[str, BaseDistribution]:
    """What SPACE says of the learner's parameters, and leaves as heavy as so many rows allow, the learner's own weight included."""
    params = learner.get_params()
    space = {name: within for name, within in SPACE.items() if name in params}
    if "min_child_weight" in params:
        own, (low, high) = params["min_child_weight"], LEAF_WEIGHTS
        space["min_child_weight"] = FloatDistribution(min(low, own), max(own, min(high, n_rows / LIGHTEST_ROWS)), log=True)
    return space


def rows_of(X: Table, y: Column, label_span: LabelSpan, sample_weight: Column | None, ret: Column | None) -> Rows:
    """Raises ModelError where lengths differ, BadArgument where X is no table; whatever else is wrong, the learner refuses."""
    refuse_no_table(X)
    weight = None if sample_weight is None else np.asarray(sample_weight)
    rows = Rows(X, np.asarray(y), LabelSpans.of(label_span), weight, np.asarray(y if ret is None else ret))
    lengths = [len(rows.y), len(rows.span), len(rows.ret)] + ([] if weight is None else [len(weight)])
    if set(lengths) != {len(X)}:
        raise ModelError(f"X has {len(X)} rows, and y, label_span, ret and weights have {lengths}", remedy="pass one of each for each row")
    return rows


def tune_rows(learner: Learner, rows: Rows, search: Search) -> Tuned:
    """`tune`, of rows that are gathered already."""
    space = dict(sorted((search_space(learner, len(rows.y)) if search.space is None else search.space).items()))
    _refuse_search(learner, space, search)
    folds = list(search.folds(rows.days).split(rows.X, rows.y))
    for train, test in folds:
        refuse_overlap(rows.span, train, test)
    params, identity = learner.get_params(), _identity(learner, rows, folds, space, search)
    with work_on(search.study, search.storage, DIRECTIONS[search.objective], identity) as study:
        while (n := len(finished(study))) < search.n_trials:
            with held_back():
                study.sampler = optuna.samplers.TPESampler(seed=search.seed + n)
                if n == 0 and not study.get_trials(states=(TrialState.WAITING,)):  # one waits where the process ended just here
                    study.enqueue_trial({name: params[name] for name in space})
                trial = study.ask(space)
                candidate = clone(learner).set_params(**trial.params)
                _run(study, trial, partial(_value, candidate, rows, search.objective), folds, search.n_jobs)
            if search.on_trial:
                search.on_trial(len(finished(study)), search.n_trials)
        return Tuned(search.objective, _attempt(study.best_trial), tuple(_attempt(trial) for trial in finished(study)))


def refuse_overlap(spans: LabelSpans, train: Places, test: Places) -> None:
    """Raises ModelError with the number of training labels whose span has a day in common with that of a tested one."""
    order = np.argsort(spans.start[test], kind="stable")
    starts, latest = spans.start[test][order], np.maximum.accumulate(spans.end[test][order])
    begun = np.searchsorted(starts, spans.end[train], side="right")  # tested labels that begin before a training label ends
    overlapping = int(((begun > 0) & (latest[begun - 1] >= spans.start[train])).sum())
    if overlapping:
        what = f"{overlapping} of {len(train)} training labels overlap a tested one (limit 0)"
        raise ModelError(what, remedy="split with a purged splitter of validation/")


def _refuse_search(learner: Learner, space: Mapping[str, BaseDistribution], search: Search) -> None:
    params = learner.get_params()
    if search.objective not in DIRECTIONS:
        raise BadArgument(f"there is no objective {search.objective!r}", remedy=f"choose among {', '.join(DIRECTIONS)}")
    if search.n_jobs < 1:
        raise BadArgument(f"n_jobs is {search.n_jobs} (at least 1)", remedy="say how many folds are fitted at once")
    if not set(space) <= set(params) or not space or search.n_trials < 1:
        what = f"{search.n_trials} trials over {', '.join(space) or 'nothing'} for {type(learner).__name__}"
        raise BadArgument(what, remedy=f"search among {', '.join(params)}, with at least 1 trial")
    if search.objective != "rank_ic" and learner.task != "classification":
        raise BadArgument(f"a {learner.task} has no {search.objective}", remedy='set objective="rank_ic"')


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    value: Callable[[Fold], float],
    folds: Sequence[Fold],
    n_jobs: int,
) -> None:
    """Measures the folds in order until the trial is done or pruned."""
    values: list[float] = []
    with closing(_in_order(value, folds, n_jobs)) as measured:
        for each in measured:
            values.append(each)
            trial.set_user_attr(FOLDS, values)
            trial.report(float(np.mean(values)), len(values) - 1)
            if len(values) < len(folds) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
    study.tell(trial, float(np.mean(values)))


def _in_order(value: Callable[[Fold], float], folds: Sequence[Fold], n_jobs: int) -> Generator[float]:
    if n_jobs == 1:  # a pool would begin the next fold before this one could prune the trial
        yield from map(value, folds)
        return
    pool = ThreadPoolExecutor(n_jobs)
    try:
        yield from pool.map(value, folds)
    finally:
        pool.shutdown(cancel_futures=True)


def _value(learner: Learner, rows: Rows, objective: Objective, fold: Fold) -> float:
    from sklearn.metrics import log_loss, roc_auc_score

    train, test = fold
    held = rows.take(test)
    scores = rows.take(train).fitted(learner).scores(held.X)
    if objective == "rank_ic":
        return _rank_ic(held, scores)
    if np.unique(held.y).size < 2:
        what = f"a fold tests {len(test)} rows of one class (limit: two)"
        raise ModelError(what, remedy="give a longer span, or fewer folds")
    return float(roc_auc_score(held.y, scores) if objective == "auc" else log_loss(held.y, scores))


def _rank_ic(held: Rows, scores: Floats) -> float:
    """Mean over sessions; 0 in a session whose scores are all one, since they rank nothing."""
    table = pl.DataFrame({"session": held.span.start, "score": scores, "ret": held.ret}, nan_to_null=True)
    by_session = table.group_by("session").agg(ic=rank_ic("score", "ret"), flat=pl.col("score").n_unique() == 1, n=pl.len())
    measured = by_session.filter(pl.col("n") >= MIN_NAMES).select(pl.when("flat").then(0.0).otherwise("ic"))
    mean = measured.to_series().mean()
    if mean is None:
        most = int(by_session["n"].to_numpy().max())
        what = f"no session of a fold has a rank IC: {most} names at most (at least {MIN_NAMES})"
        raise ModelError(what, remedy="tune on a pool of names")
    return float(mean)  # type: ignore[arg-type]


def _identity(learner: Learner, rows: Rows, folds: Sequence[Fold], space: Mapping[str, BaseDistribution], search: Search) -> dict[str, Any]:
    """What makes two studies the same one, as JSON has it."""
    fixed = {name: value for name, value in learner.get_params().items() if name not in (*space, "n_jobs", "feature_names")}
    X = rows.X if isinstance(rows.X, pl.DataFrame) else pl.DataFrame(rows.X, schema=learner.names_of(rows.X))
    others = {"y": rows.y, "start": rows.span.start, "end": rows.span.end, "ret": rows.ret, "weight": rows.weight}
    data = pl.DataFrame({name: column for name, column in others.items() if column is not None})
    places = hashlib.sha256(b"".join(part.tobytes() for fold in folds for part in fold))
    identity = {
        "objective": search.objective,
        "learner": {"class": type(learner).__name__, **fixed, "start": {name: learner.get_params()[name] for name in space}},
        "space": {name: distribution_to_json(within) for name, within in space.items()},
        "features": X.columns,
        "data": content_hash(X) + content_hash(data),
        "folds": places.hexdigest()[:16],
        "seed": search.seed,
    }
    found: dict[str, Any] = json.loads(json.dumps(identity))
    return found


def _attempt(trial: FrozenTrial) -> Attempt:
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Attempt(trial.number, trial.params, tuple(trial.user_attrs[FOLDS]), value)
