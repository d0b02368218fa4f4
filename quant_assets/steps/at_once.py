"""Trainings side by side: XGBoost grows a model on one thread, so that a machine's other processors are free for the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = min(4, os.cpu_count() or 1)
"""Each holds a copy of the rows that it learns from."""
Cell = TypeVar("Cell")
Result = TypeVar("Result")


def at_once(train_one: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[tuple[Cell, Result]]:
    """Each cell with what becomes of it, in order, some at a time; an interrupt ends those not begun."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from zip(cells, pool.map(train_one, cells), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)
