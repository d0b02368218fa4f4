"""What each table must hold by the night, and what of it is missing or stands no longer: read from the lake alone, never from a log.

A row stands no longer when it was made by something that is not there today: another feature set, another model, another rule. Which run
fills what is missing is `planning.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from quant_assets import freshness, warehouse
from quant_assets.backtest.rules import ALONE, RANKED, STRATEGIES, rule_of
from quant_assets.backtest.run import PORTFOLIO
from quant_assets.calendars import Window, day_window, session_table, sessions
from quant_assets.decisions.signal import rule_of as decision_rule_of
from quant_assets.features.catalog import ALL_FEATURES, MODEL_FEATURES, feature_set_hash
from quant_assets.lake import coverage
from quant_assets.models.terms import MEMBERS, MODEL_NAME
from quant_assets.sources import sources
from quant_assets.workspace import Workspace

HISTORY, TRAINING, DECISION = "history", "training", "decision"
GRIDS = {
    **dict.fromkeys(("index_prices", "prices", "features", "labels", "warehouse"), HISTORY),
    **dict.fromkeys(("model_runs", "oos_predictions", "equity", "portfolio"), TRAINING),
    **dict.fromkeys(("signal", "trade_synthesis", "daily_report"), DECISION),
}
"""The grid of each table that a night fills. `portfolio` is the part of `equity` and `trades` that needs all names at once,
`warehouse` the DuckDB file that shows the lake."""
SERIES = {"index_prices", "model_runs", "portfolio", "warehouse"}
"""Tables without a ticker dimension."""


@dataclass(frozen=True)
class Demand:
    """`expected` and `holes`: key, session. A cell whose log or journal was lost has one hole at least."""

    expected: pl.DataFrame
    holes: pl.DataFrame


def windows_of(table: str, work: Workspace, *, since: dt.date | None = None) -> dict[str, Window]:
    """Date keys of the table's grid, up to the night; on the decision grid from `since` on, the night alone when None."""
    if GRIDS[table] == HISTORY:
        return work.year_windows()
    if GRIDS[table] == TRAINING:
        return work.quarter_windows()
    return {day.isoformat(): day_window(day) for day in sessions(Window(since or work.as_of, work.after_as_of))}


def demand(table: str, work: Workspace, tickers: Sequence[str], *, since: dt.date | None = None) -> Demand:
    """What the table must hold of these tickers up to `as_of`; the tickers play no part in a table without them.

    Parameters
    ----------
    since : the first session whose decisions are asked for; None: those of the night alone.
    """
    decided = Window(since or work.as_of, work.after_as_of)
    if table == "index_prices":
        series = sorted(key for source in sources(work.settings.profile, table) for key in source.offers())
        expected = coverage.every_session(series, work.history)
        return Demand(expected, coverage.holes(expected, coverage.stored_sessions(work.lake, table, work.history)))
    if table == "model_runs":
        return _trained(work)
    if table == "portfolio":
        return _booked_together(work)
    if table == "warehouse":
        return _shown(work)
    if table == "daily_report":
        expected = coverage.listed_sessions(work.universe, decided)
        return Demand(expected, coverage.holes(expected, coverage.stored_sessions(work.lake, table, decided)))
    if table == "equity":
        found = _booked_alone(work, tickers)
    else:
        span = {HISTORY: work.history, TRAINING: work.out_of_sample, DECISION: decided}[GRIDS[table]]
        expected = coverage.listed_sessions(work.universe, span, tickers=tickers)
        found = Demand(expected, coverage.holes(expected, _standing(table, work, span)))
    version = ALL_FEATURES if table == "features" else None
    lost = coverage.unrecorded(work.lake, table, found.expected, windows_of(table, work, since=since), version=version)
    return Demand(found.expected, pl.concat([found.holes, lost, freshness.outdated(table, work, found.expected)]).unique())


def tradable_tickers(work: Workspace) -> list[str]:
    """Names of the universe with bars as traded: the only ones a backtest may buy."""
    last_year = Window(dt.date(work.as_of.year - 1, 1, 1), work.after_as_of)
    basis = work.lake.scan("prices", keys=work.universe.tickers, window=last_year, columns=["ticker", "price_basis"])
    raw: list[str] = basis.filter(pl.col("price_basis") == "raw").select("ticker").unique().sort("ticker").collect()["ticker"].to_list()
    return raw


def competing_tickers(work: Workspace) -> list[str]:
    """Names of the universe without a hole in their scores; the others are left out of a ranking rather than stopping it.

    Among them are names not listed yet and names that no backtest may buy: what an account chose among does not depend on when it is asked.
    """
    incomplete = set(demand("oos_predictions", work, work.universe.tickers).holes["key"])
    return [ticker for ticker in work.universe.tickers if ticker not in incomplete]


def score_versions(work: Workspace) -> pl.DataFrame:
    """session (first day of a quarter), scores: a hash of the models of all cut-offs up to that one."""
    runs = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME}).sort("cutoff").collect()
    told = accumulate(runs["model_run_id"], lambda past, run: hashlib.sha256(f"{past} {run}".encode()).hexdigest()[:12], initial="")
    return pl.DataFrame({"session": runs["cutoff"], "scores": list(told)[1:]}, schema={"session": pl.Date, "scores": pl.String})


