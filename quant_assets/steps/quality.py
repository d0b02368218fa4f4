"""The weekly look at everything that is stored: a score of each name's data, each table's suite, and names that look dead or lent again.

What a night lets in is judged when it arrives; this finds what only shows over time, and what was changed since.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import polars as pl

from quant_assets.calendars import Window, day_window, session_offset, year_window
from quant_assets.gathered import GATHERED
from quant_assets.lake import coverage
from quant_assets.quality.doubts import DOUBTS, FLAT_SESSIONS, doubts
from quant_assets.quality.findings import Findings
from quant_assets.quality.scorecard import STRIP, score_rows, score_sessions
from quant_assets.schemas import TABLES
from quant_assets.sources import sources
from quant_assets.steps.decisions import nights
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]
SILENT = 10
"""Sessions without a bar until the night, of a name that is not said to be dead."""
LOOKS_BACK = {"option_chain": FLAT_SESSIONS}
"""Sessions read for doubts, where STRIP of them are too many rows; of prices it is all of them."""
ROWS_A_SUITE = 300_000
"""What a suite is asked of at once: Great Expectations copies its frame over and over."""


def score_quality(work: Workspace, windows: Windows) -> StepResult:
    """The scorecard of each session asked for; suites and doubts once, of all that is stored up to the last of them."""
    in_order, parts = nights(work, windows), []
    for night in in_order:
        rows = scorecard(night)
        night.lake.replace("quality_scorecard", rows, keys=None, window=day_window(night.as_of))
        parts.append(rows)
    last, newest = in_order[-1], parts[-1]
    whole = newest.filter(pl.col("expected") > 0).select(pl.col("present").sum() / pl.col("expected").sum())
    figures = {
        "share_present": whole.item() if whole.height else None,
        **{name: int(newest[name].sum()) for name in ("repaired", "disagreements", "quarantined")},
    }
    return StepResult(pl.concat(parts), figures, [_suites(last), _plausible(last), _alive(last, newest)])


def scorecard(night: Workspace) -> pl.DataFrame:
    """Rows of `quality_scorecard` of the night: of what is stored up to it, by what is known now."""
    span = Window(night.history.start, night.after_as_of)
    parts = [_of_sessions(night, "prices", span), _of_sessions(night, "index_prices", span)]
    for table in GATHERED:
        rows = night.lake.scan(table, window=span).select("source", key=TABLES[table].entity or "", day=TABLES[table].event_time)
        parts.append(score_rows(table, rows.collect(), held=_beside(night, "quarantine", table, span)))
    spec = TABLES["quality_scorecard"]
    return spec.conform(pl.concat(parts).with_columns(session=pl.lit(night.as_of))).sort(spec.sort_order)


def _of_sessions(night: Workspace, table: str, span: Window) -> pl.DataFrame:
    entity = TABLES[table].entity or ""
    first_source: Mapping[str, str]
    if table == "prices":
        expected = coverage.listed_sessions(night.universe, span)
        first_source = {known.ticker: known.sources[0] for known in night.universe.listings}
    else:
        first_source = {key: source.name for source in sources(night.settings, table) for key in source.offers()}
        expected = coverage.every_session(sorted(first_source), span)
    rows = night.lake.scan(table, window=span).select("session", "source", key=entity).collect()
    log, held = (_beside(night, name, table, span) for name in ("quality_log", "quarantine"))
    return score_sessions(table, expected, rows, log=log, held=held, first_source=first_source)


def _beside(night: Workspace, log: str, table: str, span: Window) -> pl.DataFrame:
    return night.lake.scan(log, window=span, scope={"table": table}).collect()


def _suites(night: Workspace) -> Findings:
    """The suite of every table, asked of all its rows; each expectation that fails is a row."""
    from quant_assets.quality.suites import judge_table  # Great Expectations imports for 2.6 s

    n_rows, failed = 0, [pl.DataFrame()]
    judged: set[str] = set()
    for table in TABLES:
        for rows in _batches(night, table):
            [verdict] = judge_table(table, rows)
            n_rows, judged = n_rows + rows.height, judged | {table}
            if not verdict.passed:
                failed.append(verdict.rows.insert_column(0, pl.lit(table).alias("table")))
    broken = pl.concat(failed, how="diagonal")
    if broken.is_empty():
        return Findings("suites", True, f"the suites of {len(judged)} tables hold on all {n_rows:,} stored rows")
    named = ", ".join(broken["table"].unique().sort())
    told = f"{broken.height} expectations fail, of {named}: what was let in was changed since; fill it again with `quant-assets backfill`"
    return Findings("suites", False, told, rows=broken)


def _batches(night: Workspace, table: str) -> Iterator[pl.DataFrame]:
    """The table's rows up to the night, in whole years: the rows of one key are all of one."""
    held: list[pl.DataFrame] = []
    span = Window(dt.date.min, night.after_as_of)
    for year in night.lake.versions(table, span):
        held.append(night.lake.scan(table, window=year_window(year).clipped(span.end)).collect())
        if sum(rows.height for rows in held) >= ROWS_A_SUITE:
            yield pl.concat(held)
            held = []
    if any(rows.height for rows in held):
        yield pl.concat(held)


def _plausible(night: Workspace) -> Findings:
    """What is unlikely of the last sessions, beside all that came before: a night sees no more than the window that it fills."""
    first, parts = session_offset(night.as_of, 1 - STRIP), [pl.DataFrame()]
    for table in DOUBTS:
        since = night.history.start if table == "prices" else session_offset(night.as_of, -LOOKS_BACK.get(table, STRIP))
        found = doubts(table, night.lake.scan(table, window=Window(since, night.after_as_of)).collect()).rows
        if found.height:
            recent = found.filter(pl.col(TABLES[table].event_time) >= first)
            parts.append(recent.insert_column(0, pl.lit(table).alias("table")))
    found = pl.concat(parts, how="diagonal")
    if found.is_empty():
        return Findings("plausible", True, f"nothing of the last {STRIP} sessions is unlikely")
    counts = found.group_by("table", "doubt").len().sort("len", "table", "doubt", descending=[True, False, False])
    return Findings("plausible", False, "; ".join(f"{table}: {doubt}: {n:,}" for table, doubt, n in counts.iter_rows()), rows=found)


def _alive(night: Workspace, scores: pl.DataFrame) -> Findings:
    """Names without a bar for SILENT sessions that nobody says are dead."""
    since = session_offset(night.as_of, -SILENT)
    living = [known.ticker for known in night.universe.listings if known.delisted is None and known.listed <= since]
    newest = scores.filter(pl.col("ticker").is_in(living), table="prices").group_by("ticker").agg(last_bar=pl.col("last_good").max())
    silent = newest.filter(pl.col("last_bar").fill_null(dt.date.min) < since).sort("ticker")
    if silent.is_empty():
        return Findings("alive", True, f"{len(living)} names, each with a bar within {SILENT} sessions")
    mend = f"give its last session as `delisted` in {night.universe.file.name}, or mend its source"
    told = f"{silent.height} without a bar for {SILENT} sessions: {mend}"
    return Findings("alive", False, told, rows=silent)
