"""The only entry point of the Dagster side, named in `workspace.yaml`."""

from __future__ import annotations

import dagster as dg

from quant_assets.defs.alerts import alerts_sensor
from quant_assets.defs.assets.decisions import decision_assets
from quant_assets.defs.assets.facts import facts_assets
from quant_assets.defs.assets.history import history_assets
from quant_assets.defs.assets.models import model_assets
from quant_assets.defs.assets.warehouse import warehouse_assets
from quant_assets.defs.drop import native_files_sensor
from quant_assets.defs.jobs import phase_jobs
from quant_assets.defs.partitions import grids
from quant_assets.defs.resources import Night
from quant_assets.defs.schedules import nightly_schedule
from quant_assets.defs.sensors import chain_sensors, dead_runs_sensor, new_names_sensor
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace


def build_defs(settings: Settings | None = None) -> dg.Definitions:
    """All assets, jobs and resources for these settings; those of the home when None."""
    settings = settings or Settings.load()
    layout = grids(Workspace.open(settings))
    jobs = phase_jobs(settings)
    return dg.Definitions(
        assets=[
            *history_assets(layout),
            *facts_assets(layout),
            *model_assets(layout),
            *decision_assets(layout),
            *warehouse_assets(settings, layout),
        ],
        jobs=jobs,
        schedules=[nightly_schedule(settings)],
        sensors=[
            *chain_sensors(settings, jobs),
            new_names_sensor(settings, jobs),
            native_files_sensor(settings, jobs),
            dead_runs_sensor(),
            alerts_sensor(settings),
        ],
        resources={"night": Night(settings)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
