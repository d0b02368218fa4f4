"""The default trade, to the bar: what happens in which order within a session. Which names are bought is `rules.py`'s business.

Decide at the close of t; buy at the open of t+1; sell at the open of t+4 at the latest; stop = fill - 2 x ATR14(t).

Within a session, in this order
1. splits and dividends, at the open;
2. exits at the open: the position is due ("time"), or the bar opens at or below its stop ("gap"); due wins, so a position's last
   open precedes that bar's stop;
3. entries at the open, by descending score, then by ticker;
4. stops within the bar, entry bar included: low <= stop sells at the stop ("stop");
5. the account is valued at the close;
6. delisting: on a name's last session its position is sold at that close, or the last one before it ("delisted"), with the usual costs.

Choices made here
- t+1 and t+4 are exchange sessions. No complete bar at t+1: the order is dropped. None at t+4: the next complete bar's open.
- A signal counts as "while holding" when the name was held at the close it was decided at. So a signal at the close of t+3 is ignored
  although its entry and the exit would meet at the open of t+4; one at the close of a bar that was stopped out counts.
- An ATR so small that the stop lies above the entry bar's open (half-spread above 2 ATR): the stop is hit at once and sells at
  the open, never above what was quoted.
- A position open at the end has no journal row; the equity shows it at the close.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import polars as pl

from quant_assets.backtest.account import Account, Bar, Order
from quant_assets.backtest.costs import DEFAULT_COSTS, Costs
from quant_assets.calendars import Window, sessions
from quant_assets.schemas import TABLES

STARTING_CASH = 10_000.0
NEVER: Mapping[str, dt.date] = MappingProxyType({})
TRADES = {name: dtype for name, dtype in TABLES["trades"].schema.items() if name not in ("strategy", "account")}
EQUITY = {name: dtype for name, dtype in TABLES["equity"].schema.items() if name not in ("strategy", "account", "ticker", "rule", "scores")}


@dataclass(frozen=True)
class Terms:
    """When a position ends.

    Parameters
    ----------
    hold_sessions : sessions from entry to the latest exit, open to open; None: never sold, and the order waits for a complete bar.
    stop_atrs : distance of the stop below the fill in ATR14; None: no stop.
    """

    hold_sessions: int | None
    stop_atrs: float | None


DEFAULT_TRADE = Terms(hold_sessions=3, stop_atrs=2.0)
HELD_FOR_EVER = Terms(hold_sessions=None, stop_atrs=None)


@dataclass(frozen=True)
class Simulation:
    """`trades` and `equity` of one account: the columns of the lake's tables less those that name the account."""

    trades: pl.DataFrame
    equity: pl.DataFrame


def complete_bars() -> pl.Expr:
    """Bars that can fill an order: as traded, with open, high, low and close."""
    return (pl.col("price_basis") == "raw") & pl.all_horizontal(pl.col("open", "high", "low", "close").is_not_null())


def simulate(
    prices: pl.DataFrame,
    decisions: pl.DataFrame,
    *,
    terms: Terms,
    start: dt.date,
    as_of: dt.date,
    costs: Costs = DEFAULT_COSTS,
    cash: float = STARTING_CASH,
    delisted: Mapping[str, dt.date] = NEVER,
) -> Simulation:
    """One account over the sessions from `start` to `as_of`, both included.

    Parameters
    ----------
    prices : table `prices`; bars that are not as traded are not read, nor is any bar after `as_of`.
    decisions : as `rules.py` makes them; the account spends on each, commission included, at most equity / n_tradable, equity being that
        of the close before the fill, and never more than its cash.
    start : a session not after the first decision.
    delisted : the last session of each name that has one.
    """
    days = sessions(Window(start, as_of + dt.timedelta(days=1)))
    bars, decided = _bars(prices), _orders(decisions)
    leaving: dict[dt.date, list[str]] = {}
    for ticker, last in delisted.items():
        leaving.setdefault(last, []).append(ticker)
    account = Account(cash, costs)
    waiting: list[Order] = []
    rows: list[tuple[Any, ...]] = []
    for day, session in enumerate(days):
        waiting = step(account, waiting, bars.get(session, {}), day=day, session=session, terms=terms)
        if gone := leaving.get(session):
            _sell_delisted(account, gone, session=session)
            waiting = [order for order in waiting if order.ticker not in gone]
        rows.append(
            (session, account.equity, account.cash, account.position_value, account.entries, len(account.closed), account.costs_paid)
        )
        waiting += decided.get(session, [])
    return Simulation(pl.DataFrame(account.closed, schema=TRADES, orient="row"), pl.DataFrame(rows, schema=EQUITY, orient="row"))


def step(account: Account, orders: Sequence[Order], bars: Mapping[str, Bar], *, day: int, session: dt.date, terms: Terms) -> list[Order]:
    """One session of one account, which sees this session's bars only. Returns the orders that go on waiting."""
    equity_at_previous_close = account.equity
    held_at_previous_close = set(account.positions)
    fillable = {ticker: bar for ticker, bar in bars.items() if bar.complete}
    account.apply_actions(bars)
    _exit_at_open(account, fillable, day=day, session=session, terms=terms)
    waiting = []
    for order in sorted(orders, key=lambda order: (-order.score, order.ticker)):
        if order.ticker in held_at_previous_close:
            continue
        if (bar := fillable.get(order.ticker)) is not None:
            budget = equity_at_previous_close / order.n_tradable
            account.buy(order, bar, session=session, day=day, budget=budget, stop_atrs=terms.stop_atrs)
        elif terms.hold_sessions is None:
            waiting.append(order)
    _stop_within_bar(account, fillable, session=session)
    account.mark(bars)
    return waiting


def _exit_at_open(account: Account, bars: Mapping[str, Bar], *, day: int, session: dt.date, terms: Terms) -> None:
    for ticker, held in list(account.positions.items()):
        if (bar := bars.get(ticker)) is None:
            continue
        if terms.hold_sessions is not None and day - held.entry_day >= terms.hold_sessions:
            account.sell(held, bar.open, session=session, reason="time")
        elif held.stop is not None and bar.open <= held.stop:
            account.sell(held, bar.open, session=session, reason="gap")


def _sell_delisted(account: Account, tickers: Sequence[str], *, session: dt.date) -> None:
    for ticker in sorted(set(tickers) & set(account.positions)):
        held = account.positions[ticker]
        account.sell(held, held.last_close, session=session, reason="delisted")


def _stop_within_bar(account: Account, bars: Mapping[str, Bar], *, session: dt.date) -> None:
    for ticker, held in list(account.positions.items()):
        if held.stop is not None and ticker in bars and bars[ticker].low <= held.stop:
            account.sell(held, min(held.stop, bars[ticker].open), session=session, reason="stop")


def _bars(prices: pl.DataFrame) -> dict[dt.date, dict[str, Bar]]:
    wanted = prices.filter(pl.col("price_basis") == "raw").select(
        "session",
        "ticker",
        pl.col("open", "low").fill_null(float("nan")),
        "close",
        "split_factor",
        "dividend",
        complete=complete_bars(),
    )
    found: dict[dt.date, dict[str, Bar]] = {}
    for session, ticker, *bar in wanted.iter_rows():
        found.setdefault(session, {})[ticker] = Bar(*bar)
    return found


def _orders(decisions: pl.DataFrame) -> dict[dt.date, list[Order]]:
    found: dict[dt.date, list[Order]] = {}
    for row in decisions.select("ticker", decided="session", score="score", atr="atr_14", n_tradable="n_tradable").iter_rows(named=True):
        found.setdefault(row["decided"], []).append(Order(**row))
    return found
