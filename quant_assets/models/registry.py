"""Where trained models are kept: MLflow runs by cut-off, and the registry with its aliases. What a model is, is in `pooled.py`.

A run is found again by what it was trained on and how, so training the same cut-off on the same rows resumes its run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import polars as pl
import xgboost as xgb
from mlflow.entities import Metric, Param, Run, RunStatus, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from quant_assets.errors import ModelError
from quant_assets.models.pooled import PARAMETERS, TrainedModel, importances
from quant_assets.models.terms import MODEL_NAME

EXPERIMENT = "pooled_model"
BOOSTER = "booster.ubj"
MEMBER_FILE = "members.parquet"

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


@dataclass(frozen=True)
class StoredModel:
    """A model as a night uses it; `members` is empty for past cut-offs."""

    run_id: str
    booster: xgb.Booster
    members: tuple[xgb.Booster, ...]


def _make_database(file: Path) -> None:
    """MLflow makes its tables one by one: killed among them it leaves a database that it refuses ever after. So it makes them beside."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        made = Path(folder) / file.name
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{made}", registry_uri=f"sqlite:///{made}").search_experiments(max_results=1)
        with suppress(FileExistsError):  # another process was faster
            os.link(made, file)


class ModelRegistry:
    """MLflow tracking and registry at one address.

    Parameters
    ----------
    uri : tracking address (`sqlite:///...`, `http://...`).
    artifacts : where a newly made experiment keeps its artifacts (URI).
    """

    def __init__(self, uri: str, artifacts: str) -> None:
        self.uri = uri
        self.artifacts = artifacts
        if uri.startswith("sqlite:///"):
            _make_database(Path(uri.removeprefix("sqlite:///")))
        self.client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    def log(self, model: TrainedModel, *, partition: str) -> str:
        """Stores a trained model and returns its run id; the same training once more resumes its run, and may add the members."""
        experiment = self.experiment(EXPERIMENT)
        run = self._same_training(experiment, model) or self.client.create_run(experiment, run_name=f"{MODEL_NAME} {partition}")
        run_id: str = run.info.run_id
        stamp = run.info.start_time
        metrics = {
            "base_rate": model.base_rate,
            "best_round": model.best_round,
            "n_rows": model.n_rows,
            "validation_auc": model.validation_auc,
            "validation_log_loss": model.validation_log_loss,
        }
        tags = {"asset": EXPERIMENT, "partition": partition, **_identity(model)}
        params = {**PARAMETERS, "features": ",".join(model.features), "train_start": model.train_start, "train_end": model.train_end}
        self.client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), stamp, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        with tempfile.TemporaryDirectory() as folder:
            model.booster.save_model(Path(folder) / BOOSTER)
            if model.members:
                raw = [bytes(member.save_raw("ubj")) for member in model.members]
                pl.DataFrame({"member": range(len(raw)), "booster": raw}).write_parquet(Path(folder) / MEMBER_FILE)
            self.client.log_artifacts(run_id, folder)
        self.client.log_dict(run_id, dict(importances(model.booster)), "importances.json")
        self.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED), end_time=None)
        return run_id

    def register(self, run_id: str, model: TrainedModel) -> str:
        """Registers the run as a version of `signal-xgboost` with the alias `challenger`; returns the version.

        Registering a run twice changes nothing.
        """
        if not self._exists():
            self.client.create_registered_model(MODEL_NAME, description="P(close[t+3] > close[t]), pooled over the universe")
        known = [version for version in self.client.search_model_versions(f"name='{MODEL_NAME}'") if version.run_id == run_id]
        version = known[0] if known else self._new_version(run_id, model)
        self.client.set_registered_model_alias(MODEL_NAME, "challenger", version.version)
        return str(version.version)

    def load(self, run_id: str) -> StoredModel:
        """The model of a run. Raises ModelError when the run or its files are gone or damaged."""
        try:
            files = {item.path for item in self.client.list_artifacts(run_id)}
            with tempfile.TemporaryDirectory() as folder:
                booster = xgb.Booster(model_file=self.client.download_artifacts(run_id, BOOSTER, folder))
                members = self.client.download_artifacts(run_id, MEMBER_FILE, folder) if MEMBER_FILE in files else None
                raw = pl.read_parquet(members)["booster"].to_list() if members else []
        except (MlflowException, OSError, xgb.core.XGBoostError, pl.exceptions.PolarsError) as error:
            why = str(error).splitlines()[0]
            raise ModelError(
                f"model run {run_id} cannot be read from {self.uri} ({why})", remedy="materialise pooled_model for its quarter again"
            ) from None
        return StoredModel(run_id, booster, tuple(xgb.Booster(model_file=bytearray(one)) for one in raw))

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if it is not there."""
        found = self.client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=f"{self.artifacts}/{name}"))

    def _same_training(self, experiment: str, model: TrainedModel) -> Run | None:
        where = " and ".join(f"tags.{key} = '{value}'" for key, value in _identity(model).items())
        found = self.client.search_runs([experiment], filter_string=where, max_results=1)
        return found[0] if found else None

    def _exists(self) -> bool:
        try:
            self.client.get_registered_model(MODEL_NAME)
        except MlflowException:
            return False
        return True

    def _new_version(self, run_id: str, model: TrainedModel) -> ModelVersion:
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.xgboost.log_model(
                model.booster, name="model", pip_requirements=[f"xgboost=={xgb.__version__}"], model_format="ubj"
            )
        return self.client.create_model_version(MODEL_NAME, logged.model_uri, run_id=run_id, model_id=logged.model_id)


def _identity(model: TrainedModel) -> dict[str, str]:
    """What makes two trainings the same one, as tags."""
    return {
        "cutoff": model.cutoff.isoformat(),
        "feature_set": model.feature_set,
        "lake_version": model.lake_version,
        "parameters": hashlib.sha256(json.dumps(PARAMETERS, sort_keys=True).encode()).hexdigest()[:12],
    }
