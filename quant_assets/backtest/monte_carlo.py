"""How much of a record is luck: its days drawn anew, its trades in another order.

What becomes of a strategy at other prices and costs is asked in `stress.py`, which runs it again; what it means that it was chosen among
many, in `walk_forward.py`, `combinatorial.py` and `validation/overfitting.py`; whether it is better than another, in `compare.py`.

A path that is drawn has sessions but no dates, so 252 sessions are a year here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.backtest.ratios import SESSIONS_A_YEAR, sharpe_ratio
from quant_assets.errors import BadArgument

N_PATHS = 10_000
BLOCK_SESSIONS = 21
BANDS = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
VALUES_AT_ONCE = 250_000
"""Of the paths that are in memory at the same time."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """The 5, 50 and 95 percentile of a figure over the paths."""

    p05: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: Floats) -> Distribution:
        return cls(*(float(value) for value in np.quantile(values, [0.05, 0.5, 0.95])))


@dataclass(frozen=True)
class BootstrapFigures:
    """What the same kind of days might have led to.

    Parameters
    ----------
    cagr : final wealth ** (252 / sessions) - 1, fraction a year.
    sharpe : annualised; None when there are paths whose returns do not vary.
    max_drawdown : zero or negative fraction; starting wealth counts as a peak.
    share_losing : share of the paths that end below their starting wealth.
    """

    cagr: Distribution
    sharpe: Distribution | None
    max_drawdown: Distribution
    share_losing: float


def fan(returns: Floats, *, n_paths: int = N_PATHS, block: int = BLOCK_SESSIONS, seed: int, steps: int | None = None) -> pl.DataFrame:
    """Bands of wealth, as a multiple of what was there at step 0, over paths of returns drawn in circular blocks.

    A block of all paths is held at a time. The draws are those of `validation.bootstrap.circular_blocks` of this seed, and those of
    `bootstrap_figures`.

    Parameters
    ----------
    returns : (n,) simple daily returns, fraction, flat days included.
    steps : length of a path in sessions; None: as long as the record.

    Returns
    -------
    step (0 .. steps), p05, p25, p50, p75, p95.

    Raises
    ------
    BadArgument : a return that is missing or not above -1, fewer than two blocks of returns, or no path or step.
    """
    growth = 1 + _circular(returns, block)
    length = len(returns) if steps is None else steps
    wealth = np.ones(n_paths)
    bands = [np.ones((1, len(BANDS)))]
    for number, starts in enumerate(_starts(len(returns), length, n_paths, block, seed).T):
        within = np.arange(min(block, length - number * block))
        paths = wealth * np.cumprod(growth[starts + within[:, None]], axis=0)
        wealth = paths[-1]
        bands.append(np.quantile(paths, list(BANDS.values()), axis=1).T)
    return pl.DataFrame(np.concatenate(bands), schema=list(BANDS)).with_row_index("step")


def bootstrap_figures(
    returns: Floats, *, n_paths: int = N_PATHS, block: int = BLOCK_SESSIONS, seed: int, steps: int | None = None
) -> BootstrapFigures:
    """Figures over the paths of `fan`, with the same parameters and errors."""
    length = len(returns) if steps is None else steps
    circular = _circular(returns, block)
    final, sharpe, drawdown = [], [], []
    for starts in _portions(_starts(len(returns), length, n_paths, block, seed), length):
        drawn = circular[starts[:, :, None] + np.arange(block)].reshape(len(starts), -1)[:, :length]
        wealth = _wealth(drawn)
        final.append(wealth[:, -1].copy())  # a view would keep all paths alive
        sharpe.append(sharpe_ratio(drawn))
        drawdown.append(_max_drawdowns(wealth))
    ended, ratios = np.concatenate(final), np.concatenate(sharpe)
    return BootstrapFigures(
        cagr=Distribution.of(ended ** (SESSIONS_A_YEAR / length) - 1),
        sharpe=Distribution.of(ratios) if np.isfinite(ratios).all() else None,
        max_drawdown=Distribution.of(np.concatenate(drawdown)),
        share_losing=float((ended < 1).mean()),
    )


def shuffled_wealth(trade_returns: Floats, *, n_paths: int = N_PATHS, seed: int) -> Iterator[Floats]:
    """Wealth after each trade, for so many orders of the trades: (paths, 1 + n_trades) at a time, each beginning with 1.

    Parameters
    ----------
    trade_returns : (n_trades,) what each trade added to the account's wealth, fraction. For an account that puts all it has into each
        trade that is the journal's `ret`. Trades compound one after another, also those that were held at the same time.

    Raises
    ------
    BadArgument : no trade, or a return that is missing or not above -1.
    """
    trades = _returns(trade_returns)
    draw = np.random.default_rng(seed)
    for part in _portions(np.broadcast_to(trades, (n_paths, trades.size)), trades.size):
        yield _wealth(draw.permuted(part, axis=1))


def shuffled_trades(trade_returns: Floats, *, n_paths: int = N_PATHS, seed: int) -> Distribution:
    """Deepest drawdown, from trade to trade, had the same trades come in another order; what they lead to in the end is the same.

    Parameters and errors are those of `shuffled_wealth`.
    """
    return Distribution.of(
        np.concatenate([_max_drawdowns(wealth) for wealth in shuffled_wealth(trade_returns, n_paths=n_paths, seed=seed)])
    )


def require_blocks(n: int, block: int) -> None:
    """Raises BadArgument where `n` returns are fewer than two blocks: all that could be drawn would be the record itself, turned."""
    if block < 1 or n < 2 * block:
        raise BadArgument(
            f"{n} returns cannot be drawn in blocks of {block} (limit: two blocks of at least 1)",
            remedy="pass a longer record or a shorter block",
        )


def _returns(values: Floats) -> Floats:
    """Raises BadArgument where a path of these would have no wealth to go on with."""
    found = np.asarray(values, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(found) & (found > -1)))
    if wrong.size:
        raise BadArgument(
            f"return {found[wrong[0]]} at place {wrong[0]} is not a number above -1 (limit)",
            remedy="nothing compounds after it; leave the record out",
        )
    if not found.size:
        raise BadArgument("there are 0 returns (limit: at least 1)", remedy="pass a record that traded")
    return found


def _circular(returns: Floats, block: int) -> Floats:
    """The returns, and the first of them once more, so that a block may begin at each."""
    require_blocks(len(returns), block)
    found = _returns(returns)
    return np.concatenate([found, found[: block - 1]])


def _starts(n: int, steps: int, n_paths: int, block: int, seed: int) -> npt.NDArray[np.int64]:
    """(n_paths, blocks) where each block of each path begins."""
    if n_paths < 1 or steps < 1:
        raise BadArgument(f"{n_paths} paths of {steps} steps are none (limit: 1 of 1)", remedy="ask for more")
    return np.random.default_rng(seed).integers(n, size=(n_paths, -(-steps // block)))


def _portions(paths: npt.NDArray[Any], steps: int) -> list[npt.NDArray[Any]]:
    return np.array_split(paths, -(-len(paths) * steps // VALUES_AT_ONCE))


def _wealth(returns: Floats) -> Floats:
    """(paths, n) returns to (paths, 1 + n) multiples of the starting wealth."""
    return np.cumprod(np.concatenate([np.ones((len(returns), 1)), 1 + returns], axis=1), axis=1)


def _max_drawdowns(wealth: Floats) -> Floats:
    """(paths,) as `drawdowns.max_drawdown`, of (paths, n)."""
    return np.asarray((wealth / np.maximum.accumulate(wealth, axis=1)).min(axis=1) - 1)
