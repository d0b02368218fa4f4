"""Joins that give each bar what was known at its close, and nothing later. Which columns a family asks for is said in its file."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def last_known(bars: pl.LazyFrame, told: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    """Beside each bar the columns of the last row that was known at its close.

    Parameters
    ----------
    bars : `ticker session close_at`, sorted by (ticker, session), and any other columns.
    told : `known_at` (UTC) and the columns; with `ticker` the last row of the name, without it the last of all. Of two rows known at
        the same moment the later one in the frame counts.

    Returns
    -------
    The bars in their order with the columns, null where nothing was known yet.
    """
    by = ["ticker"] if "ticker" in told.collect_schema() else []
    latest = told.select(*by, "known_at", *columns).sort(*by, "known_at", maintain_order=True)
    latest = latest.unique([*by, "known_at"], keep="last", maintain_order=True)
    if by:
        joined = bars.join_asof(latest, left_on="close_at", right_on="known_at", by=by, check_sortedness=False, coalesce=True)
        return joined.select(*bars.collect_schema().names(), *columns)
    days = bars.select("session", "close_at").unique().drop_nulls().sort("close_at")
    beside = days.join_asof(latest, left_on="close_at", right_on="known_at", coalesce=True).select("session", *columns)
    return bars.join(beside, on="session", how="left", maintain_order="left")
