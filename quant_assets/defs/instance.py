"""The Dagster instance of a home: the same one from the command line and from the UI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance import InstanceRef
from sqlalchemy.exc import DBAPIError

from quant_assets.errors import LakeError
from quant_assets.lake.store import MAKE_WRITABLE
from quant_assets.settings import Settings

STORAGE_VARIABLE = "QUANT_ASSETS_DAGSTER_STORAGE"
# Partition events are written by the thousand: see defs/event_log.py
BATCH_VARIABLE, BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", "1000"


def dagster_home(settings: Settings) -> Path:
    """Points this process (and its children) at the home's Dagster storage and returns the folder of its `dagster.yaml`.

    Raises
    ------
    LakeError : the storage folder cannot be made.
    """
    storage = settings.dagster_storage
    try:
        storage.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(f"{storage} cannot be written ({error.strerror})", remedy="make the folder writable or set paths.data") from None
    home = settings.home
    if not (home / "dagster.yaml").is_file():
        home = storage
        if not (home / "dagster.yaml").exists():
            _give_configuration(home / "dagster.yaml")
    os.environ[STORAGE_VARIABLE] = str(storage)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "true"  # the switch in dagster.yaml does not stop its upload of log files
    return home


def _give_configuration(target: Path) -> None:
    """The checkout's; of an install without one, Dagster's own defaults."""
    ours = Path(__file__).resolve().parents[2] / "dagster.yaml"
    target.write_text(ours.read_text() if ours.is_file() else "telemetry: {enabled: false}\nnux: {enabled: false}\n")


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance for runs in this process: steps print nothing, so no process is started beside each to capture what they print.

    Raises
    ------
    LakeError : the run history cannot be read or written.
    """
    home = dagster_home(settings)
    quiet = {"compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}}
    try:
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=quiet)) as instance:
            yield instance
    except DBAPIError as error:
        raise LakeError(f"the run history in {settings.dagster_storage} fails ({error.orig})", remedy=MAKE_WRITABLE) from error
