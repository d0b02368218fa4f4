"""A small home with something in every store, made in a moment: two years of a table, an event log, a model, a report, a warehouse."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

from quant_assets.backup import Saved, save
from quant_assets.calendars import Window
from quant_assets.lake import Lake
from quant_assets.settings import Settings
from quant_assets_tests.lake.frames import TABLE, predictions

NOW = dt.datetime(2013, 3, 1, 22, 30, tzinfo=dt.UTC)
UNIVERSE = "ticker,source,listed\nAAPL,bokeh,2000-01-03\n"
BOTH_YEARS = Window(dt.date(2012, 1, 1), dt.date(2014, 1, 1))
ROWS = predictions(("AAPL", "2012-12-31", 0.5), ("AAPL", "2013-01-02", 0.6))
EVENTS = ["planned", "materialised"]


def small_home(home: Path, settings: str = "") -> Settings:
    """A home whose settings file holds `settings`; they may say where the stores lie."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "quant_assets.toml").write_text(f'universe = "names.csv"\n{settings}')
    (home / "names.csv").write_text(UNIVERSE)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    known = Settings.load(home=home)
    Lake(known.lake_root).replace(TABLE, ROWS, keys=None, window=BOTH_YEARS)
    data, mlflow = known.path(known.paths.data), known.path(known.paths.mlflow)
    (data / "warehouse.duckdb").write_bytes(b"a warehouse")
    (data / "alerts.jsonl").write_text("{}\n")
    (data / "wire.db").write_bytes(b"answers")
    (mlflow / "artifacts" / "pooled_model" / "run").mkdir(parents=True)
    (mlflow / "artifacts" / "pooled_model" / "run" / "booster.ubj").write_bytes(bytes(range(256)) * 40)
    (mlflow / "studies.db").write_bytes(b"trials")
    (mlflow / "waiting" / "000001-0a1b").mkdir(parents=True)
    (mlflow / "waiting" / "000001-0a1b" / "run.json").write_text("{}")
    with closing(sqlite3.connect(mlflow / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
        connection.execute("INSERT INTO runs VALUES ('run', ?)", (f"{known.mlflow_artifacts}/pooled_model/run",))
        connection.execute("CREATE TABLE experiments (name TEXT, artifact_location TEXT)")
        connection.execute("INSERT INTO experiments VALUES ('pooled_model', ?)", (f"{known.mlflow_artifacts}/pooled_model",))
    known.reports.mkdir(parents=True)
    (known.reports / "daily_report.csv").write_text("Ticker,Rank\nAAPL,1\n")
    known.dagster_storage.mkdir()
    with closing(sqlite3.connect(known.dagster_storage / "index.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE events (event TEXT)")
        connection.executemany("INSERT INTO events VALUES (?)", [(event,) for event in EVENTS])
    return known


def small_backup(home: Path, settings: str = "") -> Saved:
    return save(small_home(home, settings), now=NOW)


def events_of(settings: Settings) -> list[str]:
    with closing(sqlite3.connect(settings.dagster_storage / "index.db")) as connection:
        return [event for (event,) in connection.execute("SELECT event FROM events")]


def artifact_locations(settings: Settings) -> list[str]:
    with closing(sqlite3.connect(settings.path(settings.paths.mlflow) / "mlflow.db")) as connection:
        return [
            location
            for (location,) in connection.execute("SELECT artifact_location FROM experiments UNION ALL SELECT artifact_uri FROM runs")
        ]


def assert_whole(settings: Settings) -> None:
    """Every store holds what `small_home` put there, and MLflow's points into this home."""
    assert Lake(settings.lake_root).scan(TABLE).collect().equals(ROWS)
    data, mlflow = settings.path(settings.paths.data), settings.path(settings.paths.mlflow)
    assert (data / "warehouse.duckdb").read_bytes() == b"a warehouse"
    assert (data / "alerts.jsonl").read_text() == "{}\n"
    assert (data / "wire.db").read_bytes() == b"answers"
    assert (mlflow / "artifacts" / "pooled_model" / "run" / "booster.ubj").read_bytes() == bytes(range(256)) * 40
    assert (settings.reports / "daily_report.csv").read_text() == "Ticker,Rank\nAAPL,1\n"
    assert events_of(settings) == EVENTS
    assert artifact_locations(settings) == [f"{settings.mlflow_artifacts}/pooled_model", f"{settings.mlflow_artifacts}/pooled_model/run"]
    assert not [path for path in settings.home.rglob("*") if "restoring" in path.name]
