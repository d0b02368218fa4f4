"""What each table must hold by the night, and what of it is missing or stands no longer: read from the lake alone, never from a log.

A row stands no longer when it was made by something that is not there today: another feature set, another model, another rule. Which run
fills what is missing is `planning.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import polars as pl

from quant_assets import freshness, gathered, warehouse
from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.rules import ALONE, RANKED, STRATEGIES, rule_of
from quant_assets.backtest.thresholds import swept
from quant_assets.calendars import Window, day_window, ends_a_week, quarter_window, session_offset, sessions
from quant_assets.decisions.signal import rule_of as decision_rule_of
from quant_assets.eligibility import tradable_tickers, with_rule_suffix
from quant_assets.features.catalog import ALL_FEATURES, feature_set_hash
from quant_assets.features.compute import READ
from quant_assets.lake import coverage
from quant_assets.lake.fingerprint import fingerprint
from quant_assets.lake.tallies import tally
from quant_assets.lake.watched import Watched
from quant_assets.models.terms import MEMBERS, MODEL_NAME, OWN_MODEL_SESSIONS, own_model
from quant_assets.schemas import TABLES
from quant_assets.sources import sources
from quant_assets.sources.splice import stored_basis
from quant_assets.validation.signal_quality import HORIZONS
from quant_assets.workspace import Workspace

HISTORY, TRAINING, DECISION = "history", "training", "decision"
GRIDS = {
    **dict.fromkeys(
        ("index_prices", "prices", "features", "cross_section_features", "labels", *gathered.ECONOMY, *gathered.COMPANIES, "warehouse"),
        HISTORY,
    ),
    **dict.fromkeys(("model_runs", "own_models", "oos_predictions", "own_scores"), TRAINING),
    **dict.fromkeys(("equity", "portfolio", "signal_quality", "threshold_sweep"), TRAINING),
    **dict.fromkeys(("leak_proof", "quality_scorecard", "signal", "trade_synthesis", "daily_report", *gathered.MARKET), DECISION),
}
"""The grid of each table that a night fills. `portfolio` is the part of `equity` and `trades` that needs all names at once,
`own_models` and `own_scores` the rows of `model_runs` and
`oos_predictions` that are of a model of one name alone, `warehouse` the DuckDB file that shows the lake."""
SERIES = {
    *("index_prices", "model_runs", "portfolio", "signal_quality", "threshold_sweep", "leak_proof", "quality_scorecard", "warehouse"),
    *gathered.ECONOMY,
}
"""Tables without a ticker dimension."""
PROVEN = (*READ, "features", "cross_section_features", "labels", "oos_predictions")
"""What a decision reads, and what that is made of."""
SCORED = ("prices", "index_prices", "quarantine", "quality_log")
ASKS_OUTSIDE = {*gathered.GATHERED, "prices", "index_prices", "warehouse"}
"""Tables whose demand depends on more than the workspace and its lake: on keys and files of vendors, on the warehouse."""
STANDS_BY = {"prices": ("source", "price_basis"), "index_prices": ("source",), "oos_predictions": ("cutoff", "model_run_id")}
"""What beside its key decides whether a row stands."""
OWNER = ("account", "strategy", "key")
CELLS = {"key": pl.String, "window": pl.String, "n": pl.UInt32, "first": pl.Date}


@dataclass(frozen=True)
class Demand:
    """Cells: key, window, n (sessions), first.

    Parameters
    ----------
    expected : cells that must hold something, and how much.
    find_holes : what `holes` calls when it is first asked for.
    """

    expected: pl.DataFrame
    find_holes: Callable[[], pl.DataFrame]

    @cached_property
    def holes(self) -> pl.DataFrame:
        """The expected cells of which something is missing, and how much; 1 where all rows are there and only their log is not."""
        return self.find_holes()


@dataclass(frozen=True)
class _Answer:
    """A demand of a workspace, which stands as long as what was read for it is unchanged."""

    work: Workspace
    read: Watched
    demand: Demand


def windows_of(table: str, work: Workspace, *, since: dt.date | None = None) -> dict[str, Window]:
    """Date keys of the table's grid, up to the night; on the decision grid from `since` on, the night alone when None."""
    if GRIDS[table] == HISTORY:
        return work.year_windows()
    if GRIDS[table] == TRAINING:
        return work.quarter_windows()
    return {day.isoformat(): day_window(day) for day in sessions(Window(since or work.as_of, work.after_as_of))}


