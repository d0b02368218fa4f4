"""One run of a phase in this process: the same job, tags and event log as when the daemon runs it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import dagster as dg

from quant_assets.defs.failures import failure_sentence
from quant_assets.defs.jobs import job_name
from quant_assets.logs import log_context, logger
from quant_assets.planning import Phase, Rectangle, explain
from quant_assets.workspace import Workspace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Every event is in the run's log in the UI, and the command line prints its own lines: the terminal need not repeat them."""


@dataclass(frozen=True)
class PhaseRun:
    """One run that was carried out; `stored` are the partitions that it materialised."""

    phase: str
    rectangle: Rectangle
    run_id: str
    seconds: float
    error: str | None
    stored: frozenset[str] = frozenset()


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    work: Workspace,
    phase: Phase,
    rectangle: Rectangle,
    *,
    tags: Mapping[str, str],
) -> PhaseRun:
    """Runs the phase's job on the rectangle; a failure is written into `coverage` and told in the result.

    Raises
    ------
    KeyboardInterrupt : the run was interrupted.
    """
    began = time.monotonic()
    with _interrupts() as interrupted:
        try:
            result = definitions.resolve_job_def(job_name(phase)).execute_in_process(
                instance=instance, tags=dict(tags), raise_on_error=False, run_config=QUIET
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        if interrupted():
            raise KeyboardInterrupt
    seconds = time.monotonic() - began
    error = None if result.success else _first_failure(result)
    if error is not None:
        explain(work, phase, rectangle, reason=error, run_id=result.run_id)
    with log_context(run=result.run_id, ticker=f"{rectangle.tickers[0]}..{rectangle.tickers[-1]}" if rectangle.tickers else "-"):
        told = f"{phase.name} {rectangle.windows[0]}..{rectangle.windows[-1]}: {'done' if error is None else error} in {seconds:.1f} s"
        (logger.info if error is None else logger.error)(told)
    stored = frozenset(str(event.partition) for event in result.all_events if event.is_step_materialization)
    return PhaseRun(phase.name, rectangle, result.run_id, seconds, error, stored)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether a SIGINT has come: Dagster catches it, a library in C may turn it into an error of its own, and Python drops it, with a
    traceback on the terminal, where it arrives in a callback of the garbage collector."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    shown = sys.unraisablehook

    def show(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, dg.DagsterExecutionInterruptedError):
            shown(dropped)

    sys.unraisablehook = show

    def seen() -> bool:
        with suppress(BlockingIOError):
            return signal.SIGINT in os.read(reader, 4096)
        return False

    try:
        yield seen
    finally:
        sys.unraisablehook = shown
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def _first_failure(result: dg.ExecuteInProcessResult) -> str:
    return next((told for event in result.all_events if (told := failure_sentence(event))), "the run failed before any step")
