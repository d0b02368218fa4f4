"""What a feature has been like on stored data: how often it has a value, how stable it is, what it resembles, what it foretold.

Everything here looks back on the whole of the data and is for a reader's eye; nothing that decides may read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.validation.bootstrap import circular_blocks
from quant_assets.validation.signal_quality import rank_ic

HORIZONS = (1, 5, 20)
"""Sessions ahead."""
DECILES = 10
FEWEST_ROWS = 100
BLOCK_SESSIONS, RESAMPLES, SEED = 21, 300, 20130301
FEWEST_BLOCKS = 10
"""Blocks of sessions below which an interval says nothing: a bootstrap that draws from so few of them comes out too narrow."""
SAMPLED_ROWS = 20_000
NEIGHBOURS, LEAST_ALIKE = 3, 0.3
Floats = npt.NDArray[np.float64]
KEY = ["ticker", "session"]


@dataclass(frozen=True)
class Ic:
    """Mean information coefficient at a horizon with its 95 % interval; None where there is too little to measure it.

    across : between names within each session; otherwise over time, of a feature that is the same for all names.
    sessions : that have a coefficient, or over time a value. names : with a value and a return in such a session, the median.
    """

    horizon: int
    mean: float | None
    low: float | None
    high: float | None
    across: bool
    sessions: int = 0
    names: int = 0

    @property
    def enough(self) -> bool:
        """Whether the interval stands on FEWEST_BLOCKS blocks of sessions or more."""
        return self.mean is not None and self.sessions >= fewest_sessions(self.horizon)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves zero out and stands on enough sessions to say so."""
        return self.enough and self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Profile:
    """share : of rows with a value. fires : of rows with a value that is not 0. quantiles : 1, 25, 50, 75 and 99 %. psi : by year, against
    the year before. neighbours : the features with the largest absolute rank correlation, from LEAST_ALIKE on, and it. ic : one a horizon.
    """

    name: str
    share: float
    fires: float
    quantiles: tuple[float, ...]
    psi: dict[int, float]
    neighbours: tuple[tuple[str, float], ...]
    ic: tuple[Ic, ...]


def profiles(values: pl.DataFrame, prices: pl.DataFrame, names: Sequence[str], *, among: Sequence[str] | None = None) -> dict[str, Profile]:
    """A profile of each feature.

    Parameters
    ----------
    values : ticker, session and the features; all rows that are to be looked at.
    prices : table `prices`, all history of these names.
    among : the features whose nearest ones are looked for; those of `names` when None.
    """
    rows = values.sort("session", "ticker")
    returns = rows.select(KEY).join(_forward_returns(prices), on=KEY, how="left", maintain_order="left")
    coefficients = _coefficients(rows, returns, names)
    alike = _neighbours(rows, tuple(among or names))
    years = rows["session"].dt.year().to_numpy()
    found = {}
    for name in names:
        column = rows[name]
        known = column.drop_nulls().to_numpy()
        found[name] = Profile(
            name,
            share=1 - column.null_count() / max(rows.height, 1),
            fires=float((known != 0).mean()) if known.size else 0.0,
            quantiles=tuple(np.quantile(known, (0.01, 0.25, 0.5, 0.75, 0.99)).tolist()) if known.size else (),
            psi=_stability(column.to_numpy(), years),
            neighbours=alike[name],
            ic=coefficients[name],
        )
    return found


def population_stability(before: Floats, after: Floats) -> float:
    """PSI of a sample against an earlier one: sum of (p - q) ln(p / q) over the deciles of the earlier one.

    Below 0.1 the distribution counts as stable, above 0.25 as another one (Siddiqi 2006, Credit Risk Scorecards, ch. 9). Equal deciles of
    a feature with few values are taken together. Half a case is added to each cell, so that an empty one counts without being infinite.
    """
    edges = np.unique(np.quantile(before, np.linspace(0, 1, DECILES + 1)[1:-1]))
    cells = len(edges) + 1
    one, other = (np.bincount(np.searchsorted(edges, part, side="left"), minlength=cells) + 0.5 for part in (before, after))
    q, p = one / one.sum(), other / other.sum()
    return float(((p - q) * np.log(p / q)).sum())


def fewest_sessions(horizon: int) -> int:
    """So many sessions are FEWEST_BLOCKS blocks."""
    return FEWEST_BLOCKS * _block(horizon)


def chance(found: Iterable[Profile]) -> dict[int, tuple[int, int]]:
    """(features whose interval stands on enough sessions, those of them whose interval excludes zero) by horizon: of the former 5 % would
    exclude zero if none foretold anything."""
    by_horizon = zip(*(one.ic for one in found), strict=True)
    return {ics[0].horizon: (sum(ic.enough for ic in ics), sum(ic.excludes_zero for ic in ics)) for ics in by_horizon}


