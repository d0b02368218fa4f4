"""`quant-assets data`: what is stored, what is missing and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import typer
from rich.table import Table

from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.options import AsOf, Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.gathered import COMPANIES, ECONOMY
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.inventory import Inventory

group = typer.Typer(help="What is stored, what is missing and why.", no_args_is_help=True)
app.add_typer(group, name="data")
SHOWN, LISTED_NAMES = 20, 5
UNITS = {"model_runs": "model", **dict.fromkeys(("warehouse", *ECONOMY, *COMPANIES), "year")}
"""What a table is counted in that has no row a session."""


@group.callback()
def _data() -> None:
    """What is stored, what is missing and why."""


@group.command()
def coverage(tickers: Tickers = None, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Every partition against the calendar: complete, or what is missing of it and why."""
    from quant_assets.inventory import inventory

    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    found = inventory(work, chosen(work.universe, tickers))
    if as_json:
        told = {**found.damaged, **found.unknown}
        errors = [{"table": table, "message": error.message, "remedy": error.remedy} for table, error in told.items()]
        print_json({"items": found.cells.to_dicts(), "errors": errors})
        raise typer.Exit(1 if errors else 0)
    screen.print(f"Up to {work.as_of}, profile {work.settings.profile}")
    screen.print(_by_table(found))
    screen.print()
    for table, error in found.damaged.items():
        screen.print(f"{table}: damaged: {error}", soft_wrap=True, markup=False)
    for why in dict.fromkeys(map(str, found.unknown.values())):
        who = ", ".join(table for table, error in found.unknown.items() if str(error) == why)
        screen.print(f"{who}: not known: {why}", soft_wrap=True, markup=False)
    gaps = _gaps(found.cells)
    for table, names, span, missing, status, reason in gaps.head(SHOWN).iter_rows():
        who = ", ".join(names) if len(names) <= LISTED_NAMES else wording.count(len(names), "name")
        why = f": {reason}" if reason else ""
        screen.print(
            f"{table} {span}, {who}: {status}, {wording.count(missing, UNITS.get(table, 'session'))}{why}", soft_wrap=True, markup=False
        )
    if gaps.height > SHOWN:
        screen.print(f"and {gaps.height - SHOWN} more; --json lists every partition")
    if found.damaged or found.unknown:
        raise typer.Exit(1)
    screen.print("`quant-assets backfill --only-missing` completes them." if gaps.height else "Nothing is missing.")


@group.command()
def download(profile: ProfileName = None) -> None:
    """Download Kaggle's histories of all US stocks and ETFs into the folder of native files, once (half a gigabyte)."""
    from quant_assets.sources.kaggle_download import download as fetch_set
    from quant_assets.sources.native_files import native_folder

    settings = settings_for(profile)
    screen.print(f"{wording.count(fetch_set(settings), 'new file')} in {native_folder(settings)}", soft_wrap=True)


def _by_table(found: Inventory) -> Table:
    totals = found.cells.group_by("table", maintain_order=True).agg(
        whole=(pl.col("status") == "complete").sum(), n=pl.len(), present=pl.col("present").sum(), expected=pl.col("expected").sum()
    )
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown.add_column("Table")
    for title in ("Partitions complete", "Sessions there"):
        shown.add_column(title, justify="right")
    for table, whole, n, present, expected in totals.iter_rows():
        unit = f" {UNITS[table]}s" if table in UNITS else ""
        shown.add_row(table, f"{whole:,} of {n:,}", f"{present:,} of {expected:,}{unit}")
    for word, tables in (("damaged", found.damaged), ("not known", found.unknown)):
        for table in tables:
            shown.add_row(table, word)
    return shown


def _gaps(cells: pl.DataFrame) -> pl.DataFrame:
    """table, names, windows, missing sessions, status, reason: incomplete partitions, those of one reason as one line."""
    span = pl.when(pl.col("first") == pl.col("last")).then("first").otherwise(pl.format("{}..{}", "first", "last"))
    return (
        cells.filter(pl.col("status") != "complete")
        .group_by("table", "ticker", "status", "reason", maintain_order=True)
        .agg(first=pl.col("window").min(), last=pl.col("window").max(), missing=(pl.col("expected") - pl.col("present")).sum())
        .group_by("table", span.alias("span"), "status", "reason", maintain_order=True)
        .agg(names=pl.col("ticker"), missing=pl.col("missing").sum())
        .select("table", "names", "span", "missing", "status", "reason")
    )
