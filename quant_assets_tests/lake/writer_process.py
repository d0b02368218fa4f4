"""Processes that write a lake; `test_processes.py` starts them, lets them collide and kills them.

`python -m quant_assets_tests.lake.writer_process append ROOT TICKER` waits for a line, then adds the ticker's sessions one write
at a time. `... alternate ROOT` forks, for every line it gets, a child that writes the two VERSIONS in turn until it is killed,
and reports each begin and end of a write. It forks from a process that has imported polars but started none of its threads.
"""

from __future__ import annotations

import os
import sys

from quant_assets.calendars import day_window
from quant_assets.lake import Lake
from quant_assets_tests.lake.frames import TABLE, YEAR_2012, weekdays_2012

REWRITTEN = [f"T{number:02d}" for number in range(50)]
VERSIONS = (0.0, 1e6)
APPENDED = 60


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def append(root: str, ticker: str) -> None:
    lake, rows = Lake(root), weekdays_2012([ticker], 0.0)
    say("ready")
    sys.stdin.readline()
    for session in rows["session"].head(APPENDED):
        lake.replace(TABLE, rows.filter(session=session), keys=[ticker], window=day_window(session))


def alternate(root: str) -> None:
    lake = Lake(root)
    versions = [weekdays_2012(REWRITTEN, first_score) for first_score in VERSIONS]
    while True:
        for version in versions:
            say("begin")
            lake.replace(TABLE, version, keys=REWRITTEN, window=YEAR_2012)
            say("end")


def serve_children(root: str) -> None:
    say("ready")
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            alternate(root)
        say(str(child))
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    {"append": append, "alternate": serve_children}[sys.argv[1]](*sys.argv[2:])
