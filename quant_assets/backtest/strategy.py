"""Strategies that decide bar by bar, from the past alone. Orders that were decided beforehand are `engine.run`'s business.

The arrays a strategy is given hold nothing of later sessions: each bar is written into them when its session has closed.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_assets.backtest import kernel
from quant_assets.backtest.accounts import PORTFOLIO, STARTING_CASH
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.engine import (
    CASH_ACCOUNT,
    Limits,
    Result,
    empty_book,
    market,
    require_cash,
    result,
)
from quant_assets.backtest.orders import Order, in_priority, of_close, table_of
from quant_assets.backtest.surroundings import NOTHING_SPECIAL, Surroundings
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument, QuantAssetsError

Floats = NDArray[np.float64]
NO_ORDERS = np.zeros(0, kernel.ORDER)
SHOWN = ("open", "high", "low", "close", "volume", "split_factor", "dividend")


class StrategyFailed(QuantAssetsError):
    """A strategy raised, or asked for what is no order: there is no result."""

    code = "strategy"


class ReachedAhead(StrategyFailed):
    """A strategy asked for a bar that had not closed yet."""

    code = "reached_ahead"


class Past:
    """What is known at the close of a session: the bars up to it, and the account.

    Parameters
    ----------
    session : the one that has just closed, the last of n_sessions. tickers : all names of the tape, also those without a bar yet.
    cash, equity : USD, at this close.
    """

    def __init__(self, tape: Tape, seen: np.ndarray[Any, Any], day: int, account: Any, positions: np.ndarray[Any, Any]) -> None:
        self._tape, self._seen, self._day, self._shares = tape, seen, day, positions["shares"].copy()
        self.session: dt.date = tape.sessions[day]
        self.tickers: tuple[str, ...] = tape.tickers
        self.n_sessions = day + 1
        self.cash = float(account["cash"])
        self.equity = float(account["equity_before"])

    def bars(self, ticker: str, field: str = "close") -> Floats:
        """(n_sessions so far,) open, high, low, close (raw USD), volume, split_factor or dividend; NaN where the name has no bar.

        Raises
        ------
        BadArgument : a name that is not on the tape, or another field.
        """
        place = self._place(ticker)
        if field not in SHOWN:
            raise BadArgument(f"bars have no field {field}", remedy=f"ask for one of {', '.join(SHOWN)}")
        known: Floats = self._seen[field][place, : self._day + 1]
        return known

    def total_return(self, ticker: str) -> Floats:
        """(n_sessions so far,) closes with all splits and dividends up to this session, at the level of the last one; NaN without a bar."""
        close = self.bars(ticker)
        there = ~np.isnan(close)
        level = np.full(close.size, np.nan)
        if there.any():
            worth = ((close + self.bars(ticker, "dividend")) * self.bars(ticker, "split_factor"))[there]
            grown = np.concatenate([[1.0], np.cumprod(worth[1:] / close[there][:-1])])
            level[there] = close[there][-1] * grown / grown[-1]
        return level

    def bar(self, ticker: str, session: dt.date) -> Mapping[str, float]:
        """One bar by its day.

        Raises
        ------
        ReachedAhead : a session that has not closed yet.
        BadArgument : a day that is no session of the tape.
        """
        if session > self.session:
            raise ReachedAhead(
                f"at the close of {self.session} the strategy asked for the bar of {ticker} {session}",
                remedy="decide on what had closed by then",
            )
        place = bisect.bisect_left(self._tape.sessions, session)
        if self._tape.sessions[place] != session:
            raise BadArgument(f"{session} is no session of the bars", remedy="ask for one that is")
        return {field: float(self.bars(ticker, field)[place]) for field in SHOWN}

    def shares(self, ticker: str) -> float:
        """Held at this close; negative: sold short.

        Raises
        ------
        BadArgument : a name that is not on the tape.
        """
        return float(self._shares[self._place(ticker)])

    def _place(self, ticker: str) -> int:
        place = self._tape.place_of(ticker)
        if place < 0:
            raise BadArgument(f"there are no bars of {ticker}", remedy="ask for names of the tape")
        return place


Strategy = Callable[[Past], Iterable[Order]]
"""Called at each close with what is known by then; what it returns works from the next session on."""


def trade(
    tape: Tape,
    strategy: Strategy,
    *,
    cash: float = STARTING_CASH,
    costs: Costs = US_STOCKS,
    limits: Limits = CASH_ACCOUNT,
    surroundings: Surroundings = NOTHING_SPECIAL,
) -> Result:
    """What a strategy would have earned over all names of a tape.

    Raises
    ------
    BadArgument : cash that is none, costs and limits that the tape cannot tell.
    StrategyFailed : it raised, or asked for what is no order; the message names the session, and what it raised is the cause.
    ReachedAhead : it asked for a later bar.
    """
    require_cash(cash)
    told = market(tape, costs, limits, surroundings)
    closes = np.empty((1, len(tape.sessions)), kernel.CLOSE)
    seen = np.full(tape.bars.shape, np.nan, kernel.BAR)
    shown = seen.view()
    shown.flags.writeable = False
    book = empty_book(tape, np.zeros(64, kernel.ORDER))
    kernel.open_account(book, 0, cash)
    n_orders = 0
    decided: list[tuple[dt.date, Order]] = []
    for day, session in enumerate(tape.sessions):
        while kernel.advance(book, told, day, day + 1, n_orders, closes[0]) == day:
            book = kernel.with_room(book, int(book.account["lacking"][0]))
        seen[:, day] = tape.bars[:, day]
        asked, records = _asked(strategy, Past(tape, shown, day, book.account[0], book.positions), tape)
        book = _with_orders(book, n_orders, records)
        n_orders += len(asked)
        decided += [(session, order) for order in asked]
    book = kernel.with_room(book, n_orders)
    kernel.close_books(book, n_orders, len(tape.sessions) - 1)
    return result(book, closes, tape, [PORTFOLIO], np.zeros(1, np.int64), table_of(decided))


def _asked(strategy: Strategy, past: Past, tape: Tape) -> tuple[list[Order], np.ndarray[Any, Any]]:
    """What a strategy asks for, in the order in which it is worked, and its records."""
    try:
        asked = list(strategy(past) or ())
        if wrong := [one for one in asked if not isinstance(one, Order)]:
            raise TypeError(f"{wrong[0]!r} is no Order")
        asked = in_priority(asked)
        return asked, of_close(asked, tape, past.n_sessions - 1) if asked else NO_ORDERS
    except StrategyFailed:
        raise
    except QuantAssetsError as error:
        raise StrategyFailed(f"at the close of {past.session} {error.message}", remedy=error.remedy) from error
    except Exception as error:
        known = f"the last session known then is number {past.n_sessions - 1}, counted from 0"
        raise StrategyFailed(
            f"at the close of {past.session} the strategy raised {type(error).__name__}: {error} ({known})", remedy="mend the strategy"
        ) from error


def _with_orders(book: kernel.Book, n: int, more: np.ndarray[Any, Any]) -> kernel.Book:
    """The book with orders from place n on."""
    if n + more.size > book.orders.size:
        longer = np.zeros(2 * (n + more.size), kernel.ORDER)
        longer[:n] = book.orders[:n]
        book = book._replace(orders=longer)
    book.orders[n : n + more.size] = more
    return book
