"""Steps that learn and score: the pooled model of each cut-off, and the out-of-sample scores of the quarter after it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import LookbackIncomplete, ModelError, QuantAssetsError
from quant_assets.features.catalog import feature_set_hash
from quant_assets.interrupts import held_back
from quant_assets.lake import coverage
from quant_assets.membership import inside
from quant_assets.models import rivals
from quant_assets.models.pooled import TrainedModel, importances, predict, train, training_rows, with_history
from quant_assets.models.terms import EXPERIMENT, LAST_MOVE, MODEL_NAME, retrain
from quant_assets.schemas import TABLES
from quant_assets.steps.at_once import at_once
from quant_assets.steps.features import feature_rows, tables_of_model
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.steps.tuning import Chosen, chosen
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    import xgboost as xgb

    from quant_assets.models.registry import ModelRegistry

Windows = Mapping[str, Window]
Tracked = tuple[str, str | None, str | None]
"""A run's id in MLflow, where it is shown, None while it waits, and the version that it is registered as, None where it is not."""


def registry(work: Workspace) -> ModelRegistry:
    from quant_assets.models.registry import ModelRegistry  # MLflow takes two seconds to import: only for who reads or writes models

    settings, server = work.settings, work.settings.models.tracking_uri
    return ModelRegistry(server or settings.mlflow_uri, None if server else settings.mlflow_artifacts, settings.waiting_runs)


def train_pooled_models(work: Workspace, windows: Windows, *, run_id: str | None = None) -> StepResult:
    """One model a cut-off on all names whose history before it is complete, each on the days on which it was eligible; the night's own
    cut-off gets bootstrap members and is registered. The figures are those of the last one. A cut-off that cannot be trained is withheld
    and does not stop the others.

    Raises
    ------
    LookbackIncomplete, ModelError : none could be trained; the first reason.
    """
    last = max(window.start for window in windows.values())
    learnt = Window(work.history.start, last)
    features = feature_rows(work, read_of(work), learnt)
    labels = work.lake.scan("labels", window=learnt).filter(pl.col("label_end") <= work.as_of).collect()
    refused: dict[str, QuantAssetsError] = {}
    due = []
    for key, window in windows.items():
        try:
            pool = complete_names(work, Window(work.history.start, window.start))
            learnable = _learnable(work, features.lazy().filter(pl.col("ticker").is_in(pool)), labels)
            tuned = chosen(work, MODEL_NAME, window.start, learnable, n_jobs=os.cpu_count() or 1)
            due.append(_Due(key, window.start, pool, learnable, tuned))
        except (LookbackIncomplete, ModelError) as error:
            refused[key] = error

    def taught(one: _Due) -> tuple[TrainedModel, dict[str, bytes]] | ModelError:
        known = one.learnable(one.cutoff)
        try:
            model = train(
                known,
                one.cutoff,
                features=work.model_features,
                with_members=one.cutoff == work.cutoff,
                with_evidence=True,
                parameters=one.tuned.parameters,
            )
            return model, rivals.taught(known, work.model_features)
        except ModelError as error:
            return error

    models = registry(work)
    rows = []
    figures: dict[str, object] = {}
    runs: dict[str, Tracked] = {}
    for one, told in at_once(taught, due):
        if isinstance(told, ModelError):
            refused[one.key] = told
            continue
        model, beside = told
        row, runs[one.key] = keep_model(
            work, models, model, one.tuned, name=MODEL_NAME, asset=EXPERIMENT, partition=one.key, run_id=run_id, files=beside
        )
        rows.append(row)
        figures = {"gains": importances(model.booster), "runs": runs, "pool": one.pool}
    if not rows:
        raise next(iter(refused.values()))
    return StepResult(pl.concat(rows), figures, withheld={(coverage.ALL, key): str(error) for key, error in refused.items()})


@dataclass(frozen=True)
class _Due:
    """A cut-off to train: its partition, the names it learns from, the rows of them that it may, and its parameters."""

    key: str
    cutoff: dt.date
    pool: Sequence[str]
    learnable: Callable[[dt.date], pl.DataFrame]
    tuned: Chosen


def _learnable(work: Workspace, features: pl.LazyFrame, labels: pl.DataFrame) -> Callable[[dt.date], pl.DataFrame]:
    return lambda cutoff: inside(training_rows(features.collect(), labels, cutoff), work.eligible())


def read_of(work: Workspace) -> list[str]:
    """The features that the model and its rivals read."""
    return list(dict.fromkeys((*work.model_features, LAST_MOVE)))


def complete_names(work: Workspace, window: Window) -> list[str]:
    """Names whose features and labels have no hole in the window; a name that fails today keeps out of today's pool only.

    Raises
    ------
    LookbackIncomplete : none is complete.
    """
    lacking: set[str] = set()
    for table in (*tables_of_model(work), "labels"):
        expected = coverage.listed_sessions(work.universe, window, table=table)
        lacking |= set(coverage.holes(expected, coverage.stored_sessions(work.lake, table, window))["key"])
    listed = coverage.listed_sessions(work.universe, window)["key"].unique().sort()
    pool = [ticker for ticker in listed if ticker not in lacking]
    if not pool:
        missing = dict.fromkeys(sorted(lacking), "features or labels incomplete")
        raise LookbackIncomplete(f"no name is complete in {window}", remedy="materialise features and labels first", missing=missing)
    return pool


