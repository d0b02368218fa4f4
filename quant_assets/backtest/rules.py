"""Which names are bought at which close: the user's rule and the two it is compared with.

How a purchase ends is `default_trade.py`'s business. A rule maps candidates to the decisions among them, each from the rows of one
session alone: no rule sees a later one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection

import polars as pl

from quant_assets.membership import inside

LISTED_NAMES = 8
STRATEGIES = ("threshold", "top_fifth", "buy_and_hold")
ALONE = ("threshold", "buy_and_hold")
"""Strategies that need no other name's scores: a name's account by them can be booked by itself."""
RANKED = ("top_fifth",)
"""Strategies that choose among all names of a session."""


def complete_bars() -> pl.Expr:
    """Bars that can fill an order: as traded, with open, high, low and close."""
    return (pl.col("price_basis") == "raw") & pl.all_horizontal(pl.col("open", "high", "low", "close").is_not_null())


def candidates(prices: pl.DataFrame, scores: pl.DataFrame, atr: pl.DataFrame, *, eligible: pl.DataFrame | None = None) -> pl.DataFrame:
    """Names that can be decided on at each close: a complete bar as traded, a score, and an ATR to put a stop with.

    Parameters
    ----------
    prices : table `prices`. scores : ticker, session, score. atr : ticker, session, atr_14 (raw USD). One row a name and session each.
    eligible : key, start, end (null: none) of the days on which a name may be decided on; None: always.

    Returns
    -------
    session, ticker, score, atr_14, n_tradable, sorted by (session, ticker). `n_tradable` counts the names that are eligible at this close
    and were a candidate then or before: a name that misses a day keeps its share of the portfolio free, so positions are never larger
    than they should be, and one that left or was delisted does not.
    """
    rows = (
        prices.filter(complete_bars())
        .select("session", "ticker")
        .join(scores.select("session", "ticker", pl.col("score").fill_nan(None)).drop_nulls(), on=["session", "ticker"])
        .join(atr.select("session", "ticker", pl.col("atr_14").fill_nan(None)).drop_nulls(), on=["session", "ticker"])
        .sort("session", "ticker")
    )
    if eligible is None:
        ever = {"start": pl.lit(dt.date.min), "end": pl.lit(None, dtype=pl.Date)}
        eligible = rows.select(pl.col("ticker").unique().alias("key")).with_columns(**ever)
    rows = inside(rows, eligible)
    return rows.join_asof(_tradable(rows, eligible), on="session", check_sortedness=False)


def _tradable(rows: pl.DataFrame, eligible: pl.DataFrame) -> pl.DataFrame:
    """session (on which it changes), n_tradable."""
    seen = rows.group_by(key="ticker").agg(first=pl.col("session").min())
    spans = eligible.join(seen, on="key").with_columns(start=pl.max_horizontal("start", "first"))
    spans = spans.filter(pl.col("end").is_null() | (pl.col("end") >= pl.col("start")))
    entered = spans.select(session="start", change=pl.lit(1, dtype=pl.Int64))
    left = spans.drop_nulls("end").select(session=pl.col("end") + pl.duration(days=1), change=pl.lit(-1, dtype=pl.Int64))
    changes = pl.concat([entered, left]).group_by("session").sum().sort("session")
    return changes.select("session", n_tradable=pl.col("change").cum_sum())


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


def first_candidates(among: pl.DataFrame) -> pl.DataFrame:
    """Buy-and-hold of each name alone: its first session as a candidate."""
    return among.filter(pl.col("session") == pl.col("session").min().over("ticker"))


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
