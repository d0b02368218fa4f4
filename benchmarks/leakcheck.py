"""The leak check of every feature and label for 50 names and 20 years, beside what a user would pick: each name truncated by itself.

Run `python benchmarks/leakcheck.py`. The bars are real (Stooq's, 1990 to 2012), the index is the S&P 500 that ships with the install.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' tables, which are not installed

import polars as pl
from rich.console import Console
from rich.table import Table

from quant_assets.calendars import Window, session_table
from quant_assets.features.catalog import OF_BARS
from quant_assets.features.compute import compute
from quant_assets.quality.lookahead import differences, informative_cuts, leaks
from quant_assets.quality.withheld import Tables, known, withheld
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.steps.proof import CUTS, DAYS_AFTER, DAYS_BEFORE, labels_as_known

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
YEARS = Window(dt.date(1993, 1, 1), dt.date(2013, 1, 1))
NAMES, BY_THEMSELVES = 50, 5
TARGET_SECONDS = 60
SEED = 1


def tables() -> dict[str, pl.DataFrame]:
    native = pl.read_parquet(SHARED / "data/equities/us_daily_1990_2012.parquet")
    longest = native.group_by("Ticker").len().sort("len", "Ticker", descending=[True, False])["Ticker"].head(NAMES)
    prices = (
        native.filter(pl.col("Ticker").is_in(longest.implode()))
        .select(
            ticker=pl.col("Ticker").cast(pl.String),
            session=pl.col("Date").cast(pl.Date),
            **{name: pl.col(name.title()) for name in ("open", "high", "low", "close")},
            volume=pl.col("Volume").cast(pl.Float64),
            price_basis=pl.lit("raw"),
            split_factor=pl.lit(1.0),
            dividend=pl.lit(0.0),
        )
        .filter(pl.col("session").is_between(YEARS.start, YEARS.end, closed="left"))
        .with_columns(pl.when(pl.col("high") >= pl.col("low")).then(pl.col(name)).alias(name) for name in ("high", "low"))
    )
    prices = prices.join(session_table(YEARS), on="session").rename({"close_at": "known_at"}).sort("ticker", "session")
    [indices] = sources(Settings(profile="offline"), "index_prices")
    index = indices.normalise(indices.fetch(["sp500"], YEARS), fetched_at=dt.datetime.now(dt.UTC))
    return {"prices": prices, "index_prices": index}


def every_feature(tables: Tables, cuts: list[dt.date]) -> pl.DataFrame:
    """All names at each cut, on the sessions before it, with what came soon after to be read: as the night does it for a few names."""
    found = []
    for place, cut in enumerate(cuts):
        near = {name: rows.filter(pl.col("session") < cut + dt.timedelta(days=DAYS_AFTER)) for name, rows in tables.items()}
        window = Window(cut - dt.timedelta(days=DAYS_BEFORE), dt.date.max)
        found.append(leaks(lambda given, window=window: compute(given, window=window), near, [cut], seed=SEED + place))  # type: ignore[misc]
    return pl.concat(found)


def each_by_itself(tables: Tables, cuts: list[dt.date]) -> pl.DataFrame:
    """A few names' whole histories truncated at each cut, computed again and compared, one after the other."""
    found = []
    for name in tables["prices"]["ticker"].unique().sort().head(BY_THEMSELVES):
        mine = {**tables, "prices": tables["prices"].filter(ticker=name)}
        full = compute(mine)
        for cut in cuts:
            found.append(differences(known("features", full, cut), compute(withheld(mine, cut)), "features", cut, f"withheld of {name}"))
    return pl.concat(found)


def seconds(work: Callable[[], pl.DataFrame]) -> float:
    begun = time.perf_counter()
    found = work()
    if found.height:
        raise SystemExit(f"something looks ahead: {found}")
    return time.perf_counter() - begun


def main() -> int:
    if not SHARED.is_dir():
        print(f"leakcheck.py: left out, since {SHARED} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
        return 0
    read = tables()
    cuts = informative_cuts(read, YEARS, n=CUTS, seed=SEED)
    all_features = seconds(lambda: every_feature(read, cuts))
    all_labels = seconds(lambda: leaks(labels_as_known, {"prices": read["prices"]}, cuts, output="labels", seed=SEED))
    naive = seconds(lambda: each_by_itself(read, cuts))
    n_bars = read["prices"].height
    shown = Table(title=f"{NAMES} names, {n_bars:,} bars, {len(OF_BARS)} features, the future withheld after {len(cuts)} sessions")
    for title in ("", "seconds", "futures a cut"):
        shown.add_column(title, justify="left" if not title else "right")
    shown.add_row("leaks: every feature", f"{all_features:.1f}", "3")
    shown.add_row("leaks: labels", f"{all_labels:.1f}", "3")
    shown.add_row(f"{BY_THEMSELVES} names truncated by themselves: every feature", f"{naive:.1f}", "1")
    console = Console()
    console.print(shown)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    both = all_features + all_labels
    console.print(f"Both: {both:.1f} s of {TARGET_SECONDS} (peak memory {peak:.2f} GB). Nothing looks ahead.")
    return 0 if both < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
