"""What the files of some tables hold, as one short text: another one as soon as a byte of them differs, whoever wrote it.

A file is read once for each of its versions; what is kept belongs to that version and cannot be out of date.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from quant_assets.calendars import Window
from quant_assets.lake.store import Lake, Version, year_file


def fingerprint(lake: Lake, tables: Sequence[str], window: Window) -> str:
    """16 hexadecimal digits of every year file that the window touches."""
    told = [
        f"{table} {year} {_content(year_file(lake.root, table, year), version)}"
        for table in tables
        for year, version in lake.versions(table, window).items()
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=4096)
def _content(file: Path, version: Version) -> str:
    """Empty when the file was replaced or removed since its version was read: nobody has seen that content."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "blake2b").hexdigest()
    except FileNotFoundError:
        return ""
