"""`quant-assets train`: models of the cut-offs asked for, and their out-of-sample scores."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from quant_assets.backfill import Backfill
from quant_assets.calendars import Window
from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.backfill import EXIT_CODES, carried_out, errors_of, tell_failures
from quant_assets.cli.options import End, Json, ProfileName, Start, Tickers, chosen, sessions_between, settings_for
from quant_assets.errors import BadArgument
from quant_assets.models.terms import MODEL_NAME, OWN_MODEL_SESSIONS, own_model
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.defs.backfill import Outcome
    from quant_assets.settings import Settings

HISTORY = ("index_prices", "prices", "features", "cross_section_features", "labels")
NEXT = """
quant-assets predict     today's scores
quant-assets run         decisions, accounts and report by them
quant-assets model list  what is stored, and its record"""
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
    with _trials_told():
        outcome = carried_out(settings, work, [before, Backfill(asked, names, tables, only_missing=False)], title=title)
    rows = _trained(work, [own_model(name) for name in names] if each else [MODEL_NAME], asked, outcome)
    young = {name: _too_young(work, name, asked) for name in names if each and own_model(name) not in set(rows["model"])}
    lacking = [] if outcome.failed else [why for why in young.values() if why]
    status = outcome.status
    if lacking:
        status = "failed" if rows.is_empty() else "partial"
    if as_json:
        unmade: list[dict[str, str | None]] = [{"phase": "train_each", "message": why, "run_id": None} for why in lacking]
        print_json({"status": status, "items": rows.to_dicts(), "errors": [*errors_of(outcome), *unmade]})
    elif rows.height:
        screen.print(_table(rows))
        if tune and not each:
            _tell_untuned(work, asked)
        from quant_assets.steps.models import registry  # MLflow: after the arguments have proved sensible

        if waiting := registry(work).waiting():
            screen.print(f"\n{waiting}", soft_wrap=True)
        screen.print(NEXT, soft_wrap=True)
    tell_failures(outcome)
    for why in lacking:
        aside.print(f"error: {why}.", soft_wrap=True)
    raise typer.Exit(EXIT_CODES[status])


def _too_young(work: Workspace, name: str, asked: Window) -> str | None:
    """Why a name can have no model of its own at any cut-off asked for; None where it can."""
    last = max(window.start for window in work.quarter_windows().values() if window.start < asked.end)
    there = work.lake.scan("prices", keys=[name], window=Window(work.history.start, last)).collect().height
    if there >= OWN_MODEL_SESSIONS:
        return None
    what = f"{there:,} sessions before {last}, {OWN_MODEL_SESSIONS:,} are needed for a model of its own"
    return f"{name}: {what}; leave it to the pooled model"


def _tell_untuned(work: Workspace, asked: Window) -> None:
    quarters = work.quarter_windows().values()
    n_tuned = sum(window.start < asked.end and asked.start < window.end for window in quarters)
    if n_tuned < len(quarters):
        told = f"Tuned: {n_tuned} of {wording.count(len(quarters), 'cut-off')}; the others keep their parameters"
        screen.print(f"{told}; `--tune --start {work.out_of_sample.start}` tunes them all.", soft_wrap=True)


class _Trials(logging.Handler):
    """Every tenth trial of a study, and what it chose, below the line of the run at work."""

    def emit(self, record: logging.LogRecord) -> None:
        done, of = getattr(record, "trial", (0, 0))
        if done % 10 == 0 or done == of:
            aside.print(f"\n  {record.getMessage()}", end="", markup=False)


@contextmanager
def _trials_told() -> Iterator[None]:
    from quant_assets.steps.tuning import LOGGER  # after the arguments have proved sensible

    told, handler = logging.getLogger(LOGGER), _Trials()
    told.addHandler(handler)
    try:
        yield
    finally:
        told.removeHandler(handler)


def _tuned(settings: Settings) -> Settings:
    return settings.model_copy(update={"models": settings.models.model_copy(update={"tune": True})})


def _trained(work: Workspace, models: list[str], asked: Window, outcome: Outcome) -> pl.DataFrame:
    """What `model_runs` holds of these models at the cut-offs of the quarters asked for, the newest first; where a run failed, what was
    stored now."""
    quarters = work.quarter_windows()
    since = min(window.start for window in quarters.values() if window.end > asked.start)
    rows = work.lake.scan("model_runs", window=Window(since, asked.end)).filter(pl.col("model").is_in(models)).collect()
    if outcome.failed:
        stored = {partition for run in outcome.runs if run.phase.startswith("train") for partition in run.stored}
        partition = pl.col("cutoff").replace_strict({window.start: key for key, window in quarters.items()}, return_dtype=pl.String)
        alone = pl.col("model").str.strip_prefix(own_model(""))
        rows = rows.filter(partition.is_in(stored) | pl.concat_str(partition, pl.lit("|"), alone).is_in(stored))
    return rows.sort("cutoff", "model", descending=[True, False])


def _table(rows: pl.DataFrame) -> Table:
    """It fits 80 columns; whole run ids are in `--json`."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("Model", "Cut-off"):
        shown.add_column(title, no_wrap=True)
    for title in ("Rows", "Names", "Trees", "Held\nAUC", "Base\nrate"):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("MLflow\nrun", no_wrap=True)
    for row in rows.iter_rows(named=True):
        figures = (wording.number(row["validation_auc"]), wording.number(row["base_rate"]))
        counts = (f"{row['n_rows']:,}", str(row["n_tickers"]), str(row["best_round"]))
        shown.add_row(row["model"], str(row["cutoff"]), *counts, *figures, row["model_run_id"][:8])
    return shown
