"""Bars that a split on the vendor's own record has not divided, or has divided twice.

Evidence: the split that is listed, and jumps by its ratio between bars beside it. Later prices decide nothing but which of the vendor's
bars its own split was applied to: what was traded before it is the same whatever follows. A jump without a split on record is the price's
own, and so is one far from it.
"""

from __future__ import annotations

import numpy as np

from quant_assets.quality.vendor_bars import ADJUSTED, DAY, Bars, Found, Ints, jumps, runs

UNDIVIDED, TWICE = "divided by the split on record", "multiplied by the split on record"
SMALLEST = 1.25
"""Smaller splits are within what a price does in a day."""
LONE = 1.45
"""A single jump must be larger. In 1,040,618 bars of 277 US stocks the price jumped so by itself 80 times by 4:3, 23 by 3:2, 3 by 2:1:
within three weeks before a split of that ratio, by chance, one split in 800, 2,800 and 22,000."""
BESIDE = 15
"""Bars, three weeks, from the split to the last jump and from each to the next: an adjustment fails around the day it is made on. AAPL fell
by its later splits' ratio of 2 on 2000-09-29, 1,107 bars before the next of them."""
AGREES = 0.02


def split_levels(bars: Bars) -> list[Found]:
    """A run of bars before each split that stands at its ratio above or below those after it; on a week's bar, also that of the split."""
    found: list[Found] = []
    for split in bars.splits:
        told = _of_one(bars, int(split))
        for one in told:
            bars = bars if one.refused else bars.repaired(one)
        found += told
    return found


def _of_one(bars: Bars, split: int) -> list[Found]:
    factor = float(bars["Stock Splits"][split])
    past = split + (bars.days > DAY)  # a week holds days before its split: its bar may stand on the level before
    at = bars.priced
    at = at[at <= past]
    if max(factor, 1 / factor) < SMALLEST or at.size < 2 or at[-1] < split:
        return []
    steps = jumps(bars, at, factor)
    if steps is None:
        return []
    steps = _beside(steps, at, split)
    if np.count_nonzero(steps) == 1 and max(factor, 1 / factor) < LONE:
        return []
    level = np.cumsum(steps)
    level -= level[-1]
    found = []
    for first, end in runs(level):
        if above := int(level[first]):
            rows = at[first:end]
            refused = f"{abs(above)} jumps in one direction, and one split" if abs(above) > 1 else ""
            found.append(_found(bars, rows, split, factor**above, refused))
    return found


def _beside(steps: Ints, at: Ints, split: int) -> Ints:
    """The jumps that lie beside the split or beside a later one that does."""
    kept, reach = np.zeros_like(steps), split
    for position in np.flatnonzero(steps)[::-1]:
        if reach - at[position] > BESIDE:
            break
        kept[position], reach = steps[position], int(at[position])
    return kept


def _found(bars: Bars, rows: Ints, split: int, above: float, refused: str) -> Found:
    last = int(rows[-1])
    following = bars["Close"][last + 1] if last + 1 < len(bars.stamps) else np.nan
    evidence = (
        f"split {bars['Stock Splits'][split]:g} on {bars.stamps[split]}; close {bars['Close'][last]:g} on {bars.stamps[last]}, then "
        f"{following:g}: bars since {bars.stamps[int(rows[0])]} stand at {above:g} times what follows"
    )
    times = dict.fromkeys(bars.prices, 1 / above) | {"Volume": above}
    if _dividends_too(bars, rows):
        times["Dividends"] = 1 / above
    divided = (above > 1) == (bars["Stock Splits"][split] > 1)
    return Found(rows, times, UNDIVIDED if divided else TWICE, evidence, refused)


def _dividends_too(bars: Bars, rows: Ints) -> bool:
    """The adjusted close proves the run's dividends to be on the basis of its prices: then they are as wrong as these."""
    close, adjusted, paid = (bars[name][rows] for name in ("Close", ADJUSTED, "Dividends"))
    share = 1 - (adjusted[:-1] / close[:-1]) / (adjusted[1:] / close[1:])
    told = paid[1:] > 0
    return (
        bool(told.any()) and bars.days <= DAY and bool((np.abs(share * close[:-1] / np.where(told, paid[1:], 1) - 1)[told] < AGREES).all())
    )
