"""A small universe for tests that run assets: two names with full bars, history from 2012."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from quant_assets.settings import Grids, Settings

UNIVERSE = "ticker,source,listed\nAAPL,bokeh,2012-01-03\nIBM,bokeh,2012-01-03\n"
GRIDS = Grids(history_start=dt.date(2012, 1, 1), first_cutoff=dt.date(2012, 10, 1), first_decision=dt.date(2013, 1, 2))


def small_settings(home: Path, *, universe: str = UNIVERSE) -> Settings:
    file = home / "universe.csv"
    file.write_text(universe)
    return Settings(home=home, universe=file, grids=GRIDS)
