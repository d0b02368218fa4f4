"""The sensor that tells of failed runs. What is told once, and over which channels, is `quant_assets.alerts`' business."""

from __future__ import annotations

import datetime as dt

import dagster as dg

from quant_assets.alert_channels import channels
from quant_assets.alerts import Message, outbox
from quant_assets.defs.backfill import BACKFILL_TAG
from quant_assets.defs.chain import RETRIED_TAG, Link
from quant_assets.defs.failures import causes
from quant_assets.defs.partitions import RANGE_END, RANGE_START
from quant_assets.errors import LockHeld
from quant_assets.settings import Settings
from quant_assets.workspace import utc_now

INTERVAL_SECONDS = 30
OVERLAP = dt.timedelta(hours=1)
"""Runs are looked at again for this long, and the outbox knows those it has: none is lost to equal stamps, to late ones or to a tag that
says only a moment after the failure whether the run is repeated."""
FIRST_LOOK = dt.timedelta(days=1)
"""Without a cursor, what failed before is the past."""
SETTLING = dt.timedelta(minutes=1)
"""Within it Dagster says whether it repeats a run."""
OF_THE_UI = "dagster/backfill"


def alerts_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of failed runs: one message a cause, with its remedy, in the log and where the settings say.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return tell(settings, context.instance, context.cursor, now=utc_now())

    return alerts


def tell(settings: Settings, instance: dg.DagsterInstance, cursor: str | None, *, now: dt.datetime) -> dg.SensorResult:
    """Puts the runs that failed since the cursor into the outbox and delivers what is in it.

    Parameters
    ----------
    cursor : last change of the latest failed run that was seen, UTC; None at the first tick.
    """
    seen = _read(cursor)
    since = min(seen, now) - OVERLAP if seen else now - FIRST_LOOK
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    records = sorted(instance.get_run_records(filters=failed), key=lambda record: record.update_timestamp)
    try:
        with outbox(settings.path(settings.paths.data)) as box:
            unknown = [one for one in records if _is_final(instance, one, now) and not box.knows(one.dagster_run.run_id)]
            n_new = sum(box.put(_messages(instance, one), now=now) for one in unknown)
            told = box.deliver(channels(settings.alerts), now=now)
    except LockHeld as held:
        return dg.SensorResult(skip_reason=str(held), cursor=cursor)
    latest = max((record.update_timestamp.astimezone(dt.UTC) for record in records), default=seen)
    return dg.SensorResult(skip_reason=f"{n_new} new; {told}", cursor=latest.isoformat() if latest else None)


def _read(cursor: str | None) -> dt.datetime | None:
    """A cursor that is none of ours is none."""
    try:
        seen = dt.datetime.fromisoformat(cursor or "")
    except ValueError:
        return None
    return seen if seen.tzinfo else None


def _is_final(instance: dg.DagsterInstance, record: dg.RunRecord, now: dt.datetime) -> bool:
    repeated = record.dagster_run.tags.get(RETRIED_TAG)
    settled = repeated is not None or not instance.run_retries_enabled or now - _ended(record) > SETTLING
    return settled and repeated != "true"


def _ended(record: dg.RunRecord) -> dt.datetime:
    stamp = record.end_time or record.update_timestamp.timestamp()
    return dt.datetime.fromtimestamp(stamp, dt.UTC)


def _messages(instance: dg.DagsterInstance, record: dg.RunRecord) -> list[Message]:
    run, when = record.dagster_run, _ended(record)
    link = Link.of(run)
    assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
    windows, names = _asked(run)
    return [
        Message(cause, _occasion(run, when), link.phase if link else assets or run.job_name, windows, names, when, run.run_id)
        for cause in causes(instance, run.run_id)
    ]


def _occasion(run: dg.DagsterRun, when: dt.datetime) -> str:
    if (link := Link.of(run)) is not None:
        return f"night of {link.night}"
    if backfill := run.tags.get(BACKFILL_TAG) or run.tags.get(OF_THE_UI):
        return f"backfill {backfill}"
    return f"started by hand, {when:%Y-%m-%d}"


def _asked(run: dg.DagsterRun) -> tuple[str, str]:
    """(windows, names) that the run's tags ask for, as first..last."""
    one = run.tags.get("dagster/partition", "")
    first, last = run.tags.get(RANGE_START, one).split("|"), run.tags.get(RANGE_END, one).split("|")
    parts = [start if start == end else f"{start}..{end}" for start, end in zip(first, last, strict=False)]
    return parts[0], parts[1] if len(parts) > 1 else ""
