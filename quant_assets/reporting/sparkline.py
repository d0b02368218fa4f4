"""A column of numbers as a line: an SVG path for a page, rows of blocks for a terminal. Gaps stay gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 240.0, 44.0
BLOCKS = " ▁▂▃▄▅▆▇█"

Value = float | None


def svg_path(values: Sequence[Value]) -> str:
    """The `d` of a path in a box of WIDTH x HEIGHT, pen up where a value is missing; empty with fewer than two values."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    step = WIDTH / (len(values) - 1)
    path, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
        else:
            path.append(f"{pen}{place * step:.1f} {HEIGHT - 2 - (HEIGHT - 4) * (value - low) / span:.1f}")
            pen = "L"
    return "".join(path)


def blocks(values: Sequence[Value], *, width: int, height: int) -> list[str]:
    """`height` lines of `width` characters, the highest first: the mean of each slice of the values as a column of eighths.

    A slice without any value is blank; the lowest value still shows an eighth, so that it is not taken for a gap.
    """
    known = [value for value in values if value is not None]
    if not known:
        return []
    low, span = min(known), (max(known) - min(known)) or 1.0
    n = min(width, len(values))
    columns = []
    for place in range(n):
        part = [value for value in values[place * len(values) // n : (place + 1) * len(values) // n] if value is not None]
        eighths = 8 * height - 1
        columns.append(1 + round(eighths * (math.fsum(part) / len(part) - low) / span) if part else 0)
    return ["".join(BLOCKS[max(0, min(8, column - 8 * row))] for column in columns) for row in reversed(range(height))]
