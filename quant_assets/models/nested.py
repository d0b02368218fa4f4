"""What tuning is worth: an outer cross-validation whose models get parameters that were chosen without what it tests. How they are chosen
is `tune.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import clone

from quant_assets.errors import ModelError
from quant_assets.models.learner import Learner
from quant_assets.models.sample import Column, Floats, Table
from quant_assets.models.tune import Search, Splitter, Tuned, refuse_overlap, rows_of, tune_rows
from quant_assets.validation.spans import LabelSpan
from quant_assets.validation.splitter import Places


@dataclass(frozen=True)
class Nested:
    """Scores of rows by models whose parameters were chosen without them.

    Parameters
    ----------
    scores : (n_rows,) NaN where no outer fold tests the row.
    fold : (n_rows,) number of the outer fold that tests it, -1 where none does.
    tuned : of each outer fold.
    """

    scores: Floats
    fold: Places
    tuned: tuple[Tuned, ...]


def nested_cv(
    learner: Learner,
    X: Table,
    y: Column,
    *,
    outer: Splitter,
    label_span: LabelSpan,
    sample_weight: Column | None = None,
    ret: Column | None = None,
    search: Search | None = None,
) -> Nested:
    """Tunes within the training rows of each outer fold, learns from all of them, and scores its test rows.

    Varma and Simon (2006), Bias in error estimation when using cross-validation for model selection.

    Parameters
    ----------
    outer : splits the rows; it tests each at most once. The study of fold n is called `<study>-<n>`.
    X, y, label_span, sample_weight, ret, search : as `tune` takes them.

    Raises
    ------
    ModelError : a training label overlaps a tested one, or a row is tested twice; what `tune` raises.
    """
    rows, search = rows_of(X, y, label_span, sample_weight, ret), search or Search()
    scores, fold = np.full(len(rows.y), np.nan), np.full(len(rows.y), -1)
    tuned = []
    for number, (train, test) in enumerate(outer.split(X, rows.y)):
        _refuse_twice(fold[test])
        refuse_overlap(rows.span, train, test)
        known = rows.take(train)
        tuned.append(tune_rows(learner, known, replace(search, study=f"{search.study}-{number}")))
        scores[test] = known.fitted(clone(learner).set_params(**tuned[-1].params)).scores(X[test])
        fold[test] = number
    return Nested(scores, fold, tuple(tuned))


def _refuse_twice(fold: Places) -> None:
    if (fold >= 0).any():
        raise ModelError(f"{int((fold >= 0).sum())} rows are tested twice (limit 0)", remedy="pass a splitter that tests each row once")
