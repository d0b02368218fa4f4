"""Builders of small frames for the lake's tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from quant_assets.calendars import Window
from quant_assets.schemas import TABLES

TABLE = "oos_predictions"
SCHEMA = TABLES[TABLE].schema
SORT_ORDER = TABLES[TABLE].sort_order
YEAR_2012 = Window(dt.date(2012, 1, 1), dt.date(2013, 1, 1))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def predictions(*rows: tuple[str, str | dt.date, float | None], model: str = "pooled") -> pl.DataFrame:
    """Rows of `oos_predictions` from (ticker, session, score)."""
    columns = ["ticker", "session", "score"]
    parsed = [(ticker, day(session) if isinstance(session, str) else session, score) for ticker, session, score in rows]
    frame = pl.DataFrame(parsed, schema={name: SCHEMA[name] for name in columns}, orient="row")
    constants = {
        "model": pl.lit(model),
        "base_rate": pl.lit(0.5),
        "cutoff": pl.col("session").dt.truncate("1q"),
        "model_run_id": pl.lit("run"),
    }
    return frame.with_columns(**constants).select(list(SCHEMA))


def weekdays_2012(tickers: Sequence[str], first_score: float) -> pl.DataFrame:
    """One row a ticker and weekday of 2012, in sort order, scores counting up from `first_score`."""
    days = pl.date_range(YEAR_2012.start, YEAR_2012.last_day, eager=True)
    days = [session for session in days if session.weekday() < 5]
    scores = iter(range(len(days) * len(tickers)))
    return predictions(*((ticker, session, first_score + next(scores)) for ticker in tickers for session in days)).sort(SORT_ORDER)


def file_of(root: Path, year: int, table: str = TABLE) -> Path:
    return root / table / f"year={year}" / "part.parquet"


def fingerprint(root: Path) -> dict[Path, tuple[int, bytes]]:
    """Modification time and bytes of every parquet file."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*.parquet")}
