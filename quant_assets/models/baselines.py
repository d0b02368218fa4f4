"""What a model must beat: the base rate, and the last move going on. Models that learn are in `trees.py` and `linear.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from quant_assets.errors import ModelError
from quant_assets.models.learner import Learner
from quant_assets.models.sample import Floats, Sample, Task


@dataclass(eq=False, repr=False, kw_only=True)
class Baseline(Learner):
    """A forecast that looks at one figure at most.

    Attributes
    ----------
    mean_ : weighted mean of the training targets: of a classification the base rate.
    """

    TASKS: ClassVar[tuple[Task, ...]] = ("classification", "regression")

    task: Task = "classification"

    def _least_rows(self, n_features: int) -> int:
        return 1

    def _fit(self, sample: Sample) -> None:
        self.mean_ = float(np.average(sample.target, weights=sample.weight))

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        return {"mean": self.mean_}, b""

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        self.mean_ = facts["mean"]


class Majority(Baseline):
    """The base rate for every row, so that `predict` says the more frequent class; of a regression the mean."""

    def _scores(self, values: npt.NDArray[Any]) -> Floats:
        return np.full(len(values), self.mean_)


@dataclass(eq=False, repr=False, kw_only=True)
class Persistence(Baseline):
    """The last move goes on: a classification gives its direction the share of training rows in which it did, a regression its size.

    Where moves reverted more often than not that share is below one half, and the forecast says so. A row whose last move is unknown or 0
    gets the training mean.

    Parameters
    ----------
    move : the feature that holds the last return, fraction.

    Attributes
    ----------
    share_ : of the training weight of rows that had moved, how much went on in the same direction.
    place_ : of the feature among those learned.
    """

    move: str = "ret_1"

    def _fit(self, sample: Sample) -> None:
        super()._fit(sample)
        if self.move not in sample.features:
            raise ModelError(
                f"no feature is called {self.move!r}", remedy=f"set move to the last return among {', '.join(sample.features)}"
            )
        self.place_ = list(sample.features).index(self.move)
        moved = sample.values[:, self.place_]
        known = np.isfinite(moved) & (moved != 0)
        weight = known if sample.weight is None else known * sample.weight
        if not weight.any():
            raise ModelError(f"{self.move} moved in none of {len(sample)} rows", remedy="give a longer span or another feature as move")
        self.share_ = float(np.average((moved > 0) == (sample.target > 0), weights=weight))

    def _scores(self, values: npt.NDArray[Any]) -> Floats:
        moved = values[:, self.place_]
        goes_on = np.where(moved > 0, self.share_, 1 - self.share_) if self.task == "classification" else moved
        return np.where(np.isnan(moved) | (moved == 0), self.mean_, goes_on)

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        return {"mean": self.mean_, "share": self.share_, "place": self.place_}, b""

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        super()._restore(facts, model)
        self.share_, self.place_ = facts["share"], facts["place"]
