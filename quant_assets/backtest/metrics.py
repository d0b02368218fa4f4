"""Figures of one account from its rows of `equity` and `trades`. Whether scores forecast anything is `validation/skill.py`'s business."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

SESSIONS_A_YEAR = 252
DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Performance:
    """What an account did; None where nothing that happened defines the figure.

    Parameters
    ----------
    total_return : last equity / first equity - 1, fraction; the first row is the starting wealth, before any order.
    cagr : (1 + total_return) ** (365.25 / calendar days) - 1.
    volatility_annual : standard deviation (ddof 1) of daily returns, flat days included, times sqrt(252).
    sharpe : mean / standard deviation (ddof 1) of the same returns, times sqrt(252), zero rate; None when they do not vary.
    max_drawdown : lowest equity / highest equity before it - 1, zero or negative; starting wealth counts as a peak.
    exposure : mean over closes of position / equity, fraction.
    n_trades : closed trades.
    n_entries : closed trades and the open one; None when a PORTFOLIO ends with open positions, which its rows do not count.
    win_rate : share of closed trades with a profit after all costs.
    total_costs : commission and spread of closed trades, USD.
    sentence : why figures are missing or what they leave out.
    """

    n_trades: int
    n_entries: int | None
    total_return: float | None = None
    cagr: float | None = None
    volatility_annual: float | None = None
    sharpe: float | None = None
    max_drawdown: float | None = None
    exposure: float | None = None
    win_rate: float | None = None
    total_costs: float | None = None
    sentence: str | None = None


def performance(equity: pl.DataFrame, trades: pl.DataFrame) -> Performance:
    """Figures of one account.

    Parameters
    ----------
    equity : its rows of table `equity`, from its first session on.
    trades : its rows of table `trades`, perhaps none.

    Raises
    ------
    ValueError : no equity row, or rows of more than one account.
    """
    owners = equity.select("strategy", "account", "ticker").unique()
    if owners.height != 1:
        raise ValueError(f"equity holds {owners.height} accounts where exactly one is measured: filter by strategy, account and ticker")
    rows = equity.sort("session")
    first, last = rows["session"][0], rows["session"][-1]
    is_open = rows["position"][-1] > 0
    if trades.is_empty() and not is_open:
        return Performance(n_trades=0, n_entries=0, sentence=f"No trades: nothing was bought from {first} to {last}.")
    wealth = rows["equity"].to_numpy()
    returns = wealth[1:] / wealth[:-1] - 1
    total_return = float(wealth[-1] / wealth[0] - 1)
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else None
    return Performance(
        n_trades=trades.height,
        n_entries=None if is_open and owners["account"][0] == "portfolio" else trades.height + int(is_open),
        total_return=total_return,
        cagr=(1 + total_return) ** (DAYS_A_YEAR / (last - first).days) - 1 if last > first else None,
        volatility_annual=deviation * math.sqrt(SESSIONS_A_YEAR) if deviation is not None else None,
        sharpe=float(returns.mean()) / deviation * math.sqrt(SESSIONS_A_YEAR) if deviation else None,
        max_drawdown=float((wealth / np.maximum.accumulate(wealth) - 1).min()),
        exposure=float((rows["position"] / rows["equity"]).to_numpy().mean()),
        win_rate=float((trades["pnl"] > 0).to_numpy().mean()) if trades.height else None,
        total_costs=float(trades.select(pl.col("commission", "spread_cost").sum()).sum_horizontal()[0]) if trades.height else None,
        sentence=_open_sentence(trades.height) if is_open else None,
    )


def _open_sentence(n_trades: int) -> str:
    closed = "no trade is closed yet" if n_trades == 0 else "the trade figures cover closed trades only"
    return f"Positions are open at the end, valued at the close without the cost of selling; {closed}."
