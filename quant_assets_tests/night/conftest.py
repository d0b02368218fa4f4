"""A copy of the finished night, for tests that change something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quant_assets_tests.night.homes import Home


@pytest.fixture
def copy(finished: Home, tmp_path: Path) -> Callable[[], Home]:
    return lambda: finished.copy(tmp_path / "home")
