"""Which comes first after an event: a profit, a stop, or the end of patience. Where events come from is `events.py`'s business.

Choices made here
- A barrier is crossed strictly, by the total return of a path as `adjustments.forward_adjusted` draws it: a split or dividend inside the
  span is no loss.
- Within a bar: an open beyond a barrier is what the touch got; after it, of a low beyond the stop and a high beyond the profit in one bar
  the stop came first, as a bar does not say which did; a touch within a bar got the barrier's price.
- At the vertical barrier `label` is 0. Its other convention, the sign of the return (Lopez de Prado's snippet 3.5), is `ret.sign()`.
- A bet with a side gets side x the return of the price, and is labelled by what it got (snippet 3.7).
"""

from __future__ import annotations

import datetime as dt
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import BadArgument, QuantAssetsError, require_columns
from quant_assets.labels.spans import Floats, Places, known_bars, require_one_a_session, starts_of

Touch = Literal["intraday", "close"]
OUTCOMES = ("profit", "stop", "vertical", "open", "no volatility", "missing bar", "incomplete bar")
PROFIT, STOP, VERTICAL, OPEN, NO_VOLATILITY, MISSING, INCOMPLETE = range(len(OUTCOMES))
PATH = ("open", "high", "low", "close")


def triple_barrier_labels(
    events: pl.DataFrame,
    prices: pl.LazyFrame,
    sessions: pl.DataFrame,
    *,
    horizon: int,
    profit: float | None = 1.0,
    stop: float | None = 1.0,
    touch: Touch = "intraday",
    as_of: dt.date,
) -> pl.DataFrame:
    """One label an event: the first barrier that the price touches after the event's close.

    Parameters
    ----------
    events : ticker, session, `volatility` (fraction over whatever time the barriers are meant for, known at the session's close; the
        feature `volatility_20` is a year's: divide by sqrt(252) for a session's) and, to label bets of another model, `side` (1 long,
        -1 short). One a ticker and session, in any order; those after `as_of` are not read.
    prices : table `prices`; rows after `as_of` are not read.
    sessions : exchange sessions from the first event to at least `horizon` after the last one.
    horizon : exchange sessions from the event to the vertical barrier.
    profit, stop : barriers in multiples of `volatility`; None for none.
    touch : "intraday": barriers are touched by open, high and low; "close": by closes alone, and a touch gets the close.
    as_of : the day whose close is the last known.

    Returns
    -------
    A row an event, sorted by (ticker, session): ticker, session, `label`, `ret`, `label_start` (the event), `label_end` (the session whose
    bar touched), `outcome`. Without sides `label` is 1 (profit), -1 (stop) or 0 (vertical) and `ret` the total return from the event's
    close to the touch, fraction; with sides `ret` is side x that return and `label` 1 where it is above 0, else 0.
    `outcome` says why `label`, `ret` and `label_end` are null: "open" (nothing touched by `as_of`, and the vertical barrier lies ahead), or
    for good "no volatility" (null, not finite or not above 0), "missing bar" (none at the vertical barrier), "incomplete bar" (one without
    open, high, low or close came before any touch). Other outcomes than "open" never change.

    Raises
    ------
    BadArgument : `horizon` below 1, a barrier not above 0, an event twice, without a bar or with another side than 1 and -1, a name whose
        bars all lack open, high or low while `touch` is "intraday", another `touch`, `sessions` that end too early.
    QuantAssetsError : a high below its low; an impossible corporate action (see `adjustments.forward_adjusted`).

    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 3, snippets 3.2 to 3.7 (a multiple of 0 there is None
    here; its barriers are touched by closes).
    """
    for name, multiple in (("profit", profit), ("stop", stop)):
        if multiple is not None and not multiple > 0:
            raise BadArgument(f"{name} {multiple:g} is not above 0 times the volatility", remedy="pass a multiple, or None for no barrier")
    if touch not in get_args(Touch):
        raise BadArgument(f"touch {touch!r} is none of {', '.join(get_args(Touch))}", remedy="say which prices touch a barrier")
    require_columns(events.columns, "ticker", "session", "volatility")
    told = events.filter(pl.col("session") <= as_of).sort("ticker", "session")
    _refuse_impossible_events(told)
    bars = known_bars(prices.filter(pl.col("ticker").is_in(told["ticker"].unique().implode())), as_of, *(f"adj_{name}" for name in PATH))
    if touch == "intraday":
        _refuse_impossible_ranges(bars)
    told = starts_of(_on_bars(told, bars), sessions, horizon=horizon, window=None)
    outcome, ret, row = _first_touches(told, bars, touch, profit, stop)
    label = (ret > 0) if "side" in told.columns else np.select([outcome == PROFIT, outcome == STOP], [1, -1], 0)
    touched = pl.lit(pl.Series(outcome <= VERTICAL))
    pending = pl.lit(pl.Series(outcome == MISSING)) & (pl.col("label_end") > as_of)
    return told.select(
        "ticker",
        "session",
        pl.when(touched).then(pl.Series(label).cast(pl.Int8)).alias("label"),
        pl.when(touched).then(pl.Series(ret)).alias("ret"),
        "label_start",
        pl.when(touched).then(bars["session"].gather(row)).alias("label_end"),
        pl.when(pending).then(OPEN).otherwise(pl.Series(outcome)).cast(pl.UInt8).cat.to(pl.Enum(OUTCOMES)).alias("outcome"),
    )


