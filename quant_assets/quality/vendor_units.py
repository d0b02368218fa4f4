"""Prices in the hundredth of a currency, or in the whole of it, among bars of the other: pence and pounds, cents and dollars.

Evidence: a jump of a hundred between two bars, or within one, and at which of the two prices shares changed hands. A jump with trades on
both sides may have happened, and stays. Reads later bars: not for a table that withholds the future.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_assets.quality.vendor_bars import BODY, Bars, Found, Ints, jumps, runs

LEVEL, PRICE, BOUNDED = "times a hundred, all of the bar", "times a hundred, one price of the bar", "bounded by open and close"
UNIT = 100.0
ISOLATED = 5
"""Bars: longer runs at one price are no slip of a feed but may be the price."""
RARE = 0.1
ABOUT = 2.0
"""Prices of one bar and its neighbours lie within this factor of each other, and so does a hundred times the price that was meant."""


def unit_levels(bars: Bars) -> list[Found]:
    """Runs of whole bars a hundred times above or below the others, where shares changed hands at one of the two prices alone.

    Traded at both, only short runs between bars that agree with each other are put right.
    """
    at, split = bars.priced, bars["Stock Splits"][bars.splits]
    if at.size < 2 or ((split > UNIT / ABOUT) | (split < ABOUT / UNIT)).any():
        return []
    steps = jumps(bars, at, UNIT)
    if steps is None or not steps.any():
        return []
    level = np.cumsum(steps)
    shown = sorted({int(one) for one in level})
    traded = {one: int((_traded(bars, at) & (level == one)).sum()) for one in shown}
    wrong, refused = _wrong(level, shown, traded)
    found = []
    for first, end in runs(level):
        if level[first] == wrong:
            rows = at[first:end]
            others = ", ".join(
                f"{count} traded bars at {UNIT ** (one - wrong):g} times this" for one, count in traded.items() if one != wrong
            )
            evidence = f"{rows.size} bars at {bars['Close'][rows[0]]:g}, {traded[wrong]} at this level with trades; {others}"
            factor = UNIT ** next((one - wrong for one in shown if one != wrong), 0)
            found.append(Found(rows, dict.fromkeys(bars.prices, float(factor)), LEVEL, evidence, refused))
    return found


def _traded(bars: Bars, at: Ints) -> npt.NDArray[np.bool_]:
    """Shares changed hands, and the bar does not contradict itself: a feed that gets its high below its open proves nothing."""
    opened, high, low, close = (bars[name][at] for name in BODY)
    return (bars["Volume"][at] > 0) & (low <= np.minimum(opened, close)) & (high >= np.maximum(opened, close))


def _wrong(level: Ints, shown: list[int], traded: dict[int, int]) -> tuple[int, str]:
    """The level that is wrong, and why it is left as it is, if it is."""
    rarest = min(shown, key=lambda one: int((level == one).sum()))
    if len(shown) > 2:
        return rarest, f"{len(shown)} levels: no unit explains them"
    with_trades = [one for one in shown if traded[one]]
    if len(with_trades) == 1:
        return next(one for one in shown if one not in with_trades), ""
    if not with_trades:
        return rarest, "no sound bar with trades at either level"
    mine = [(first, end) for first, end in runs(level) if level[first] == rarest]
    short = all(end - first <= ISOLATED and first > 0 and end < level.size for first, end in mine)
    if short and (level == rarest).sum() <= RARE * level.size:
        return rarest, ""
    return rarest, "traded at both levels, for longer than a slip lasts"


def unit_prices(bars: Bars) -> list[Found]:
    """An open or close, and high or low with it, at a hundredth or a hundred times of its bar, the close before and the open after."""
    found: list[Found] = []
    at = bars.priced
    widest = np.max([bars[name][at] for name in BODY], axis=0) / np.min([bars[name][at] for name in BODY], axis=0)
    for position in np.flatnonzero(widest[1:-1] > UNIT / ABOUT) + 1:
        before, here, after = (int(one) for one in at[position - 1 : position + 2])
        around = [float(bars["Close"][before]), float(bars["Open"][after])]
        body = {name: float(bars[name][here]) for name in ("Open", "Close")}
        times = {
            name: factor for name, other in (("Open", "Close"), ("Close", "Open")) if (factor := _unit(body[name], [*around, body[other]]))
        }
        if len(times) > 1:
            continue
        meant = {name: price * times.get(name, 1.0) for name, price in body.items()}
        shown = f"as delivered: open {body['Open']:g}, high {bars['High'][here]:g}, low {bars['Low'][here]:g}, close {body['Close']:g}"
        evidence = f"{shown}; close before {around[0]:g}, open after {around[1]:g}"
        rows = np.array([here])
        if "Close" in times and "Adj Close" in bars.columns:
            times["Adj Close"] = times["Close"]
        if times:
            found.append(Found(rows, times, PRICE, evidence))
        for name, bound in (("High", max(meant.values())), ("Low", min(meant.values()))):
            price = float(bars[name][here])
            if factor := _unit(price, [*meant.values(), *around]):
                inside = price * factor <= bound if name == "Low" else price * factor >= bound
                found.append(Found(rows, {name: factor if inside else bound / price}, PRICE if inside else BOUNDED, evidence))
    return found


def _unit(price: float, others: list[float]) -> float:
    """What the price has to be multiplied by to stand among the others; 0 when it need not or cannot, or they do not agree."""
    low, high = min(others), max(others)
    if high > ABOUT * low:
        return 0.0
    return next((factor for factor in (UNIT, 1 / UNIT) if low / ABOUT < price * factor < high * ABOUT), 0.0)
