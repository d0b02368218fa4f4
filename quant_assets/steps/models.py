"""Steps that learn and score: the pooled model of each cut-off, and the out-of-sample scores of the quarter after it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import LookbackIncomplete, ModelError, QuantAssetsError
from quant_assets.features.catalog import feature_set_hash
from quant_assets.interrupts import held_back
from quant_assets.lake import coverage
from quant_assets.membership import inside
from quant_assets.models.pooled import TrainedModel, importances, predict, train, training_rows, with_history
from quant_assets.models.terms import MODEL_NAME
from quant_assets.schemas import TABLES
from quant_assets.steps.features import feature_rows, tables_of_model
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.validation.skill import Skill, measure
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.models.registry import ModelRegistry

Windows = Mapping[str, Window]


def registry(work: Workspace) -> ModelRegistry:
    from quant_assets.models.registry import ModelRegistry  # MLflow takes two seconds to import: only for who reads or writes models

    return ModelRegistry(work.settings.mlflow_uri, work.settings.mlflow_artifacts)


def train_pooled_models(work: Workspace, windows: Windows) -> StepResult:
    """One model a cut-off on all names whose history before it is complete, each on the days on which it was eligible; the night's own
    cut-off gets bootstrap members and is registered. The figures are those of the last one. A cut-off that cannot be trained is withheld
    and does not stop the others.

    Raises
    ------
    LookbackIncomplete, ModelError : none could be trained; the first reason.
    """
    last = max(window.start for window in windows.values())
    learnt = Window(work.history.start, last)
    features = feature_rows(work, work.model_features, learnt)
    labels = work.lake.scan("labels", window=learnt).filter(pl.col("label_end") <= work.as_of).collect()
    models = registry(work)
    rows = []
    figures: dict[str, object] = {}
    refused: dict[str, QuantAssetsError] = {}
    for key, window in windows.items():
        current = window.start == work.cutoff
        with held_back():  # a cut-off takes seconds, in XGBoost, MLflow and SQLite
            try:
                pool = complete_names(work, Window(work.history.start, window.start))
                pooled = features.filter(pl.col("ticker").is_in(pool))
                known = inside(training_rows(pooled, labels, window.start), work.eligible())
                model = train(known, window.start, with_members=current, features=work.model_features)
            except (LookbackIncomplete, ModelError) as error:
                refused[key] = error
                continue
            run_id = models.log(model, partition=key)
            rows.append(_as_row(model, run_id, work.membership.version(window.start) if work.membership else None))
            work.lake.replace("model_runs", rows[-1], keys=None, window=Window(window.start, window.start + dt.timedelta(days=1)))
            figures = {"importances": dict(importances(model.booster)), "pool": pool}
            if current:
                figures["registered_version"] = models.register(run_id, model)
    if not rows:
        raise next(iter(refused.values()))
    return StepResult(pl.concat(rows), figures, withheld={(coverage.ALL, key): str(error) for key, error in refused.items()})


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
        booster = models.load(trained["model_run_id"]).booster
        check_feature_set(trained, booster.feature_names or (), work.model_features)
        features = feature_rows(work, work.model_features, Window(work.history.start, asked.end), tickers=names.tickers)
        old_enough = with_history(features).filter(pl.col("session") >= asked.start)
        predicted = pl.Series("score", predict(booster, old_enough, features=work.model_features))
        scores = old_enough.select("ticker", "session").with_columns(predicted)
        every = features.filter(pl.col("session") >= asked.start).select("ticker", "session")
        rows = every.join(scores, on=["ticker", "session"], how="left").with_columns(
            model=pl.lit(MODEL_NAME),
            base_rate=pl.lit(trained["base_rate"], dtype=pl.Float64),
            cutoff=pl.lit(window.start, dtype=pl.Date),
            model_run_id=pl.lit(trained["model_run_id"]),
        )
        rows = TABLES["oos_predictions"].conform(rows.select(list(TABLES["oos_predictions"].schema)))
        work.lake.replace("oos_predictions", rows, keys=names.tickers, window=asked, scope={"model": MODEL_NAME})
        parts.append(rows)
    withheld = names.withheld(list(windows))
    note(work, "oos_predictions", tickers, windows, run_id=run_id, withheld=withheld)
    scored = pl.concat(parts)
    return StepResult(scored, {"without_score": scored["score"].null_count()}, withheld=withheld)


def record_of(work: Workspace) -> Skill:
    """The out-of-sample record up to `as_of`: every score of the universe's names, on the days on which they were eligible, whose label is
    known by then."""
    names = work.universe.tickers
    scores = work.lake.scan("oos_predictions", keys=names, window=work.out_of_sample, scope={"model": MODEL_NAME})
    labels = work.lake.scan("labels", window=work.out_of_sample).filter(pl.col("label_end") <= work.as_of)
    scored = scores.join(labels, on=["ticker", "session"]).select("ticker", "session", "score", "base_rate", "label", "ret").collect()
    return measure(inside(scored, work.eligible()), threshold=work.settings.signal.score_threshold)


def trained_at(work: Workspace, cutoff: dt.date) -> dict[str, Any]:
    """The `model_runs` row of a cut-off. Raises ModelError when there is none."""
    window = Window(cutoff, cutoff + dt.timedelta(days=1))
    found = work.lake.scan("model_runs", window=window, scope={"model": MODEL_NAME}).collect()
    if found.is_empty():
        raise ModelError(f"no {MODEL_NAME} model for cut-off {cutoff}", remedy="materialise pooled_model for that quarter first")
    return found.row(0, named=True)


def check_feature_set(trained: Mapping[str, Any], learned: Sequence[str], today: Sequence[str]) -> None:
    """Raises ModelError with both lists when the model learned from other features than today's, in another order or of other versions."""
    version = feature_set_hash(today)
    if trained["feature_set"] != version:
        raise ModelError(
            f"the model of cut-off {trained['cutoff']} learned {', '.join(learned)} (feature set {trained['feature_set']}), "
            f"today's set is {', '.join(today)} ({version})",
            remedy="materialise pooled_model for that quarter again, or set `features.model` back",
        )


def _as_row(model: TrainedModel, run_id: str, membership: str | None) -> pl.DataFrame:
    spec = TABLES["model_runs"]
    values = {name: getattr(model, name) for name in spec.schema if hasattr(model, name)}
    values |= {"model": MODEL_NAME, "model_run_id": run_id, "members": len(model.members), "membership": membership}
    return spec.conform(pl.DataFrame([values], schema=spec.schema))
