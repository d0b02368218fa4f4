"""Tallies: small results of a query on each year file apart, kept for as long as that file is the same.

Each tick of a night looks at all of history, of which the night changes one year; a process counts the others once a night. Nothing here
can be out of date: what is kept belongs to one version of one file. What is counted is `coverage.py`'s and `demand.py`'s business.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from quant_assets.calendars import Window, year_window
from quant_assets.lake.store import Lake, Version

KEPT = 256
"""Results, each of a few rows a name: those of five queries on 40 years and more."""
Query = Callable[..., pl.LazyFrame]


def tally(lake: Lake, table: str, window: Window, query: Query, *told: Hashable | pl.DataFrame) -> pl.DataFrame:
    """What the query says of the table's rows in each stored year of the window, one below the other.

    Parameters
    ----------
    query : a function of a module, of the rows of one year and what it is `told`, and of nothing else.

    Raises
    ------
    LakeError : as `Lake.scan`.
    """
    parts, known = [], tuple(_Frame.of(each) if isinstance(each, pl.DataFrame) else each for each in told)
    for year, version in lake.versions(table, window).items():
        whole = year_window(year)
        part = Window(max(window.start, whole.start), min(window.end, whole.end))
        parts.append(_of_year(lake.root, table, part, version, query, known))
    return pl.concat(parts) if parts else query(lake.scan(table, window=window), *told).collect()


@functools.lru_cache(maxsize=KEPT)
def _of_year(root: Path, table: str, part: Window, version: Version, query: Query, told: tuple[Hashable, ...]) -> pl.DataFrame:
    """`version` keeps apart what is kept; should the file be replaced in between, its rows are newer than this version, which nobody
    asks for again."""
    plain = [each.frame if isinstance(each, _Frame) else each for each in told]
    return query(Lake(root).scan(table, window=part), *plain).collect()


@dataclass(frozen=True)
class _Frame:
    """A frame that equals another one of the same content."""

    content: bytes
    frame: pl.DataFrame = field(compare=False)

    @classmethod
    def of(cls, frame: pl.DataFrame) -> _Frame:
        written = io.BytesIO()
        frame.write_ipc(written)
        return cls(hashlib.sha256(written.getbuffer()).digest(), frame)
