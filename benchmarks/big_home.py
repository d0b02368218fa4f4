"""A home of 500 names x 20 years in which nothing is missing: 10,000 partitions on each grid of tickers. Measured in `operate.py`.

The rows are synthetic and hold only what planning reads: keys, versions, rules. No step could work with them.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.rules import ALONE, STRATEGIES, rule_of
from quant_assets.backtest.thresholds import STRATEGY, swept
from quant_assets.calendars import Window, session_table, year_window
from quant_assets.decisions.signal import rule_of as decision_rule_of
from quant_assets.demand import GRIDS, SERIES, score_versions, told_among, windows_of
from quant_assets.features.catalog import ALL_FEATURES, feature_set_hash
from quant_assets.features.sets import BASELINE
from quant_assets.lake import coverage
from quant_assets.models.terms import MEMBERS, MODEL_NAME
from quant_assets.schemas import TABLES, UTC
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.validation.signal_quality import HORIZONS
from quant_assets.workspace import Workspace

CHECKOUT = Path(__file__).resolve().parent.parent
N_NAMES = 500
# Up to 1 March 2013: 20 years, 20 quarters, 20 sessions.
SETTINGS = """universe = "universe.csv"
warehouse = false

[grids]
history_start = 1994-01-01
first_cutoff = 2008-04-01
first_decision = 2013-02-01
"""
FIRST_DECISION = dt.date(2013, 2, 1)
SCORE = pl.lit(0.5)
WRITTEN_AT = pl.lit(dt.datetime(2013, 3, 3, tzinfo=dt.UTC), dtype=UTC)
FILLERS: dict[object, object] = {
    pl.String: "synthetic",
    pl.Float64: 1.0,
    pl.Int64: 1,
    pl.Int8: 1,
    pl.Boolean: False,
    pl.Date: dt.date(2000, 1, 3),
    UTC: dt.datetime(2013, 3, 2, tzinfo=dt.UTC),
    pl.List(pl.String): ["synthetic"],
}


def build(folder: Path) -> Workspace:
    """Writes the home into the folder and opens its last night."""
    folder.mkdir(parents=True)
    (folder / "quant_assets.toml").write_text(SETTINGS)
    names = [f"N{number:03d}" for number in range(N_NAMES)]
    (folder / "universe.csv").write_text("\n".join(["ticker,source,listed", *(f"{name},bokeh,1994-01-03" for name in names)]) + "\n")
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    work = Workspace.open(Settings.load(home=folder))
    series = sorted(key for source in sources(work.settings, "index_prices") for key in source.offers())
    _write(work, "index_prices", coverage.every_session(series, work.history).select("session", series="key", source=pl.lit("arch")))
    for table in ("prices", "features", "cross_section_features", "labels"):
        days = coverage.listed_sessions(work.universe, work.history).rename({"key": "ticker"})
        later = (pl.col("session") + pl.duration(days=3)).cast(pl.Date)
        told = {
            "prices": {"price_basis": pl.lit("raw"), "source": pl.lit("bokeh")},
            "labels": {"label_end": later, "label": pl.lit(1, dtype=pl.Int8)},
        }
        _write(work, table, days.with_columns(**told.get(table, {})))
    _write_models(work)
    _write_accounts(work, names)
    _write_judged(work, names)
    decided = coverage.listed_sessions(work.universe, Window(FIRST_DECISION, work.after_as_of)).rename({"key": "ticker"})
    rule = pl.lit(decision_rule_of(work.settings.signal))
    _write(work, "signal", decided.with_columns(rule=rule, score=SCORE, model_run_id=_run(pl.lit(work.cutoff))))
    for table in ("trade_synthesis", "daily_report"):
        _write(work, table, decided)
    _write_coverage(work, names)
    return work


def night_of(work: Workspace) -> Window:
    return Window(work.as_of, work.after_as_of)


def _run(cutoff: pl.Expr) -> pl.Expr:
    return pl.format("run of {}", cutoff.dt.to_string())


def _write_models(work: Workspace) -> None:
    """The models, then each name's scores by them."""
    cutoffs = pl.DataFrame({"cutoff": [window.start for window in work.quarter_windows().values()]})
    runs = cutoffs.with_columns(
        model=pl.lit(MODEL_NAME),
        model_run_id=_run(pl.col("cutoff")),
        feature_set=pl.lit(feature_set_hash(BASELINE)),
        members=pl.lit(MEMBERS, dtype=pl.Int64),
    )
    _write(work, "model_runs", runs)
    scored = coverage.listed_sessions(work.universe, work.out_of_sample).rename({"key": "ticker"})
    cutoff = pl.col("session").dt.truncate("1q")
    _write(work, "oos_predictions", scored.with_columns(model=pl.lit(MODEL_NAME), cutoff=cutoff, model_run_id=_run(cutoff), score=SCORE))