def _first_touches(
    events: pl.DataFrame, bars: pl.DataFrame, touch: Touch, profit: float | None, stop: float | None
) -> tuple[Places, Floats, Places]:
    """(n_events,) each: the outcome, what the touch got (NaN without one), and the row of the last bar looked at. An event whose bars end
    before the vertical barrier is MISSING.

    All events step from bar to bar together; those that are done stay behind.
    """
    paths = np.stack([bars["adj_close" if touch == "close" else f"adj_{name}"].to_numpy() for name in PATH])
    days = bars["session"].to_physical().to_numpy()
    row, name_ends = events["row"].to_numpy(), events["name_ends"].to_numpy()
    vertical = events["label_end"].to_physical().to_numpy()
    volatility = events["volatility"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    side = events["side"].cast(pl.Float64).to_numpy() if "side" in events.columns else np.ones(row.size)
    upper, lower = (np.full(row.size, np.inf) if times is None else times * volatility for times in (profit, stop))
    measured = np.isfinite(volatility) & (volatility > 0)
    outcome, ret, at = np.where(measured, MISSING, NO_VOLATILITY), np.full(row.size, np.nan), row.copy()
    waiting = np.flatnonzero(measured)
    while waiting.size:
        waiting = waiting[at[waiting] + 1 < name_ends[waiting]]
        waiting = waiting[days[at[waiting] + 1] <= vertical[waiting]]
        at[waiting] += 1
        path = side[waiting] * (paths[:, at[waiting]] / paths[3, row[waiting]] - 1)
        now, got = _in_one_bar(path, upper[waiting], lower[waiting], days[at[waiting]] == vertical[waiting])
        outcome[waiting], ret[waiting] = now, got
        waiting = waiting[now == MISSING]
    return outcome, ret, at


def _in_one_bar(path: Floats, upper: Floats, lower: Floats, is_last: npt.NDArray[np.bool_]) -> tuple[Places, Floats]:
    """(n,) each: the outcome, MISSING where nothing is touched yet, and what it got.

    Parameters
    ----------
    path : (4, n) returns of the bet from the event's close to the bar's open, high, low and close; for a short one, high is the lowest.
    """
    opened, closed = path[0], path[3]
    highest, lowest = np.maximum(path[1], path[2]), np.minimum(path[1], path[2])
    cases = [np.isnan(path).any(axis=0), opened < -lower, opened > upper, lowest < -lower, highest > upper, is_last]
    outcome = np.select(cases, [INCOMPLETE, STOP, PROFIT, STOP, PROFIT, VERTICAL], MISSING)
    return outcome, np.select(cases, [np.nan, opened, opened, -lower, upper, closed], np.nan)


def _on_bars(events: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """The events with the `row` of their bar and of the first bar of the next name, `name_ends`."""
    rows = bars.select("ticker", "session").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    rows = rows.with_columns(name_ends=pl.col("row").max().over("ticker") + 1)
    placed = events.join(rows, on=["ticker", "session"], how="left", maintain_order="left")
    for ticker, session in placed.filter(pl.col("row").is_null()).select("ticker", "session").head(1).iter_rows():
        raise BadArgument(f"{ticker} {session}: an event without a bar", remedy="take events from sessions on which the name has a close")
    return placed


def _refuse_impossible_events(events: pl.DataFrame) -> None:
    require_one_a_session(events, "event")
    if "side" in events.columns:
        wrong = events.filter(~pl.col("side").is_in([-1, 1]).fill_null(False))
        for ticker, session, side in wrong.select("ticker", "session", "side").head(1).iter_rows():
            raise BadArgument(f"{ticker} {session}: side {side} is neither 1 (long) nor -1 (short)", remedy="leave out other events")


def _refuse_impossible_ranges(bars: pl.DataFrame) -> None:
    for ticker, session in bars.filter(pl.col("adj_high") < pl.col("adj_low")).select("ticker", "session").head(1).iter_rows():
        raise QuantAssetsError(f"{ticker} {session}: the high is below the low", remedy="quarantine the bar")
    whole = pl.all_horizontal(pl.col("adj_open", "adj_high", "adj_low").is_not_null())
    lacking = bars.group_by("ticker", maintain_order=True).agg(pl.len(), whole=whole.any()).filter(~pl.col("whole"))
    for ticker, n in lacking.select("ticker", "len").head(1).iter_rows():
        raise BadArgument(
            f"{ticker}: none of its {n} bars has open, high and low to touch a barrier with",
            remedy='pass touch="close" to touch barriers by closes alone',
        )
