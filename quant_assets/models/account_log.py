"""The record of accounts in MLflow: one run a quarter that has ended, found again by what was booked. Models are in `registry.py`."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from quant_assets.models.code_version import code_version, source_hash
from quant_assets.models.registry import ModelRegistry
from quant_assets.models.run_record import Measured, RunRecord

EXPERIMENT = "portfolio_backtest"


def log_accounts(
    registry: ModelRegistry,
    *,
    partition: str,
    booked: Mapping[str, str],
    figures: Mapping[str, float | None],
    pictures: Mapping[str, Figure],
    files: Path,
    dagster_run: str | None = None,
) -> str:
    """Stores what accounts had earned by the end of a quarter and returns the run's id; the same accounts, measured by the same code, once
    more resume their run.

    Parameters
    ----------
    booked : what the accounts were made of, the tags that a run is found by.
    figures : by name; one that is not defined is left out.
    pictures : by file name. files : a folder, stored whole.
    dagster_run : id of the run that booked them, for whoever looks for its log.

    Raises
    ------
    TrackingUnavailable, ModelError, LockHeld : as `ModelRegistry.store`.
    """
    record = RunRecord(
        experiment=EXPERIMENT,
        name=f"accounts {partition}",
        started_ms=int(time.time() * 1000),
        identity={"asset": EXPERIMENT, "partition": partition, "source": source_hash(), **booked},
        tags={"code_version": code_version()},
        params={},
        metrics=tuple(Measured(name, float(value)) for name, value in figures.items() if value is not None),
        dagster_run=dagster_run,
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(files, folder, dirs_exist_ok=True)
        for name, picture in pictures.items():
            picture.savefig(Path(folder) / name)
        return registry.store(record, Path(folder)).run_id
