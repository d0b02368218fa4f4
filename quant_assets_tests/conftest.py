"""Fixtures shared by all tests: where the real data lie. Builders of small lakes live beside the tests that use them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from quant_assets.backup.relocate import relocate
from quant_assets_tests.night.homes import Home, new_home

# Tests assert behaviour, not seconds: an example may take as long as a busy machine needs.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and published numbers; a clone without it skips, CI fails."""
    folder = Path(os.environ.get("QUANT_ASSETS_SHARED", CHECKOUT.parent / "shared"))
    if folder.is_dir():
        return folder
    message = f"{folder} is absent: set QUANT_ASSETS_SHARED to the folder with data/ and reference/"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Home:
    """A home after its first night, made once for all workers and moved to a place of each one's own. Not to be written to."""
    mine = tmp_path_factory.getbasetemp()
    ours = mine if worker_id == "master" else mine.parent
    made = Home(ours / "first_night")
    with FileLock(ours / "first_night.lock"):
        if not (ours / "first_night.done").exists():
            done = new_home(made.folder).run("run")
            assert done.returncode == 0, done.stderr
            (ours / "first_night.done").touch()
    home = made.copy(tmp_path_factory.mktemp("night") / "home")
    artifacts = home.folder / "mlflow" / "artifacts"
    moved = relocate(
        home.folder / "mlflow" / "mlflow.db", artifacts, old=f"file://{made.folder}/mlflow/artifacts", new=f"file://{artifacts}"
    )
    assert moved
    return home


@pytest.fixture
def as_in_a_terminal() -> Iterator[None]:
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; a machine without one skips, CI fails."""
    found = shutil.which("chromium")
    if found is None:
        message = "chromium is not installed: no page is opened in a browser"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nights of a real daemon first: they mostly wait, so that other tests fill the cores beside them."""
    items.sort(key=lambda item: "operate" not in item.path.parts)
