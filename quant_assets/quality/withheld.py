"""Tables as they stood at the close of a session, and with a future that never was. What is computed from them is `lookahead.py`'s
business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
import polars.selectors as cs

from quant_assets.calendars import session_close
from quant_assets.errors import BadArgument
from quant_assets.schemas import TABLES, Table
from quant_assets.schemas.table import UTC

Tables = Mapping[str, pl.DataFrame]
"""Rows of tables of the lake, by the table's name."""

SHRINK = (0.5, 0.9)
"""What a corrupted future is multiplied by: below 1, since a dividend above the close before it is refused and proves nothing."""


def table_named(name: str) -> Table:
    if name not in TABLES:
        raise BadArgument(f"{name!r} is not a table of the lake", remedy=f"choose among {', '.join(sorted(TABLES))}")
    return TABLES[name]


def is_known(table: Table, session: dt.date) -> pl.Expr:
    """Whether what a row says was public at the close of `session`."""
    if table.known_time is None:
        return pl.col(table.event_time) <= session
    if table.schema[table.known_time] == UTC:
        return pl.col(table.known_time) <= session_close(session)
    return pl.col(table.known_time) <= session


def known(name: str, rows: pl.DataFrame, session: dt.date) -> pl.DataFrame:
    """The rows of the table as they stood at the close of `session`.

    A row that is announced by a date of its own, as a label by its `label_end`, stands from its session on with nulls until then.
    """
    table = table_named(name)
    if table.known_time is None or table.schema[table.known_time] == UTC:
        return rows.filter(is_known(table, session))
    told = [column.name for column in table.columns if column.nullable and column.name in rows.columns]
    begun = rows.filter(pl.col(table.event_time) <= session)
    return begun.with_columns(pl.when(is_known(table, session)).then(pl.col(name)).alias(name) for name in told)


def withheld(tables: Tables, session: dt.date) -> dict[str, pl.DataFrame]:
    """All tables as they stood at the close of `session`."""
    return {name: known(name, rows, session) for name, rows in tables.items()}


def other_futures(tables: Tables, session: dt.date, *, seed: int) -> Iterator[tuple[str, dict[str, pl.DataFrame]]]:
    """The tables with another future after the close of `session`: each number multiplied, then each series shuffled within itself.

    Future dividends become 0: beside a shuffled close one can be higher than the close before it, which is refused and proves nothing.
    """
    for kind in ("multiplied", "shuffled"):
        rng = np.random.default_rng(seed)
        yield kind, {name: _corrupted(table_named(name), rows, session, kind, rng) for name, rows in tables.items()}


def _corrupted(table: Table, rows: pl.DataFrame, session: dt.date, kind: str, rng: np.random.Generator) -> pl.DataFrame:
    future = ~is_known(table, session)
    numbers = rows.select(cs.numeric()).columns
    if kind == "multiplied":
        factor = pl.Series("_factor", rng.uniform(*SHRINK, rows.height))
        other = rows.with_columns(factor).with_columns(
            pl.when(future).then(pl.col(name) * pl.col("_factor")).otherwise(pl.col(name)).cast(rows.schema[name]).alias(name)
            for name in numbers
        )
    else:
        place = pl.Series("_place", rng.permutation(rows.height))
        over = [pl.col(table.entity)] if table.entity else []
        moved = {name: pl.col(name).sort_by("_place").over([*over, future]) for name in numbers}
        other = rows.with_columns(place).with_columns(
            pl.when(future).then(told).otherwise(pl.col(name)).alias(name) for name, told in moved.items()
        )
    if "dividend" in numbers:
        other = other.with_columns(dividend=pl.when(future).then(0.0).otherwise("dividend"))
    return other.select(rows.columns)
