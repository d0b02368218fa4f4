"""From a score to a decision: bands and status. What the score is comes from `models/`; words about it are `synthesis.py`'s."""

from __future__ import annotations

import polars as pl

from quant_assets.settings import Signal


def band(score: pl.Expr, settings: Signal) -> pl.Expr:
    """STRONG_BULL above 0.72, BULL above 0.62, BEAR below 0.38, STRONG_BEAR below 0.28, else NEUTRAL (limits from settings); null
    without a score."""
    return (
        pl.when(score.is_null())
        .then(pl.lit(None, dtype=pl.String))
        .when(score > settings.strong_bull)
        .then(pl.lit("STRONG_BULL"))
        .when(score > settings.bull)
        .then(pl.lit("BULL"))
        .when(score < settings.strong_bear)
        .then(pl.lit("STRONG_BEAR"))
        .when(score < settings.bear)
        .then(pl.lit("BEAR"))
        .otherwise(pl.lit("NEUTRAL"))
    )


def rule_of(settings: Signal) -> str:
    """Bands and threshold in words, stored with each signal: one decided by another rule is decided again."""
    edges = f"{settings.strong_bear:g}, {settings.bear:g}, {settings.bull:g}, {settings.strong_bull:g}"
    return f"bands {edges}; buy above {settings.score_threshold:g}"


def ranked(score: pl.Expr) -> pl.Expr:
    """1 for the highest score; equal scores share the better rank; null without a score."""
    return score.rank("min", descending=True).cast(pl.Int64)
