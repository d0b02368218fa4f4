"""What a check found. Who raises and who shows it is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Findings:
    """One data-quality check on one table: `rows` are the offending rows, at least ticker and session."""

    name: str
    passed: bool
    description: str
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
