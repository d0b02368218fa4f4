"""Small accounts for figures: rows of `equity` and a journal of closed trades, every number under control."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from quant_assets.backtest.track import Track
from quant_assets.schemas import TABLES
from quant_assets_tests.backtest.market import DAYS

NO_TRADES = pl.DataFrame(schema=TABLES["trades"].schema)


def equity(wealth: Sequence[float], *, sessions: Sequence[dt.date] = DAYS, position: Sequence[float] | None = None) -> pl.DataFrame:
    """One account's rows, invested in full from the second on unless told otherwise."""
    n = len(wealth)
    held = position if position is not None else [0.0, *wealth[1:]]
    columns = {"session": pl.Date, **dict.fromkeys(("equity", "position"), pl.Float64), "entries": pl.Int64, "costs": pl.Float64}
    rows = {"session": sessions[:n], "equity": wealth, "position": held, "entries": [0, *[1] * (n - 1)], "costs": [0.0, *[3.0] * (n - 1)]}
    return pl.DataFrame(rows, schema=columns)


def trade(pnl: float, *, ticker: str = "AAA", entered: int = 1, held: int = 1, shares: float = 10.0, price: float = 100.0, **more) -> dict:
    """A closed trade that began at DAYS[entered] and ended `held` sessions later; its exit price is the one that gives the pnl.

    more : columns beside these, or other values of theirs.
    """
    return {
        "ticker": ticker,
        "session": DAYS[entered + held],
        "entered": DAYS[entered],
        "entry_shares": shares,
        "exit_shares": shares,
        "entry_price": price,
        "exit_price": price + pnl / shares,
        "commission": 0.0,
        "spread_cost": 0.0,
        "pnl": pnl,
        **more,
    }


def journal(*trades: dict) -> pl.DataFrame:
    return pl.DataFrame(list(trades), schema_overrides={"pnl": pl.Float64}) if trades else NO_TRADES


def published(shared: Path) -> Track:
    """The strategy of the reference's daily returns beside its benchmark, both from a wealth of 1 on the day before."""
    returns = pl.read_csv(shared / "reference/09_returns.csv", try_parse_dates=True)
    sessions = [returns["date"][0] - dt.timedelta(days=1), *returns["date"]]
    strategy, benchmark = (np.concatenate([[1.0], np.cumprod(1 + returns[name].to_numpy())]) for name in ("strategy", "benchmark"))
    beside = pl.DataFrame({"session": sessions, "wealth": benchmark})
    return Track.of(equity(strategy.tolist(), sessions=sessions), NO_TRADES, beside)
