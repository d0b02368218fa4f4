"""Where trained models are kept: MLflow runs by cut-off, and the registry with its aliases. What a model is, is in `pooled.py`.

A run is found again by what it was trained on and how, so training the same cut-off on the same rows resumes its run. What is listed of
them is in `model_listing.py`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xgboost as xgb
from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from quant_assets.errors import BadArgument, LockHeld, ModelError
from quant_assets.models.code_version import code_version
from quant_assets.models.evidence import Evidence
from quant_assets.models.kept_runs import KeptRuns
from quant_assets.models.pooled import TrainedModel, importances
from quant_assets.models.run_record import Measured, RunRecord, Trial
from quant_assets.models.terms import MODEL_NAME
from quant_assets.models.tracking import FAILURES, KEPT_AS, MODEL_FOLDER, Tracking, TrackingUnavailable, reason

EXPERIMENT = "pooled_model"
BOOSTER = "booster.ubj"
MEMBER_FILE = "members.parquet"
BESIDE_FILE = "beside.parquet"
OF_MODEL = (BOOSTER, MEMBER_FILE, BESIDE_FILE)
"""What a night loads; the first is always there."""
EVIDENCE_FOLDER = "evidence"
LOCAL_PAGES = "http://127.0.0.1:5000"
EXAMPLE_ROWS = 5
PATIENCE_SECONDS = 600
"""For another process that is sending: what has waited through a long outage takes a second a run."""

logger = logging.getLogger("quant_assets")


@dataclass(frozen=True)
class StoredModel:
    """A model as a night uses it; `members` is empty for past cut-offs, `files` holds what else was kept with it."""

    run_id: str
    booster: xgb.Booster
    members: tuple[xgb.Booster, ...]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Logged:
    """A run that is stored.

    Parameters
    ----------
    run_id : MLflow's id; while it waits for the server, one of its own, by which `ModelRegistry.load` finds it ever after.
    version : of the registered model; None where it was not to be registered, or waits.
    waits : whether the tracking server was down.
    """

    run_id: str
    version: str | None
    waits: bool


class ModelRegistry:
    """MLflow tracking and registry at one address.

    Parameters
    ----------
    uri : tracking address (`sqlite:///...`, `http://...`).
    artifacts : URI below which a newly made experiment keeps its artifacts; None: where the server says.
    waiting : the folder where runs stay while a server is down; None: a run that cannot be sent is refused.

    Raises
    ------
    ModelError : the database cannot be made or opened.
    """

    def __init__(self, uri: str, artifacts: str | None, waiting: Path | None = None) -> None:
        self.tracking = Tracking(uri, artifacts)
        self.client = self.tracking.client
        self.kept = KeptRuns(waiting) if waiting else None

    def log(
        self,
        model: TrainedModel,
        *,
        partition: str,
        asset: str = EXPERIMENT,
        name: str = MODEL_NAME,
        by_fold: Mapping[str, Sequence[float | None]] | None = None,
        trials: Sequence[Trial] = (),
        files: Mapping[str, bytes] | None = None,
        dagster_run: str | None = None,
        register: bool = False,
    ) -> Logged:
        """Stores a trained model as a run; the same training once more resumes its run, and may add members, evidence, trials and files.

        Evidence is stored with its pictures, which take a second or two.

        Parameters
        ----------
        asset : of the pipeline that trained it, which names the experiment.
        name : of the model it is a cut-off of, registered or not.
        by_fold : figures by name, one for each fold in order; a fold where one is not defined is left out.
        trials : of the search that chose the parameters.
        files : by name, kept with the model: `StoredModel.files`.
        dagster_run : id of the run that trained it, for whoever looks for its log.
        register : make it a version of the registered model `name` with the alias `challenger`; an example of its input is in the evidence.

        Raises
        ------
        BadArgument : to be registered without evidence.
        TrackingUnavailable : the server is down and there is no folder to wait in.
        ModelError : MLflow refuses, or a folder cannot be written: nothing was replaced.
        LockHeld : another process has been sending for ten minutes.
        """
        evidence = model.evidence
        if register and evidence is None:
            what = f"{name} {partition} is to be registered without evidence"
            raise BadArgument(what, remedy="gather it: it holds an example of the input")
        record = RunRecord(
            experiment=asset,
            name=f"{name} {partition}",
            started_ms=int(time.time() * 1000),
            identity=_identity(model),
            tags={
                "asset": asset,
                "partition": partition,
                "model": name,
                "code_version": code_version(),
                **({"dagster_run": dagster_run} if dagster_run else {}),
            },
            params=_params(model),
            metrics=(*_metrics(model), *_fold_metrics(by_fold or {})),
            trials=tuple(trials),
            register_as=name if register else None,
        )
        with tempfile.TemporaryDirectory() as folder:
            _write_model(model, Path(folder))
            if files:
                beside = {"name": list(files), "content": list(files.values())}
                pl.DataFrame(beside, schema={"name": pl.String, "content": pl.Binary}).write_parquet(Path(folder) / BESIDE_FILE)
            if evidence is not None:
                _write_evidence(evidence, Path(folder) / EVIDENCE_FOLDER)
            if register and evidence is not None:
                _write_flavour(model.booster, evidence.values.head(EXAMPLE_ROWS), Path(folder) / MODEL_FOLDER)
            return self.store(record, Path(folder))

    def store(self, record: RunRecord, files: Path) -> Logged:
        """Sends a run, after those that wait, or keeps it where the server is down. Raises what `log` raises but BadArgument."""
        with self._alone():
            try:
                self._send_waiting()
                sent = self.tracking.send(record, files)
            except TrackingUnavailable as error:
                if self.kept is None:
                    raise
                kept = self.kept.keep(record, files)
                logger.warning("%s: run %s waits in %s and will be sent when it answers", error.message, record.name, kept.folder)
                return Logged(kept.kept_id, None, waits=True)
        return Logged(sent.run_id, sent.version, waits=False)

    def send_waiting(self) -> dict[str, str]:
        """Sends the runs that wait; returns the id each had meanwhile and MLflow's. Raises what `log` raises but BadArgument."""
        with self._alone():
            return self._send_waiting()

    def load(self, run_id: str) -> StoredModel:
        """The model of a run, by either of its ids.

        Raises
        ------
        TrackingUnavailable : the server is down and the run does not wait here.
        ModelError : the run or its files are gone or damaged.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                if not self._copy_kept(run_id, place):
                    self._download(run_id, place)
                booster = xgb.Booster(model_file=place / BOOSTER)
                raw = pl.read_parquet(place / MEMBER_FILE)["booster"].to_list() if (place / MEMBER_FILE).exists() else []
                files = dict(pl.read_parquet(place / BESIDE_FILE).iter_rows()) if (place / BESIDE_FILE).exists() else {}
        except (*FAILURES, xgb.core.XGBoostError, pl.exceptions.PolarsError) as error:
            raise ModelError(
                f"model run {run_id} cannot be read from {self.tracking.shown} ({reason(error)})",
                remedy="materialise pooled_model for its quarter again",
            ) from None
        return StoredModel(run_id, booster, tuple(xgb.Booster(model_file=bytearray(one)) for one in raw), files)

    def page(self, run_id: str) -> str | None:
        """Where the run is shown: by the tracking server, or by `make ui` at its usual port; None while it waits."""
        server = self.tracking.shown if self.tracking.database is None else LOCAL_PAGES
        try:
            run = self.client.get_run(self._known_as(run_id))
        except FAILURES:
            return None
        return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"

    def _send_waiting(self) -> dict[str, str]:
        """One that is damaged or refused stays and stops no other."""
        sent: dict[str, str] = {}
        if self.kept is None:
            return sent
        for run in self.kept.waiting():
            try:
                sent[run.kept_id] = self.tracking.send(run.record(), run.files, kept_as=run.kept_id).run_id
            except TrackingUnavailable:
                raise
            except ModelError as error:
                logger.warning("the run that waits in %s was not sent: %s", run.folder, error)
                continue
            self.kept.drop(run)
            logger.info("the run that waited as %s was sent to %s as %s", run.kept_id, self.tracking.shown, sent[run.kept_id])
        return sent

    def _copy_kept(self, run_id: str, place: Path) -> bool:
        """Whether the run waits; then its model's files are copied, each as it was logged last."""
        if self.kept is None or not self.kept.of(run_id):
            return False
        with self._alone():  # else it might be sent and dropped meanwhile
            for run in reversed(self.kept.of(run_id)):
                for file in OF_MODEL:
                    if (run.files / file).exists():
                        shutil.copy(run.files / file, place)
        return (place / BOOSTER).exists()

    def _download(self, run_id: str, place: Path) -> None:
        with self.tracking.answering():
            known = self._known_as(run_id)
            there = {item.path for item in self.client.list_artifacts(known)}
            for file in (BOOSTER, *({MEMBER_FILE, BESIDE_FILE} & there)):
                self.client.download_artifacts(known, file, str(place))

    def _known_as(self, run_id: str) -> str:
        """MLflow's id of a run that has either."""
        try:
            return str(self.client.get_run(run_id).info.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            for run in self.tracking.runs(f"tags.{KEPT_AS} = '{run_id}'"):
                return str(run.info.run_id)
            raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time, so that two that log the same training make one run, and none finds MLflow's database locked."""
        database = self.tracking.database
        file = database.with_suffix(".lock") if database else self.kept.folder / ".lock" if self.kept else None
        if file is None:
            yield
            return
        lock = FileLock(file, timeout=PATIENCE_SECONDS)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            what = f"another process has been sending runs to {self.tracking.shown} for {PATIENCE_SECONDS} seconds"
            raise LockHeld(what, remedy="wait for it to end, then run again") from None
        except OSError as error:
            raise ModelError(f"{file.parent} cannot be written ({error.strerror})", remedy="make the folder writable") from None
        try:
            yield
        finally:
            lock.release()


def _identity(model: TrainedModel) -> dict[str, str]:
    """What makes two trainings the same one, as tags."""
    return {
        "cutoff": model.cutoff.isoformat(),
        "feature_set": model.feature_set,
        "lake_version": model.lake_version,
        "parameters": hashlib.sha256(json.dumps(dict(model.parameters), sort_keys=True).encode()).hexdigest()[:12],
    }


def _params(model: TrainedModel) -> dict[str, str]:
    about = {
        "n_features": len(model.features),
        "n_tickers": model.n_tickers,
        "train_start": model.train_start,
        "train_end": model.train_end,
    }
    return {name: str(value) for name, value in {**model.parameters, **about}.items()}


def _metrics(model: TrainedModel) -> tuple[Measured, ...]:
    names = ("base_rate", "best_round", "n_rows", "validation_auc", "validation_log_loss")
    return tuple(Measured(name, float(getattr(model, name))) for name in names)


def _fold_metrics(by_fold: Mapping[str, Sequence[float | None]]) -> Iterator[Measured]:
    for name, values in by_fold.items():
        yield from (Measured(name, value, fold) for fold, value in enumerate(values) if value is not None)


def _write_model(model: TrainedModel, folder: Path) -> None:
    model.booster.save_model(folder / BOOSTER)
    if model.members:
        raw = [bytes(member.save_raw("ubj")) for member in model.members]
        pl.DataFrame({"member": range(len(raw)), "booster": raw}).write_parquet(folder / MEMBER_FILE)
    # not a parameter, which ends after 6,000 characters
    (folder / "features.json").write_text(json.dumps(list(model.features), indent=1))
    (folder / "importances.json").write_text(json.dumps(dict(importances(model.booster)), indent=1))


def _write_evidence(evidence: Evidence, folder: Path) -> None:
    from quant_assets.models import model_pictures  # matplotlib: only where something is drawn

    folder.mkdir()
    for name, table in evidence.tables().items():
        table.write_csv(folder / f"{name}.csv")
    evidence.held.write_parquet(folder / "held.parquet")
    model_pictures.write(evidence, folder)


def _write_flavour(booster: xgb.Booster, example: pl.DataFrame, folder: Path) -> None:
    """The model as `mlflow.xgboost` and `mlflow.pyfunc` load it: its columns are doubles, so that integers and singles are welcome too."""
    import mlflow.xgboost
    import pandas as pd

    rows = example.to_pandas()
    signature = mlflow.models.infer_signature(rows, booster.predict(xgb.DMatrix(rows)))
    needs = [f"xgboost=={xgb.__version__}", f"pandas=={pd.__version__}"]
    mlflow.xgboost.save_model(booster, folder, signature=signature, input_example=rows, pip_requirements=needs, model_format="ubj")
