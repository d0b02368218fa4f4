"""MLflow's database in another folder: it stores the absolute URI of every artifact.

The description files inside the artifacts name their first place too; MLflow does not read it, and they stay as they were logged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

LOCATION = ("experiments", "artifact_location")


def relocate(database: Path, artifacts: Path, *, old: str, new: str) -> int:
    """Replaces the beginning of every artifact URI, in whichever column it stands; returns how many values were changed.

    Parameters
    ----------
    artifacts : the folder with the artifacts, wherever it lies for the moment.
    old, new : URI of that folder in the saved home and in this one.
    """
    changed = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = list(_columns(connection))
        beginnings = {old, *(_beginnings(connection, artifacts) if LOCATION in columns else ())} - {new}
        for table, column in columns:
            for beginning in beginnings:
                changed += connection.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)'
                    f' WHERE typeof("{column}") = \'text\' AND ("{column}" = ? OR substr("{column}", 1, ?) = ?)',
                    (new, len(beginning) + 1, beginning, len(beginning) + 1, f"{beginning}/"),
                ).rowcount
    return changed


def _beginnings(connection: sqlite3.Connection, artifacts: Path) -> Iterator[str]:
    """URIs that stand for the folder in a home that was moved or copied by hand: experiments elsewhere whose artifacts lie here."""
    for (location,) in connection.execute("SELECT artifact_location FROM experiments WHERE artifact_location IS NOT NULL"):
        beginning, _, experiment = location.rstrip("/").rpartition("/")
        if beginning and (artifacts / experiment).is_dir():
            yield beginning


def _columns(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
        for column in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
            yield table, column[1]
