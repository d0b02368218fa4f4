"""What was told of a name's earnings, insiders, analysts and news, as it stood after each moment at which something was told.

Features made of it are in `sentiment.py`. "No data" is not "nothing happened": a name of which a table has never held a row has no
state, and a look-back that begins before the first row is no count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from quant_assets.features.tellings import moment_by_moment, start_of_day

ANNOUNCEMENTS = 8
SAME_ANNOUNCEMENT = 20
"""Days within which two rows are about one announcement: vendors differ by a day, quarters are 90 apart."""
INSIDER_DAYS, NEWS_DAYS, MONTHS = 90, 7, 3
BOUGHT, SOLD = "P", "S"
GRADES = {"strong_buy": 5, "buy": 4, "hold": 3, "sell": 2, "strong_sell": 1}


def surprises(earnings: pl.LazyFrame) -> pl.LazyFrame:
    """Of the announcements that had been made: `beat_rate`, `surprise`, `standardised`.

    Counted are those with an EPS and an estimate. A later version of an announcement, or another vendor's row within 20 days of it, takes
    the place of the one before.
    """
    made = earnings.filter(pl.col("eps_actual").is_not_null(), pl.col("eps_estimate").is_not_null())
    rows = made.sort("ticker", "known_at", "announced", "source").select(
        "ticker", "known_at", pl.col("announced").to_physical(), "eps_actual", "eps_estimate"
    )
    state = dict.fromkeys(("beat_rate", "surprise", "standardised"), pl.Float64)
    return moment_by_moment(rows, _Announcements, state)


class _Announcements:
    def __init__(self) -> None:
        self._made: dict[int, tuple[float, float]] = {}

    def tell(self, row: Sequence[Any]) -> None:
        announced, actual, estimate = row
        for other in [day for day in self._made if abs(day - announced) <= SAME_ANNOUNCEMENT]:
            del self._made[other]
        self._made[announced] = actual, estimate

    def state(self) -> Sequence[Any]:
        made = [self._made[day] for day in sorted(self._made)[-ANNOUNCEMENTS - 1 :]]
        last = made[-ANNOUNCEMENTS:]
        beaten = sum(actual > estimate for actual, estimate in last) / ANNOUNCEMENTS if len(last) == ANNOUNCEMENTS else None
        surprises = [(actual - estimate) / abs(estimate) if estimate else None for actual, estimate in made]
        return beaten, surprises[-1], _standardised(surprises)


def _standardised(surprises: Sequence[float | None]) -> float | None:
    """The last one over the standard deviation (ddof 1) of the eight before it."""
    known = [value for value in surprises if value is not None]
    if len(known) <= ANNOUNCEMENTS or None in surprises:
        return None
    before = known[:-1]
    mean = math.fsum(before) / len(before)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in before) / (len(before) - 1))
    return known[-1] / deviation if deviation > 1e-9 * abs(mean) else None


def insider_trades(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """`net_buying` of the last 90 days by the day of the filing, at each filing and at each one's leaving the 90 days.

    (bought - sold) / (bought + sold) in USD of purchases (P) and sales (S) of shares; 0 where there were none; null before a first filing
    of any kind is 90 days old. A transaction without a price, or with a change of the other sign than its code, is left out.
    """
    of_shares = ~pl.col("derivative").fill_null(value=False) & (pl.col("price") > 0)
    signed = ((pl.col("code") == BOUGHT) & (pl.col("change") > 0)) | ((pl.col("code") == SOLD) & (pl.col("change") < 0))
    value = pl.when(of_shares & signed).then(pl.col("change") * pl.col("price"))
    leaves = start_of_day(pl.col("filed").dt.offset_by(f"{INSIDER_DAYS}d"))
    filings = transactions.select(
        "ticker",
        "known_at",
        pl.concat_str("source", "transaction", separator=" ").alias("transaction"),
        leaves.alias("leaves"),
        value=value,
    ).with_columns(counts=pl.col("known_at") < pl.col("leaves"))  # not what became known when it was older than that
    leaving = filings.filter("counts").with_columns(known_at="leaves", counts=pl.lit(value=False))
    told = pl.concat([filings, leaving]).sort("ticker", "known_at", "counts").select("ticker", "known_at", "counts", "transaction", "value")
    return moment_by_moment(told, _Trades, {"net_buying": pl.Float64})


class _Trades:
    def __init__(self) -> None:
        self._within: dict[str, float] = {}
        self._begun = False  # the first one told is past the 90 days

    def tell(self, row: Sequence[Any]) -> None:
        counts, transaction, value = row
        if counts:
            self._within[transaction] = value or 0.0
        else:
            self._within.pop(transaction, None)
            self._begun = True

    def state(self) -> Sequence[Any]:
        if not self._begun:
            return (None,)
        total = math.fsum(abs(value) for value in self._within.values())
        return (math.fsum(self._within.values()) / total if total else 0.0,)


def analysts(recommendations: pl.LazyFrame) -> pl.LazyFrame:
    """Of the latest month that had been told: `score`, 5 strong buy to 1 strong sell, its `change` over three months, and the `month`.

    A month's latest version counts, whichever vendor's it is.
    """
    counts = {name: pl.col(name).fill_null(0).cast(pl.Float64) for name in GRADES}
    graded = sum((counts[name] * grade for name, grade in GRADES.items()), start=pl.lit(0.0))
    asked = pl.sum_horizontal(counts.values())
    month = pl.col("period").dt.year().cast(pl.Int32) * 12 + pl.col("period").dt.month() - 1
    rows = (
        recommendations.with_columns(score=pl.when(asked > 0).then(graded / asked))
        .sort("ticker", "known_at", "period", "source")
        .select("ticker", "known_at", pl.col("period"), "score", month=month)
    )
    return moment_by_moment(rows, _Analysts, {"score": pl.Float64, "change": pl.Float64, "month": pl.Date})


class _Analysts:
    def __init__(self) -> None:
        self._months: dict[int, tuple[Any, float | None]] = {}

    def tell(self, row: Sequence[Any]) -> None:
        period, score, month = row
        self._months[month] = period, score

    def state(self) -> Sequence[Any]:
        latest = max(self._months)
        period, score = self._months[latest]
        _, before = self._months.get(latest - MONTHS, (None, None))
        return score, score - before if score is not None and before is not None else None, period


def readings(news_sentiment: pl.LazyFrame) -> pl.LazyFrame:
    """Each reading of a name's news: `score`, `dispersion` and the day it was `observed`."""
    bullish, bearish = pl.col("bullish"), pl.col("bearish")
    spread = (bullish + bearish - (bullish - bearish) ** 2).clip(0, 1)
    return news_sentiment.sort("ticker", "known_at", "source").select(
        "ticker", "known_at", "observed", "score", dispersion=spread.sqrt()
    )  # fmt: skip


def article_counts(articles: pl.LazyFrame) -> pl.LazyFrame:
    """`articles` of the last seven days, by the moment each appeared; null before the first one told is seven days old.

    An article counts once for each vendor that shows it, from the first version known on.
    """
    first = articles.group_by("ticker", "source", "article").agg(pl.col("known_at", "published_at").sort_by("known_at").first())
    leaves = pl.col("published_at").dt.offset_by(f"{NEWS_DAYS}d")
    timely = first.filter(pl.col("known_at") < leaves)
    coming = timely.select("ticker", "known_at", step=1)
    leaving = timely.select("ticker", known_at=leaves, step=-1)
    late = first.filter(pl.col("known_at") >= leaves).select("ticker", "known_at", step=0)
    steps = pl.concat([coming, leaving, late], how="vertical_relaxed").sort("ticker", "known_at")
    within, begun = pl.col("step").cum_sum().over("ticker"), (pl.col("step") <= 0).cum_max().over("ticker")
    return steps.select("ticker", "known_at", articles=pl.when(begun).then(within.cast(pl.Float64)))
