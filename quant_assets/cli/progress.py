"""What a long command says while it works: one line a piece of work on stderr, with the seconds it took."""

from __future__ import annotations

import time
from typing import Self

from quant_assets.cli.app import aside


class Progress:
    """A line is begun, then ended with its time; one that an exception breaks off says so."""

    def __init__(self) -> None:
        self._began: float | None = None

    def begin(self, line: str) -> None:
        """Ends the line before and begins this one."""
        self.end()
        self._began = time.monotonic()
        aside.print(f"{line} ...", end="", markup=False)

    def end(self) -> None:
        if self._began is not None:
            aside.print(f" {time.monotonic() - self._began:.1f} s")
            self._began = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.end()
        elif self._began is not None:
            aside.print(" not finished")
