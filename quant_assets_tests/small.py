"""Small real things for tests: a workspace of a few packaged names, rows as the sources deliver them, and rows to learn from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from quant_assets.calendars import Window, sessions
from quant_assets.features.sets import BASELINE
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings
from quant_assets.sources import sources
from quant_assets.steps import history
from quant_assets.workspace import Workspace

FETCHED_AT = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
EVERYTHING = Window(dt.date(2000, 1, 1), dt.date(2013, 3, 2))
LISTINGS = """ticker,source,listed
AAPL,bokeh,2000-03-01
FB,bokeh,2012-05-18
KO,skfolio,2000-01-03
MSFT,bokeh,2000-03-01
"""
FEATURES = BASELINE[:3]


def workspace(
    folder: Path,
    *,
    listings: str = LISTINGS,
    history_start: dt.date = dt.date(2010, 1, 1),
    as_of: dt.date | None = None,
    clock: dt.datetime = FETCHED_AT,
) -> Workspace:
    """An empty lake for a few packaged names."""
    file = folder / "universe.csv"
    file.write_text(listings)
    grids = Grids(history_start=history_start, first_cutoff=dt.date(2012, 1, 1), first_decision=dt.date(2012, 1, 3))
    return Workspace.open(Settings(home=folder, universe=file, grids=grids), as_of=as_of, clock=lambda: clock)


def delivered(source: str, *tickers: str, window: Window = EVERYTHING) -> pl.DataFrame:
    """`prices` rows as one packaged source delivers them, the bar before the window included."""
    [vendor] = [each for each in sources(Settings(profile="offline"), "prices") if each.name == source]
    rows = vendor.normalise(vendor.fetch(tickers, window), fetched_at=FETCHED_AT)
    return TABLES["prices"].conform(rows.select(list(TABLES["prices"].schema)))


def store(work: Workspace, tickers: Sequence[str], years: Sequence[str]) -> history.StepResult:
    """Fetches, judges and stores the prices of these names and years."""
    windows = {year: work.year_windows()[year] for year in years}
    return history.store_prices(work, tickers, windows, history.fetch_raw_prices(work, tickers, windows), run_id="night")


def labelled(n_sessions: int = 160, names: Sequence[str] = ("A", "B", "C"), *, seed: int = 3) -> pl.DataFrame:
    """Rows to learn from: three features, one null now and then, and a label that the first of them half decides."""
    days = sessions(Window(dt.date(2010, 1, 1), dt.date(2012, 1, 1)))
    rng = np.random.default_rng(seed)
    n_rows = n_sessions * len(names)
    values = rng.normal(size=(n_rows, len(FEATURES)))
    rows = pl.DataFrame(values, schema=list(FEATURES)).with_columns(
        pl.Series("ticker", list(names) * n_sessions),
        pl.Series("session", np.repeat(days[:n_sessions], len(names)).tolist()),
        pl.Series("label_end", np.repeat(days[3 : n_sessions + 3], len(names)).tolist()),
        pl.Series("label", (values[:, 0] + rng.normal(size=n_rows) > 0).astype(np.int8)),
        pl.Series("ret", values[:, 0] * 0.01 + rng.normal(0, 0.01, n_rows)),
    )
    last = FEATURES[-1]
    return rows.with_columns(pl.when(pl.col(last) < 1.5).then(pl.col(last)).alias(last))
