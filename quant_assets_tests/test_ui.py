"""`make ui` as an operator meets it: both servers up, one partition materialised from the browser, both gone after Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, sync_playwright

from quant_assets.calendars import year_window
from quant_assets_tests.night.homes import Home, new_home

PATIENCE_SECONDS = 120.0
ALONE = "ticker,source,listed\nAAPL,bokeh,2007-01-03\n"
"""One name: the sensor of new names would ask for the histories of others as soon as this one has its own."""
RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"


@dataclass(frozen=True)
class Running:
    """The process and where its two servers listen."""

    process: subprocess.Popen[str]
    dagster: str
    mlflow: str
    home: Home


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(dagster_port: int, mlflow_port: int) -> list[str]:
    return [sys.executable, "-m", "quant_assets.ui", "--dagster-port", str(dagster_port), "--mlflow-port", str(mlflow_port)]


def wait_until(met: Callable[[], bool], what: str) -> None:
    """Polls; what is waited for happens in other processes, so there is nothing to be notified by."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not met():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS:.0f} s"
        pause.wait(0.2)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def graphql(base: str, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{base}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["data"]


def runs(base: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = graphql(base, RUNS)["runsOrError"]["results"]
    return found


@pytest.fixture(scope="module")
def running(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = new_home(tmp_path_factory.mktemp("ui") / "home", universe=ALONE)
    dagster_port, mlflow_port = free_port(), free_port()
    environment = {**home.environment, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command(dagster_port, mlflow_port), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    started = Running(process, f"http://127.0.0.1:{dagster_port}", f"http://127.0.0.1:{mlflow_port}", home)
    try:
        up = lambda: answers(f"{started.dagster}/server_info") and answers(f"{started.mlflow}/health")  # noqa: E731
        wait_until(lambda: process.poll() is not None or up(), "both servers answer")
        assert process.poll() is None, process.communicate()[0]
        yield started
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for child in family:
                if child.is_running():
                    child.kill()


def launch(page: Page, base: str) -> None:
    """The clicks of an operator who wants AAPL's prices of 2013."""
    page.goto(f"{base}/assets/prices")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_placeholder("ex: 2007, 2008").fill("2013")
    page.keyboard.press("Enter")
    page.get_by_text("Select a partition or create one").click()
    page.get_by_text("AAPL", exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch").last.click()


def test_a_partition_materialised_from_the_browser_is_in_the_lake(running: Running, chromium: str):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        launch(page, running.dagster)
        wait_until(lambda: any(run["status"] in ("SUCCESS", "FAILURE") for run in runs(running.dagster)), "the run ends")
        page.goto(f"{running.dagster}/assets/prices")
        page.get_by_text("Show Markdown").first.wait_for()
        browser.close()
    (run,) = runs(running.dagster)
    assert run["status"] == "SUCCESS"
    stored = running.home.lake.scan("prices", window=year_window(2013)).collect()
    assert set(stored["ticker"]) == {"AAPL"}
    assert stored.height == 41


def test_the_logs_stay_where_they_are(running: Running):
    """Dagster's telemetry would take the folder `logs` of its home away, whatever `dagster.yaml` says about telemetry."""
    assert {"dagster.log", "mlflow.log"} <= {path.name for path in (running.home.folder / "data" / "logs").iterdir()}
    assert not (running.home.folder / ".logs_queue").exists()


def test_a_taken_port_is_a_sentence_and_touches_nothing(running: Running, tmp_path: Path):
    home = new_home(tmp_path / "home")
    taken = int(running.dagster.rsplit(":", 1)[1])
    done = subprocess.run(
        command(taken, free_port()), env=home.environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 2
    assert done.stderr == f"error: port {taken} is taken; choose another: make ui DAGSTER_PORT={taken + 1}.\n"
    assert not (home.folder / "data").exists()


def test_ctrl_c_stops_everything(running: Running):
    """Last in the file: it ends what the others use."""
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) > 2
    running.process.send_signal(signal.SIGINT)
    said, _ = running.process.communicate(timeout=60)
    assert running.process.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    left = [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not left
