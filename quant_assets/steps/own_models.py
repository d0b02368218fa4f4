"""Steps of models that learn from one name alone: trained at each cut-off by the pooled model's recipe, and their scores. No decision
reads them; the pooled model's steps are in `models.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window
from quant_assets.demand import cells, demand
from quant_assets.errors import LookbackIncomplete, ModelError, QuantAssetsError
from quant_assets.membership import inside
from quant_assets.models.pooled import TrainedModel, train, training_rows
from quant_assets.models.terms import OWN_MODEL_SESSIONS, own_model
from quant_assets.schemas import TABLES
from quant_assets.steps.at_once import at_once
from quant_assets.steps.features import feature_rows, tables_of_model
from quant_assets.steps.guard import ready
from quant_assets.steps.models import Tracked, check_feature_set, keep_model, registry, scored, trained_at
from quant_assets.steps.result import StepResult
from quant_assets.steps.tuning import Chosen, chosen
from quant_assets.workspace import Workspace

ASSET = "xgboost_model"
Windows = Mapping[str, Window]


def train_own_models(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None = None) -> StepResult:
    """One model a name and cut-off, on the days on which the name was eligible; that of the night's own cut-off is registered.

    Cells before which a name has too few sessions are left out. One that cannot be trained is withheld and does not stop the others.

    Raises
    ------
    LookbackIncomplete, ModelError : none could be trained; the first reason.
    """
    last = max(window.start for window in windows.values())
    names = ready(work, tickers, dict.fromkeys((*tables_of_model(work), "labels"), Window(work.history.start, last)))
    learnt = Window(work.history.start, last)
    features = feature_rows(work, work.model_features, learnt, tickers=names.tickers).partition_by("ticker", as_dict=True)
    labels = work.lake.scan("labels", keys=names.tickers, window=learnt).filter(pl.col("label_end") <= work.as_of).collect()
    withheld = names.withheld(list(windows))

    def trained(cell: tuple[str, str]) -> tuple[TrainedModel, Chosen] | QuantAssetsError:
        ticker, cutoff = cell[0], windows[cell[1]].start

        def learnable(until: dt.date) -> pl.DataFrame:
            return inside(training_rows(features[(ticker,)], labels.filter(ticker=ticker), until), work.eligible())

        try:
            tuned = chosen(work, own_model(ticker), cutoff, learnable, n_jobs=1)
            grown = train(learnable(cutoff), cutoff, features=work.model_features, with_evidence=True, parameters=tuned.parameters)
            return grown, tuned
        except (LookbackIncomplete, ModelError) as error:
            return error

    rows, models = [], registry(work)
    runs: dict[str, Tracked] = {}
    due = _due("own_models", work, names.tickers, windows)
    for (ticker, key), told in at_once(trained, due):
        if isinstance(told, QuantAssetsError):
            withheld[ticker, key] = str(told)
            continue
        where = f"{key}|{ticker}"
        row, runs[where] = keep_model(work, models, *told, name=own_model(ticker), asset=ASSET, partition=where, run_id=run_id)
        rows.append(row)
    if not rows:
        few = f"{OWN_MODEL_SESSIONS} sessions are needed before a cut-off"
        raise ModelError(next(iter(withheld.values()), few), remedy="choose names or cut-offs with more history")
    return StepResult(pl.concat(rows), {"models": len(rows), "runs": runs}, withheld=withheld)


def _due(table: str, work: Workspace, tickers: Sequence[str], windows: Windows) -> list[tuple[str, str]]:
    """(ticker, date key) of those asked for that must hold something: a run's rectangle may hold others between them."""
    expected = cells(demand(table, work, tickers).expected)
    return [(ticker, key) for ticker in tickers for key in windows if (ticker, key) in expected]


def score_own(work: Workspace, tickers: Sequence[str], windows: Windows) -> StepResult:
    """Scores of each name's quarters by its own models, up to the night; a cell without a model is left out.

    Raises
    ------
    ModelError : none of the names has a model for any of the quarters.
    """
    models = registry(work)
    last = work.known(max(windows.values(), key=lambda window: window.end))
    names = ready(work, tickers, dict.fromkeys(tables_of_model(work), Window(work.history.start, last.end)))
    due = _due("own_scores", work, names.tickers, windows)
    if not due:
        raise ModelError("none of these names has a model of its own for these quarters", remedy="`quant-assets train --each` trains them")
    features = feature_rows(work, work.model_features, Window(work.history.start, last.end), tickers=names.tickers)
    withheld = names.withheld(list(windows))
    parts = []
    for ticker, key in due:
        name, asked = own_model(ticker), work.known(windows[key])
        try:
            trained = trained_at(work, windows[key].start, model=name)
            booster = models.load(trained["model_run_id"]).booster
            check_feature_set(trained, booster.feature_names or (), work.model_features)
        except ModelError as error:
            withheld[ticker, key] = str(error)
            continue
        mine = features.filter(pl.col("session") < asked.end, ticker=ticker)
        rows = scored(mine, booster, trained, asked, work.model_features)
        work.lake.replace("oos_predictions", rows, keys=[ticker], window=asked, scope={"model": name})
        parts.append(rows)
    return StepResult(pl.concat([TABLES["oos_predictions"].empty, *parts]), {"models": len(parts)}, withheld=withheld)
