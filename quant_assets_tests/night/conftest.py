"""One finished night, made once; tests that change anything work on a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from quant_assets.backup.relocate import relocate
from quant_assets_tests.night.homes import Home, new_home


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
def copy(finished: Home, tmp_path: Path) -> Callable[[], Home]:
    return lambda: finished.copy(tmp_path / "home")
