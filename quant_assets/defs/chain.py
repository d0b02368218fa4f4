"""The tags that make runs one chain of phases, and what they say about it."""

from __future__ import annotations

from collections.abc import Mapping

from quant_assets.defs.partitions import range_tags
from quant_assets.defs.resources import AS_OF_TAG
from quant_assets.planning import Phase, Rectangle
from quant_assets.workspace import Workspace

NIGHT_TAG = "quant_assets/night"
PHASE_TAG = "quant_assets/phase"
ATTEMPT_TAG = "quant_assets/attempt"


def night_tags(work: Workspace, phase: Phase, rectangle: Rectangle, *, attempt: str) -> Mapping[str, str]:
    """The tags of one run of a night."""
    return {
        **range_tags(rectangle.tickers, rectangle.windows),
        AS_OF_TAG: work.as_of.isoformat(),
        NIGHT_TAG: work.as_of.isoformat(),
        PHASE_TAG: phase.name,
        ATTEMPT_TAG: attempt,
    }
