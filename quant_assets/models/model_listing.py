"""What has been trained, as MLflow tells it: versions of registered models, cut-offs that are not registered, and how much was tried.

Storing and loading models is `registry.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quant_assets.models.terms import MODEL_NAME
from quant_assets.models.tracking import FAILED, FINISHED, PARENT, Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class ListedModel:
    """A trained model of one cut-off.

    Parameters
    ----------
    model : its name. version, aliases : in the registry; None and empty where it is not registered.
    trained_at : UTC.
    cutoff, feature_set, n_rows, validation_auc, validation_log_loss : None of a version whose run was deleted.
    """

    model: str
    version: str | None
    aliases: tuple[str, ...]
    run_id: str
    trained_at: dt.datetime
    cutoff: dt.date | None = None
    feature_set: str | None = None
    n_rows: int | None = None
    validation_auc: float | None = None
    validation_log_loss: float | None = None


def registered(tracking: Tracking) -> list[ListedModel]:
    """Every version of every registered model, by name, newest first.

    Raises
    ------
    TrackingUnavailable, ModelError : as `Tracking.explained`.
    """
    with tracking.explained():
        runs = _trainings(tracking)
        listed = []
        for model in sorted(tracking.client.search_registered_models(), key=lambda model: str(model.name)):
            versions = tracking.client.search_model_versions(f"name = '{model.name}'")
            for version in sorted(versions, key=lambda version: -int(version.version)):
                aliases = tuple(sorted(alias for alias, of in model.aliases.items() if str(of) == str(version.version)))
                run = runs.get(version.run_id)
                since = run.info.start_time if run else version.creation_timestamp
                listed.append(
                    ListedModel(model.name, str(version.version), aliases, version.run_id, _utc(since), **(_told(run) if run else {}))
                )
    return listed


def unregistered(tracking: Tracking) -> list[ListedModel]:
    """Every finished training that is no version of a registered model, by name, latest cut-off first.

    Raises
    ------
    TrackingUnavailable, ModelError : as `Tracking.explained`.
    """
    with tracking.explained():
        taken = {version.run_id for version in tracking.client.search_model_versions()}
        rest = [run for run_id, run in _trainings(tracking).items() if run_id not in taken and run.info.status == FINISHED]
    rest.sort(key=lambda run: (run.data.tags["cutoff"], run.info.start_time), reverse=True)
    listed = [ListedModel(_model(run), None, (), run.info.run_id, _utc(run.info.start_time), **_told(run)) for run in rest]
    return sorted(listed, key=lambda each: each.model)


def n_trials(tracking: Tracking, model: str) -> int:
    """How many settings have been tried for a model, at any cut-off: the number that its best one was chosen from.

    A setting is a feature set with the parameters of a trial, one that was pruned too, or with those of a training that no search chose.
    The same setting at several cut-offs is one: a search's choice, too, that later cut-offs of its year were trained with.

    Raises
    ------
    TrackingUnavailable, ModelError : as `Tracking.explained`.
    """
    with tracking.explained():
        trainings = {run_id: run for run_id, run in _trainings(tracking).items() if _model(run) == model}
        nested = [run for run in tracking.runs(f"tags.model = '{model}'") if run.data.tags.get(PARENT) in trainings]
    trials = [run for run in nested if run.info.status != FAILED]
    tried = {(trainings[run.data.tags[PARENT]].data.tags["feature_set"], frozenset(run.data.params.items())) for run in trials}
    searched = {run.data.tags[PARENT] for run in trials}
    trained_with = {run_id: (run.data.tags["feature_set"], run.data.tags["parameters"]) for run_id, run in trainings.items()}
    chosen = {trained_with[run_id] for run_id in searched}  # each is a trial's already, whose parameters have other names
    return len(tried) + len(set(trained_with.values()) - chosen)


def _trainings(tracking: Tracking) -> dict[str, Run]:
    """Runs of models by id, without their trials, which have no cut-off of their own."""
    return {run.info.run_id: run for run in tracking.runs("tags.cutoff != ''")}


def _model(run: Run) -> str:
    """The pooled model's runs did not name it at first."""
    return str(run.data.tags.get("model", MODEL_NAME))


def _told(run: Run) -> dict[str, Any]:
    tags, metrics = run.data.tags, run.data.metrics
    return {
        "cutoff": dt.date.fromisoformat(tags["cutoff"]),
        "feature_set": tags["feature_set"],
        "n_rows": int(metrics["n_rows"]) if "n_rows" in metrics else None,
        "validation_auc": metrics.get("validation_auc"),
        "validation_log_loss": metrics.get("validation_log_loss"),
    }


def _utc(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)
