"""MLflow at one address: runs are sent there whole, found again by their identity, registered, and read.

What a run says is put together in `registry.py` and `account_log.py`; where runs stay while a server is down is `kept_runs.py`.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.exceptions import HTTPError, RequestException
from sqlalchemy.exc import SQLAlchemyError

from quant_assets.errors import ModelError
from quant_assets.models.run_record import Measured, RunRecord, State, Trial

TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"


@contextmanager
def _untold() -> Iterator[None]:
    """MLflow tells its makers of its use unless the environment forbids it when it is imported: ours does at that moment, and no longer."""
    before = os.environ.get(TELEMETRY)
    os.environ.setdefault(TELEMETRY, "true")
    try:
        yield
    finally:
        if before is None:
            del os.environ[TELEMETRY]


with _untold():  # nothing else of ours imports MLflow before this module
    import mlflow
    from mlflow.entities import Metric, Param, Run, RunStatus, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

PARENT = "mlflow.parentRunId"
KEPT_AS = "kept_as"
NEWEST = "challenger"
MODEL_FOLDER = "model"
METRICS_AT_ONCE, TEXTS_AT_ONCE = 800, 100
"""MLflow takes 100 parameters, 100 tags and 1000 of them all in one request."""
PAGE = 1000
FAILED, FINISHED = (RunStatus.to_string(status) for status in (RunStatus.FAILED, RunStatus.FINISHED))
ENDED: Mapping[State, int] = {"COMPLETE": RunStatus.FINISHED, "PRUNED": RunStatus.KILLED, "FAIL": RunStatus.FAILED}
USER_OF_URI = re.compile(r"(?<=//)[^/\s]*@")
ASIDE = "(raised as a result of"
"""What SQLAlchemy says before it comes to the point."""
FAILURES = (MlflowException, RequestException, SQLAlchemyError, OSError)

HABITS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""By MLflow's defaults it asks a server that is down for minutes, and prints where a run is to be seen among what the command prints."""
QUIET = {
    "mlflow.store.db.utils": logging.WARNING,
    "mlflow.store.model_registry": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,  # it tells of each retry
}
PROBE_SECONDS = 2
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""So that its page lists runs with their figures, not traces of a language model."""


class TrackingUnavailable(ModelError):
    """The tracking server does not answer, or fails: it may answer later."""

    code = "tracking_unavailable"
    transient = True


@dataclass(frozen=True)
class Sent:
    """The id that MLflow gave a run, and the version it was registered as; None where that was not asked for, or a later cut-off is."""

    run_id: str
    version: str | None


def without_user(text: str) -> str:
    """The text without the user and password of any address in it."""
    return USER_OF_URI.sub("", text)


def reason(error: Exception) -> str:
    """The first line of what it says, without a password, and of a connection that failed only why."""
    lines = (line for line in str(error).splitlines() if not line.startswith(ASIDE))
    said = next(lines, type(error).__name__)
    _, failed, cause = said.rpartition("Caused by ")
    return without_user(cause.partition("(")[2].rpartition(": ")[2].strip("\"')") if failed else said)


class Tracking:
    """A tracking server and registry.

    Parameters
    ----------
    uri : `sqlite:///...`, `http://...`.
    artifacts : URI below which a newly made experiment keeps its artifacts; None: where the server says.

    Raises
    ------
    ModelError : its database cannot be made or opened.
    """

    def __init__(self, uri: str, artifacts: str | None) -> None:
        _settle()
        self.uri, self.artifacts = uri, artifacts
        self.shown = without_user(uri)
        with self.explained():
            if self.database:
                _make_database(self.database)
            self.client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def database(self) -> Path | None:
        """The file of it all, None where it is a server."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    def is_up(self) -> bool:
        """Whether it answers, asked once: a database always does, of a server any answer counts that is not its failure."""
        if self.database:
            return True
        try:
            return requests.get(f"{self.uri}/health", timeout=PROBE_SECONDS).status_code < 500
        except RequestException:
            return False

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Failures inside after which a server may answer later become TrackingUnavailable."""
        try:
            yield
        except (MlflowException, RequestException) as error:
            if self.database or not _may_answer_later(error):
                raise
            what = f"the tracking server {self.shown} does not answer ({reason(error)})"
            raise TrackingUnavailable(what, remedy="start it, or set the address of one that runs") from None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """As `answering`; what else fails in MLflow becomes ModelError."""
        try:
            with self.answering():
                yield
        except FAILURES as error:
            remedy = "make it writable, or restore it from a backup" if self.database else "look into the server's log"
            raise ModelError(f"MLflow at {self.shown} refuses ({reason(error)})", remedy=remedy) from None

    def send(self, record: RunRecord, files: Path, *, kept_as: str | None = None) -> Sent:
        """Stores a run with its trials and files, and registers it if the record says so and no later cut-off is. Sent once more, in
        whatever state the first time was left, it resumes the same run and leaves no twin; what is stored once and not sent again stays. A
        run that had finished keeps its times, its figures and the Dagster run that made it.

        Parameters
        ----------
        files : a folder, stored whole.
        kept_as : what the run was called while it waited.

        Raises
        ------
        TrackingUnavailable, ModelError : as `explained`.
        """
        with self.explained():
            experiment = self.experiment(record.experiment)
            run = self.found(experiment, record.identity) or self.client.create_run(
                experiment, start_time=record.started_ms, tags=dict(record.identity), run_name=record.name
            )
            kept = {} if kept_as is None else {KEPT_AS: kept_as}
            ended = run.info.end_time if run.info.status == FINISHED else None
            metrics = _unshown(record.metrics, run) if ended else record.metrics
            self._tell(run, record.params, metrics, {**record.tags, **kept, **_made_by(record, run)})
            self.client.log_artifacts(run.info.run_id, str(files))
            self._send_trials(run, record)
            version = self._register(run, record.register_as, record.identity["cutoff"]) if record.register_as else None
            self.client.set_terminated(run.info.run_id, FINISHED, ended)
        return Sent(run.info.run_id, version)

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if it is not there."""
        found = self.client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        place = f"{self.artifacts}/{name}" if self.artifacts else None
        return str(self.client.create_experiment(name, artifact_location=place, tags=KIND))

    def found(self, experiment: str, tags: Mapping[str, str]) -> Run | None:
        """The first run with these tags."""
        where = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        return next(iter(self.client.search_runs([experiment], where, max_results=1, order_by=["attributes.start_time ASC"])), None)

    def run(self, run_id: str) -> Run:
        """MLflow's run of this id, or that was called so while it waited. Raises FAILURES."""
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            for run in self.runs(f"tags.{KEPT_AS} = '{run_id}'"):
                return run
            raise

    def runs(self, where: str) -> Iterator[Run]:
        """Every run of every experiment that the filter lets through, newest first."""
        everywhere = [each.experiment_id for each in self.client.search_experiments()]
        token = None
        while everywhere:
            page = self.client.search_runs(everywhere, where, max_results=PAGE, page_token=token, order_by=["attributes.start_time DESC"])
            yield from page
            token = page.token
            if not token:
                return

    def _tell(self, run: Run, params: Mapping[str, str], metrics: tuple[Measured, ...], tags: Mapping[str, str]) -> None:
        """MLflow shows the figure of the latest stamp, and of one stamp the largest: so each telling has its own."""
        stamp = int(time.time() * 1000)
        figures = [Metric(each.name, each.value, stamp, each.step) for each in metrics]
        own, about = [Param(*pair) for pair in params.items()], [RunTag(*pair) for pair in tags.items()]
        for turn in range(max(-(-len(figures) // METRICS_AT_ONCE), -(-max(len(own), len(about)) // TEXTS_AT_ONCE))):
            of_figures, of_texts = (slice(turn * size, (turn + 1) * size) for size in (METRICS_AT_ONCE, TEXTS_AT_ONCE))
            self.client.log_batch(run.info.run_id, metrics=figures[of_figures], params=own[of_texts], tags=about[of_texts])

    def _send_trials(self, parent: Run, record: RunRecord) -> None:
        if not record.trials:
            return
        where = f"tags.`{PARENT}` = '{parent.info.run_id}'"
        known = {run.data.tags["trial"]: run for run in self.runs(where)}
        for trial in record.trials:
            name = str(trial.number)
            run = known.get(name) or self.client.create_run(
                parent.info.experiment_id,
                start_time=record.started_ms,
                tags={PARENT: parent.info.run_id, "trial": name, "state": trial.state, **record.tags},
                run_name=f"{record.name} trial {name}",
            )
            if run.info.status == RunStatus.to_string(RunStatus.RUNNING):
                self._tell(run, {key: str(value) for key, value in trial.params.items()}, _figures(trial), {})
                self.client.set_terminated(run.info.run_id, RunStatus.to_string(ENDED[trial.state]))

    def _register(self, run: Run, name: str, cutoff: str) -> str | None:
        """The version of a registered model that this run is, made if it is not there; it becomes the newest. Only the latest cut-off is
        registered: where a version is of a later one than this run, as a night of the past finds it, nothing is changed.
        """
        try:
            self.client.create_registered_model(name, description="P(close[t+3] > close[t]) as known at the close of t")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = {version.run_id: version for version in self.client.search_model_versions(f"name = '{name}'")}
        version = versions.get(run.info.run_id)
        if self._latest_cutoff(list(versions)) > cutoff:
            return None if version is None else str(version.version)
        version = version or self.client.create_model_version(name, f"{run.info.artifact_uri}/{MODEL_FOLDER}", run_id=run.info.run_id)
        self.client.set_registered_model_alias(name, NEWEST, version.version)
        return str(version.version)

    def _latest_cutoff(self, run_ids: Sequence[str]) -> str:
        """Of runs, as "2010-10-01"; of none, or none of ours, what sorts before any."""
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
        runs = self.runs(f"attributes.run_id IN ({listed})") if run_ids else ()
        return max((run.data.tags.get("cutoff", "") for run in runs), default="")


def _settle() -> None:
    """Sets what MLflow takes from the whole process alone, its environment and its loggers, and nothing that somebody has set already.

    Done when an address is opened: who only imports this keeps MLflow as it was.
    """
    for name, value in HABITS.items():
        os.environ.setdefault(name, value)
    for name, level in QUIET.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


def _made_by(record: RunRecord, run: Run) -> dict[str, str]:
    """Tags that lead to the Dagster run. Its page is named in the run's description too, which is told once: people may edit it."""
    if record.dagster_run is None or "dagster_run" in run.data.tags:
        return {}
    described = f"Made by Dagster run `{record.dagster_run}`: its log is at `/runs/{record.dagster_run}` of the Dagster UI."
    note = {} if MLFLOW_RUN_NOTE in run.data.tags else {MLFLOW_RUN_NOTE: described}
    return {"dagster_run": record.dagster_run, **note}


def _unshown(metrics: Sequence[Measured], run: Run) -> tuple[Measured, ...]:
    """Those of a finished run that it does not show yet, or shows otherwise: of several folds it shows the last."""
    last = {each.name: each.value for each in metrics}
    new = {name for name, value in last.items() if run.data.metrics.get(name) != value}
    return tuple(each for each in metrics if each.name in new)


def _figures(trial: Trial) -> tuple[Measured, ...]:
    whole = () if trial.value is None else (Measured("objective", trial.value),)
    return (*whole, *(Measured("objective_by_fold", value, fold) for fold, value in enumerate(trial.folds)))


def _may_answer_later(error: Exception) -> bool:
    if isinstance(error, HTTPError):
        return error.response is not None and error.response.status_code >= 500
    if isinstance(error, MlflowException):  # of a connection that failed it says 500 too
        return bool(error.get_http_status_code() >= 500)
    return isinstance(error, RequestException)


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
