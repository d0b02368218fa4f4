"""Which bad prices the repair of bars finds, and which genuine ones it leaves, beside rules that a user would write instead.

Run `python benchmarks/repairs.py`. The labels are of the 59 prices in a million bars that lie more than a factor of 2 from the median of
the others of their bar: 44 bad, 15 genuine. They were set with `repair_bars` in sight, so its figures on them are in-sample; what lies
outside the 59 has no label. The second table has bars that had no part in any of it, with what another vendor says of those repaired.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' readers, which are not installed

import polars as pl
from rich.console import Console
from rich.table import Table

from quant_assets.quality.repair import PRICES, repair_bars
from quant_assets.sources.native_files import read_native
from quant_assets_tests.natives import native_stooq
from quant_assets_tests.quality.test_repair import CELL, LABELS, native
from quant_assets_tests.replay_yahoo import lean_history

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
NAMES = ("AAPL", "BAC", "IBM", "SPY")
FACTOR = 2.0
SESSIONS = 11
DEVIATIONS = 3 * 1.4826
"""Three standard deviations, from the median absolute one."""
Rule = Callable[[pl.DataFrame], pl.DataFrame]


def our_repair(rows: pl.DataFrame) -> pl.DataFrame:
    return repair_bars(rows).log.select(CELL)


def off_its_bar(rows: pl.DataFrame) -> pl.DataFrame:
    """A price more than a factor of 2 from the median of the others of its bar."""
    return _cells(rows, {name: _apart(pl.col(name), pl.concat_list(_others(name)).list.median()) for name in PRICES})


def outside_its_bar(rows: pl.DataFrame) -> pl.DataFrame:
    """A price more than a factor of 2 above or below all others of its bar."""
    return _cells(
        rows,
        {
            name: (pl.col(name) > FACTOR * pl.max_horizontal(_others(name))) | (FACTOR * pl.col(name) < pl.min_horizontal(_others(name)))
            for name in PRICES
        },
    )


def off_its_median(rows: pl.DataFrame) -> pl.DataFrame:
    """A price more than a factor of 2 from the median of its column over the 11 sessions around it: it waits for five of the future."""
    return _cells(rows, {name: _apart(pl.col(name), _median(pl.col(name))) for name in PRICES})


def hampel(rows: pl.DataFrame) -> pl.DataFrame:
    """A price more than three deviations from that median (Hampel 1974)."""
    off = rows.with_columns((pl.col(name) - _median(pl.col(name))).abs().alias(f"_{name}") for name in PRICES)
    return _cells(off, {name: pl.col(f"_{name}") > DEVIATIONS * _median(pl.col(f"_{name}")) for name in PRICES})


def _others(name: str) -> list[str]:
    return [other for other in PRICES if other != name]


def _apart(price: pl.Expr, other: pl.Expr) -> pl.Expr:
    return (price > FACTOR * other) | (FACTOR * price < other)


def _median(value: pl.Expr) -> pl.Expr:
    return value.rolling_median(SESSIONS, min_samples=1, center=True).over("ticker")


def _cells(rows: pl.DataFrame, conditions: dict[str, pl.Expr]) -> pl.DataFrame:
    judged = rows.with_columns(**{f"_{name}_bad": condition for name, condition in conditions.items()})
    return pl.concat(judged.filter(f"_{name}_bad").select("ticker", "session", field=pl.lit(name)) for name in PRICES)


RULES: dict[str, Rule] = {
    "repair_bars": our_repair,
    "over 2x off the median of its bar": off_its_bar,
    "over 2x outside all of its bar": outside_its_bar,
    "over 2x off an 11-session median": off_its_median,
    "Hampel, 11 sessions, 3 deviations": hampel,
}


def lean_bars() -> pl.DataFrame:
    """Raw bars of four names, 1998 to 2021, with their splits."""
    parts = []
    for name in NAMES:
        history = lean_history(SHARED, name)
        split = pl.col("session").replace_strict(history.splits, default=1.0, return_dtype=pl.Float64) if history.splits else pl.lit(1.0)
        parts.append(history.bars.with_columns(ticker=pl.lit(name), split_factor=split))
    return pl.concat(parts)


def main() -> int:
    if not SHARED.is_dir():
        print(f"repairs.py: left out, since {SHARED} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
        return 0
    rows, labels = native(SHARED), pl.read_csv(LABELS, try_parse_dates=True)
    bad, genuine = (set(labels.filter(label=label).select(CELL).rows()) for label in ("bad", "genuine"))
    table = Table(title=f"{rows.height:,} bars of 277 names: {len(bad)} cells labelled bad, {len(genuine)} genuine")
    for column in ("rule", "cells named", "bad", "genuine", "not labelled", "precision", "recall"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for name, rule in RULES.items():
        found = set(rule(rows).rows())
        hits, wrong = len(found & bad), len(found & genuine)
        precision = f"{hits / (hits + wrong):.0%}" if hits + wrong else "-"
        counts = (len(found), hits, wrong, len(found) - hits - wrong)
        table.add_row(name, *(f"{count:,}" for count in counts), precision, f"{hits / len(bad):.0%}")
    screen = Console(width=120)
    screen.print(table)
    screen.print("Precision is among labelled cells. The labels were set with repair_bars in sight: its figures are in-sample.")
    others = lean_bars()
    beside = Table(title=f"{others.height:,} raw bars of {len(NAMES)} other files", title_justify="left")
    beside.add_column("rule")
    beside.add_column("cells named", justify="right")
    for name, rule in RULES.items():
        beside.add_row(name, f"{rule(others).height:,}")
    screen.print(beside)
    repaired = repair_bars(others)
    for log in repaired.log.iter_rows(named=True):
        [close] = repaired.rows.filter(ticker=log["ticker"], session=log["session"])["close"]
        stooq = read_native(native_stooq(SHARED, log["ticker"]), log["ticker"]).row(
            by_predicate=pl.col("Date") == log["session"], named=True
        )
        meant = close * stooq[log["field"].title()] / stooq["Close"]
        told = f"{log['original']:g} became {log['repaired']:g}, {log['method']}; by Stooq's bar of that day it was {meant:.2f}"
        screen.print(f"{log['ticker']} {log['session']} {log['field']}: {told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
