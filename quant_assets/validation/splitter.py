"""What all splitters share: scikit-learn's grammar, and the refusal of splits that nothing can be learned from.

Their blocks of sessions are their own files' business: `k_fold.py`, `combinatorial.py`, `walk_forward.py`. No class of scikit-learn is
needed for its grammar, so none is imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quant_assets.errors import BadArgument, ModelError
from quant_assets.validation.purged import EMBARGO_SESSIONS
from quant_assets.validation.spans import LabelSpan, LabelSpans, Mask

Places: TypeAlias = npt.NDArray[np.int64]
REMEDY = "pass more history, fewer splits, labels that end sooner or a shorter embargo"


class PurgedSplitter(ABC):
    """Splits rows by when their labels began and were known; any `cv` of scikit-learn.

    Parameters
    ----------
    label_span : spans of the rows that `split` will be given, in their order (`spans.LabelSpans.of`).
    embargo_sessions : sessions of the exchange that lie between what is tested and what is learned from, beside the purge. Of the
        exchange and not of the rows, so that rows sampled once a month are not kept five months apart, and the same as in `learnable`.
    """

    def __init__(self, *, label_span: LabelSpan, embargo_sessions: int = EMBARGO_SESSIONS) -> None:
        if embargo_sessions < 0:
            raise BadArgument(f"an embargo of {embargo_sessions} sessions (limit: at least 0)", remedy="pass 0 for none")
        self.spans = LabelSpans.of(label_span)
        self.embargo_sessions = embargo_sessions

    @abstractmethod
    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """How many splits there are, whatever the data."""

    @abstractmethod
    def _masks(self) -> Iterator[tuple[Mask, Mask]]:
        """(n_rows,) learned from and (n_rows,) tested, of each split."""

    def split(self, X: Sized, y: npt.ArrayLike | None = None, groups: object = None) -> Iterator[tuple[Places, Places]]:
        """(train, test) positions of each split, ascending, one split at a time.

        Parameters
        ----------
        X : as many rows as spans; only counted.
        y : (n_rows,) outcomes; given, a split whose training rows all have the same one is refused.
        groups : None; all rows of a session are together anyway.

        Raises
        ------
        BadArgument : X, y and the spans differ in length, groups are passed, or the exchange's calendar does not hold the embargo.
        ModelError : nothing is left to train on, or one outcome only.
        """
        self._check(X, y, groups)
        outcomes = None if y is None else np.asarray(y)
        for number, (train, test) in enumerate(self._masks()):
            places = np.flatnonzero(train)
            if not places.size:
                raise ModelError(f"split {number}: 0 of {len(self.spans)} rows are left to train on (limit 1)", remedy=REMEDY)
            if outcomes is not None and (outcomes[places] == outcomes[places[0]]).all():
                what = f"split {number}: the {places.size} rows left to train on all have the outcome {outcomes[places[0]]} (limit: two)"
                raise ModelError(what, remedy=REMEDY)
            yield places, np.flatnonzero(test)

    def _check(self, X: Sized, y: npt.ArrayLike | None, groups: object) -> None:
        if groups is not None:
            raise BadArgument("groups were passed, and rows are grouped by the sessions of their spans", remedy="leave them out")
        n = len(self.spans)
        n_outcomes = n if y is None else len(np.asarray(y))
        if (len(X), n_outcomes) != (n, n):
            raise BadArgument(f"{n} label spans for {len(X)} rows and {n_outcomes} outcomes", remedy="pass the span of each row of X")
