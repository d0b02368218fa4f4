"""GARCH(1,1): the volatility of the next session as a model fitted on the past forecasts it.

    v_{t+1} = omega + alpha r_t^2 + beta v_t,    r_t log total return with mean 0, normal with variance v_t

The three parameters are those of greatest likelihood over the `WINDOW` returns that end with the last session before t's calendar month,
so they change with the month and are the same all month; the variance runs from the start of that window to t. How the maximum is found is
said in `garch_likelihood.py`.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from quant_assets.features.feature import CLOSES, Feature

FAMILY = "garch"
SESSIONS_A_YEAR = 252
WINDOW = 504
MONTH = 23
"""No calendar month has more weekdays."""
LOOKBACK = WINDOW + MONTH


def next_variance(bars: pl.Series) -> pl.Series:
    """Variance of the session after each bar, fraction^2; NaN before bar `LOOKBACK` and where there is no fit.

    Parameters
    ----------
    bars : struct of `ret` (log return of the session, fraction) and `month` (a number that changes with the calendar month), of one
        ticker in session order.
    """
    from quant_assets.features.garch_likelihood import forecasts  # numba takes half a second to import: only for who asks

    returns = bars.struct.field("ret").fill_null(math.nan).to_numpy()
    out = np.full(len(bars), np.nan)
    forecasts(np.ascontiguousarray(returns), bars.struct.field("month").to_numpy(), WINDOW, LOOKBACK, out)
    return pl.Series(out)


def garch_volatility() -> pl.Expr:
    """Volatility a year that the month's GARCH(1,1) forecasts for the next session."""
    close, session = pl.col("adj_close"), pl.col("session")
    bars = pl.struct(ret=(close / close.shift(1)).log(), month=session.dt.year() * 12 + session.dt.month().cast(pl.Int32))
    return (bars.map_batches(next_variance, return_dtype=pl.Float64) * SESSIONS_A_YEAR).sqrt()


FEATURES: tuple[Feature, ...] = (
    Feature(
        name="garch_volatility",
        family=FAMILY,
        expression=garch_volatility(),
        inputs=CLOSES,
        lookback=LOOKBACK,
        recursive=False,
        unit="fraction a year",
        low=0.0,
        formula="sqrt(252 * v), v = omega + alpha * log return^2 + beta * v before, fitted on the 504 returns before the month",
        meaning="volatility that the next session should have, after how this name's calm and wild days have followed each other",
        missing="no likelihood is greatest, as all returns fitted are the same or so many in a row 0, or the search has not converged",
        source="Bollerslev (1986), J. Econometrics 31; mean 0, normal, omega >= 1e-8 of the mean square, alpha >= 0, beta >= 0, "
        "alpha + beta <= 1 (a maximum on a bound counts), v before the window: its first 75 squares weighted 0.94^i, arch's backcast",
    ),
)
