"""Dividends that contradict the vendor's own adjusted close, the price, or each other.

Evidence: what was paid stands twice in the vendor's frame, as an amount and as the step of adjusted over plain close on its day. Where the
two agree they are believed, unless the price rules them out. Where they do not, the change of the close on that day decides, against how
much the symbol usually moves, and only if it decides 150 to 1. Bars of more than a day lack the close before the dividend: left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quant_assets.quality.vendor_bars import ADJUSTED, DAY, Bars, Found

AGAIN, OF_PRICE, BOTH = "the same dividend again", "dividend in another unit than its adjustment", "dividend a hundred times too large"
UNSTEPPED, COUNTED_TWICE = "adjusted close lacks a dividend", "capital gains adjusted for twice"
UNEXPLAINED = "dividend and adjustment disagree"
UNIT = 100.0
AGREES = 0.05
"""Amount and step are one when they differ by less: the adjusted close is rounded."""
ROUNDING = 3e-5
"""Of the price: steps below are lost in the digits that the vendor gives."""
DECIDES = 5.0
"""Natural logarithm of the odds, 150 to 1."""
BEYOND_DOUBT = 12.5
"""That of a change of five standard deviations: against two statements of the vendor that agree."""
LARGE = 0.05
NEAR = 10
"""Bars, two weeks: a price that falls by the dividend there has paid it on another day than the vendor says."""
AGAIN_WITHIN, APART, ENOUGH = 5, 15, 3
"""Bars between a dividend and its double, and between any two of the others, of which there must be so many to know the rhythm."""
LEAST_SIGMA = 0.002


@dataclass(frozen=True)
class Paid:
    """A dividend on record.

    row, before : positions of its bar and of the one before. close : of the bar before. share : adjusted over plain close there, over that
    of its own bar. amount, gains : as recorded.
    """

    row: int
    before: int
    close: float
    share: float
    amount: float
    gains: float

    @property
    def step(self) -> float:
        """What the adjusted close says was paid."""
        return (1 - self.share) * self.close

    def stepped(self, amount: float) -> bool:
        return abs(self.step - amount) <= max(AGREES * amount, ROUNDING * self.close)

    @property
    def unstepped(self) -> bool:
        return abs(self.step) <= max(AGREES * self.amount, ROUNDING * self.close) and self.amount > 4 * ROUNDING * self.close

    def restep(self, amount: float) -> float:
        """The factor on every adjusted close before it that makes its step this amount."""
        return (1 - amount / self.close) / self.share

    def told(self, bars: Bars) -> str:
        close = bars["Close"][self.row]
        stamp = bars.stamps[self.row]
        return f"{stamp}: dividend {self.amount:g}, adjusted by {self.step:.4g}, close {self.close:g} before and {close:g} then"


def repeated_dividends(bars: Bars) -> list[Found]:
    """One that is not in the adjusted close and stands beside an equal one that is, of a symbol that never pays so often."""
    paid = list(_paid(bars))
    found = []
    for one in paid:
        doubles = [other for other in paid if other is not one and abs(other.row - one.row) <= AGAIN_WITHIN]
        same = [other for other in doubles if abs(other.amount / one.amount - 1) < 1e-6 and other.step > (1 - AGREES) * other.amount]
        if not (one.unstepped and len(doubles) == len(same) == 1):
            continue
        rhythm = np.diff([other.row for other in paid if other is not one])
        if rhythm.size >= ENOUGH and rhythm.min() >= APART:
            evidence = f"{one.told(bars)}; {same[0].told(bars)}; {rhythm.size} others lie {rhythm.min()} bars apart or more"
            found.append(Found(np.array([one.row]), {"Dividends": 0.0}, AGAIN, evidence))
    return found


def dividend_units(bars: Bars) -> list[Found]:
    """Amounts at a hundred times, or a hundredth, of what the adjusted close steps by: all of a symbol are judged by the price together.

    Undecided, it is the amount that is told: it is what others read.
    """
    found = []
    for unit in (UNIT, 1 / UNIT):
        apart = [one for one in _paid(bars) if not one.gains and abs(one.step / one.amount * unit - 1) < AGREES]
        odds = sum(_odds(bars, one, one.amount, one.step) for one in apart)
        refused = "" if abs(odds) >= DECIDES else f"the price does not tell which is right: odds e^{odds:.1f}"
        for one in apart:
            evidence = f"{one.told(bars)}; odds that the amount is right e^{odds:.1f}, over {len(apart)} dividends"
            if odds >= DECIDES:
                found.append(Found(np.arange(one.row), {ADJUSTED: one.restep(one.amount)}, OF_PRICE, evidence, refused))
            else:
                found.append(Found(np.array([one.row]), {"Dividends": 1 / unit}, OF_PRICE, evidence, refused))
    return found


def large_dividends(bars: Bars) -> list[Found]:
    """One that the adjusted close bears out and the price does not: it hardly moved, as a hundredth of the amount explains.

    Reads later bars: a price that falls by the amount within two weeks has paid it.
    """
    found = []
    at = bars.priced
    moves = np.diff(np.log(bars["Close"][at]), prepend=0.0)
    for one in _paid(bars):
        if one.gains or one.amount < LARGE * one.close or not one.stepped(one.amount):
            continue
        odds = _odds(bars, one, one.amount / UNIT, one.amount)
        around = moves[np.abs(at - one.row) <= NEAR]
        if odds < BEYOND_DOUBT or around.min() < np.log1p(-one.amount / one.close) / 2:
            continue
        evidence = f"{one.told(bars)}; odds of a hundredth of it e^{odds:.1f}"
        found.append(Found(np.array([one.row]), {"Dividends": 1 / UNIT}, BOTH, evidence))
        found.append(Found(np.arange(one.row), {ADJUSTED: one.restep(one.amount / UNIT)}, BOTH, evidence))
    return found


def missing_steps(bars: Bars) -> list[Found]:
    """A dividend on record without its step: the record is believed unless the price rules it out."""
    found = []
    for one in _paid(bars):
        if one.unstepped and not one.gains:
            odds = _odds(bars, one, one.amount, 0.0)
            refused = "" if odds > -DECIDES else f"the price did not fall: odds that it was paid e^{odds:.1f}"
            found.append(Found(np.arange(one.row), {ADJUSTED: one.restep(one.amount)}, UNSTEPPED, one.told(bars), refused))
    return found


def gains_twice(bars: Bars) -> list[Found]:
    """Capital gains that are part of the dividend on record, and that the adjusted close steps by once more."""
    found = []
    for one in _paid(bars):
        if 0 < one.gains <= one.amount and one.stepped(one.amount + one.gains):
            odds = _odds(bars, one, one.amount, one.amount + one.gains)
            if odds <= -DECIDES:
                continue
            refused = "" if odds >= DECIDES else f"the price does not tell whether the gains are in the dividend: odds e^{odds:.1f}"
            evidence = f"{one.told(bars)}; capital gains {one.gains:g}; odds that the dividend holds them e^{odds:.1f}"
            found.append(Found(np.arange(one.row), {ADJUSTED: one.restep(one.amount)}, COUNTED_TWICE, evidence, refused))
    return found


def unexplained_steps(bars: Bars) -> list[Found]:
    """What is left of amounts that differ from their step: nothing says which is right."""
    told = [one for one in _paid(bars) if not any(one.stepped(total) for total in (one.amount, one.amount + one.gains))]
    return [
        Found(np.array([one.before]), {ADJUSTED: one.restep(one.amount)}, UNEXPLAINED, one.told(bars), "neither is known to be right")
        for one in told
    ]


def _paid(bars: Bars) -> Iterator[Paid]:
    if bars.days > DAY:
        return
    at = bars.priced
    for position in np.flatnonzero(bars["Dividends"][at[1:]] > 0):
        before, row = int(at[position]), int(at[position + 1])
        amount, close = float(bars["Dividends"][row]), float(bars["Close"][before])
        share = float(bars[ADJUSTED][before] / close / bars[ADJUSTED][row] * bars["Close"][row])
        if amount < close:
            yield Paid(row, before, close, share, amount, float(bars["Capital Gains"][row]))


def _odds(bars: Bars, one: Paid, mine: float, other: float) -> float:
    """Logarithm of the odds of one amount over another, from the day's change of a close that moves normally.

    A bar that repeats the close before without a share traded says nothing.
    """
    closes = bars["Close"][bars.priced]
    moves = np.diff(np.log(closes))
    moves = moves[np.abs(moves) < np.log(2)]  # more is another error, not noise
    sigma = max(float(moves.std()), LEAST_SIGMA)
    change = float(np.log(bars["Close"][one.row] / one.close))
    if (change == 0 and not bars["Volume"][one.row] > 0) or max(mine, other) >= one.close:
        return 0.0
    return float((change - np.log1p(-other / one.close)) ** 2 - (change - np.log1p(-mine / one.close)) ** 2) / (2 * sigma**2)
