"""Many histories out of one: each group of sessions is traded by sets that were chosen on other groups (combinatorial purged
cross-validation).

Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 12: the sessions are cut into N groups; each choice of k of them
is a split, tested on those and trained on the rest; every group is tested in C(N - 1, k - 1) splits, and the j-th of them gives the
group's part of path j. A choice may be made on what came later: a path shows how much the record depends on which days came, not what
could have been earned. That is `walk_forward.py`'s business.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from quant_assets.backtest.walk_forward import best_set, matrix_of_sets
from quant_assets.errors import BadArgument
from quant_assets.validation.purged import EMBARGO_SESSIONS

N_GROUPS, N_TEST = 10, 2
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


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


def train_places(n_sessions: int, tested: Places, *, n_groups: int, embargo: int = EMBARGO_SESSIONS) -> Places:
    """The sessions that a split which tests these groups learns from.

    `embargo` sessions before and after each tested stretch are left out: a trade decided in the one may end in the other.
    """
    group = _groups(n_sessions, n_groups)
    near = np.isin(group, tested)
    reach = np.convolve(near, np.ones(2 * embargo + 1), mode="full")[embargo : embargo + n_sessions]
    return np.flatnonzero(reach < 0.5)


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
    path: Floats = matrix[set_of_group[:, _groups(n, n_groups)], np.arange(n)]
    return path


def _chosen(matrix: Floats, train: Places, tested: Places) -> int:
    if train.size < 2:
        raise BadArgument(
            f"the split that tests groups {tested.tolist()} has {train.size} sessions to learn from (limit 2)",
            remedy="pass a longer record, fewer groups or a shorter embargo",
        )
    return best_set(matrix[:, train])[0]


def _groups(n_sessions: int, n_groups: int) -> Places:
    """(n_sessions,) the group of each."""
    if n_sessions < n_groups:
        raise BadArgument(f"{n_sessions} sessions cannot be {n_groups} groups (limit: one each)", remedy="pass a longer record")
    sizes = [part.size for part in np.array_split(np.arange(n_sessions), n_groups)]
    return np.repeat(np.arange(n_groups), sizes)
