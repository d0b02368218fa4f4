"""The daily report as a CSV file: ten fixed columns, no empty cell."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl

from quant_assets.reporting.atomic import write_text
from quant_assets.reporting.wording import unavailable

COLUMNS = ("Ticker", "Rank", "Signal", "Score", "Base rate", "CI", "IV risk", "Top option", "Verdict", "Confidence")


def write_csv(report: pl.DataFrame, path: Path) -> None:
    """Writes the `daily_report` rows by rank, names without one last.

    Scores are probabilities with four decimals; CI is "low to high". A cell without data says `n/a (reason)`. Identical rows give
    identical bytes.

    Raises
    ------
    QuantAssetsError : the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in report.sort("rank", "ticker", nulls_last=True).iter_rows(named=True))
    write_text(path, text.getvalue())


def _cells(row: dict[str, Any]) -> list[str]:
    absent = unavailable(row["reason"] or (row["status"] if row["status"] != "ok" else None))
    spread = (row["ci_low"], row["ci_high"])
    values = (
        row["ticker"],
        row["rank"],
        row["signal"],
        _probability(row["score"]),
        _probability(row["base_rate"]),
        None if None in spread else f"{spread[0]:.4f} to {spread[1]:.4f}",
        row["iv_risk"],
        row["top_option"],
        row["verdict"],
        row["confidence"],
    )
    return [absent if value is None else str(value) for value in values]


def _probability(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
