"""How likely it is that the best of many parameter sets is best by chance: combinatorially symmetric cross-validation.

Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, algorithm 2.3. What Sharpe ratio the best of
so many trials shows by chance is `validation/sharpe.py`'s business.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_assets.errors import BadArgument
from quant_assets.validation.return_matrix import Floats, matrix_of_sets

N_GROUPS = 16


@dataclass(frozen=True)
class Overfitting:
    """What became of the best set of each half of the sessions in the other half.

    Parameters
    ----------
    probability : share of the halves whose best set is at or below the median of the other half: logit <= 0 (PBO).
    logits : (n_halves,) ln(w / (1 - w)), w = rank in the other half / (n_sets + 1), rank 1 the worst.
    chosen : (n_halves,) the best set of each half, of equal ones the first.
    in_sample, out_of_sample : (n_halves,) its mean / standard deviation (ddof 1) of daily returns in the half and in the other, not
        annualised.
    """

    probability: float
    logits: Floats
    chosen: npt.NDArray[np.int64]
    in_sample: Floats
    out_of_sample: Floats


def overfitting(returns: Floats, *, n_groups: int = N_GROUPS) -> Overfitting:
    """Every half of the groups of sessions chooses its best set by Sharpe ratio; the other half says what that was worth.

    Groups are of equally many sessions that follow each other; the first n_sessions % n_groups sessions are left out. Sums of each group
    are added up, so the time does not grow with halves times sessions.

    Parameters
    ----------
    returns : (n_sets, n_sessions) simple daily returns, fraction, flat days included, in the order of sessions.
    n_groups : even; C(n_groups, n_groups / 2) halves.

    Raises
    ------
    BadArgument : fewer than two sets, an odd number of groups, fewer than two sessions a group, a missing return, or a set that stands
        still in half of the groups, which has no Sharpe ratio there.
    """
    groups = _groups(matrix_of_sets(returns), n_groups)
    n_sets, _, size = groups.shape
    mean = groups.mean(axis=(1, 2))
    away = groups - mean[:, None, None]
    sums, squares = away.sum(axis=2), (away**2).sum(axis=2)
    rows = []
    for half in itertools.combinations(range(n_groups), n_groups // 2):
        inside = np.isin(np.arange(n_groups), half)
        within, other = (_sharpe(sums[:, part], squares[:, part], mean, size) for part in (inside, ~inside))
        best = int(within.argmax())
        rank = int((other <= other[best]).sum())
        rows.append((best, within[best], other[best], np.log(rank / (n_sets + 1 - rank))))
    chosen, in_sample, out_of_sample, logits = (np.array(column) for column in zip(*rows, strict=True))
    return Overfitting(float((logits <= 0).mean()), logits, chosen, in_sample, out_of_sample)


def _sharpe(sums: Floats, squares: Floats, mean: Floats, size: int) -> Floats:
    """(n_sets,) from sums and squares (n_sets, n_parts) of distances from each set's mean, `size` sessions a part."""
    n = sums.shape[1] * size
    total = sums.sum(axis=1)
    return np.asarray((mean + total / n) / np.sqrt((squares.sum(axis=1) - total**2 / n) / (n - 1)))


def _groups(returns: Floats, n_groups: int) -> Floats:
    """(n_sets, n_groups, sessions a group)."""
    if len(returns) < 2:
        raise BadArgument("of one set none is the best (limit: two)", remedy="pass the returns of every set that was tried")
    if n_groups < 2 or n_groups % 2:
        raise BadArgument(f"{n_groups} groups have no halves (limit: an even number from 2)", remedy="pass an even number")
    n = returns.shape[1]
    size = n // n_groups
    if size < 2:
        raise BadArgument(f"{n} sessions are fewer than two for each of {n_groups} groups", remedy="pass a longer record or fewer groups")
    groups = returns[:, n - size * n_groups :].reshape(len(returns), n_groups, size)
    still = (groups.max(axis=2) == groups.min(axis=2)).sum(axis=1)
    if (still >= n_groups // 2).any():
        row = int(still.argmax())
        raise BadArgument(
            f"set {row} stands still in {still[row]} of {n_groups} groups (limit: fewer than half)",
            remedy="leave out sets that hardly trade",
        )
    return groups
