"""A finished night, saved and restored elsewhere: everything is nothing to do there, its models load, and its history is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

import dagster as dg
import pytest
from polars.testing import assert_frame_equal

from quant_assets.models.terms import MODEL_NAME
from quant_assets_tests.night.homes import Home, new_home, read_until
from quant_assets_tests.night.test_restoring import assert_same_but_for_model_names

LEFT_OUT = ("*.lock", "data/logs/*", "data/dagster/*/compute_logs/*", "data/dagster/.*", "*.db-wal", "*.db-shm")
LOAD_BY_ALIAS = f"""
import sys, warnings
warnings.filterwarnings("ignore")
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(type(mlflow.xgboost.load_model("models:/{MODEL_NAME}@challenger")).__name__)
"""


def backup(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quant_assets.cli.backup", *arguments]
    return subprocess.run(command, env=home.environment, capture_output=True, text=True, check=False, timeout=120)


def saved(home: Home) -> Path:
    done = backup(home, "save")
    assert done.returncode == 0, done.stderr
    return max((home.folder / "backups").glob("*.tar.gz"))


def restored(archive: Path, folder: Path) -> Home:
    folder.mkdir()
    done = backup(Home(folder), "restore", str(archive))
    assert done.returncode == 0, done.stderr
    return Home(folder)


def told_by_dagster(home: Home, monkeypatch: pytest.MonkeyPatch) -> tuple[int, set[str], int]:
    """Runs, materialised partitions of prices, events of the first run."""
    monkeypatch.setenv("QUANT_ASSETS_DAGSTER_STORAGE", str(home.folder / "data" / "dagster"))
    with dg.DagsterInstance.from_config(str(home.folder)) as instance:
        first = instance.get_runs()[-1].run_id
        return instance.get_runs_count(), instance.get_materialized_partitions(dg.AssetKey("prices")), len(instance.all_logs(first))


@pytest.fixture(scope="module")
def archive(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a copy that is gone, so that nothing can be read from it; its MLflow points at the home it was copied from."""
    home = finished.copy(tmp_path_factory.mktemp("saved") / "home")
    kept = saved(home).rename(home.folder.parent / "backup.tar.gz")
    shutil.rmtree(home.folder)
    return kept


def test_every_stored_file_is_saved_or_known_to_be_left_out(finished: Home, archive: Path):
    """A store added to a home must be added to `backup/stores.py` or to LEFT_OUT."""
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
    stored = {path.relative_to(finished.folder).as_posix() for path in finished.folder.rglob("*") if path.is_file()}
    expected = {name for name in stored if not any(fnmatch(name, pattern) for pattern in LEFT_OUT) and not name.startswith("backups/")}
    places = {name.removeprefix("data/") for name in expected} - {"universe.csv", "quant_assets.toml", "dagster.yaml"}
    assert names - places == {"manifest.json", "settings/universe.csv", "settings/quant_assets.toml", "settings/dagster.yaml"}
    assert places <= names


def test_a_restored_home_is_up_to_date(finished: Home, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = restored(archive, tmp_path / "elsewhere")
    assert home.files() == finished.files()
    before = home.files()
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing to do") == 12
    assert home.files() == before
    assert told_by_dagster(home, monkeypatch) == told_by_dagster(finished, monkeypatch)

    code, told = home.json("report")
    assert code == 0
    assert Path(told["report"]["html"]).is_relative_to(home.folder)
    assert home.files() == before
    code, told = home.json("doctor")
    assert code == 0
    assert {finding["state"] for finding in told["items"]} <= {"ok", "note"}
    [models] = [finding for finding in told["items"] if finding["name"] == "models"]
    assert models["state"] == "ok"


def test_models_are_read_from_the_restored_home_alone(finished: Home, archive: Path, tmp_path: Path):
    """Every address in MLflow's database lies in it, and the registry's aliases lead to a model."""
    home = restored(archive, tmp_path / "elsewhere")
    database = home.folder / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        assert str(finished.folder / "mlflow") not in "\n".join(connection.iterdump())
        assert connection.execute("SELECT count(*) FROM runs WHERE artifact_uri LIKE ?", (f"file://{home.folder}/%",)).fetchone()[0] > 5
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_BY_ALIAS, f"sqlite:///{database}"],
        env={**home.environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "Booster"


def test_a_restored_home_trains_on_as_the_first_would(archive: Path, tmp_path: Path):
    """A lost model is made again from restored rows: its run is found in MLflow and resumed, in this home."""
    home = restored(archive, tmp_path / "elsewhere")
    before = home.table("model_runs")
    shutil.rmtree(home.folder / "data" / "lake" / "model_runs" / "year=2013")
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert_frame_equal(home.table("model_runs"), before, check_exact=True)
    assert home.run("run").stderr.count("nothing to do") == 12


def test_refused_over_a_home_with_anything_in_it(archive: Path, copy: Callable[[], Home]):
    home = copy()
    before = home.files()
    done = backup(home, "restore", str(archive))
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is something in ")
    assert "restore into an empty home" in done.stderr
    assert home.files() == before


def test_a_backup_of_a_night_at_work_is_completed_by_the_next_run(finished: Home, tmp_path: Path):
    home = new_home(tmp_path / "working")
    with subprocess.Popen(home.command("run"), env=home.environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        read_until(running.stderr, "[5/12]")  # models are written one after the other
        archive = saved(home)
        assert running.poll() is None
        os.killpg(running.pid, 9)
    shutil.move(archive, tmp_path / "backup.tar.gz")
    shutil.rmtree(home.folder)
    again = restored(tmp_path / "backup.tar.gz", tmp_path / "elsewhere")
    done = again.run("run")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert_same_but_for_model_names(again, finished)
