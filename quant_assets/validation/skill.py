"""How good scores have been out of sample, with intervals that respect dependence in time, beside the base rate.

Returns of a strategy are `backtest/metrics.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.validation.bootstrap import circular_blocks
from quant_assets.validation.signal_quality import rank_ic

BLOCK_SESSIONS = 21
FEWEST_BLOCKS = 5
FEWEST_SESSIONS = FEWEST_BLOCKS * BLOCK_SESSIONS
"""Below them there is no interval: resamples of a block or two are nearly the sample itself, and agree however little is known."""
RESAMPLES = 300
SEED = 20130301
SCORE_BINS = 1024
Places = npt.NDArray[np.int64]
_UP, _DOWN = (pl.col("label") == 1).sum().cast(pl.Int64).alias("up"), (pl.col("label") == 0).sum().cast(pl.Int64).alias("down")


@dataclass(frozen=True)
class Skill:
    """Out-of-sample skill of scores whose labels are known; None where there is nothing to measure: no such row, or one outcome only.

    auc : ROC AUC of score against label, pooled. rank_ic : mean over sessions of the Spearman correlation across names of score and
    realised return. Intervals are 95 %, circular block bootstrap over sessions (blocks of 21, seeded; Politis and Romano 1992), and None
    below FEWEST_SESSIONS of them. log_loss is in nats; base_log_loss is that of always saying the base rate. by_year : (year, auc, low,
    high).
    """

    n_rows: int
    n_sessions: int
    n_names: int
    first: dt.date | None = None
    last: dt.date | None = None
    base_rate: float | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    rank_ic: float | None = None
    rank_ic_low: float | None = None
    rank_ic_high: float | None = None
    share_above_threshold: float | None = None
    log_loss: float | None = None
    base_log_loss: float | None = None
    by_year: tuple[tuple[int, float, float | None, float | None], ...] = ()

    @property
    def unproven(self) -> str | None:
        """Why the scores do not count as proven, or None: the whole AUC interval must lie above 0.5."""
        if self.auc is None:
            return "unproven: no out-of-sample score has a known label yet"
        measured = f"unproven: out-of-sample AUC {self.auc:.3f}"
        if self.auc_low is None or self.auc_high is None:
            return f"{measured} of {self.n_sessions} sessions, {FEWEST_SESSIONS} are needed for an interval"
        if self.auc_low > 0.5:
            return None
        where = "lies below 0.5" if self.auc_high < 0.5 else "includes 0.5"
        return f"{measured}, interval {self.auc_low:.3f} to {self.auc_high:.3f} {where}"


def measure(scored: pl.DataFrame, *, threshold: float) -> Skill:
    """Skill of scores.

    Parameters
    ----------
    scored : ticker, session, score, base_rate (of the model), label (0, 1), ret (fraction); rows without score or label are left out.
    threshold : the user's rule, for the share of scores above it.
    """
    rows = scored.drop_nulls(["score", "label"]).sort("session", "ticker")
    n_sessions, n_names = rows["session"].n_unique(), rows["ticker"].n_unique()
    if rows.is_empty() or rows["label"].n_unique() < 2:
        return Skill(rows.height, n_sessions, n_names)
    auc_low, auc_high = _auc_interval(rows)
    ic, ic_low, ic_high = _rank_ic(rows)
    label, score = rows["label"].to_numpy(), rows["score"].to_numpy()
    by_year = []
    for year in rows["session"].dt.year().unique().sort():
        part = rows.filter(pl.col("session").dt.year() == year)
        if part["label"].n_unique() == 2:
            by_year.append((year, *auc_interval(part)))
    return Skill(
        rows.height,
        n_sessions,
        n_names,
        first=rows["session"][0],
        last=rows["session"][-1],
        base_rate=float(label.mean()),
        auc=_auc(rows),
        auc_low=auc_low,
        auc_high=auc_high,
        rank_ic=ic,
        rank_ic_low=ic_low,
        rank_ic_high=ic_high,
        share_above_threshold=float((score > threshold).mean()),
        log_loss=_log_loss(label, score),
        base_log_loss=_log_loss(label, rows["base_rate"].to_numpy()),
        by_year=tuple(by_year),
    )


def auc_interval(rows: pl.DataFrame) -> tuple[float, float | None, float | None]:
    """(AUC, low, high) of rows with both outcomes, as in `Skill`."""
    return _auc(rows), *_auc_interval(rows)


def _auc(rows: pl.DataFrame) -> float:
    positive, negative = (part.to_numpy() for part in rows.group_by("score").agg(_UP, _DOWN).sort("score").select("up", "down"))
    return float(_share_above(positive[None], negative[None])[0])


def _auc_interval(rows: pl.DataFrame) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of the AUC; whole sessions are resampled, since names of one session move together.

    Scores are counted by session and bin, so that all draws are one product of matrices. Scores of one bin count as tied.
    """
    n_days = rows["session"].n_unique()
    if n_days < FEWEST_SESSIONS:
        return None, None
    binned = rows.select("label", day=pl.col("session").rank("dense") - 1, bin=_bins(rows["score"]))
    counts = binned.group_by("day", "bin").agg(_UP, _DOWN)
    day, score_bin = counts["day"].to_numpy(), counts["bin"].to_numpy()
    drawn = np.stack([np.bincount(chosen, minlength=n_days) for chosen in _resamples(n_days)]).astype(np.float32)
    of_draws = []
    for outcome in ("up", "down"):
        by_day = np.zeros((n_days, int(score_bin.max()) + 1), dtype=np.float32)
        by_day[day, score_bin] = counts[outcome].to_numpy()
        of_draws.append((drawn @ by_day).astype(np.float64))
    return _limits(iter(_share_above(*of_draws)))


