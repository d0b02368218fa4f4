"""Columns that several features are made of, evaluated once for all that ask for them.

polars evaluates an expression anew at each place where it is used within one aggregation. What a feature uses several times, or several
features use, and what costs a pass over a window, is declared here by its family and read as a column.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import polars.selectors as cs

PREFIX = "shared_"
SHARED: dict[str, pl.Expr] = {}
"""Every such column by its name. Its expression reads what a feature's may, of one name's bars in session order."""


def shared(name: str, expression: pl.Expr) -> pl.Expr:
    """The expression as a column called `name`, which `with_shared` adds where it is read.

    Raises
    ------
    ValueError : another expression has that name.
    """
    column = f"{PREFIX}{name}"
    if not SHARED.setdefault(column, expression).meta.eq(expression):
        raise ValueError(f"two shared columns are called {name}")
    return pl.col(column)


def root_names(expressions: Iterable[pl.Expr]) -> set[str]:
    """Every column that the expressions read, those that shared columns are made of included."""
    reads: set[str] = set()
    waiting = {name for expression in expressions for name in expression.meta.root_names()}
    while waiting:
        reads |= waiting
        waiting = {root for name in waiting & SHARED.keys() for root in SHARED[name].meta.root_names()} - reads
    return reads


def with_shared(bars: pl.DataFrame, expressions: Iterable[pl.Expr]) -> pl.DataFrame:
    """The bars (sorted by ticker and session) with the shared columns that the expressions read."""
    wanted = root_names(expressions) & SHARED.keys()
    while wanted:
        ready = sorted(name for name in wanted if not wanted & set(SHARED[name].meta.root_names()))
        values = bars.lazy().group_by("ticker", maintain_order=True).agg(SHARED[name].alias(name) for name in ready)
        bars = bars.hstack(values.explode(cs.exclude("ticker")).select(ready).collect())
        wanted -= set(ready)
    return bars
