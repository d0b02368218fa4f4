"""One account, or one for each name, over a tape: from orders that were decided at a close to a journal and an equity curve.

What happens within a session is said in `kernel.py`; what a strategy sees when it decides, in `strategy.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quant_assets.backtest import kernel
from quant_assets.backtest.accounts import PORTFOLIO, STARTING_CASH
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.orders import of_frame
from quant_assets.backtest.surroundings import NOTHING_SPECIAL, Surroundings
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument


@dataclass(frozen=True)
class Limits:
    """What an account may do.

    Parameters
    ----------
    whole_shares : no fractions but those that splits leave.
    participation : share of a bar's volume that one account may trade of a name; None: all it wants.
    initial_margin : equity that each USD of further exposure needs: 1 without leverage, 0.5 for twice the equity. Short positions count
        as exposure too.
    maintenance_margin : equity / gross exposure at a close below which all positions are sold at the next opens.
    credit_rate, debit_rate : interest on cash and on debt, fraction a year of 360 days.
    """

    whole_shares: bool = True
    participation: float | None = None
    initial_margin: float = 1.0
    maintenance_margin: float = 0.25
    credit_rate: float = 0.0
    debit_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.initial_margin <= 1 or not 0 <= self.maintenance_margin <= self.initial_margin:
            raise BadArgument(
                f"margins of {self.initial_margin} at first and {self.maintenance_margin} later",
                remedy="0 <= later <= first <= 1, first above 0",
            )
        for name in ("credit_rate", "debit_rate"):
            if not 0 <= getattr(self, name) < np.inf:
                raise BadArgument(f"{name} is {getattr(self, name)}", remedy="a rate is zero or positive")
        if self.participation is not None and not 0 < self.participation <= 1:
            raise BadArgument(f"participation is {self.participation}", remedy="it is above 0 and at most 1")

    def added_to(self, terms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The record of costs with these limits, as the compiled account reads them."""
        both = terms.copy()
        for name in ("whole_shares", "initial_margin", "maintenance_margin", "credit_rate", "debit_rate"):
            both[name] = getattr(self, name)
        both["participation"] = np.inf if self.participation is None else self.participation
        return both


CASH_ACCOUNT = Limits()
ROWS_AT_ONCE = 1024
"""Of a journal, about 150 bytes each."""


@dataclass(frozen=True)
class Result:
    """What became of orders.

    Parameters
    ----------
    trades : one row a closed position: account, ticker, session (of the exit), decided, entered, side (1 long, -1 short), entry_shares,
        exit_shares, entry_price, exit_price, stop_price (the first one, null without), exit_reason, commission, fees, spread_cost,
        impact_cost, dividends, borrow, pnl, ret (pnl / what was paid or sold short for), sessions_held.
    fills : one row a fill: account, ticker, session, decided, reason, shares (signed), quoted, price, commission, fees, spread_cost,
        impact_cost.
    equity : one row an account and session, from its first one on: equity, cash, position (net), gross, entries, exits, costs (USD so
        far), carry (interest less borrow fees so far, USD).
    refused : orders, or what was left of them, that were not filled: account, ticker, decided, session, reason.
    orders : what was asked for, at which close: session, ticker and the fields of `orders.Order`.
    """

    trades: pl.DataFrame
    fills: pl.DataFrame
    equity: pl.DataFrame
    refused: pl.DataFrame
    orders: pl.DataFrame