def demand(table: str, work: Workspace, tickers: Sequence[str], *, since: dt.date | None = None) -> Demand:
    """What the table must hold of these tickers up to `as_of`; the tickers play no part in a table without them.

    A night asks for the same again before each of its phases: the lake remembers the answer for as long as what it rests on is the same.

    Parameters
    ----------
    since : the first session whose decisions are asked for; None: those of the night alone.
    """
    if table in ASKS_OUTSIDE or isinstance(work.lake, Watched):
        return _demand(table, work, tickers, since)
    asked = (table, tuple(tickers), since, work.as_of)
    before = work.lake.remembered.get(asked)
    if isinstance(before, _Answer) and before.work == work and before.read.unchanged():
        return before.demand
    read = Watched(work.lake)
    found = _demand(table, replace(work, lake=read), tickers, since)
    work.lake.remember(asked, _Answer(work, read, found))
    return found


def _demand(table: str, work: Workspace, tickers: Sequence[str], since: dt.date | None) -> Demand:
    windows = windows_of(table, work, since=since)
    if table in gathered.GATHERED:
        cells = gathered.expected(table, work, tickers, windows)
        return Demand(cells, lambda: gathered.missing(table, work, cells, windows))
    span = Window(min(window.start for window in windows.values()), work.after_as_of)
    days = coverage.placed_sessions(span, windows)
    if table == "index_prices":
        series = sorted(key for source in sources(work.settings, table) for key in source.offers())
        never = pl.lit(None, dtype=pl.Date)
        spans = pl.DataFrame({"key": series}, schema={"key": pl.String}).with_columns(start=pl.lit(span.start), end=never)
        return _rows(table, work, spans, days, span)
    if table == "model_runs":
        return _trained(work)
    if table == "own_models":
        return _trained_alone(work, tickers)
    if table == "own_scores":
        return _scored_alone(work, tickers, days)
    if table == "portfolio":
        return _booked_together(work, days)
    if table == "signal_quality":
        return _judged(work, days)
    if table == "threshold_sweep":
        return _swept(work, days)
    if table == "warehouse":
        return _shown(work)
    if table == "leak_proof":
        return _proven(work, windows)
    if table == "quality_scorecard":
        return _scored_weekly(work, windows)
    if table == "daily_report":
        return _rows(table, work, coverage.listings(work.universe), days, span)
    if table == "cross_section_features":
        lacking = set(demand("features", work, work.universe.tickers).holes["key"])
        tickers = [ticker for ticker in work.universe.tickers if ticker not in lacking]
    if table == "equity":
        found = _booked_alone(work, tickers, days)
    else:
        decided = table in ("signal", "trade_synthesis")
        spans = work.eligible(tickers) if decided else coverage.listings(work.universe, tickers, table=table)
        found = _rows(table, work, spans, days, span)

    def holes() -> pl.DataFrame:
        version = {"features": ALL_FEATURES, "cross_section_features": work.across_version}.get(table)
        lost = coverage.unrecorded(work.lake, table, found.expected, windows, version=version)
        old = found.expected.join(freshness.outdated(table, work), on=["key", "window"], how="semi")
        there = pl.concat([lost, old]).unique().with_columns(n=pl.lit(1, dtype=pl.UInt32))
        return pl.concat([found.holes, there.join(found.holes, on=["key", "window"], how="anti")])

    return Demand(found.expected, holes)


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


def told_among(work: Workspace, rows: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The rows (session, ...) with `scores` and `among`: the models of a session's scores, and whom they could score until then."""
    versions = score_versions(work).rename({"session": "quarter"})
    seen = rows.with_columns(quarter=pl.col("session").dt.truncate("1q")).join(versions, on="quarter", how="left", maintain_order="left")
    told = f"{len(names)} names ({hashlib.sha256(','.join(sorted(names)).encode()).hexdigest()[:8]})"
    return with_rule_suffix(seen.drop("quarter"), work).with_columns(among=pl.concat_str(pl.lit(told), "suffix")).drop("suffix")


def _rows(table: str, work: Workspace, spans: pl.DataFrame, days: pl.DataFrame, span: Window) -> Demand:
    """A row a session of each key's spans."""
    expected = coverage.cells_within(spans, days)
    return Demand(expected, lambda: coverage.short_cells(expected, _standing(table, work, spans, days, span)))


def _standing(table: str, work: Workspace, spans: pl.DataFrame, days: pl.DataFrame, span: Window) -> pl.DataFrame:
    """`coverage.counts` of the rows that stand: bars only of the source that is theirs today, scores as long as their model does, signals
    as long as their score and rule do."""
    if table == "signal":
        return coverage.counts(_signals_that_stand(work, span), spans, days).collect()
    there = tally(work.lake, table, span, _stored, table, span.end, spans, days)
    if table in ("prices", "index_prices"):
        return there.join(_sources_of_today(table, work), on=["key", *STANDS_BY[table]], how="semi")
    if table == "oos_predictions":
        runs = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME}).select("cutoff", "model_run_id")
        return there.join(runs.collect(), on=["cutoff", "model_run_id"], how="semi")
    return there


