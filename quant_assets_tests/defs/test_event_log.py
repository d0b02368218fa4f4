"""Batches of partition events leave the same log as Dagster's own storage, which writes them one by one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage

from quant_assets.defs.event_log import BatchedSqliteEventLogStorage
from quant_assets.defs.partitions import range_tags

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

BARS = dg.AssetKey("bars")
SEEN = dg.AssetKey("seen")
CHECKS = [dg.AssetCheckKey(BARS, name) for name in ("gate", "suite")]
GRID = dg.MultiPartitionsDefinition(
    {
        "date": dg.StaticPartitionsDefinition([str(year) for year in range(2009, 2014)]),
        "ticker": dg.StaticPartitionsDefinition(["AAPL", "IBM", "KO"]),
    }
)
BATCH_SIZE = 6
RUNS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
OURS = ("quant_assets.defs.event_log", "BatchedSqliteEventLogStorage")
Told = tuple[list[list[EventLogEntry]], dict[str, Any]]
THEIRS = ("dagster._core.storage.event_log", "SqliteEventLogStorage")


def toy() -> dg.Definitions:
    """Two assets on one grid: one that records all its partitions at once, with checks, and one that records them one by one."""

    @dg.asset(
        partitions_def=GRID,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec(key.name, asset=BARS) for key in CHECKS],
    )
    def bars(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.AssetCheckResult(check_name="gate", passed=True)
        yield dg.AssetCheckResult(check_name="suite", passed=False, metadata={"offending_rows": 3})
        yield dg.MaterializeResult(metadata={"rows": len(context.partition_keys)}, tags={"source": "bokeh"})

    @dg.asset(partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run(), deps=[bars], output_required=False)
    def seen(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Records some partitions one by one, then fails: what a step does that withholds a name."""
        for key in list(context.partition_keys)[1:]:
            context.log_event(dg.AssetObservation(SEEN, partition=str(key)))
            context.log_event(dg.AssetMaterialization(SEEN, partition=str(key)))
        raise dg.Failure("one withheld", allow_retries=False)
        yield

    return dg.Definitions(assets=[bars, seen], executor=dg.in_process_executor)


def two_runs(folder: Path, storage: tuple[str, str]) -> Told:
    """Two overlapping ranges on a fresh instance: each run's log, and what the index over all runs says."""
    module, name = storage
    config = {"event_log_storage": {"module": module, "class": name, "config": {"base_dir": str(folder)}}}
    job = toy().resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    logs = []
    with dg.instance_for_test(overrides=config) as instance:
        assert type(instance.event_log_storage).__name__ == name
        ranges = ((("AAPL", "IBM", "KO"), ("2009", "2013")), (("IBM", "KO"), ("2012", "2013")))
        for run_id, (tickers, years) in zip(RUNS, ranges, strict=True):
            result = job.execute_in_process(
                instance=instance, tags=range_tags(tickers, years), run_id=run_id, raise_on_error=False, run_config=quiet
            )
            assert not result.success
            logs.append([record.event_log_entry for record in instance.get_records_for_run(run_id).records])
        return logs, index(instance.event_log_storage)


def index(storage: Any) -> dict[str, Any]:
    """Everything the UI reads about assets and checks, without clock times."""
    told: dict[str, Any] = {}
    for asset in (BARS, SEEN):
        (record,) = storage.get_asset_records([asset])
        entry = record.asset_entry
        told[asset.to_user_string()] = {
            "materialized": storage.get_materialized_partitions(asset),
            "latest": storage.get_latest_storage_id_by_partition(asset, DagsterEventType.ASSET_MATERIALIZATION),
            "planned": storage.get_latest_storage_id_by_partition(asset, DagsterEventType.ASSET_MATERIALIZATION_PLANNED),
            "observed": storage.get_latest_storage_id_by_partition(asset, DagsterEventType.ASSET_OBSERVATION),
            "tags": [tags.get("source") for tags in storage.get_event_tags_for_asset(asset)],
            "entry": (entry.last_materialization_storage_id, entry.last_materialization_record.partition_key, entry.last_run_id),
        }
    for check in CHECKS:
        history = storage.get_asset_check_execution_history(check, limit=10)
        told[check.name] = [(one.run_id, one.status, one.event.get_dagster_event().event_type if one.event else None) for one in history]
    return told


def outline(log: Sequence[EventLogEntry]) -> list[tuple[Any, ...]]:
    """Type, asset and partition of each event of a run, in order."""
    events = [entry.dagster_event for entry in log]
    return [(event.event_type, event.asset_key, event.partition) for event in events if event is not None]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What Dagster's own storage says, without batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
        return two_runs(tmp_path_factory.mktemp("plain"), THEIRS)


def test_the_same_runs_leave_the_same_log(plain: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stored: list[int] = []
    together = BatchedSqliteEventLogStorage._store_partitions

    def counted(self: BatchedSqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
        stored.append(len(events))
        together(self, events)

    monkeypatch.setattr(BatchedSqliteEventLogStorage, "_store_partitions", counted)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    batched, batched_index = two_runs(tmp_path / "batched", OURS)
    assert max(stored) == BATCH_SIZE
    assert sum(stored) >= 3 * (15 + 4)  # planned events of both assets and materialisations of one, in both runs
    one_by_one, plain_index = plain
    assert [outline(log) for log in batched] == [outline(log) for log in one_by_one]
    assert len(batched_index["bars"]["materialized"]) == 15
    assert len(batched_index["seen"]["materialized"]) == 14
    assert batched_index == plain_index


def test_a_batch_of_every_kind_of_event(plain: Told, tmp_path: Path):
    """A whole run replayed as one batch, and event by event: planned partitions and checks, steps, results and the run's end."""
    logs, _ = plain
    ours, theirs = BatchedSqliteEventLogStorage(str(tmp_path / "batch")), SqliteEventLogStorage(str(tmp_path / "single"))
    for log in logs:
        ours.store_event_batch(log)
        for event in log:
            theirs.store_event(event)
    for run_id, log in zip(RUNS, logs, strict=True):
        found = [record.event_log_entry for record in ours.get_records_for_run(run_id).records]
        assert found == [record.event_log_entry for record in theirs.get_records_for_run(run_id).records]
        assert len(found) == len(log)
    assert index(ours) == index(theirs)


def test_an_empty_batch_writes_nothing(tmp_path: Path):
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    storage.store_event_batch([])
    assert storage.get_all_run_ids() == []
