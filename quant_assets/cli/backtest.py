"""`quant-assets backtest`: the accounts that traded the out-of-sample scores, as a table and as a tear sheet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.metrics import Performance
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.calendars import Window
from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.options import End, Json, ProfileName, Start, Tickers, chosen, sessions_between, settings_for
from quant_assets.demand import demand
from quant_assets.eligibility import tradable_tickers
from quant_assets.errors import LakeError
from quant_assets.reporting import wording
from quant_assets.reporting.inputs import PerformanceRow
from quant_assets.workspace import Workspace

LISTED_NAMES = 8


@app.command()
def backtest(tickers: Tickers = None, start: Start = None, end: End = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Show every account: the user's rule, the fixed rule and buy-and-hold, and write their tear sheet.

    The sheet is of the portfolio over all names; of the chosen names' own accounts with --tickers.
    """
    from quant_assets.steps.reports import accounts

    work = Workspace.open(settings_for(profile))
    names = chosen(work.universe, tickers)
    window = sessions_between(start, end, work.out_of_sample)
    equity = work.lake.scan("equity", window=window).filter(pl.col("ticker").is_in([*names, PORTFOLIO])).collect()
    if equity.is_empty():
        raise LakeError(f"no account is stored in {window}", remedy="run `quant-assets run` first")
    rows = accounts(work.lake, equity, window)
    booked = [name for name in names if name in set(equity["ticker"])]
    notes = [*_without_account(work, [name for name in names if name not in booked])]
    if any(demand(table, work, names).holes.height for table in ("equity", "portfolio")):
        notes.append(
            "Some accounts are missing, or were made from other scores or settings than today's: `quant-assets run` makes them again."
        )
    for sentence in notes:
        aside.print(sentence, markup=False)
    shown = None if tickers is None else booked
    if as_json:
        print_json({"items": [_as_item(row) for row in rows], "tear_sheet": _sheet(work, equity, window, shown, notes)})
        return
    screen.print(f"Out-of-sample accounts of $10,000, {window}, costs included", soft_wrap=True)
    screen.print(_table(rows))
    for sentence in sorted({row.figures.sentence for row in rows if row.figures.sentence}):
        rules = sorted({_rule(row) for row in rows if row.figures.sentence == sentence})
        screen.print(f"{', '.join(rules)}: {sentence}", soft_wrap=True)
    if files := _sheet(work, equity, window, shown, notes):
        aside.print(f"Tear sheet  {files['html']}", markup=False)


def _sheet(work: Workspace, equity: pl.DataFrame, window: Window, names: list[str] | None, notes: list[str]) -> dict[str, Path] | None:
    """Writes the tear sheet; None where no account of what was asked for is stored."""
    from quant_assets.reporting.tear_sheet import write_tear_sheet
    from quant_assets.steps.tear_sheets import gather, page_file

    if names == [] or (names is None and PORTFOLIO not in set(equity["ticker"])):
        aside.print("No tear sheet: no account of these names is stored.")
        return None
    sheet = gather(work, equity, window, names=names, notes=notes)
    return dict(zip(("html", "csv", "parquet"), write_tear_sheet(sheet, page_file(work, window, names)), strict=True))


def _without_account(work: Workspace, names: list[str]) -> Iterator[str]:
    traded = set(tradable_tickers(work))
    for told, group in (
        ("adjusted closes only: ranked, not traded", [name for name in names if name not in traded]),
        ("no score in these sessions", [name for name in names if name in traded]),
    ):
        if group:
            yield f"No account for {', '.join(group) if len(group) <= LISTED_NAMES else wording.count(len(group), 'name')} ({told})"


def _rule(row: PerformanceRow) -> str:
    return row.strategy.replace("_", " ")


def _as_item(row: PerformanceRow) -> dict[str, Any]:
    return {"strategy": row.strategy, "account": row.account, "ticker": row.ticker, **dataclasses.asdict(row.figures)}


def _table(rows: list[PerformanceRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("Account", "Rule"):
        table.add_column(title)
    for title in ("Return", "CAGR", "Sharpe", "Max drawdown", "Entries"):
        table.add_column(title, justify="right")
    for row in sorted(rows, key=lambda row: (row.account != "portfolio", row.ticker, STRATEGIES.index(row.strategy))):
        table.add_row(row.ticker, _rule(row), *_cells(row.figures))
    return table


def _cells(figures: Performance) -> tuple[str, ...]:
    if figures.total_return is None:
        return ("", "", "", "", "no trades")
    return (
        wording.percent(figures.total_return),
        wording.percent(figures.cagr) if figures.cagr is not None else "",
        wording.number(figures.sharpe, 2) if figures.sharpe is not None else "",
        wording.percent(figures.max_drawdown) if figures.max_drawdown is not None else "",
        str(figures.n_entries or "0 (held before)"),
    )