def _stability(column: Floats, years: npt.NDArray[np.int32]) -> dict[int, float]:
    parts = {int(year): column[(years == year) & ~np.isnan(column)] for year in np.unique(years)}
    return {
        year: population_stability(parts[year - 1], part)
        for year, part in parts.items()
        if year - 1 in parts and min(part.size, parts[year - 1].size) >= FEWEST_ROWS
    }


def _forward_returns(prices: pl.DataFrame) -> pl.DataFrame:
    """ticker, session, ahead_1 ...: total return over the next bars of the name."""
    close = pl.col("adj_close")
    ahead = [(close.shift(-n).over("ticker") / close - 1).alias(f"ahead_{n}") for n in HORIZONS]
    return forward_adjusted(prices.lazy()).select(*KEY, *ahead).collect()


def _coefficients(rows: pl.DataFrame, returns: pl.DataFrame, names: Sequence[str]) -> dict[str, tuple[Ic, ...]]:
    """Spearman correlations between names within each session, or over time where a feature is the same for all of them."""
    spread = rows.group_by("session").agg(((pl.col(name).max() > pl.col(name).min()).fill_null(False)).alias(name) for name in names)
    across = {name: bool(spread[name].any()) for name in names}
    both = pl.concat([rows, returns.drop(KEY)], how="horizontal")
    by_horizon = {n: _series(both, f"ahead_{n}", names, across) for n in HORIZONS}
    return {name: tuple(_interval(n, *by_horizon[n][name], across[name]) for n in HORIZONS) for name in names}


def _series(both: pl.DataFrame, ahead: str, names: Sequence[str], across: dict[str, bool]) -> dict[str, tuple[Floats, int]]:
    """A value a session whose mean is the coefficient, and how many names such a session has."""
    told = both.filter(pl.col(ahead).is_not_null())
    between = [name for name in names if across[name]]
    days = told.group_by("session", maintain_order=True).agg(
        *(rank_ic(name, ahead).alias(name) for name in between), *(pl.col(name).count().alias(f"{name} names") for name in between)
    )
    n_names = days.select(pl.col(f"{name} names").filter(pl.col(name).is_not_null()).median().alias(name) for name in between)
    found = {name: (days[name].drop_nulls().to_numpy(), int(n_names[name].item() or 0)) for name in between}
    market = told.group_by("session", maintain_order=True).agg(
        pl.col(ahead).mean(), pl.len().alias("names"), *(pl.first(name) for name in names if not across[name])
    )
    for name in names:
        if not across[name]:
            known = market.select(name, ahead, "names").drop_nulls()
            ranks = [(known[one].rank() - (known.height + 1) / 2).to_numpy() for one in (name, ahead)]
            scale = np.sqrt(np.square(ranks[0]).mean() * np.square(ranks[1]).mean()) if known.height else 0.0
            found[name] = ranks[0] * ranks[1] / scale if scale > 0 else np.array([]), int(known["names"].median() or 0)  # type: ignore[arg-type]
    return found


def _block(horizon: int) -> int:
    """Sessions: a month, or twice the horizon, as windows ahead overlap."""
    return max(BLOCK_SESSIONS, 2 * horizon)


def _interval(horizon: int, series: Floats, names: int, across: bool) -> Ic:
    """Circular block bootstrap over sessions."""
    if series.size < FEWEST_ROWS:
        return Ic(horizon, None, None, None, across, series.size, names)
    drawn = circular_blocks(series.size, block=_block(horizon), resamples=RESAMPLES, seed=SEED)
    draws = [series[places].mean() for places in drawn]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Ic(horizon, float(series.mean()), float(low), float(high), across, series.size, names)


def _neighbours(rows: pl.DataFrame, names: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Of a sample of rows; of each pair those in which both have a value."""
    sample = rows.sample(min(SAMPLED_ROWS, rows.height), seed=SEED).select(pl.col(list(names)).rank().cast(pl.Float64))
    ranks = sample.to_numpy()
    there = (~np.isnan(ranks)).astype(np.float64)
    x = np.nan_to_num(ranks - np.nanmean(np.where(there.any(axis=0), ranks, 0.0), axis=0)) if rows.height else ranks
    n, sums, squares = there.T @ there, x.T @ there, np.square(x).T @ there
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = x.T @ x / n - sums * sums.T / np.square(n)
        variance = squares / n - np.square(sums / n)
        correlation = covariance / np.sqrt(variance * variance.T)
    correlation[(n < FEWEST_ROWS) | ~np.isfinite(correlation)] = 0.0
    np.fill_diagonal(correlation, 0.0)
    nearest = np.argsort(-np.abs(correlation), axis=1, kind="stable")[:, :NEIGHBOURS]
    return {
        name: tuple(
            (names[other], float(correlation[place, other])) for other in nearest[place] if abs(correlation[place, other]) >= LEAST_ALIKE
        )
        for place, name in enumerate(names)
    }
