"""A folder of native histories into the lake, against what a user would pick instead: polars' read_csv and write_parquet.

Run `python benchmarks/histories.py`. The histories are real: 277 names, 1,040,619 bars, 1990 to 2012, with all their dirt. They go through
the night's own step: fetch, normalise, reconcile, gate, suite, store. Each contestant is a process of its own, so that its peak is its own,
and is timed from the end of its imports.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
BARS = SHARED / "data" / "equities" / "us_daily_1990_2012.parquet"
LAST = dt.date(2012, 12, 31)
REPETITIONS = 3
TARGET_SECONDS, TARGET_GB = 20.0, 2.0


def write_native(home: Path) -> int:
    """The home with its files and universe; returns the number of bars."""
    folder = home / "data" / "native"
    folder.mkdir(parents=True)
    bars = pl.read_parquet(BARS).select(
        pl.col("Ticker").cast(pl.String),
        pl.col("Date").dt.date(),
        *("Open", "High", "Low", "Close", "Volume"),
        pl.lit(0).alias("OpenInt"),
    )
    listings = ["ticker,source,listed"]
    for (ticker,), rows in bars.group_by("Ticker", maintain_order=True):
        rows.drop("Ticker").write_csv(folder / f"{str(ticker).lower()}.us.txt", line_terminator="\r\n")
        listings.append(f"{ticker},kaggle,{rows['Date'].min()}")
    (home / "universe.csv").write_text("\n".join(listings) + "\n")
    return bars.height


def through_the_lake(home: Path) -> dict[str, float]:
    import great_expectations  # noqa: F401 - what the step imports on its way
    import skfolio.datasets  # noqa: F401

    from quant_assets.settings import Grids, Settings
    from quant_assets.steps import history
    from quant_assets.workspace import Workspace

    grids = Grids(history_start=dt.date(1990, 1, 1), first_cutoff=dt.date(2009, 1, 1), first_decision=dt.date(2009, 1, 2))
    begun, spent = time.perf_counter(), time.process_time()
    work = Workspace.open(Settings(home=home, universe=home / "universe.csv", grids=grids), as_of=LAST)
    years, tickers = work.year_windows(), work.universe.tickers
    raw = history.fetch_raw_prices(work, tickers, years)
    fetched = time.perf_counter() - begun
    result = history.store_prices(work, tickers, years, raw, run_id=None)
    seconds, processor = time.perf_counter() - begun, time.process_time() - spent
    stored = work.lake.scan("prices").select(pl.len()).collect().item()
    withheld = pl.DataFrame(list(result.withheld), schema=["ticker", "year"], orient="row")
    return {
        "seconds": seconds,
        "processor": processor,
        "fetched": fetched,
        "stored": stored,
        "quarantined": result.figures["quarantined_rows"],
        "cells": withheld.height,
        "names": withheld["ticker"].n_unique(),
    }


def by_polars(home: Path) -> dict[str, float]:
    """No gate, no calendar, no known_at: one file in, one file out."""
    begun, spent = time.perf_counter(), time.process_time()
    frames = [
        pl.read_csv(file, try_parse_dates=True, schema_overrides={"Volume": pl.Float64}).with_columns(
            ticker=pl.lit(file.name.split(".")[0])
        )
        for file in sorted((home / "data" / "native").iterdir())
    ]
    pl.concat(frames).write_parquet(home / "all.parquet", compression="zstd")
    return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - spent}


def measured(what: str) -> dict[str, float]:
    """One contestant in a fresh process and home; with its peak resident memory in GB."""
    with tempfile.TemporaryDirectory() as folder:
        write_native(Path(folder))
        done = subprocess.run([sys.executable, __file__, what, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main() -> int:
    if len(sys.argv) > 1:
        warnings.filterwarnings("ignore")
        told = {"lake": through_the_lake, "polars": by_polars}[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps({**told, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))
        return 0
    if not BARS.is_file():
        print(f"histories.py: left out, since {BARS} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
        return 0
    runs = [{what: measured(what) for what in order} for order in [("lake", "polars"), ("polars", "lake")] * REPETITIONS][:REPETITIONS]
    ours, theirs = (sorted((run[what] for run in runs), key=lambda one: one["seconds"])[REPETITIONS // 2] for what in ("lake", "polars"))
    table = Table(title=f"277 histories, 1,040,619 bars (median of {REPETITIONS})")
    for column in ("", "the lake", "bare polars"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("seconds", f"{ours['seconds']:.1f}", f"{theirs['seconds']:.1f}")
    table.add_row("processor seconds", f"{ours['processor']:.1f}", f"{theirs['processor']:.1f}")
    table.add_row("of which reading the files", f"{ours['fetched']:.1f}", "")
    table.add_row("peak memory, GB", f"{ours['peak_gb']:.2f}", f"{theirs['peak_gb']:.2f}")
    table.add_row("bars stored", f"{ours['stored']:,.0f}", "all")
    Console().print(table)
    print(
        f"{ours['cells']:,.0f} (name, year) cells of {ours['names']:.0f} names are withheld: {ours['quarantined']:,.0f} sessions are "
        "missing, or break a rule"
    )
    if ours["seconds"] > TARGET_SECONDS or ours["peak_gb"] > TARGET_GB:
        print(f"more than {TARGET_SECONDS:g} s or {TARGET_GB:g} GB")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
