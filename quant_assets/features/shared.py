"""Columns that several features are made of, evaluated once for all that ask for them.

polars evaluates an expression anew at each place where it is used within one aggregation. What a feature uses several times, or several
features use, is declared here by its family and read as a column; so is every window, which `kernels.py` sums for all names at once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

PREFIX = "shared_"


@dataclass(frozen=True)
class Kernel:
    """A column that a function of `kernels.py` makes of others: called with where names begin, the column, the others, the parameters."""

    name: str
    columns: tuple[str, ...]
    parameters: tuple[float | tuple[float, ...], ...]


SHARED: dict[str, pl.Expr | Kernel] = {}
"""Every such column by its name. An expression reads what a feature's may, of one name's bars in session order."""


def shared(name: str, expression: pl.Expr) -> pl.Expr:
    """The expression as a column called `name`, which `evaluate` adds where it is read.

    Raises
    ------
    ValueError : another expression has that name.
    """
    column = f"{PREFIX}{name}"
    there = SHARED.setdefault(column, expression)
    if isinstance(there, Kernel) or not there.meta.eq(expression):
        raise ValueError(f"two shared columns are called {name}")
    return pl.col(column)


def kernel(name: str, *values: pl.Expr, parameters: tuple[float | tuple[float, ...], ...] = ()) -> pl.Expr:
    """What the function `name` of `kernels.py` makes of the values, as a column: null where it has none."""
    made = Kernel(name, tuple(_column_of(one) for one in values), parameters)
    column = f"{PREFIX}{_digest(repr(made).encode())}"
    SHARED.setdefault(column, made)
    return pl.col(column)


def _column_of(values: pl.Expr) -> str:
    """The name of the column that has these values: its own where they are one, else that of a shared column."""
    roots = values.meta.root_names()
    if len(roots) == 1 and values.meta.eq(pl.col(roots[0])):
        return roots[0]
    name = _digest(values.meta.serialize())
    shared(name, values)
    return f"{PREFIX}{name}"


def _digest(what: bytes) -> str:
    return hashlib.blake2b(what, digest_size=8).hexdigest()


def _reads(column: str) -> Iterable[str]:
    """The columns that a shared one is made of."""
    made = SHARED[column]
    return made.columns if isinstance(made, Kernel) else made.meta.root_names()


def root_names(expressions: Iterable[pl.Expr]) -> set[str]:
    """Every column that the expressions read, those that shared columns are made of included."""
    reads: set[str] = set()
    waiting = {name for expression in expressions for name in expression.meta.root_names()}
    while waiting:
        reads |= waiting
        waiting = {root for name in waiting & SHARED.keys() for root in _reads(name)} - reads
    return reads


def evaluate(bars: pl.DataFrame, expressions: Sequence[pl.Expr], *, inside: str | None = None) -> pl.DataFrame:
    """The expressions on each name's bars, (n_bars, 1 + n_expressions): `ticker` and a column each, named by its alias.

    Parameters
    ----------
    bars : sorted by ticker and session, with the columns that the expressions read.
    inside : the column of the bars that says of which of them values are returned; of all when None.
    """
    rows = _with_shared(bars, expressions)
    if inside is None:
        return _by_name(rows, expressions)
    of_the_row = [expression for expression in expressions if _reads_its_row(expression)]
    found = rows.filter(inside).select("ticker", *of_the_row)
    if of_names := [expression for expression in expressions if not _reads_its_row(expression)]:
        found = found.hstack(_by_name(rows, of_names).drop("ticker").filter(rows[inside]))
    return found.select("ticker", *(expression.meta.output_name() for expression in expressions))


def _reads_its_row(expression: pl.Expr) -> bool:
    """Whether a value is made of columns of its own row alone: then no bar is evaluated that is not asked for."""
    return bool(expression.meta.root_names()) and _is_elementwise(expression)


def _is_elementwise(expression: pl.Expr) -> bool:
    try:
        is_row_separable = expression.meta.is_row_separable()
    except pl.exceptions.PolarsError:  # it depends on the types of what it reads
        return False
    return is_row_separable and all(_is_elementwise(part) for part in expression.meta.pop())


def first_bars(bars: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The places at which the names begin, of bars sorted by ticker."""
    return (bars["ticker"] != bars["ticker"].shift(1)).fill_null(True).arg_true().to_numpy().astype(np.int64)


def _by_name(bars: pl.DataFrame, expressions: Sequence[pl.Expr]) -> pl.DataFrame:
    # One aggregation over the names instead of a window function a feature: two thirds of the time.
    values = bars.lazy().group_by("ticker", maintain_order=True).agg(expressions)
    return values.explode(cs.exclude("ticker")).collect()


def _with_shared(bars: pl.DataFrame, expressions: Iterable[pl.Expr]) -> pl.DataFrame:
    """The bars with the shared columns that the expressions read."""
    given, last = set(bars.columns), {name for expression in expressions for name in expression.meta.root_names()}
    wanted = root_names(pl.col(name) for name in last) & SHARED.keys()
    starts = np.append(first_bars(bars), bars.height)
    while wanted:
        ready = sorted(name for name in wanted if not wanted & set(_reads(name)))
        expressed = [made.alias(name) for name in ready if isinstance(made := SHARED[name], pl.Expr)]
        compiled = {name: made for name in ready if isinstance(made := SHARED[name], Kernel)}
        columns = _by_name(bars, expressed).drop("ticker").get_columns() if expressed else []
        bars = bars.hstack([*columns, *_by_kernel(bars, starts, compiled)])
        wanted -= set(ready)
        needed = given | last | {root for name in wanted for root in _reads(name)}
        bars = bars.select(name for name in bars.columns if name in needed)
    return bars


def _by_kernel(bars: pl.DataFrame, starts: npt.NDArray[np.int64], made: Mapping[str, Kernel]) -> list[pl.Series]:
    if not made:
        return []
    from quant_assets.features import kernels  # numba takes half a second to import: only for who asks

    read = dict.fromkeys(column for one in made.values() for column in one.columns)
    whole = bars.select(pl.col(list(read)).cast(pl.Float64).fill_null(math.nan))
    columns = {column: whole[column].to_numpy() for column in read}
    for values in columns.values():
        values.setflags(write=False)  # some are, and each kind would be compiled apart

    # One piece of memory for all: the system gives a large one in large pages, with a fraction of the page faults.
    found = np.empty((len(made), bars.height))

    def run(name: str, out: npt.NDArray[np.float64]) -> pl.Series:
        one = made[name]
        parameters = [np.array(value) if isinstance(value, tuple) else value for value in one.parameters]
        getattr(kernels, one.name)(starts, out, *(columns[column] for column in one.columns), *parameters)
        return pl.Series(name, out, nan_to_null=True)

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(run, made, found))
