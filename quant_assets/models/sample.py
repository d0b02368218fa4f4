"""Rows to learn from, checked: features, targets, weights and the spans of labels, as arrays of one length. Who learns from them is
`learner.py`'s business; which of them end in time is `validation/purged.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import BadArgument, ModelError
from quant_assets.validation.spans import LabelSpan, LabelSpans
from quant_assets.validation.splitter import Places

Task = Literal["classification", "regression", "ranking"]
Table = pl.DataFrame | npt.NDArray[Any]
Column = pl.Series | npt.NDArray[Any] | Sequence[float]
Floats = npt.NDArray[np.float64]

HIGHEST_GRADE = 30
"""Of a ranking: grade g counts 2^g - 1, and LightGBM knows no higher one; XGBoost ends at 31."""


@dataclass(frozen=True)
class Sample:
    """Rows to learn from.

    Parameters
    ----------
    features : (n_features,) names.
    values : (n_rows, n_features) float, NaN = unknown.
    target : (n_rows,) classification: 0 or 1; regression: a number; ranking: a grade.
    weight : (n_rows,) from 0, None = all alike.
    span : of each label, None = not given.
    """

    features: Sequence[str]
    values: npt.NDArray[Any]
    target: Floats
    weight: Floats | None
    span: LabelSpans | None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, places: Places) -> Sample:
        """These rows, in this order."""
        weight = None if self.weight is None else self.weight[places]
        span = None if self.span is None else LabelSpans(self.span.start[places], self.span.end[places])
        return Sample(self.features, self.values[places], self.target[places], weight, span)


def sample_of(
    features: Sequence[str],
    values: npt.NDArray[Any],
    y: Column,
    sample_weight: Column | None,
    label_span: LabelSpan | None,
    *,
    task: Task,
) -> Sample:
    """The rows of `Learner.fit`, which says what is refused."""
    n_rows = len(values)
    target = _numbers("y", y, n_rows, remedy="leave those rows out: their label is not known")
    remedy = "give each row a weight, 0 where it shall not be learned from"
    weight = None if sample_weight is None else _numbers("sample_weight", sample_weight, n_rows, remedy=remedy)
    span = None if label_span is None else LabelSpans.of(label_span)
    if span is not None:
        _refuse_length("label_span", len(span), n_rows)
    if weight is not None and ((weight < 0).any() or not weight.any()):
        n_negative = int((weight < 0).sum())
        raise ModelError(f"{n_negative} weights are below 0 and {int((weight > 0).sum())} above", remedy="pass weights from 0, not all 0")
    if task == "classification":
        _refuse_other_than_two_classes(target)
    if task == "ranking":
        _refuse_what_cannot_be_ranked(target, weight, span)
    return Sample(features, values, target, weight, span)


def refuse_no_table(X: object) -> None:
    """Raises BadArgument where X is neither a frame of polars nor an array, or has no column."""
    if not isinstance(X, pl.DataFrame | np.ndarray):
        kind = f"{type(X).__module__.partition('.')[0]}.{type(X).__name__}"
        raise BadArgument(f"X is a {kind}", remedy="pass a polars DataFrame (`collect` a lazy one, `pl.from_pandas` another) or an array")
    if isinstance(X, pl.DataFrame) and not X.columns:
        raise BadArgument("X has no column (at least 1)", remedy="select the features")


def values_of(X: Table, features: Sequence[str], precision: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """(n_rows, n_features), NaN where a feature is null.

    Raises
    ------
    ModelError : a column that holds no numbers.
    """
    if not isinstance(X, pl.DataFrame):
        return np.asarray(X, dtype=precision)
    types = {name: X.schema[name] for name in features}
    other = [f"{name} ({kind})" for name, kind in types.items() if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null))]
    if other:
        raise ModelError(f"features must be numbers, not {', '.join(other)}", remedy="encode or leave them out")
    return X.select(pl.col(list(features)).cast(pl.Float32 if precision is np.float32 else pl.Float64)).to_numpy()


def refuse_other_features(learned: Sequence[str], given: Sequence[str]) -> None:
    """Raises ModelError with both lists when a model is given other features than it learned, or another order."""
    if list(learned) != list(given):
        raise ModelError(f"the model learned {list(learned)} and was given {list(given)}", remedy="retrain it or restore its feature set")


def refuse_infinite(values: npt.NDArray[Any], features: Sequence[str]) -> None:
    """Raises ModelError with the columns that hold an infinite value, and how many."""
    infinite = np.isinf(values).sum(axis=0)
    if infinite.any():
        shown = ", ".join(f"{name} ({n})" for name, n in zip(features, infinite, strict=True) if n)
        raise ModelError(f"infinite values in {shown} (limit 0)", remedy="make them null where they are unknown")


def refuse_unknown(values: npt.NDArray[Any], features: Sequence[str]) -> None:
    """Raises ModelError with the columns in which every value is unknown."""
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        shown = ", ".join(name for name, lacking in zip(features, empty, strict=True) if lacking)
        raise ModelError(f"unknown in all {len(values)} rows: {shown}", remedy="leave the feature out or materialise what it is made of")


def refuse_short(target: npt.NDArray[Any], n_rows: int, *, held_sessions: int, least: int) -> None:
    """Raises ModelError where too few rows, or rows of one outcome, are left to learn from before the held sessions.

    Parameters
    ----------
    target : of the rows that are left of `n_rows`.
    """
    n_outcomes = np.unique(target).size
    if len(target) < least or n_outcomes < 2:
        raise ModelError(
            f"{len(target):,} of {n_rows:,} rows are left before the {held_sessions} held sessions, with {n_outcomes} outcomes (at least "
            f"{least:,} rows with two are needed)",
            remedy="give a longer span or more names, or lower min_child_weight or the held sessions",
        )


def _numbers(what: str, given: Column, n_rows: int, *, remedy: str) -> Floats:
    kind = given.dtype if isinstance(given, pl.Series) else np.asarray(given).dtype
    try:
        column = given.cast(pl.Float64).to_numpy() if isinstance(given, pl.Series) else np.asarray(given, dtype=np.float64)
    except (pl.exceptions.PolarsError, ValueError, TypeError):
        raise BadArgument(f"{what} holds {kind}, not numbers", remedy=f"pass {what} as one number a row") from None
    if column.ndim != 1:
        raise BadArgument(f"{what} has {column.ndim} dimensions (limit 1)", remedy=f"pass {what} as one number a row")
    _refuse_length(what, len(column), n_rows)
    n_missing, n_infinite = int(np.isnan(column).sum()), int(np.isinf(column).sum())
    if n_missing or n_infinite:
        raise ModelError(f"{what} has {n_missing} missing and {n_infinite} infinite values (limit 0)", remedy=remedy)
    return column


def _refuse_length(what: str, n: int, n_rows: int) -> None:
    if n != n_rows:
        raise ModelError(f"{what} has {n} rows and X {n_rows}", remedy="pass one for each row, in the order of X")


def _refuse_other_than_two_classes(target: Floats) -> None:
    classes = np.unique(target).tolist()
    if classes != [0, 1]:
        shown = ", ".join(f"{one:g}" for one in classes[:5])
        raise ModelError(
            f"classification needs both 0 and 1 among its {len(target)} targets, which are {shown or 'none'}",
            remedy="give a longer span, or turn the target into 0 and 1",
        )


def _refuse_what_cannot_be_ranked(target: Floats, weight: Floats | None, span: LabelSpans | None) -> None:
    if span is None:
        raise ModelError("a ranking compares the rows of one session", remedy="pass label_span")
    wrong = ~((target >= 0) & (target <= HIGHEST_GRADE) & (target == np.floor(target)))
    if wrong.any():
        what = f"{int(wrong.sum())} targets are no grade, as {target[wrong.argmax()]:g} (limits: whole, 0 to {HIGHEST_GRADE})"
        raise ModelError(what, remedy="rank returns within each session into quantiles, the highest for the best")
    if weight is not None:
        _, first, session = np.unique(span.start, return_index=True, return_inverse=True)
        unequal = weight != weight[first][session]
        if unequal.any():
            n_sessions = len(np.unique(session[unequal]))
            raise ModelError(
                f"weights differ within {n_sessions} sessions (limit 0)", remedy="a ranking weighs whole sessions: give their mean"
            )
