"""Steps that trade the out-of-sample scores: each name's own account, and what needs all names at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.backtest.rules import ALONE, RANKED, STRATEGIES
from quant_assets.backtest.run import BacktestTables, backtest_portfolio, backtest_tickers
from quant_assets.calendars import Window
from quant_assets.demand import competing_tickers, score_versions
from quant_assets.eligibility import tradable_tickers, with_rule_suffix
from quant_assets.lake import coverage
from quant_assets.models.terms import MODEL_NAME
from quant_assets.schemas import TABLES
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]


def backtest_names(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """$10,000 for each name by the user's rule and by buy-and-hold, from the first cut-off on; the rows of the windows are stored."""
    tradable = [ticker for ticker in tradable_tickers(work) if ticker in tickers]
    names = ready(work, tradable, _needs(work, windows))
    booked = _book(work, names.tickers, windows, "ticker", ALONE, among=())
    withheld = names.withheld(list(windows))
    with_account = sorted({*booked.equity["ticker"], *names.missing})
    note(work, "equity", with_account, windows, run_id=run_id, withheld=withheld)
    return dataclasses.replace(_result(booked, names.tickers), withheld=withheld)


def backtest_together(work: Workspace, windows: Windows) -> StepResult:
    """One $10,000 over all names by each rule, and each name's account by the fixed rule, which ranks all names of a session."""
    among = competing_tickers(work)
    names = [name for name in tradable_tickers(work) if name in among]
    for table, window in _needs(work, windows).items():
        coverage.require_complete(work.lake, table, work.universe, names, window)
    portfolio = _book(work, names, windows, "portfolio", STRATEGIES, among=among)
    ranked = _book(work, names, windows, "ticker", RANKED, among=among)
    return _result(BacktestTables(pl.concat([portfolio.trades, ranked.trades]), pl.concat([portfolio.equity, ranked.equity])), names)


def _span(work: Workspace, windows: Windows) -> tuple[Window, Window]:
    """(what is asked for, what an account that began at the first cut-off has to know for it)."""
    asked = work.known(Window(min(w.start for w in windows.values()), max(w.end for w in windows.values())))
    return asked, Window(work.settings.grids.first_cutoff, asked.end)


def _needs(work: Workspace, windows: Windows) -> dict[str, Window]:
    return dict.fromkeys(("prices", "features", "oos_predictions"), _span(work, windows)[1])


def _book(
    work: Workspace, names: Sequence[str], windows: Windows, account: str, strategies: Sequence[str], *, among: Sequence[str]
) -> BacktestTables:
    asked, since = _span(work, windows)
    prices = work.lake.scan("prices", keys=names, window=since).collect()
    scores = work.lake.scan("oos_predictions", keys=names, window=since, scope={"model": MODEL_NAME}).collect()
    atr = work.lake.scan("features", keys=names, window=since, columns=["ticker", "session", "atr_14"]).collect()
    threshold, eligible = work.settings.signal.score_threshold, work.eligible()
    delisted = {known.ticker: known.delisted for known in work.universe.listings if known.delisted}
    if account == "ticker":
        tables = backtest_tickers(
            prices,
            scores,
            atr,
            tickers=names,
            strategies=strategies,
            as_of=asked.last_day,
            threshold=threshold,
            among=among,
            eligible=eligible,
            delisted=delisted,
        )
    else:
        tables = backtest_portfolio(
            prices, scores, atr, as_of=asked.last_day, threshold=threshold, among=among, eligible=eligible, delisted=delisted
        )
    inside = pl.col("session").is_between(asked.start, asked.end, closed="left")
    traded = tables.equity.drop("scores").join(score_versions(work), on=pl.col("session").dt.truncate("1q"), how="left")
    traded = with_rule_suffix(traded, work).with_columns(rule=pl.concat_str("rule", "suffix"))
    equity = TABLES["equity"].conform(traded.select(list(TABLES["equity"].schema)))
    booked = BacktestTables(tables.trades.filter(inside), equity.filter(inside))
    for strategy in strategies:
        scope = {"account": account, "strategy": strategy}
        mine = pl.col("strategy") == strategy
        # a portfolio's equity belongs to PORTFOLIO, its trades to names: both are replaced whole
        keys = list(names) if account == "ticker" else None
        work.lake.replace("trades", booked.trades.filter(mine), keys=keys, window=asked, scope=scope)
        work.lake.replace("equity", booked.equity.filter(mine), keys=keys, window=asked, scope=scope)
    return booked


def _result(booked: BacktestTables, names: Sequence[str]) -> StepResult:
    spec = TABLES["equity"]
    counts = booked.trades.group_by("strategy", "account").len().sort("account", "strategy")
    closed = {f"{account}/{strategy}": n for strategy, account, n in counts.iter_rows()}
    return StepResult(booked.equity.sort(spec.sort_order), {"tradable": list(names), "closed_trades": closed})