def _bins(score: pl.Series) -> pl.Series:
    """(n_rows,) a bin for each score, in their order; of more than SCORE_BINS scores, bins of equally many rows, ties never parted."""
    if score.n_unique() <= SCORE_BINS:
        return score.rank("dense") - 1
    return (score.rank("min").cast(pl.Int64) - 1) * SCORE_BINS // len(score)


def _share_above(positive: npt.NDArray[Any], negative: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n_draws,) share of pairs in which the positive has the higher score than the negative, tied scores 1/2; 1/2 without a pair.

    Parameters
    ----------
    positive, negative : (n_draws, n_scores) counts, in the order of the scores.
    """
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1, dtype=np.float64) * negative.sum(axis=1, dtype=np.float64)
    won = (positive * (below + negative / 2)).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(pairs), 0.5), where=pairs > 0), dtype=np.float64)


def _rank_ic(rows: pl.DataFrame) -> tuple[float | None, float | None, float | None]:
    """Mean rank IC and its interval over sessions with at least five names and some spread in the scores."""
    ics = rows.group_by("session", maintain_order=True).agg(ic=rank_ic("score", "ret"))["ic"].drop_nulls().to_numpy()
    if not ics.size:
        return None, None, None
    if ics.size < FEWEST_SESSIONS:
        return float(ics.mean()), None, None
    return float(ics.mean()), *_limits(float(ics[chosen].mean()) for chosen in _resamples(ics.size))


def _log_loss(label: npt.NDArray[Any], score: npt.NDArray[np.float64]) -> float:
    """Mean of -ln(probability given to what happened), nats; infinite where that was 0."""
    return float(-np.log(np.where(label == 1, score, 1 - score)).mean())


def _resamples(n_sessions: int) -> Iterator[Places]:
    return circular_blocks(n_sessions, block=BLOCK_SESSIONS, resamples=RESAMPLES, seed=SEED)


def _limits(draws: Iterator[float]) -> tuple[float, float]:
    """2.5 and 97.5 percentile."""
    low, high = np.percentile(list(draws), [2.5, 97.5])
    return float(low), float(high)