def _stored(rows: pl.LazyFrame, table: str, end: dt.date, spans: pl.DataFrame, days: pl.DataFrame) -> pl.LazyFrame:
    """`coverage.counts` of a year's rows, apart by what decides whether they stand."""
    spec, by = TABLES[table], STANDS_BY.get(table, ())
    rows = rows.filter(model=MODEL_NAME) if table == "oos_predictions" else coverage.present(rows, table, end)
    return coverage.counts(rows.select(*by, key=spec.entity or "", session=spec.event_time), spans, days, *by)


def _signals_that_stand(work: Workspace, span: Window) -> pl.LazyFrame:
    """key, session."""
    read = ["ticker", "session", "score", "model_run_id"]
    scores = work.lake.scan("oos_predictions", window=span, scope={"model": MODEL_NAME})
    on_time = ~pl.col("reason").fill_null("").str.starts_with(freshness.STALE)
    rows = work.lake.scan("signal", window=span).filter(on_time, rule=decision_rule_of(work.settings.signal))
    return rows.join(scores, on=read, how="semi", nulls_equal=True).select(key="ticker", session="session")


def _sources_of_today(table: str, work: Workspace) -> pl.DataFrame:
    """key, source, and of prices their basis, that the universe or the profile asks for: no other bars may stand beside them."""
    own: list[tuple[str, ...]] = [(key, source.name) for source in sources(work.settings, table) for key in source.offers()]
    if table == "prices":
        listed = work.universe.listings
        own = [(known.ticker, source, stored_basis(known.sources)) for known in listed for source in known.sources]
    return pl.DataFrame(own, schema=dict.fromkeys(("key", *STANDS_BY[table]), pl.String), orient="row")


def _trained(work: Workspace) -> Demand:
    """A model of today's feature set, taught by the members until then, at every cut-off; that of the night with its bootstrap members."""
    trained = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME})
    enough = (pl.col("members") >= MEMBERS) | (pl.col("cutoff") != work.cutoff)
    cutoffs = {key: window.start for key, window in work.quarter_windows().items()}
    taught = [(cutoff, work.membership.version(cutoff) if work.membership else None) for cutoff in cutoffs.values()]
    today = pl.LazyFrame(taught, schema={"cutoff": pl.Date, "membership": pl.String}, orient="row")
    sound = trained.filter(enough, pl.col("feature_set") == feature_set_hash(work.model_features))
    standing = sound.join(today, on=["cutoff", "membership"], how="semi", nulls_equal=True).select("cutoff").collect()
    expected = _one_each(cutoffs)
    return Demand(expected, lambda: expected.filter(~pl.col("first").is_in(standing["cutoff"].implode())))


def _trained_alone(work: Workspace, tickers: Sequence[str]) -> Demand:
    """A model of each name of its own, of today's feature set, at every cut-off before which it has enough sessions to learn from."""
    days = sessions(work.history)
    rows = []
    for ticker, listed, delisted in coverage.listings(work.universe, tickers).iter_rows():
        enough = bisect_left(days, listed) + OWN_MODEL_SESSIONS
        for key, window in work.quarter_windows().items():
            if bisect_left(days, window.start) >= enough and (delisted is None or delisted >= window.start):
                rows.append((ticker, key, 1, window.start))
    expected = pl.DataFrame(rows, schema=CELLS, orient="row")
    trained = _own_runs(work, tickers).filter(feature_set=feature_set_hash(work.model_features))
    return Demand(expected, lambda: expected.join(trained, left_on=["key", "first"], right_on=["key", "cutoff"], how="anti"))


