"""Every split of purged cross-validation, rows by rows, against what a user would pick instead: skfolio's splitter and scikit-learn's.

Run `python benchmarks/splitters.py`. skfolio's purges by a number of rows and knows no names; scikit-learn's purges nothing. All in one
process, medians of processor time (each works on one core); what is timed begins with the spans and ends with the last positions.
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from skfolio.model_selection import CombinatorialPurgedCV
from sklearn.model_selection import KFold

from quant_assets.calendars import Window, session_table
from quant_assets.validation.combinatorial import CombinatorialPurgedKFold
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.walk_forward import WalkForward

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
BARS = SHARED / "data" / "equities" / "us_daily_1990_2012.parquet"
SPAN = Window(dt.date(2003, 1, 1), dt.date(2013, 2, 1))
HORIZON, NAMES, SESSIONS = 3, 10, 2_520
TARGET_MS = {"25,200": 10.0, "panel": 500.0}
REPETITIONS = 15
SEED = 1


def spans(sessions: pl.Series, keys: pl.DataFrame) -> pl.DataFrame:
    """`label_start` and `label_end` of each row of keys (column `session`), `HORIZON` sessions apart."""
    ends = pl.DataFrame({"session": sessions}).with_columns(label_end=pl.col("session").shift(-HORIZON))
    return keys.join(ends, on="session", maintain_order="left").select("label_end", label_start="session").drop_nulls()


def walked(splits: Iterable[tuple[np.ndarray, object]]) -> int:
    return sum(train.size for train, _ in splits)


def median_ms(work: Callable[[], object]) -> float:
    work()  # the exchange's calendar is built once a process
    seconds = []
    for _ in range(REPETITIONS):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds) * 1000


def contestants(label_span: pl.DataFrame) -> dict[str, Callable[[], object]]:
    rows = np.empty((label_span.height, 1))
    mixed = label_span.sample(fraction=1, shuffle=True, seed=SEED)
    theirs = CombinatorialPurgedCV(n_folds=10, n_test_folds=2, purged_size=HORIZON, embargo_size=5)
    return {
        "CombinatorialPurgedKFold (10, 2)": lambda: walked(CombinatorialPurgedKFold(label_span=label_span).split(rows)),
        "the same, rows in any order": lambda: walked(CombinatorialPurgedKFold(label_span=mixed).split(rows)),
        "skfolio CombinatorialPurgedCV (10, 2)": lambda: walked(theirs.split(rows)),
        "PurgedKFold (5)": lambda: walked(PurgedKFold(label_span=label_span).split(rows)),
        "scikit-learn KFold (5), no purge": lambda: walked(KFold(5).split(rows)),
        "WalkForward (12)": lambda: walked(WalkForward(label_span=label_span).split(rows)),
    }


def show(console: Console, title: str, label_span: pl.DataFrame, target_ms: float) -> bool:
    found = {name: median_ms(work) for name, work in contestants(label_span).items()}
    ours, mixed, theirs, *_ = found.values()
    table = Table(title=f"{title}: {label_span.height:,} rows", caption=f"processor milliseconds, all splits, median of {REPETITIONS}")
    for column in ("splitter", "ms", "x ours"):
        table.add_column(column, justify="left" if column == "splitter" else "right")
    for name, ms in found.items():
        table.add_row(name, f"{ms:.1f}", f"{ms / ours:.1f}" if "10, 2" in name or "any order" in name else "")
    console.print(table)
    console.print(f"target {target_ms:g} ms: {max(ours, mixed):.1f}; skfolio / ours {theirs / ours:.1f}\n")
    return max(ours, mixed) < target_ms


def main() -> int:
    console = Console()
    sessions = session_table(SPAN)["session"]
    names = pl.DataFrame({"ticker": [f"N{place}" for place in range(NAMES)]})
    small = spans(sessions, sessions.head(SESSIONS).to_frame().join(names, how="cross"))
    met = [show(console, f"{NAMES} names x {SESSIONS:,} sessions", small, TARGET_MS["25,200"])]
    if BARS.is_file():
        bars = pl.read_parquet(BARS).select(ticker=pl.col("Ticker").cast(pl.String), session=pl.col("Date").dt.date())
        bars = bars.filter(pl.col("session").is_between(SPAN.start, dt.date(2012, 12, 31)))
        met.append(show(console, f"{bars['ticker'].n_unique()} real names, 2003 to 2012", spans(sessions, bars), TARGET_MS["panel"]))
    else:
        console.print(f"the panel is left out, since {BARS} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
