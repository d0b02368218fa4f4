"""Which labelled rows may be learned from at a cut-off: labels that ended before it, minus an embargo; and where an embargo ends.

Splitters for cross-validation are `k_fold.py`, `combinatorial.py` and `walk_forward.py`; models live in `models/`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
from exchange_calendars.errors import DateOutOfBounds, RequestedSessionOutOfBounds

from quant_assets.calendars import exchange, session_offset, session_on_or_after, session_on_or_before
from quant_assets.errors import BadArgument

EMBARGO_SESSIONS = 5


def embargoed(boundary: dt.date, *, embargo_sessions: int = EMBARGO_SESSIONS) -> dt.date:
    """The session that a label must have ended before, so that `embargo_sessions` sessions lie between it and the boundary.

    Raises
    ------
    BadArgument : the exchange's calendar does not reach so far.
    """
    return _sessions_from(boundary, session_on_or_after, -embargo_sessions)


def embargoed_until(last: dt.date, *, embargo_sessions: int = EMBARGO_SESSIONS) -> dt.date:
    """The `embargo_sessions`-th session after a tested block whose labels had ended by `last`: no label learned from starts by then.

    Raises
    ------
    BadArgument : the exchange's calendar does not reach so far.
    """
    return max(last, _sessions_from(last, session_on_or_before, embargo_sessions))


def learnable(rows: pl.DataFrame, boundary: dt.date, *, embargo_sessions: int = EMBARGO_SESSIONS) -> pl.DataFrame:
    """Rows whose label is known and ended before the boundary minus the embargo.

    Parameters
    ----------
    rows : with `label` and `label_end` (Date).
    boundary : first day of what comes after: a test quarter, a validation slice.
    """
    limit = embargoed(boundary, embargo_sessions=embargo_sessions)
    return rows.filter(pl.col("label").is_not_null() & (pl.col("label_end") < limit))


def recent_slice(rows: pl.DataFrame, n_sessions: int, *, embargo_sessions: int = EMBARGO_SESSIONS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(fit, validation): the rows before the last `n_sessions` sessions, purged of labels that reach into them, and those sessions.

    Parameters
    ----------
    rows : with `session`, `label` and `label_end`; at least one.
    """
    days = rows["session"].unique().sort()
    start: dt.date = days[-min(n_sessions, len(days))]
    return learnable(rows, start, embargo_sessions=embargo_sessions), rows.filter(pl.col("session") >= start)


def _sessions_from(day: dt.date, nearest: Callable[[dt.date], dt.date], n: int) -> dt.date:
    """The session `n` sessions after the one nearest to the day, before it when negative."""
    try:
        return session_offset(nearest(day), n)
    except (DateOutOfBounds, RequestedSessionOutOfBounds):
        known = exchange()
        embargo = f"the embargo of {abs(n)} sessions {'before' if n < 0 else 'after'} {day}"
        raise BadArgument(
            f"{embargo} leaves the exchange's calendar (limits: {known.first_session.date()} to {known.last_session.date()})",
            remedy="leave out labels so near its ends or beyond them, or pass a shorter embargo",
        ) from None
