"""A night without a daemon: the phases' jobs, one after the other, on the same instance and with the same tags as from the UI.

What comes next is `planning.py`'s business. A name that fails falls out of the rest of the night and is named at its end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from quant_assets.defs.chain import TERMINAL, bury, chain_tags, open_chain
from quant_assets.defs.phase_run import PhaseRun, execute
from quant_assets.errors import LockHeld
from quant_assets.lake.coverage import ALL
from quant_assets.planning import DECIDING, Step, losses, next_step, phases, reasons
from quant_assets.settings import Settings
from quant_assets.steps.reports import report_files
from quant_assets.workspace import Workspace


@dataclass
class Outcome:
    """What a night did.

    Parameters
    ----------
    failed : each name without a decision, with the reason.
    stopped : why the chain ended early, if it did.
    beside : by phase that no decision reads, the names that it lost, with the reasons; ALL where it knows no names.
    """

    runs: list[PhaseRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    beside: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return "failed" if self.stopped else "partial" if self.failed or any(self.beside.values()) else "done"


def take_over(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Ends what a killed run left open; call it under the lock.

    Raises
    ------
    LockHeld : the daemon is at work on a night.
    """
    bury(instance, at_terminal=True)
    if (link := open_chain(settings, instance)) is not None:
        raise LockHeld(
            f"the scheduled night of {link.night} is at its phase {link.phase}", remedy="wait for it to end, or cancel it in the UI"
        )


def run_night(
    definitions: Callable[[], dg.Definitions],
    instance: dg.DagsterInstance,
    work: Workspace,
    *,
    decide: Sequence[str],
    progress: Callable[[Step], None],
) -> Outcome:
    """Completes every phase up to `as_of`.

    Parameters
    ----------
    definitions : called before the first run, so that a night with nothing to do does not wait for them.
    decide : the tickers to take a decision on.
    progress : called before each phase that has work.
    """
    outcome, loaded = Outcome(), functools.cache(definitions)
    after: str | None = None
    while step := next_step(work, after, decide=decide, ran=bool(outcome.runs) or not all(file.exists() for file in report_files(work))):
        progress(step)
        for rectangle in step.runs:
            tags = chain_tags(work, step.phase, rectangle, attempt=TERMINAL)
            outcome.runs.append(execute(loaded(), instance, work, step.phase, rectangle, tags=tags))
        after = step.phase.name
    if outcome.runs:
        lost = losses(work, DECIDING, decide=decide)
        outcome.failed = reasons(work, lost)
        outcome.stopped = outcome.failed.pop(ALL, None)
        beside = [phase for phase in phases(work.settings) if phase.beside]
        outcome.beside = {phase.name: reasons(work, losses(work, [phase], decide=decide)) for phase in beside}
    return outcome
