"""What an order costs, and how many shares a budget buys: the same objects for a backtest and for an order that is really sent.

The arithmetic is compiled, in `kernel.py`, and has no second version. When orders happen is `engine.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from quant_assets.backtest import kernel
from quant_assets.backtest.fees import NO_FEE, SEC_FEE, TAF, FeeTable
from quant_assets.backtest.impact import Impact, LinearImpact
from quant_assets.errors import BadArgument

BUSY_HOURS = {9: 1.5, 12: 0.9, 15: 1.3}
"""By how much linear impact is larger in an hour of New York's day; 1 in the others."""


@dataclass(frozen=True)
class Charge:
    """What one fill costs, USD but for the price.

    Parameters
    ----------
    price : USD a share, half-spread and impact included.
    commission, sec_fee, taf, exchange_fee : paid beside the price. spread_cost, impact_cost : inside it.
    """

    price: float
    commission: float
    sec_fee: float
    taf: float
    exchange_fee: float
    spread_cost: float
    impact_cost: float

    @property
    def explicit(self) -> float:
        return self.commission + self.sec_fee + self.taf + self.exchange_fee

    @property
    def total(self) -> float:
        return self.explicit + self.spread_cost + self.impact_cost


@dataclass(frozen=True)
class Costs:
    """Costs of an order; the defaults are those of the default trade: a retail broker's, for liquid US stocks.

    Parameters
    ----------
    commission_per_share : USD.
    commission_minimum : USD a fill. It is charged in full even where the shares sold are worth less.
    half_spread : fraction of the quoted price, paid on each side and contained in the fill price (0.0002 = 2 bp). A table of half-spreads
        by name and session (see `spreads.py`) takes its place where one is given.
    exchange_per_share : USD, both sides.
    sec_fee, taf : on sales, with the days their rates hold from.
    impact : how an order moves its own price; None: not at all.
    borrow_annual : fee for borrowed shares, fraction of their value a year of 360 days.
    """

    commission_per_share: float = 0.005
    commission_minimum: float = 1.0
    half_spread: float = 0.0002
    exchange_per_share: float = 0.0
    sec_fee: FeeTable = NO_FEE
    taf: FeeTable = NO_FEE
    impact: Impact | None = None
    borrow_annual: float = 0.0

    def __post_init__(self) -> None:
        for name in ("commission_per_share", "commission_minimum", "half_spread", "exchange_per_share", "borrow_annual"):
            value, limit = getattr(self, name), 1.0 if name == "half_spread" else float("inf")
            if not 0 <= value < limit:
                raise BadArgument(f"{name} is {value}", remedy="a cost is zero or positive, a half-spread below 1")

    @cached_property
    def terms(self) -> Any:
        """As the compiled account reads them: (1,) record of `kernel.TERMS`, with the limits of an account still to come."""
        terms = np.zeros(1, kernel.TERMS)
        for name in ("commission_per_share", "commission_minimum", "exchange_per_share"):
            terms[name] = getattr(self, name)
        if self.impact is not None:
            for name, value in zip(("kind", "a", "b", "c", "d"), self.impact.terms, strict=True):
                terms[f"impact_{name}"] = value
        return terms

    def of(
        self,
        shares: float,
        quoted: float,
        *,
        session: dt.date,
        hour: float = 11.0,
        adv: float = np.inf,
        sigma: float = np.nan,
        vix: float = 0.0,
    ) -> Charge:
        """What a fill that takes liquidity costs.

        Parameters
        ----------
        shares : positive bought, negative sold. quoted : USD, the middle of bid and ask.
        hour : of the day in New York, 9.5 to 16. adv : shares a day. sigma : daily volatility, fraction. vix : index points.
        """
        side, size = (1.0 if shares > 0 else -1.0), abs(shares)
        moved = quoted * kernel.impact_of(size, self.terms[0], adv, sigma, vix, BUSY_HOURS.get(int(hour), 1.0))
        price = quoted * (1 + side * self.half_spread) + side * moved
        taf = self.taf.on(session)
        return Charge(
            price=price,
            commission=self.commission(size),
            sec_fee=size * quoted * self.sec_fee.on(session).rate if side < 0 else 0.0,
            taf=min(taf.cap, taf.rate * size) if side < 0 else 0.0,
            exchange_fee=self.exchange_per_share * size,
            spread_cost=size * quoted * self.half_spread,
            impact_cost=size * moved,
        )

    def commission(self, shares: float) -> float:
        """USD for one fill."""
        return float(kernel.commission_of(shares, self.terms[0]))

    def cash_needed(self, shares: float, price: float) -> float:
        """USD that buying at this fill price takes, commission and exchange fee included."""
        return shares * (price + self.exchange_per_share) + self.commission(shares)

    def affordable_shares(self, budget: float, price: float) -> int:
        """The most whole shares whose fill price, commission and exchange fee together do not exceed the budget (USD)."""
        return int(kernel.affordable(budget, price, self.terms[0], True))


DEFAULT_COSTS = Costs()
"""Those of the default trade."""
US_STOCKS = Costs(exchange_per_share=0.003, sec_fee=SEC_FEE, taf=TAF, impact=LinearImpact(), borrow_annual=0.0025)
"""All that a US broker passes on, with impact; what a strategy of one's own pays unless it says otherwise."""