def score_quarters(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """Scores of each quarter by the model of its cut-off. A name without 252 sessions of history gets a row without a score."""
    models = registry(work)
    last = work.known(max(windows.values(), key=lambda window: window.end))
    names = ready(work, tickers, dict.fromkeys(tables_of_model(work), Window(work.history.start, last.end)))
    parts = []
    for window in windows.values():
        asked = work.known(window)
        trained = trained_at(work, window.start)
        stored = models.load(trained["model_run_id"])
        booster = stored.booster
        check_feature_set(trained, booster.feature_names or (), work.model_features)
        features = feature_rows(work, read_of(work), Window(work.history.start, asked.end), tickers=names.tickers)
        rows = scored(features, booster, trained, asked, work.model_features)
        work.lake.replace("oos_predictions", rows, keys=names.tickers, window=asked, scope={"model": MODEL_NAME})
        for name, mine in scored_by_rivals(features, stored.files, trained, asked).items():
            work.lake.replace("oos_predictions", mine, keys=names.tickers, window=asked, scope={"model": name})
        parts.append(rows)
    withheld = names.withheld(list(windows))
    note(work, "oos_predictions", tickers, windows, run_id=run_id, withheld=withheld)
    every = pl.concat(parts)
    return StepResult(every, {"without_score": every["score"].null_count()}, withheld=withheld)


def scored(features: pl.DataFrame, booster: xgb.Booster, trained: Mapping[str, Any], asked: Window, names: Sequence[str]) -> pl.DataFrame:
    """Rows of `oos_predictions` in the window, one for each of the feature rows.

    Parameters
    ----------
    features : every row of each name from its listing to the end of the window.
    trained : the row of `model_runs` of the booster.
    names : of the features, in the order in which the booster learned them.
    """
    old_enough = with_history(features).filter(pl.col("session") >= asked.start)
    every = features.filter(pl.col("session") >= asked.start)
    return _as_stored(every, old_enough, predict(booster, old_enough, features=names), trained["model"], trained)


def scored_by_rivals(
    features: pl.DataFrame, stored: Mapping[str, bytes], trained: Mapping[str, Any], asked: Window
) -> dict[str, pl.DataFrame]:
    """As `scored`, of each baseline that is kept with the model."""
    old_enough = with_history(features).filter(pl.col("session") >= asked.start)
    every = features.filter(pl.col("session") >= asked.start)
    return {name: _as_stored(every, old_enough, score, name, trained) for name, score in rivals.scores(stored, old_enough).items()}


def _as_stored(
    every: pl.DataFrame, old_enough: pl.DataFrame, score: npt.NDArray[np.float64], model: str, trained: Mapping[str, Any]
) -> pl.DataFrame:
    """Rows of `oos_predictions`: one for each of `every`, with the score of those that are old enough."""
    scores = old_enough.select("ticker", "session", score=pl.Series(score, dtype=pl.Float64))
    rows = (
        every.select("ticker", "session")
        .join(scores, on=["ticker", "session"], how="left")
        .with_columns(
            model=pl.lit(model),
            base_rate=pl.lit(trained["base_rate"], dtype=pl.Float64),
            cutoff=pl.lit(trained["cutoff"], dtype=pl.Date),
            model_run_id=pl.lit(trained["model_run_id"]),
        )
    )
    spec = TABLES["oos_predictions"]
    return spec.conform(rows.select(list(spec.schema)))


def trained_at(work: Workspace, cutoff: dt.date, *, model: str = MODEL_NAME) -> dict[str, Any]:
    """The `model_runs` row of a cut-off. Raises ModelError when there is none."""
    window = Window(cutoff, cutoff + dt.timedelta(days=1))
    found = work.lake.scan("model_runs", window=window, scope={"model": model}).collect()
    if found.is_empty():
        raise ModelError(f"no {model} model for cut-off {cutoff}", remedy=retrain(model, cutoff))
    return found.row(0, named=True)


def check_feature_set(trained: Mapping[str, Any], learned: Sequence[str], today: Sequence[str]) -> None:
    """Raises ModelError with both lists when the model learned from other features than today's, in another order or of other versions."""
    version = feature_set_hash(today)
    if trained["feature_set"] != version:
        raise ModelError(
            f"the model of cut-off {trained['cutoff']} learned {', '.join(learned)} (feature set {trained['feature_set']}), "
            f"today's set is {', '.join(today)} ({version})",
            remedy=f"{retrain(trained['model'], trained['cutoff'])}, or set `features.model` back",
        )


def keep_model(
    work: Workspace,
    models: ModelRegistry,
    model: TrainedModel,
    tuned: Chosen,
    *,
    name: str,
    asset: str,
    partition: str,
    run_id: str | None,
    files: Mapping[str, bytes] | None = None,
) -> tuple[pl.DataFrame, Tracked]:
    """The row of `model_runs`, written once the model is in MLflow; that of the night's own cut-off is registered."""
    with held_back():
        logged = models.log(
            model,
            partition=partition,
            asset=asset,
            name=name,
            by_fold=tuned.by_fold,
            trials=tuned.trials,
            files=files,
            dagster_run=run_id,
            register=model.cutoff == work.cutoff,
        )
        row = model_row(work, model, logged.run_id, name=name)
        day = Window(model.cutoff, model.cutoff + dt.timedelta(days=1))
        work.lake.replace("model_runs", row, keys=None, window=day, scope={"model": name})
    return row, (logged.run_id, None if logged.waits else models.page(logged.run_id), logged.version)


def model_row(work: Workspace, model: TrainedModel, run_id: str, *, name: str) -> pl.DataFrame:
    """The row of `model_runs` of a trained model."""
    spec = TABLES["model_runs"]
    values = {column: getattr(model, column) for column in spec.schema if hasattr(model, column)}
    membership = work.membership.version(model.cutoff) if work.membership else None
    values |= {"model": name, "model_run_id": run_id, "members": len(model.members), "membership": membership}
    return spec.conform(pl.DataFrame([values], schema=spec.schema))
