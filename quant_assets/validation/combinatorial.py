"""Combinatorial purged cross-validation: every choice of k out of N groups of sessions is tested by what is learned on the rest.

Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 12: every group is tested in C(N - 1, k - 1) splits, and the j-th
of them gives the group's part of path j. Groups, splits and paths are defined here for rows with labels and for the returns of
parameter sets alike; what sets earn along the paths is `backtest/combinatorial.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quant_assets.errors import BadArgument
from quant_assets.validation.purged import EMBARGO_SESSIONS, embargoed_until
from quant_assets.validation.spans import LabelSpan, Mask, overlaps
from quant_assets.validation.splitter import Places, PurgedSplitter

N_GROUPS, N_TEST = 10, 2


def splits(n_groups: int, n_test: int) -> Places:
    """(C(n_groups, n_test), n_test) the groups that each split tests, in lexicographic order."""
    if not 1 <= n_test < n_groups:
        raise BadArgument(
            f"{n_test} of {n_groups} groups cannot be tested (limits: 1 to one fewer than all)", remedy="choose another number"
        )
    return np.array(list(itertools.combinations(range(n_groups), n_test)), dtype=np.int64)


def path_splits(n_groups: int, n_test: int) -> Places:
    """(C(n_groups - 1, n_test - 1), n_groups) the split that each path takes each group from (figure 12.2 of the book, from 0)."""
    tested = splits(n_groups, n_test)
    return np.stack([np.flatnonzero((tested == group).any(axis=1)) for group in range(n_groups)], axis=1)


def group_edges(n_sessions: int, n_groups: int) -> Places:
    """(n_groups + 1,) the place of each group's first session, and n_sessions; as equal as can be, the first groups longer."""
    if n_sessions < n_groups:
        raise BadArgument(f"{n_sessions} sessions cannot be {n_groups} groups (limit: one each)", remedy="pass a longer record")
    sizes = [part.size for part in np.array_split(np.arange(n_sessions), n_groups)]
    return np.cumsum([0, *sizes])


class CombinatorialPurgedKFold(PurgedSplitter):
    """Each split tests k of N groups of sessions that follow each other.

    A group begins with its first label and ends with the last of its labels to end. A row is learned from unless its own span has a day
    in common with that of a tested group (snippet 7.1, closed intervals), or starts within `embargo_sessions` sessions after it (7.2).

    Parameters
    ----------
    n_groups, n_test : N and k; C(N, k) splits.
    label_span, embargo_sessions : as in `PurgedSplitter`.

    Raises
    ------
    BadArgument : k is not between 1 and N - 1, fewer sessions than groups, or spans that are none (see `LabelSpans.of`).
    """

    def __init__(
        self, n_groups: int = N_GROUPS, n_test: int = N_TEST, *, label_span: LabelSpan, embargo_sessions: int = EMBARGO_SESSIONS
    ) -> None:
        super().__init__(label_span=label_span, embargo_sessions=embargo_sessions)
        self.n_groups, self.n_test = n_groups, n_test
        self.tested = splits(n_groups, n_test)
        days = self.spans.sessions()
        self._first = days[group_edges(len(days), n_groups)[:-1]]

    @property
    def n_paths(self) -> int:
        return math.comb(self.n_groups - 1, self.n_test - 1)

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """C(N, k)."""
        return len(self.tested)

    def path_of(self, split: int, group: int) -> int:
        """The path that takes its part of `group` from `split`.

        Raises
        ------
        BadArgument : the split does not test the group.
        """
        found = np.flatnonzero(self._path_splits[:, group] == split)
        if not found.size:
            raise BadArgument(f"split {split} does not test group {group}", remedy=f"it tests {self.tested[split].tolist()}")
        return int(found[0])

    def paths(self, predictions: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
        """Out-of-sample predictions of every split put together to paths, each of which has one for every row: (n_paths, n_rows).

        Parameters
        ----------
        predictions : of each split, in the order of `split`, for its test rows, in their order.

        Raises
        ------
        BadArgument : predictions of another number of splits or rows.
        """
        if len(predictions) != len(self.tested):
            raise BadArgument(f"{len(predictions)} splits are predicted (limit: all {len(self.tested)})", remedy="predict each of them")
        group = self._group
        whole = np.empty((self.n_paths, len(self.spans)))
        for split, (tested, predicted) in enumerate(zip(self.tested, predictions, strict=True)):
            rows = np.flatnonzero(np.isin(group, tested))
            values = np.asarray(predicted)
            if values.shape != rows.shape:
                what = f"split {split} tests {rows.size} rows and its predictions have the shape {values.shape}"
                raise BadArgument(what, remedy="pass one prediction a test row")
            for each in tested:
                here = group[rows] == each
                whole[self.path_of(split, each), rows[here]] = values[here]
        return whole

    def _masks(self) -> Iterator[tuple[Mask, Mask]]:
        inside = self._group == np.arange(self.n_groups)[:, None]
        until = np.array([self._embargoed_until(own) for own in inside])
        # As numbers of days: numpy compares dates six times as slowly, since any may be missing.
        start, end, first, last = (days.view(np.int64) for days in (self.spans.start, self.spans.end, self._first, until))
        near = overlaps(start, end, first[:, None], last[:, None])
        for tested in self.tested:
            yield ~near[tested].any(axis=0), inside[tested].any(axis=0)

    def _embargoed_until(self, inside: Mask) -> np.datetime64:
        last: dt.date = self.spans.end[inside].max().item()
        return np.datetime64(embargoed_until(last, embargo_sessions=self.embargo_sessions))

    @cached_property
    def _group(self) -> Places:
        """(n_rows,) the group of each row."""
        return np.searchsorted(self._first, self.spans.start, side="right") - 1

    @cached_property
    def _path_splits(self) -> Places:
        return path_splits(self.n_groups, self.n_test)
