"""Where a label's span lies: the bars known by a day, the session at which a horizon ends, paths of bars without a hole.

What is measured along a span is said in the file of each label; how spans overlap in `concurrency.py`.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window
from quant_assets.errors import BadArgument

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def known_bars(prices: pl.LazyFrame, as_of: dt.date, *columns: str) -> pl.DataFrame:
    """ticker, session and these columns of `adjustments.forward_adjusted`, of the bars up to `as_of`, sorted by (ticker, session).

    Raises
    ------
    QuantAssetsError : an impossible corporate action.
    """
    return forward_adjusted(prices.filter(pl.col("session") <= as_of)).select("ticker", "session", *columns).collect()


def starts_of(bars: pl.DataFrame, sessions: pl.DataFrame, *, horizon: int, window: Window | None) -> pl.DataFrame:
    """The bars inside the window with `label_start` (their own session) and `label_end`, `horizon` exchange sessions later.

    Raises
    ------
    BadArgument : `horizon` is below 1, a bar lies outside `sessions`, or `sessions` ends before the last `label_end`.
    """
    if horizon < 1:
        raise BadArgument(f"horizon {horizon} is below 1 session", remedy="ask for a label that ends after it starts")
    starts = bars if window is None else bars.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    calendar = sessions.select("session").sort("session").with_columns(label_end=pl.col("session").shift(-horizon))
    starts = starts.join(calendar, on="session", how="left", maintain_order="left").with_columns(label_start=pl.col("session"))
    for ticker, session in starts.filter(pl.col("label_end").is_null()).select("ticker", "session").head(1).iter_rows():
        known = calendar["session"].to_list()
        span = f"{known[0]}..{known[-1]}" if known else "none"
        raise BadArgument(
            f"{ticker} {session}: not a session with {horizon} more after it among the {len(known)} given ({span})",
            remedy="give every exchange session from the first bar to the last label_end, and quarantine bars on holidays",
        )
    return starts


def whole_paths(bars: pl.DataFrame, sessions: pl.DataFrame, *, horizon: int, window: Window | None) -> tuple[pl.DataFrame, Places]:
    """The `starts_of` the window, and for each its place among the bars, or -1 where one of the `horizon` sessions after it has no bar
    (yet). From a place p on, the bars p + 1 .. p + horizon are those sessions. Errors as `starts_of`.

    Parameters
    ----------
    bars : sorted by (ticker, session), one a session.
    """
    reached = pl.col("session").shift(-horizon).over("ticker")
    starts = starts_of(bars.with_row_index("place").with_columns(_reached=reached), sessions, horizon=horizon, window=window)
    place = pl.when(pl.col("_reached") == pl.col("label_end")).then(pl.col("place").cast(pl.Int64)).otherwise(-1)
    return starts.drop("place", "_reached"), starts.select(place).to_series().to_numpy()


def require_one_a_session(rows: pl.DataFrame, what: str) -> None:
    """Raises BadArgument naming the first ticker and session of which there are several rows, each of which is one `what`."""
    twice = rows.filter(pl.struct("ticker", "session").is_duplicated())
    for ticker, session in twice.select("ticker", "session").head(1).iter_rows():
        raise BadArgument(f"{ticker} {session}: more than one {what} (limit 1 a session)", remedy="keep one")


def per_start(places: Places, found: Floats) -> Floats:
    """(n_starts,) of what was found at the places that are not -1; NaN elsewhere."""
    out = np.full(places.size, np.nan)
    out[places >= 0] = found
    return out
