"""Which names are bought at which close: the user's rule and the two it is compared with.

How a purchase ends is `default_trade.py`'s business. A rule maps candidates to the decisions among them, each from the rows of one
session alone: no rule sees a later one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import polars as pl

from quant_assets.backtest.default_trade import complete_bars

LISTED_NAMES = 8
STRATEGIES = ("threshold", "top_fifth", "buy_and_hold")
ALONE = ("threshold", "buy_and_hold")
"""Strategies that need no other name's scores: a name's account by them can be booked by itself."""
RANKED = ("top_fifth",)
"""Strategies that choose among all names of a session."""


def candidates(prices: pl.DataFrame, scores: pl.DataFrame, atr: pl.DataFrame) -> pl.DataFrame:
    """Names that can be decided on at each close: a complete bar as traded, a score, and an ATR to put a stop with.

    Parameters
    ----------
    prices : table `prices`. scores : ticker, session, score. atr : ticker, session, atr_14 (raw USD). One row a name and session each.

    Returns
    -------
    session, ticker, score, atr_14, n_tradable, sorted by (session, ticker). `n_tradable` counts the names that were a candidate at this
    close or before: a name that misses a day keeps its share of the portfolio free, so positions are never larger than they should be.
    """
    rows = (
        prices.filter(complete_bars())
        .select("session", "ticker")
        .join(scores.select("session", "ticker", pl.col("score").fill_nan(None)).drop_nulls(), on=["session", "ticker"])
        .join(atr.select("session", "ticker", pl.col("atr_14").fill_nan(None)).drop_nulls(), on=["session", "ticker"])
        .sort("session", "ticker")
    )
    seen = rows.select("session", pl.col("ticker").is_first_distinct().cum_sum().cast(pl.Int64).alias("n_tradable"))
    return rows.join(seen.group_by("session").max(), on="session", maintain_order="left")


def threshold_rule(among: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """The user's rule: score above the threshold, not equal to it."""
    return among.filter(pl.col("score") > threshold)


def top_fifth_rule(among: pl.DataFrame) -> pl.DataFrame:
    """The fixed, untuned rule: each session's floor(n / 5) highest scores of its n candidates, at least one; ties go by ticker."""
    ranked = among.sort(["session", "score", "ticker"], descending=[False, True, False])
    place = pl.int_range(pl.len()).over("session")
    places = (pl.len() // 5).clip(lower_bound=1).over("session")
    return ranked.filter(place < places)


def buy_and_hold_rule(among: pl.DataFrame) -> pl.DataFrame:
    """Every candidate of the first session that has one; names that become tradable later are not added."""
    return among.filter(pl.col("session") == pl.col("session").min())


def rule_of(strategy: str, *, threshold: float, among: Collection[str] = ()) -> str:
    """The strategy with its settings in words, stored with each account: another rule is another account, and the next night books it.

    Parameters
    ----------
    among : the names it chooses among, where that matters; more than eight are named by their number and a hash.
    """
    told = {"threshold": f"score > {threshold:g}", "top_fifth": "top fifth by score", "buy_and_hold": "hold"}[strategy]
    names = sorted(among)
    if not names:
        return told
    if len(names) <= LISTED_NAMES:
        return f"{told} among {', '.join(names)}"
    return f"{told} among {len(names)} names ({hashlib.sha256(','.join(names).encode()).hexdigest()[:8]})"
