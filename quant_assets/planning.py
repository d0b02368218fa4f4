"""What a chain still has to do: the missing cells of each phase, cut into rectangles that one run each can fill, and what comes next.

What is missing is `demand.py`'s business, what a run does is in `steps/`. Here is only arithmetic on cells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence, Set
from dataclasses import dataclass

from quant_assets import gathered
from quant_assets.calendars import Window
from quant_assets.demand import SERIES, cells, demand
from quant_assets.demand import windows_of as windows_of_table
from quant_assets.lake import coverage
from quant_assets.settings import Settings
from quant_assets.warehouse import is_built
from quant_assets.workspace import Workspace

Cell = tuple[str, str]


@dataclass(frozen=True)
class Rectangle:
    """What one run asks for: adjacent tickers, in the universe's order, times adjacent windows; no tickers on a grid without them."""

    tickers: tuple[str, ...]
    windows: tuple[str, ...]


@dataclass(frozen=True)
class Phase:
    """One job of the night: its name, and the tables whose cells tell whether there is work.

    Parameters
    ----------
    beside : what is lost there stops nothing, and nothing that was lost before keeps it from running: no decision needs it. Features read
        what was published, and are null where nothing is there.
    at_once : a run takes as long for many windows as for one.
    """

    name: str
    tables: tuple[str, ...]
    beside: bool = False
    at_once: bool = False

    @property
    def by_ticker(self) -> bool:
        return self.tables[0] not in SERIES and self.name not in ("report", "cross_section")


PHASES = (
    Phase("indices", ("index_prices",)),
    Phase("prices", ("prices",)),
    Phase("macro", gathered.ECONOMY, beside=True),
    Phase("companies", gathered.COMPANIES, beside=True),
    Phase("features", ("features", "labels")),
    Phase("cross_section", ("cross_section_features",)),
    Phase("train", ("model_runs",)),
    Phase("predict", ("oos_predictions",)),
    Phase("backtest", ("equity",)),
    Phase("portfolio", ("portfolio", "signal_quality", "threshold_sweep")),
    Phase("proof", ("leak_proof",), at_once=True),
    Phase("decide", ("signal", "trade_synthesis")),
    Phase("scorecard", ("quality_scorecard",), beside=True, at_once=True),
    Phase("report", ("daily_report",)),
    Phase("quotes", gathered.MARKET, beside=True),
    Phase("warehouse", ("warehouse",), beside=True),
)
ON_REQUEST = {"train": Phase("train_each", ("own_models",)), "predict": Phase("predict_each", ("own_scores",))}
"""What no night asks for, by the phase that it follows: `quant-assets train --each` and `predict` do, or a backfill."""
DECIDING = tuple(phase for phase in PHASES if not phase.beside)
"""The phases that end with the report."""
REPORT, WAREHOUSE = DECIDING[-1], PHASES[-1]
EVERY_PHASE = tuple(each for phase in PHASES for each in (phase, ON_REQUEST.get(phase.name)) if each)
"""In the order in which they read each other."""


@dataclass(frozen=True)
class Step:
    """The next phase of a chain and its runs. `stopped` names the phase that kept those before this one from running, if one did."""

    phase: Phase
    runs: tuple[Rectangle, ...]
    stopped: str | None


@dataclass(frozen=True)
class Losses:
    """`names` maps each name that fell out to the phase it misses a cell of; `stopped` is the phase without which nothing can follow."""

    names: dict[str, str]
    stopped: str | None


def phases(settings: Settings) -> list[Phase]:
    """Those for which the profile and the settings have assets, in order."""
    absent = set(gathered.GATHERED) - set(gathered.offered(settings))
    absent |= set() if is_built(settings) else set(WAREHOUSE.tables)
    return [phase for phase in PHASES if set(phase.tables) - absent]


def windows_of(phase: Phase, work: Workspace, *, since: dt.date | None = None) -> dict[str, Window]:
    """Date keys of the phase's grid, up to the night; for decisions from `since` on, the night alone when None."""
    return windows_of_table(phase.tables[0], work, since=since)


def missing_cells(phase: Phase, work: Workspace, *, tickers: Sequence[str], since: dt.date | None = None) -> set[Cell]:
    """Cells of the phase that are not complete up to `as_of`; on a grid without tickers the key is ALL."""
    found: set[Cell] = set()
    for table in phase.tables:
        found |= cells(demand(table, work, tickers, since=since).holes)
    return found if phase.by_ticker else {(coverage.ALL, window) for _, window in found}


def all_cells(phase: Phase, work: Workspace, *, tickers: Sequence[str], since: dt.date | None = None) -> set[Cell]:
    """Cells of the phase that must hold something by `as_of`."""
    found: set[Cell] = set()
    for table in phase.tables:
        found |= cells(demand(table, work, tickers, since=since).expected)
    return found if phase.by_ticker else {(coverage.ALL, window) for _, window in found}


def next_step(work: Workspace, after: str | None, *, decide: Sequence[str], ran: bool) -> Step | None:
    """The first phase after the named one (None: the first of all) with work to do; None when the night is complete.

    History, models and records are kept for the whole universe, so that a model's pool never depends on what was typed. After a stop only
    the report follows, which says why, and what stands beside the decisions. The report is written whenever something ran.

    Parameters
    ----------
    decide : the tickers to take a decision on.
    ran : whether the night has run anything yet.
    """
    place = 0 if after is None else [phase.name for phase in PHASES].index(after) + 1
    lost = losses(work, [phase for phase in PHASES[:place] if not phase.beside], decide=decide)
    for phase in PHASES[place:]:
        if phase is REPORT:
            if ran or missing_cells(phase, work, tickers=decide):
                return Step(phase, (Rectangle((), tuple(windows_of(phase, work))),), lost.stopped)
        elif phase.beside or not lost.stopped:
            alive = [ticker for ticker in _wanted(phase, work, decide) if phase.beside or ticker not in lost.names]
            if runs := plan(phase, work, tickers=alive):
                return Step(phase, tuple(runs), None)
    return None


