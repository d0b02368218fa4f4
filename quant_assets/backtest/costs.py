"""What an order costs, and how many shares a budget buys. When orders happen is `default_trade.py`'s business."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Costs of a market order; the defaults are a retail broker's, for liquid US stocks.

    Parameters
    ----------
    commission_per_share : USD.
    commission_minimum : USD an order. It is charged in full even where the shares sold are worth less.
    half_spread : fraction of the quoted price, paid on each side and contained in the fill price (0.0002 = 2 bp).
    """

    commission_per_share: float = 0.005
    commission_minimum: float = 1.0
    half_spread: float = 0.0002

    def commission(self, shares: float) -> float:
        """USD for one order."""
        return max(self.commission_minimum, self.commission_per_share * shares)

    def buy_price(self, quoted: float) -> float:
        return quoted * (1 + self.half_spread)

    def sell_price(self, quoted: float) -> float:
        return quoted * (1 - self.half_spread)

    def cash_needed(self, shares: int, price: float) -> float:
        """USD that buying at this fill price takes, commission included."""
        return shares * price + self.commission(shares)

    def affordable_shares(self, budget: float, price: float) -> int:
        """The most whole shares whose fill price and commission together do not exceed the budget (USD)."""
        shares = math.floor(min(budget / (price + self.commission_per_share), (budget - self.commission_minimum) / price))
        # A quotient that rounded up to a whole number would overdraw by a fraction of a cent.
        return max(shares - 1 if self.cash_needed(shares, price) > budget else shares, 0)


DEFAULT_COSTS = Costs()
