"""Yahoo's frames: ten pairs of a frame with an error and the same frame put right, from yfinance's tests; clean ones made of real bars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from quant_assets_tests.replay_yahoo import History

SAME = 5e-6
"""Relative: what yfinance's own tests of splits and capital gains ask for; those of dividends and units ask for 5e-7 and 1e-2."""


@dataclass(frozen=True)
class Pair:
    """bad, fixed : the same bars in time order. stamp : name of their column of instants, in UTC. columns : figures that both have."""

    name: str
    bad: pl.DataFrame
    fixed: pl.DataFrame
    stamp: str
    columns: list[str]

    def tally(self, repaired: pl.DataFrame) -> Tally:
        """What became of each cell."""
        bad, fixed, now = (frame.select(pl.col(self.columns).cast(pl.Float64)).to_numpy() for frame in (self.bad, self.fixed, repaired))
        wrong, still, kept = ~same(bad, fixed), ~same(now, fixed), same(now, bad)
        counts = (wrong, wrong & ~still, wrong & still & ~kept, wrong & still & kept, ~wrong & still)
        return Tally(*(int(one.sum()) for one in counts))


@dataclass(frozen=True)
class Tally:
    """bad : cells that differ between the two files. Of those repaired, changed to something wrong, left. away : others that now differ."""

    bad: int
    repaired: int
    wrong: int
    left: int
    away: int

    @property
    def whole(self) -> bool:
        return not (self.wrong or self.left or self.away)


def same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    close: np.ndarray = np.isclose(one, other, rtol=SAME, atol=1e-9, equal_nan=True)
    return close


def pair_names(shared: Path) -> list[str]:
    end = "-fixed.csv.gz"
    return sorted(path.name.removesuffix(end) for path in _folder(shared).glob(f"*{end}"))


def read_pair(shared: Path, name: str) -> Pair:
    bad, fixed = (_read(_folder(shared) / f"{name}{end}") for end in (".csv.gz", "-fixed.csv.gz"))
    stamp, *columns = bad.columns
    return Pair(name, bad, fixed, stamp, [column for column in columns if column in fixed.columns])


def yahoo_frame(history: History) -> pl.DataFrame:
    """A real history as Yahoo gives it when it makes no error: divided by later splits, and adjusted for dividends."""
    days, closes = history.bars["session"].to_list(), history.bars["close"].to_list()
    shares, adjusted, later, kept = [], [], 1.0, 1.0
    for at in range(len(days) - 1, -1, -1):
        shares.append(later)
        adjusted.append(closes[at] / later * kept)
        split, paid = history.splits.get(days[at], 1.0), history.dividends.get(days[at], 0.0)
        later *= split
        kept *= 1 - paid * split / closes[at - 1] if at else 1.0
    divided = pl.Series(shares[::-1])
    dividends = [round(history.dividends.get(day, 0.0) / own, 6) for day, own in zip(days, divided, strict=True)]
    return history.bars.select(
        pl.col("session").alias("Date"),
        *((pl.col(name) / divided).cast(pl.Float32).cast(pl.Float64).alias(name.title()) for name in ("open", "high", "low", "close")),
        pl.Series("Adj Close", adjusted[::-1]).round(6),
        (pl.col("volume") * divided).round().cast(pl.Int64).alias("Volume"),
        pl.Series("Dividends", dividends),
        pl.Series("Stock Splits", [history.splits.get(day, 0.0) for day in days]),
    )


def _folder(shared: Path) -> Path:
    return shared / "data/corporate_actions/price_repair"


def _read(path: Path) -> pl.DataFrame:
    rows = pl.read_csv(path, infer_schema_length=None)
    stamp = rows.columns[0]
    return rows.with_columns(pl.col(stamp).str.to_datetime("%Y-%m-%d %H:%M:%S%z", time_unit="us")).sort(stamp)
