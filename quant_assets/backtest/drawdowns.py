"""Falls of wealth below an earlier peak: how deep, how long, how they ended. The starting wealth counts as a peak.

wealth : (n,) USD at each close, the first being the starting wealth. Lengths are in sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawdown:
    """One spell below a peak, as places in the wealth.

    Parameters
    ----------
    peak : the last close at the peak. trough : the first close at the lowest wealth of the spell.
    last : the last close below the peak. recovered : whether a later close was at the peak or above.
    depth : trough / peak - 1, negative.
    """

    peak: int
    trough: int
    last: int
    recovered: bool
    depth: float

    @property
    def sessions(self) -> int:
        """Closes below the peak."""
        return self.last - self.peak


def underwater(wealth: Floats) -> Floats:
    """(n,) wealth / highest wealth so far - 1, zero or negative."""
    return wealth / np.maximum.accumulate(wealth) - 1


def drawdowns(wealth: Floats) -> list[Drawdown]:
    """Every spell below a peak, in order."""
    depth = underwater(wealth)
    edges = np.diff((depth < 0).astype(np.int8), prepend=0, append=0)
    return [
        Drawdown(
            int(start) - 1, int(start + depth[start:end].argmin()), int(end) - 1, bool(end < len(wealth)), float(depth[start:end].min())
        )
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    ]


def deepest(wealth: Floats) -> Drawdown | None:
    """The first of the deepest; None where wealth never fell."""
    return min(drawdowns(wealth), key=lambda spell: spell.depth, default=None)


def max_drawdown(wealth: Floats) -> float:
    """0 where wealth never fell."""
    return float(underwater(wealth).min())


def average_drawdown(wealth: Floats) -> float | None:
    """Mean depth of the spells."""
    spells = drawdowns(wealth)
    return sum(spell.depth for spell in spells) / len(spells) if spells else None


def longest_drawdown(wealth: Floats) -> int:
    """Sessions of the longest spell, recovered or not; 0 where wealth never fell."""
    return max((spell.sessions for spell in drawdowns(wealth)), default=0)


def fall_sessions(wealth: Floats) -> int | None:
    """Sessions from the peak to the trough of the deepest spell."""
    spell = deepest(wealth)
    return None if spell is None else spell.trough - spell.peak


def recovery_sessions(wealth: Floats) -> int | None:
    """Sessions from the trough of the deepest spell to the first close at its peak; None while it lasts."""
    spell = deepest(wealth)
    return spell.last + 1 - spell.trough if spell is not None and spell.recovered else None


def under_water_share(wealth: Floats) -> float | None:
    """Share of the closes after the first that lie below an earlier peak."""
    return float((underwater(wealth)[1:] < 0).mean()) if len(wealth) > 1 else None


def ulcer_index(wealth: Floats) -> float | None:
    """Root mean square of the drawdown over the closes after the first, fraction. Martin, McCann (1989)."""
    return math.sqrt((underwater(wealth)[1:] ** 2).mean()) if len(wealth) > 1 else None
