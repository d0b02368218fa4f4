"""`quant-assets train`: models of the cut-offs asked for, and their out-of-sample scores."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.table import Table

from quant_assets.backfill import Backfill
from quant_assets.calendars import Window
from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.backfill import EXIT_CODES, carried_out, errors_of, tell_failures
from quant_assets.cli.options import End, Json, ProfileName, Start, Tickers, chosen, sessions_between, settings_for
from quant_assets.demand import OWN_MODEL_SESSIONS
from quant_assets.errors import BadArgument
from quant_assets.models.terms import MODEL_NAME, own_model
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.settings import Settings

HISTORY = ("index_prices", "prices", "features", "cross_section_features", "labels")
POOLED, EACH = ("model_runs", "oos_predictions"), ("own_models", "own_scores")


@app.command()
def train(
    start: Start = None,
    end: End = None,
    each: Annotated[bool, typer.Option("--each", help="A model of each name alone, instead of the pooled one.")] = False,
    tickers: Tickers = None,
    tune: Annotated[bool, typer.Option("--tune", help="Choose parameters by Optuna, once a calendar year.")] = False,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Train the running quarter's model, or that of each quarter from --start to --end, and score those quarters.

    What a model learns from is completed first. --tickers goes with --each: the pooled model learns from all names.
    """
    warnings.filterwarnings("ignore")  # third parties' deprecations: ours are errors in the tests
    settings = _tuned(settings_for(profile)) if tune else settings_for(profile)
    work = Workspace.open(settings)
    if tickers is not None and not each:
        raise BadArgument("--tickers goes with --each", remedy="add --each, or leave --tickers out: the pooled model learns from all names")
    names = tuple(chosen(work.universe, tickers))
    asked = Window(work.cutoff, work.after_as_of)
    if start or end:
        asked = sessions_between(start, end, work.out_of_sample)
    tables = EACH if each else POOLED
    before = Backfill(Window(work.history.start, asked.end), tuple(work.universe.tickers), HISTORY, only_missing=True)
    what = f"{wording.count(len(names), 'name')} alone" if each else MODEL_NAME
    title = f"Training of {what}, {asked}, profile {settings.profile}"
    outcome = carried_out(settings, work, [before, Backfill(asked, names, tables, only_missing=False)], title=title)
    rows = _trained(work, [own_model(name) for name in names] if each else [MODEL_NAME], asked)
    if as_json:
        print_json({"status": outcome.status, "items": rows.to_dicts(), "errors": errors_of(outcome)})
    else:
        screen.print(_table(rows))
        if lacking := [name for name in names if each and own_model(name) not in set(rows["model"])]:
            screen.print(f"{', '.join(lacking)}: no model, {OWN_MODEL_SESSIONS} sessions are needed before a cut-off", soft_wrap=True)
        screen.print("\nquant-assets predict     today's scores\nquant-assets model list  what is stored, and its record", soft_wrap=True)
    tell_failures(outcome)
    raise typer.Exit(EXIT_CODES[outcome.status])


def _tuned(settings: Settings) -> Settings:
    return settings.model_copy(update={"models": settings.models.model_copy(update={"tune": True})})


def _trained(work: Workspace, models: list[str], asked: Window) -> pl.DataFrame:
    """What `model_runs` holds of these models at the cut-offs of the quarters asked for, the newest first."""
    since = min(window.start for window in work.quarter_windows().values() if window.end > asked.start)
    rows = work.lake.scan("model_runs", window=Window(since, asked.end)).filter(pl.col("model").is_in(models)).collect()
    return rows.sort("cutoff", "model", descending=[True, False])


def _table(rows: pl.DataFrame) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown.add_column("Model", no_wrap=True)
    shown.add_column("Cut-off", no_wrap=True)
    for title in ("Rows", "Names", "Trees", "Validation AUC", "Base rate"):
        shown.add_column(title, justify="right")
    shown.add_column("MLflow run", no_wrap=True)
    for row in rows.iter_rows(named=True):
        shown.add_row(*_cells(row))
    return shown


def _cells(row: dict[str, Any]) -> list[str]:
    cutoff: dt.date = row["cutoff"]
    figures = (wording.number(row["validation_auc"]), wording.number(row["base_rate"]))
    return [row["model"], str(cutoff), f"{row['n_rows']:,}", str(row["n_tickers"]), str(row["best_round"]), *figures, row["model_run_id"]]
