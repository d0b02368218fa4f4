"""Models to be kept, trained in a moment, with what is known of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_assets.models import pooled
from quant_assets.models.evidence import Evidence, gather
from quant_assets.models.pooled import TrainedModel, predict, train
from quant_assets.models.run_record import Trial
from quant_assets_tests.small import FEATURES, labelled

CUTOFF = dt.date(2010, 10, 1)
ROWS = labelled(120)


def trained(*, seed: int = 0, with_members: bool = False, cutoff: dt.date = CUTOFF) -> TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        few_rows = {**pooled.PARAMETERS, "min_child_weight": 5}
        for name, value in {"MEMBERS": 3, "MIN_TRAINING_SESSIONS": 80, "VALIDATION_SESSIONS": 40, "PARAMETERS": few_rows}.items():
            patch.setattr(pooled, name, value)
        rows = ROWS.with_columns(pl.col(FEATURES[0]) * (1 + seed))
        return train(rows, cutoff, with_members=with_members, features=FEATURES)


def evidence_of(model: TrainedModel) -> Evidence:
    held = ROWS.with_columns(score=predict(model.booster, ROWS, features=FEATURES))
    rounds = np.arange(1, 31)
    curve = pl.DataFrame({"round": rounds, "train": 0.69 - 0.001 * rounds, "validation": 0.69 + 0.0001 * (rounds - 12) ** 2})
    return gather(model.booster, ROWS, held=held, learning_curve=curve)


def searched(n_trials: int) -> list[Trial]:
    """The second failed, the third was pruned after two folds, all others were completed."""
    trials = [Trial(number, {"max_depth": 2 + number}, 0.5 + number / 100, (0.5, 0.51, 0.52), "COMPLETE") for number in range(n_trials)]
    trials[1] = Trial(1, {"max_depth": 90}, None, (), "FAIL")
    trials[2] = Trial(2, {"max_depth": 99}, None, (0.5, 0.49), "PRUNED")
    return trials
