"""The trade journal as files: every closed trade of every strategy, for a spreadsheet (CSV) and for a program (parquet)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from quant_assets.backtest.track import Track
from quant_assets.errors import QuantAssetsError
from quant_assets.reporting.atomic import write_text

COLUMNS = (
    "strategy", "ticker", "side", "decided", "entered", "session", "sessions_held", "entry_shares", "exit_shares", "entry_price",
    "exit_price", "stop_price", "exit_reason", "commission", "fees", "spread_cost", "impact_cost", "borrow", "dividends", "pnl", "ret",
)  # fmt: skip
"""Those of table `trades` and what the engine adds; `session` is that of the exit, amounts are USD, prices as traded."""


def journal(tracks: Mapping[str, Track]) -> pl.DataFrame:
    """The closed trades of each strategy, in the order of strategies, then of exits."""
    return pl.concat(
        [track.trades.with_columns(strategy=pl.lit(key)).select(COLUMNS) for key, track in tracks.items()], how="vertical_relaxed"
    )


def write_journal(trades: pl.DataFrame, stem: Path) -> tuple[Path, Path]:
    """Writes `<stem>_trades.csv` and `<stem>_trades.parquet`, each whole or not at all; the same rows and digits in both.

    Raises
    ------
    QuantAssetsError : the folder cannot be written.
    """
    csv, parquet = (stem.with_name(f"{stem.name}_trades.{kind}") for kind in ("csv", "parquet"))
    write_text(csv, trades.write_csv())
    beside = parquet.with_name(f".{parquet.name}.{os.getpid()}.new")
    try:
        trades.write_parquet(beside)
        os.replace(beside, parquet)
    except OSError as error:
        raise QuantAssetsError(
            f"{parquet} cannot be written ({error.strerror})", remedy="set `paths.outputs` to a folder you own"
        ) from None
    finally:
        with suppress(OSError):
            beside.unlink()
    return csv, parquet
