"""`quant-assets predict`: the scores of a session by every model that has one, without a night around them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import polars as pl
import typer
from rich.table import Table

from quant_assets.backfill import Backfill
from quant_assets.calendars import Window, day_window
from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.backfill import EXIT_CODES, carried_out, errors_of, tell_failures
from quant_assets.cli.options import AsOf, Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.cli.train import HISTORY
from quant_assets.models.terms import MODEL_NAME, PERSISTENCE, RIDGE, own_model
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

SCORES = ("oos_predictions", "own_scores")


@app.command()
def predict(tickers: Tickers = None, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Score the names at the close of a session by the stored models; nothing is trained.

    Each score is P(close three sessions later > close) as known at that close.
    """
    warnings.filterwarnings("ignore")  # third parties' deprecations: ours are errors in the tests
    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    names = chosen(work.universe, tickers)
    from quant_assets.steps.models import trained_at  # XGBoost: after the arguments have proved sensible

    trained_at(work, work.cutoff)
    status, errors = _complete(work, names)
    rows = _scores(work, names)
    if as_json:
        print_json({"as_of": work.as_of, "status": status, "items": rows.to_dicts(), "errors": errors})
    else:
        _show(work, rows, names)
    raise typer.Exit(EXIT_CODES[status])


def _complete(work: Workspace, names: list[str]) -> tuple[str, list[dict[str, str | None]]]:
    """Fills what is missing of the history and of the quarter's scores; the status, and what failed."""
    history = Backfill(work.history, tuple(work.universe.tickers), HISTORY, only_missing=True)
    scores = Backfill(Window(work.cutoff, work.after_as_of), tuple(names), SCORES, only_missing=True)
    if not any(asked.runs(phase, work) for asked in (history, scores) for phase in asked.phases):
        return "done", []
    outcome = carried_out(work.settings, work, [history, scores], title=f"Scores of {work.as_of}, profile {work.settings.profile}")
    tell_failures(outcome)
    return outcome.status, errors_of(outcome)


def _scores(work: Workspace, names: list[str]) -> pl.DataFrame:
    """model, ticker, session, score, base_rate, cutoff, model_run_id of the session, the pooled model's first."""
    models = {MODEL_NAME: 0, RIDGE: 1, PERSISTENCE: 2, **{own_model(name): 3 for name in names}}
    rows = work.lake.scan("oos_predictions", keys=names, window=day_window(work.as_of)).filter(pl.col("model").is_in(list(models)))
    return rows.collect().sort(pl.col("model").replace_strict(models), pl.col("score").neg(), "ticker", nulls_last=True)


def _show(work: Workspace, rows: pl.DataFrame, names: list[str]) -> None:
    pooled = rows.filter(model=MODEL_NAME)
    if pooled.is_empty():
        screen.print(f"No name has a score at {work.as_of}.")
        return
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown.add_column("Ticker")
    titles = {MODEL_NAME: "Score", "base": "- base", "own": "Own model", RIDGE: "Ridge", PERSISTENCE: "Persistence"}
    others: dict[str, Callable[[str], str]] = {"own": own_model, RIDGE: lambda _: RIDGE, PERSISTENCE: lambda _: PERSISTENCE}
    scores = {(model, ticker): score for model, ticker, score in rows.select("model", "ticker", "score").iter_rows()}
    there = {kind for kind, model in others.items() if any((model(name), name) in scores for name in names)}
    for kind, title in titles.items():
        if kind not in others or kind in there:
            shown.add_column(title, justify="right")
    for row in pooled.iter_rows(named=True):
        beside = [wording.number(scores.get((model(row["ticker"]), row["ticker"]))) for kind, model in others.items() if kind in there]
        shown.add_row(row["ticker"], wording.number(row["score"]), _above(row), *beside)
    cutoff, run = pooled.select("cutoff", "model_run_id").row(0)
    screen.print(f"P(close three sessions later > close) at {work.as_of}, {MODEL_NAME} of {cutoff}, MLflow run {run}", soft_wrap=True)
    screen.print(shown)
    if pooled["score"].null_count():
        screen.print("n/a: too little history, 252 sessions are needed", soft_wrap=True)


def _above(row: dict[str, Any]) -> str:
    return wording.signed(None if row["score"] is None else row["score"] - row["base_rate"])
