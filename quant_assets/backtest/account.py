"""One cash account: what it holds, what an order does to it, what a corporate action does to it. It decides nothing.

Choices made here
- Splits: held shares are multiplied by the factor, working stops divided by it; a fraction of a share stays and is sold with the rest.
- Dividends: cash on the ex-date, per share after a split of that day, for positions held over the previous close. A stop is not
  lowered by a dividend.
- The account is valued at raw closes; a name without a bar keeps its last close.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from quant_assets.backtest.costs import Costs


class Bar(NamedTuple):
    """One name in one session, raw. Where `complete` is false open or low is NaN: the bar values a position but fills nothing."""

    open: float
    low: float
    close: float
    split_factor: float
    dividend: float
    complete: bool


@dataclass(frozen=True)
class Order:
    """A decision to buy at the next open, as known at the close of `decided`.

    Parameters
    ----------
    atr : ATR14 of that close, raw USD of that session.
    n_tradable : into how many equal parts the account's equity is cut.
    """

    ticker: str
    decided: dt.date
    score: float
    atr: float
    n_tradable: int


@dataclass
class Position:
    """Shares of one name; `day` counts sessions from the start of the account, `stop` is in today's shares."""

    order: Order
    entered: dt.date
    entry_day: int
    entry_shares: int
    shares: float
    entry_price: float
    entry_stop: float | None
    stop: float | None
    commission: float
    spread_cost: float
    last_close: float
    dividends: float = 0.0


@dataclass(frozen=True)
class Trade:
    """A row of table `trades`, without the columns that name the account."""

    ticker: str
    session: dt.date
    decided: dt.date
    entered: dt.date
    entry_shares: float
    exit_shares: float
    entry_price: float
    exit_price: float
    stop_price: float | None
    exit_reason: str
    commission: float
    spread_cost: float
    dividends: float
    pnl: float
    ret: float


class Account:
    """Cash and positions; `closed` is its journal, in the order of exits.

    `entries` counts the buys filled so far, `costs_paid` is the commission and half-spread (USD) of every fill so far.
    """

    def __init__(self, cash: float, costs: Costs) -> None:
        self.cash = cash
        self.costs = costs
        self.positions: dict[str, Position] = {}
        self.closed: list[Trade] = []
        self.entries = 0
        self.costs_paid = 0.0

    @property
    def position_value(self) -> float:
        return sum(held.shares * held.last_close for held in self.positions.values())

    @property
    def equity(self) -> float:
        return self.cash + self.position_value

    def apply_actions(self, bars: Mapping[str, Bar]) -> None:
        """Splits and dividends of this session's open, on positions held over the previous close."""
        for ticker, held in self.positions.items():
            if (bar := bars.get(ticker)) is None:
                continue
            held.shares *= bar.split_factor
            if held.stop is not None:
                held.stop /= bar.split_factor
            paid = held.shares * bar.dividend
            held.dividends += paid
            self.cash += paid

    def buy(self, order: Order, bar: Bar, *, session: dt.date, day: int, budget: float, stop_atrs: float | None) -> None:
        """Whole shares at the open, as many as the budget and the cash allow; none affordable, no trade.

        The stop lies `stop_atrs` ATRs below the fill (open plus half-spread); the ATR is brought over a split of this very open.
        """
        price = self.costs.buy_price(bar.open)
        shares = self.costs.affordable_shares(min(budget, self.cash), price)
        if shares == 0:
            return
        stop = None if stop_atrs is None else price - stop_atrs * order.atr / bar.split_factor
        commission, spread_cost = self.costs.commission(shares), shares * (price - bar.open)
        self.cash -= self.costs.cash_needed(shares, price)
        self.entries += 1
        self.costs_paid += commission + spread_cost
        self.positions[order.ticker] = Position(
            order=order,
            entered=session,
            entry_day=day,
            entry_shares=shares,
            shares=shares,
            entry_price=price,
            entry_stop=stop,
            stop=stop,
            commission=commission,
            spread_cost=spread_cost,
            last_close=bar.open,
        )

    def sell(self, held: Position, quoted: float, *, session: dt.date, reason: str) -> None:
        """The whole position at a quoted price, less the half-spread and the commission; written to the journal."""
        price = self.costs.sell_price(quoted)
        commission, spread_cost = self.costs.commission(held.shares), held.shares * (quoted - price)
        self.cash += held.shares * price - commission
        self.costs_paid += commission + spread_cost
        paid = self.costs.cash_needed(held.entry_shares, held.entry_price)
        pnl = held.shares * price - commission + held.dividends - paid
        del self.positions[held.order.ticker]
        self.closed.append(
            Trade(
                ticker=held.order.ticker,
                session=session,
                decided=held.order.decided,
                entered=held.entered,
                entry_shares=float(held.entry_shares),
                exit_shares=float(held.shares),
                entry_price=held.entry_price,
                exit_price=price,
                stop_price=held.entry_stop,
                exit_reason=reason,
                commission=held.commission + commission,
                spread_cost=held.spread_cost + spread_cost,
                dividends=held.dividends,
                pnl=pnl,
                ret=pnl / paid,
            )
        )

    def mark(self, bars: Mapping[str, Bar]) -> None:
        """Positions at this session's raw close."""
        for ticker, held in self.positions.items():
            if (bar := bars.get(ticker)) is not None:
                held.last_close = bar.close
