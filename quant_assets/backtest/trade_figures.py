"""Figures of closed trades. Costs by kind and tables by ticker, side and holding period live in `breakdowns.py`.

pnl : (n,) USD a trade after all costs, in the order of exits. What no trade defines is None.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
COSTS = {"commission": "commission", "fees": "fees", "spread": "spread_cost", "impact": "impact_cost", "borrow": "borrow"}
"""What a trade costs, by the journal's columns (USD). Spread and impact lie inside the fill prices."""


def win_rate(pnl: Floats) -> float | None:
    """Share of trades with a profit; one that ends at zero is no win."""
    return float((pnl > 0).mean()) if pnl.size else None


def profit_factor(pnl: Floats) -> float | None:
    """Sum of profits / sum of losses; None without a loss."""
    losses = -float(pnl[pnl < 0].sum())
    return float(pnl[pnl > 0].sum()) / losses if losses else None


def expectancy_usd(pnl: Floats) -> float | None:
    """Mean of all trades."""
    return float(pnl.mean()) if pnl.size else None


def average_win_usd(pnl: Floats) -> float | None:
    wins = pnl[pnl > 0]
    return float(wins.mean()) if wins.size else None


def average_loss_usd(pnl: Floats) -> float | None:
    """Negative."""
    losses = pnl[pnl < 0]
    return float(losses.mean()) if losses.size else None


def payoff(pnl: Floats) -> float | None:
    """Average win / average loss; None without either."""
    win, loss = average_win_usd(pnl), average_loss_usd(pnl)
    return -win / loss if win is not None and loss is not None else None


def longest_losing_streak(pnl: Floats) -> int | None:
    """Most losing trades in a row."""
    if not pnl.size:
        return None
    edges = np.flatnonzero(np.diff((pnl < 0).astype(np.int8), prepend=0, append=0))
    return int(np.diff(edges)[::2].max(initial=0))


def traded_notional(trades: pl.DataFrame) -> float:
    """USD bought plus USD sold, at the fill prices."""
    return float((trades["entry_shares"] * trades["entry_price"] + trades["exit_shares"] * trades["exit_price"]).sum())


def costs_usd(trades: pl.DataFrame) -> float:
    """All costs of the closed trades."""
    return sum(float(trades[column].sum()) for column in COSTS.values())
