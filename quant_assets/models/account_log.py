"""The record of accounts in MLflow: one run a quarter that has ended, found again by what was booked. Models are in `registry.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from mlflow.entities import Metric, RunStatus, RunTag

from quant_assets.models.registry import ModelRegistry

EXPERIMENT = "portfolio_backtest"


def log_accounts(
    registry: ModelRegistry,
    *,
    partition: str,
    booked: Mapping[str, str],
    figures: Mapping[str, float | None],
    pictures: Mapping[str, Figure],
    files: Path,
) -> str:
    """Stores what accounts had earned by the end of a quarter and returns the run's id; the same accounts once more resume their run.

    Parameters
    ----------
    booked : what the accounts were made of, the tags that a run is found by.
    figures : by name; one that is not defined is left out.
    pictures : by file name. files : a folder, stored whole.
    """
    client, experiment = registry.client, registry.experiment(EXPERIMENT)
    tags = {"asset": EXPERIMENT, "partition": partition, **booked}
    found = client.search_runs(
        [experiment], filter_string=" and ".join(f"tags.{key} = '{value}'" for key, value in tags.items()), max_results=1
    )
    run = found[0] if found else client.create_run(experiment, run_name=f"accounts {partition}")
    run_id: str = run.info.run_id
    stamp = run.info.start_time
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), stamp, 0) for name, value in figures.items() if value is not None],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    for name, picture in pictures.items():
        client.log_figure(run_id, picture, name)
    client.log_artifacts(run_id, str(files))
    client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
    return run_id
