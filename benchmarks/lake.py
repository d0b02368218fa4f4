"""The lake against bare polars on the same files, and against a DuckDB table: 500 names x five years x 60 features.

Run `python benchmarks/lake.py`. Repetitions are interleaved and start with another contestant each time,
so that a busy machine and a warm cache favour none.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table as RichTable

from quant_assets.calendars import Window, day_window, sessions, year_window
from quant_assets.lake import Lake
from quant_assets.schemas import SESSION, TICKER, Column, Table

N_TICKERS, N_SESSIONS, N_FEATURES, REPETITIONS = 500, 1_260, 60, 9
FEATURES = [f"feature_{number:02d}" for number in range(N_FEATURES)]
TABLE = Table(
    "features",
    "history",
    "Synthetic features.",
    ("ticker", "session"),
    (TICKER, SESSION, *(Column(name, pl.Float64, "-", "standard normal") for name in FEATURES)),
)


def synthetic_features() -> pl.DataFrame:
    """(N_TICKERS x N_SESSIONS) rows of independent standard normals, the worst case for compression."""
    rng = np.random.default_rng(7)
    days = sessions(Window(sessions(year_window(2009))[0], year_window(2014).end))[:N_SESSIONS]
    tickers = [f"T{number:03d}" for number in range(N_TICKERS)]
    keys = pl.DataFrame({"ticker": tickers}).join(pl.DataFrame({"session": days}), how="cross", maintain_order="left_right")
    return keys.with_columns(pl.Series(name, rng.standard_normal(keys.height)) for name in FEATURES)


def rewrite_bare(file: Path, rows: pl.DataFrame) -> None:
    """What a user writes without a lake: no lock, no validation, no fsync."""
    kept = pl.read_parquet(file).filter(pl.col("session") != rows["session"][0])
    unfinished = file.with_suffix(".bare")
    pl.concat([kept, rows]).sort("ticker", "session").write_parquet(unfinished, compression="zstd")
    os.replace(unfinished, file)


def rewrite_duckdb(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    connection.execute("BEGIN; DELETE FROM features WHERE session = ?", [rows["session"][0]])
    connection.register("new_rows", rows)
    connection.execute("INSERT INTO features BY NAME FROM new_rows; COMMIT")


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def main() -> None:
    features = synthetic_features()
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(f"{folder}/features.duckdb") as connection:
        lake, alone = Lake(Path(folder, "lake"), {"features": TABLE}), Path(folder, "alone.parquet")
        lake.replace("features", features, keys=None, window=Window(features["session"].min(), year_window(2014).end))
        connection.register("frame", features)
        connection.execute("CREATE TABLE features AS FROM frame ORDER BY ticker, session")
        files = sorted(lake.root.glob("features/year=*/part.parquet"))

        ticker, day = "T250", sessions(year_window(2012))[-1]
        one_ticker, one_day = pl.col("ticker") == ticker, pl.col("session") == day
        # Every repetition writes other numbers: an unchanged night would be recognised and cost no write at all.
        nights = [features.filter(one_day).with_columns(pl.col(FEATURES) + number) for number in range(REPETITIONS + 1)]
        alone.write_bytes(next(file for file in files if file.parent.name == f"year={day.year}").read_bytes())

        Action = Callable[[int], object]
        contests: dict[str, tuple[Action, Action, Action]] = {
            "full read": (
                lambda _: lake.scan("features").collect(),
                lambda _: pl.scan_parquet(files).collect(),
                lambda _: connection.sql("FROM features").pl(),
            ),
            "one ticker": (
                lambda _: lake.scan("features", keys=[ticker]).collect(),
                lambda _: pl.scan_parquet(files).filter(one_ticker).collect(),
                lambda _: connection.sql(f"FROM features WHERE ticker = '{ticker}'").pl(),
            ),
            "one day": (
                lambda _: lake.scan("features", window=day_window(day)).collect(),
                lambda _: pl.scan_parquet(files).filter(one_day).collect(),
                lambda _: connection.sql(f"FROM features WHERE session = DATE '{day}'").pl(),
            ),
            "nightly rewrite": (
                lambda n: lake.replace("features", nights[n], keys=None, window=day_window(day)),
                lambda n: rewrite_bare(alone, nights[n]),
                lambda n: rewrite_duckdb(connection, nights[n]),
            ),
        }

        table = RichTable(title=f"{N_TICKERS} names x {N_SESSIONS} sessions x {N_FEATURES} features, median of {REPETITIONS}, ms")
        for heading in ("", "lake", "bare polars", "lake / bare polars", "DuckDB table"):
            table.add_column(heading, justify="left" if not heading else "right")
        for name, contestants in contests.items():
            for contestant in contestants:
                contestant(0)
            times: list[list[float]] = [[], [], []]
            for number in range(1, REPETITIONS + 1):
                for turn in range(3):
                    position = (number + turn) % 3
                    times[position].append(seconds(lambda act=contestants[position], n=number: act(n)))
            ours, bare, duck = (1e3 * statistics.median(own) for own in times)
            table.add_row(name, f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.2f}", f"{duck:.1f}")
        Console().print(table)


if __name__ == "__main__":
    main()