def run(
    tape: Tape,
    orders: pl.DataFrame,
    *,
    by_name: bool = False,
    cash: float = STARTING_CASH,
    costs: Costs = US_STOCKS,
    limits: Limits = CASH_ACCOUNT,
    surroundings: Surroundings = NOTHING_SPECIAL,
    starts: Mapping[str, dt.date] | None = None,
) -> Result:
    """What orders that were decided beforehand would have earned.

    Parameters
    ----------
    orders : session (of the decision), ticker and the fields of `orders.Order`; those left out have their defaults.
    by_name : each name of the tape has an account of its own, of this cash.
    starts : with `by_name` the first session of each account, none without an entry; the first of the tape when None.

    Raises
    ------
    BadArgument : orders that cannot be (see `orders.of_frame`) or are decided before their account starts, a start that is no session of
        the tape or not by name, or costs and limits that the tape cannot tell (see `market`).
    """
    require_cash(cash)
    if starts is not None and not by_name:
        raise BadArgument("starts are of accounts by name, and there is one over all names", remedy="give by_name=True, or no starts")
    told, rows = of_frame(orders, tape, by_name=by_name)
    accounts, firsts = _accounts(tape, by_name, starts)
    if by_name:
        account_of = np.full(len(tape.tickers), -1)
        account_of[accounts] = np.arange(len(accounts))
        told["account"] = account_of[told["name"]]
        if (lost := told["account"] < 0).any():
            name = tape.tickers[told["name"][np.argmax(lost)]]
            raise BadArgument(f"orders for {name}, which has no account", remedy="give it a start, or leave its orders out")
    early = told["decided"] < firsts[told["account"]]
    if early.any():
        row = rows.row(int(np.argmax(early)), named=True)
        raise BadArgument(f"the order of {row['ticker']} {row['session']} is older than its account", remedy="start that account earlier")
    bounds = np.searchsorted(told["account"], np.arange(len(accounts) + 1))
    closes = np.empty((len(accounts), len(tape.sessions)), kernel.CLOSE)
    book = kernel.run(empty_book(tape, told), market(tape, costs, limits, surroundings), bounds, firsts, cash, closes)
    names = [tape.tickers[place] for place in accounts] if by_name else [PORTFOLIO]
    return result(book, closes, tape, names, firsts, rows)


def require_cash(cash: float) -> None:
    """Raises BadArgument for what no account can start with."""
    if not 0 < cash < np.inf:
        raise BadArgument(f"an account of {cash} USD", remedy="start it with an amount above 0")


def market(tape: Tape, costs: Costs, limits: Limits, surroundings: Surroundings) -> kernel.Market:
    """What happens and what holds, as compiled code reads it.

    Raises
    ------
    BadArgument : costs with impact, or a limit to participation, on a tape without volumes; surroundings of another tape, or a half-spread
        that is none.
    """
    for name, shape in {"half_spread": tape.bars.shape, "borrowable": tape.bars.shape, "vix": (len(tape.sessions),)}.items():
        if (table := getattr(surroundings, name)) is not None and table.shape != shape:
            raise BadArgument(
                f"{name} is of shape {table.shape}, the bars are of {shape}", remedy="give one of the names and sessions of the tape"
            )
    if surroundings.half_spread is not None and (wrong := ~((surroundings.half_spread >= 0) & (surroundings.half_spread < 1))).any():
        name, day = np.argwhere(wrong)[0]
        raise BadArgument(
            f"the half-spread of {tape.tickers[name]} {tape.sessions[day]} is {surroundings.half_spread[name, day]}",
            remedy="it is at least 0 and below 1, as a fraction of the price",
        )
    if (costs.impact is not None or limits.participation is not None) and np.isnan(tape.bars["volume"]).all():
        raise BadArgument(
            "impact and participation are shares of the volume, and the bars have none", remedy="give volumes, or do without both"
        )
    tables = {"half_spread": surroundings.half_spread, "borrowable": surroundings.borrowable}
    if costs.impact is not None:
        tables |= {"adv": tape.average_volume(), "sigma": tape.volatility()}
    tables = {name: table for name, table in tables.items() if table is not None}
    rates = np.empty(tape.bars.shape if tables else (1, 1), kernel.RATE)
    alone = {"half_spread": costs.half_spread, "adv": np.nan, "sigma": np.nan, "borrow_rate": costs.borrow_annual, "borrowable": 1.0}
    for name, value in alone.items():
        rates[name] = tables.get(name, value)
    return kernel.Market(tape.bars, tape.days(costs, surroundings.vix), rates, limits.added_to(costs.terms))


