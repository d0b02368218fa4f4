"""Which parameters a cut-off's trees are grown with: the house's, or those that a study of the calendar year's first cut-off chose.

How a study chooses is `models/tune.py`'s business. It sees what was known at that first cut-off and nothing later, and its parameters serve
the year's other cut-offs too: nothing that a quarter is judged by had a say in them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from quant_assets.errors import ModelError
from quant_assets.models.pooled import PARAMETERS, content_hash
from quant_assets.models.terms import MIN_CHILD_WEIGHT, SUBSAMPLE, VALIDATION_SESSIONS, rows_to_split
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.models.run_record import Trial

LOGGER = "quant_assets.tuning"
"""It tells of each trial, as `trial` (how many are done, of how many) too: a study takes minutes."""
logger = logging.getLogger(LOGGER)
LEARNT_SHARE = 0.8
"""Of the rows, in each of five folds."""


@dataclass(frozen=True)
class Chosen:
    """Parameters as `xgboost.train` names them, the trials of the study that chose them, and what the best was worth in each fold."""

    parameters: Mapping[str, Any]
    trials: tuple[Trial, ...] = ()
    by_fold: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def chosen(work: Workspace, model: str, cutoff: dt.date, learnable: Callable[[dt.date], pl.DataFrame], *, n_jobs: int) -> Chosen:
    """The parameters of a model's cut-off. A study that was interrupted goes on; a finished one is only read.

    Parameters
    ----------
    learnable : the rows that the model may learn from at a cut-off, as `pooled.training_rows` gives them.
    n_jobs : folds that are fitted at once.

    Raises
    ------
    ModelError : too few rows for five folds, a fold that cannot be measured, or damaged studies.
    """
    if not work.settings.models.tune:
        return Chosen(PARAMETERS)
    from quant_assets.models.run_record import Trial
    from quant_assets.models.trees import XGBoost
    from quant_assets.models.tune import Search, tune  # Optuna: only where it chooses

    first, rows = _first_of_year(work, cutoff, learnable)
    features = list(work.model_features)
    known = content_hash(rows.select("ticker", "session", "label", "label_end", *features))
    settings = work.settings.models

    def tell(done: int, of: int) -> None:
        logger.info("%s of %s: trial %s of %s", model, first, done, of, extra={"trial": (done, of)})

    search = Search(
        objective=settings.objective,
        n_trials=settings.trials,
        storage=f"sqlite:///{work.settings.studies_file}",
        study=f"{model} {first} {settings.objective} {known}",
        n_jobs=n_jobs,
        on_trial=tell,
    )
    learner = XGBoost(device="cpu")  # where scores differ from one machine to the next, nothing can be proven again
    X, y, ret = rows.select(features), rows["label"], rows["ret"]
    try:
        tuned = tune(learner, X, y, label_span=rows.select("label_start", "label_end"), ret=ret, search=search)
    except ModelError as error:
        where = f"cut-off {first}, tuned by five folds"
        raise ModelError(f"{where}: {error.message}", remedy=f"{error.remedy}, or train without tuning") from None
    best = tuned.best
    told = (model, first, tuned.objective, tuned.value, best.number)
    logger.info("%s of %s: %s %.5f in the folds by trial number %s (0: the house's parameters)", *told)
    grown = learner.set_params(**tuned.params).parameters()
    # the house's own are kept as they are written, so that a model that nothing was changed of is the same one
    parameters = {name: value for name, value in grown.items() if name in PARAMETERS} if best.number else PARAMETERS
    trials = tuple(
        Trial(one.number, dict(one.params), one.value, one.folds, "PRUNED" if one.value is None else "COMPLETE") for one in tuned.trials
    )
    return Chosen(parameters, trials, {f"tuned_{tuned.objective}": best.folds})


def _first_of_year(work: Workspace, cutoff: dt.date, learnable: Callable[[dt.date], pl.DataFrame]) -> tuple[dt.date, pl.DataFrame]:
    """The year's first cut-off with rows enough for five folds, or the one asked for; its rows."""
    needed = rows_to_split(MIN_CHILD_WEIGHT, SUBSAMPLE)
    quarters = (window.start for window in work.quarter_windows().values())
    for first in (start for start in quarters if start.year == cutoff.year and start < cutoff):
        rows = learnable(first)
        sessions = LEARNT_SHARE * rows["session"].n_unique()
        if sessions > VALIDATION_SESSIONS and LEARNT_SHARE * rows.height * (1 - VALIDATION_SESSIONS / sessions) >= needed:
            return first, rows
    rows = learnable(cutoff)
    if rows.is_empty():
        raise ModelError(f"cut-off {cutoff}: 0 labelled rows to tune on", remedy="materialise more history or choose a later cut-off")
    return cutoff, rows
