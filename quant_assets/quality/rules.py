"""What can be true of a table, value by value, declared once: `suites.py` asks it of whole tables, `row_gate.py` of each row that arrives.

What is possible and unlikely is `doubts.py`'s business, how a bar follows from the one before it `gate.py`'s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.features.catalog import ACROSS, OF_BARS
from quant_assets.features.feature import Feature
from quant_assets.schemas import SESSION, TABLES


@dataclass(frozen=True)
class Between:
    """Finite, and from `low` to `high`, both in unless `above`: then `low` itself is not. None is no bound."""

    column: str
    low: float | None = None
    high: float | None = None
    above: bool = False


@dataclass(frozen=True)
class NotBelow:
    """`column` >= `other`, where both are there."""

    column: str
    other: str


@dataclass(frozen=True)
class OneOf:
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class OnSession:
    """The exchange was open that day."""

    column: str


Rule = Between | NotBelow | OneOf | OnSession


def positive(*columns: str) -> tuple[Rule, ...]:
    return tuple(Between(column, 0, above=True) for column in columns)


def not_negative(*columns: str) -> tuple[Rule, ...]:
    return tuple(Between(column, 0) for column in columns)


def _bar() -> tuple[Rule, ...]:
    return (
        *positive("open", "high", "low", "close"),
        *(NotBelow("high", other) for other in ("open", "low", "close")),
        *(NotBelow(other, "low") for other in ("open", "close")),
        *not_negative("volume"),
    )


def _in_range(features: Mapping[str, Feature]) -> tuple[Rule, ...]:
    """A ratio of sums may pass its bound by a rounding."""
    bounds = ((name, feature.low, feature.high) for name, feature in features.items())
    return tuple(
        Between(name, None if low is None else low - ROUNDING, None if high is None else high + ROUNDING) for name, low, high in bounds
    )


ROUNDING = 1e-9
_ACCOUNT = OneOf("account", ("ticker", "portfolio")), OneOf("strategy", ("threshold", "top_fifth", "buy_and_hold"))
_BANDS = OneOf("signal", ("STRONG_BULL", "BULL", "NEUTRAL", "BEAR", "STRONG_BEAR"))
_INTERVAL = NotBelow("ci_high", "ci_low")
_RULES: dict[str, tuple[Rule, ...]] = {
    "prices": (*_bar(), *positive("split_factor"), *not_negative("dividend"), OneOf("price_basis", ("raw", "adjusted"))),
    "index_prices": _bar(),
    "option_chain": (
        *positive("strike", "multiplier", "underlying"),
        *not_negative("bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest", "vendor_implied_volatility"),
        OneOf("right", ("call", "put")),
        Between("vendor_delta", -1, 1),
        *not_negative("vendor_gamma", "vendor_vega"),
    ),
    "quotes": (
        *positive("last", "open", "high", "low", "vwap", "previous_close"),
        *not_negative("bid", "ask", "bid_size", "ask_size", "last_size", "volume"),
        NotBelow("high", "low"),
    ),
    "fundamentals": (NotBelow("period_end", "period_start"),),
    "earnings": (
        OneOf("announced_when", ("before_open", "in_session", "after_close")),
        Between("fiscal_quarter", 1, 4),
    ),
    "news_sentiment": (
        *(Between(name, 0, 1) for name in ("bullish", "bearish", "score", "sector_score")),
        *not_negative("articles_in_week", "buzz"),
    ),
    "insider_transactions": not_negative("price"),
    "recommendations": not_negative("strong_buy", "buy", "hold", "sell", "strong_sell"),
    "holders": (OneOf("kind", ("institution", "fund")), *not_negative("shares", "fraction", "value")),
    "features": _in_range(OF_BARS),
    "cross_section_features": _in_range(ACROSS),
    "feature_gaps": (*positive("sessions"), *not_negative("warm_up"), NotBelow("sessions", "warm_up")),
    "labels": (Between("label", 0, 1), Between("ret", -1), NotBelow("label_end", "label_start")),
    "model_runs": (
        *not_negative("n_rows", "n_tickers", "best_round", "validation_log_loss", "members"),
        *(Between(name, 0, 1) for name in ("base_rate", "validation_auc")),
        NotBelow("train_end", "train_start"),
        NotBelow("cutoff", "train_end"),
    ),
    "oos_predictions": (Between("score", 0, 1), Between("base_rate", 0, 1)),
    "trades": (
        *_ACCOUNT,
        *positive("entry_shares", "exit_shares", "entry_price", "exit_price"),
        *not_negative("stop_price", "commission", "spread_cost", "dividends"),
        OneOf("exit_reason", ("time", "stop", "gap", "delisted")),
        NotBelow("entered", "decided"),
        NotBelow("session", "entered"),
    ),
    "equity": (*_ACCOUNT, *not_negative("position", "entries", "exits", "costs"), NotBelow("entries", "exits")),
    "signal_quality": (
        *positive("horizon"),
        *not_negative("scored", "names"),
        *(Between(name, -1 - ROUNDING, 1 + ROUNDING) for name in ("ic", "rank_ic")),
        *(Between(f"q{place}", -1) for place in range(1, 6)),
        Between("turnover", 0, 1),
        NotBelow("ends", "session"),
        NotBelow("scored", "names"),
    ),
    "threshold_sweep": (
        OneOf("strategy", ("threshold",)),
        *(Between(name, 0, 1) for name in ("threshold", "win_rate")),
        *not_negative("n_trades", "n_entries", "volatility_annual", "total_costs"),
        Between("max_drawdown", -1, 0),
        NotBelow("n_entries", "n_trades"),
        NotBelow("session", "first"),
    ),
    "signal": (_BANDS, _INTERVAL, *(Between(name, 0, 1) for name in ("score", "base_rate", "ci_low", "ci_high")), *positive("close")),
    "trade_synthesis": (OneOf("verdict", ("BUY", "AVOID", "WATCH", "NO_DECISION")), OneOf("confidence", ("LOW", "MEDIUM", "HIGH"))),
    "daily_report": (_BANDS, _INTERVAL, *(Between(name, 0, 1) for name in ("score", "base_rate", "ci_low", "ci_high")), Between("rank", 1)),
    "coverage": (
        *not_negative("expected", "present", "logged", "quarantined"),
        OneOf("status", ("complete", "partial", "withheld", "failed")),
    ),
    "rulings": (OneOf("ruling", ("released", "rejected")),),
    "quality_scorecard": (
        *not_negative("expected", "present", "gaps", "longest_gap", "repaired", "disagreements", "quarantined", "broken", "doubtful"),
    ),
    "leak_proof": (
        OneOf("subject", ("features", "labels", "scores", "stored", "inputs")),
        *not_negative("compared", "differing"),
        NotBelow("compared", "differing"),
        *positive("cuts"),
    ),
}


ANY_DAY = ("quarantine", "quality_log", "rulings")
"""What they tell of may have been dated by a day that is no session."""


def rules(table: str) -> tuple[Rule, ...]:
    """Those declared, and what follows from the schema: numbers are finite, a session is one."""
    spec, declared = TABLES[table], _RULES.get(table, ())
    bounded = {rule.column for rule in declared if isinstance(rule, Between)}
    return (
        *declared,
        *(Between(column.name) for column in spec.columns if column.dtype == pl.Float64 and column.name not in bounded),
        *(OnSession(column.name) for column in spec.columns if column == SESSION and table not in ANY_DAY),
    )


def broken(rule: Rule) -> pl.Expr:
    """True where the rule is broken; a null breaks none."""
    column = pl.col(rule.column)
    match rule:
        case Between(_, low, high, above):
            number = column.cast(pl.Float64)
            under = pl.lit(False) if low is None else (number <= low if above else number < low)
            over = pl.lit(False) if high is None else number > high
            found = ~number.is_finite() | under | over
        case NotBelow(_, other):
            found = column < pl.col(other)
        case OneOf(_, values):
            found = ~column.is_in(values)
        case OnSession():
            found = ~column.is_in(sessions_known().implode())
    return found.fill_null(False)


def limit(rule: Rule) -> str:
    """What the rule asks of its value."""
    match rule:
        case Between(_, None, None):
            return "must be a finite number"
        case Between(_, low, None, above):
            return f"must {'be above' if above else 'not be below'} {low:g}"
        case Between(_, low, high):
            return f"must be between {low:g} and {high:g}"
        case NotBelow(_, other):
            return f"must not be below its {other}"
        case OneOf(_, values):
            return f"must be one of {', '.join(values)}"
        case OnSession():
            return "must be a session of the exchange"


def sessions_known() -> pl.Series:
    """Every session of the exchange's calendar."""
    return session_table(Window(dt.date.min, dt.date.max))["session"]
