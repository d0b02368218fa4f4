"""One built warehouse for tests that only read."""

from __future__ import annotations

import duckdb
import pytest

from quant_assets.warehouse import open_warehouse
from quant_assets.workspace import Workspace
from quant_assets_tests.warehouse.homes import YEARS, build, new_home


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = new_home(tmp_path_factory.mktemp("warehouse"))
    assert build(work, YEARS).success
    return work


@pytest.fixture
def warehouse(built: Workspace) -> duckdb.DuckDBPyConnection:
    return open_warehouse(built.settings)
