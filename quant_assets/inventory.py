"""Each partition as it is now: how much of it is there, what is missing, and why. What a table must hold is `demand.py`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets import schemas
from quant_assets.calendars import Window
from quant_assets.demand import GRIDS, demand, windows_of
from quant_assets.errors import LakeError
from quant_assets.lake import coverage
from quant_assets.workspace import Workspace

TABLES = tuple(table for table in GRIDS if table not in ("own_models", "own_scores"))
"""What a night fills."""
SCHEMA = {
    **dict.fromkeys(("table", "ticker", "window"), pl.String),
    **dict.fromkeys(("expected", "present"), pl.Int64),
    **dict.fromkeys(("status", "reason", "run_id"), pl.String),
}


@dataclass(frozen=True)
class Inventory:
    """What could be counted, and what could not.

    Parameters
    ----------
    cells : table, ticker (ALL or a series where there is none), window, expected and present (sessions), status, reason, run_id of every
        partition up to the night; of decisions those of the night. `status` is complete, partial or missing as the lake is now; withheld
        or failed when the last run said why.
    damaged : the tables with a file that cannot be read.
    unknown : the tables that follow from what is in such a file.
    """

    cells: pl.DataFrame
    damaged: dict[str, LakeError]
    unknown: dict[str, LakeError]


def inventory(work: Workspace, tickers: Sequence[str]) -> Inventory:
    """Of all tables. One that cannot be counted keeps no other from it."""
    cells = [pl.DataFrame(schema=SCHEMA)]
    damaged: dict[str, LakeError] = {}
    unknown: dict[str, LakeError] = {}
    for table in TABLES:
        try:
            cells.append(_of(table, work, tickers))
        except LakeError as error:
            own = _damage(table, work)
            (unknown if own is None else damaged)[table] = own or error
    return Inventory(pl.concat(cells), damaged, unknown)


def _damage(table: str, work: Workspace) -> LakeError | None:
    """What is wrong with the table's own files."""
    try:
        if table in schemas.TABLES:
            work.lake.scan(table)
    except LakeError as error:
        return error
    return None


def incomplete(work: Workspace) -> list[str]:
    """The tables that lack something up to the night, or hold rows made from something else than what is there now."""
    return [table for table in TABLES if demand(table, work, work.universe.tickers).holes.height]


def _of(table: str, work: Workspace, tickers: Sequence[str]) -> pl.DataFrame:
    found, windows = demand(table, work, tickers), windows_of(table, work)
    counts = found.expected.select("key", "window", expected="n")
    lacking = found.holes.select("key", "window", lacking="n")
    span = Window(min(window.start for window in windows.values()), work.after_as_of)
    told = coverage.noted(work.lake, table, span).select("window", "reason", "run_id", key="ticker", said=pl.col("status"))
    present = (pl.col("expected") - pl.col("lacking").fill_null(0)).cast(pl.Int64)
    incomplete = pl.col("lacking").is_not_null()
    status = (
        pl.when(~incomplete)
        .then(pl.lit("complete"))
        .when(pl.col("reason").is_not_null())
        .then("said")
        .when(pl.col("present") == 0)
        .then(pl.lit("missing"))
        .otherwise(pl.lit("partial"))
    )
    return (
        counts.join(lacking, on=["key", "window"], how="left")
        .join(told, on=["key", "window"], how="left")
        .with_columns(present=present)
        .select(
            pl.lit(table).alias("table"),
            pl.col("key").alias("ticker"),
            "window",
            pl.col("expected").cast(pl.Int64),
            "present",
            status.alias("status"),
            pl.when(incomplete).then("reason").alias("reason"),
            "run_id",
        )
        .sort("ticker", "window")
    )
