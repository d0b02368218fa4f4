"""The product's instance: how long it keeps what would grow without end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from quant_assets.defs.instance import open_instance
from quant_assets.settings import Settings
from quant_assets_tests.conftest import CHECKOUT

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


def test_looks_that_found_nothing_are_kept_for_a_day_and_none_for_ever(tmp_path: Path):
    """Dagster takes a setting that it does not know for its default: a week of the first, all of the others."""
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    with open_instance(Settings(home=tmp_path)) as instance:
        sensors, schedules = (instance.get_tick_retention_settings(kind) for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE))
    assert sensors[TickStatus.SKIPPED] == 1
    assert all(0 < days <= 90 for days in (*sensors.values(), *schedules.values()))
