"""A chain: the runs of one night, phase after phase, as their tags tell it. Which phase comes next is `planning.py`'s business.

The terminal runs a chain in its own process (`nightly.py`); the daemon's is started by `schedules.py` and carried on by `sensors.py`.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from quant_assets.defs.jobs import job_name
from quant_assets.defs.partitions import range_tags
from quant_assets.defs.resources import AS_OF_TAG
from quant_assets.planning import Phase, Rectangle, Step, phases
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

NIGHT_TAG = "quant_assets/night"
PHASE_TAG = "quant_assets/phase"
ATTEMPT_TAG = "quant_assets/attempt"
TERMINAL = "terminal"
"""The attempt of a run that a command line carries out, in a chain or in a backfill."""
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
RETRIED_TAG = "dagster/will_retry"
MAX_PHASE_SECONDS = 7200
"""The daemon ends a phase that takes longer: the longest, training, takes a minute for 23 names."""
HOP_SECONDS = 120
"""A chain whose last run ended longer ago than this has no successor on its way."""


@dataclass(frozen=True)
class Link:
    """What a run's tags say of its chain."""

    night: dt.date
    attempt: str
    phase: str

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Link | None:
        """None for a run outside any chain."""
        if NIGHT_TAG not in run.tags or PHASE_TAG not in run.tags:
            return None
        return cls(dt.date.fromisoformat(run.tags[NIGHT_TAG]), run.tags.get(ATTEMPT_TAG, TERMINAL), run.tags[PHASE_TAG])


def chain_tags(work: Workspace, phase: Phase, rectangle: Rectangle, *, attempt: str) -> dict[str, str]:
    """The tags of one run of a chain. A run in this process is not the daemon's to repeat."""
    return {
        **range_tags(rectangle.tickers, rectangle.windows),
        AS_OF_TAG: work.as_of.isoformat(),
        NIGHT_TAG: work.as_of.isoformat(),
        PHASE_TAG: phase.name,
        ATTEMPT_TAG: attempt,
        **({"dagster/max_retries": "0"} if attempt == TERMINAL else {"dagster/max_runtime": str(MAX_PHASE_SECONDS)}),
    }


def requests(work: Workspace, step: Step, *, attempt: str) -> Iterator[dg.RunRequest]:
    """The runs of a step. Their keys make the same step asked for twice one step."""
    for rectangle in step.runs:
        corner = f"{rectangle.windows[0]}|{rectangle.tickers[0] if rectangle.tickers else ''}"
        yield dg.RunRequest(
            run_key=f"{work.as_of}:{attempt}:{step.phase.name}:{corner}",
            job_name=job_name(step.phase),
            tags=chain_tags(work, step.phase, rectangle, attempt=attempt),
        )


def busy_runs(instance: dg.DagsterInstance, link: Link | None = None) -> list[dg.DagsterRun]:
    """Unfinished runs of any chain, or of the link's phase; the newest first."""
    runs = [run for run in instance.get_runs(filters=dg.RunsFilter(statuses=BUSY)) if Link.of(run) is not None]
    return runs if link is None else [run for run in runs if Link.of(run) == link]


def attempts(instance: dg.DagsterInstance, night: dt.date) -> list[str]:
    """The schedule's attempts at a night so far."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={NIGHT_TAG: night.isoformat()}))
    return sorted({link.attempt for run in runs if (link := Link.of(run)) is not None and link.attempt.isdigit()})


def open_chain(settings: Settings, instance: dg.DagsterInstance) -> Link | None:
    """The chain that is at work: it has an unfinished run, or one that ended so lately that its successor is on its way."""
    if busy := busy_runs(instance):
        return Link.of(busy[0])
    last = phases(settings)[-1].name
    for record in instance.get_run_records(limit=20):
        link = Link.of(record.dagster_run)
        if link is None or link.attempt == TERMINAL:
            continue
        over = link.phase == last or record.dagster_run.status == dg.DagsterRunStatus.CANCELED
        return None if over or time.time() - (record.end_time or 0) > HOP_SECONDS else link
    return None


def bury(instance: dg.DagsterInstance, *, at_terminal: bool) -> list[dg.DagsterRun]:
    """Marks as failed the runs whose process is gone, so that nothing waits for them, or for the pool they held; returns them.

    Parameters
    ----------
    at_terminal : the caller holds the lock of the lake: every unfinished run of a terminal is dead.
    """
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=BUSY)):
        ours = at_terminal and run.tags.get(ATTEMPT_TAG) == TERMINAL
        if ours or (run.status == dg.DagsterRunStatus.STARTED and not _alive(_process_of(instance, run))):
            instance.report_run_failed(run, "The process of this run is gone: it was killed, or its machine stopped.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead.append(run)
    return dead


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """The process that last said it executes the run's steps."""
    told = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    for record in reversed(told):
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if pid is not None:
            return int(str(pid.value))
    return None


def _alive(pid: int | None) -> bool:
    """A run that has not named its process yet is given the benefit of the doubt."""
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
