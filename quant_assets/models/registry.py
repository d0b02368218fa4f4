"""Where trained models are kept: MLflow runs by cut-off, and the registry with its aliases. What a model is, is in `pooled.py`.

A run is found again by what it was trained on and how, by which code, so training the same cut-off on the same rows resumes its run, and
code that was changed never touches it. What lies in its folder is in `model_files.py`, what is listed of runs in `model_listing.py`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from quant_assets.errors import BadArgument, LockHeld, ModelError
from quant_assets.models import model_files
from quant_assets.models.code_version import code_version, source_hash
from quant_assets.models.kept_runs import KeptRuns
from quant_assets.models.model_files import BESIDE_FILE, BOOSTER, BOOSTER_HASH, MEMBER_FILE, OF_MODEL, StoredModel
from quant_assets.models.pooled import TrainedModel
from quant_assets.models.run_record import Measured, RunRecord, Trial
from quant_assets.models.sent_models import SentModels
from quant_assets.models.terms import EXPERIMENT, MLFLOW_VIEW, MODEL_NAME, retrain
from quant_assets.models.tracking import FAILURES, Tracking, TrackingUnavailable, reason

LOCAL_PAGES = "http://127.0.0.1:5000"
LIBRARIES = ("xgboost", "scikit-learn")
"""What the trees, and the baselines beside them, are grown by."""
PATIENCE_SECONDS = 600
"""For another process that is sending: what has waited through a long outage takes a second a run."""

logger = logging.getLogger("quant_assets")


@dataclass(frozen=True)
class Logged:
    """A run that is stored.

    Parameters
    ----------
    run_id : MLflow's id; while it waits for the server, one of its own, by which `ModelRegistry.load` finds it ever after.
    version : of the registered model; None where it was not to be registered, a later cut-off is, or it waits.
    waits : whether the tracking server was down.
    """

    run_id: str
    version: str | None
    waits: bool


class ModelRegistry:
    """MLflow tracking and registry at one address. Opened, it sends what waits, if the server answers and nobody else is at it.

    Parameters
    ----------
    uri : tracking address (`sqlite:///...`, `http://...`).
    artifacts : URI below which a newly made experiment keeps its artifacts; None: where the server says.
    waiting : the folder where runs stay while a server is down; None: a run that cannot be sent is refused. Beside it, in `sent`, lie
        copies of the models that a server holds, which are read first.

    Raises
    ------
    ModelError : the database cannot be made or opened.
    """

    def __init__(self, uri: str, artifacts: str | None, waiting: Path | None = None) -> None:
        self.tracking = Tracking(uri, artifacts)
        self.client = self.tracking.client
        self.kept = KeptRuns(waiting) if waiting else None
        self.sent = SentModels(waiting.with_name("sent")) if waiting and not self.tracking.database else None
        self._catch_up()

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
        by_fold : figures by name beside the model's own, one for each fold in order; a fold where one is not defined is left out.
        trials : of the search that chose the parameters.
        files : by name, kept with the model: `StoredModel.files`.
        dagster_run : id of the run that trained it, for whoever looks for its log.
        register : make it a version of the registered model `name` with the alias `challenger`, unless a later cut-off is registered; an
            example of its input is in the evidence.

        Raises
        ------
        BadArgument : to be registered without evidence.
        TrackingUnavailable : the server is down and there is no folder to wait in.
        ModelError : MLflow refuses, or a folder cannot be written: nothing was replaced.
        LockHeld : another process has been sending for ten minutes.
        """
        if register and model.evidence is None:
            what = f"{name} {partition} is to be registered without evidence"
            raise BadArgument(what, remedy="gather it: it holds an example of the input")
        record = RunRecord(
            experiment=asset,
            name=f"{name} {partition}",
            started_ms=int(time.time() * 1000),
            identity=_identity(model),
            tags={"asset": asset, "partition": partition, "model": name, "code_version": code_version()},
            params=_params(model),
            metrics=(*_metrics(model), *_fold_metrics({**model.by_fold, **(by_fold or {})})),
            trials=tuple(trials),
            register_as=name if register else None,
            dagster_run=dagster_run,
        )
        with tempfile.TemporaryDirectory() as folder:
            model_files.write(model, Path(folder), files=files or {})
            return self.store(record, Path(folder))

    def store(self, record: RunRecord, files: Path) -> Logged:
        """Sends a run, after those that wait, or keeps it where the server is down. Raises what `log` raises but BadArgument."""
        with self._alone(PATIENCE_SECONDS):
            try:
                self._send_waiting()
                sent = self.tracking.send(record, files)
            except TrackingUnavailable as error:
                if self.kept is None:
                    raise
                kept = self.kept.keep(record, files)
                logger.warning("%s: run %s waits in %s and will be sent when it answers", error.message, record.name, kept.folder)
                return Logged(kept.kept_id, None, waits=True)
            if self.sent:
                self.sent.keep(sent.run_id, files)
        if record.register_as and sent.version is None:
            logger.info("%s is not registered: a later cut-off of %s is", record.name, record.register_as)
        return Logged(sent.run_id, sent.version, waits=False)

    def load(self, run_id: str) -> StoredModel:
        """The model of a run, by either of its ids.

        Raises
        ------
        TrackingUnavailable : the server is down, and the run does not wait here nor was it sent or read from here lately.
        ModelError : the run or its files are gone or damaged.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                if self._copy_kept(run_id, place):
                    return model_files.read(run_id, place)
                if self.sent and (copy := self.sent.load(run_id)):
                    return copy
                self._download(run_id, place)
                model = model_files.read(run_id, place)
                if self.sent:
                    self.sent.keep(run_id, place)
                return model
        except (*FAILURES, *model_files.UNREADABLE) as error:
            what = f"model run {run_id} cannot be read from {self.tracking.shown} ({reason(error)})"
            raise ModelError(what, remedy=self._retrain(run_id)) from None

    def page(self, run_id: str) -> str | None:
        """Where the run is shown: by the tracking server, or by `make ui` at its usual port; None while it waits."""
        server = self.tracking.shown if self.tracking.database is None else LOCAL_PAGES
        try:
            run = self.tracking.run(run_id)
        except FAILURES:
            return None
        return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{MLFLOW_VIEW}"

    def waiting(self) -> str | None:
        """How many runs wait, where, and for what, in a sentence without its end; None where none does."""
        n = len(self.kept.waiting()) if self.kept else 0
        return f"waiting in {self.kept.folder} until {self.tracking.shown} answers: {n} run{'s' * (n != 1)}" if self.kept and n else None

    def _catch_up(self) -> None:
        """What waits is not what was asked for: so nobody waits for it here, and nothing of it is an error."""
        if self.kept is None or not self.kept.waiting():
            return
        if not self.tracking.is_up():
            logger.info("runs wait in %s until %s answers", self.kept.folder, self.tracking.shown)
            return
        try:
            with self._alone(0):
                self._send_waiting()
        except (ModelError, LockHeld) as error:
            logger.info("runs still wait in %s: %s", self.kept.folder, error)

    def _send_waiting(self) -> None:
        """One that is damaged or refused stays and stops no other."""
        if self.kept is None:
            return
        for run in self.kept.waiting():
            try:
                run_id = self.tracking.send(run.record(), run.files, kept_as=run.kept_id).run_id
            except TrackingUnavailable:
                raise
            except ModelError as error:
                logger.warning("the run that waits in %s was not sent: %s", run.folder, error)
                continue
            if self.sent:
                self.sent.keep(run.kept_id, run.files)  # as the lake's rows know it
            self.kept.drop(run)
            logger.info("the run that waited as %s was sent to %s as %s", run.kept_id, self.tracking.shown, run_id)

    def _copy_kept(self, run_id: str, place: Path) -> bool:
        """Whether the run waits; then its model's files are copied, each as it was logged last."""
        if self.kept is None or not self.kept.of(run_id):
            return False
        with self._alone(PATIENCE_SECONDS):  # else it might be sent and dropped meanwhile
            for run in reversed(self.kept.of(run_id)):
                for file in OF_MODEL:
                    if (run.files / file).exists():
                        shutil.copy(run.files / file, place)
        return (place / BOOSTER).exists()

    def _download(self, run_id: str, place: Path) -> None:
        with self.tracking.answering():
            known = self.tracking.run(run_id).info.run_id
            there = {item.path for item in self.client.list_artifacts(known)}
            for file in (BOOSTER, *({BOOSTER_HASH, MEMBER_FILE, BESIDE_FILE} & there)):
                self.client.download_artifacts(known, file, str(place))

    def _retrain(self, run_id: str) -> str:
        """The remedy where a model cannot be read."""
        try:
            waiting = self.kept.of(run_id) if self.kept else []
            record = waiting[0].record() if waiting else None
            tags = {**record.tags, **record.identity} if record else self.tracking.run(run_id).data.tags
            return retrain(tags.get("model", MODEL_NAME), dt.date.fromisoformat(tags["cutoff"]))
        except (*FAILURES, ModelError, KeyError):  # nothing tells whose it was
            return "train its cut-off again: `quant-assets train --start D --end D` with a session D of its quarter"

    @contextmanager
    def _alone(self, patience: float) -> Iterator[None]:
        """One process at a time, so that two that log the same training make one run, and none finds MLflow's database locked."""
        database = self.tracking.database
        file = database.with_suffix(".lock") if database else self.kept.folder / ".lock" if self.kept else None
        if file is None:
            yield
            return
        lock = FileLock(file, timeout=patience)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            what = f"another process has been sending runs to {self.tracking.shown} for {patience} seconds"
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
        "source": source_hash(),
        "libraries": " ".join(f"{name}-{version(name)}" for name in LIBRARIES),
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
    """The mean under the name itself: of one name's figures MLflow shows the last, which would be one fold's."""
    for name, values in by_fold.items():
        defined = [(fold, value) for fold, value in enumerate(values) if value is not None]
        if defined:
            yield Measured(name, sum(value for _, value in defined) / len(defined))
        yield from (Measured(f"{name}_by_fold", value, fold) for fold, value in defined)
