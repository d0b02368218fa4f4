"""Yahoo's errors in the ten pairs of yfinance's tests: what becomes of each cell here, and by yfinance's own repair in the same run.

Run `python benchmarks/price_repair.py`. There is no network: what yfinance repairs by asking for finer bars, it cannot repair here.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' reader of the pairs, which is not installed

import pandas as pd
import polars as pl
from rich.console import Console
from rich.table import Table
from yfinance.scrapers.history import PriceHistory

from quant_assets.quality.vendor_repair import repair_vendor
from quant_assets_tests.quality.price_pairs import SAME, Pair, Tally, pair_names, read_pair

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
PLACES = {
    "DE": ("Europe/Berlin", "EUR"),
    "L": ("Europe/London", "GBp"),
    "MI": ("Europe/Rome", "EUR"),
    "PA": ("Europe/Paris", "EUR"),
    "T": ("Asia/Tokyo", "JPY"),
    "": ("America/New_York", "USD"),
}
"""Zone and currency by the suffix of the symbol, which yfinance would ask for."""
OWN_TEST = {
    "100x-error": "_fix_unit_switch",
    "bad-div": "_fix_bad_div_adjust",
    "bad-stock-split": "_fix_bad_stock_splits",
    "bad-unit": "_fix_unit_mixups",
    "cg-double-count": "_repair_capital_gains",
    "missing-div-adjust": "_fix_bad_div_adjust",
}
"""The step of its repair that yfinance's own tests try on a pair of this kind."""
IN_TURN = ("_fix_bad_div_adjust", "_fix_unit_mixups", "_fix_bad_stock_splits", "_fix_zeroes", "_repair_capital_gains")
"""All of them, as `history(repair=True)` does, whatever the error."""


class Offline:
    """In the place of the data that yfinance would ask Yahoo for."""

    def get(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("a benchmark asks nobody")

    cache_get = get


def by_yfinance(pair: Pair, steps: tuple[str, ...]) -> pl.DataFrame:
    """The bad frame after these steps; a step that cannot do without Yahoo leaves it as it is."""
    symbol, interval, _ = parts(pair.name)
    zone, currency = PLACES[symbol.partition(".")[2]]
    frame = pair.bad.to_pandas().set_index(pair.stamp).tz_convert(zone)
    history = PriceHistory(Offline(), symbol, zone)
    history._history_metadata = {"currency": currency}
    history.history = lambda *_, **__: pd.DataFrame()
    given = {
        "_fix_bad_div_adjust": (interval, False, currency),
        "_fix_unit_mixups": (interval, zone, False),
        "_fix_unit_switch": (interval, zone),
        "_fix_bad_stock_splits": ("1d" if len(steps) == 1 else interval, zone),  # its tests call weeks days
        "_fix_zeroes": (interval, zone, False),
        "_repair_capital_gains": (),
    }
    for step in steps:
        try:
            frame = getattr(history, step)(frame.copy(), *given[step])
        except ConnectionError:
            continue
    frame = frame.sort_index().tz_convert("UTC").reset_index()
    return pl.from_pandas(frame[[pair.stamp, *pair.columns]])


def parts(name: str) -> tuple[str, str, str]:
    """Symbol as Yahoo writes it, interval, kind of error."""
    [interval] = [one for one in ("1d", "1h", "1wk") if f"-{one}-" in name]
    symbol, kind = name.split(f"-{interval}-")
    return symbol.replace("-", "."), interval, kind


def shown(tally: Tally) -> list[str]:
    return [f"{count:,}" if count else "-" for count in (tally.repaired, tally.wrong, tally.left, tally.away)]


def main() -> int:
    if not SHARED.is_dir():
        print(f"price_repair.py: left out, since {SHARED} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
        return 0
    warnings.simplefilter("ignore")
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    table = Table(title=f"Cells, equal to {SAME:g} of themselves: repaired / wrong / left / moved away")
    for title in ("pair", "bad", "here", "refused", "yfinance, the step of its test", "yfinance, all in turn"):
        table.add_column(title, justify="left" if title == "pair" else "right")
    whole, away = {"here": 0, "own": 0, "all": 0}, 0
    seconds = 0.0
    for name in pair_names(SHARED):
        pair = read_pair(SHARED, name)
        begun = time.perf_counter()
        found = repair_vendor(pair.bad, stamp=pair.stamp)
        seconds += time.perf_counter() - begun
        tallies = {
            "here": pair.tally(found.rows),
            "own": pair.tally(by_yfinance(pair, (OWN_TEST[parts(name)[2]],))),
            "all": pair.tally(by_yfinance(pair, IN_TURN)),
        }
        for by, tally in tallies.items():
            whole[by] += tally.whole
        away += tallies["here"].away
        columns = [" / ".join(shown(tallies[by])) for by in ("here", "own", "all")]
        table.add_row(name, f"{tallies['here'].bad:,}", columns[0], str(found.refused.height or "-"), *columns[1:])
    console = Console(width=160)
    console.print(table)
    n = len(pair_names(SHARED))
    console.print(
        f"Whole: {whole['here']} of {n} here ({seconds:.2f} s), yfinance {whole['own']} by the step of its test, {whole['all']} by all."
    )
    return 0 if whole["here"] >= max(whole["own"], whole["all"]) and not away else 1


if __name__ == "__main__":
    sys.exit(main())
