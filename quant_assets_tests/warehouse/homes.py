"""A small lake with a warehouse: four names and two indices from 2010, and builds through Dagster, in this process or one to be killed.

`python -m quant_assets_tests.warehouse.homes FOLDER YEAR...` builds the warehouse of a folder that `new_home` made.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from quant_assets.calendars import day_window
from quant_assets.definitions import build_defs
from quant_assets.defs.partitions import range_tags
from quant_assets.steps import history
from quant_assets.workspace import Workspace
from quant_assets_tests.small import store, workspace

NAMES = ("AAPL", "FB", "KO", "MSFT")
YEARS = ("2010", "2011", "2012", "2013")
LATE = dt.date(2011, 6, 15)
"""The session whose S&P 500 bar was published twelve hours after its close."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def new_home(folder: Path) -> Workspace:
    work = workspace(folder)
    store(work, NAMES, YEARS)
    history.fetch_index_prices(work, {year: work.year_windows()[year] for year in YEARS})
    late = work.lake.scan("index_prices", keys=["sp500"], window=day_window(LATE)).collect()
    late = late.with_columns(pl.col("known_at") + pl.duration(hours=12))
    work.lake.replace("index_prices", late, keys=["sp500"], window=day_window(LATE))
    return work


def build(work: Workspace, years: Sequence[str], *, only: str | None = None) -> Any:
    """The result of a run of the warehouse assets, or one of them, for these years."""
    definitions = build_defs(work.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            list(definitions.assets or []),
            selection=dg.AssetSelection.assets(dg.AssetKey(["warehouse", only])) if only else dg.AssetSelection.groups("warehouse"),
            instance=instance,
            resources=definitions.resources,
            tags=dict(range_tags((), (years[0], years[-1]))),
            run_config=QUIET,
            raise_on_error=False,
        )


if __name__ == "__main__":
    build(workspace(Path(sys.argv[1])), sys.argv[2:])
