"""From an archive into an empty home: all of it is unpacked and verified beside its place before anything is put there.

Killed at any instant, the stores are all absent, or some are in place and the next restore refuses and names them. The lake comes last:
without it a home counts as empty for a night.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quant_assets.backup.archive import Archive, Manifest, opened
from quant_assets.backup.relocate import relocate
from quant_assets.backup.stores import CONFIGURATION, MLFLOW_ARTIFACTS, MLFLOW_DATABASE, RESTORING, SETTINGS, Store, configuration, stores
from quant_assets.errors import LakeError
from quant_assets.lake.night_lock import lock_of, night_lock
from quant_assets.settings import FILE_NAME, Settings

MAKE_ROOM = "restore into an empty home, or move them away (`make clean` removes every store)"


@dataclass(frozen=True)
class Restored:
    """What was put in place. `kept` maps each file of the settings that differs here, and was left alone, to where the saved one lies."""

    home: Path
    manifest: Manifest
    kept: dict[Path, Path]


def restore(file: Path, *, home: Path) -> Restored:
    """Puts the stores of an archive where the settings of `home` say; without a settings file there, where the saved ones say.

    Raises
    ------
    BadArgument : there is no such file, it is no backup, or one of a newer format.
    LakeError : a store is not empty, the archive is damaged, or the disk does not take it: nothing was put in place.
    LockHeld : a night is running in the home.
    """
    with opened(file) as archive:
        saved = _configuration(archive)
        settings = _settings(home, saved.get(SETTINGS))
        places = stores(settings)
        try:
            with _alone(settings.lake_root, places), _staged(places):
                _refuse_lack_of_space(archive.manifest, places)
                _unpack(archive, places)
                _relocate(archive.manifest, settings)
                os.sync()
                kept = _put_configuration(saved, settings)
                for store in reversed(places):
                    _put(store)
        except OSError as error:
            raise LakeError(
                f"{file} cannot be unpacked into {home} ({error})", remedy="free disk space or make the folder writable, then restore again"
            ) from None
    return Restored(home, archive.manifest, kept)


def _configuration(archive: Archive) -> dict[str, bytes]:
    """Member name to content of the settings, which come first."""
    found = {}
    for name, info in archive.members():
        if name not in CONFIGURATION:
            break
        found[name] = archive.read(info)
    return found


def _settings(home: Path, saved: bytes | None) -> Settings:
    if saved is None or (home / FILE_NAME).is_file():
        return Settings.load(home=home)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).write_bytes(saved)
        return Settings.load(home=Path(folder)).model_copy(update={"home": home})


@contextmanager
def _staged(places: Sequence[Store]) -> Iterator[None]:
    """Nothing is left where the stores are unpacked.

    Raises
    ------
    LakeError : a store is not empty; what a killed restore left unpacked then stays, as a sign.
    """
    occupied = [str(store.place) for store in places if store.occupied()]
    if occupied:
        why = "a restore was killed halfway and left" if any(store.stage.exists() for store in places) else "there is something in"
        raise LakeError(f"{why} {', '.join(occupied)}", remedy=MAKE_ROOM)
    _clear(places)
    try:
        yield
    finally:
        _clear(places)


@contextmanager
def _alone(lake_root: Path, places: Sequence[Store]) -> Iterator[None]:
    """Holds the lock of a night. After a failure the folders and the lock that were not there before are gone again."""
    lock = lock_of(lake_root)
    folders = {folder for store in places for folder in (store.stage.parent, *store.stage.parent.parents) if not folder.exists()}
    is_new = not lock.exists()
    try:
        with night_lock(lake_root):
            try:
                yield
            except BaseException:
                if is_new:
                    lock.unlink(missing_ok=True)  # while it is held: whoever opened it meanwhile finds that it has no name, and tries again
                raise
    except BaseException:
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):  # it holds something, or was never made
                folder.rmdir()
        raise


def _clear(places: Sequence[Store]) -> None:
    for store in places:
        if store.stage.is_dir():
            shutil.rmtree(store.stage)
        else:
            store.stage.unlink(missing_ok=True)


def _refuse_lack_of_space(manifest: Manifest, places: Sequence[Store]) -> None:
    """Raises LakeError when a disk cannot take what would be unpacked on it."""
    needed: Counter[int] = Counter()
    disks: dict[int, Path] = {}
    for store in places:
        store.place.parent.mkdir(parents=True, exist_ok=True)
        nearest = store.place if store.place.is_dir() else store.place.parent
        disks.setdefault(nearest.stat().st_dev, nearest)
        needed[nearest.stat().st_dev] += sum(member.size for name, member in manifest.members.items() if store.holds(name))
    for disk, folder in disks.items():
        free = shutil.disk_usage(folder).free
        if free < needed[disk]:
            raise LakeError(
                f"{needed[disk] / 1e6:,.1f} MB would be unpacked below {folder}, and its disk has {free / 1e6:,.1f} MB free",
                remedy="free disk space, or set `paths` to folders on a larger disk",
            )


def _unpack(archive: Archive, places: Sequence[Store]) -> None:
    """Every member of a store to its stage, verified."""
    for name, info in archive.members():
        store = next((store for store in places if store.holds(name)), None)
        if store is None:
            if name not in CONFIGURATION:
                raise LakeError(
                    f"{archive.path} holds {name}, which belongs to no store", remedy="restore it with the version that wrote it"
                )
        elif store.left_out is None:
            archive.extract(info, folder=store.stage.parent, name=store.stage.name)
        else:
            archive.extract(info, folder=store.stage, name=name.removeprefix(f"{store.name}/"))


def _relocate(manifest: Manifest, settings: Settings) -> None:
    unpacked = {store.name: store.stage for store in stores(settings)}
    if unpacked[MLFLOW_DATABASE].exists():
        database, artifacts = unpacked[MLFLOW_DATABASE], unpacked[MLFLOW_ARTIFACTS]
        relocate(database, artifacts, old=manifest.mlflow_artifacts, new=settings.mlflow_artifacts)


def _put_configuration(saved: Mapping[str, bytes], settings: Settings) -> dict[Path, Path]:
    """Settings that are absent here are put in place; those that differ stay, and the saved ones are written to the home beside them."""
    kept = {}
    for name, place in configuration(settings).items():
        content = saved.get(name)
        if content is None or (place.is_file() and place.read_bytes() == content):
            continue
        target = place
        if place.is_file():
            kept[place] = target = settings.home / f"{Path(name).name}.from-backup"
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{RESTORING}")
        beside.write_bytes(content)
        beside.replace(target)
    return kept


def _put(store: Store) -> None:
    """By renaming alone. What stands in the way holds no file."""
    if store.left_out is None:
        if store.stage.exists():
            store.stage.rename(store.place)
        return
    for child in sorted(store.stage.glob("*")):
        target = store.place / child.name
        if target.is_dir():
            shutil.rmtree(target)
        child.rename(target)
