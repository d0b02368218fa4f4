"""The record of a rule that may choose its parameter set only by what came before: walk-forward selection.

Every set is run once over all sessions by `engine.py`; here their daily returns are chosen from. Paths of many such choices are
`combinatorial.py`'s business, the chance that a choice means nothing `validation/overfitting.py`'s.

What goes from one set to the next at the start of a step costs nothing here: each set's returns are those of an account of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.backtest.ratios import sharpe_ratio
from quant_assets.errors import BadArgument
from quant_assets.validation.purged import EMBARGO_SESSIONS
from quant_assets.validation.return_matrix import matrix_of_sets
from quant_assets.validation.walk_forward import N_STEPS, TRAIN_SESSIONS, steps

Floats = npt.NDArray[np.float64]
CHOICES = {
    "step": pl.Int64,
    "train_start": pl.Date,
    "train_end": pl.Date,
    "test_start": pl.Date,
    "test_end": pl.Date,
    "chosen": pl.Int64,
    "train_sharpe": pl.Float64,
    "test_sharpe": pl.Float64,
}


def choose(
    returns: Floats,
    sessions: Sequence[dt.date],
    *,
    n_steps: int = N_STEPS,
    anchored: bool = True,
    train_sessions: int = TRAIN_SESSIONS,
    embargo: int = EMBARGO_SESSIONS,
) -> pl.DataFrame:
    """Which set has the highest Sharpe ratio over the past of each step; of equal ones the first.

    The first `train_sessions` sessions and the embargo after them are learned from only; what follows is cut into `n_steps` spans of
    sessions, as equal as can be, and each uses the set that was best until `embargo` sessions before it.

    Parameters
    ----------
    returns : (n_sets, n_sessions) simple daily returns, fraction, flat days included.
    sessions : (n_sessions,) the session at whose close each return is known, ascending.
    anchored : the past begins with the first session; otherwise it is the last `train_sessions` sessions.

    Returns
    -------
    step (1 ..), train_start, train_end, test_start, test_end (all included), chosen (row of `returns`), train_sharpe, test_sharpe
    (annualised; null where the chosen set's returns do not vary).

    Raises
    ------
    BadArgument : too few sessions for the steps, a return that is missing, or a past in which no set's returns vary.
    """
    matrix = matrix_of_sets(returns)
    n = matrix.shape[1]
    if len(sessions) != n:
        raise BadArgument(f"there are {n} returns a set and {len(sessions)} sessions", remedy="pass the session of each return")
    walk = steps(n, n_steps=n_steps, anchored=anchored, train_sessions=train_sessions, embargo_sessions=embargo)
    rows = []
    for number, step in enumerate(walk, start=1):
        chosen, sharpe = best_set(matrix[:, step.since : step.learned])
        tested = float(sharpe_ratio(matrix[chosen, step.start : step.end]))
        dates = (sessions[step.since], sessions[step.learned - 1], sessions[step.start], sessions[step.end - 1])
        rows.append((number, *dates, chosen, sharpe, tested if np.isfinite(tested) else None))
    return pl.DataFrame(rows, schema=CHOICES, orient="row")


def record(returns: Floats, sessions: Sequence[dt.date], choices: pl.DataFrame) -> pl.DataFrame:
    """The returns that were out of sample, one after another: session, chosen, ret; from the first test session to the last.

    Parameters
    ----------
    returns, sessions : as in `choose`.
    choices : what it returned.
    """
    days = pl.DataFrame({"session": sessions}).with_row_index("place")
    spans = choices.select("test_start", "test_end", "chosen")
    used = days.join_asof(spans, left_on="session", right_on="test_start").filter(pl.col("session") <= pl.col("test_end"))
    ret = matrix_of_sets(returns)[used["chosen"].to_numpy(), used["place"].to_numpy()]
    return used.select("session", "chosen", ret=pl.Series(ret))


def best_set(returns: Floats) -> tuple[int, float]:
    """The row with the highest Sharpe ratio, of equal ones the first, and that ratio (annualised); rows that do not vary have none.

    Raises
    ------
    BadArgument : no row varies.
    """
    sharpe = sharpe_ratio(returns)
    if not np.isfinite(sharpe).any():
        raise BadArgument(
            f"none of {len(returns)} sets has returns that vary in {returns.shape[1]} sessions (limit: one)",
            remedy="learn from more sessions, or try sets that trade",
        )
    chosen = int(np.nanargmax(sharpe))
    return chosen, float(sharpe[chosen])
