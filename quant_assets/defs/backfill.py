"""A backfill without a daemon: its runs one after the other, resumed where an interrupted or killed one stopped.

What it consists of is `quant_assets.backfill`'s business. The runs are the daemon's jobs with the same range tags, so the UI's own backfill
of the same partitions leads to the same rows.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from quant_assets.backfill import Backfill
from quant_assets.defs.chain import ATTEMPT_TAG, TERMINAL
from quant_assets.defs.jobs import job_name
from quant_assets.defs.partitions import range_tags, rectangle_of
from quant_assets.defs.phase_run import PhaseRun, execute
from quant_assets.defs.resources import AS_OF_TAG
from quant_assets.planning import Phase, Rectangle, windows_of
from quant_assets.workspace import Workspace

BACKFILL_TAG = "quant_assets/backfill"
REMEMBERED_RUNS = 20


@dataclass
class Outcome:
    """`skipped` counts the runs that an interrupted backfill of the same request had finished."""

    runs: list[PhaseRun] = field(default_factory=list)
    skipped: int = 0

    @property
    def failed(self) -> list[PhaseRun]:
        return [run for run in self.runs if run.error is not None]

    @property
    def status(self) -> str:
        return "done" if not self.failed else "failed" if len(self.failed) == len(self.runs) else "partial"


class Journal:
    """The finished runs of one request, one JSON line each; it is gone once all have succeeded."""

    def __init__(self, work: Workspace, asked: Backfill) -> None:
        self._file: Path = work.lake.root.parent / "backfills" / f"{asked.id}.jsonl"
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._finished = {line for line in lines if line.endswith("]")}  # a killed writer leaves half a line

    def __contains__(self, run: tuple[Phase, Rectangle]) -> bool:
        return _line(*run) in self._finished

    def add(self, phase: Phase, rectangle: Rectangle) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as lines:
            lines.write(_line(phase, rectangle) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def close(self) -> None:
        self._file.unlink(missing_ok=True)


def run_backfill(
    definitions: Callable[[], dg.Definitions],
    instance: dg.DagsterInstance,
    work: Workspace,
    asked: Backfill,
    *,
    progress: Callable[[Phase, Rectangle, int, int], None],
) -> Outcome:
    """Runs what is asked for, phase by phase in the order of the night, so that no window comes before what it looks back on.

    Parameters
    ----------
    definitions : called before the first run.
    progress : called before each run with its phase and rectangle, its place (from 1) and the number of runs of its phase.
    """
    outcome, journal, loaded = Outcome(), Journal(work, asked), functools.cache(definitions)
    for phase in asked.phases:
        runs = asked.runs(phase, work)
        for place, rectangle in enumerate(runs, start=1):
            if not asked.only_missing and (phase, rectangle) in journal:
                outcome.skipped += 1
                continue
            progress(phase, rectangle, place, len(runs))
            tags = {
                **range_tags(rectangle.tickers, rectangle.windows),
                AS_OF_TAG: work.as_of.isoformat(),
                BACKFILL_TAG: asked.id,
                ATTEMPT_TAG: TERMINAL,
                "dagster/max_retries": "0",
            }
            run = execute(loaded(), instance, work, phase, rectangle, tags=tags)
            outcome.runs.append(run)
            if run.error is None:
                journal.add(phase, rectangle)
    if not outcome.failed:
        journal.close()
    return outcome


def seconds_a_cell(instance: dg.DagsterInstance, work: Workspace, phase: Phase) -> float | None:
    """Of a phase that does all at once, seconds a run. The median over the phase's last runs that succeeded; None when it never ran."""
    wanted = dg.RunsFilter(job_name=job_name(phase), statuses=[dg.DagsterRunStatus.SUCCESS])
    windows = list(windows_of(phase, work, since=work.settings.grids.first_decision))
    told = []
    for record in instance.get_run_records(filters=wanted, limit=REMEMBERED_RUNS):
        if record.start_time is not None and record.end_time is not None:
            tickers, dates = rectangle_of(record.dagster_run.tags, work.universe.tickers, windows)
            n_cells = 1 if phase.at_once else max(len(dates) * max(len(tickers), 1), 1)
            told.append((record.end_time - record.start_time) / n_cells)
    return statistics.median(told) if told else None


def _line(phase: Phase, rectangle: Rectangle) -> str:
    return json.dumps([phase.name, rectangle.tickers, rectangle.windows])
