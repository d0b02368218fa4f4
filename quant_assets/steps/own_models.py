"""Steps of models that learn from one name alone: trained at each cut-off by the pooled model's recipe, and their scores. No decision
reads them; the pooled model's steps are in `models.py`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import LookbackIncomplete, ModelError, QuantAssetsError
from quant_assets.interrupts import held_back
from quant_assets.membership import inside
from quant_assets.models.pooled import TrainedModel, train, training_rows
from quant_assets.models.terms import own_model
from quant_assets.schemas import TABLES
from quant_assets.steps.features import feature_rows, tables_of_model
from quant_assets.steps.guard import ready
from quant_assets.steps.models import check_feature_set, model_row, registry, scored, trained_at
from quant_assets.steps.result import StepResult
from quant_assets.steps.tuning import Chosen, chosen
from quant_assets.workspace import Workspace

ASSET = "xgboost_model"
Windows = Mapping[str, Window]


def train_own_models(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None = None) -> StepResult:
    """One model a name and cut-off, on the days on which the name was eligible; that of the night's own cut-off is registered.

    A cell that cannot be trained is withheld and does not stop the others.

    Raises
    ------
    LookbackIncomplete, ModelError : none could be trained; the first reason.
    """
    last = max(window.start for window in windows.values())
    names = ready(work, tickers, dict.fromkeys((*tables_of_model(work), "labels"), Window(work.history.start, last)))
    learnt = Window(work.history.start, last)
    features = feature_rows(work, work.model_features, learnt, tickers=names.tickers)
    labels = work.lake.scan("labels", keys=names.tickers, window=learnt).filter(pl.col("label_end") <= work.as_of).collect()
    withheld = names.withheld(list(windows))
    rows = []
    models = registry(work)
    for ticker in names.tickers:
        mine = features.filter(ticker=ticker)
        known = labels.filter(ticker=ticker)

        def learnable(cutoff: dt.date, mine: pl.DataFrame = mine, known: pl.DataFrame = known) -> pl.DataFrame:
            return inside(training_rows(mine, known, cutoff), work.eligible())

        def fitted(cutoff: dt.date, ticker: str = ticker) -> tuple[TrainedModel, Chosen] | QuantAssetsError:
            try:
                tuned, current = chosen(work, own_model(ticker), cutoff, learnable), cutoff == work.cutoff
                rows = learnable(cutoff)
                grown = train(rows, cutoff, features=work.model_features, with_evidence=current, parameters=tuned.parameters)
                return grown, tuned
            except (LookbackIncomplete, ModelError) as error:
                return error

        with held_back(), ThreadPoolExecutor(os.cpu_count()) as pool:
            found = dict(zip(windows, pool.map(fitted, [window.start for window in windows.values()]), strict=True))
            for key, told in found.items():
                if isinstance(told, QuantAssetsError):
                    withheld[ticker, key] = str(told)
                    continue
                (model, tuned), name, start = told, own_model(ticker), windows[key].start
                logged = models.log(
                    model,
                    partition=f"{key}|{ticker}",
                    asset=ASSET,
                    name=name,
                    by_fold=tuned.by_fold,
                    trials=tuned.trials,
                    dagster_run=run_id,
                    register=start == work.cutoff,
                )
                row = model_row(work, model, logged.run_id, name=name)
                day = Window(start, start + dt.timedelta(days=1))
                work.lake.replace("model_runs", row, keys=None, window=day, scope={"model": name})
                rows.append(row)
    if not rows:
        raise ModelError(next(iter(withheld.values())), remedy="choose names or cut-offs with more history")
    figures = {"models": len(rows), "page": models.page(rows[-1]["model_run_id"][0])}
    return StepResult(pl.concat(rows), figures, withheld=withheld)


def score_own(work: Workspace, tickers: Sequence[str], windows: Windows) -> StepResult:
    """Scores of each name's quarters by its own models, up to the night; a cell without a model is withheld."""
    models = registry(work)
    last = work.known(max(windows.values(), key=lambda window: window.end))
    names = ready(work, tickers, dict.fromkeys(tables_of_model(work), Window(work.history.start, last.end)))
    features = feature_rows(work, work.model_features, Window(work.history.start, last.end), tickers=names.tickers)
    withheld = names.withheld(list(windows))
    parts = [TABLES["oos_predictions"].empty]
    for ticker in names.tickers:
        name, mine = own_model(ticker), features.filter(ticker=ticker)
        for key, window in windows.items():
            asked = work.known(window)
            try:
                trained = trained_at(work, window.start, model=name)
                booster = models.load(trained["model_run_id"]).booster
                check_feature_set(trained, booster.feature_names or (), work.model_features)
            except ModelError as error:
                withheld[ticker, key] = str(error)
                continue
            rows = scored(mine.filter(pl.col("session") < asked.end), booster, trained, asked, work.model_features)
            work.lake.replace("oos_predictions", rows, keys=[ticker], window=asked, scope={"model": name})
            parts.append(rows)
    return StepResult(pl.concat(parts), {"names": len(names.tickers)}, withheld=withheld)
