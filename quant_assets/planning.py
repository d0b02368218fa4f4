"""What a night still has to do: the missing cells of each phase, cut into rectangles that one run each can fill.

Runs are started in `defs/nightly.py`, what they do is in `steps/`. Here is only arithmetic on what the lake holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence, Set
from dataclasses import dataclass

import polars as pl

from quant_assets.backtest.rules import ALONE, RANKED, STRATEGIES, rule_of
from quant_assets.backtest.run import PORTFOLIO
from quant_assets.calendars import Window, day_window, session_table
from quant_assets.decisions.signal import rule_of as decision_rule_of
from quant_assets.lake import coverage
from quant_assets.models.pooled import MEMBERS, MODEL_NAME
from quant_assets.sources import sources
from quant_assets.workspace import Workspace

Cell = tuple[str, str]


@dataclass(frozen=True)
class Rectangle:
    """What one run asks for: adjacent tickers, in the universe's order, times adjacent windows; no tickers on a grid without them."""

    tickers: tuple[str, ...]
    windows: tuple[str, ...]


@dataclass(frozen=True)
class Phase:
    """One job of the night: its name, its grid, and the tables whose cells tell whether there is work."""

    name: str
    tables: tuple[str, ...]
    by_ticker: bool


PHASES = (
    Phase("indices", ("index_prices",), by_ticker=False),
    Phase("prices", ("prices",), by_ticker=True),
    Phase("features", ("features", "labels"), by_ticker=True),
    Phase("train", ("model_runs",), by_ticker=False),
    Phase("predict", ("oos_predictions",), by_ticker=True),
    Phase("backtest", ("equity",), by_ticker=True),
    Phase("portfolio", ("equity",), by_ticker=False),
    Phase("decide", ("signal", "trade_synthesis"), by_ticker=True),
    Phase("report", ("daily_report",), by_ticker=False),
)


def windows_of(phase: Phase, work: Workspace) -> dict[str, Window]:
    """Date keys of the phase's grid, up to the night."""
    if phase.name in ("indices", "prices", "features"):
        return work.year_windows()
    if phase.name in ("train", "predict", "backtest", "portfolio"):
        return work.quarter_windows()
    return {work.as_of.isoformat(): day_window(work.as_of)}


def missing_cells(phase: Phase, work: Workspace, *, tickers: Sequence[str]) -> set[Cell]:
    """Cells of the phase that are not complete up to `as_of`; on a grid without tickers the key is ALL."""
    holes = pl.concat([_holes(phase, table, work, tickers) for table in phase.tables])
    cells = coverage.by_cell(holes, windows_of(phase, work))
    keys = cells["key"] if phase.by_ticker else [coverage.ALL] * cells.height
    return set(zip(keys, cells["window"], strict=True))


def rectangles(cells: set[Cell], order: Sequence[str], windows: Sequence[str], *, free: Set[Cell] = frozenset()) -> list[Rectangle]:
    """The cells as few rectangles: each ticker's windows cut into adjacent stretches, equal stretches of adjacent tickers joined.

    Parameters
    ----------
    order, windows : tickers and date keys in the order of the grid.
    free : cells without anything to do (before a listing), which a stretch may take along to equal its neighbours'.
    """
    first = min((window for _, window in cells), default="")
    open_stretches: dict[tuple[str, ...], list[str]] = {}
    done: list[Rectangle] = []
    for ticker in order:
        wanted = [window for window in windows if (ticker, window) in cells]
        if wanted:
            leading = [window for window in windows if first <= window < wanted[0]]
            if all((ticker, window) in free for window in leading):
                wanted = leading + wanted
        mine = _stretches(wanted, windows)
        for stretch in [stretch for stretch in open_stretches if stretch not in mine]:
            done.append(Rectangle(tuple(open_stretches.pop(stretch)), stretch))
        for stretch in mine:
            open_stretches.setdefault(stretch, []).append(ticker)
    done += [Rectangle(tuple(tickers), stretch) for stretch, tickers in open_stretches.items()]
    return sorted(done, key=lambda rectangle: (rectangle.windows, rectangle.tickers))


def plan(phase: Phase, work: Workspace, *, tickers: Sequence[str]) -> list[Rectangle]:
    """The runs that would complete the phase for these tickers, in order."""
    cells = missing_cells(phase, work, tickers=tickers)
    windows = windows_of(phase, work)
    if phase.by_ticker:
        free = {(known.ticker, key) for known in work.universe.listings for key, window in windows.items() if window.end <= known.listed}
        return rectangles(cells, work.universe.tickers, list(windows), free=free)
    found = rectangles(cells, [coverage.ALL], list(windows))
    return [Rectangle((), rectangle.windows) for rectangle in found]


def _stretches(wanted: Sequence[str], windows: Sequence[str]) -> list[tuple[str, ...]]:
    position = {window: place for place, window in enumerate(windows)}
    stretches: list[list[str]] = []
    for window in wanted:
        if stretches and position[window] == position[stretches[-1][-1]] + 1:
            stretches[-1].append(window)
        else:
            stretches.append([window])
    return [tuple(stretch) for stretch in stretches]


