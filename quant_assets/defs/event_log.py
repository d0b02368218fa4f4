"""Dagster's SQLite event log, with the one thing its PostgreSQL sibling has and it lacks: a batch of partition events in one transaction.

A range run writes two events a partition. One transaction each costs about 10 ms; the 1,500 partitions of a first night then take longer
than its models. Dagster falls back to single writes when a batch fails, so nothing can be lost here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Self, cast

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData

ONE_A_PARTITION = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Set as `event_log_storage` in `dagster.yaml`; batches are on when `DAGSTER_EVENT_BATCH_SIZE` is set."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)  # the parent's names its own class

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Writes events of one run, as `store_event` would one by one: a start of the run mixes planned partitions with planned checks."""
        for one_a_partition, stretch in groupby(events, lambda event: _kind(event) in ONE_A_PARTITION):
            if one_a_partition:
                self._store_partitions(list(stretch))
            else:
                for event in stretch:
                    self.store_event(event)

    def _store_partitions(self, events: Sequence[EventLogEntry]) -> None:
        """One transaction in the run's file, one in the index over all runs."""
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(insert, rows)
        # an asset's entry keeps what the last event of each kind says
        last = {(event.get_dagster_event().asset_key, _kind(event)): place for place, event in enumerate(events)}
        with self.index_transaction() as connection:
            returned = connection.execute(insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True), rows)
            ids = [cast(int, row[0]) for row in returned.fetchall()]
            self._store_asset_event_tags(connection, events, ids)
            for place in sorted(last.values()):
                self._store_asset_event(connection, events[place], ids[place])


def _kind(event: EventLogEntry) -> DagsterEventType:
    return event.get_dagster_event().event_type
