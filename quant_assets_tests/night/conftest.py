"""One finished night, made once; tests that change anything work on a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quant_assets_tests.night.homes import Home, new_home


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after its first night. Not to be written to."""
    home = new_home(tmp_path_factory.mktemp("night") / "home")
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def copy(finished: Home, tmp_path: Path) -> Callable[[], Home]:
    return lambda: finished.copy(tmp_path / "home")
