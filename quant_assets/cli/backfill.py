"""`quant-assets backfill`: fills or refills the partitions of a stretch of dates, in the order in which they depend on each other."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from quant_assets.backfill import Backfill, named_tables
from quant_assets.calendars import Window
from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.options import End, Json, ProfileName, Start, Tickers, chosen, sessions_between, settings_for
from quant_assets.cli.progress import Progress
from quant_assets.inventory import incomplete
from quant_assets.lake.night_lock import night_lock
from quant_assets.logs import log_to
from quant_assets.planning import Phase, Rectangle
from quant_assets.reporting import wording
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

    from quant_assets.defs.backfill import Outcome

EXIT_CODES = {"done": 0, "failed": 1, "partial": 3}


@dataclass(frozen=True)
class Line:
    """One phase of the plan; `cells` are partitions that hold something, `seconds` is None when nothing of its kind has run yet."""

    phase: str
    windows: str
    names: int
    runs: int
    cells: int
    seconds: float | None


@app.command()
def backfill(
    start: Start = None,
    end: End = None,
    tickers: Tickers = None,
    tables: Annotated[str | None, typer.Option("--tables", metavar="A,B", help="Only what fills these tables.")] = None,
    only_missing: Annotated[bool, typer.Option("--only-missing", help="Only partitions with something missing.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and run nothing.")] = False,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Fill the partitions from --start to --end again, or only what is missing of them.

    Interrupted or killed, the same command goes on where it stopped.
    """
    warnings.filterwarnings("ignore")  # third parties' deprecations: ours are errors in the tests
    settings = settings_for(profile)
    work = Workspace.open(settings)
    window = sessions_between(start, end, work.history)
    asked = Backfill(window, tuple(chosen(work.universe, tickers)), named_tables(tables), only_missing)
    if plan:
        from quant_assets.defs.instance import open_instance

        with open_instance(settings) as instance:
            _show(_plan(instance, work, asked), window, as_json=as_json)
        return
    title = f"Backfill of {window}, profile {settings.profile}, {wording.count(len(asked.tickers), 'name')}"
    outcome = carried_out(settings, work, [asked], title=title)
    left = [] if outcome.failed else incomplete(work)
    told = f"{wording.count(len(outcome.runs), 'run')}, {len(outcome.failed)} failed"
    told += f", {outcome.skipped} already finished before" if outcome.skipped else ""
    if as_json:
        counts = {"runs": len(outcome.runs), "skipped": outcome.skipped}
        print_json({"status": outcome.status, **counts, "out_of_date": left, "errors": errors_of(outcome)})
    else:
        screen.print(told)
        if left:
            screen.print(f"What follows from it is not up to date: {', '.join(left)}; `quant-assets run` sees to that.", soft_wrap=True)
    tell_failures(outcome)
    if outcome.failed:
        aside.print("Once the cause is gone, `quant-assets backfill --only-missing` completes what failed.")
    raise typer.Exit(EXIT_CODES[outcome.status])


def carried_out(settings: Settings, work: Workspace, requests: Sequence[Backfill], *, title: str) -> Outcome:
    """What became of the requests, one after the other, under the lock of a night; none follows one with a failure.

    Raises
    ------
    LockHeld : a night or another backfill is at work.
    """
    from quant_assets.defs.backfill import Outcome, run_backfill
    from quant_assets.defs.instance import open_instance
    from quant_assets.defs.nightly import take_over

    outcome, loaded = Outcome(), functools.cache(lambda: _definitions(settings))
    with open_instance(settings) as instance, night_lock(work.lake.root):
        log_to(settings.path(settings.paths.logs))
        work.lake.check()
        work.lake.sweep()
        take_over(settings, instance)
        aside.print(title)
        for asked in requests:
            if outcome.failed:
                break
            with Runs(_plan(instance, work, asked)) as runs:
                done = run_backfill(loaded, instance, work, asked, progress=runs)
            outcome = Outcome(outcome.runs + done.runs, outcome.skipped + done.skipped)
    return outcome


def errors_of(outcome: Outcome) -> list[dict[str, str | None]]:
    """phase, message and run_id of each failed run."""
    return [{"phase": run.phase, "message": run.error, "run_id": run.run_id} for run in outcome.failed]


def tell_failures(outcome: Outcome) -> None:
    """One line a failed run, beside what is printed."""
    for run in outcome.failed:
        aside.print(f"{run.phase} {run.rectangle.windows[0]}..{run.rectangle.windows[-1]}: {run.error}", markup=False, highlight=False)


class Runs(Progress):
    """One line a run, with the time left as the runs so far and earlier ones suggest."""

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._left = {line.phase: line for line in lines}

    def __call__(self, phase: Phase, rectangle: Rectangle, place: int, n_runs: int) -> None:
        for earlier in list(self._left):
            if earlier == phase.name:
                break
            del self._left[earlier]
        first, last = rectangle.windows[0], rectangle.windows[-1]
        names = f", {wording.count(len(rectangle.tickers), 'name')}" if rectangle.tickers else ""
        span = first if first == last else f"{first}..{last}"
        self.begin(f"[{phase.name} {place}/{n_runs}] {span}{names}{self._time_left(phase, place, n_runs)}")

    def _time_left(self, phase: Phase, place: int, n_runs: int) -> str:
        shares = {name: (n_runs - place + 1) / n_runs if name == phase.name else 1.0 for name in self._left}
        known = [line.seconds * shares[name] for name, line in self._left.items() if line.seconds is not None]
        return f", about {duration(sum(known))} left" if len(known) == len(self._left) and known else ""


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plan(instance: Any, work: Workspace, asked: Backfill) -> list[Line]:
    from quant_assets.defs.backfill import seconds_a_cell

    lines = []
    for phase in asked.phases:
        runs = asked.runs(phase, work)
        if not runs:
            continue
        windows = sorted({window for run in runs for window in run.windows})
        cells = asked.cells(phase, work, runs)
        names = len({key for key, _ in cells}) if phase.by_ticker else 0
        # What the times of earlier runs are counted in too.
        taken = len(runs) if phase.at_once else sum(len(run.windows) * max(len(run.tickers), 1) for run in runs)
        tuned = phase.name.startswith("train") and work.settings.models.tune  # as long as its trials, and short once they are stored
        each = None if tuned else seconds_a_cell(instance, work, phase)
        span = windows[0] if len(windows) == 1 else f"{windows[0]}..{windows[-1]}"
        lines.append(Line(phase.name, span, names, len(runs), len(cells), None if each is None else each * taken))
    return lines


def _show(lines: Sequence[Line], window: Window, *, as_json: bool) -> None:
    if as_json:
        print_json({"items": [dataclasses.asdict(line) for line in lines]})
        return
    if not lines:
        screen.print(f"Nothing to do in {window}.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("Phase", "Windows"):
        table.add_column(title)
    for title in ("Names", "Runs", "Partitions", "Time"):
        table.add_column(title, justify="right")
    for line in lines:
        seconds = "not known yet" if line.seconds is None else f"about {duration(line.seconds)}"
        table.add_row(line.phase, line.windows, str(line.names or ""), str(line.runs), f"{line.cells:,}", seconds)
    screen.print(f"Backfill of {window}, in this order")
    screen.print(table)
    known = [line.seconds for line in lines if line.seconds is not None]
    if len(known) == len(lines):
        screen.print(f"All together about {duration(sum(known))}, as the last runs suggest.")


def _definitions(settings: Settings) -> dg.Definitions:
    from quant_assets.definitions import build_defs

    return build_defs(settings)
