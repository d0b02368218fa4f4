"""Which way, and how surely, a name trends after a bar: the most significant of many regressions on time. The trend *before* a bar is a
feature: `features/trend.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument
from quant_assets.labels.spans import Floats, Places, known_bars, per_start, whole_paths

SHORTEST, LONGEST = 5, 20
"""Sessions ahead."""
EXACT = 1e-13
"""Residual squares below this part of the total squares are the rounding of a straight line."""


def trend_scanning_labels(
    prices: pl.LazyFrame,
    sessions: pl.DataFrame,
    *,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
    as_of: dt.date,
    window: Window | None = None,
) -> pl.DataFrame:
    """One label a bar: the sign of the trend with the largest |t| among those that end `shortest` .. `longest` sessions later.

    Each trend is the ordinary least squares line of the adjusted closes (dividends reinvested) on 0, 1, .., its last session; the bar
    itself is the first point. Of equal |t| the shortest trend is taken.

    Parameters
    ----------
    shortest, longest : sessions from the bar to the end of a trend, both scanned; `shortest` from 2 on, as two points leave no residual.
    Others as `forward_returns.forward_return_labels`, `longest` being the horizon.

    Returns
    -------
    The columns of table `labels`, a row a bar up to `as_of`, sorted by (ticker, session), and `t_value`, `trend_end`.
    `label_end` is the end of the *longest* trend scanned, not of the chosen one: only then is it known that no longer one is more
    significant. (Programs that report the chosen end as the label's let a model learn from a choice that was still open.)
    `trend_end` is the session at which the chosen trend ends, `ret` the total return to its close, fraction, `label` the sign of `t_value`
    (1, -1, or 0 where no slope differs from 0), which is infinite for a straight line. All four are null until `label_end`;
    for good when a session up to `label_end` has no bar, or when the price stood still in every trend, which then has no t-value.

    Raises
    ------
    BadArgument : `shortest` is below 2 or above `longest`; as `forward_returns.forward_return_labels`.
    QuantAssetsError : an impossible corporate action (see `adjustments.forward_adjusted`).

    Source: Lopez de Prado (2020), Machine Learning for Asset Managers, section 5.4, snippets 5.1 and 5.2 (whose horizons count points: one
    more than sessions ahead).
    """
    if not 2 <= shortest <= longest:
        raise BadArgument(
            f"trends of {shortest} to {longest} sessions cannot be scanned (limit: 2 <= shortest <= longest)",
            remedy="pass the shorter first",
        )
    bars = known_bars(prices, as_of, "adj_close")
    starts, places = whole_paths(bars, sessions, horizon=longest, window=window)
    close, at = bars["adj_close"].to_numpy(), places[places >= 0]
    best, length = np.full(at.size, np.nan), np.zeros(at.size, dtype=np.int64)
    for ahead, t in _t_values(close, at, shortest, longest):
        better = (np.abs(t) > np.abs(best)) | (np.isnan(best) & ~np.isnan(t))
        best[better], length[better] = t[better], ahead
    moved = length > 0
    ret = np.where(moved, close[at + length] / close[at] - 1, np.nan)
    days = bars["session"].to_physical().to_numpy()
    ended = per_start(places, np.where(moved, days[at + length], np.nan))
    t_value = pl.Series("t_value", per_start(places, best)).fill_nan(None)
    return starts.select(
        "ticker",
        "session",
        t_value.sign().cast(pl.Int8).alias("label"),
        pl.Series("ret", per_start(places, ret)).fill_nan(None),
        "label_start",
        "label_end",
        t_value,
        pl.Series("trend_end", ended).fill_nan(None).cast(pl.Int32).cast(pl.Date),
    )


def _t_values(close: Floats, at: Places, shortest: int, longest: int) -> Iterator[tuple[int, Floats]]:
    """(sessions ahead, t-value of the slope of each path), NaN where the price stands still.

    Sums grow by one session at a time, of prices as distances from the first over the first: nothing of another window, and no large
    level, is ever subtracted.
    """
    total, product, squares = (np.zeros(at.size) for _ in range(3))
    for ahead in range(1, longest + 1):
        y = close[at + ahead] / close[at] - 1
        total += y
        product += ahead * y
        squares += y * y
        if ahead >= shortest:
            yield ahead, _t_value(ahead + 1, total, product, squares)


def _t_value(n: int, total: Floats, product: Floats, squares: Floats) -> Floats:
    """Slope over its standard error of n points (x, y), x = 0 .. n - 1, from sums of y, x y and y^2."""
    spread = n * (n * n - 1) / 12
    covariance = product - (n - 1) / 2 * total
    residual = squares - total**2 / n - covariance**2 / spread
    straight = residual <= EXACT * squares
    with np.errstate(divide="ignore", invalid="ignore"):
        t = covariance / np.sqrt(np.where(straight, 0.0, residual) * spread / (n - 2))
    return np.where(squares == 0, np.nan, t)
