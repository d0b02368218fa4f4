"""Labelled rows in any order, and what may be learned beside a test by the definition, row by row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st

from quant_assets.calendars import Window, sessions

DAYS = sessions(Window(dt.date(2011, 1, 1), dt.date(2013, 1, 1)))
Span = tuple[int, int]


def dated(spans: Sequence[Span]) -> np.ndarray:
    """(n, 2) datetime64[D] of places among the sessions."""
    return np.array([[DAYS[start], DAYS[end]] for start, end in spans], dtype="datetime64[D]")


def blocks(spans: Sequence[Span], n: int) -> list[set[int]]:
    """The sessions that have rows, in n parts that follow each other."""
    return [set(part.tolist()) for part in np.array_split(sorted({start for start, _ in spans}), n)]


def learned_beside(spans: Sequence[Span], tested: Iterable[set[int]], embargo: int) -> list[int]:
    """Rows outside the tested blocks that have no day in common with any of them, nor start in the embargo after it."""
    held, embargoed = set[int](), set[int]()
    for block in tested:
        until = max(end for start, end in spans if start in block)
        held |= set(range(min(block), until + 1))
        embargoed |= set(range(until + 1, until + 1 + embargo))
    return [row for row, (start, end) in enumerate(spans) if start not in embargoed and held.isdisjoint(range(start, end + 1))]


@st.composite
def panels(draw: st.DrawFn) -> list[Span]:
    """Rows of several names in any order, sessions without any, labels that end when they like."""
    starts = draw(st.lists(st.integers(0, 80), min_size=12, max_size=60))
    return [(start, start + draw(st.integers(0, 15))) for start in starts]
