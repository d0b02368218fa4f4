"""Growth of wealth, and reward for risk of daily returns. Losses in the tail live in `tail_risk.py`, falls of wealth in `drawdowns.py`.

returns : (n,) simple returns a session, fraction, flat days included, unless a function says more. A figure that they do not define is
None, or NaN in an array.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from quant_assets.backtest.tail_risk import kurtosis, skewness
from quant_assets.validation.sharpe import SharpeEstimate, Trials

Floats = npt.NDArray[np.float64]
SESSIONS_A_YEAR = 252
ANNUAL = math.sqrt(SESSIONS_A_YEAR)
STILL = 1e-14
"""Standard deviation up to which returns count as all the same: wealth / wealth - 1 is exact to about 2e-16."""


def total_return(wealth: Floats) -> float:
    """Last / first - 1."""
    return float(wealth[-1] / wealth[0] - 1)


def cagr(wealth: Floats, years: float) -> float | None:
    """Growth a year; None over no time, or where more than everything was lost."""
    growth = 1 + total_return(wealth)
    return growth ** (1 / years) - 1 if years > 0 and growth >= 0 else None


def deviation(returns: Floats) -> float | None:
    """Standard deviation a session, ddof 1."""
    return float(returns.std(ddof=1)) if returns.size > 1 else None


def volatility_annual(returns: Floats) -> float | None:
    daily = deviation(returns)
    return None if daily is None else daily * ANNUAL


def annual_return(returns: Floats) -> float | None:
    """Arithmetic: mean times 252."""
    return float(returns.mean()) * SESSIONS_A_YEAR if returns.size else None


def sharpe_ratio(returns: Floats, axis: int = -1) -> Floats:
    """Annualised Sharpe ratios: mean / standard deviation (ddof 1) times sqrt(252), zero rate.

    Parameters
    ----------
    returns : any shape; sessions run along `axis`. (n_sets, n_sessions) gives (n_sets,), (n_sessions,) one number.

    Returns
    -------
    NaN where there are fewer than two returns or they are all the same.
    """
    if returns.shape[axis] < 2:
        return np.full(np.delete(returns.shape, axis), np.nan)
    mean, spread = returns.mean(axis), returns.std(axis, ddof=1)
    varies = spread > STILL
    return np.where(varies, mean / np.where(varies, spread, 1.0), np.nan) * ANNUAL


def sharpe_estimate(returns: Floats) -> SharpeEstimate | None:
    """What `validation/sharpe.py` judges: the ratio per session with the shape of the returns."""
    ratio = float(sharpe_ratio(returns))
    if math.isnan(ratio):
        return None
    return SharpeEstimate(ratio / ANNUAL, returns.size, skewness(returns), kurtosis(returns))


def trials_of(returns: Floats) -> Trials:
    """Trials from the (n_trials, n_sessions) returns of all that were tried, the chosen one included.

    Those without a Sharpe ratio, as one that never traded, count as trials but not in the variance, which is 0 of fewer than two ratios.
    """
    ratios = sharpe_ratio(returns) / ANNUAL
    known = ratios[~np.isnan(ratios)]
    return Trials(len(ratios), float(known.var(ddof=1)) if known.size > 1 else 0.0)


def sortino(returns: Floats) -> float | None:
    """Mean / root mean square of min(return, 0) over all n sessions, times sqrt(252); None without a losing session."""
    losses = np.minimum(returns, 0)
    return float(returns.mean() / math.sqrt((losses**2).mean())) * ANNUAL if losses.any() else None


def omega(returns: Floats, threshold: float = 0.0) -> float | None:
    """Sum of returns above the threshold (a session's) / sum of those below it; None where none is below."""
    beyond = returns - threshold
    losses = -float(beyond[beyond < 0].sum())
    return float(beyond[beyond > 0].sum()) / losses if losses else None


def gain_to_pain(returns: Floats) -> float | None:
    """Sum of returns / sum of losses, daily: omega at threshold 0 less 1; None without a loss."""
    ratio = omega(returns)
    return None if ratio is None else ratio - 1
