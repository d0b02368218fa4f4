"""What the lake holds against what the calendar and the listings ask for. Which step to run for it is `planning.py`'s business.

A *cell* is (key, window): a ticker or series in one partition of the date dimension. Presence is read from the stored keys, never
from a log: a deleted file shows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.errors import LookbackIncomplete
from quant_assets.lake.store import Lake
from quant_assets.schemas import TABLES
from quant_assets.universe import Universe

ALL = "ALL"
SESSION_SCHEMA = {"key": pl.String, "session": pl.Date}


def listed_sessions(universe: Universe, window: Window, *, tickers: Sequence[str] | None = None) -> pl.DataFrame:
    """key, session: every session of the window on which a name of the universe must have a row."""
    listings = pl.DataFrame(
        [(known.ticker, known.listed) for known in universe.listings if tickers is None or known.ticker in tickers],
        schema={"key": pl.String, "listed": pl.Date},
        orient="row",
    )
    days = session_table(window).select("session")
    return listings.join(days, how="cross").filter(pl.col("session") >= pl.col("listed")).select("key", "session")


def every_session(keys: Sequence[str], window: Window) -> pl.DataFrame:
    """key, session: every session of the window for every key."""
    return pl.DataFrame({"key": list(keys)}, schema={"key": pl.String}).join(session_table(window).select("session"), how="cross")


def stored_sessions(lake: Lake, table: str, window: Window, *, scope: Mapping[str, str] | None = None) -> pl.DataFrame:
    """key, session: the rows a table has in the window. A label that is still null after its end does not count."""
    spec = TABLES[table]
    rows = lake.scan(table, window=window, scope=scope)
    if table == "labels":
        rows = rows.filter(pl.col("label").is_not_null() | (pl.col("label_end") >= window.end))
    key = pl.col(spec.entity) if spec.entity else pl.lit(ALL)
    return rows.select(key=key, session=pl.col(spec.event_time)).unique().collect()


def holes(expected: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """key, session that are expected and not stored."""
    return expected.join(stored, on=["key", "session"], how="anti").sort("key", "session")


def by_cell(sessions: pl.DataFrame, windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, window, n (sessions), first, last of each cell that holds a session; what lies in no window is left out.

    Parameters
    ----------
    windows : by their keys; they do not overlap, and may leave gaps.
    """
    bounds = pl.DataFrame(
        [(name, window.start, window.end) for name, window in windows.items()],
        schema={"window": pl.String, "start": pl.Date, "end": pl.Date},
        orient="row",
    )
    placed = sessions.sort("session").join_asof(bounds.sort("start"), left_on="session", right_on="start", check_sortedness=False)
    return (
        placed.filter(pl.col("session") < pl.col("end"))
        .group_by("key", "window")
        .agg(n=pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
        .sort("key", "window")
    )


def log_rows(lake: Lake, table: str, windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, window, logged, quarantined: rows of `quality_log` and `quarantine` on each cell that has any."""
    span = Window(min(window.start for window in windows.values()), max(window.end for window in windows.values()))
    counts = [
        by_cell(lake.scan(log, window=span, scope={"table": table}).select("session", key="ticker").collect(), windows).select(
            "key", "window", pl.col("n").alias(name)
        )
        for log, name in (("quality_log", "logged"), ("quarantine", "quarantined"))
    ]
    return counts[0].join(counts[1], on=["key", "window"], how="full", coalesce=True)


def unrecorded(lake: Lake, table: str, expected: pl.DataFrame, windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, session: the expected sessions of cells without a `coverage` row, or with other log rows than it counts."""
    span = Window(min(window.start for window in windows.values()), max(window.start for window in windows.values()) + dt.timedelta(days=1))
    recorded = lake.scan("coverage", window=span, scope={"table": table}).select("window", "logged", "quarantined", key="ticker").collect()
    found = recorded.join(log_rows(lake, table, windows), on=["key", "window"], how="left", suffix="_found")
    sound = found.filter(
        pl.col("logged") == pl.col("logged_found").fill_null(0), pl.col("quarantined") == pl.col("quarantined_found").fill_null(0)
    )
    lost = by_cell(expected, windows).join(sound, on=["key", "window"], how="anti")
    return lost.select("key", session="first")


def require_complete(lake: Lake, table: str, universe: Universe, tickers: Sequence[str], window: Window) -> None:
    """The look-back guard: every listed session of the window must be stored for every ticker.

    Parameters
    ----------
    window : the step's own window and all it looks back on.

    Raises
    ------
    LookbackIncomplete : names each ticker with the number of missing sessions and the first and last of them.
    """
    missing = holes(listed_sessions(universe, window, tickers=tickers), stored_sessions(lake, table, window))
    if missing.is_empty():
        return
    told = {
        ticker: f"{n} sessions missing, {first}..{last}"
        for ticker, n, first, last in missing.group_by("key", maintain_order=True)
        .agg(pl.len(), pl.col("session").min().alias("first"), pl.col("session").max().alias("last"))
        .iter_rows()
    }
    shown = "; ".join(f"{ticker}: {what}" for ticker, what in list(told.items())[:5])
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    raise LookbackIncomplete(
        f"{table} is incomplete in {window} for {shown}{more}", remedy=f"materialise {table} for that window first", missing=told
    )


def record(
    lake: Lake,
    table: str,
    universe: Universe,
    tickers: Sequence[str],
    windows: Mapping[str, Window],
    *,
    until: dt.date,
    run_id: str | None,
    reasons: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Writes the `coverage` rows of the cells a step has just dealt with.

    `until` is the first day that could not be known; `reasons` says for (ticker, window) why a cell was withheld.
    """
    span = Window(min(w.start for w in windows.values()), min(until, max(w.end for w in windows.values())))
    expected = listed_sessions(universe, span, tickers=tickers)
    missing = holes(expected, stored_sessions(lake, table, span))
    counts = by_cell(expected, windows).select("key", "window", expected="n")
    lacking = by_cell(missing, windows).select("key", "window", lacking="n")
    starts = {name: window.start for name, window in windows.items()}
    told = pl.DataFrame(
        [(*cell, reason) for cell, reason in (reasons or {}).items()],
        schema={"key": pl.String, "window": pl.String, "reason": pl.String},
        orient="row",
    )
    rows = (
        counts.join(lacking, on=["key", "window"], how="left")
        .join(log_rows(lake, table, windows), on=["key", "window"], how="left")
        .join(told, on=["key", "window"], how="left")
        .with_columns(pl.col("lacking", "logged", "quarantined").fill_null(0))
        .select(
            pl.lit(table).alias("table"),
            pl.col("key").alias("ticker"),
            "window",
            pl.col("window").replace_strict(starts, return_dtype=pl.Date).alias("window_start"),
            pl.col("expected").cast(pl.Int64),
            (pl.col("expected") - pl.col("lacking")).cast(pl.Int64).alias("present"),
            pl.col("logged", "quarantined").cast(pl.Int64),
            pl.when(pl.col("reason").is_not_null())
            .then(pl.lit("withheld"))
            .when(pl.col("lacking") == 0)
            .then(pl.lit("complete"))
            .otherwise(pl.lit("partial"))
            .alias("status"),
            "reason",
            pl.lit(run_id, dtype=pl.String).alias("run_id"),
        )
    )
    cover = Window(min(starts.values()), max(starts.values()) + dt.timedelta(days=1))
    lake.replace("coverage", rows, keys=list(tickers), window=cover, scope={"table": table})
