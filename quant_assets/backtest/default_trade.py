"""The default trade, to the bar, as orders of the engine. Which names are bought is `rules.py`'s business.

Decide at the close of t; buy at the open of t+1; sell at the open of t+4 at the latest; stop = fill - 2 x ATR14(t).

Within a session, in this order
1. splits and dividends, at the open;
2. exits at the open: the position is due ("time"), or the bar opens at or below its stop ("gap"); due wins, so a position's last
   open precedes that bar's stop;
3. entries at the open, by descending score, then by ticker;
4. stops within the bar, entry bar included: low <= stop sells at the stop ("stop");
5. the account is valued at the close, a name without a bar at its last one;
6. delisting: on a name's last session its position is sold at that close, or the last one before it ("delisted"), with the usual costs.

Choices made here
- t+1 and t+4 are exchange sessions. No complete bar at t+1, or one without volume: the order is dropped. None at t+4: the next such
  bar's open.
- A signal counts as "while holding" when the name was held at the close it was decided at. So a signal at the close of t+3 is ignored
  although its entry and the exit would meet at the open of t+4; one at the close of a bar that was stopped out counts.
- An ATR so small that the stop lies above the entry bar's open (half-spread above 2 ATR): the stop is hit at once and sells at
  the open, never above what was quoted.
- A position open at the end has no journal row; the equity shows it at the close.
- Held shares follow a split, their stop too; a fraction stays and is sold with the rest. Dividends are cash on the ex-date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from quant_assets.backtest import engine
from quant_assets.backtest.accounts import STARTING_CASH
from quant_assets.backtest.costs import DEFAULT_COSTS, Costs
from quant_assets.backtest.tape import NEVER, Tape
from quant_assets.calendars import Window, sessions
from quant_assets.schemas import TABLES

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
    """`trades` and `equity`: the columns of the lake's tables less those that name the account."""

    trades: pl.DataFrame
    equity: pl.DataFrame


def orders_of(decisions: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Decisions as orders of the engine.

    Parameters
    ----------
    decisions : as `rules.py` makes them: session, ticker, score, atr_14 (raw USD of that session), n_tradable.
    """
    return decisions.select(
        "session",
        "ticker",
        equity=1 / pl.col("n_tradable"),
        stop_loss=terms.stop_atrs * pl.col("atr_14") if terms.stop_atrs is not None else pl.lit(None, dtype=pl.Float64),
        exit_after=pl.lit(terms.hold_sessions, dtype=pl.Int64),
        lasts=pl.lit(0 if terms.hold_sessions is None else 1, dtype=pl.Int64),
        only_flat=pl.lit(True),
        priority="score",
    )


def tape_of(prices: pl.DataFrame, *, start: dt.date, as_of: dt.date, delisted: Mapping[str, dt.date] = NEVER) -> Tape:
    """The bars as traded of table `prices`, on the exchange's sessions from `start` to `as_of`, both included."""
    days = sessions(Window(start, as_of + dt.timedelta(days=1)))
    rows = prices.filter((pl.col("price_basis") == "raw") & pl.col("session").is_between(start, as_of)).sort("ticker", "session")
    return Tape.of(rows, sessions=days, delisted=delisted)


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
    tape = tape_of(prices, start=start, as_of=as_of, delisted=delisted)
    done = simulate_on(tape, decisions, terms=terms, costs=costs, cash=cash)
    return Simulation(done.trades.drop("account"), done.equity.drop("account"))


def simulate_on(
    tape: Tape,
    decisions: pl.DataFrame,
    *,
    terms: Terms,
    costs: Costs = DEFAULT_COSTS,
    cash: float = STARTING_CASH,
    starts: Mapping[str, dt.date] | None = None,
) -> Simulation:
    """One account over all names of a tape; with `starts`, one for each of these names from that session on.

    `account` in front of the other columns says whose the rows are: the name, or PORTFOLIO.
    """
    done = engine.run(tape, orders_of(decisions, terms), by_name=starts is not None, starts=starts, cash=cash, costs=costs)
    owned: dict[str, DataType | DataTypeClass] = {"account": pl.String}
    return Simulation(_as(done.trades, {**owned, **TRADES}), _as(done.equity, {**owned, **EQUITY}))


def _as(rows: pl.DataFrame, schema: Mapping[str, DataType | DataTypeClass]) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
