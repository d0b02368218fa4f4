"""What MLflow takes from the whole process: nothing on import, on opening an address only what nobody has set."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from quant_assets.models import tracking
from quant_assets.models.tracking import Tracking

IMPORTED = """
import logging, os
import quant_assets.models.registry
from quant_assets.models.tracking import QUIET
from mlflow.telemetry.client import get_telemetry_client
assert not [name for name in os.environ if "MLFLOW" in name]
assert [logging.getLogger(name).level for name in QUIET] == [logging.NOTSET] * len(QUIET)
assert get_telemetry_client() is None
"""


def test_an_import_changes_nothing_and_tells_nobody():
    """In an environment without the signs of a test or a CI machine, by which MLflow keeps quiet anyway."""
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTED], env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_somebody_has_set_stays(monkeypatch: pytest.MonkeyPatch):
    patience, retries = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    with monkeypatch.context() as patch:
        patch.setenv(patience, "7")
        patch.delenv(retries, raising=False)
        loud, quiet = (logging.getLogger(name) for name in list(tracking.QUIET)[:2])
        patch.setattr(loud, "level", logging.DEBUG)
        patch.setattr(quiet, "level", logging.NOTSET)
        Tracking("http://127.0.0.1:9", None)
        assert (os.environ[patience], os.environ[retries]) == ("7", "2")
        assert (loud.level, quiet.level) == (logging.DEBUG, logging.WARNING)