def _standing(table: str, work: Workspace, span: Window) -> pl.DataFrame:
    """key, session of the rows that stand: scores only as long as their model does, signals as long as their score and rule do."""
    if table not in ("oos_predictions", "signal"):
        return coverage.stored_sessions(work.lake, table, span)
    scores = work.lake.scan("oos_predictions", window=span, scope={"model": MODEL_NAME})
    if table == "signal":
        read = ["ticker", "session", "score", "model_run_id"]
        rows = work.lake.scan(table, window=span).filter(rule=decision_rule_of(work.settings.signal))
        return rows.join(scores, on=read, how="semi", nulls_equal=True).select(key="ticker", session="session").collect()
    runs = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME}).select("cutoff", "model_run_id")
    return scores.join(runs, on=["cutoff", "model_run_id"], how="semi").select(key="ticker", session="session").collect()


def _trained(work: Workspace) -> Demand:
    """A model of today's feature set at every cut-off; that of the night with its bootstrap members."""
    cutoffs = [window.start for window in work.quarter_windows().values()]
    expected = pl.DataFrame({"key": coverage.ALL, "session": cutoffs}, schema=coverage.SESSION_SCHEMA)
    trained = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME})
    enough = (pl.col("members") >= MEMBERS) | (pl.col("cutoff") != work.cutoff)
    standing = trained.filter(enough, pl.col("feature_set") == feature_set_hash(MODEL_FEATURES))
    return Demand(expected, coverage.holes(expected, standing.select(key=pl.lit(coverage.ALL), session="cutoff").collect()))


def _shown(work: Workspace) -> Demand:
    """One session a year: the warehouse is built by years."""
    years = work.year_windows() if work.settings.warehouse and warehouse.is_offered() else {}
    stale = set(warehouse.stale_years(work)) if years else set()
    starts = {year: window.start for year, window in years.items()}
    expected, holes = (
        pl.DataFrame({"key": coverage.ALL, "session": days}, schema=coverage.SESSION_SCHEMA)
        for days in (list(starts.values()), [day for year, day in starts.items() if year in stale])
    )
    return Demand(expected, holes)


def _booked_alone(work: Workspace, tickers: Sequence[str]) -> Demand:
    """Each name's account by the rules that need no other name."""
    names = [name for name in tradable_tickers(work) if name in tickers]
    threshold = work.settings.signal.score_threshold
    return _booked(work, names, [("ticker", strategy, rule_of(strategy, threshold=threshold)) for strategy in ALONE])


def _booked_together(work: Workspace) -> Demand:
    """The portfolio's accounts, and each name's by the rules that rank all names."""
    among = competing_tickers(work)
    threshold = work.settings.signal.score_threshold
    accounts = [("ticker", strategy, rule_of(strategy, threshold=threshold, among=among)) for strategy in RANKED]
    accounts += [("portfolio", strategy, rule_of(strategy, threshold=threshold, among=among)) for strategy in STRATEGIES]
    found = _booked(work, [name for name in tradable_tickers(work) if name in among], accounts)
    return Demand(*(part.select(pl.lit(coverage.ALL).alias("key"), "session").unique() for part in (found.expected, found.holes)))


def _booked(work: Workspace, names: Sequence[str], accounts: Sequence[tuple[str, str, str]]) -> Demand:
    """Sessions on which an account must have a line: by its rule, on today's scores, with a journal that counts its exits.

    Parameters
    ----------
    accounts : (account, strategy, rule).
    """
    owner = ["account", "strategy", "ticker", "session"]
    lines = (
        pl.DataFrame(accounts, schema={"account": pl.String, "strategy": pl.String, "rule": pl.String}, orient="row")
        .join(_open_sessions(work, names), on="account")
        .join(score_versions(work), on=pl.col("session").dt.truncate("1q"), how="left")
        .select(*owner, "rule", "scores")
    )
    booked = (
        work.lake.scan("equity", window=work.out_of_sample, columns=[*owner, "rule", "scores", "exits"])
        .sort(owner)
        .with_columns(pl.col("exits").diff().over(owner[:3]).fill_null(pl.col("exits")))
    )
    account_name = pl.when(pl.col("account") == "portfolio").then(pl.lit(PORTFOLIO)).otherwise(pl.col("ticker"))
    journal = work.lake.scan("trades", window=work.out_of_sample).with_columns(ticker=account_name).group_by(owner).agg(rows=pl.len())
    standing = booked.join(journal, on=owner, how="left").filter(pl.col("exits") == pl.col("rows").fill_null(0)).collect()
    lacking = lines.join(standing, on=[*owner, "rule", "scores"], how="anti")
    return Demand(*(part.select(key="ticker", session="session").unique() for part in (lines, lacking)))


def _open_sessions(work: Workspace, names: Sequence[str]) -> pl.DataFrame:
    """account, ticker, session: from the first scored session of each account to the night."""
    scored = (
        work.lake.scan("oos_predictions", keys=names, window=work.out_of_sample, scope={"model": MODEL_NAME})
        .filter(pl.col("score").is_not_null())
        .group_by("ticker")
        .agg(first=pl.col("session").min())
        .collect()
    )
    together = scored.select(pl.lit("portfolio").alias("account"), pl.lit(PORTFOLIO).alias("ticker"), pl.col("first").min()).unique()
    days = session_table(work.out_of_sample).select("session")
    starts = pl.concat([scored.select(pl.lit("ticker").alias("account"), "ticker", "first"), together.drop_nulls()])
    return starts.join(days, how="cross").filter(pl.col("session") >= pl.col("first")).drop("first")


def cells(holes: pl.DataFrame, windows: Mapping[str, Window]) -> set[tuple[str, str]]:
    """(key, window) of each cell with a hole."""
    return set(coverage.by_cell(holes, windows).select("key", "window").iter_rows())
