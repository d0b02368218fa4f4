"""What of the portfolio's accounts is kept in MLflow: a run for the last quarter that has ended, with figures, pictures and journal.

The quarter that is still running is not: it is booked anew each night, and a night that trains nothing should not wait for MLflow.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.calendars import Window, sessions
from quant_assets.steps.models import registry
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ended_quarter(work: Workspace, windows: Mapping[str, Window]) -> str | None:
    """The last of these quarters whose last session is not after the night."""
    return max((key for key, window in windows.items() if sessions(window)[-1] <= work.as_of), default=None)


def log_quarter(work: Workspace, partition: str, quarter: Window, *, picture: Figure) -> str | None:
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
    rules = equity.sort("strategy", "session").select("strategy", "rule", "scores").unique(maintain_order=True)
    with tempfile.TemporaryDirectory() as folder:
        write_tear_sheet(sheet, Path(folder) / "tear_sheet.html")
        return log_accounts(
            registry(work),
            partition=partition,
            booked={"accounts": hashlib.sha256(repr(rules.rows()).encode()).hexdigest()[:16]},
            figures=figures,
            pictures={"accounts.png": picture},
            files=Path(folder),
        )
