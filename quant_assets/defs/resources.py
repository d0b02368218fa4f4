"""What assets are given: the workspace of the night they run for."""

from __future__ import annotations

import datetime as dt

import dagster as dg
from pydantic import PrivateAttr

from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

AS_OF_TAG = "quant_assets/as_of"


class Night(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the workspace as of the session in the run's tag, or of the last known session without one."""

    _settings: Settings = PrivateAttr(default_factory=Settings.load)

    @classmethod
    def of(cls, settings: Settings) -> Night:
        night = cls()
        night._settings = settings
        return night

    def workspace(self, context: dg.AssetExecutionContext) -> Workspace:
        named = context.run.tags.get(AS_OF_TAG)
        return Workspace.open(self._settings, as_of=dt.date.fromisoformat(named) if named else None)
