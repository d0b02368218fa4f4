"""How much a name moves over the next sessions, whichever way. Volatility known *at* a bar is a feature: `features/volatility.py`."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from quant_assets.calendars import Window
from quant_assets.features.range_estimators import SESSIONS_A_YEAR
from quant_assets.labels.spans import known_bars, per_start, whole_paths


def forward_volatility_labels(
    prices: pl.LazyFrame, sessions: pl.DataFrame, *, horizon: int, as_of: dt.date, window: Window | None = None
) -> pl.DataFrame:
    """One label a bar: the realised volatility of the next `horizon` exchange sessions.

    Parameters
    ----------
    As `forward_returns.forward_return_labels`.

    Returns
    -------
    The columns of table `labels`, a row a bar up to `as_of`, sorted by (ticker, session). `label` is the root of the mean square of the
    span's daily log total returns, times sqrt(252), fraction a year. No mean is taken off: over a few sessions it is noise, and one
    session has a volatility too (the feature `volatility_20` has ddof 1). `ret` is the total return of the span, fraction. Both are null
    until `label_end`, and for good when any session of the span has no bar: returns over a halt are not those of a session.

    Raises
    ------
    BadArgument, QuantAssetsError : as `forward_returns.forward_return_labels`.

    Source: Andersen, Bollerslev, Diebold and Labys (2003), Modeling and Forecasting Realized Volatility, section 2.
    """
    bars = known_bars(prices, as_of, "adj_close")
    starts, places = whole_paths(bars, sessions, horizon=horizon, window=window)
    close, at = bars["adj_close"].to_numpy(), places[places >= 0]
    squares = np.zeros(at.size)
    for step in range(1, horizon + 1):
        squares += np.log(close[at + step] / close[at + step - 1]) ** 2
    volatility = per_start(places, np.sqrt(squares / horizon * SESSIONS_A_YEAR))
    ret = per_start(places, close[at + horizon] / close[at] - 1)
    return starts.select(
        "ticker",
        "session",
        pl.Series("label", volatility).fill_nan(None),
        pl.Series("ret", ret).fill_nan(None),
        "label_start",
        "label_end",
    )
