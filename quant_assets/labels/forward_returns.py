"""The total return over a fixed number of exchange sessions, as a direction or as it is. Its volatility is `forward_volatility.py`,
its place among the names of the session `cross_section.py`.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import Window
from quant_assets.labels.spans import known_bars, starts_of

HORIZON = 3


def forward_return_labels(
    prices: pl.LazyFrame, sessions: pl.DataFrame, *, horizon: int = HORIZON, as_of: dt.date, window: Window | None = None
) -> pl.DataFrame:
    """One label a bar: did the name gain over the next `horizon` exchange sessions?

    Parameters
    ----------
    prices : table `prices`; rows after `as_of` are not read. It needs no bar before the window.
    sessions : exchange sessions (column `session`, see `calendars.session_table`) from the first bar to at least `horizon` sessions
        after the last one, so that `label_end` is known while it still lies ahead.
    horizon : sessions from the bar to `label_end`.
    as_of : the day whose close is the last known.
    window : sessions of the bars to label; all when None.

    Returns
    -------
    Table `labels`, a row a bar up to `as_of`, sorted by (ticker, session). `ret` is the total return, fraction, from the close of
    `label_start` (the bar) to the close of `label_end`; `label` is 1 when it is above 0, else 0, so an unchanged price is 0. Both are
    null while `label_end` lies after `as_of`, and for good when the name has no bar at `label_end`: no neighbouring bar stands in.

    Raises
    ------
    BadArgument : `horizon` is below 1, a bar lies outside `sessions`, or `sessions` ends before the last `label_end`.
    QuantAssetsError : an impossible corporate action (see `adjustments.forward_adjusted`).
    """
    bars = known_bars(prices, as_of, "close", "growth")
    starts = starts_of(bars, sessions, horizon=horizon, window=window)
    ends = bars.select("ticker", label_end="session", close_end="close", growth_end="growth")
    # Close ratio and growth ratio apart: without an action the second is exactly 1, and an unchanged price an exact 0.
    ret = pl.col("close_end") / pl.col("close") * (pl.col("growth_end") / pl.col("growth")) - 1
    return (
        starts.join(ends, on=["ticker", "label_end"], how="left", maintain_order="left")
        .with_columns(ret=ret)
        .select("ticker", "session", (pl.col("ret") > 0).cast(pl.Int8).alias("label"), "ret", "label_start", "label_end")
    )


def forward_magnitude_labels(
    prices: pl.LazyFrame, sessions: pl.DataFrame, *, horizon: int = HORIZON, as_of: dt.date, window: Window | None = None
) -> pl.DataFrame:
    """The target of a regression: `label` is `ret` of `forward_return_labels`, fraction. All else as there."""
    labels = forward_return_labels(prices, sessions, horizon=horizon, as_of=as_of, window=window)
    return labels.with_columns(label=pl.col("ret"))
