"""Why a run failed, in the words of its failed steps. Who is told is the business of `phase_run.py`, `sensors.py` and `alerts.py`."""

from __future__ import annotations

import dagster as dg

KILLED = "the run was killed, or its machine stopped; start it again."
"""A run that ended without a failed step."""


def failure_sentence(event: dg.DagsterEvent) -> str | None:
    """A failed step's own sentence, without the wrapping; None for any other event."""
    if not event.is_step_failure:
        return None
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.split(": ", 1)[-1].strip().splitlines()[0] if error else "the step failed"


def causes(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the failed steps of a run say, in their order, the same sentence once."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    told = [failure_sentence(event) for record in records if (event := record.event_log_entry.dagster_event) is not None]
    return list(dict.fromkeys(sentence for sentence in told if sentence)) or [KILLED]
