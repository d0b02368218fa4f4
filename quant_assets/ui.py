"""`make ui`: Dagster (webserver and daemon) and MLflow side by side on loopback, stopped together."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from quant_assets.cli.app import aside, exit_with
from quant_assets.defs.instance import dagster_home
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.models.terms import MLFLOW_VIEW
from quant_assets.settings import Settings

HOST = "127.0.0.1"
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 20
GRACE_SECONDS = 3


def serve(settings: Settings, *, dagster_port: int, mlflow_port: int) -> int:
    """Runs both until Ctrl-C, SIGTERM, or until one of them ends; returns the exit code.

    Raises
    ------
    BadArgument : a port is taken.
    """
    for port, variable in ((dagster_port, "DAGSTER_PORT"), (mlflow_port, "MLFLOW_PORT")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise BadArgument(f"port {port} is taken", remedy=f"choose another: make ui {variable}={port + 1}") from None
    home = dagster_home(settings)
    settings.path(settings.paths.mlflow).mkdir(parents=True, exist_ok=True)
    commands = {
        "Dagster": [
            "-m",
            "dagster",
            "dev",
            "-m",
            "quant_assets.definitions",
            "-h",
            HOST,
            "-p",
            str(dagster_port),
            "--log-level",
            "warning",
        ],
        "MLflow": [
            *("-m", "mlflow", "server", "--backend-store-uri", settings.mlflow_uri, "--host", HOST, "--port", str(mlflow_port)),
            *("--default-artifact-root", settings.mlflow_artifacts, "--workers", "1"),
        ],
    }
    stop = _Stop()
    logs = settings.path(settings.paths.logs)
    logs.mkdir(parents=True, exist_ok=True)
    children = {name: _start(command, settings.home, logs / f"{name.lower()}.log") for name, command in commands.items()}
    aside.print(f"Dagster  http://{HOST}:{dagster_port}  (storage {settings.dagster_storage}, configuration {home})")
    aside.print(f"MLflow   http://{HOST}:{mlflow_port}/#/experiments{MLFLOW_VIEW}", soft_wrap=True)
    aside.print(f"Both are up in about 20 seconds and log to {logs}. Ctrl-C stops them.")
    ended = None
    while not stop.asked and ended is None:
        time.sleep(POLL_SECONDS)
        ended = next((name for name, child in children.items() if child.poll() is not None), None)
    _stop_all(list(children.values()))
    if ended:
        aside.print(f"{ended} ended by itself with exit code {children[ended].returncode}; the other was stopped; see {logs}")
        return 1
    aside.print("stopped")
    return 0


class _Stop:
    """Set by the first SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def _start(command: Sequence[str], home: Path, log: Path) -> subprocess.Popen[bytes]:
    """A child in its own process group, so that a Ctrl-C reaches it once, from us, and takes its own children along."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONWARNINGS": "ignore",
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=home,
            env={**os.environ, **quiet},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop_all(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Asks both to end, then whatever they leave behind: a code server would wait half a minute for a heartbeat."""
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    patience = time.monotonic() + PATIENCE_SECONDS
    while any(child.poll() is None for child in children) and time.monotonic() < patience:
        time.sleep(POLL_SECONDS)
    left = list(children)
    for number in (signal.SIGTERM, signal.SIGKILL):
        grace = time.monotonic() + GRACE_SECONDS
        while (left := [child for child in left if _signalled(child, number)]) and time.monotonic() < grace:
            time.sleep(POLL_SECONDS)


def _signalled(child: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether anyone was left in the child's process group to be told."""
    child.poll()
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="make ui", description=__doc__)
    parser.add_argument("--dagster-port", type=int, default=3000)
    parser.add_argument("--mlflow-port", type=int, default=5000)
    asked = parser.parse_args()
    try:
        sys.exit(serve(Settings.load(), dagster_port=asked.dagster_port, mlflow_port=asked.mlflow_port))
    except QuantAssetsError as error:
        sys.exit(exit_with(error, as_json=False))


if __name__ == "__main__":
    main()
