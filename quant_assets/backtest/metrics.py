"""Figures of one account from its rows of `equity` and `trades`. Whether scores forecast anything is `validation/skill.py`'s business."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

SESSIONS_A_YEAR = 252
DAYS_A_YEAR = 365.25
OPEN_AT_THE_END = "Positions are open at the end, valued at the close without the cost of selling."


@dataclass(frozen=True)
class Performance:
    """What an account did; None where nothing that happened defines the figure.

    Parameters
    ----------
    total_return : last equity / first equity - 1, fraction; the first row is the starting wealth.
    cagr : (1 + total_return) ** (365.25 / calendar days) - 1.
    volatility_annual : standard deviation (ddof 1) of daily returns, flat days included, times sqrt(252).
    sharpe : mean / standard deviation (ddof 1) of the same returns, times sqrt(252), zero rate; None when they do not vary.
    max_drawdown : lowest equity / highest equity before it - 1, zero or negative; starting wealth counts as a peak.
    exposure : mean over closes of position / equity, fraction.
    n_trades : trades closed after the first row.
    n_entries : entries filled after the first row, those still open at the end included.
    win_rate : share of the closed trades with a profit after all costs.
    total_costs : commission and half-spread paid after the first row, USD, the entries of open positions included.
    sentence : why figures are missing or what they leave out.
    """

    n_trades: int
    n_entries: int
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
    equity : its rows of table `equity`, from any session on. Fills up to the close of the first row are not counted; an account's own
        first row comes before any fill.
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
    n_entries = rows["entries"][-1] - rows["entries"][0]
    if n_entries == 0 and (rows["position"] == 0).all():
        return Performance(n_trades=0, n_entries=0, sentence=f"No trades: nothing was bought from {first} to {last}.")
    closed = trades.filter(pl.col("session") > first)
    wealth = rows["equity"].to_numpy()
    returns = wealth[1:] / wealth[:-1] - 1
    total_return = float(wealth[-1] / wealth[0] - 1)
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else None
    return Performance(
        n_trades=closed.height,
        n_entries=n_entries,
        total_return=total_return,
        cagr=(1 + total_return) ** (DAYS_A_YEAR / (last - first).days) - 1 if last > first else None,
        volatility_annual=deviation * math.sqrt(SESSIONS_A_YEAR) if deviation is not None else None,
        sharpe=float(returns.mean()) / deviation * math.sqrt(SESSIONS_A_YEAR) if deviation else None,
        max_drawdown=float((wealth / np.maximum.accumulate(wealth) - 1).min()),
        exposure=float((rows["position"] / rows["equity"]).to_numpy().mean()),
        win_rate=float((closed["pnl"] > 0).to_numpy().mean()) if closed.height else None,
        total_costs=rows["costs"][-1] - rows["costs"][0],
        sentence=OPEN_AT_THE_END if rows["position"][-1] > 0 else None,
    )
