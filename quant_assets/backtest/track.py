"""The record that figures are computed from: wealth at every close, closed trades, a benchmark at the same closes.

It computes no figure: `catalog.py` lists them. How the rows came about is the engine's business.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.calendars import exchange
from quant_assets.errors import BadArgument, require_columns
from quant_assets.validation.sharpe import Trials

Floats = npt.NDArray[np.float64]
DAYS_A_YEAR = 365.25
LONG = {"side": pl.lit(1, dtype=pl.Int64)} | {name: pl.lit(0.0) for name in ("fees", "impact_cost", "borrow")}
"""What a journal that does not say so means: it bought first, and paid none of these."""


@dataclass(frozen=True, eq=False)
class Track:
    """One account from the close of its first session to the close of its last.

    Parameters
    ----------
    sessions : n, ascending. The account is ruined at the first close that leaves it no wealth: that is its last session.
    wealth : (n,) USD at each close, the first being the starting wealth; above zero, the last excepted.
    exposure : (n,) market value of positions, shorts counted negative, / wealth; NaN at a close without wealth.
    costs : (n,) USD, cumulative.
    entries : (n,) entries filled so far, those of open positions included.
    trades : closed after the first session, by exit; table `trades` with `side` (+1 long, -1 short), `fees`, `impact_cost`, `borrow`
        (USD) and `sessions_held` (sessions from entry to exit: 0 within one, 3 from the open of t+1 to the open of t+4).
    benchmark : (n,) wealth of holding it, at the same closes; None: there is none.
    trials : what was tried before this account was chosen; None: not said.
    """

    sessions: list[dt.date]
    wealth: Floats
    exposure: Floats
    costs: Floats
    entries: npt.NDArray[np.int64]
    trades: pl.DataFrame
    benchmark: Floats | None = None
    trials: Trials | None = None

    @classmethod
    def of(cls, equity: pl.DataFrame, trades: pl.DataFrame, benchmark: pl.DataFrame | None = None) -> Track:
        """The record in one account's rows of `equity` and `trades`, of the lake or of the engine.

        Parameters
        ----------
        equity : session, equity, position, entries, costs; from any session on. What happened up to the close of the first is not counted.
        trades : perhaps none. Without the columns that only the engine writes, they are long and paid none of those costs.
        benchmark : session, wealth (any unit); sessions that the account lacks are not read.

        Raises
        ------
        BadArgument : a column is missing; no row, or two of a session; an equity that is no number or starts at zero or below; a benchmark
            that lacks sessions of the account or is not above zero.
        """
        columns = ("session", "equity", "position", "entries", "costs")
        require_columns(equity.columns, *columns)
        rows = equity.select(columns).sort("session")
        wealth = rows["equity"].to_numpy()
        _check(rows["session"], wealth)
        ruin = np.flatnonzero(wealth <= 0)
        if ruin.size:
            rows, wealth = rows.head(ruin[0] + 1), wealth[: ruin[0] + 1]
        days: list[dt.date] = rows["session"].to_list()
        closed = trades.filter(pl.col("session").is_between(days[0], days[-1], closed="right"))
        return cls(
            sessions=days,
            wealth=wealth,
            exposure=np.divide(rows["position"].to_numpy(), wealth, out=np.full(len(days), np.nan), where=wealth > 0),
            costs=rows["costs"].to_numpy(),
            entries=rows["entries"].to_numpy(),
            trades=_complete(closed.sort("session", "ticker", maintain_order=True)),
            benchmark=None if benchmark is None else _beside(days, benchmark),
        )

    @cached_property
    def returns(self) -> Floats:
        """(n-1,) simple returns from close to close, flat days included."""
        return self.wealth[1:] / self.wealth[:-1] - 1

    @cached_property
    def benchmark_returns(self) -> Floats | None:
        """(n-1,) simple returns over the same spans."""
        return None if self.benchmark is None else self.benchmark[1:] / self.benchmark[:-1] - 1

    @property
    def years(self) -> float:
        """Calendar days between the first and the last session / 365.25."""
        return (self.sessions[-1] - self.sessions[0]).days / DAYS_A_YEAR

    @property
    def ruined(self) -> bool:
        return bool(self.wealth[-1] <= 0)


def _check(days: pl.Series, wealth: Floats) -> None:
    if days.is_empty():
        raise BadArgument("equity has no row where an account has at least one", remedy="pass the rows of one account")
    repeated = days.filter(days.is_duplicated())
    if len(repeated):
        n, session = (days == repeated[0]).sum(), repeated[0]
        raise BadArgument(f"equity has {n} rows of {session} where one account has one", remedy="filter by strategy, account and ticker")
    unknown = np.flatnonzero(~np.isfinite(wealth))
    if unknown.size:
        what = f"equity of {days[int(unknown[0])]} is {wealth[unknown[0]]} (limit: a finite number)"
        raise BadArgument(what, remedy="value the account at every close")
    if wealth[0] <= 0:
        raise BadArgument(f"equity starts at {wealth[0]:.2f} USD on {days[0]} (limit: above 0)", remedy="start with cash")


def _complete(trades: pl.DataFrame) -> pl.DataFrame:
    """The journal with every column of the engine's: the one place that knows the lake's has fewer."""
    lacking = {name: default for name, default in LONG.items() if name not in trades.columns}
    if "sessions_held" not in trades.columns:
        lacking["sessions_held"] = pl.lit(_sessions_held(trades))
    return trades.with_columns(**lacking)


def _sessions_held(trades: pl.DataFrame) -> pl.Series:
    calendar = exchange().sessions.to_numpy()
    exits, entries = (np.searchsorted(calendar, trades[name].to_numpy()) for name in ("session", "entered"))
    return pl.Series(exits - entries, dtype=pl.Int64)


def _beside(days: list[dt.date], benchmark: pl.DataFrame) -> Floats:
    require_columns(benchmark.columns, "session", "wealth")
    known = benchmark.select("session", pl.col("wealth").cast(pl.Float64)).drop_nulls().unique("session", keep="none")
    found = pl.DataFrame({"session": days}, schema={"session": pl.Date}).join(known, on="session", how="left", maintain_order="left")
    missing = found.filter(pl.col("wealth").is_null())["session"]
    if len(missing):
        what = f"the benchmark lacks one value for {len(missing)} of {len(days)} sessions of the account, the first {missing[0]}"
        raise BadArgument(what, remedy="give its wealth at each of them, once, or measure without it")
    wrong = found.filter(~(pl.col("wealth") > 0) | ~pl.col("wealth").is_finite())
    if wrong.height:
        what = f"the benchmark is {wrong['wealth'][0]} on {wrong['session'][0]} (limit: above 0)"
        raise BadArgument(what, remedy="give the wealth of holding it")
    return found["wealth"].to_numpy()
