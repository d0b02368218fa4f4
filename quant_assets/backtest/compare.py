"""Whether one strategy's Sharpe ratio differs from another's by more than chance. How far one of them can be believed by itself is
`validation/sharpe.py`'s business.

Both are drawn together, the same sessions for each, in circular blocks (Politis and Romano 1992): days that were good for both stay so.
The p-value is two-sided, of the differences as far from the measured one as that is from 0 (Hall and Wilson 1991), and is never below
1 / (resamples + 1). Of many pairs it is adjusted as by Holm (1979).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.backtest.monte_carlo import BLOCK_SESSIONS, require_blocks
from quant_assets.backtest.ratios import sharpe_ratio
from quant_assets.errors import BadArgument
from quant_assets.validation.bootstrap import circular_blocks

RESAMPLES = 2_000
AT_ONCE = 50
"""Resamples in memory at the same time: many of them, numpy is faster; all of them, they may not fit."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SharpeDifference:
    """Sharpe ratio of a less that of b, annualised; low to high is the middle 95 % of the resampled differences."""

    difference: float
    low: float
    high: float
    p_value: float


def sharpe_difference(a: Floats, b: Floats, *, block: int = BLOCK_SESSIONS, resamples: int = RESAMPLES, seed: int) -> SharpeDifference:
    """How far apart the Sharpe ratios of two strategies are over the same sessions, and whether that could be chance.

    Parameters
    ----------
    a, b : (n,) simple daily returns of the same sessions, fraction, flat days included.

    Raises
    ------
    BadArgument : other numbers of returns, a missing one, fewer than two blocks, or a strategy so idle that resamples of it do not vary.
    """
    drawn = _sharpe_ratios({"a": a, "b": b}, block, resamples, seed)
    _require_varying(drawn)
    return _difference(drawn["a"], drawn["b"])


def compare(returns: Mapping[str, Floats], *, block: int = BLOCK_SESSIONS, resamples: int = RESAMPLES, seed: int) -> pl.DataFrame:
    """Every pair of strategies: a, b, sharpe_a, sharpe_b, difference, low, high, p_value, p_holm.

    Parameters
    ----------
    returns : by name, (n,) simple daily returns of the same sessions, fraction, flat days included.

    Raises
    ------
    BadArgument : as `sharpe_difference`.
    """
    drawn = _sharpe_ratios(returns, block, resamples, seed)
    _require_varying(drawn)
    return _pairs(drawn)


def compare_varying(
    returns: Mapping[str, Floats], *, block: int = BLOCK_SESSIONS, resamples: int = RESAMPLES, seed: int
) -> tuple[pl.DataFrame, dict[str, str]]:
    """`compare` of the strategies that vary enough for it, and by the names of the others why they were left out, a clause each.

    Raises
    ------
    BadArgument : as `compare`, idle strategies excepted.
    """
    drawn = _sharpe_ratios(returns, block, resamples, seed)
    idle = _idle(drawn)
    return _pairs({name: ratios for name, ratios in drawn.items() if name not in idle}), idle


def _pairs(drawn: Mapping[str, Floats]) -> pl.DataFrame:
    rows = []
    for a, b in itertools.combinations(drawn, 2):
        found = _difference(drawn[a], drawn[b])
        rows.append((a, b, drawn[a][0], drawn[b][0], found.difference, found.low, found.high, found.p_value))
    figures = ("sharpe_a", "sharpe_b", "difference", "low", "high", "p_value")
    table = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, **dict.fromkeys(figures, pl.Float64)}, orient="row")
    return table.with_columns(p_holm=pl.Series(_holm(table["p_value"].to_numpy())))


def _sharpe_ratios(returns: Mapping[str, Floats], block: int, resamples: int, seed: int) -> dict[str, Floats]:
    """By strategy, (1 + resamples,): that of the record, then those of each resample of its sessions; NaN where returns do not vary."""
    together = _together(returns)
    n = together.shape[1]
    require_blocks(n, block)
    draws = circular_blocks(n, block=block, resamples=resamples, seed=seed)
    drawn = []
    while places := list(itertools.islice(draws, AT_ONCE)):
        drawn.append(sharpe_ratio(together[:, np.array(places)]))
    return dict(zip(returns, np.concatenate([sharpe_ratio(together)[:, None], *drawn], axis=1), strict=True))


def _idle(drawn: Mapping[str, Floats]) -> dict[str, str]:
    """Those without a ratio somewhere, and where."""
    undefined = {name: int((~np.isfinite(ratios)).sum()) for name, ratios in drawn.items()}
    return {name: f"does not vary in {n:,} of the record and its {drawn[name].size - 1:,} resamples" for name, n in undefined.items() if n}


def _require_varying(drawn: Mapping[str, Floats]) -> None:
    for name, reason in _idle(drawn).items():
        raise BadArgument(f"{name} {reason} (limit 0)", remedy="compare strategies that trade more, or over a longer record")


def _together(returns: Mapping[str, Floats]) -> Floats:
    lengths = {name: len(values) for name, values in returns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {n:,}" for name, n in lengths.items())
        raise BadArgument(f"the strategies have not equally many returns ({told})", remedy="compare them over the same sessions")
    together = np.array(list(returns.values()), dtype=np.float64)
    for name, values in zip(returns, together, strict=True):
        if missing := int((~np.isfinite(values)).sum()):
            raise BadArgument(f"{name} has {missing} missing returns (limit 0)", remedy="flat days are returns of 0")
    return together


def _difference(a: Floats, b: Floats) -> SharpeDifference:
    """From the ratios of the record and of its resamples."""
    measured, *drawn = a - b
    low, high = np.percentile(drawn, [2.5, 97.5])
    as_far = int((np.abs(np.array(drawn) - measured) >= abs(measured)).sum())
    return SharpeDifference(float(measured), float(low), float(high), (1 + as_far) / (1 + len(drawn)))


def _holm(p_values: Floats) -> Floats:
    """Holm (1979): the k-th smallest of m times m - k + 1, none below the one before it, none above 1."""
    order = np.argsort(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)), 1)
    return adjusted
