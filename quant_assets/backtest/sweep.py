"""Thousands of settings of one rule over the same bars: what each would have earned, and its returns day by day.

The best of many is chosen, not found: what its record is worth is said by `combinatorial.py`, `walk_forward.py` and
`validation/overfitting.py`, which read these returns.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from threading import local
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quant_assets.backtest import kernel
from quant_assets.backtest.accounts import STARTING_CASH
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.engine import CASH_ACCOUNT, Limits, empty_book, market, require_cash
from quant_assets.backtest.orders import of_frame
from quant_assets.backtest.ratios import sharpe_ratio
from quant_assets.backtest.surroundings import NOTHING_SPECIAL, Surroundings
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument

SCALED = {"stop": "stop_distance", "target": "target_distance", "trail": "trail_distance"}


@dataclass(frozen=True)
class Setting:
    """One setting of a rule; what is None stays as the orders have it.

    Parameters
    ----------
    threshold : only orders whose priority (a score) lies above it.
    stop, target, trail : the orders' stop_loss, take_profit and trailing_stop, times this.
    hold : sessions from the fill to the open at which a position is left.
    """

    threshold: float | None = None
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    hold: int | None = None

    def __post_init__(self) -> None:
        wrong = [name for name in SCALED if (factor := getattr(self, name)) is not None and not 0 <= factor < float("inf")]
        wrong += ["hold"] if self.hold is not None and (self.hold < 1 or self.hold != int(self.hold)) else []
        wrong += ["threshold"] if self.threshold is not None and self.threshold != self.threshold else []
        if wrong:
            raise BadArgument(
                f"{wrong[0]} is {getattr(self, wrong[0])} in a setting",
                remedy="a threshold is a number, multiples are not below 0, hold is a whole number from 1",
            )

    def of(self, orders: np.ndarray[Any, Any], priority: NDArray[np.float64]) -> np.ndarray[Any, Any]:
        """The orders that this setting would have given."""
        given = orders.copy() if self.threshold is None else orders[priority > self.threshold]
        for name, field in SCALED.items():
            if (factor := getattr(self, name)) is not None:
                given[field] *= factor
        if self.hold is not None:
            given["exit_after"] = self.hold
        return given


def grid(**values: Sequence[float | None]) -> list[Setting]:
    """Every combination, as `grid(threshold=[0.6, 0.65], stop=[1, 2, 3], hold=[3, 5])`, the last varying fastest."""
    return [Setting(**dict(zip(values, chosen, strict=True))) for chosen in product(*values.values())]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sweep:
    """What each setting would have earned.

    Parameters
    ----------
    figures : one row a setting, in the order they were given: its fields, total_return, sharpe (null where returns do not vary),
        max_drawdown, n_trades, costs (USD).
    returns : (n_settings, n_sessions - 1) daily returns of the account, or of all accounts together.
    """

    figures: pl.DataFrame
    returns: NDArray[np.float64]


def sweep(
    tape: Tape,
    orders: pl.DataFrame,
    settings: Sequence[Setting],
    *,
    by_name: bool = False,
    cash: float = STARTING_CASH,
    costs: Costs = US_STOCKS,
    limits: Limits = CASH_ACCOUNT,
    surroundings: Surroundings = NOTHING_SPECIAL,
) -> Sweep:
    """Runs all settings, on as many threads as there are cores.

    Parameters
    ----------
    orders : those of the widest setting, see `engine.run`; `priority` is what thresholds are compared with, distances are in units of which
        a setting takes multiples.
    by_name : each name has an account of its own, and the returns are those of all of them together.

    Raises
    ------
    BadArgument : no setting, one that is of what no order has, or orders that cannot be.
    """
    if not settings:
        raise BadArgument("there is no setting to try", remedy="give at least one, see grid")
    require_cash(cash)
    told, rows = of_frame(orders, tape, by_name=by_name)
    given = {name: not np.isnan(told[field]).all() for name, field in SCALED.items()} | {"threshold": "priority" in orders.columns}
    for name, there in given.items():
        if not there and any(getattr(setting, name) is not None for setting in settings):
            raise BadArgument(
                f"settings of {name} change nothing: no order has what it is of", remedy="give the orders it, or leave it out"
            )
    priority = rows["priority"].to_numpy()
    terms = market(tape, costs, limits, surroundings)
    n_accounts = len(tape.tickers) if by_name else 1
    told["account"] = told["name"] if by_name else 0

    kept = local()

    def one(setting: Setting) -> tuple[NDArray[np.float64], int, float]:
        given = setting.of(told, priority)
        bounds = np.searchsorted(given["account"], np.arange(n_accounts + 1))
        # Memory that a thread has written once is written again: a fresh page costs more than what is written on it.
        if not hasattr(kept, "book"):
            kept.book = empty_book(tape, given)
            kept.closes = np.empty((n_accounts, len(tape.sessions)), kernel.CLOSE)
        kept.book.account[["n_fills", "n_trades", "n_refusals"]] = (0, 0, 0)
        kept.book.positions["used_day"] = -1  # what the setting before traded took no volume from this one
        kept.book = kernel.run(kept.book._replace(orders=given), terms, bounds, np.zeros(n_accounts, np.int64), cash, kept.closes)
        n_trades = int(kept.book.account["n_trades"][0])
        return kept.closes["equity"].sum(axis=0), n_trades, float(kept.closes["costs"][:, -1].sum())

    first = one(settings[0])  # compiles, before there are threads that would all do it
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = [first, *pool.map(one, settings[1:])]
    wealth = np.stack([path for path, _, _ in done])
    returns = wealth[:, 1:] / wealth[:, :-1] - 1
    figures = pl.DataFrame([vars(setting) for setting in settings], schema_overrides=dict.fromkeys(("threshold", *SCALED), pl.Float64))
    return Sweep(
        figures.with_columns(
            total_return=wealth[:, -1] / wealth[:, 0] - 1,
            sharpe=pl.Series(sharpe_ratio(returns)).fill_nan(None),
            max_drawdown=(wealth / np.maximum.accumulate(wealth, axis=1) - 1).min(axis=1),
            n_trades=pl.Series([n for _, n, _ in done]),
            costs=pl.Series([paid for _, _, paid in done]),
        ),
        returns,
    )
