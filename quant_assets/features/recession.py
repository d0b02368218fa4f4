"""How probable a recession is in twelve months, by the slope of the yield curve: a probit that is estimated anew every month.

Each estimate knows what was known then. The NBER dates a turning point up to 21 months late (the trough of March 1991 in December 1992),
and until then FRED's USREC goes on with the state of before as if nothing had happened: so the state of a month counts once it is SETTLED
months old, and the slope of a month counts in the fit once the state twelve months after it does.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.features.economy import known_not_older, slope, versions
from quant_assets.features.feature import Beside, Tables

AHEAD = 12
SETTLED = 24
LEAST_MONTHS = 120
LEAST_RECESSIONS = 2
"""Fewer months or recessions that begin among them: one recession has one slope before it, which a second one may belie."""
OLDEST = dt.timedelta(days=75)
"""An estimate speaks of the month before it, until a month later: 31 + 31 days, and the first rates of a month a few days late."""
COLUMN = "macro_recession_probability"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Versions:
    """Every version of the values of one series: month (years x 12 + month - 1), whether the next row is about the same day, known_at
    (microseconds, UTC) and value, sorted by day and known_at."""

    month: npt.NDArray[np.int64]
    same_day_next: npt.NDArray[np.bool_]
    known_at: npt.NDArray[np.int64]
    value: Floats

    @classmethod
    def of(cls, rows: pl.LazyFrame) -> Versions:
        frame = rows.sort("session", "known_at").collect()
        day = frame["session"]
        return cls(
            month=(day.dt.year().cast(pl.Int64) * 12 + day.dt.month() - 1).to_numpy(),
            same_day_next=(day == day.shift(-1)).fill_null(False).to_numpy(),
            known_at=frame["known_at"].dt.timestamp("us").to_numpy(),
            value=frame["value"].to_numpy(),
        )

    def monthly(self, moment: int, first: int, n: int) -> Floats:
        """(n,) averages of the months from `first` on, of the values as known at the moment; NaN of a month without any."""
        known = self.known_at <= moment
        superseded = np.append(known[1:], False) & self.same_day_next  # a later version of the same day is known too
        counts = known & ~superseded & (self.month >= first) & (self.month < first + n)
        place = self.month[counts] - first
        with np.errstate(invalid="ignore"):
            averages: Floats = np.bincount(place, self.value[counts], n) / np.bincount(place, minlength=n)
        return averages


def probit(slopes: Floats, states: Floats) -> tuple[float, float] | None:
    """Intercept and coefficient of P(state) = Phi(a + b slope) by maximum likelihood (Newton); None when there is no maximum."""
    from scipy.special import log_ndtr  # type: ignore[import-untyped]

    design = np.column_stack([np.ones_like(slopes), slopes])
    sign = 2 * states - 1
    estimate = np.zeros(2)
    for _ in range(50):
        index = design @ estimate
        signed = sign * index
        score = sign * np.exp(-0.5 * signed**2 - log_ndtr(signed)) / np.sqrt(2 * np.pi)
        curvature = design.T @ (design * (score * (score + index))[:, None])
        if not np.linalg.cond(curvature) < 1e12:
            return None  # the slope tells the states apart without a mistake: the likelihood grows for ever
        step = np.linalg.solve(curvature, design.T @ score)
        estimate = estimate + step
        if np.abs(step).max() < 1e-10:
            return float(estimate[0]), float(estimate[1])
    return None


def estimate(slopes: Floats, states: Floats, month: int) -> float | None:
    """P(recession AHEAD months after `month`), from monthly slopes and states up to it, the first of both at place 0.

    None: fewer than LEAST_MONTHS months with a settled state AHEAD months later, fewer than LEAST_RECESSIONS recessions that begin among
    these, no maximum of the likelihood, or no slope of the month.
    """
    before, after = slopes[: max(0, month - SETTLED - AHEAD + 1)], states[AHEAD : max(AHEAD, month - SETTLED + 1)]
    counts = ~np.isnan(before) & ~np.isnan(after)
    x, y = before[counts], (after[counts] > 0.5).astype(float)
    if len(y) < LEAST_MONTHS or np.sum((y[1:] == 1) & (y[:-1] == 0)) < LEAST_RECESSIONS or np.isnan(slopes[month]):
        return None
    fitted = probit(x, y)
    return None if fitted is None else NormalDist().cdf(fitted[0] + fitted[1] * slopes[month])


def probabilities(tables: Tables, first: dt.datetime, last: dt.datetime) -> pl.DataFrame:
    """known_at, about (the month whose slope is read) and COLUMN, of the estimates that stood at some time between the two moments.

    One a month, at the moment at which the first slope of a later month was published: then the month is over. Null where there is none.
    """
    rates, recessions = Versions.of(slope(tables)), Versions.of(versions(tables, "USREC"))
    schema: dict[str, pl.DataType | type[pl.DataType]] = {"known_at": pl.Datetime("us", "UTC"), "about": pl.Date, COLUMN: pl.Float64}
    if not len(rates.month):
        return pl.DataFrame(schema=schema)
    start = int(rates.month.min())
    n = int(rates.month.max()) - start + 1
    published = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(published, rates.month - start, rates.known_at)
    moments = np.minimum.accumulate(published[::-1])[::-1]  # the first publication about a month or a later one
    earliest, latest = (int(moment.timestamp() * 1_000_000) for moment in (first, last))
    found = []
    for month in range(n - 1):
        moment = int(moments[month + 1])
        if moment > latest or (month + 2 < n and moments[month + 2] <= earliest):
            continue
        value = estimate(rates.monthly(moment, start, n), recessions.monthly(moment, start, n), month)
        year, of_year = divmod(start + month, 12)
        found.append((moment, dt.date(year, of_year + 1, 1), value))
    told = pl.DataFrame(found, schema={"known_at": pl.Int64, "about": pl.Date, COLUMN: pl.Float64}, orient="row")
    return told.with_columns(pl.from_epoch("known_at", time_unit="us").dt.replace_time_zone("UTC"))


def beside(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """The bars with COLUMN as known at the close."""
    days = bars.select("session", "close_at").unique().sort("session").collect()
    closes = days["close_at"].drop_nulls()
    if not len(closes):
        return bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(COLUMN))
    told = probabilities(tables, closes[0], closes[-1]).lazy()
    known = known_not_older(days.lazy(), told, COLUMN, OLDEST)
    return bars.join(known.drop("close_at"), on="session", how="left", maintain_order="left")


RECESSION = Beside(tables=("macro",), columns=(COLUMN,), join=beside)
