"""Bars as the compiled account reads them: one row a name, one column a session. What is bought on them is `orders.py`'s business."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quant_assets.backtest import kernel
from quant_assets.backtest.costs import Costs
from quant_assets.errors import BadArgument, SchemaMismatch, require_columns

Floats = NDArray[np.float64]
PRICES = ("open", "high", "low", "close")
ADV_SESSIONS = 20
NEVER: Mapping[str, dt.date] = MappingProxyType({})
REST = {"volume": np.nan, "split_factor": 1.0, "dividend": 0.0}
"""What a table without the column stands for."""


@dataclass(frozen=True)
class Tape:
    """Raw bars of several names over the same sessions.

    Parameters
    ----------
    tickers : (n_names,) sorted. sessions : (n_sessions,) in order.
    bars : (n_names, n_sessions) records of `kernel.BAR`: open, high, low, close (USD), volume (shares; NaN: not told), split_factor,
        dividend (USD a share after the split); NaN where a name has no bar. `fillable` is 1 where all four prices are there and the volume
        is not zero.
    last_day : (n_names,) the place of the session at whose close a name is delisted; -1 where none of these is.
    """

    tickers: tuple[str, ...]
    sessions: tuple[dt.date, ...]
    bars: np.ndarray[Any, Any]
    last_day: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        prices: pl.DataFrame,
        *,
        sessions: Sequence[dt.date] | None = None,
        delisted: Mapping[str, dt.date] = NEVER,
    ) -> Tape:
        """The bars of a table.

        Parameters
        ----------
        prices : ticker, session, open, high, low, close in order of sessions within each ticker; volume, split_factor, dividend where they
            are known. A bar without open, high or low values a position and fills nothing.
        sessions : those of the account; bars on other days are not read. All days on which any name has a bar when None.
        delisted : the last session of each name that has one.

        Raises
        ------
        BadArgument : no polars frame, no session, sessions that are no dates or not in order, or that leave out a split or dividend.
        SchemaMismatch : a price that is not positive and finite, a bar that occurs twice or stands after a later one, named by ticker and
            session.
        """
        if not isinstance(prices, pl.DataFrame):
            raise BadArgument(
                f"the bars are a {type(prices).__name__}", remedy="give a polars DataFrame, as of pl.from_pandas or .collect()"
            )
        require_columns(prices.columns, "ticker", "session", *PRICES)
        if prices.schema["session"] != pl.Date or prices.select("ticker", "session").null_count().sum_horizontal().item():
            raise BadArgument(
                f"sessions are {prices.schema['session']}, or a ticker or session is null", remedy="give each bar its ticker and a Date"
            )
        days = tuple(sessions) if sessions is not None else tuple(prices["session"].unique().sort())
        if not days:
            raise BadArgument("there is no session to trade in", remedy="give bars, or sessions that lie within them")
        if late := next((day for before, day in pairwise(days) if day <= before), None):
            raise BadArgument(f"the session {late} stands after a later one, or twice", remedy="give the sessions in order")
        rows = prices.select("ticker", "session", *PRICES, *(name for name in REST if name in prices.columns))
        _check(rows)
        tickers = tuple(rows["ticker"].unique().sort())
        at_name = rows["ticker"].cast(pl.Enum(list(tickers))).to_physical().to_numpy().astype(np.int64)
        days_of_rows = rows["session"].to_numpy().astype("M8[D]")
        calendar = np.array(days, dtype="M8[D]")
        at_day = np.minimum(np.searchsorted(calendar, days_of_rows), len(days) - 1)
        inside = calendar[at_day] == days_of_rows
        _refuse_lost_actions(rows.filter(~inside).filter(pl.col("session").is_between(days[0], days[-1])))
        place = (at_name * len(days) + at_day)[inside]
        bars = np.empty(len(tickers) * len(days), kernel.BAR)
        for name in (*PRICES, *REST):
            bars[name] = REST.get(name, np.nan)
            if name in rows.columns:
                bars[name][place] = rows[name].cast(pl.Float64).fill_null(REST.get(name, np.nan)).to_numpy()[inside]
        bars["fillable"] = ~np.isnan(bars["open"] + bars["high"] + bars["low"] + bars["close"]) & (bars["volume"] != 0.0)
        last = np.full(len(tickers), -1, np.int64)
        for row, name in enumerate(tickers):
            if delisted.get(name, dt.date.max) <= days[-1]:
                last[row] = np.searchsorted(calendar, np.datetime64(delisted[name]), "right") - 1
        grid = bars.reshape(len(tickers), len(days))
        grid["fillable"][[name in delisted and delisted[name] < days[0] for name in tickers]] = 0.0
        return cls(tickers, days, grid, last)

    def place_of(self, ticker: str) -> int:
        """Which row a name is; -1 where it has none."""
        place = bisect.bisect_left(self.tickers, ticker)
        return place if place < len(self.tickers) and self.tickers[place] == ticker else -1

    def days(self, costs: Costs, vix: Floats | None) -> np.ndarray[Any, Any]:
        """(n_sessions,) records of `kernel.DAY`: what is charged on a day, whatever the name."""
        rows = np.zeros(len(self.sessions), kernel.DAY)
        rows["days"][1:] = np.diff(np.array(self.sessions, dtype="M8[D]").astype(np.int64))
        rows["sec_rate"], _ = costs.sec_fee.over(self.sessions)
        rows["taf_rate"], rows["taf_cap"] = costs.taf.over(self.sessions)
        rows["vix"] = 0.0 if vix is None else vix
        return rows

    def average_volume(self) -> Floats:
        """(n_names, n_sessions) shares a day over the last 20 sessions, those without trading left out, as known at the close before.

        After 20 sessions without trading it is the last one there was: whoever is locked in leaves at that.
        """
        traded = pl.DataFrame(np.where(self.bars["volume"] > 0, self.bars["volume"], np.nan).T).fill_nan(None)
        return _known_before(traded.select(pl.all().rolling_mean(ADV_SESSIONS, min_samples=1)))

    def volatility(self) -> Floats:
        """(n_names, n_sessions) standard deviation (ddof 1) of the last 20 daily total returns, as known at the close before."""
        worth = (self.bars["close"] + self.bars["dividend"]) * self.bars["split_factor"]
        change = np.full_like(worth, np.nan)
        change[:, 1:] = worth[:, 1:] / self.bars["close"][:, :-1] - 1
        return _known_before(pl.DataFrame(change.T).fill_nan(None).select(pl.all().rolling_std(ADV_SESSIONS, min_samples=2)))


def _known_before(at_close: pl.DataFrame) -> Floats:
    """(n_names, n_sessions) from columns of names: each value from one session later until the next."""
    return np.ascontiguousarray(at_close.select(pl.all().forward_fill().shift(1).cast(pl.Float64).fill_null(np.nan)).to_numpy().T)


def _refuse_lost_actions(left_out: pl.DataFrame) -> None:
    """Raises BadArgument for a split or dividend on a day that is none of the account's sessions: no position would see it."""
    acted = [pl.col(name) != nothing for name, nothing in (("split_factor", 1.0), ("dividend", 0.0)) if name in left_out.columns]
    lost = left_out.filter(pl.any_horizontal(acted)) if acted else left_out.clear()
    if lost.height:
        ticker, session = lost.select("ticker", "session").row(0)
        raise BadArgument(
            f"{ticker} has a split or dividend on {session}, which is none of the sessions", remedy="give all sessions, and decide on some"
        )


