"""Crossings: the bar on which one line passes another. What the lines are is the families' business."""

from __future__ import annotations

import polars as pl

ROUNDING = 1e-12
"""Relative gap up to which two lines are one: averages of a price that stands still differ by their last bits."""


def crossing(gap: pl.Expr) -> pl.Expr:
    """1 on the bar on which a relative gap becomes positive, -1 on which it becomes negative, 0 on others.

    Lines that met without crossing count when they part: the gap had to be at or below 0 on the bar before, not truly below it
    (`ta.crossover` of TradingView). Null where the gap of this bar or of the one before is.
    """
    now = gap.fill_nan(None)
    before = now.shift(1)
    up = (now > ROUNDING) & (before <= ROUNDING)
    down = (now < -ROUNDING) & (before >= -ROUNDING)
    # Without this a null would be 0: null and false is false.
    both = now.is_not_null() & before.is_not_null()
    return pl.when(both).then(up.cast(pl.Float64) - down.cast(pl.Float64))
