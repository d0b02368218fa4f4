"""What a week asks of all that is stored: is it still possible, is it plausible beside what came before, does each name still trade.

What a night lets in is judged when it arrives; this finds what only shows over time, and what was changed since.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import polars as pl

from quant_assets.backfill import FILLS
from quant_assets.calendars import Window, session_offset, year_window
from quant_assets.lake.coverage import ALL
from quant_assets.quality.doubts import DOUBTS, FLAT_SESSIONS, doubts
from quant_assets.quality.findings import Findings
from quant_assets.quality.rules import Rule, broken, limit, rules
from quant_assets.quality.scorecard import STRIP
from quant_assets.schemas import TABLES
from quant_assets.workspace import Workspace

SILENT = 10
"""Sessions without a bar until the night, of a name that is not said to be dead."""
LOOKS_BACK = {"option_chain": FLAT_SESSIONS}
"""Sessions read for doubts, where STRIP of them are too many rows; of prices it is all of them."""
ROWS_A_SUITE = 500_000
"""What a suite is asked of at once: Great Expectations copies its frame over and over."""
COMPUTED = "computed"
"""The source of what no vendor delivers."""
IMPOSSIBLE = dict.fromkeys(("table", "ticker", "source", "field", "value", "limit"), pl.String) | {"day": pl.Date}


def impossible(night: Workspace) -> pl.DataFrame:
    """table, ticker, source, day, field, value, limit of each stored value up to the night that breaks a rule of its table."""
    span, parts = Window(dt.date.min, night.after_as_of), [pl.DataFrame(schema=IMPOSSIBLE)]
    for table, spec in TABLES.items():
        name = pl.col(spec.entity) if spec.entity else pl.lit(ALL)
        source = pl.col("source") if "fetched_at" in spec.schema else pl.lit(COMPUTED)
        rows = night.lake.scan(table, window=span)
        found = [
            rows.filter(broken(rule)).select(
                table=pl.lit(table),
                ticker=name,
                source=source,
                field=pl.lit(rule.column),
                value=pl.col(rule.column).cast(pl.String),
                limit=pl.lit(limit(rule)),
                day=pl.col(spec.event_time),
            )
            for rule in _broken_rules(rows, table)
        ]
        parts += pl.collect_all(found)
    return pl.concat(parts)


def _broken_rules(rows: pl.LazyFrame, table: str) -> list[Rule]:
    """Those that some row breaks: one pass over the table, which may have hundreds."""
    declared = rules(table)
    counts = rows.select(broken(rule).sum().alias(str(place)) for place, rule in enumerate(declared)).collect().row(0) if declared else ()
    return [rule for rule, n in zip(declared, counts, strict=True) if n]


def told(found: pl.DataFrame) -> str:
    """The first impossible value, how many there are, and the command that fills them again."""
    first = found.sort("table", "ticker", "day").row(0, named=True)
    table, ticker, year = first["table"], first["ticker"], first["day"].year
    name = f" --tickers {ticker}" if TABLES[table].entity == "ticker" else ""
    more = f" ({found.height} such values are stored)" if found.height > 1 else ""
    fill = f"fill it again with `quant-assets backfill --tables {table} --start {year}-01-01 --end {year}-12-31{name}`"
    mend = fill if table in FILLS else f"delete year={year} of {table} in the lake and run again"  # a log is written with its table
    wrong = f"{first['field']} is {first['value']} and {first['limit']}{more}"
    return f"{table} of {ticker} on {first['day']}: {wrong}; it was changed since it was let in, {mend}"


def unlikely(night: Workspace) -> pl.DataFrame:
    """table, doubt and the key of each row of the last STRIP sessions that is possible and unlikely, beside all that came before."""
    first = session_offset(night.as_of, 1 - STRIP)
    parts = [pl.DataFrame(schema=dict.fromkeys(("table", "doubt", "ticker"), pl.String))]
    for table in DOUBTS:
        since = night.history.start if table == "prices" else session_offset(night.as_of, -LOOKS_BACK.get(table, STRIP))
        found = doubts(table, night.lake.scan(table, window=Window(since, night.after_as_of)).collect()).rows
        if found.height:
            recent = found.filter(pl.col(TABLES[table].event_time) >= first)
            parts.append(recent.insert_column(0, pl.lit(table).alias("table")))
    return pl.concat(parts, how="diagonal")


def plausible(found: pl.DataFrame) -> Findings:
    """The check on what `unlikely` found."""
    if found.is_empty():
        return Findings("plausible", True, f"nothing of the last {STRIP} sessions is unlikely")
    counts = found.group_by("table", "doubt").len().sort("len", "table", "doubt", descending=[True, False, False])
    words = "; ".join(f"{table}: {doubt}: {n:,}" for table, doubt, n in counts.iter_rows())
    return Findings("plausible", False, words, rows=found)


def suites(night: Workspace, found: pl.DataFrame) -> Findings:
    """The suite of every table, asked of all its rows. Where it fails, the rows are those that `impossible` found, if it found any."""
    from quant_assets.quality.suites import judge_table  # Great Expectations imports for 2.6 s

    n_rows, failed = 0, [pl.DataFrame()]
    judged: set[str] = set()
    for table in TABLES:
        for rows in _batches(night, table):
            [verdict] = judge_table(table, rows)
            n_rows, judged = n_rows + rows.height, judged | {table}
            if not verdict.passed:
                failed.append(verdict.rows.insert_column(0, pl.lit(table).alias("table")))
    unmet = pl.concat(failed, how="diagonal")
    if unmet.is_empty() and found.is_empty():
        return Findings("suites", True, f"the suites of {len(judged)} tables hold on all {n_rows:,} stored rows")
    named = ",".join(sorted({*unmet.to_dict().get("table", []), *found["table"]}))
    words = told(found) if found.height else f"expectations on {named} fail; fill them again with `quant-assets backfill --tables {named}`"
    return Findings("suites", False, words, rows=found if found.height else unmet)


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


def alive(night: Workspace, scores: pl.DataFrame) -> Findings:
    """Names without a bar for SILENT sessions that nobody says are dead."""
    since = session_offset(night.as_of, -SILENT)
    living = [known.ticker for known in night.universe.listings if known.delisted is None and known.listed <= since]
    newest = scores.filter(pl.col("ticker").is_in(living), table="prices").group_by("ticker").agg(last_bar=pl.col("last_good").max())
    silent = newest.filter(pl.col("last_bar").fill_null(dt.date.min) < since).sort("ticker")
    if silent.is_empty():
        return Findings("alive", True, f"each of {len(living)} living names has a bar within {SILENT} sessions")
    mend = f"give its last session as `delisted` in {night.universe.file.name}, or mend its source"
    names = ", ".join(silent["ticker"].head(5))
    words = f"{silent.height} without a bar for {SILENT} sessions ({names}): {mend}"
    return Findings("alive", False, words, rows=silent)
