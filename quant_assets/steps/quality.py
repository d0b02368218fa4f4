"""The scorecard of a week: how good the data of each name are, and whether all that is stored still holds (`stored.py`)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quant_assets.calendars import Window, day_window
from quant_assets.demand import scored_files
from quant_assets.gathered import GATHERED
from quant_assets.lake import coverage
from quant_assets.lake.coverage import ALL
from quant_assets.quality.scorecard import score_rows, score_sessions, with_findings
from quant_assets.schemas import TABLES
from quant_assets.sources import sources
from quant_assets.steps import stored
from quant_assets.steps.decisions import nights
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]


def score_quality(work: Workspace, windows: Windows) -> StepResult:
    """The scorecard of each session asked for; the checks of all that is stored up to the last of them.

    A scorecard with a stored value that cannot be true is written and withheld: it is due again until that value is mended.
    """
    parts, withheld = [], {}
    for night in nights(work, windows):
        found, doubted = stored.impossible(night), stored.unlikely(night)
        rows = scorecard(night, found, doubted)
        night.lake.replace("quality_scorecard", rows, keys=None, window=day_window(night.as_of))
        parts.append(rows)
        if found.height:
            withheld[ALL, night.as_of.isoformat()] = stored.told(found)
    newest = parts[-1]
    whole = newest.filter(pl.col("expected") > 0).select(pl.col("present").sum() / pl.col("expected").sum())
    counts = ("repaired", "disagreements", "quarantined", "broken", "doubtful")
    figures = {"share_present": whole.item() if whole.height else None, **{name: int(newest[name].sum()) for name in counts}}
    checks = [stored.suites(night, found), stored.plausible(doubted), stored.alive(night, newest)]
    return StepResult(pl.concat(parts), figures, checks, withheld)


def scorecard(night: Workspace, found: pl.DataFrame, doubted: pl.DataFrame) -> pl.DataFrame:
    """Rows of `quality_scorecard` of the night: of what is stored up to it, by what is known now.

    Parameters
    ----------
    found, doubted : of `stored.impossible` and `stored.unlikely`.
    """
    span = Window(night.history.start, night.after_as_of)
    parts = [_of_sessions(night, "prices", span), _of_sessions(night, "index_prices", span)]
    for table in GATHERED:
        rows = night.lake.scan(table, window=span).select("source", key=TABLES[table].entity or "", day=TABLES[table].event_time)
        parts.append(score_rows(table, rows.collect(), held=_beside(night, "quarantine", table, span)))
    spec = TABLES["quality_scorecard"]
    scored = with_findings(pl.concat(parts), found, doubted)
    return spec.conform(scored.with_columns(session=pl.lit(night.as_of), inputs=pl.lit(scored_files(night)))).sort(spec.sort_order)


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
