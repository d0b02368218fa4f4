"""A real `dagster dev` (webserver, daemon, code server) on a home, asked through the same GraphQL as the UI asks."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import dagster as dg

from quant_assets.defs.instance import dagster_home
from quant_assets.settings import Settings
from quant_assets_tests.night.homes import CHECKOUT, Home

MODULE = "quant_assets_tests.operate.faulty_definitions"
SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": MODULE}
PATIENCE_SECONDS = 600
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(found: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """What `found` returns once it returns something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.25)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@dataclass
class Daemon:
    home: Home
    port: int
    process: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told["errors"]
        return told["data"]

    def tick(self, when: dt.datetime) -> tuple[list[dict[str, Any]], str | None]:
        """(run requests, skip reason) of the nightly schedule at a simulated time, evaluated by the code server."""
        told = self.ask(
            """mutation($s: ScheduleSelector!, $t: Float) { scheduleDryRun(selectorData: $s, timestamp: $t) { __typename
            ... on DryRunInstigationTick { evaluationResult { skipReason error { message stack }
            runRequests { runKey jobName tags { key value } } } } } }""",
            s={**SELECTOR, "scheduleName": "nightly"},
            t=when.timestamp(),
        )["scheduleDryRun"]
        result = told["evaluationResult"]
        assert result["error"] is None, result["error"]
        return result["runRequests"] or [], result["skipReason"]

    def launch(self, job: str, tags: Sequence[dict[str, str]]) -> str:
        """The run id."""
        told = self.ask(
            """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename ... on LaunchRunSuccess { run { runId } }
            ... on PythonError { message } } }""",
            p={
                "selector": {**SELECTOR, "jobName": job},
                "runConfigData": {},
                "mode": "default",
                "executionMetadata": {"tags": [{"key": tag["key"], "value": tag["value"]} for tag in tags]},
            },
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def start_night(self, when: dt.datetime) -> str | None:
        """Evaluates the schedule and launches what it asks for; returns the skip reason when it asks for nothing."""
        requests, reason = self.tick(when)
        for request in requests:
            self.launch(request["jobName"], request["tags"])
        return reason

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends the whole process group, code servers and run workers with it."""
        if number == signal.SIGTERM and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(home: Home) -> dict[str, str]:
    return {
        **home.environment,
        "DAGSTER_HOME": str(home.folder),
        "QUANT_ASSETS_DAGSTER_STORAGE": str(home.folder / "data" / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONWARNINGS": "ignore",
    }


def start(home: Home) -> Daemon:
    return launched(home, "dagster", "dev", "-m", MODULE, "--log-level", "warning")


def launched(home: Home, *program: str) -> Daemon:
    """The program once it serves the repository on a port of its own.

    Parameters
    ----------
    program : arguments of `python -m`.
    """
    (home.folder / "data" / "dagster").mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", *program, "-h", "127.0.0.1", "-p", str(port)]
    with (home.folder / "dagster.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=home.folder, env=environment(home), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    daemon = Daemon(home, port, process)

    def up() -> bool:
        assert process.poll() is None, (home.folder / "dagster.log").read_text()[-3000:]
        try:
            nodes = daemon.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except OSError:
            return False
        return bool(nodes["repositoriesOrError"].get("nodes"))

    until(up, "the webserver")
    return daemon


@contextmanager
def running(home: Home) -> Iterator[Daemon]:
    daemon = start(home)
    try:
        yield daemon
    finally:
        daemon.stop()


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's instance, in this process."""
    before = dict(os.environ)
    try:
        dagster_home(Settings(home=home.folder))
        with dg.DagsterInstance.get() as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(before)


def worker_of(daemon: Daemon, asset: str) -> int:
    """The process that executes a step of the asset."""

    def found() -> int | None:
        with instance_of(daemon.home) as instance:
            for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                if dg.AssetKey(asset) not in (run.asset_selection or ()):
                    continue
                for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
                    event = record.event_log_entry.dagster_event
                    if event and "Executing steps in process" in (event.message or ""):
                        return int(event.engine_event_data.metadata["pid"].value)
        return None

    return until(found, f"a worker of {asset}")