def _scored_alone(work: Workspace, tickers: Sequence[str], days: pl.DataFrame) -> Demand:
    """A score a session of each quarter for which a name has a model of its own."""
    runs = _own_runs(work, tickers).with_columns(window=pl.col("cutoff").dt.strftime("%Y-%m"))
    listed = coverage.cells_within(coverage.listings(work.universe, tickers), days)
    expected = listed.join(runs, on=["key", "window"], how="semi")

    def holes() -> pl.DataFrame:
        rows = work.lake.scan("oos_predictions", keys=tickers, window=work.out_of_sample)
        scored = rows.join(runs.lazy(), on=["model", "cutoff", "model_run_id"], how="semi").join(days.lazy(), on="session")
        return coverage.short_cells(expected, scored.group_by("window", key="ticker").agg(there=pl.len()).collect())

    return Demand(expected, holes)


def _own_runs(work: Workspace, tickers: Sequence[str]) -> pl.DataFrame:
    """key, model, cutoff, model_run_id, feature_set of the models of one of these names alone."""
    names = pl.DataFrame([(ticker, own_model(ticker)) for ticker in tickers], schema={"key": pl.String, "model": pl.String}, orient="row")
    rows = work.lake.scan("model_runs", window=work.out_of_sample).select("model", "cutoff", "model_run_id", "feature_set")
    return names.join(rows.collect(), on="model")


def proven_files(work: Workspace, session: dt.date) -> str:
    """What a proof of the session says something about: the files of all that is proven or read, up to that session's year."""
    return fingerprint(work.lake, PROVEN, Window(work.history.start, session + dt.timedelta(days=1)))


def _proven(work: Workspace, windows: Mapping[str, Window]) -> Demand:
    """A proof without a leak of today's features, of the model that decides, and of the files as they are, before each decision."""
    expected = _one_each({key: window.start for key, window in windows.items()})

    def holes() -> pl.DataFrame:
        span = Window(min(window.start for window in windows.values()), work.after_as_of)
        runs = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME}).select("cutoff", "model_run_id")
        rows = work.lake.scan("leak_proof", window=span).with_columns(cutoff=pl.col("session").dt.truncate("1q"))
        kept = rows.filter(feature_set=ALL_FEATURES).join(runs, on=["cutoff", "model_run_id"], how="semi").collect()
        years = kept.select(pl.col("session").dt.year()).unique()["session"]
        files = {year: proven_files(work, min(dt.date(year, 12, 31), work.as_of)) for year in years}
        today = pl.col("session").dt.year().replace_strict(files, return_dtype=pl.String)
        standing = kept.lazy().filter(pl.col("inputs") == today)
        sound = standing.group_by("session").agg(pl.col("differing").sum()).filter(differing=0).select("session").collect()
        return expected.filter(~pl.col("first").is_in(sound["session"].implode()))

    return Demand(expected, holes)


def scored_files(work: Workspace) -> str:
    """What the scorecard of the night is about: the files of prices and of what was found of them, up to its year."""
    return fingerprint(work.lake, SCORED, Window(work.history.start, work.after_as_of))


def _scored_weekly(work: Workspace, windows: Mapping[str, Window]) -> Demand:
    """A scorecard at the last session of each week, and tonight when there is none since the last one, or it found what cannot be true.

    That of the night is of the files as they are; those of earlier weeks stand.
    """
    day = pl.col("session")
    due = {key: window.start for key, window in windows.items() if ends_a_week(window.start)}
    since = next(before for n in range(0, -8, -1) if ends_a_week(before := session_offset(work.as_of, n)))
    span = Window(min([since, *due.values()]), work.after_as_of)
    there = work.lake.scan("quality_scorecard", window=span).group_by("session").agg(pl.col("broken").sum(), pl.first("inputs")).collect()
    lately = there.filter(day >= since).sort("session")
    if work.as_of not in due.values() and (lately.is_empty() or lately["broken"][-1] or lately["session"][-1] == work.as_of):
        due[work.as_of.isoformat()] = work.as_of
    expected = _one_each(due)

    def holes() -> pl.DataFrame:
        stands = pl.col("broken") == 0
        if work.as_of in there["session"]:
            stands &= (day < work.as_of) | (pl.col("inputs") == scored_files(work))
        return expected.filter(~pl.col("first").is_in(there.filter(stands)["session"].implode()))

    return Demand(expected, holes)


def _shown(work: Workspace) -> Demand:
    """One session a year: the warehouse is built by years."""
    years = work.year_windows() if warehouse.is_built(work.settings) else {}
    expected = _one_each({year: window.start for year, window in years.items()})
    return Demand(expected, lambda: expected.filter(pl.col("window").is_in(warehouse.stale_years(work))))


def _one_each(starts: Mapping[str, dt.date]) -> pl.DataFrame:
    """Cells of a table without tickers that count as one session each."""
    columns = {"key": [coverage.ALL] * len(starts), "window": list(starts), "n": [1] * len(starts), "first": list(starts.values())}
    return pl.DataFrame(columns, schema=CELLS)


