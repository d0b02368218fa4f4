"""Which labelled rows may be learned from at a cut-off: labels that ended before it, minus an embargo; and where an embargo ends.

Splitters for cross-validation are `k_fold.py`, `combinatorial.py` and `walk_forward.py`; models live in `models/`.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import session_offset, session_on_or_after, session_on_or_before

EMBARGO_SESSIONS = 5


def embargoed(boundary: dt.date, *, embargo_sessions: int = EMBARGO_SESSIONS) -> dt.date:
    """The session that a label must have ended before, so that `embargo_sessions` sessions lie between it and the boundary."""
    return session_offset(session_on_or_after(boundary), -embargo_sessions)


def embargoed_until(last: dt.date, *, embargo_sessions: int = EMBARGO_SESSIONS) -> dt.date:
    """The `embargo_sessions`-th session after a tested block whose labels had ended by `last`: no label learned from starts by then."""
    return max(last, session_offset(session_on_or_before(last), embargo_sessions))


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
