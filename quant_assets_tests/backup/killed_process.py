"""A restore that is killed at each of its steps on disk in turn; `test_restore.py` looks at what is left.

`python -m quant_assets_tests.backup.killed_process ARCHIVE FOLDER` restores into FOLDER/1, FOLDER/2, ... and kills the n-th by SIGKILL
as it is about to open, rename, make or remove a file for the n-th time, until one gets through. Prints how many were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from quant_assets.backup import restore

STEPS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect")


def restore_until(step: int, archive: Path, home: Path) -> None:
    left = iter(range(step))

    def one_less(event: str, _arguments: tuple[object, ...]) -> None:
        if event in STEPS and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(one_less)
    restore(archive, home=home)


def kill_at_each_step(archive: Path, folder: Path) -> int:
    for step in count(1):
        home = folder / str(step)
        home.mkdir(parents=True)
        child = os.fork()  # a child costs no imports, and the parent has started no thread
        if not child:
            restore_until(step, archive, home)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return step - 1
    raise AssertionError("no restore got through")


if __name__ == "__main__":
    print(kill_at_each_step(Path(sys.argv[1]), Path(sys.argv[2])))
