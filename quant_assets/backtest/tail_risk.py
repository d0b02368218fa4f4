"""Shape of the distribution of returns, and what its lower tail can cost.

returns : (n,) simple returns, fraction. Value at risk (VaR) and its conditional mean (CVaR, expected shortfall) are returns of one
session, negative where they are losses, at a tail probability, 5 % unless said otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_assets.validation.sharpe import NORMAL

Floats = npt.NDArray[np.float64]
TAIL = 0.05
FARTHEST = -6.0
"""Normal quantile from which on the tail is looked at: one in a thousand million returns lies beyond."""


def skewness(returns: Floats) -> float:
    """Population skew (ddof 0) of returns that vary."""
    return float((_standardised(returns) ** 3).mean())


def kurtosis(returns: Floats) -> float:
    """Population kurtosis (ddof 0), raw: 3 is a normal distribution's; of returns that vary."""
    return float((_standardised(returns) ** 4).mean())


def _standardised(returns: Floats) -> Floats:
    standardised: Floats = (returns - returns.mean()) / returns.std()
    return standardised


def tail_ratio(returns: Floats) -> float | None:
    """|95th percentile| / |5th|, numpy's linear interpolation; None where the 5th is zero."""
    low, high = np.percentile(returns, [5, 95])
    return abs(float(high / low)) if low else None


def historical_var(returns: Floats, tail: float = TAIL) -> float:
    """The percentile, numpy's linear interpolation."""
    return float(np.quantile(returns, tail))


def historical_cvar(returns: Floats, tail: float = TAIL) -> float:
    """Mean of the returns not above the historical VaR."""
    return float(returns[returns <= np.quantile(returns, tail)].mean())


def normal_var(returns: Floats, tail: float = TAIL) -> float:
    """That of a normal distribution with this mean and standard deviation (ddof 1)."""
    return float(returns.mean() + NORMAL.inv_cdf(tail) * returns.std(ddof=1))


def normal_cvar(returns: Floats, tail: float = TAIL) -> float:
    return float(returns.mean() - NORMAL.pdf(NORMAL.inv_cdf(tail)) / tail * returns.std(ddof=1))


def cornish_fisher_var(returns: Floats, tail: float = TAIL) -> float | None:
    """Normal VaR corrected for skew S and excess kurtosis K: quantile z + (z² - 1) S/6 + (z³ - 3z) K/24 - (2z³ - 5z) S²/36.

    None where the expansion does not rise with z all through the tail (from z = -6), so that it is no quantile there. Maillard (2012),
    A User's Guide to the Cornish Fisher Expansion.
    """
    z, skew, excess = NORMAL.inv_cdf(tail), skewness(returns), kurtosis(returns) - 3
    if not _rises_below(z, skew, excess):
        return None
    quantile = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    return float(returns.mean() + quantile * returns.std(ddof=1))


def cornish_fisher_cvar(returns: Floats, tail: float = TAIL) -> float | None:
    """Mean of the Cornish-Fisher quantiles below the tail probability (closed form of their integral); None as its VaR."""
    z, skew, excess = NORMAL.inv_cdf(tail), skewness(returns), kurtosis(returns) - 3
    if not _rises_below(z, skew, excess):
        return None
    shape = 1 + z * skew / 6 + (z**2 - 1) * excess / 24 - (2 * z**2 - 1) * skew**2 / 36
    return float(returns.mean() - NORMAL.pdf(z) / tail * shape * returns.std(ddof=1))


def _rises_below(z: float, skew: float, excess: float) -> bool:
    """Whether the expansion's derivative, a parabola, is positive from FARTHEST to z."""
    square, linear, constant = excess / 8 - skew**2 / 6, skew / 3, 1 - excess / 8 + 5 * skew**2 / 36
    places = [FARTHEST, z]
    if square and FARTHEST < -linear / (2 * square) < z:
        places.append(-linear / (2 * square))
    return all(square * place**2 + linear * place + constant > 0 for place in places)
