"""What a step reports back; the orchestrator turns it into metadata, checks and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from quant_assets.quality.findings import Findings


@dataclass(frozen=True)
class StepResult:
    """rows : what was written. figures : name to value, worth a look beside it. withheld : (ticker, window key) to reason."""

    rows: pl.DataFrame
    figures: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Findings] = ()
    withheld: Mapping[tuple[str, str], str] = field(default_factory=dict)
