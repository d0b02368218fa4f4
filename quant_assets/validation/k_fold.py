"""Purged k-fold cross-validation. Tests of several blocks at once, and the definition of purge and embargo, are in `combinatorial.py`."""

from __future__ import annotations

from quant_assets.validation.combinatorial import CombinatorialPurgedKFold
from quant_assets.validation.purged import EMBARGO_SESSIONS
from quant_assets.validation.spans import LabelSpan

N_SPLITS = 5


class PurgedKFold(CombinatorialPurgedKFold):
    """Each of `n_splits` blocks of sessions that follow each other is tested once, by what is learned on the others.

    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 7. It learns from what came after the block too: a score
    tells how well a model generalises, not what it could have earned.

    Parameters
    ----------
    n_splits : blocks, as equal as can be in sessions, the first ones longer; all rows of a session are in one.
    label_span, embargo_sessions : as in `PurgedSplitter`.
    """

    def __init__(self, n_splits: int = N_SPLITS, *, label_span: LabelSpan, embargo_sessions: int = EMBARGO_SESSIONS) -> None:
        super().__init__(n_splits, 1, label_span=label_span, embargo_sessions=embargo_sessions)
