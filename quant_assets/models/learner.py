"""What every learner of daily rows is: fitted, asked, stored and refused in one way. Which there are, `trees.py`, `linear.py` and
`baselines.py` say; how rows are checked, `sample.py`; how parameters are chosen, `tune.py`.

scikit-learn's grammar: parameters in the constructor, what was learned in attributes that end in an underscore, so that `clone`,
`set_params` and `cross_val_score` work.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, RegressorTags, Tags

from quant_assets.errors import BadArgument, ModelError
from quant_assets.models.sample import (
    Column,
    Floats,
    Sample,
    Table,
    Task,
    refuse_infinite,
    refuse_no_table,
    refuse_other_features,
    refuse_unknown,
    sample_of,
    values_of,
)
from quant_assets.validation.spans import LabelSpan

FORMAT = b"quant_assets learner 1\n"


@dataclass(frozen=True)
class Limit:
    """What a number may be: from `low`, or above it, to `high`."""

    low: float
    high: float = np.inf
    above: bool = False
    whole: bool = False

    def __str__(self) -> str:
        start = f"{'above' if self.above else 'from'} {self.low:g}"
        return f"{'a whole number' if self.whole else 'a number'} {start}" + (f" to {self.high:g}" if np.isfinite(self.high) else "")

    def holds(self, value: object) -> bool:
        kind = Integral if self.whole else Real
        return isinstance(value, kind) and self.low <= value <= self.high and not (self.above and value == self.low)  # type: ignore[operator]


COUNT = Limit(1, whole=True)


@dataclass(eq=False, repr=False, kw_only=True)
class Learner(BaseEstimator, ABC):  # type: ignore[misc]
    """A model of one target.

    Parameters
    ----------
    feature_names : of the columns where X is an array; a frame has its own.

    Attributes
    ----------
    feature_names_in_ : (n_features,) str, what it learned from, in order.
    classes_ : (2,) 0 and 1, of a classification.
    """

    TASKS: ClassVar[tuple[Task, ...]]
    PRECISION: ClassVar[type[np.floating[Any]]] = np.float64
    LIMITS: ClassVar[Mapping[str, Limit]] = {}
    """Of the parameters that are numbers; one that may be None has no limit then."""

    feature_names: Sequence[str] | None = None

    @property
    @abstractmethod
    def task(self) -> Task:
        """What the target is."""

    @abstractmethod
    def _least_rows(self, n_features: int) -> int:
        """How many rows it takes to learn anything."""

    @abstractmethod
    def _fit(self, sample: Sample) -> None: ...

    @abstractmethod
    def _scores(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]: ...

    @abstractmethod
    def _stored(self) -> tuple[dict[str, Any], bytes]:
        """What was learned: facts as JSON has them, and the model of a library."""

    @abstractmethod
    def _restore(self, facts: dict[str, Any], model: bytes) -> None: ...

    def fit(self, X: Table, y: Column, sample_weight: Column | None = None, label_span: LabelSpan | None = None) -> Self:
        """Learns from rows in any order.

        Parameters
        ----------
        X : (n_rows, n_features) frame with named columns, null = unknown, or array with `feature_names`, NaN = unknown.
        y : (n_rows,) classification: 0 or 1; regression: a number; ranking: a grade from 0 to 30, the highest for the best.
        sample_weight : (n_rows,) from 0; of a ranking, alike within a session.
        label_span : frame with `label_start` and `label_end`, or (n_rows, 2) datetime64[D]: the sessions between which each label was
            decided.

        Raises
        ------
        ModelError : a task that this learner has not; lengths that differ; a target that is missing, infinite, no grade, or of one class
            only; weights that are missing, below 0 or all 0; a feature that is infinite, no number, or unknown in every row; fewer rows
            than it takes.
        BadArgument : a parameter outside its limits; X that is no polars frame and no array, has no column, or names one twice; y or
            weights that are no numbers; a span that is missing or ends before it starts.
        """
        self._refuse_parameters()
        task = self.task
        if task not in self.TASKS:
            raise ModelError(f"{type(self).__name__} has no task {task!r}", remedy=f"choose among {', '.join(self.TASKS)}")
        names = self.names_of(X)
        values = values_of(X, names, self.PRECISION)
        sample = sample_of(names, values, y, sample_weight, label_span, task=task)
        least = self._least_rows(len(names))
        if len(sample) < least:
            raise ModelError(
                f"{len(sample):,} rows (at least {least:,} are needed)", remedy="give a longer span, more names or fewer features"
            )
        refuse_infinite(values, names)
        refuse_unknown(values, names)
        self._fit(sample)
        self._learned(names)
        return self

    def predict(self, X: Table) -> npt.NDArray[Any]:
        """(n_rows,) classification: the likelier class; else what `scores` gives. Raises what `scores` raises."""
        scores = self.scores(X)
        return (scores > 0.5).astype(np.int64) if self.task == "classification" else scores

    def predict_proba(self, X: Table) -> Floats:
        """(n_rows, 2) probabilities of 0 and 1. Raises what `scores` raises, and ModelError where the task is no classification."""
        if self.task != "classification":
            raise ModelError(f"a {self.task} gives no probabilities", remedy="call predict")
        one = self.scores(X)
        return np.column_stack([1 - one, one])

    def scores(self, X: Table) -> Floats:
        """What rows are ranked by, (n_rows,): P(1) of a classification, the expected target of a regression, and of a ranking a number
        without unit that compares the rows of one session, the highest for the best.

        Raises
        ------
        ModelError : it has learned nothing yet, other features or another order of them, or a feature is infinite.
        """
        self._refuse_unfitted()
        names = self.names_of(X)
        refuse_other_features(self.feature_names_in_.tolist(), names)
        values = values_of(X, names, self.PRECISION)
        refuse_infinite(values, names)
        return np.asarray(self._scores(values), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """The learner, its parameters and what it learned. Raises ModelError where it has learned nothing yet."""
        self._refuse_unfitted()
        facts, model = self._stored()
        header = {"class": type(self).__name__, "params": self.get_params(), "features": self.feature_names_in_.tolist(), "facts": facts}
        body = json.dumps(header).encode() + b"\n" + model
        return FORMAT + _digest(body) + body

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """What `to_bytes` of this class stored. Raises ModelError where the bytes are damaged or of another class."""
        digest, body = raw[len(FORMAT) :][:64], raw[len(FORMAT) :][64:]
        if not raw.startswith(FORMAT) or digest != _digest(body):
            raise ModelError(f"the {len(raw)} bytes are no stored learner, or damaged", remedy="restore the file or train again")
        first, _, model = body.partition(b"\n")
        header = json.loads(first)
        if header["class"] != cls.__name__:
            raise ModelError(
                f"the stored learner is a {header['class']}, not a {cls.__name__}", remedy=f"call {header['class']}.from_bytes"
            )
        learner = cls(**header["params"])
        learner._restore(header["facts"], model)
        learner._learned(header["features"])
        return learner

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        if self.task == "classification":
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags(multi_class=False)
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def _learned(self, names: Sequence[str]) -> None:
        self.feature_names_in_ = np.asarray(names, dtype=object)
        self.n_features_in_ = len(names)
        if self.task == "classification":
            self.classes_ = np.array([0, 1])

    def _refuse_parameters(self) -> None:
        params = self.get_params()
        for name, limit in self.LIMITS.items():
            if params[name] is not None and not limit.holds(params[name]):
                raise BadArgument(f"{name} of this {type(self).__name__} is {params[name]!r}", remedy=f"set {name} to {limit}")

    def _refuse_unfitted(self) -> None:
        if not hasattr(self, "feature_names_in_"):
            raise ModelError(f"this {type(self).__name__} has learned nothing yet", remedy="call fit first")

    def names_of(self, X: Table) -> list[str]:
        """Of the columns of X.

        Raises
        ------
        ModelError : X is an array and `feature_names` do not fit it.
        BadArgument : X is neither a frame of polars nor an array, has no column, or `feature_names` has a name twice.
        """
        refuse_no_table(X)
        if isinstance(X, pl.DataFrame):
            return X.columns
        if self.feature_names is None:
            raise ModelError("an array names no columns", remedy="pass feature_names to the constructor, or a frame")
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            what = f"X has the shape {X.shape} and {len(self.feature_names)} feature names"
            raise ModelError(what, remedy="pass (rows, features) with one name for each column")
        if twice := sorted({name for name in self.feature_names if list(self.feature_names).count(name) > 1}):
            raise BadArgument(f"feature_names has {', '.join(twice)} twice (limit: once)", remedy="give each column a name of its own")
        return list(self.feature_names)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
