"""Kernels that cannot pass a hole, made to: evaluated over the bars that have every field, null on the others."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl


def over_complete(kernel: Callable[..., pl.Expr], *columns: pl.Expr, complete: pl.Expr | None = None) -> pl.Expr:
    """The kernel of the columns, as if the bars on which one of them is null were not there; null on those bars.

    TA-Lib returns null for ever after one null input. A span then counts complete bars, not sessions. `complete`, true or false, names
    the bars that count where others than those are passed over; none of them may have a null.
    """
    if complete is None:
        complete = pl.all_horizontal(column.is_not_null() for column in columns)
    place = complete.cum_sum().cast(pl.Int64) - 1
    values = kernel(*(column.filter(complete) for column in columns))
    return pl.when(complete).then(values.gather(place.clip(0), null_on_oob=True))
