"""A lake that notes what is read of it, so that who asked can tell later whether the answer would be the same.

What is asked, and how long an answer is kept, is `demand.py`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.calendars import Window
from quant_assets.lake.store import Lake, Version


class Watched(Lake):
    """The lake of another one's root. A file that is read counts by its version, an answer of `seen` by its content."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake.root, lake.declared)
        self._files_read: dict[tuple[str, Window | None], dict[int, Version]] = {}
        self._answers: dict[_Question, tuple[Watched, pl.DataFrame]] = {}

    def scan(
        self,
        table: str,
        *,
        keys: Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        scope: Mapping[str, str] | None = None,
    ) -> pl.LazyFrame:
        self.versions(table, window)
        return super().scan(table, keys=keys, window=window, columns=columns, scope=scope)

    def versions(self, table: str, window: Window | None = None) -> dict[int, Version]:
        now = super().versions(table, window)
        self._files_read.setdefault((table, window), now)  # an answer that rests on two states of a file is not kept for the second
        return now

    def answer(self, ask: Callable[..., pl.DataFrame], *told: Hashable) -> pl.DataFrame:
        read = Watched(self)
        found = ask(read, *told)
        self._answers.setdefault(_Question(ask, told), (read, found))
        return found

    def unchanged(self) -> bool:
        """Whether all that was read is still what it was."""
        lake = Lake(self.root, self.declared)
        return all(lake.versions(*named) == then for named, then in self._files_read.items()) and all(
            read.unchanged() or question.ask(lake, *question.told).equals(then) for question, (read, then) in self._answers.items()
        )


@dataclass(frozen=True)
class _Question:
    ask: Callable[..., pl.DataFrame]
    told: tuple[Hashable, ...]


def seen(lake: Lake, ask: Callable[..., pl.DataFrame], *told: Hashable) -> pl.DataFrame:
    """What a function of a module says of the lake. For a small question on files of which most of what is written is about other things:
    a watched lake takes the answer for what was read."""
    return lake.answer(ask, *told) if isinstance(lake, Watched) else ask(lake, *told)
