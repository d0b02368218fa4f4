"""One symbol's bars in Yahoo's columns, and what a rule finds in them. The rules live in `vendor_splits.py`, `vendor_units.py` and
`vendor_dividends.py`; `vendor_repair.py` applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

BODY = ("Open", "High", "Low", "Close")
ADJUSTED = "Adj Close"
PRICES = (*BODY, ADJUSTED)
DAY = 1.1
"""Days: with the hour that daylight saving time adds, and no more."""
MAD_TO_SIGMA = 1.4826
LEAST_NOISE = 0.005
"""Half a per cent, of a symbol that hardly moves."""


@dataclass(frozen=True)
class Found:
    """Cells that look wrong.

    rows : positions in the frame. times : by column, the factor that puts those cells right. refused : why nothing is changed all the same.
    """

    rows: Ints
    times: Mapping[str, float]
    method: str
    evidence: str
    refused: str = ""


@dataclass(frozen=True)
class Bars:
    """columns : (n_bars,) each, in time order, NaN where the vendor has none. days : the distance of two bars, in days, weekends aside."""

    columns: Mapping[str, Floats]
    stamps: tuple[str, ...]
    days: float

    def __getitem__(self, name: str) -> Floats:
        if name not in self.columns:
            return self["Close"] if name == ADJUSTED else np.zeros(len(self.stamps))
        return self.columns[name]

    @property
    def prices(self) -> list[str]:
        return [name for name in PRICES if name in self.columns]

    @property
    def priced(self) -> Ints:
        """Positions of the bars whose prices are all above 0, and finite."""
        return np.flatnonzero(np.logical_and.reduce([(self[name] > 0) & np.isfinite(self[name]) for name in PRICES]))

    @property
    def splits(self) -> Ints:
        """Positions of the bars with a split."""
        told = self["Stock Splits"]
        return np.flatnonzero((told > 0) & np.isfinite(told) & (told != 1))

    def repaired(self, found: Found) -> Bars:
        changed = {name: self[name].copy() for name in found.times}
        for name, factor in found.times.items():
            changed[name][found.rows] *= factor
        return Bars({**self.columns, **changed}, self.stamps, self.days)


Rule = Callable[[Bars], list[Found]]


def jumps(bars: Bars, at: Ints, factor: float) -> Ints | None:
    """1 where a bar stands the factor above the one before, -1 where it stands as much below, else 0; None when the symbol moves too much
    to tell.

    Both its open and its close must, against the close before, dividends taken out as the vendor itself does, to 4 times the symbol's own
    noise and at most a third of the way to no change.
    """
    adjusted, width = bars[ADJUSTED][at], abs(np.log(factor))
    opens = bars["Open"][at] * adjusted / bars["Close"][at]
    to_close, to_open = np.log(adjusted[1:] / adjusted[:-1]), np.log(opens[1:] / adjusted[:-1])
    moved = np.abs(to_close[(to_close != 0) & (np.abs(to_close) < 2 * width / 3)])
    noise = max(MAD_TO_SIGMA * float(np.median(moved)) if moved.size else 0.0, LEAST_NOISE)
    if width < 5 * noise:
        return None
    near = max(min(4 * noise, width / 3), width / 20)
    up = (np.abs(to_close - width) < near) & (np.abs(to_open - width) < near)
    down = (np.abs(to_close + width) < near) & (np.abs(to_open + width) < near)
    steps = np.sign(np.log(factor)) * (up.astype(int) - down.astype(int))
    return np.concatenate([[0], steps]).astype(np.intp)


def runs(level: Ints) -> list[tuple[int, int]]:
    """First position of each run of one level, and the one after its last."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1, [level.size]])
    return [(int(first), int(end)) for first, end in pairwise(edges)]
