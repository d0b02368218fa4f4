"""Steps that judge the out-of-sample scores as a signal: how they ranked what followed, and what the user's rule hangs on.

The accounts themselves are `backtests.py`'s business; whether the scores are any good as probabilities, `records.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quant_assets.backtest.rules import RANKED
from quant_assets.backtest.run import BacktestTables, backtest_portfolio
from quant_assets.backtest.thresholds import STRATEGY, figures_at, swept
from quant_assets.calendars import Window, sessions
from quant_assets.demand import competing_tickers, told_among
from quant_assets.eligibility import tradable_tickers
from quant_assets.lake import coverage
from quant_assets.membership import inside
from quant_assets.models.terms import HORIZON_SESSIONS, MODEL_NAME
from quant_assets.reporting import wording
from quant_assets.schemas import TABLES
from quant_assets.steps.records import record_of
from quant_assets.steps.result import StepResult
from quant_assets.validation.signal_quality import measure, summary
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]


def judge_scores(work: Workspace, windows: Windows) -> StepResult:
    """What the scores of each session said of the returns after it; the rows of the windows are stored, as known at `as_of`.

    All sessions since the first score are measured, for the figures: the record by horizon, that of the last window, and by year.
    """
    among = competing_tickers(work)
    asked = _asked(work, windows)
    for table in ("prices", "oos_predictions"):
        coverage.require_complete(work.lake, table, work.universe, among, work.out_of_sample)
    scores = work.lake.scan("oos_predictions", keys=among, window=work.out_of_sample, scope={"model": MODEL_NAME}).collect()
    prices = work.lake.scan("prices", keys=among, window=work.out_of_sample)
    since = scores.drop_nulls("score")["session"].min() or asked.end
    days = measure(inside(scores, work.eligible()), prices, since=since, as_of=work.as_of)  # type: ignore[arg-type]
    within = days.filter(pl.col("session").is_between(asked.start, asked.end, closed="left"))
    spec = TABLES["signal_quality"]
    rows = told_among(work, within, among).with_columns(model=pl.lit(MODEL_NAME)).select(list(spec.schema))
    work.lake.replace("signal_quality", rows, keys=None, window=asked, scope={"model": MODEL_NAME})
    last, window = max(windows.items())
    beside = record_of(work)
    figures = {
        "record": _by_horizon(days),
        "beside_baselines": {name: wording.skill_line(skill) for name, skill in beside.rivals.items()},
        f"quarter {last}": _by_horizon(days.filter(pl.col("session").is_between(window.start, window.end, closed="left"))),
        "by_year": summary(days.filter(horizon=HORIZON_SESSIONS).with_columns(year=pl.col("session").dt.year()), "year"),
    }
    return StepResult(rows.sort(spec.sort_order), figures)


def sweep_thresholds(work: Workspace, windows: Windows) -> StepResult:
    """The portfolio account of the user's rule at each threshold, from the first cut-off on, by the end of each window.

    The figures hold the Sharpe ratio of the rule without a threshold by the end of the last one.
    """
    among = competing_tickers(work)
    names = [name for name in tradable_tickers(work) if name in among]
    asked = _asked(work, windows)
    since = Window(work.settings.grids.first_cutoff, asked.end)
    for table in ("prices", "features", "oos_predictions"):
        coverage.require_complete(work.lake, table, work.universe, names, since)
    prices = work.lake.scan("prices", keys=names, window=since).collect()
    scores = work.lake.scan("oos_predictions", keys=names, window=since, scope={"model": MODEL_NAME}).collect()
    atr = work.lake.scan("features", keys=names, window=since, columns=["ticker", "session", "atr_14"]).collect()
    delisted = {known.ticker: known.delisted for known in work.universe.listings if known.delisted}
    ends = [sessions(work.known(window))[-1] for window in windows.values()]

    def booked(strategy: str, threshold: float) -> BacktestTables:
        return backtest_portfolio(
            prices,
            scores,
            atr,
            as_of=asked.last_day,
            strategies=[strategy],
            threshold=threshold,
            among=among,
            eligible=work.eligible(),
            delisted=delisted,
        )

    own = work.settings.signal.score_threshold
    parts = [figures_at(booked(STRATEGY, tried), STRATEGY, ends).with_columns(threshold=pl.lit(tried)) for tried in swept(own)]
    [fixed] = RANKED
    untuned = figures_at(booked(fixed, own), fixed, ends[-1:])["sharpe"]
    spec = TABLES["threshold_sweep"]
    rows = told_among(work, pl.concat(parts), among).with_columns(strategy=pl.lit(STRATEGY)).select(list(spec.schema))
    work.lake.replace("threshold_sweep", rows, keys=None, window=asked, scope={"strategy": STRATEGY})
    return StepResult(rows.sort(spec.sort_order), {"sharpe_of_top_fifth": untuned.item() if untuned.len() else None})


def _asked(work: Workspace, windows: Windows) -> Window:
    return work.known(Window(min(w.start for w in windows.values()), max(w.end for w in windows.values())))


def _by_horizon(days: pl.DataFrame) -> dict[str, str]:
    """The figures of each horizon that has ended for some session, in words."""
    return {f"horizon {row['horizon']}": _told(row) for row in summary(days).iter_rows(named=True) if row["sessions"]}


def _told(row: Mapping[str, Any]) -> str:
    parts = [f"rank IC {row['rank_ic']:+.3f}{_t(row['rank_ic_t'])}", f"IC {row['ic']:+.3f}{_t(row['ic_t'])}"]
    if row["spread"] is not None:
        parts.append(f"Q5 - Q1 {row['spread']:+.2%}{_t(row['spread_t'])}")
    if row["turnover"] is not None:
        parts.append(f"turnover {row['turnover']:.0%}")
    return f"{', '.join(parts)}; {row['sessions']:,} sessions of {row['names']:.0f} names"


def _t(value: float | None) -> str:
    return "" if value is None else f" (t {value:+.1f})"
