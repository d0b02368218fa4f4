"""The baselines that stand beside the pooled model: taught by the same rows at the same cut-off, kept with it, asked on the same sessions.

What each of them is, `baselines.py` and `linear.py` say; the base rate, which needs no model, stands in `oos_predictions` anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.models.baselines import Persistence
from quant_assets.models.learner import Learner
from quant_assets.models.linear import Logistic
from quant_assets.models.terms import LAST_MOVE, PERSISTENCE, RIDGE


def taught(rows: pl.DataFrame, features: Sequence[str]) -> dict[str, bytes]:
    """Each baseline as `Learner.to_bytes` stores it, by the name it has in `oos_predictions`.

    Parameters
    ----------
    rows : from `pooled.training_rows`: label, the features and LAST_MOVE. A feature that no row knows is left to the trees, which can do
        without.

    Raises
    ------
    ModelError : one class only, or LAST_MOVE is 0 or null in every row.
    """
    known = [name for name in features if rows[name].null_count() < rows.height]
    ridge = Logistic().fit(rows.select(known), rows["label"])
    persistence = Persistence(move=LAST_MOVE).fit(rows.select(LAST_MOVE), rows["label"])
    return {RIDGE: ridge.to_bytes(), PERSISTENCE: persistence.to_bytes()}


def scores(stored: Mapping[str, bytes], rows: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """P(label = 1) for each row, (n_rows,), of each baseline.

    Parameters
    ----------
    stored : from `taught`. rows : the features and LAST_MOVE.

    Raises
    ------
    ModelError : the bytes are damaged, or a feature is infinite.
    """
    kinds: dict[str, type[Learner]] = {RIDGE: Logistic, PERSISTENCE: Persistence}
    learners = {name: kinds[name].from_bytes(raw) for name, raw in stored.items()}
    return {name: learner.scores(rows.select(learner.feature_names_in_.tolist())) for name, learner in learners.items()}
