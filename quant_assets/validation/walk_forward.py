"""Walk-forward: blocks of sessions, each tested by what is learned on those before it.

The steps are defined here for rows with labels and for the returns of parameter sets alike; which set each step chooses is
`backtest/walk_forward.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quant_assets.errors import BadArgument
from quant_assets.validation.purged import EMBARGO_SESSIONS, embargoed
from quant_assets.validation.spans import LabelSpan, Mask
from quant_assets.validation.splitter import PurgedSplitter

N_STEPS = 12
TRAIN_SESSIONS = 504
"""Two years before the first test."""


@dataclass(frozen=True)
class Step:
    """Places of sessions: those from `since` to before `learned` are learned from, those from `start` to before `end` tested."""

    since: int
    learned: int
    start: int
    end: int


def steps(n_sessions: int, *, n_steps: int, anchored: bool, train_sessions: int, embargo_sessions: int) -> list[Step]:
    """The first `train_sessions` sessions and the embargo after them are never tested; what follows is cut into `n_steps` blocks.

    Parameters
    ----------
    n_steps : blocks, as equal as can be, the first ones longer.
    anchored : what is learned from begins with the first session; otherwise it is the last `train_sessions` sessions.

    Raises
    ------
    BadArgument : too few sessions for so many steps.
    """
    if n_steps < 1 or train_sessions < 2 or embargo_sessions < 0:
        raise BadArgument(
            f"{n_steps} steps after {train_sessions} sessions and an embargo of {embargo_sessions} are no walk (limits: 1, 2 and 0)",
            remedy="pass no fewer",
        )
    if n_sessions < train_sessions + embargo_sessions + n_steps:
        raise BadArgument(
            f"{n_sessions} sessions are too few to learn from {train_sessions}, leave out {embargo_sessions} and take {n_steps} steps",
            remedy="pass a longer record, fewer steps or a shorter train_sessions",
        )
    walk = []
    for block in np.array_split(np.arange(train_sessions + embargo_sessions, n_sessions), n_steps):
        start = int(block[0])
        learned = start - embargo_sessions
        walk.append(Step(0 if anchored else learned - train_sessions, learned, start, start + block.size))
    return walk


class WalkForward(PurgedSplitter):
    """Each block of sessions is tested by what is learned on labels that ended before it, minus the embargo (`purged.learnable`).

    Parameters
    ----------
    n_splits : blocks tested, one after another.
    anchored, train_sessions : as in `steps`; sessions are those that have rows.
    label_span, embargo_sessions : as in `PurgedSplitter`.

    Raises
    ------
    BadArgument : fewer sessions than it takes, or spans that are none (see `LabelSpans.of`).
    """

    def __init__(
        self,
        n_splits: int = N_STEPS,
        *,
        label_span: LabelSpan,
        anchored: bool = True,
        train_sessions: int = TRAIN_SESSIONS,
        embargo_sessions: int = EMBARGO_SESSIONS,
    ) -> None:
        super().__init__(label_span=label_span, embargo_sessions=embargo_sessions)
        self._days = self.spans.sessions()
        self.steps = steps(
            len(self._days), n_steps=n_splits, anchored=anchored, train_sessions=train_sessions, embargo_sessions=embargo_sessions
        )

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """As many as asked for."""
        return len(self.steps)

    def _masks(self) -> Iterator[tuple[Mask, Mask]]:
        start, end = self.spans.start, self.spans.end
        for step in self.steps:
            since, first, last = self._days[[step.since, step.start, step.end - 1]]
            boundary: dt.date = first.item()
            limit = np.datetime64(embargoed(boundary, embargo_sessions=self.embargo_sessions))
            yield (start >= since) & (end < limit), (start >= first) & (start <= last)
