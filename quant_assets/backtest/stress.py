"""What becomes of a strategy when it is run again at prices, fills and costs a little different from the ones it was made on.

The run itself is an argument: this module knows no engine. Records drawn anew without another run live in `monte_carlo.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.backtest.costs import Costs
from quant_assets.backtest.drawdowns import max_drawdown
from quant_assets.backtest.fees import FeeTable, Rate
from quant_assets.backtest.impact import AlmgrenImpact, Impact, LinearImpact, SquareRootImpact
from quant_assets.backtest.ratios import sharpe_ratio, total_return
from quant_assets.errors import BadArgument, require_columns

T = TypeVar("T")
FIGURES = dict.fromkeys(("total_return", "sharpe", "max_drawdown"), pl.Float64)


def noisy_prices(prices: pl.DataFrame, *, noise_bps: float, seed: int) -> pl.DataFrame:
    """The table `prices` with each bar's open, high, low and close times one lognormal factor of the bar, whose mean is 1.

    What is the highest and the lowest of a bar stays so. Factors of two bars are independent; dividends and splits stay as they are.

    Parameters
    ----------
    noise_bps : standard deviation of the factor's logarithm, basis points.
    """
    sigma = noise_bps / 1e4
    factor = np.exp(np.random.default_rng(seed).normal(-(sigma**2) / 2, sigma, prices.height))
    return prices.with_columns(pl.col("open", "high", "low", "close") * pl.Series(factor))


def noisy_fills(costs: Costs, *, sigma: float, seed: int) -> Costs:
    """The costs with their half-spread times one lognormal factor whose mean is 1 and whose logarithm deviates by `sigma`."""
    factor = float(np.exp(np.random.default_rng(seed).normal(-(sigma**2) / 2, sigma)))
    return dataclasses.replace(costs, half_spread=costs.half_spread * factor)


def stressed_costs(costs: Costs, factor: float) -> Costs:
    """Every cost times the factor: commission, spread, fees with their caps, impact with its cap, borrowing.

    Raises
    ------
    BadArgument : a factor that is not above 0, or a model of impact that is not of `impact.py`.
    """
    if not 0 < factor < np.inf:
        raise BadArgument(
            f"costs cannot be multiplied by {factor} (limit: above 0)", remedy="pass Costs of zeros for a world without costs"
        )
    return Costs(
        commission_per_share=factor * costs.commission_per_share,
        commission_minimum=factor * costs.commission_minimum,
        half_spread=factor * costs.half_spread,
        exchange_per_share=factor * costs.exchange_per_share,
        sec_fee=_stressed_fee(costs.sec_fee, factor),
        taf=_stressed_fee(costs.taf, factor),
        impact=_stressed_impact(costs.impact, factor),
        borrow_annual=factor * costs.borrow_annual,
    )


def _stressed_fee(fee: FeeTable, factor: float) -> FeeTable:
    return FeeTable(fee.name, tuple(Rate(rate.since, factor * rate.rate, factor * rate.cap) for rate in fee.rates))


def _stressed_impact(impact: Impact | None, factor: float) -> Impact | None:
    match impact:
        case None:
            return None
        case LinearImpact(base, slope, cap):
            return LinearImpact(factor * base, factor * slope, factor * cap)
        case SquareRootImpact(coefficient):
            return SquareRootImpact(factor * coefficient)
        case AlmgrenImpact(gamma, eta):
            return dataclasses.replace(impact, gamma=factor * gamma, eta=factor * eta)
    raise BadArgument(
        f"impact {type(impact).__name__} cannot be multiplied", remedy="stress one of LinearImpact, SquareRootImpact, AlmgrenImpact"
    )


def under_noise(run: Callable[[pl.DataFrame], pl.DataFrame], prices: pl.DataFrame, *, n: int, noise_bps: float, seed: int) -> pl.DataFrame:
    """Figures of `n` runs over noisy prices: run, total_return, sharpe (annualised; null where returns do not vary), max_drawdown.

    Parameters
    ----------
    run : prices to equity (session, equity). What it decided by the true prices it has to decide anew by these.
    """
    return _figures(run, (noisy_prices(prices, noise_bps=noise_bps, seed=one) for one in _seeds(seed, n)), range(n), "run")


def under_noisy_fills(run: Callable[[Costs], pl.DataFrame], costs: Costs, *, n: int, sigma: float, seed: int) -> pl.DataFrame:
    """Figures of `n` runs, each with a half-spread of its own: run, total_return, sharpe, max_drawdown."""
    return _figures(run, (noisy_fills(costs, sigma=sigma, seed=one) for one in _seeds(seed, n)), range(n), "run")


def under_costs(run: Callable[[Costs], pl.DataFrame], costs: Costs, factors: Sequence[float] = (1.0, 2.0, 4.0)) -> pl.DataFrame:
    """Figures of a run at each multiple of the costs: factor, total_return, sharpe, max_drawdown."""
    return _figures(run, (stressed_costs(costs, factor) for factor in factors), factors, "factor")


def _figures(run: Callable[[T], pl.DataFrame], given: Iterable[T], labels: Iterable[float], label: str) -> pl.DataFrame:
    rows = []
    for name, one in zip(labels, given, strict=True):
        equity = run(one)
        require_columns(equity.columns, "session", "equity")
        wealth = _until_ruin(equity.sort("session")["equity"].to_numpy())
        sharpe = float(sharpe_ratio(wealth[1:] / wealth[:-1] - 1))
        rows.append((name, total_return(wealth), sharpe if np.isfinite(sharpe) else None, max_drawdown(wealth)))
    return pl.DataFrame(rows, schema={label: pl.Int64 if label == "run" else pl.Float64, **FIGURES}, orient="row")


def _until_ruin(wealth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Up to the first close that leaves no wealth: no return is defined after it."""
    ruined = np.flatnonzero(wealth <= 0)
    return wealth[: ruined[0] + 1] if ruined.size else wealth


def _seeds(seed: int, n: int) -> list[int]:
    return [int(one) for one in np.random.SeedSequence(seed).generate_state(n, np.uint64)]
