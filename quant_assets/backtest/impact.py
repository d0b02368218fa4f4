"""How an order moves the price it gets, as a fraction of that price. The formulas are compiled, in `kernel.py`; here are their names.

The average daily volume and the daily volatility an order is measured by are those known at the close it was decided at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quant_assets.backtest import kernel


class Impact(Protocol):
    """A model of impact, as the number and four parameters the compiled code knows it by."""

    @property
    def terms(self) -> tuple[int, float, float, float, float]: ...


@dataclass(frozen=True)
class LinearImpact:
    """min(cap, base + slope x percent of average daily volume) basis points, times 1.5 at the open, 1.3 at the close, 2 with VIX above 30.

    The cap is met before the multipliers.
    """

    base_bps: float = 2.0
    bps_per_adv_percent: float = 0.1
    cap_bps: float = 50.0

    @property
    def terms(self) -> tuple[int, float, float, float, float]:
        return kernel.LINEAR, self.base_bps, self.bps_per_adv_percent, self.cap_bps, 0.0


@dataclass(frozen=True)
class SquareRootImpact:
    """coefficient x daily volatility x sqrt(shares / average daily volume). Torre (1997), Market Impact Model Handbook, Barra."""

    coefficient: float = 1.0

    @property
    def terms(self) -> tuple[int, float, float, float, float]:
        return kernel.SQUARE_ROOT, self.coefficient, 0.0, 0.0, 0.0


@dataclass(frozen=True)
class AlmgrenImpact:
    """Half the permanent and all of the temporary impact of an order worked over `day_fraction` of a session.

    gamma sigma X/V (Theta/V)^(1/4) / 2 + eta sigma (X / (V T))^(3/5): Almgren, Thum, Hauptmann and Li (2005), Direct estimation of equity
    market impact, in the frame of Almgren and Chriss (2000). Theta/V, shares outstanding over daily volume, is theirs of IBM by default.
    """

    gamma: float = 0.314
    eta: float = 0.142
    inverse_turnover: float = 263.0
    day_fraction: float = 0.1

    @property
    def terms(self) -> tuple[int, float, float, float, float]:
        return kernel.ALMGREN, self.gamma, self.eta, self.inverse_turnover, self.day_fraction
