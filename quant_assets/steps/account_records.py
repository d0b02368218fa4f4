"""What of the portfolio's accounts, and of the record of the scores that they traded, is kept in MLflow: a run for the last quarter that
has ended, with figures, pictures, tables and journal.

The quarter that is still running is not: it is booked anew each night, and a night that trains nothing should not wait for MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.calendars import Window, sessions
from quant_assets.models.pooled import content_hash
from quant_assets.steps.models import registry
from quant_assets.steps.records import record_of
from quant_assets.validation.record import Record
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_RECORD = ("n_rows", "auc", "auc_low", "auc_high", "log_loss", "rank_ic", "rank_ic_low", "rank_ic_high")


def ended_quarter(work: Workspace, windows: Mapping[str, Window]) -> str | None:
    """The last of these quarters whose last session is not after the night."""
    return max((key for key, window in windows.items() if sessions(window)[-1] <= work.as_of), default=None)


def log_quarter(work: Workspace, partition: str, quarter: Window, *, picture: Figure, dagster_run: str | None = None) -> str | None:
    """Stores the accounts over all names as they stood at the end of a quarter; returns MLflow's run, or None where there is no account."""
    from quant_assets.backtest.metrics import measure
    from quant_assets.models.account_log import log_accounts
    from quant_assets.reporting.tear_sheet import write_tear_sheet
    from quant_assets.steps.tear_sheets import gather

    since = Window(work.settings.grids.first_cutoff, quarter.end)
    equity = work.lake.scan("equity", window=since, scope={"account": "portfolio"}).filter(pl.col("ticker") == PORTFOLIO).collect()
    if equity.is_empty():
        return None
    sheet = gather(work, equity, since, names=None, notes=())
    figures = {f"{one.key}.{name}": value for one in sheet.strategies for name, value in measure(one.track).items()}
    record = record_of(work, until=sessions(quarter)[-1])
    figures |= {f"{name}.{figure}": getattr(skill, figure) for name, skill in record.rivals.items() for figure in OF_RECORD}
    with tempfile.TemporaryDirectory() as folder:
        write_tear_sheet(sheet, Path(folder) / "tear_sheet.html")
        record.by_ticker.write_csv(Path(folder) / "auc_by_name.csv")
        _by_year(record).write_csv(Path(folder) / "auc_by_year.csv")
        return log_accounts(
            registry(work),
            partition=partition,
            booked={"accounts": content_hash(equity.sort("strategy", "session"))},
            figures=figures,
            pictures={"accounts.png": picture},
            files=Path(folder),
            dagster_run=dagster_run,
        )


def _by_year(record: Record) -> pl.DataFrame:
    """model, year, auc, low, high (95 %)."""
    rows = [(name, *year) for name, skill in record.rivals.items() for year in skill.by_year]
    schema = {"model": pl.String, "year": pl.Int64, **dict.fromkeys(("auc", "low", "high"), pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")
