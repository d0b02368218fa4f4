"""Eight made-up names on real sessions since 2008, two of which die, and the members of an index over them; whole nights by its steps."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from quant_assets.calendars import Window, day_window, ends_a_week
from quant_assets.lake import coverage
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings
from quant_assets.sources.base import known_at_close
from quant_assets.steps import backtests, decisions, features, history, models, proof, quality, signals
from quant_assets.steps.guard import note
from quant_assets.workspace import Workspace
from quant_assets_tests.small import FETCHED_AT

D = dt.date
NAMES = "ABCDEFGH"
DEAD = {"G": D(2012, 11, 14), "H": D(2013, 1, 15)}
NIGHT = D(2013, 3, 1)
STAYS = """ticker,start,end
A,2008-01-02,
B,2008-01-02,
C,2008-01-02,
D,2008-01-02,2012-12-31
E,2013-01-02,
F,2008-01-02,2010-06-30
F,2013-02-01,
G,2008-01-02,2012-11-14
H,2008-01-02,2013-01-15
"""


def universe(dead: Mapping[str, dt.date], *, without: str = "") -> str:
    lines = [f"{name},bokeh,2008-01-02,{dead.get(name, '')}" for name in NAMES if name not in without]
    return "\n".join(["ticker,source,listed,delisted", *lines, ""])


def opened(folder: Path, *, listings: str = universe(DEAD), stays: str | None = STAYS, as_of: dt.date = NIGHT) -> Workspace:
    """The workspace of a home with these files."""
    folder.mkdir(exist_ok=True)
    (folder / "universe.csv").write_text(listings)
    (folder / "members.csv").write_text(stays or "")
    grids = Grids(history_start=D(2008, 1, 1), first_cutoff=D(2012, 10, 1), first_decision=D(2012, 10, 1))
    members = folder / "members.csv" if stays else None
    settings = Settings(home=folder, universe=folder / "universe.csv", membership=members, grids=grids, warehouse=False)
    return Workspace.open(settings, as_of=as_of, clock=lambda: FETCHED_AT)


def fill_history(work: Workspace) -> None:
    """Bars, features and labels of every name of the universe. Each day takes back half of the day before, which models learn: scores that
    do not differ would leave every choice to the alphabet."""
    rows = coverage.listed_sessions(work.universe, work.history).rename({"key": "ticker"}).sort("ticker", "session")
    n = rows.height
    rng = np.random.default_rng(11)
    step = pl.Series("step", rng.normal(0.0003, 0.02, n))
    taken_back = pl.col("step") - 0.5 * pl.col("step").shift().over("ticker").fill_null(0)
    bars = rows.with_columns(step).with_columns(step=taken_back).with_columns(close=100 * pl.col("step").cum_sum().over("ticker").exp())
    wide = pl.Series("wide", rng.uniform(0.005, 0.02, n))
    bars = bars.with_columns(wide, open=pl.col("close") * (1 - pl.col("step") / 2)).select(
        "ticker",
        "session",
        "open",
        "close",
        high=pl.max_horizontal("open", "close") * (1 + wide),
        low=pl.min_horizontal("open", "close") * (1 - wide),
        volume=pl.lit(1e6),
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
        inferred=pl.lit(False),
        source=pl.lit("bokeh"),
        fetched_at=pl.lit(FETCHED_AT, dtype=pl.Datetime("us", "UTC")),
    )
    names, years = work.universe.tickers, work.year_windows()
    work.lake.replace("prices", known_at_close(bars).select(list(TABLES["prices"].schema)), keys=None, window=work.history)
    note(work, "prices", names, years, run_id="night", withheld={})
    history.fetch_index_prices(work, years)
    features.build_features(work, names, years, run_id="night")
    history.build_labels(work, names, years, run_id="night")


def whole_night(work: Workspace, *, further: tuple[dt.date, ...] = ()) -> Workspace:
    """Models, scores, accounts and the decisions of the night and of these earlier sessions."""
    names, quarters = work.universe.tickers, work.quarter_windows()
    features.build_across(work, work.year_windows(), run_id="night")
    models.train_pooled_models(work, quarters)
    models.score_quarters(work, names, quarters, run_id="night")
    backtests.backtest_names(work, names, quarters, run_id="night")
    backtests.backtest_together(work, quarters)
    signals.judge_scores(work, quarters)
    signals.sweep_thresholds(work, quarters)
    days = {day.isoformat(): day_window(day) for day in (*further, work.as_of)}
    proof.prove(work, days)
    decisions.decide(work, names, days, run_id="night")
    decisions.synthesise(work, names, days, run_id="night")
    decisions.rank_session(work, days)
    if weeks := {key: window for key, window in days.items() if ends_a_week(window.start)}:
        quality.score_quality(work, weeks)
    return work


def moved(work: Workspace, folder: Path) -> Path:
    """A copy of the home; its models stay where they are."""
    shutil.copytree(work.settings.home, folder)
    return folder


def stored(work: Workspace, table: str, until: dt.date = NIGHT) -> pl.DataFrame:
    window = Window(D(2008, 1, 1), until + dt.timedelta(days=1))
    return work.lake.scan(table, window=window).collect().sort(TABLES[table].key)


def at(work: Workspace, as_of: dt.date) -> Workspace:
    return dataclasses.replace(work, as_of=as_of)
