"""The nightly schedule: a session that has closed and is not decided gets its first phase. `sensors.py` carries the night on."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import polars as pl

from quant_assets.backfill import DECISIONS
from quant_assets.calendars import TIMEZONE, Window, day_window, is_session, last_settled_session, session_close, session_offset
from quant_assets.defs.chain import attempts, bury, open_chain, requests
from quant_assets.defs.jobs import job_name
from quant_assets.demand import demand
from quant_assets.freshness import stale_inputs
from quant_assets.lake import coverage, night_lock
from quant_assets.planning import PHASES, Rectangle, Step, missing_cells, plan, windows_of
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace, last_known_session

EVERY_HALF_HOUR = "15,45 13-23 * * 1-5"
"""From the close of a half day to midnight: a tick that finds nothing to do says why and costs nothing, one after a failure tries again."""
CATCH_UP_SESSIONS = 5
"""A machine that was off for longer decides the last of the missed sessions; `backfill` decides older ones."""
MAX_ATTEMPTS = 3
LAST_PHASES = PHASES[[phase.name for phase in PHASES].index("decide") :]
"""The decision and what follows it."""


def nightly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="nightly",
        job_name=job_name(PHASES[0]),
        cron_schedule=EVERY_HALF_HOUR,
        execution_timezone=TIMEZONE,
        description="After each close of the New York Stock Exchange: one night, phase after phase, over all names.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        return tonight(settings, context.instance, context.scheduled_execution_time)

    return nightly


def tonight(settings: Settings, instance: dg.DagsterInstance, now: dt.datetime) -> list[dg.RunRequest] | dg.SkipReason:
    """The runs that begin the earliest session that has closed by `now` and is not decided, or why there are none."""
    bury(instance, at_terminal=False)
    if (link := open_chain(settings, instance)) is not None:
        return dg.SkipReason(f"the night of {link.night} is at its phase {link.phase}: one night at a time")
    if night_lock.is_held(settings.lake_root):
        return dg.SkipReason("a run started in a terminal is writing this lake: one night at a time")
    last = last_known_session(settings, now)
    night = _first_to_look_at(settings, last)
    given_up = []
    while night <= last:
        work = Workspace.open(settings, as_of=night)
        tried = attempts(instance, night)
        if _undecided(work, running=night == last):
            if len(tried) < MAX_ATTEMPTS:
                return list(requests(work, _first_step(work), attempt=str(len(tried) + 1)))
            given_up.append(night)
        night = session_offset(night, 1)
    return dg.SkipReason(_nothing_to_do(now, last, given_up))


def _first_to_look_at(settings: Settings, last: dt.date) -> dt.date:
    """Missed sessions are those since the first decision there is; before it nobody asked for any."""
    work = Workspace.open(settings, as_of=last)
    span = Window(session_offset(last, 1 - CATCH_UP_SESSIONS), work.after_as_of)
    first: dt.date | None = work.lake.scan("daily_report", window=span).select(pl.col("session").min()).collect().item()
    return first or last


def _undecided(work: Workspace, *, running: bool) -> bool:
    """Whether the night lacks a decision. A name that was lost at any phase lacks its decision, so nothing else need be looked at, twice
    an hour, in all of the history.

    Parameters
    ----------
    running : the night is the last one: it also lacks what shows it, and a decision on something old is made again. What was decided on an
        earlier night stands, with the versions it read, whatever has been corrected since.
    """
    names = work.universe.tickers
    if running:
        return any(missing_cells(phase, work, tickers=names) for phase in LAST_PHASES) or bool(stale_inputs(work, names))
    return any(_without_row(table, work) for table in DECISIONS)


def _without_row(table: str, work: Workspace) -> bool:
    """Whether a name has no row of the night."""
    stored = coverage.stored_sessions(work.lake, table, day_window(work.as_of))
    return not demand(table, work, work.universe.tickers).expected.join(stored, on="key", how="anti").is_empty()


def _first_step(work: Workspace) -> Step:
    """The schedule starts one job, so every night begins with that phase: its current window at least."""
    first = PHASES[0]
    runs = plan(first, work, tickers=work.universe.tickers) or [Rectangle((), (list(windows_of(first, work))[-1],))]
    return Step(first, tuple(runs), None)


def _nothing_to_do(now: dt.datetime, last: dt.date, given_up: list[dt.date]) -> str:
    today = now.astimezone(session_close(last).tzinfo).date()
    if given_up:
        nights = ", ".join(map(str, given_up))
        return f"given up after {MAX_ATTEMPTS} attempts: {nights}; see the failed runs, then `quant-assets run --as-of {given_up[0]}`"
    if not is_session(today):
        return f"{today} is no session of the exchange; all is decided up to {last}"
    if last_settled_session(now) < today:
        return f"the session of {today} closes at {session_close(today):%H:%M} UTC; all is decided up to {last}"
    return f"all is decided up to {last}, the last known session"
