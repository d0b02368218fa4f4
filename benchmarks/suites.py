"""All checks on 277 names x 23 years, against what a user would pick instead: the same expectations on the whole frame at once.

Run `python benchmarks/suites.py`. The bars are real: 1,040,619 of them, 1990 to 2012, with all their dirt. Each contestant is a process of
its own, so that its peak is its own, and is timed from the end of its imports; what is judged is in memory by then.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
BARS = SHARED / "data" / "equities" / "us_daily_1990_2012.parquet"
FETCHED_AT = dt.datetime(2013, 1, 2, tzinfo=dt.UTC)
TARGET_SECONDS, TARGET_GB = 30.0, 2.0


def bars() -> pl.DataFrame:
    """Rows of `prices`."""
    from quant_assets.schemas import TABLES
    from quant_assets.sources.base import known_at_close

    rows = pl.read_parquet(BARS).select(
        ticker=pl.col("Ticker").cast(pl.String),
        session=pl.col("Date").dt.date(),
        **{name: pl.col(name.title()).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")},
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
        inferred=pl.lit(False),
        source=pl.lit("kaggle"),
        fetched_at=pl.lit(FETCHED_AT, dtype=pl.Datetime("us", "UTC")),
    )
    return known_at_close(rows).select(list(TABLES["prices"].schema)).sort("ticker", "session")


def by_the_house() -> dict[str, float]:
    """What a night asks of prices, and the week's suites of what is made of them."""
    from quant_assets.calendars import Window, session_table
    from quant_assets.features.catalog import OF_BARS
    from quant_assets.quality.doubts import doubts
    from quant_assets.quality.gate import judge_prices
    from quant_assets.quality.repair import repair_bars
    from quant_assets.quality.suites import judge_table
    from quant_assets.schemas import TABLES
    from quant_assets.steps.stored import ROWS_A_SUITE
    from quant_assets.universe import Listing, Universe

    rows = bars()
    window = Window(dt.date(1990, 1, 1), dt.date(2013, 1, 1))
    first = rows.group_by("ticker").agg(pl.col("session").min()).sort("ticker").iter_rows()
    universe = Universe(tuple(Listing(ticker, "kaggle", day) for ticker, day in first), Path("u"))
    session_table(window)
    told: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        begun = time.perf_counter()
        result = work()
        told[name] = time.perf_counter() - begun
        return result

    def suite(table: str, rows: pl.DataFrame) -> None:
        for part in rows.iter_slices(ROWS_A_SUITE):
            judge_table(table, part)

    repaired = timed("repair", lambda: repair_bars(rows).rows)
    assert isinstance(repaired, pl.DataFrame)
    verdict = timed("gate", lambda: judge_prices(repaired, universe, window, fetched_at=FETCHED_AT))
    timed("doubts", lambda: doubts("prices", repaired))
    timed("suite of prices", lambda: suite("prices", repaired))
    # zeros do: what a suite takes depends on how many there are
    features = repaired.select("ticker", "session", *((pl.col("close") * 0).alias(name) for name in OF_BARS))
    timed("suite of features", lambda: suite("features", features))
    empty = {"label": pl.lit(1, dtype=pl.Int8), "ret": pl.lit(0.01), "label_start": pl.col("session"), "label_end": pl.col("session")}
    labels = repaired.select("ticker", "session", **empty).select(list(TABLES["labels"].schema))
    timed("suite of labels", lambda: suite("labels", labels))
    return {**told, "seconds": sum(told.values()), "rows": repaired.height, "quarantined": verdict.quarantined.height}  # type: ignore[attr-defined]


def as_it_comes() -> dict[str, float]:
    """The expectations of `prices` alone, on pandas' own frame of the same bars: no repair, no calendar of each name, no quarantine."""
    import great_expectations as gx

    from quant_assets.quality.suites import expectations, with_open_days

    rows = with_open_days("prices", bars())
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    suite = gx.ExpectationSuite(name="prices", expectations=expectations("prices"))
    batch = context.data_sources.add_pandas("p").add_dataframe_asset("p").add_batch_definition_whole_dataframe("p")
    begun = time.perf_counter()
    batch.get_batch({"dataframe": rows.to_pandas()}).validate(suite)
    return {"seconds": time.perf_counter() - begun, "rows": rows.height}


CONTESTANTS = {"house": by_the_house, "plain": as_it_comes}


def measured(name: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    if not BARS.exists():
        sys.exit(f"{BARS} is not there: set QUANT_ASSETS_SHARED to the folder with shared data")
    house, plain = (measured(name) for name in CONTESTANTS)
    table = Table(box=None, title=f"{house['rows']:,.0f} bars of 277 names, 1990 to 2012", title_justify="left")
    for title in ("", "all checks", "the suite of prices as it comes"):
        table.add_column(title, justify="left" if not title else "right")
    for part in ("repair", "gate", "doubts", "suite of prices", "suite of features", "suite of labels"):
        table.add_row(part, f"{house[part]:.1f} s", f"{plain['seconds']:.1f} s" if part == "suite of prices" else "")
    table.add_row("together", f"{house['seconds']:.1f} s", f"{plain['seconds']:.1f} s")
    table.add_row("peak memory", f"{house['gb']:.2f} GB", f"{plain['gb']:.2f} GB")
    Console().print(table)
    met = house["seconds"] < TARGET_SECONDS and house["gb"] < TARGET_GB
    verdict = "met" if met else "missed"
    print(f"Targets {TARGET_SECONDS:.0f} s and {TARGET_GB:.0f} GB: {verdict}. {house['quarantined']:,.0f} rows in quarantine.")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    if len(sys.argv) > 1:
        import great_expectations  # noqa: F401 - its import is not timed

        told = CONTESTANTS[sys.argv[1]]()
        print(json.dumps({**told, "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))
    else:
        main()
