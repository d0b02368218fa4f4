"""From a home to an archive, while a night or the UI may be at work in it.

First a snapshot of the stores is taken, in a moment, then its lake is read through, then it is packed. No lock of the stores is needed:
each file is whole, and what a night had not finished at that moment the next run after a restore finds missing, as after a night that was
killed.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from quant_assets.backup import archive
from quant_assets.backup.archive import Manifest
from quant_assets.backup.stores import Copy, configuration, copy_file, stores
from quant_assets.errors import LakeError, LockHeld
from quant_assets.lake import Lake
from quant_assets.settings import Settings

FOLDER = "backups"
UNFINISHED = ".unfinished"  # one fixed name: only the holder of the lock writes it, so whatever it finds is a leftover


@dataclass(frozen=True)
class Saved:
    """A finished backup; `size` of the file in bytes."""

    file: Path
    manifest: Manifest
    size: int


def save(settings: Settings, *, now: dt.datetime) -> Saved:
    """Writes `backups/quant_assets-<UTC stamp>.tar.gz` in the home; it appears under that name only when it is whole.

    Raises
    ------
    LakeError : nothing is stored yet, a file of the lake is damaged, a store cannot be read, or the disk does not take the archive: no
        archive was written.
    LockHeld : another backup of this home is being written.
    """
    folder = settings.home / FOLDER
    file = folder / f"quant_assets-{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    if not any(True for store in stores(settings) for _ in store.files()):
        raise LakeError(f"nothing is stored in {settings.home} yet", remedy="run `quant-assets run` first")
    try:
        with _unfinished(folder) as unfinished:
            files = _snapshot(settings, unfinished / "snapshot")
            _refuse_damage(unfinished / "snapshot" / "lake", settings.lake_root)
            manifest = Manifest(
                format=archive.FORMAT,
                version=importlib.metadata.version("quant-assets"),
                created_at=now,
                mlflow_artifacts=settings.mlflow_artifacts,
                members={name: archive.measured(path) for name, path in files.items()},
            )
            archive.write(unfinished / file.name, manifest, files)
            (unfinished / file.name).replace(file)
    except (OSError, sqlite3.Error) as error:
        raise LakeError(f"{file} cannot be written ({error})", remedy="free disk space or mend what is named, then back up again") from None
    return Saved(file, manifest, file.stat().st_size)


def _refuse_damage(taken: Path, lake_root: Path) -> None:
    """Raises LakeError naming each file of the lake that cannot be read, by the place it was taken from."""
    try:
        Lake(taken).check(pages=True)
    except LakeError as error:
        raise LakeError(f"no backup was written: {error.message.replace(str(taken), str(lake_root))}", remedy=error.remedy) from None


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, also the one that a killed backup left."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            unfinished = folder / UNFINISHED
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                yield unfinished
            finally:
                shutil.rmtree(unfinished)
    except Timeout:
        raise LockHeld("another backup of this home is being written", remedy="wait for it to end") from None


def _snapshot(settings: Settings, folder: Path) -> dict[str, Path]:
    """Member name to a file that nobody changes any more: settings first, since a restore needs them first."""
    wanted: list[tuple[str, Path, Copy]] = [(name, path, copy_file) for name, path in configuration(settings).items()]
    wanted += [(name, path, store.copy) for store in stores(settings) for name, path in store.files()]
    taken: dict[str, Path] = {}
    for name, path, copy in wanted:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy(path, target)
        except FileNotFoundError:  # not set up in this home, or removed since it was listed
            continue
        if target.exists():
            taken[name] = target
    return taken
