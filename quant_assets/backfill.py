"""A backfill: which phases fill the tables asked for, in runs small enough that little is lost with one. `defs/backfill.py` runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument
from quant_assets.lake import coverage
from quant_assets.planning import EVERY_PHASE, ON_REQUEST, Cell, Phase, Rectangle, all_cells, missing_cells, runs_of, windows_of
from quant_assets.workspace import Workspace

FILLS = {
    **{table: (phase.name,) for phase in EVERY_PHASE for table in phase.tables},
    **dict.fromkeys(("equity", "trades"), ("backtest", "portfolio")),
    **dict.fromkeys(("signal", "trade_synthesis"), ("proof", "decide")),
}
"""The phases that write each table a user can name."""
DECISIONS = ("signal", "trade_synthesis", "daily_report")
LEFT_OUT = ("leak_proof", "quality_scorecard", *DECISIONS, *(table for phase in ON_REQUEST.values() for table in phase.tables))
DEFAULT_TABLES = tuple(table for table in FILLS if table not in LEFT_OUT)
"""Without `--tables`: history, pooled models, scores and accounts. Decisions of the past are proven and made only when they are named."""

NAMES_A_RUN = 50
WINDOWS_A_RUN = {"train": 4, "train_each": 8, "predict": 8, "predict_each": 8, "decide": 20, "report": 20}
"""Phases that can be cut in time; the others read a name's whole history anyway, or walk an account from its beginning."""


@dataclass(frozen=True)
class Backfill:
    """What was asked for.

    Parameters
    ----------
    window : dates; every partition that it touches is filled whole.
    """

    window: Window
    tickers: tuple[str, ...]
    tables: tuple[str, ...]
    only_missing: bool

    @property
    def id(self) -> str:
        """12 hexadecimal digits: the same request has the same."""
        told = f"{self.window} {','.join(self.tickers)} {','.join(self.tables)} {self.only_missing}"
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def phases(self) -> list[Phase]:
        names = {name for table in self.tables for name in FILLS[table]}
        return [phase for phase in EVERY_PHASE if phase.name in names]

    def runs(self, phase: Phase, work: Workspace) -> list[Rectangle]:
        """The runs of one phase, in the order of their dates; what is missing is asked of the lake as it is now."""
        since = self.window.start
        find = missing_cells if self.only_missing else all_cells
        touched = {
            key
            for key, window in windows_of(phase, work, since=since).items()
            if window.start < self.window.end and self.window.start < window.end
        }
        wanted = {cell for cell in find(phase, work, tickers=self.tickers, since=since) if cell[1] in touched}
        return [part for whole in runs_of(phase, work, wanted, since=since) for part in _parts(phase, whole)]

    def cells(self, phase: Phase, work: Workspace, runs: Sequence[Rectangle]) -> set[Cell]:
        """The cells of these runs that hold something: a rectangle may take others along, before a listing, to stay one."""
        taken = {(ticker, window) for run in runs for ticker in run.tickers or (coverage.ALL,) for window in run.windows}
        return taken & all_cells(phase, work, tickers=work.universe.tickers, since=self.window.start)


def named_tables(text: str | None) -> tuple[str, ...]:
    """The tables of `--tables`, in the order of the night. Raises BadArgument on one that no phase fills."""
    if text is None:
        return DEFAULT_TABLES
    named = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in FILLS]
    if unknown or not named:
        raise BadArgument(f"--tables {text!r}: no such table {', '.join(unknown)}".rstrip(), remedy=f"choose from {', '.join(FILLS)}")
    return tuple(table for table in FILLS if table in named)


def _parts(phase: Phase, whole: Rectangle) -> list[Rectangle]:
    n_windows = WINDOWS_A_RUN.get(phase.name, len(whole.windows))
    dates = [whole.windows[place : place + n_windows] for place in range(0, len(whole.windows), n_windows)]
    if not phase.by_ticker:
        return [Rectangle((), part) for part in dates]
    names: list[Sequence[str]] = [whole.tickers[place : place + NAMES_A_RUN] for place in range(0, len(whole.tickers), NAMES_A_RUN)]
    return [Rectangle(tuple(group), part) for part in dates for group in names]
