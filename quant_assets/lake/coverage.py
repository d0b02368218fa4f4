"""What the lake holds against what the calendar and the listings ask for. Which step to run for it is `planning.py`'s business.

A *cell* is (key, window): a ticker or series in one partition of the date dimension. Presence is read from the stored keys, never
from a log: a deleted file shows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window, session_offset, session_table, year_window
from quant_assets.errors import LookbackIncomplete
from quant_assets.lake.store import Lake
from quant_assets.lake.tallies import tally
from quant_assets.lake.watched import seen
from quant_assets.membership import within_span
from quant_assets.models.terms import HORIZON_SESSIONS
from quant_assets.schemas import TABLES, UTC
from quant_assets.universe import Universe

ALL = "ALL"
LOGGED = ("quality_log", "feature_gaps")
"""What a step writes beside its table, and counts with it."""


def listed_sessions(universe: Universe, window: Window, *, tickers: Sequence[str] | None = None, table: str = "prices") -> pl.DataFrame:
    """key, session: every session of the window on which a name of the universe must have a row of the table."""
    return sessions_within(listings(universe, tickers, table=table), window)


def sessions_within(spans: pl.DataFrame, window: Window) -> pl.DataFrame:
    """key, session: every session of the window that lies in a span (key, start, end) of its key."""
    return spans.join(session_table(window).select("session"), how="cross").filter(within_span()).select("key", "session")


def placed_sessions(window: Window, windows: Mapping[str, Window]) -> pl.DataFrame:
    """session, window: every session of the dates with the partition it lies in; one that lies in none is left out."""
    return _placed(session_table(window)["session"], windows)


def cells_within(spans: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """key, window, n (sessions), first of each cell that holds a session, without spelling out each key's sessions.

    Parameters
    ----------
    spans : key, start, end (null: none): the first and last session each key must have; those of one key do not overlap.
    days : session, window.
    """
    by_span = spans.select("start", "end").unique().join(days, how="cross").filter(within_span())
    counts = by_span.group_by("start", "end", "window").agg(n=pl.len(), first=pl.col("session").min())
    placed = spans.join(counts, on=["start", "end"], nulls_equal=True)
    return placed.group_by("key", "window").agg(pl.col("n").sum(), pl.col("first").min()).sort("key", "window")


def short_cells(expected: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """The expected cells of which sessions are missing; n: how many.

    Parameters
    ----------
    expected : as of `cells_within`. there : as of `counts`.
    """
    totals = there.group_by("key", "window").agg(pl.col("there").sum())
    found = expected.join(totals, on=["key", "window"], how="left", maintain_order="left")
    return found.with_columns(pl.col("n") - pl.col("there").fill_null(0)).filter(pl.col("n") > 0).drop("there")


def counts(stored: pl.LazyFrame, spans: pl.DataFrame, days: pl.DataFrame, *by: str) -> pl.LazyFrame:
    """key, window, `by`, there: how many of the stored sessions lie in each cell.

    Parameters
    ----------
    stored : key, session, `by`, each key and session once; what is not expected does not count.
    spans, days : as of `cells_within`.
    """
    there = stored.join(days.lazy(), on="session").join(spans.lazy(), on="key").filter(within_span())
    return there.group_by("key", "window", *by).agg(there=pl.len())


def listings(universe: Universe, tickers: Sequence[str] | None = None, *, table: str = "prices") -> pl.DataFrame:
    """key, start, end (null: none in sight): the first and the last session that each name must have in the table.

    A delisted name has no label that ends after its last session, and an account of its own goes on without it.
    """
    asked = [known for known in universe.listings if tickers is None or known.ticker in tickers]
    rows = [(known.ticker, known.listed, _last(known.delisted, table)) for known in asked]
    return pl.DataFrame(rows, schema={"key": pl.String, "start": pl.Date, "end": pl.Date}, orient="row")


def _last(delisted: dt.date | None, table: str) -> dt.date | None:
    if delisted is None or table == "equity":
        return None
    return session_offset(delisted, -HORIZON_SESSIONS) if table == "labels" else delisted


def every_session(keys: Sequence[str], window: Window) -> pl.DataFrame:
    """key, session: every session of the window for every key."""
    return pl.DataFrame({"key": list(keys)}, schema={"key": pl.String}).join(session_table(window).select("session"), how="cross")


def stored_sessions(lake: Lake, table: str, window: Window, *, scope: Mapping[str, str] | None = None) -> pl.DataFrame:
    """key, session: the rows a table has in the window, as far as `present`."""
    spec = TABLES[table]
    key = pl.col(spec.entity) if spec.entity else pl.lit(ALL)
    rows = present(lake.scan(table, window=window, scope=scope), table, window.end)
    found = rows.select(key=key, session=pl.col(spec.event_time))
    return (found if len(spec.key) == 1 + bool(spec.entity) else found.unique()).collect()


def present(rows: pl.LazyFrame, table: str, before: dt.date) -> pl.LazyFrame:
    """The rows that count: not a label that is still null though it ended before that day."""
    return rows.filter(pl.col("label").is_not_null() | (pl.col("label_end") >= before)) if table == "labels" else rows


def holes(expected: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """key, session that are expected and not stored."""
    return expected.join(stored, on=["key", "session"], how="anti").sort("key", "session")


def by_cell(sessions: pl.DataFrame, windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, window, n (sessions), first, last of each cell that holds a session; what lies in no window is left out.

    Parameters
    ----------
    windows : by their keys; they do not overlap, and may leave gaps.
    """
    return (
        sessions.join(_placed(sessions["session"], windows), on="session")
        .group_by("key", "window")
        .agg(n=pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
        .sort("key", "window")
    )


def _placed(days: pl.Series, windows: Mapping[str, Window]) -> pl.DataFrame:
    """session, window of each day that lies in one: placed once, however many names have it."""
    bounds = [(name, window.start, window.end) for name, window in windows.items()]
    starts = pl.DataFrame(bounds, schema={"window": pl.String, "start": pl.Date, "end": pl.Date}, orient="row").sort("start")
    found = days.unique().sort().to_frame().join_asof(starts, left_on="session", right_on="start", check_sortedness=False)
    return found.filter(pl.col("session") < pl.col("end")).select("session", "window")


def log_rows(lake: Lake, table: str, windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, window, logged, quarantined: rows of LOGGED and of `quarantine` on each cell that has any."""
    span = Window(min(window.start for window in windows.values()), max(window.end for window in windows.values()))
    logged, quarantined = (
        pl.concat(seen(lake, _days_noted, log, table, span) for log in logs).pipe(_days_by_cell, windows, name)
        for logs, name in ((LOGGED, "logged"), (("quarantine",), "quarantined"))
    )
    return logged.join(quarantined, on=["key", "window"], how="full", coalesce=True)


def _days_noted(lake: Lake, log: str, table: str, window: Window) -> pl.DataFrame:
    """key, session, n (rows) of what a log says of the table."""
    days = tally(lake, log, _whole_years(window), _by_day)
    return days.filter(table=table).select("key", "session", "n").sort("key", "session")


def _by_day(rows: pl.LazyFrame) -> pl.LazyFrame:
    """table, key, session, n (rows) of a log."""
    return rows.group_by("table", "session", key="ticker").agg(n=pl.len())


def _days_by_cell(days: pl.DataFrame, windows: Mapping[str, Window], name: str) -> pl.DataFrame:
    """key, window, and under the name the rows of each cell that has any."""
    placed = days.join(_placed(days["session"], windows), on="session")
    return placed.group_by("key", "window").agg(pl.col("n").sum().alias(name)).sort("key", "window")


def noted(lake: Lake, table: str, window: Window) -> pl.DataFrame:
    """The rows of `coverage` on the table's cells that begin in these dates."""
    return seen(lake, _noted, table, window)


def _noted(lake: Lake, table: str, window: Window) -> pl.DataFrame:
    rows = tally(lake, "coverage", _whole_years(window), _as_stored)
    return rows.filter(pl.col("window_start").is_between(window.start, window.end, closed="left"), table=table)


def _as_stored(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def _whole_years(window: Window) -> Window:
    """The years of a window, so that all windows share what is kept of them."""
    return Window(year_window(window.start.year).start, year_window(window.last_day.year).end)


def written(lake: Lake, table: str, since: dt.date, before: dt.date, *, status: str | None = None) -> pl.DataFrame:
    """key, window, written_at of the table's cells that begin in these dates, of one status or any."""
    rows = noted(lake, table, Window(since, before))
    if status:
        rows = rows.filter(status=status)
    return rows.select("window", "written_at", key="ticker")


def unrecorded(
    lake: Lake, table: str, expected: pl.DataFrame, windows: Mapping[str, Window], *, version: str | None = None
) -> pl.DataFrame:
    """The expected cells without a `coverage` row, with another version, or with other log rows than it counts."""
    span = Window(min(window.start for window in windows.values()), max(window.start for window in windows.values()) + dt.timedelta(days=1))
    rows = noted(lake, table, span).filter(pl.col("version").eq_missing(pl.lit(version)))
    recorded = rows.select("window", "logged", "quarantined", key="ticker")
    found = recorded.join(log_rows(lake, table, windows), on=["key", "window"], how="left", suffix="_found")
    sound = found.filter(
        pl.col("logged") == pl.col("logged_found").fill_null(0), pl.col("quarantined") == pl.col("quarantined_found").fill_null(0)
    )
    return expected.join(sound, on=["key", "window"], how="anti")


def missing_history(lake: Lake, table: str, universe: Universe, tickers: Sequence[str], window: Window) -> dict[str, str]:
    """For each ticker with a listed session of the window that is not stored: how many there are, the first and the last of them."""
    missing = holes(listed_sessions(universe, window, tickers=tickers, table=table), stored_sessions(lake, table, window))
    told = missing.group_by("key", maintain_order=True).agg(pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
    return {ticker: f"{n} {'session' if n == 1 else 'sessions'} missing, {first}..{last}" for ticker, n, first, last in told.iter_rows()}


def require_complete(lake: Lake, table: str, universe: Universe, tickers: Sequence[str], window: Window) -> None:
    """Every listed session of the window must be stored for every ticker.

    Parameters
    ----------
    window : the step's own window and all it looks back on.

    Raises
    ------
    LookbackIncomplete : names each ticker with the number of missing sessions and the first and last of them.
    """
    missing = missing_history(lake, table, universe, tickers, window)
    if missing:
        told = {ticker: f"{table} incomplete: {what}" for ticker, what in missing.items()}
        raise LookbackIncomplete.of(told, remedy=f"materialise {table} for {window} first")


def record(
    lake: Lake,
    table: str,
    universe: Universe,
    tickers: Sequence[str],
    windows: Mapping[str, Window],
    *,
    until: dt.date,
    run_id: str | None,
    written_at: dt.datetime,
    reasons: Mapping[tuple[str, str], str] | None = None,
    version: str | None = None,
    spans: pl.DataFrame | None = None,
) -> None:
    """Writes the `coverage` rows of the cells a step has just dealt with.

    `until` is the first day that could not be known; `reasons` says for (ticker, window) why a cell was withheld; `version` is that of the
    code, where it changes values; `spans` (key, start, end) are the dates on which there must be rows, None: those of the listings.
    """
    span = Window(min(w.start for w in windows.values()), min(until, max(w.end for w in windows.values())))
    expected = sessions_within(listings(universe, tickers, table=table) if spans is None else spans, span)
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
            pl.lit(version, dtype=pl.String).alias("version"),
            pl.lit(written_at).cast(UTC).alias("written_at"),
            pl.lit(run_id, dtype=pl.String).alias("run_id"),
        )
    )
    cover = Window(min(starts.values()), max(starts.values()) + dt.timedelta(days=1))
    lake.replace("coverage", rows, keys=list(tickers), window=cover, scope={"table": table})


def fail(
    lake: Lake, table: str, expected: pl.DataFrame, missing: pl.DataFrame, windows: Mapping[str, Window], *, reason: str, run_id: str
) -> None:
    """Marks the cells that hold missing sessions as failed, with the reason; a cell that the same run withheld keeps its own reason.

    Parameters
    ----------
    expected, missing : key, window, n (sessions); what lies in none of the windows is left out.
    """
    counts, lacking = (
        cells.filter(pl.col("window").is_in(list(windows))).select("key", "window", pl.col("n").alias(name))
        for cells, name in ((expected, "expected"), (missing, "lacking"))
    )
    if lacking.is_empty():
        return
    starts = {name: window.start for name, window in windows.items()}
    cover = Window(min(starts.values()), max(starts.values()) + dt.timedelta(days=1))
    keys = lacking["key"].unique().to_list()
    before = lake.scan("coverage", keys=keys, window=cover, scope={"table": table}).collect()
    spoken = before.filter(pl.col("run_id") == run_id, pl.col("reason").is_not_null()).select("window", key="ticker")
    failed = lacking.join(spoken, on=["key", "window"], how="anti").join(counts, on=["key", "window"])
    known = before.select("window", "logged", "quarantined", "version", "written_at", key="ticker")
    rows = failed.join(known, on=["key", "window"], how="left").select(
        pl.lit(table).alias("table"),
        pl.col("key").alias("ticker"),
        "window",
        pl.col("window").replace_strict(starts, return_dtype=pl.Date).alias("window_start"),
        pl.col("expected").cast(pl.Int64),
        (pl.col("expected").cast(pl.Int64) - pl.col("lacking").cast(pl.Int64)).alias("present"),
        pl.col("logged", "quarantined").fill_null(0),
        pl.lit("failed").alias("status"),
        pl.lit(reason).alias("reason"),
        "version",
        "written_at",
        pl.lit(run_id).alias("run_id"),
    )
    kept = before.join(rows, on=["table", "ticker", "window"], how="anti")
    lake.replace("coverage", pl.concat([kept, rows.select(kept.columns)]), keys=keys, window=cover, scope={"table": table})


def last_reason(lake: Lake, tables: Sequence[str], key: str, window: Window) -> str | None:
    """The reason of the last cell of these tables that has one, of any key under ALL; None when none has."""
    rows = lake.scan("coverage", keys=None if key == ALL else [key], window=window).filter(
        pl.col("table").is_in(list(tables)), pl.col("reason").is_not_null()
    )
    told = rows.sort("window_start").select("reason").collect()["reason"]
    return told[-1] if told.len() else None
