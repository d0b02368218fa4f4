"""Which parameters a cut-off's trees are grown with: the house's, or those that a study of the calendar year's first cut-off chose.

How a study chooses is `models/tune.py`'s business. It sees what was known at that first cut-off and nothing later, and its parameters serve
the year's other cut-offs too: nothing that a quarter is judged by had a say in them.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from quant_assets.models.pooled import PARAMETERS, content_hash
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.models.run_record import Trial


@dataclass(frozen=True)
class Chosen:
    """Parameters as `xgboost.train` names them, and the trials of the cut-off's own study with what the best was worth in each fold."""

    parameters: Mapping[str, Any]
    trials: tuple[Trial, ...] = ()
    by_fold: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def chosen(work: Workspace, model: str, cutoff: dt.date, learnable: Callable[[dt.date], pl.DataFrame]) -> Chosen:
    """The parameters of a model's cut-off. A study that was interrupted goes on; a finished one is only read.

    Parameters
    ----------
    learnable : the rows that the model may learn from at a cut-off, as `pooled.training_rows` gives them.

    Raises
    ------
    ModelError : a fold of the rows cannot be measured, or the stored studies are damaged.
    """
    if not work.settings.models.tune:
        return Chosen(PARAMETERS)
    from quant_assets.models.run_record import Trial
    from quant_assets.models.trees import XGBoost
    from quant_assets.models.tune import Search, tune  # Optuna: only where it chooses

    first = max(dt.date(cutoff.year, 1, 1), work.settings.grids.first_cutoff)
    rows = learnable(first)
    features = list(work.model_features)
    known = content_hash(rows.select("ticker", "session", "label", "label_end", *features))
    settings = work.settings.models
    search = Search(
        objective=settings.objective,
        n_trials=settings.trials,
        storage=f"sqlite:///{work.settings.studies_file}",
        study=f"{model} {first} {settings.objective} {known}",
        n_jobs=os.cpu_count() or 1,
    )
    learner = XGBoost(device="cpu")  # where scores differ from one machine to the next, nothing can be proven again
    X, y, ret = rows.select(features), rows["label"], rows["ret"]
    tuned = tune(learner, X, y, label_span=rows.select("label_start", "label_end"), ret=ret, search=search)
    trials = tuple(
        Trial(one.number, dict(one.params), one.value, one.folds, "PRUNED" if one.value is None else "COMPLETE") for one in tuned.trials
    )
    grown = learner.set_params(**tuned.params).parameters()
    parameters = {name: value for name, value in grown.items() if name in PARAMETERS}
    if cutoff != first:
        return Chosen(parameters)
    best = next(one for one in tuned.trials if one.value == tuned.value)
    return Chosen(parameters, trials, {tuned.objective: best.folds})
