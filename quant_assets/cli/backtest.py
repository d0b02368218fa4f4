"""`quant-assets backtest`: the accounts that traded the out-of-sample scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import polars as pl
from rich.table import Table

from quant_assets.backtest.metrics import Performance
from quant_assets.backtest.run import PORTFOLIO
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
    """Show every account: the user's rule, the fixed rule and buy-and-hold, for the portfolio and for each name."""
    from quant_assets.steps.reports import accounts

    work = Workspace.open(settings_for(profile))
    names = chosen(work.universe, tickers)
    window = sessions_between(start, end, work.out_of_sample)
    equity = work.lake.scan("equity", window=window).filter(pl.col("ticker").is_in([*names, PORTFOLIO])).collect()
    if equity.is_empty():
        raise LakeError(f"no account is stored in {window}", remedy="run `quant-assets run` first")
    rows = accounts(work.lake, equity, window)
    for sentence in _without_account(work, [name for name in names if name not in set(equity["ticker"])]):
        aside.print(sentence, markup=False)
    if any(demand(table, work, names).holes.height for table in ("equity", "portfolio")):
        aside.print(
            "Some accounts are missing, or were made from other scores or settings than today's: `quant-assets run` makes them again."
        )
    if as_json:
        print_json({"items": [_as_item(row) for row in rows]})
        return
    screen.print(f"Out-of-sample accounts of $10,000, {window}, costs included", soft_wrap=True)
    screen.print(_table(rows))
    for sentence in sorted({row.figures.sentence for row in rows if row.figures.sentence}):
        rules = sorted({_rule(row) for row in rows if row.figures.sentence == sentence})
        screen.print(f"{', '.join(rules)}: {sentence}", soft_wrap=True)


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
    for title in ("Return", "CAGR", "Sharpe", "Max drawdown", "Trades"):
        table.add_column(title, justify="right")
    for row in sorted(rows, key=lambda row: (row.account != "portfolio", row.ticker)):
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
