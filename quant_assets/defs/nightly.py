"""A night without a daemon: the phases' jobs, one after the other, on the same instance and with the same tags as from the UI.

What is still to do is `planning.py`'s business. A name that fails is dropped from the rest of the night and named at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import dagster as dg

from quant_assets.defs.jobs import job_name
from quant_assets.defs.partitions import range_tags
from quant_assets.defs.resources import AS_OF_TAG
from quant_assets.lake.night_lock import night_lock
from quant_assets.logs import log_context, logger
from quant_assets.planning import PHASES, Phase, Rectangle, missing_cells, plan
from quant_assets.workspace import Workspace

NIGHT_TAG = "quant_assets/night"
PHASE_TAG = "quant_assets/phase"
SHOWN = ("backtest", "portfolio", "decide")
"""Phases whose work the report shows: it is written again when one of them ran."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Every event is in the run's log in the UI, and a night prints its own lines: the terminal need not repeat them."""


@dataclass(frozen=True)
class PhaseRun:
    """One run that was carried out."""

    phase: str
    rectangle: Rectangle
    run_id: str
    seconds: float
    error: str | None


@dataclass
class Outcome:
    """What a night did. `failed` maps each dropped name to its reason; `stopped` says why the chain ended early, if it did."""

    runs: list[PhaseRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def status(self) -> str:
        return "failed" if self.stopped else "partial" if self.failed else "done"


Progress = Callable[[Phase, Sequence[Rectangle]], None]


def one_at_a_time(work: Workspace) -> AbstractContextManager[None]:
    """The lock of the night's lake; see `lake/night_lock.py`."""
    return night_lock(work.lake.root)


def run_night(
    definitions: dg.Definitions, instance: dg.DagsterInstance, work: Workspace, *, decide: Sequence[str], progress: Progress
) -> Outcome:
    """Completes every phase up to `as_of`.

    History, models and records are kept for the whole universe, so that a model's pool never depends on what was typed.

    Parameters
    ----------
    decide : the tickers to take a decision on.
    progress : called before each phase with the runs it will make (none: nothing to do).
    """
    outcome = Outcome()
    for phase in PHASES:
        wanted = list(decide) if phase.name == "decide" else work.universe.tickers
        alive = [ticker for ticker in wanted if ticker not in outcome.failed]
        todo = plan(phase, work, tickers=alive)
        if phase.name == "report" and not todo and any(run.phase in SHOWN for run in outcome.runs):
            todo = [Rectangle((), (work.as_of.isoformat(),))]
        progress(phase, todo)
        for rectangle in todo:
            _fill(definitions, instance, work, phase, rectangle, outcome)
        left = missing_cells(phase, work, tickers=alive)
        if not phase.by_ticker and left:
            errors = [run.error for run in outcome.runs if run.phase == phase.name and run.error]
            outcome.stopped = errors[-1] if errors else f"{phase.name} is incomplete after its run"
            return outcome
        for ticker in sorted({ticker for ticker, _ in left}):
            outcome.failed[ticker] = _why(outcome, phase, ticker)
        if phase.by_ticker and alive and all(ticker in outcome.failed for ticker in alive):
            outcome.stopped = f"no name got through {phase.name}: {outcome.failed[alive[0]]}"
            return outcome
    return outcome


def _fill(
    definitions: dg.Definitions, instance: dg.DagsterInstance, work: Workspace, phase: Phase, rectangle: Rectangle, outcome: Outcome
) -> None:
    """One run; one that leaves nothing for any of its names is repeated by halves, so that a bad name cannot stop the others.

    When both halves fail with the same words the cause is not a name, and halving ends.
    """
    run = _execute(definitions, instance, work, phase, rectangle)
    outcome.runs.append(run)
    pending = [run]
    while pending:
        whole = pending.pop()
        if not _nothing_done(work, phase, whole) or len(whole.rectangle.tickers) < 2:
            continue
        tickers, windows = whole.rectangle.tickers, whole.rectangle.windows
        half = len(tickers) // 2
        parts = [_execute(definitions, instance, work, phase, Rectangle(part, windows)) for part in (tickers[:half], tickers[half:])]
        outcome.runs += parts
        if len({part.error for part in parts}) > 1:
            pending += parts


def _nothing_done(work: Workspace, phase: Phase, run: PhaseRun) -> bool:
    tickers = set(run.rectangle.tickers)
    return run.error is not None and {ticker for ticker, _ in missing_cells(phase, work, tickers=run.rectangle.tickers)} >= tickers


def _execute(definitions: dg.Definitions, instance: dg.DagsterInstance, work: Workspace, phase: Phase, rectangle: Rectangle) -> PhaseRun:
    tags = {
        **range_tags(rectangle.tickers, rectangle.windows),
        AS_OF_TAG: work.as_of.isoformat(),
        NIGHT_TAG: work.as_of.isoformat(),
        PHASE_TAG: phase.name,
    }
    began = time.monotonic()
    try:
        result = definitions.resolve_job_def(job_name(phase)).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False, run_config=QUIET
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    seconds = time.monotonic() - began
    error = None if result.success else _message(result)
    with log_context(run=result.run_id, ticker=f"{rectangle.tickers[0]}..{rectangle.tickers[-1]}" if rectangle.tickers else "-"):
        told = f"{phase.name} {rectangle.windows[0]}..{rectangle.windows[-1]}: {'done' if error is None else error} in {seconds:.1f} s"
        (logger.info if error is None else logger.error)(told)
    return PhaseRun(phase.name, rectangle, result.run_id, seconds, error)


def _message(result: dg.ExecuteInProcessResult) -> str:
    """The first failed step's own sentence, without the wrapping."""
    failures = [event for event in result.all_events if event.is_step_failure]
    if not failures:
        return "the run failed before any step"
    error = failures[0].step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    data = failures[0].step_failure_data.user_failure_data
    if data is not None and data.description:
        return data.description
    return error.message.split(": ", 1)[-1].strip().splitlines()[0] if error else "the step failed"


def _why(outcome: Outcome, phase: Phase, ticker: str) -> str:
    told = [run.error for run in outcome.runs if run.phase == phase.name and run.error and ticker in run.rectangle.tickers]
    return told[-1] if told else f"{phase.name} is incomplete after its run"