def _check(rows: pl.DataFrame) -> None:
    """Raises SchemaMismatch for the first row that is no bar, or stands where it cannot."""
    there = [name for name in (*PRICES, *REST) if name in rows.columns]
    numbers = rows.with_columns(pl.col(there).cast(pl.Float64))
    wrong = {
        "is not positive and finite": pl.any_horizontal(~(pl.col(name).is_finite() & (pl.col(name) > 0)) for name in PRICES),
        "has no close": pl.col("close").is_null(),
        "has a high below its low": pl.col("high") < pl.col("low"),
        "stands after a later one, or twice": pl.col("session").diff().over("ticker") <= pl.duration(days=0),
    }
    if "volume" in there:
        wrong["has a volume below zero"] = pl.col("volume").is_nan() | (pl.col("volume") < 0)
    if "split_factor" in there:
        wrong["has a split factor that is not positive"] = ~(pl.col("split_factor").is_finite() & (pl.col("split_factor") > 0))
    if "dividend" in there:
        wrong["has a dividend that is not finite"] = ~pl.col("dividend").is_finite()
    found = numbers.select(**{what: broken.fill_null(False).arg_true().first() for what, broken in wrong.items()}).row(0, named=True)
    for what, place in found.items():
        if place is not None:
            row = rows.row(place, named=True)
            told = ", ".join(f"{name} {row[name]}" for name in there)
            raise SchemaMismatch(
                f"the bar of {row['ticker']} {row['session']} ({told}) {what}",
                remedy="mend or leave out that bar; rows are in order of sessions, one a ticker and session",
            )
