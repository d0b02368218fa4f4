"""Steps that fetch what is published about the economy and about companies, and what is quoted: every table that vendors alone fill.

What they have to fetch, and what they have fetched, is in `gathered.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from quant_assets import gathered
from quant_assets.calendars import Window
from quant_assets.errors import NoData, SchemaMismatch, SourceError
from quant_assets.point_in_time import with_changes
from quant_assets.quality.doubts import DOUBTS, doubts
from quant_assets.quality.findings import Findings
from quant_assets.quality.row_gate import Judged, finding, judge_rows
from quant_assets.schemas import TABLES
from quant_assets.sources.base import Source
from quant_assets.steps.history import Door, Windows, span
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace


def fetch_facts(
    work: Workspace,
    table: str,
    tickers: Sequence[str],
    windows: Windows,
    vendors: Sequence[Source],
    *,
    run_id: str | None,
    door: Door | None = None,
) -> StepResult:
    """Asks each vendor for what it has of these names (or of its own series) in the windows, and stores it.

    A name that a vendor does not deliver, or delivers with a row that cannot be true, keeps what an earlier night stored and is withheld,
    with the vendor's words or the row's fault; the others, and its rows of other vendors, are stored. Of a table that has one row from
    whichever vendor, the first that delivers fills it, and an answer without rows leaves what is stored.

    Parameters
    ----------
    vendors : the sources of the table that can be asked, best first.
    """
    spec = TABLES[table]
    asked = _until_now(work, windows) if spec.accumulates else work.known(span(windows))
    by_vendor = "source" in spec.key or spec.entity == "series"
    parts, open_keys = [pl.DataFrame(schema=spec.schema)], set(tickers)
    failed: dict[str, str] = {}
    silent: dict[str, str] = {}
    verdicts: list[Judged] = []
    for source in vendors:
        wanted = sorted(source.offers(None if spec.entity == "series" else tickers if by_vendor else sorted(open_keys)))
        delivered: list[str] = []
        for keys in _in_requests(source, wanted):
            try:
                rows = _published(source, keys, asked, work, door)
            except (SourceError, SchemaMismatch) as error:
                nothing = isinstance(error, NoData) and spec.entity == "ticker"  # a series is there because somebody named it
                (silent if nothing else failed).update(dict.fromkeys(keys, str(error)))
                continue
            judged = _judge(work, source, rows, keys, asked, scoped=by_vendor)
            verdicts.append(judged)
            failed |= judged.withheld
            # a chain that can be had no longer must not take the stored one away, nor keep the next vendor from being asked
            there = keys if by_vendor else rows[spec.entity or ""].unique().sort().to_list()
            there = [key for key in there if key not in judged.withheld]
            delivered += there
            parts.append(_store(work, source, judged.accepted, there, asked, scoped=by_vendor))
        if not by_vendor:
            open_keys -= set(delivered)
            failed = {key: reason for key, reason in failed.items() if key not in delivered}
    rows = pl.concat(parts)
    withheld = {(key, window): reason for key, reason in failed.items() for window in windows}
    gathered.note(work, table, tickers, windows, withheld=withheld, run_id=run_id)
    figures = {"sources": [source.name for source in vendors], "names": rows[spec.entity or ""].n_unique(), "without_data": silent}
    return StepResult(rows, figures, [finding(verdicts), *_checks(table, rows)], withheld)


def _checks(table: str, rows: pl.DataFrame) -> list[Findings]:
    from quant_assets.quality.suites import judge_table  # Great Expectations imports for 2.6 s: only when there are rows

    unlikely = [doubts(table, rows)] if table in DOUBTS else []
    if rows.is_empty():
        return [Findings("suite", True, f"{table}: the vendors have nothing about these names"), *unlikely]
    return [*judge_table(table, rows), *unlikely]


def _until_now(work: Workspace, windows: Windows) -> Window:
    """A vendor that tells how it stands now tells it on the day of the fetch, which may lie after the night, and of dates to come."""
    whole = span(windows)
    return Window(whole.start, dt.date.max) if work.as_of in whole else whole


def _in_requests(source: Source, keys: Sequence[str]) -> Iterator[list[str]]:
    """As many keys at once as one request can be about: what fails is lost for those alone."""
    size = source.policy.keys_a_request if source.policy else len(keys) or 1
    yield from (list(keys[place : place + size]) for place in range(0, len(keys), size))


def _published(source: Source, keys: Sequence[str], window: Window, work: Workspace, door: Door | None) -> pl.DataFrame:
    raw = source.fetch(keys, window)
    if door:
        door(source, raw)
    rows = source.normalise(raw, fetched_at=work.clock())
    table = TABLES[source.table]
    return rows.filter(pl.col(table.event_time).is_between(window.start, window.end, closed="left")).sort(table.sort_order)


def _judge(work: Workspace, source: Source, rows: pl.DataFrame, keys: Sequence[str], window: Window, *, scoped: bool) -> Judged:
    """Which of what was delivered can be true; the rest goes to quarantine, in the place of what this vendor left there before."""
    judged = judge_rows(source.table, rows)
    scope = {"table": source.table, **({"source": source.name} if scoped else {})}
    work.lake.replace("quarantine", judged.quarantined, keys=keys, window=window, scope=scope)
    return judged


def _store(work: Workspace, source: Source, rows: pl.DataFrame, keys: Sequence[str], window: Window, *, scoped: bool) -> pl.DataFrame:
    """What is stored now of what was delivered."""
    spec = TABLES[source.table]
    scope = {"source": source.name} if scoped and "source" in spec.key else None
    if spec.accumulates:
        stored = work.lake.scan(spec.name, keys=keys, window=window, scope=scope).collect()
        rows = with_changes(stored, rows, spec)
    work.lake.replace(spec.name, rows, keys=keys, window=window, scope=scope)
    return rows
