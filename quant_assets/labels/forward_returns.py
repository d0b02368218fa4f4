"""Direction of the total return over the next few exchange sessions. Barriers and sample weights are other files of this package."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window
from quant_assets.errors import BadArgument

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
    if horizon < 1:
        raise BadArgument(f"horizon {horizon} is below 1 session", remedy="ask for a label that ends after it starts")
    bars = forward_adjusted(prices.filter(pl.col("session") <= as_of)).select("ticker", "session", "close", "growth").collect()
    starts = bars if window is None else bars.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    calendar = sessions.select("session").sort("session").with_columns(label_end=pl.col("session").shift(-horizon))
    starts = starts.join(calendar, on="session", how="left", maintain_order="left")
    _refuse_unknown_end(starts, sessions["session"], horizon)
    ends = bars.select("ticker", label_end="session", close_end="close", growth_end="growth")
    # Close ratio and growth ratio apart: without an action the second is exactly 1, and an unchanged price an exact 0.
    ret = pl.col("close_end") / pl.col("close") * (pl.col("growth_end") / pl.col("growth")) - 1
    return (
        starts.join(ends, on=["ticker", "label_end"], how="left", maintain_order="left")
        .with_columns(ret=ret)
        .select(
            "ticker",
            "session",
            (pl.col("ret") > 0).cast(pl.Int8).alias("label"),
            "ret",
            pl.col("session").alias("label_start"),
            "label_end",
        )
    )


def _refuse_unknown_end(starts: pl.DataFrame, sessions: pl.Series, horizon: int) -> None:
    for ticker, session in starts.filter(pl.col("label_end").is_null()).select("ticker", "session").head(1).iter_rows():
        known = sessions.sort().to_list()
        span = f"{known[0]}..{known[-1]}" if known else "none"
        raise BadArgument(
            f"{ticker} {session}: not a session with {horizon} more after it among the {len(known)} given ({span})",
            remedy="give every exchange session from the first bar to the last label_end, and quarantine bars on holidays",
        )
