"""Sensors: what carries a night from phase to phase, whatever its runs end with, begins one for a new name, and ends dead runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from quant_assets.defs.chain import RETRIED_TAG, TERMINAL, Link, bury, busy_runs, open_chain, requests
from quant_assets.defs.failures import causes
from quant_assets.defs.partitions import rectangle_of
from quant_assets.lake import night_lock
from quant_assets.planning import PHASES, Rectangle, explain, next_step, windows_of
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

INTERVAL_SECONDS = 1


def chain_sensors(settings: Settings, jobs: Sequence[dg.UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """One for runs that succeeded, one for those that failed: a night goes on with the names that are left, or to its report."""

    def sensor(name: str, status: dg.DagsterRunStatus, description: str) -> dg.SensorDefinition:
        @dg.run_status_sensor(
            name=name,
            run_status=status,
            monitored_jobs=jobs,
            request_jobs=jobs,
            minimum_interval_seconds=INTERVAL_SECONDS,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=description,
        )
        def carry_on(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
            yield from following(settings, context.instance, context.dagster_run, reason=_reason(context))

        return carry_on

    return [
        sensor("after_phase", dg.DagsterRunStatus.SUCCESS, "Asks for the next phase of the night."),
        sensor("after_failed_phase", dg.DagsterRunStatus.FAILURE, "Writes down why, and goes on with the names that are left."),
    ]


def following(
    settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun, *, reason: str | None
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The runs of the phase after this run's, once all runs of its own phase have ended.

    Parameters
    ----------
    reason : why the run failed; None when it did not.
    """
    link = Link.of(run)
    if link is None or link.attempt == TERMINAL:
        yield dg.SkipReason("not a run of a scheduled night")
        return
    if run.tags.get(RETRIED_TAG) == "true":
        yield dg.SkipReason("the run is repeated")
        return
    work = Workspace.open(settings, as_of=link.night)
    phase = next(phase for phase in PHASES if phase.name == link.phase)
    if reason is not None:
        explain(
            work,
            phase,
            Rectangle(*rectangle_of(run.tags, work.universe.tickers, list(windows_of(phase, work)))),
            reason=reason,
            run_id=run.run_id,
        )
    if busy := busy_runs(instance, link):
        yield dg.SkipReason(f"{len(busy)} runs of {link.phase} are still at work")
        return
    step = next_step(work, link.phase, decide=work.universe.tickers, ran=True)
    if step is None:
        yield dg.SkipReason(f"the night of {link.night} is complete")
        return
    yield from requests(work, step, attempt=link.attempt)


def _reason(context: dg.RunStatusSensorContext) -> str | None:
    if context.dagster_run.status != dg.DagsterRunStatus.FAILURE:
        return None
    return causes(context.instance, context.dagster_run.run_id)[0]


def new_names_sensor(settings: Settings, jobs: Sequence[dg.UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """The cursor holds the names asked for, so that each is asked for once; a name that leaves the universe is forgotten."""

    @dg.sensor(
        name="new_names",
        jobs=jobs,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A name in the universe file without history gets all of it, and everything that follows from it.",
    )
    def new_names(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        asked = set(json.loads(context.cursor or "[]"))
        work = Workspace.open(settings)
        stored = set(work.lake.scan("prices", window=work.history).select("ticker").unique().collect()["ticker"])
        fresh = [ticker for ticker in work.universe.tickers if ticker not in stored | asked]
        if not stored or not fresh:
            return dg.SkipReason("every name has history" if stored else "the lake is empty: the first night fills it")
        if (link := open_chain(settings, context.instance)) is not None or night_lock.is_held(settings.lake_root):
            return dg.SkipReason(f"{', '.join(fresh)}: waiting for the night of {link.night} to end" if link else "a terminal is at work")
        step = next_step(work, None, decide=work.universe.tickers, ran=False)
        if step is None:
            return dg.SkipReason("every name has history")
        kept = sorted((asked | set(fresh)) & set(work.universe.tickers))
        return dg.SensorResult(list(requests(work, step, attempt=f"new-{'-'.join(fresh)}"[:60])), cursor=json.dumps(kept))

    return new_names


def dead_runs_sensor() -> dg.SensorDefinition:
    """Dagster notices a killed run only while the code server that started it lives: not after a power cut, or a killed `make ui`."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks as failed the runs whose process is gone, so that they are repeated and hold no pool.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        dead = bury(context.instance, at_terminal=False)
        return dg.SkipReason(f"marked as failed: {', '.join(run.run_id for run in dead)}" if dead else "every unfinished run is alive")

    return dead_runs