def _write_accounts(work: Workspace, names: list[str]) -> None:
    """One line a session for each account of each strategy; nobody ever sold, so the journal is empty."""
    threshold = work.settings.signal.score_threshold
    accounts = [("portfolio", PORTFOLIO, strategy, names) for strategy in STRATEGIES]
    accounts += [("ticker", name, strategy, () if strategy in ALONE else names) for name in names for strategy in STRATEGIES]
    told = [(kind, name, strategy, rule_of(strategy, threshold=threshold, among=among)) for kind, name, strategy, among in accounts]
    rows = pl.DataFrame(told, schema=["account", "ticker", "strategy", "rule"], orient="row")
    lines = rows.join(session_table(work.out_of_sample).select("session"), how="cross")
    seen = score_versions(work)
    quarter = pl.col("session").dt.truncate("1q")
    lines = lines.join(seen, left_on=quarter, right_on="session").with_columns(exits=pl.lit(0, dtype=pl.Int64))
    _write(work, "equity", lines.select("account", "ticker", "strategy", "rule", "session", "scores", "exits"))


def _write_judged(work: Workspace, names: list[str]) -> None:
    """How the scores ranked, session by session; the user's rule at each threshold, quarter by quarter."""
    days = told_among(work, session_table(work.out_of_sample).select("session"), names)
    horizons = pl.DataFrame({"horizon": HORIZONS}, schema={"horizon": pl.Int64})
    told = {"model": pl.lit(MODEL_NAME), "ends": pl.col("session"), "names": pl.lit(len(names), dtype=pl.Int64)}
    _write(work, "signal_quality", days.join(horizons, how="cross").with_columns(**told))
    thresholds = pl.DataFrame({"threshold": swept(work.settings.signal.score_threshold)})
    ends = days.group_by(pl.col("session").dt.truncate("1q").alias("quarter")).agg(pl.all().sort_by("session").last()).drop("quarter")
    _write(work, "threshold_sweep", ends.join(thresholds, how="cross").with_columns(strategy=pl.lit(STRATEGY)))


def _write_coverage(work: Workspace, names: list[str]) -> None:
    versions = {"features": ALL_FEATURES, "cross_section_features": work.across_version}
    rows = [
        (table, name, key, window.start, versions.get(table))
        for table in GRIDS
        if table not in {*SERIES, "daily_report"}
        for key, window in windows_of(table, work, since=FIRST_DECISION).items()
        for name in names
    ]
    told = TABLES["coverage"].schema
    schema = {name: told[name] for name in ("table", "ticker", "window", "window_start", "version")}
    nothing = {name: pl.lit(0, dtype=pl.Int64) for name in ("logged", "quarantined")}
    _write(
        work,
        "coverage",
        pl.DataFrame(rows, schema=schema, orient="row").with_columns(status=pl.lit("complete"), written_at=WRITTEN_AT, **nothing),
    )


def _write(work: Workspace, table: str, rows: pl.DataFrame) -> None:
    """Required columns that the rows lack get a value of their type, the others a null."""
    spec = TABLES[table]
    missing = [column for column in spec.columns if column.name not in rows.columns]
    filled = [pl.lit(None if column.nullable else FILLERS[column.dtype], dtype=column.dtype).alias(column.name) for column in missing]
    for (year,), part in rows.group_by(pl.col(spec.event_time).dt.year()):  # twenty years of every feature would not fit into memory
        work.lake.replace(table, part.with_columns(filled), keys=None, window=year_window(year))  # type: ignore[arg-type]