def _booked_alone(work: Workspace, tickers: Sequence[str], days: pl.DataFrame) -> Demand:
    """Each name's account by the rules that need no other name."""
    names = [name for name in tradable_tickers(work) if name in tickers]
    threshold = work.settings.signal.score_threshold
    return _booked(work, names, days, [("ticker", strategy, rule_of(strategy, threshold=threshold)) for strategy in ALONE])


def _booked_together(work: Workspace, days: pl.DataFrame) -> Demand:
    """The portfolio's accounts, and each name's by the rules that rank all names."""
    among = competing_tickers(work)
    threshold = work.settings.signal.score_threshold
    accounts = [("ticker", strategy, rule_of(strategy, threshold=threshold, among=among)) for strategy in RANKED]
    accounts += [("portfolio", strategy, rule_of(strategy, threshold=threshold, among=among)) for strategy in STRATEGIES]
    found = _booked(work, [name for name in tradable_tickers(work) if name in among], days, accounts)
    return Demand(_over_all(found.expected), lambda: _over_all(found.holes))


def _over_all(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells of all keys as one: as many sessions as the key with the most."""
    together = cells.group_by("window").agg(pl.col("n").max(), pl.col("first").min()).sort("window")
    return together.select(pl.lit(coverage.ALL).alias("key"), "window", "n", "first")


def _judged(work: Workspace, days: pl.DataFrame) -> Demand:
    """A row a horizon of each session from the first score on, of today's scores and names, with its figures once the horizon has ended."""
    among = competing_tickers(work)
    expected = coverage.cells_within(_from_first_score(work, among), days)

    def holes() -> pl.DataFrame:
        seen = told_among(work, days, among).lazy()
        known = pl.col("names").is_not_null() | (pl.col("ends") > work.as_of)
        rows = work.lake.scan("signal_quality", window=work.out_of_sample, scope={"model": MODEL_NAME}).filter(known)
        each = rows.join(seen, on=["session", "scores", "among"]).group_by("window", "session").agg(n=pl.len()).filter(n=len(HORIZONS))
        there = each.group_by("window").agg(there=pl.len()).select(pl.lit(coverage.ALL).alias("key"), "window", "there")
        return coverage.short_cells(expected, there.collect())

    return Demand(expected, holes)


def _swept(work: Workspace, days: pl.DataFrame) -> Demand:
    """A row a threshold at the last session of each quarter, or the night or one after it, on the scores and names of today."""
    among = competing_tickers(work)
    names = [name for name in tradable_tickers(work) if name in among]
    expected = coverage.cells_within(_from_first_score(work, names), days)

    def holes() -> pl.DataFrame:
        thresholds = swept(work.settings.signal.score_threshold)
        span = Window(work.out_of_sample.start, quarter_window(work.as_of).end)
        rows = work.lake.scan("threshold_sweep", window=span).filter(pl.col("threshold").is_in(thresholds)).collect()
        seen = told_among(work, rows.select(pl.col("session").unique()), among)
        quarter = pl.col("session").dt.truncate("1q")
        ends = days.group_by("window", quarter=quarter).agg(end=pl.col("session").max())
        sound = rows.join(seen, on=["session", "scores", "among"]).join(ends, left_on=quarter, right_on="quarter")
        each = sound.filter(pl.col("session") >= pl.col("end")).group_by("window").agg(n=pl.col("threshold").n_unique())
        return expected.join(each.filter(n=len(thresholds)), on="window", how="anti")

    return Demand(expected, holes)


def _from_first_score(work: Workspace, names: Sequence[str]) -> pl.DataFrame:
    """key (ALL), start, end (null) of what begins with the first score of any of these names; no row without one."""
    start = _first_scored(work, names).filter(account="portfolio").select("start")
    return start.select(pl.lit(coverage.ALL).alias("key"), "start", end=pl.lit(None, dtype=pl.Date))


def _booked(work: Workspace, names: Sequence[str], days: pl.DataFrame, accounts: Sequence[tuple[str, str, str]]) -> Demand:
    """A line a session for each account: by its rule, on today's scores, with a journal that has as many rows as the lines count exits.

    Parameters
    ----------
    days : session, window.
    accounts : (account, strategy, rule).
    """
    starts = _first_scored(work, names)
    own = starts.filter(pl.col("account").is_in([account for account, *_ in accounts])).select("key", "start")
    expected = coverage.cells_within(own.with_columns(end=pl.lit(None, dtype=pl.Date)), days)

    def holes() -> pl.DataFrame:
        kept = pl.DataFrame(accounts, schema=["account", "strategy", "rule"], orient="row").join(starts, on="account")
        every = kept.select("account", "strategy", "key").join(expected, on="key")
        each = ["account", "strategy", "key", "window"]
        found = every.join(_lines(work, kept, days), on=each, how="left").join(_journal(work, days), on=each, how="left")
        n_lines, n_sold = (pl.col(name).fill_null(0).cast(pl.Int64) for name in ("lines", "sold"))
        unsold = (pl.col("exits").fill_null(0) - n_sold).abs()
        lacking = pl.max_horizontal(pl.col("n").cast(pl.Int64) - n_lines, unsold).clip(upper_bound=pl.col("n"))
        short = found.with_columns(n=lacking.cast(pl.UInt32)).filter(pl.col("n") > 0)
        return short.group_by("key", "window").agg(pl.col("n").max(), pl.col("first").min()).sort("key", "window")

    return Demand(expected, holes)


def _lines(work: Workspace, kept: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """account, strategy, key, window, lines (that stand), exits of the window.

    Parameters
    ----------
    kept : account, strategy, rule, key, start of each account that must be there.
    """
    seen = days.join(score_versions(work), left_on=pl.col("session").dt.truncate("1q"), right_on="session", how="left")
    seen = with_rule_suffix(seen, work)
    counts = tally(work.lake, "equity", work.out_of_sample, _account_lines, kept, seen).sort(*OWNER, "window")
    exits = pl.col("total").diff().over(OWNER).fill_null(pl.col("total"))
    return counts.select(*OWNER, "window", "lines", exits=exits)


def _account_lines(rows: pl.LazyFrame, kept: pl.DataFrame, seen: pl.DataFrame) -> pl.LazyFrame:
    """account, strategy, key, window, lines (that stand), total (exits up to the last line) of a year's rows."""
    lines = (
        rows.select("account", "strategy", "session", "rule", "exits", key="ticker", on="scores")
        .filter(pl.col("account").is_in(kept["account"].unique().implode()), pl.col("strategy").is_in(kept["strategy"].unique().implode()))
        .join(seen.lazy(), on="session")
        .join(kept.select("key", "start").unique().lazy(), on="key")
    )
    # a rule names its strategy, so that the text alone tells whether it is today's
    named = pl.col("rule").str.ends_with(pl.col("suffix")) & pl.col("rule").str.strip_suffix(pl.col("suffix")).is_in(
        kept["rule"].unique().implode()
    )
    stands = named & (pl.col("on") == pl.col("scores")) & (pl.col("session") >= pl.col("start"))
    return lines.group_by(*OWNER, "window").agg(lines=stands.sum(), total=pl.col("exits").max())


def _journal(work: Workspace, days: pl.DataFrame) -> pl.DataFrame:
    """account, strategy, key, window, sold: rows of `trades`."""
    account_name = pl.when(pl.col("account") == "portfolio").then(pl.lit(PORTFOLIO)).otherwise("ticker")
    rows = work.lake.scan("trades", window=work.out_of_sample).select("account", "strategy", "session", key=account_name)
    return rows.join(days.lazy(), on="session").group_by("account", "strategy", "key", "window").agg(sold=pl.len()).collect()


def _first_scored(work: Workspace, names: Sequence[str]) -> pl.DataFrame:
    """account, key, start: the first scored session of each name's account and of the portfolio's."""
    years = tally(work.lake, "oos_predictions", work.out_of_sample, _first_of_year).filter(pl.col("key").is_in(list(names)))
    scored = years.group_by("key").agg(pl.col("start").min()).sort("key")
    alone = scored.select(pl.lit("ticker").alias("account"), "key", "start")
    together = scored.select(pl.lit("portfolio").alias("account"), pl.lit(PORTFOLIO).alias("key"), pl.col("start").min()).unique()
    return pl.concat([alone, together.drop_nulls()])


def _first_of_year(rows: pl.LazyFrame) -> pl.LazyFrame:
    """key, start: each name's first session with a score."""
    scored = rows.filter(pl.col("score").is_not_null(), model=MODEL_NAME)
    return scored.group_by(key="ticker").agg(start=pl.col("session").min())


def cells(found: pl.DataFrame) -> set[tuple[str, str]]:
    """(key, window) of each cell."""
    return set(found.select("key", "window").iter_rows())
