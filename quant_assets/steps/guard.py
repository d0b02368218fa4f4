"""Before and after a step: which of the names asked for have everything it reads, and what `coverage` says of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import LookbackIncomplete
from quant_assets.lake import coverage
from quant_assets.workspace import Workspace


@dataclass(frozen=True)
class Ready:
    """`tickers` can be worked on; `missing` maps each of the others to what it lacks."""

    tickers: list[str]
    missing: dict[str, str]

    def withheld(self, windows: Sequence[str]) -> dict[tuple[str, str], str]:
        return {(ticker, window): reason for ticker, reason in self.missing.items() for window in windows}


def ready(work: Workspace, tickers: Sequence[str], needs: Mapping[str, Window]) -> Ready:
    """Names with every listed session of the needed tables stored: one that lacks something does not stop the others.

    Parameters
    ----------
    needs : by table, the step's own window and all it looks back on.

    Raises
    ------
    LookbackIncomplete : none of the names is complete; each is named with what it lacks.
    """
    missing: dict[str, str] = {}
    for table, window in needs.items():
        for ticker, told in coverage.missing_history(work.lake, table, work.universe, tickers, window).items():
            missing.setdefault(ticker, f"{table} incomplete: {told}")
    complete = [ticker for ticker in tickers if ticker not in missing]
    if tickers and not complete:
        tables = " and ".join(needs)
        raise LookbackIncomplete.of(missing, remedy=f"materialise {tables} for {next(iter(needs.values()))} first")
    return Ready(complete, missing)


def note(
    work: Workspace,
    table: str,
    tickers: Sequence[str],
    windows: Mapping[str, Window],
    *,
    run_id: str | None,
    withheld: Mapping[tuple[str, str], str],
    version: str | None = None,
    spans: pl.DataFrame | None = None,
) -> None:
    """Writes down in `coverage` what a step has done with its cells; parameters as `coverage.record`."""
    coverage.record(
        work.lake,
        table,
        work.universe,
        tickers,
        windows,
        until=work.after_as_of,
        run_id=run_id,
        written_at=work.clock(),
        reasons=withheld,
        version=version,
        spans=spans,
    )