def _accounts(tape: Tape, by_name: bool, starts: Mapping[str, dt.date] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(place of each account's name, place of its first session)."""
    if not by_name:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    if starts is None:
        return np.arange(len(tape.tickers)), np.zeros(len(tape.tickers), np.int64)
    at_session = {session: place for place, session in enumerate(tape.sessions)}
    at_name = {name: place for place, name in enumerate(tape.tickers)}
    wrong = next((name for name, first in starts.items() if name not in at_name or first not in at_session), None)
    if wrong is not None:
        raise BadArgument(f"the account of {wrong} starts on {starts[wrong]}", remedy="names and starts are those of the tape")
    places = sorted((at_name[name], at_session[first]) for name, first in starts.items())
    return np.array([name for name, _ in places], np.int64), np.array([first for _, first in places], np.int64)


def empty_book(tape: Tape, orders: np.ndarray[Any, Any]) -> kernel.Book:
    """A book with no account in it yet; what its journals do not need of their room takes no memory."""
    positions = np.zeros(len(tape.tickers), kernel.POSITION)
    positions["used_day"] = -1
    positions["last_day"] = tape.last_day
    return kernel.Book(
        account=np.zeros(1, kernel.ACCOUNT),
        positions=positions,
        orders=orders,
        fills=np.empty(1024 + 2 * orders.size, kernel.FILL),
        trades=np.empty(512 + orders.size, kernel.TRADE),
        refusals=np.empty(512 + orders.size, kernel.REFUSAL),
    )


def result(
    book: kernel.Book,
    closes: np.ndarray[Any, Any],
    tape: Tape,
    accounts: list[str],
    starts: NDArray[np.int64],
    orders: pl.DataFrame,
) -> Result:
    """The journals as tables.

    Parameters
    ----------
    orders : in the order of their records.
    """
    days = pl.Series("session", tape.sessions, dtype=pl.Date)
    tickers, owners = pl.Series(tape.tickers, dtype=pl.String), pl.Series(accounts, dtype=pl.String)
    n_fills, n_trades, n_refused = (int(book.account[name][0]) for name in ("n_fills", "n_trades", "n_refusals"))

    def journal(rows: np.ndarray[Any, Any], n: int) -> dict[str, np.ndarray[Any, Any]]:
        return _columns([rows[first : min(first + ROWS_AT_ONCE, n)] for first in range(0, n, ROWS_AT_ONCE)], rows.dtype)

    def table(rows: dict[str, np.ndarray[Any, Any]], day: str, reasons: tuple[str, ...]) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "account": owners.gather(rows["account"]),
                "ticker": tickers.gather(rows["name"]),
                "session": days.gather(rows[day]),
                "decided": orders["session"].gather(rows["order"]),
                "reason": pl.Series(reasons, dtype=pl.String).gather(rows["reason"]),
            }
        )

    filled, closed, refused = journal(book.fills, n_fills), journal(book.trades, n_trades), journal(book.refusals, n_refused)
    numbers = ("shares", "quoted", "price", "commission", "fees", "spread_cost", "impact_cost")
    fills = table(filled, "day", kernel.REASONS).with_columns(pl.Series(name, filled[name]) for name in numbers)
    figures = (
        *("side", "entry_shares", "exit_shares", "entry_price", "exit_price", "stop_price", "commission", "fees"),
        *("spread_cost", "impact_cost", "dividends", "borrow", "pnl", "ret"),
    )
    trades = table(closed, "exited", kernel.REASONS).rename({"reason": "exit_reason"})
    trades = trades.with_columns(
        days.gather(closed["entered"]).alias("entered"),
        *(pl.Series(name, closed[name]) for name in figures),
        pl.Series("sessions_held", closed["exited"] - closed["entered"]),
    ).with_columns(pl.col("stop_price").fill_nan(None))
    return Result(trades, fills, _equity(closes, days, owners, starts), table(refused, "day", kernel.REFUSALS), orders)


def _equity(closes: np.ndarray[Any, Any], days: pl.Series, owners: pl.Series, starts: NDArray[np.int64]) -> pl.DataFrame:
    opened = [own[start:] for own, start in zip(closes, starts, strict=True)]
    owner = np.repeat(np.arange(starts.size, dtype=np.uint32), closes.shape[1] - starts)
    session = pl.concat([days.clear(), *(days.slice(start) for start in starts)], rechunk=True)
    return pl.DataFrame({"account": owners.gather(owner), "session": session, **_columns(opened, closes.dtype)})


def _columns(parts: Sequence[np.ndarray[Any, Any]], dtype: np.dtype[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Records as columns. They are read once a field, so parts that fit the processor's cache make it several times faster."""
    n, end = sum(part.size for part in parts), 0
    columns = {name: np.empty(n, dtype[name]) for name in dtype.names or ()}
    for part in parts:
        begin, end = end, end + part.size
        for name, values in columns.items():
            values[begin:end] = part[name]
    return columns
