"""Native Stooq files for tests: real ones of the shared folder, real bars written as one, and small ones of made bars."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Sequence
from pathlib import Path

import polars as pl

HEAD = "Date,Open,High,Low,Close,Volume,OpenInt\r\n"


def line(day: dt.date, close: float, volume: int = 1000) -> str:
    """A bar that opened and closed at `close`, and moved a hundredth up and down."""
    return f"{day},{close:.5g},{close * 1.01:.5g},{close * 0.99:.5g},{close:.5g},{volume},0\r\n"


def text(days: Sequence[dt.date], closes: Sequence[float]) -> str:
    return HEAD + "".join(line(day, close) for day, close in zip(days, closes, strict=True))


def put(folder: Path, ticker: str, content: str | bytes) -> Path:
    """A file of the ticker in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{ticker.lower()}.us.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def native_stooq(shared: Path, ticker: str) -> bytes:
    """A file as Kaggle has it."""
    return gzip.decompress((shared / f"data/equities/native_stooq/{ticker.lower()}.us.txt.gz").read_bytes())


def from_parquet(shared: Path, ticker: str) -> str:
    """Real bars of 1990 to 2012 in the same form."""
    rows = pl.scan_parquet(shared / "data/equities/us_daily_1990_2012.parquet").filter(pl.col("Ticker") == ticker).collect()
    columns = [pl.col("Date").dt.date(), "Open", "High", "Low", "Close", "Volume", pl.lit(0).alias("OpenInt")]
    return rows.select(columns).write_csv(line_terminator="\r\n")
