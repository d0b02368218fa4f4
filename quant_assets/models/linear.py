"""Ridge and logistic regression: what a straight line through the same features would have said. Trees are in `trees.py`.

Features are standardised by the mean and standard deviation of the training rows, and an unknown value counts as the training mean: a
linear model needs a number everywhere, and this one moves no forecast.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as RidgeRegression
from sklearn.preprocessing import StandardScaler

from quant_assets.models.learner import Learner, Limit
from quant_assets.models.sample import Floats, Sample, Task


@dataclass(eq=False, repr=False, kw_only=True)
class Linear(Learner):
    """An intercept and a slope a feature.

    Parameters
    ----------
    alpha : weight of the squared slopes beside the sum of the rows' losses.

    Attributes
    ----------
    mean_, scale_ : (n_features,) of the training rows; a feature that never changes has the scale 1.
    coef_, intercept_ : (n_features,) a standard deviation of the feature, and a number.
    """

    alpha: float

    @abstractmethod
    def _line(self) -> Any:
        """The regression of scikit-learn."""

    @property
    def task(self) -> Task:
        return self.TASKS[0]

    def _least_rows(self, n_features: int) -> int:
        return n_features + 2

    def _fit(self, sample: Sample) -> None:
        scaler = StandardScaler().fit(sample.values, sample_weight=sample.weight)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        line = self._line().fit(self._standardised(sample.values), sample.target, sample_weight=sample.weight)
        self.coef_, self.intercept_ = line.coef_.ravel(), float(np.ravel(line.intercept_)[0])

    def _standardised(self, values: npt.NDArray[Any]) -> Floats:
        return np.asarray(np.nan_to_num((values - self.mean_) / self.scale_))

    def _scores(self, values: npt.NDArray[Any]) -> Floats:
        return np.asarray(self._standardised(values) @ self.coef_ + self.intercept_)

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        arrays = {name: getattr(self, name).tolist() for name in ("mean_", "scale_", "coef_")}
        return {**arrays, "intercept_": self.intercept_}, b""

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        self.mean_, self.scale_, self.coef_ = (np.asarray(facts[name]) for name in ("mean_", "scale_", "coef_"))
        self.intercept_ = facts["intercept_"]


@dataclass(eq=False, repr=False, kw_only=True)
class Ridge(Linear):
    """Ridge regression of a number, as a forward return; its forecast ranks names too.

    The default suits daily returns: the best `alpha` is residual variance / variance of the slopes (Hoerl and Kennard 1970), about
    n_features / R², and twenty features that explain 0.2 % make ten thousand, however many rows there are.
    """

    TASKS: ClassVar[tuple[Task, ...]] = ("regression",)
    LIMITS: ClassVar[Mapping[str, Limit]] = {"alpha": Limit(0)}

    alpha: float = 10_000.0

    def _line(self) -> RidgeRegression:
        return RidgeRegression(alpha=self.alpha)


@dataclass(eq=False, repr=False, kw_only=True)
class Logistic(Linear):
    """Logistic regression of 0 and 1.

    The default shrinks as `Ridge` does: a row weighs p(1 - p), about a quarter of what it weighs there.
    """

    TASKS: ClassVar[tuple[Task, ...]] = ("classification",)
    LIMITS: ClassVar[Mapping[str, Limit]] = {"alpha": Limit(0, above=True)}

    alpha: float = 2_500.0

    def _line(self) -> LogisticRegression:
        # Newton steps suit many rows of few features, and end where they end, not where a coarse tolerance stops them.
        return LogisticRegression(C=1 / self.alpha, solver="newton-cholesky")

    def _scores(self, values: npt.NDArray[Any]) -> Floats:
        return np.asarray(1 / (1 + np.exp(-super()._scores(values))))
