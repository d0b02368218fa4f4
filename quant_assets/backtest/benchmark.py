"""An account's daily returns beside a benchmark's over the same sessions, zero rate.

returns, benchmark : (n,) simple returns, fraction. What they do not define is None.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_assets.backtest.ratios import SESSIONS_A_YEAR, STILL, annual_return, deviation

Floats = npt.NDArray[np.float64]


def beta(returns: Floats, benchmark: Floats) -> float | None:
    """Slope of the regression of the account's returns on the benchmark's."""
    spread = deviation(benchmark)
    return float(np.cov(returns, benchmark)[0, 1]) / spread**2 if spread is not None and spread > STILL else None


def alpha_annual(returns: Floats, benchmark: Floats) -> float | None:
    """Intercept of the same regression times 252, arithmetic."""
    slope = beta(returns, benchmark)
    return None if slope is None else annual_return(returns - slope * benchmark)


def correlation(returns: Floats, benchmark: Floats) -> float | None:
    """Pearson's; None where either does not vary."""
    own, other = deviation(returns), deviation(benchmark)
    if own is None or other is None or min(own, other) <= STILL:
        return None
    return float(np.cov(returns, benchmark)[0, 1]) / (own * other)


def up_capture(returns: Floats, benchmark: Floats) -> float | None:
    """Compound annual return over the sessions in which the benchmark rose / the benchmark's own over them."""
    return _capture(returns, benchmark, benchmark > 0)


def down_capture(returns: Floats, benchmark: Floats) -> float | None:
    """The same over the sessions in which the benchmark fell; below 1 is less of the fall."""
    return _capture(returns, benchmark, benchmark < 0)


def _capture(returns: Floats, benchmark: Floats, chosen: npt.NDArray[np.bool_]) -> float | None:
    if not chosen.any():
        return None
    power = SESSIONS_A_YEAR / chosen.sum()
    own, other = (np.prod(1 + series[chosen]) for series in (returns, benchmark))
    return float((own**power - 1) / (other**power - 1)) if own >= 0 else None
