"""What a daily report is made of, gathered by the caller before anything is drawn. Nothing here computes or formats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from quant_assets.backtest.metrics import Performance
from quant_assets.settings import Signal

if TYPE_CHECKING:
    from quant_assets.validation.record import Record


@dataclass(frozen=True)
class PerformanceRow:
    """One account of one rule; an account that never ran has no row.

    Parameters
    ----------
    strategy : one of STRATEGIES.
    account : "portfolio" or "ticker".
    ticker : the name; PORTFOLIO for the account over all.
    """

    strategy: str
    account: str
    ticker: str
    figures: Performance


@dataclass(frozen=True)
class ModelCard:
    """The model behind today's scores; `unproven` is the sentence that says which gate it failed, None when it passed."""

    name: str
    run_id: str
    cutoff: dt.date
    feature_set: str
    base_rate: float
    best_round: int
    unproven: str | None


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page shows.

    Parameters
    ----------
    as_of : the session the signals belong to.
    bands : edges of the signal bands and the threshold of the user's rule.
    report : `daily_report` rows of that session.
    synthesis : `trade_synthesis` rows of that session.
    prices : ticker, session, open, high, low, close, price_basis, ema_9, ema_21, ema_200, bollinger_upper, bollinger_middle,
        bollinger_lower; prices adjusted as of `as_of`, null where not defined; the last 252 sessions of a name are drawn.
    equity : `equity` rows, all strategies and accounts.
    performance : figures of the accounts in `equity`.
    record : of the scores out of sample; one without rows when none has come due.
    importances : (feature, share of gain), shares of all features sum to one.
    model : None when no model has been trained.
    scorecard : the newest `quality_scorecard` rows up to `as_of`, of one session; none before the first.
    survivorship : what the list of names says of its own making, in a sentence.
    notes : sentences on missing sources and data quality, shown as given.
    """

    as_of: dt.date
    profile: str
    bands: Signal
    report: pl.DataFrame
    synthesis: pl.DataFrame
    prices: pl.DataFrame
    equity: pl.DataFrame
    performance: Sequence[PerformanceRow]
    record: Record
    importances: Sequence[tuple[str, float]]
    model: ModelCard | None
    scorecard: pl.DataFrame
    survivorship: str
    notes: Sequence[str]