def _holes(phase: Phase, table: str, work: Workspace, tickers: Sequence[str]) -> pl.DataFrame:
    """key, session of the table that are expected and not stored, or stored without what was written beside them."""
    span = work.history if phase.name in ("indices", "prices", "features") else work.out_of_sample
    if table == "index_prices":
        series = sorted(key for source in sources(work.settings.profile, table) for key in source.offers())
        return coverage.holes(coverage.every_session(series, span), coverage.stored_sessions(work.lake, table, span))
    if table == "model_runs":
        return _untrained_cutoffs(work)
    if table == "daily_report":
        night = day_window(work.as_of)
        return coverage.holes(coverage.listed_sessions(work.universe, night), coverage.stored_sessions(work.lake, table, night))
    if table == "equity":
        names = [name for name in tradable_tickers(work) if name in tickers] if phase.by_ticker else competing_tickers(work)
        unbooked = _unbooked_sessions(work, phase, names)
        if not phase.by_ticker:
            return unbooked
        own = _open_sessions(work, names).filter(account="ticker").select("session", key="ticker")
        return pl.concat([unbooked, _unrecorded(phase, table, work, own)])
    if table == "oos_predictions":
        expected = coverage.listed_sessions(work.universe, span, tickers=tickers)
        stored = coverage.stored_sessions(work.lake, table, span, scope={"model": MODEL_NAME})
    elif table in ("signal", "trade_synthesis"):
        night = day_window(work.as_of)
        expected = coverage.listed_sessions(work.universe, night, tickers=tickers)
        stored = coverage.stored_sessions(work.lake, table, night) if table == "trade_synthesis" else _decided(work, night)
    else:
        expected = coverage.listed_sessions(work.universe, span, tickers=tickers)
        stored = coverage.stored_sessions(work.lake, table, span)
    return pl.concat([coverage.holes(expected, stored), _unrecorded(phase, table, work, expected)])


def _unrecorded(phase: Phase, table: str, work: Workspace, expected: pl.DataFrame) -> pl.DataFrame:
    return coverage.unrecorded(work.lake, table, expected, windows_of(phase, work))


def _decided(work: Workspace, night: Window) -> pl.DataFrame:
    decided = work.lake.scan("signal", window=night).filter(pl.col("rule") == decision_rule_of(work.settings.signal))
    return decided.select(key="ticker", session="session").collect()


def _untrained_cutoffs(work: Workspace) -> pl.DataFrame:
    """Cut-offs without a model, and the night's own when its model has no bootstrap members yet."""
    cutoffs = pl.DataFrame(
        {"key": coverage.ALL, "session": [window.start for window in work.quarter_windows().values()]}, schema=coverage.SESSION_SCHEMA
    )
    trained = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME})
    enough = (pl.col("members") >= MEMBERS) | (pl.col("cutoff") != work.cutoff)
    return coverage.holes(cutoffs, trained.filter(enough).select(key=pl.lit(coverage.ALL), session="cutoff").collect())


def _unbooked_sessions(work: Workspace, phase: Phase, names: Sequence[str]) -> pl.DataFrame:
    """key, session on which an account of the phase has no line, has one by another rule, or a journal that does not count its exits."""
    threshold = work.settings.signal.score_threshold
    accounts = [("ticker", strategy, rule_of(strategy, threshold=threshold)) for strategy in ALONE]
    if not phase.by_ticker:
        accounts = [("ticker", strategy, rule_of(strategy, threshold=threshold, among=names)) for strategy in RANKED]
        accounts += [("portfolio", strategy, rule_of(strategy, threshold=threshold, among=names)) for strategy in STRATEGIES]
    owner = ["account", "strategy", "ticker", "session"]
    expected = (
        pl.DataFrame(accounts, schema={"account": pl.String, "strategy": pl.String, "rule": pl.String}, orient="row")
        .join(_open_sessions(work, names), on="account")
        .select(*owner, "rule")
    )
    booked = (
        work.lake.scan("equity", window=work.out_of_sample, columns=[*owner, "rule", "exits"])
        .sort(owner)
        .with_columns(pl.col("exits").diff().over(owner[:3]).fill_null(pl.col("exits")))
        .collect()
    )
    account_name = pl.when(pl.col("account") == "portfolio").then(pl.lit(PORTFOLIO)).otherwise(pl.col("ticker"))
    journal = work.lake.scan("trades", window=work.out_of_sample).with_columns(ticker=account_name).group_by(owner).agg(rows=pl.len())
    sound = booked.join(journal.collect(), on=owner, how="left").filter(pl.col("exits") == pl.col("rows").fill_null(0))
    return expected.join(sound, on=[*owner, "rule"], how="anti").select(key="ticker", session="session").unique()


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


def tradable_tickers(work: Workspace) -> list[str]:
    """Names of the universe with bars as traded: the only ones a backtest may buy."""
    last_year = Window(dt.date(work.as_of.year - 1, 1, 1), work.after_as_of)
    basis = work.lake.scan("prices", keys=work.universe.tickers, window=last_year, columns=["ticker", "price_basis"])
    raw: list[str] = basis.filter(pl.col("price_basis") == "raw").select("ticker").unique().sort("ticker").collect()["ticker"].to_list()
    return raw


def competing_tickers(work: Workspace) -> list[str]:
    """Tradable names without a hole in their scores; the others are left out of a ranking rather than stopping it."""
    expected = coverage.listed_sessions(work.universe, work.out_of_sample)
    stored = coverage.stored_sessions(work.lake, "oos_predictions", work.out_of_sample, scope={"model": MODEL_NAME})
    incomplete = set(coverage.holes(expected, stored)["key"])
    return [ticker for ticker in tradable_tickers(work) if ticker not in incomplete]
