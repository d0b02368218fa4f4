"""What a backup holds: the stores of a home, where each lies, which of its files count and how one is copied while in use.

A store that is added to a home is added here; a test of a whole night fails until it is.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from quant_assets.settings import FILE_NAME, Settings

SQLITE_MAGIC = b"SQLite format 3\0"
SETTINGS = f"settings/{FILE_NAME}"
DAGSTER = "settings/dagster.yaml"
UNIVERSE = "settings/universe.csv"
MEMBERSHIP = "settings/membership.csv"
CONFIGURATION = (SETTINGS, DAGSTER, UNIVERSE, MEMBERSHIP)
MLFLOW_DATABASE = "mlflow/mlflow.db"
MLFLOW_ARTIFACTS = "mlflow/artifacts"
RESTORING = "restoring"

Copy = Callable[[Path, Path], None]


def copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target)


def link_file(source: Path, target: Path) -> None:
    """For files that are only ever swapped in whole: a second name keeps the content for as long as the backup needs it."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def copy_database(source: Path, target: Path) -> None:
    """A SQLite database through its own backup, which waits for writers and leaves out what is not committed; anything else as a file."""
    with source.open("rb") as file:
        if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
            shutil.copy2(source, target)
            return
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def copy_model_database(source: Path, target: Path) -> None:
    """As `copy_database`; without a run in it there is no copy: MLflow may be at work on its tables, and half of them are of no use."""
    copy_database(source, target)
    with closing(sqlite3.connect(target)) as copy:
        has_table = copy.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'runs'").fetchone()[0]
        in_use = has_table and copy.execute("SELECT count(*) FROM runs").fetchone()[0]
    if not in_use:
        target.unlink()


@dataclass(frozen=True)
class Store:
    """A folder of the home, or a single file.

    Parameters
    ----------
    name : what its members in the archive are called, or begin with.
    left_out : patterns; a file below the folder with a part of its path that fits one is not kept. None: the store is a file.
    copy : puts one file, which others may be writing, where it can be packed at leisure; or nothing, if it holds nothing to keep.
    """

    name: str
    place: Path
    left_out: tuple[str, ...] | None
    copy: Copy

    @property
    def stage(self) -> Path:
        """Where a restore unpacks it: inside the folder, which may be a disk of its own, or beside the file."""
        return self.place.with_name(f"{self.place.name}.{RESTORING}") if self.left_out is None else self.place / f".{RESTORING}"

    def files(self) -> Iterator[tuple[str, Path]]:
        """(member name, path) of each file that counts."""
        if self.left_out is None:
            if self.place.is_file():
                yield self.name, self.place
            return
        for path in sorted(self.place.rglob("*")):
            relative = path.relative_to(self.place)
            if path.is_file() and not any(fnmatch(part, pattern) for part in relative.parts for pattern in self.left_out):
                yield f"{self.name}/{relative.as_posix()}", path

    def holds(self, member: str) -> bool:
        return member == self.name or member.startswith(f"{self.name}/")

    def occupied(self) -> bool:
        """Whether a restore would meet anything: hidden files (locks, its own leftovers) and folders without a file do not count."""
        if self.left_out is None:
            return self.place.exists()
        shown = [path for path in self.place.glob("*") if not path.name.startswith(".")]
        return any(path.is_file() or any(below.is_file() for below in path.rglob("*")) for path in shown)


def stores(settings: Settings) -> tuple[Store, ...]:
    """In the order of saving: the rows of the lake name MLflow runs, and those their artifacts, so that whatever is named is saved too.

    What a night adds meanwhile is missing in the saved lake, and the next run after a restore makes it again.
    """
    data, mlflow = settings.path(settings.paths.data), settings.path(settings.paths.mlflow)
    return (
        Store("lake", settings.lake_root, (".*", "*.tmp"), link_file),
        Store("warehouse.duckdb", data / "warehouse.duckdb", None, link_file),
        Store(MLFLOW_DATABASE, mlflow / "mlflow.db", None, copy_model_database),
        Store(MLFLOW_ARTIFACTS, mlflow / "artifacts", (f".{RESTORING}",), copy_file),
        Store("mlflow/studies.db", mlflow / "studies.db", None, copy_database),
        Store("mlflow/waiting", mlflow / "waiting", (".*",), copy_file),
        Store("outputs", settings.path(settings.paths.outputs), (".*",), link_file),
        Store("alerts.jsonl", data / "alerts.jsonl", None, copy_file),
        Store("wire.db", data / "wire.db", None, copy_database),
        Store("dagster", settings.dagster_storage, (".*", "compute_logs", "*.db-wal", "*.db-shm", "*.db-journal"), copy_database),
    )


def configuration(settings: Settings) -> dict[str, Path]:
    """Member name to path of the files that say how the stores are read; they need not exist."""
    places = (settings.home / FILE_NAME, settings.home / "dagster.yaml", settings.universe_file, settings.membership_file)
    return {member: place for member, place in zip(CONFIGURATION, places, strict=True) if place}
