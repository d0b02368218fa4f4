"""Whether the best of many strategies beats a benchmark by more than the best of so many without skill would.

White (2000), A reality check for data snooping, Econometrica 68(5); Hansen (2005), A test for superior predictive ability, Journal of
Business & Economic Statistics 23(4). What a Sharpe ratio is worth after so many trials is `sharpe.py`'s business.

arch's `SPA` gives White's statistic only: its maximum is of bare means, whatever `studentize` says, so that one wild strategy drowns the
others. Hansen's is of t-ratios; hence this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quant_assets.errors import BadArgument
from quant_assets.validation.bootstrap import circular_blocks
from quant_assets.validation.return_matrix import Floats, matrix_of_sets
from quant_assets.validation.skill import BLOCK_SESSIONS

RESAMPLES = 1000
SEED = 20130301
ROUNDING = 1e-12
"""Excess returns, as fractions, that vary by less do so by rounding only."""


@dataclass(frozen=True)
class RealityCheck:
    """Probabilities that strategies none of which beats the benchmark show as much as these; small ones speak for the best.

    Parameters
    ----------
    best : the strategy with the highest mean excess return; `best_studentised` : with the highest t-ratio.
    white : of the reality check: maximum of means, every strategy taken to be as good as the benchmark.
    spa_lower, spa_consistent, spa_upper : of Hansen's test: maximum of t-ratios. Strategies that did worse than the benchmark are taken to
        be as bad as they were (lower), those by more than sqrt(2 ln ln n) standard errors (consistent), or none (upper). Quote
        `spa_consistent`; the others are its limits. All three are 1 where no strategy did better than the benchmark. `white` and
        `spa_upper` grow when hopeless strategies are added.
    """

    best: int
    best_studentised: int
    white: float
    spa_lower: float
    spa_consistent: float
    spa_upper: float


def reality_check(
    returns: Floats, benchmark: Floats, *, block_sessions: int = BLOCK_SESSIONS, resamples: int = RESAMPLES, seed: int = SEED
) -> RealityCheck:
    """Tests all strategies against the benchmark at once.

    Both papers draw blocks of random length; here they are circular blocks of one length, as everywhere in this package. Standard errors
    are the standard deviations of the resampled means, as arch's `nested` has them.

    Parameters
    ----------
    returns : (n_strategies, n_sessions) simple daily returns, fraction, flat days included, of every strategy that was tried.
    benchmark : (n_sessions,) returns of what to beat; zeros for cash.
    block_sessions : longer than returns depend on each other.
    resamples : a p-value of 0 means below 1 / resamples.

    Raises
    ------
    BadArgument : a return that is missing, another number of sessions in the benchmark, fewer than two blocks (or three sessions), or a
        strategy that never differs from the benchmark but by a constant.
    """
    excess = matrix_of_sets(returns) - _benchmark(benchmark, np.shape(returns), block_sessions)
    _refuse_constant(excess)
    n = excess.shape[1]
    mean = excess.mean(axis=1)
    drawn = np.stack(
        [np.bincount(places, minlength=n) for places in circular_blocks(n, block=block_sessions, resamples=resamples, seed=seed)]
    )
    means = drawn @ excess.T / n
    error = means.std(axis=0)
    ratio = mean / error
    spread = (means - mean) / error
    # Hansen's g: resamples of these stay around the mean they have, below the benchmark; all others are moved to the benchmark.
    worse = {"lower": ratio < 0, "consistent": ratio < -math.sqrt(2 * math.log(math.log(n))), "upper": np.zeros_like(ratio, dtype=bool)}
    highest = {name: (spread + np.where(own, ratio, 0.0)).max(axis=1) for name, own in worse.items()}
    # Hansen cuts both at 0, where the benchmark itself stands. Hence >=: where no strategy did better, every resample shows as much.
    shown = max(float(ratio.max()), 0.0)
    return RealityCheck(
        best=int(mean.argmax()),
        best_studentised=int(ratio.argmax()),
        white=float(((means - mean).max(axis=1) > mean.max()).mean()),
        **{f"spa_{name}": float((np.maximum(values, 0.0) >= shown).mean()) for name, values in highest.items()},
    )


def _benchmark(benchmark: Floats, shape: tuple[int, ...], block_sessions: int) -> Floats:
    returns = np.asarray(benchmark, dtype=np.float64)
    if returns.shape != shape[1:] or not np.isfinite(returns).all():
        missing = int((~np.isfinite(returns)).sum())
        raise BadArgument(
            f"the benchmark has the shape {returns.shape} and {missing} returns missing, for strategies of {shape}",
            remedy="pass its return of each of their sessions",
        )
    least = max(2 * block_sessions, 3)
    if block_sessions < 1 or returns.size < least:
        raise BadArgument(
            f"{returns.size} sessions in blocks of {block_sessions} (limits: {least} sessions, blocks of 1)",
            remedy="pass a longer record or shorter blocks",
        )
    return returns


def _refuse_constant(excess: Floats) -> None:
    constant = np.flatnonzero(np.ptp(excess, axis=1) < ROUNDING)
    if constant.size:
        raise BadArgument(
            f"strategy {constant[0]} differs from the benchmark by the same in every session ({constant.size} such, limit 0)",
            remedy="leave out strategies that never trade, and the benchmark itself",
        )
