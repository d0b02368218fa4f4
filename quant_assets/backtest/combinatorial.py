"""Many histories out of one: each group of sessions is traded by sets that were chosen on other groups (combinatorial purged
cross-validation).

Groups, splits and paths are those of `validation/combinatorial.py` (Lopez de Prado 2018, Advances in Financial Machine Learning, chapter
12). A choice may be made on what came later: a path shows how much the record depends on which days came, not what could have been
earned. That is `walk_forward.py`'s business.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_assets.backtest.walk_forward import best_set
from quant_assets.errors import BadArgument
from quant_assets.validation.combinatorial import N_GROUPS, N_TEST, group_edges, path_splits, splits
from quant_assets.validation.purged import EMBARGO_SESSIONS
from quant_assets.validation.return_matrix import matrix_of_sets
from quant_assets.validation.spans import overlaps
from quant_assets.validation.splitter import Places

Floats = npt.NDArray[np.float64]


def train_places(n_sessions: int, tested: Places, *, n_groups: int, embargo: int = EMBARGO_SESSIONS) -> Places:
    """The sessions that a split which tests these groups learns from.

    `embargo` sessions before and after each tested stretch are left out: a trade decided in the one may end in the other.
    """
    edges, places = group_edges(n_sessions, n_groups), np.arange(n_sessions)
    first, last = edges[tested], edges[tested + 1] - 1
    near = overlaps(places, places + embargo, first[:, None], last[:, None] + embargo)
    return np.flatnonzero(~near.any(axis=0))


def paths(returns: Floats, *, n_groups: int = N_GROUPS, n_test: int = N_TEST, embargo: int = EMBARGO_SESSIONS) -> Floats:
    """Returns of every path: each split chooses the set with the highest Sharpe ratio where it trains, of equal ones the first.

    Parameters
    ----------
    returns : (n_sets, n_sessions) simple daily returns, fraction, flat days included, in the order of sessions.
    n_groups, n_test : N and k; groups are of sessions that follow each other, as equal as can be, the first ones longer.
    embargo : sessions.

    Returns
    -------
    (C(n_groups - 1, n_test - 1), n_sessions).

    Raises
    ------
    BadArgument : fewer sessions than groups, a return that is missing, or a split without two sessions or a varying set to learn from.
    """
    matrix = matrix_of_sets(returns)
    n = matrix.shape[1]
    tests = splits(n_groups, n_test)
    chosen = np.array([_chosen(matrix, train_places(n, tested, n_groups=n_groups, embargo=embargo), tested) for tested in tests])
    set_of_group = chosen[path_splits(n_groups, n_test)]
    group = np.repeat(np.arange(n_groups), np.diff(group_edges(n, n_groups)))
    path: Floats = matrix[set_of_group[:, group], np.arange(n)]
    return path


def _chosen(matrix: Floats, train: Places, tested: Places) -> int:
    if train.size < 2:
        raise BadArgument(
            f"the split that tests groups {tested.tolist()} has {train.size} sessions to learn from (limit 2)",
            remedy="pass a longer record, fewer groups or a shorter embargo",
        )
    return best_set(matrix[:, train])[0]
