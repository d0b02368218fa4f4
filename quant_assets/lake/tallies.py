"""Tallies: small results of a query on each year file apart, kept for as long as that file is the same.

Each tick of a night looks at all of history, of which the night changes one year; a process counts the others once a night. Nothing here
can be out of date: what is kept belongs to one version of one file. What is counted is `coverage.py`'s and `demand.py`'s business.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from quant_assets.calendars import Window, year_window
from quant_assets.lake.store import Lake, Version

MOST_KEPT = 1024
"""Results, each of a few rows a name: those of twenty queries on 40 years and more."""
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
    known = tuple(_Frame.of(each) if isinstance(each, pl.DataFrame) else each for each in told)
    parts = _parts(lake, table, window, query, known)
    if not parts:
        return query(lake.scan(table, window=window), *told).collect()
    found = {part: _KEPT.get(part) for part in parts}
    lacking = [part for part, result in found.items() if result is None]
    asked = pl.collect_all([query(lake.scan(table, window=part.window), *told) for part in lacking])
    found |= dict(zip(lacking, asked, strict=True))
    if lacking:
        stands = set(_parts(lake, table, window, query, known))  # a file may have been replaced between its version and its rows
        _keep({part: result for part, result in zip(lacking, asked, strict=True) if part in stands})
    return pl.concat(result for result in found.values() if result is not None)


@dataclass(frozen=True)
class _Part:
    """One query on one version of one year file, of the days of the window."""

    root: Path
    table: str
    window: Window
    version: Version
    query: Query
    told: tuple[Hashable, ...]


def _parts(lake: Lake, table: str, window: Window, query: Query, told: tuple[Hashable, ...]) -> list[_Part]:
    parts = []
    for year, version in lake.versions(table, window).items():
        whole = year_window(year)
        days = Window(max(window.start, whole.start), min(window.end, whole.end))
        parts.append(_Part(lake.root, table, days, version, query, told))
    return parts


_KEPT: dict[_Part, pl.DataFrame] = {}


def _keep(results: Mapping[_Part, pl.DataFrame]) -> None:
    """In place of the oldest ones, as soon as there are too many."""
    _KEPT.update(results)
    for oldest in list(_KEPT)[: max(0, len(_KEPT) - MOST_KEPT)]:
        _KEPT.pop(oldest, None)


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