def losses(work: Workspace, phases: Sequence[Phase], *, decide: Sequence[str]) -> Losses:
    """What is out after these phases: a name that misses a cell; everything, without the indices, the models or any name."""
    names: dict[str, str] = {}
    for phase in phases:
        alive = [ticker for ticker in _wanted(phase, work, decide) if ticker not in names]
        left = missing_cells(phase, work, tickers=alive)
        if not phase.by_ticker and left:
            return Losses(names, phase.name)
        names |= dict.fromkeys(sorted({ticker for ticker, _ in left}), phase.name)
        if alive and all(ticker in names for ticker in alive):
            return Losses(names, phase.name)
    return Losses(names, None)


def explain(work: Workspace, phase: Phase, rectangle: Rectangle, *, reason: str, run_id: str) -> None:
    """Writes the reason of a failed run into `coverage` for each of its cells that is still missing and was not given its own reason."""
    for table in phase.tables:
        found = demand(table, work, rectangle.tickers or work.universe.tickers)
        windows = {key: window for key, window in windows_of(phase, work).items() if key in rectangle.windows}
        coverage.fail(work.lake, table, found.expected, found.holes, windows, reason=reason, run_id=run_id)


def reasons(work: Workspace, lost: Losses) -> dict[str, str]:
    """Why each lost name is out, and under the key ALL why the chain stopped: the last reason `coverage` gives for that phase."""
    tables = {phase.name: phase.tables for phase in PHASES}
    told = {name: coverage.last_reason(work.lake, tables[phase], name, work.history) for name, phase in lost.names.items()}
    if lost.stopped:
        first = next((name for name, phase in lost.names.items() if phase == lost.stopped), coverage.ALL)
        told[coverage.ALL] = coverage.last_reason(work.lake, tables[lost.stopped], first, work.history)
    silent = {name: f"{lost.names.get(name, lost.stopped)} is incomplete after its run" for name, why in told.items() if why is None}
    return {name: why for name, why in told.items() if why is not None} | silent


def _wanted(phase: Phase, work: Workspace, decide: Sequence[str]) -> list[str]:
    return list(decide) if phase.name == "decide" else work.universe.tickers


def rectangles(cells: Set[Cell], order: Sequence[str], windows: Sequence[str], *, free: Set[Cell] = frozenset()) -> list[Rectangle]:
    """The cells as few rectangles: each ticker's windows cut into adjacent stretches, equal stretches of adjacent tickers joined.

    Parameters
    ----------
    order, windows : tickers and date keys in the order of the grid.
    free : cells that hold nothing (before a listing, names that are not traded): a rectangle may take them along to stay one.
    """
    first = min((window for _, window in cells), default="")
    open_stretches: dict[tuple[str, ...], list[str]] = {}
    between: list[str] = []
    done: list[Rectangle] = []
    for ticker in order:
        wanted = [window for window in windows if (ticker, window) in cells]
        if wanted:
            leading = [window for window in windows if first <= window < wanted[0]]
            if all((ticker, window) in free for window in leading):
                wanted = leading + wanted
        mine = _stretches(wanted, windows)
        bridged = not mine and all((ticker, window) in free for stretch in open_stretches for window in stretch)
        if bridged:
            between.append(ticker)
            continue
        for stretch in [stretch for stretch in open_stretches if stretch not in mine]:
            done.append(Rectangle(tuple(open_stretches.pop(stretch)), stretch))
        for stretch in mine:
            joined = [*between, ticker] if stretch in open_stretches else [ticker]
            open_stretches.setdefault(stretch, []).extend(joined)
        between = []
    done += [Rectangle(tuple(tickers), stretch) for stretch, tickers in open_stretches.items()]
    return sorted(done, key=lambda rectangle: (rectangle.windows, rectangle.tickers))


def plan(phase: Phase, work: Workspace, *, tickers: Sequence[str]) -> list[Rectangle]:
    """The runs that would complete the phase for these tickers, in order."""
    return runs_of(phase, work, missing_cells(phase, work, tickers=tickers))


def runs_of(phase: Phase, work: Workspace, wanted: Set[Cell], *, since: dt.date | None = None) -> list[Rectangle]:
    """The runs that fill these cells, in order."""
    windows = windows_of(phase, work, since=since)
    if wanted and phase.by_ticker:
        grid = {(ticker, window) for ticker in work.universe.tickers for window in windows}
        free = grid - all_cells(phase, work, tickers=work.universe.tickers, since=since)
        return rectangles(wanted, work.universe.tickers, list(windows), free=free)
    return [Rectangle((), rectangle.windows) for rectangle in rectangles(wanted, [coverage.ALL], list(windows))]


def _stretches(wanted: Sequence[str], windows: Sequence[str]) -> list[tuple[str, ...]]:
    position = {window: place for place, window in enumerate(windows)}
    stretches: list[list[str]] = []
    for window in wanted:
        if stretches and position[window] == position[stretches[-1][-1]] + 1:
            stretches[-1].append(window)
        else:
            stretches.append([window])
    return [tuple(stretch) for stretch in stretches]
