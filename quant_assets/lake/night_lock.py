"""The lock of a whole night: its holder alone fills the lake. The locks of single year files are in `store.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from quant_assets.errors import LakeError, LockHeld

FILE_NAME = "night.lock"


def lock_of(lake_root: Path) -> Path:
    return lake_root.parent / FILE_NAME


@contextmanager
def night_lock(lake_root: Path) -> Iterator[None]:
    """Raises LockHeld when another night, or a restore, is writing the same lake, LakeError when the folder cannot be written."""
    file = lock_of(lake_root)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=0)
        lock.acquire()
    except Timeout:
        raise LockHeld("another run is writing this lake", remedy="wait for it to end, then run again") from None
    except OSError as error:
        raise LakeError(
            f"{file.parent} cannot be written ({error.strerror})", remedy="make the folder writable or set paths.data"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_held(lake_root: Path) -> bool:
    """Whether a terminal's run, or a restore, holds the lake at this moment."""
    if not lock_of(lake_root).exists():
        return False
    try:
        with night_lock(lake_root):
            return False
    except LockHeld:
        return True
