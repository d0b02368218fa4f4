"""What a table is, and the columns that several of them share. The tables themselves are declared beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from quant_assets.errors import SchemaMismatch

UTC = pl.Datetime("us", "UTC")
Dtype = DataType | DataTypeClass
Grid = Literal["history", "year", "training", "quarter", "decision", "session", "log"]


@dataclass(frozen=True)
class Column:
    name: str
    dtype: Dtype
    unit: str
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Parameters
    ----------
    grid : the partition grid its asset lives on; "log" tables are written beside an asset and have none.
    key : columns that identify a row.
    event_time : the Date column that says when it happened; files are cut by its year.
    known_time : the column that says when the row could be known; None: at the close of `event_time`.
    accumulates : vendors tell only how it stands now, or a part of it. A fetch adds what is new or has changed since the last one and takes
        nothing away; `known_at` is then part of the key.
    """

    name: str
    grid: Grid
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    event_time: str = "session"
    known_time: str | None = None
    accumulates: bool = False

    @property
    def schema(self) -> dict[str, Dtype]:
        return {column.name: column.dtype for column in self.columns}

    @property
    def entity(self) -> str | None:
        """The key column that names a ticker or a series, if the table has one."""
        return next((name for name in ("ticker", "series") if name in self.key), None)

    @property
    def sort_order(self) -> list[str]:
        """Entity first, then event time, then the rest of the key."""
        first = [name for name in (self.entity, self.event_time) if name]
        return first + [name for name in self.key if name not in first]

    @property
    def empty(self) -> pl.DataFrame:
        """No rows, with all columns."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with this table's columns, in order.

        Raises
        ------
        SchemaMismatch : a column is missing, unknown or of another type, a required value is null, a key repeats.
        """
        remedy = f"see quant_assets.schemas.TABLES[{self.name!r}]"
        missing, unknown = set(self.schema) - set(frame.columns), set(frame.columns) - set(self.schema)
        if missing or unknown:
            raise SchemaMismatch(f"{self.name}: columns missing {sorted(missing)}, unknown {sorted(unknown)}", remedy=remedy)
        frame = frame.select(list(self.schema))
        for column in self.columns:
            if frame.schema[column.name] != column.dtype:
                found = frame.schema[column.name]
                raise SchemaMismatch(f"{self.name}.{column.name}: {found} where {column.dtype} is declared", remedy=remedy)
            if not column.nullable and frame[column.name].null_count():
                holes = frame[column.name].null_count()
                raise SchemaMismatch(f"{self.name}.{column.name}: {holes} nulls where none is allowed", remedy=remedy)
        repeated = frame.select(self.key).is_duplicated()
        if repeated.any():
            example = frame.filter(repeated).select(self.key).row(0)
            raise SchemaMismatch(f"{self.name}: key {example} occurs more than once", remedy=remedy)
        return frame


TICKER = Column("ticker", pl.String, "-", "exchange symbol, upper case", nullable=False)
SESSION = Column("session", pl.Date, "exchange date", "the session the row belongs to", nullable=False)
PROVENANCE = (
    Column("source", pl.String, "-", "the source that won the row", nullable=False),
    Column("fetched_at", UTC, "UTC", "when it was fetched", nullable=False),
    Column("known_at", UTC, "UTC", "the moment the fact was public; for a daily bar the close of its session", nullable=False),
)


def usd(name: str, meaning: str, *, nullable: bool = True) -> Column:
    return Column(name, pl.Float64, "USD", meaning, nullable)
