"""What assets are given: the workspace of the night they run for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import dagster as dg

from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

AS_OF_TAG = "quant_assets/as_of"


@dataclass(frozen=True)
class Night:
    """Opens the workspace as of the session in the run's tag, or of the last known session without one."""

    settings: Settings

    def workspace(self, context: dg.AssetExecutionContext) -> Workspace:
        named = context.run.tags.get(AS_OF_TAG)
        return Workspace.open(self.settings, as_of=dt.date.fromisoformat(named) if named else None)
