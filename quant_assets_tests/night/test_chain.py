"""A night as the daemon carries it: what the schedule asks for at which moment, what follows what, and what is never asked for twice.

The runs are carried out here, in this process; `operate/` does the same with a real daemon.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import EngineEventData
from filelock import FileLock

from quant_assets.backfill import DECISIONS
from quant_assets.calendars import day_window
from quant_assets.definitions import build_defs
from quant_assets.defs.chain import BUSY, Link, bury
from quant_assets.defs.schedules import tonight
from quant_assets.defs.sensors import following, new_names_sensor
from quant_assets.planning import DECIDING, losses, missing_cells
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace
from quant_assets_tests.night.homes import UNIVERSE, Home
from quant_assets_tests.operate.daemon import instance_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NEW_YORK = ZoneInfo("America/New_York")
Requests = list[dg.RunRequest]


def settings_of(home: Home) -> Settings:
    return Settings.load(home=home.folder).model_copy(update={"warehouse": False})


def new_york(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def asked(found: Iterable[dg.RunRequest | dg.SkipReason]) -> Requests:
    return [each for each in found if isinstance(each, dg.RunRequest)]


def carried_out(settings: Settings, instance: dg.DagsterInstance, requests: Requests) -> Iterator[dg.DagsterRun]:
    """Every run of the chain that begins with these, in order."""
    definitions = build_defs(settings)
    while requests:
        runs = []
        for request in requests:
            job = definitions.resolve_job_def(str(request.job_name))
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            result = job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False, run_config=quiet)
            run = instance.get_run_by_id(result.run_id)
            assert run is not None
            runs.append(run)
            yield run
        reason = None if runs[-1].status == dg.DagsterRunStatus.SUCCESS else "it failed"
        requests = asked(following(settings, instance, runs[-1], reason=reason))


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        ("2012-11-02T16:15", "2012-11-02"),  # summer time: the close was at 20:00 UTC
        ("2012-11-05T16:15", "2012-11-05"),  # winter time: at 21:00 UTC
        ("2012-11-23T13:15", "2012-11-23"),  # a half day
        ("2012-11-22T16:45", "2012-11-21"),  # Thanksgiving: the night before was missed
        ("2012-10-30T16:45", "2012-10-26"),  # the second day of the hurricane
        ("2012-12-03T15:45", "2012-11-30"),  # Monday before the close: Friday was missed
        ("2013-03-09T13:15", "2013-02-28"),  # the offline data have ended; the session before the decided one was not asked for
    ],
)
def test_the_session_that_has_closed_is_asked_for(finished: Home, moment: str, night: str):
    with instance_of(finished) as instance:
        found = tonight(settings_of(finished), instance, new_york(moment))
        if night == "2013-02-28":
            assert isinstance(found, dg.SkipReason)
            assert "all is decided up to 2013-03-01" in str(found.skip_message)
            return
        assert not isinstance(found, dg.SkipReason), found.skip_message
        [request] = found
        assert request.job_name == "indices_phase"
        assert request.tags["quant_assets/as_of"] == night
        assert request.run_key.startswith(f"{night}:1:indices:")
        again = tonight(settings_of(finished), instance, new_york(moment))
        assert [each.run_key for each in again] == [request.run_key]


def score_again(home: Home, day: dt.date) -> None:
    """A vendor's correction has moved the score of one name."""
    told = {"keys": ["AAPL"], "window": day_window(day), "scope": {"model": "signal-xgboost"}}
    rows = home.lake.scan("oos_predictions", **told).collect()
    assert rows.height == 1
    home.lake.replace("oos_predictions", rows.with_columns(pl.col("score") + 0.01), **told)


def test_a_decided_night_stands_whatever_is_corrected_afterwards(finished: Home, copy: Callable[[], Home]):
    home = copy()
    settings, last, earlier = settings_of(home), dt.date(2013, 3, 1), dt.date(2013, 2, 28)
    pooled = home.lake.scan("oos_predictions", window=day_window(earlier), scope={"model": "signal-xgboost"})
    scores = pooled.select("ticker", "score", "model_run_id").collect()
    for table in DECISIONS:  # as if the night before had been decided too
        rows = home.lake.scan(table, window=day_window(last)).collect().with_columns(session=pl.lit(earlier))
        if table == "signal":
            rows = rows.drop("score", "model_run_id").join(scores, on="ticker", how="left").select(rows.columns)
        home.lake.replace(table, rows, keys=None, window=day_window(earlier))

    def asked_for() -> str | None:
        """The night that the schedule begins on the following Saturday."""
        with instance_of(home) as instance:
            found = tonight(settings, instance, new_york("2013-03-02T13:15"))
        return None if isinstance(found, dg.SkipReason) else found[0].tags["quant_assets/as_of"]

    assert asked_for() is None
    score_again(home, earlier)
    assert asked_for() is None
    decide = next(phase for phase in DECIDING if phase.name == "decide")  # what `run --as-of` would do again
    assert ("AAPL", str(earlier)) in missing_cells(decide, Workspace.open(settings, as_of=earlier), tickers=["AAPL"])
    score_again(home, last)
    assert asked_for() == str(last)
    for table in DECISIONS:
        gone = home.folder / "data" / "lake" / table / "year=2013" / "part.parquet"
        whole = gone.read_bytes()
        home.lake.replace(table, home.lake.scan(table, keys=[]).collect(), keys=["IBM"], window=day_window(earlier))
        assert asked_for() == str(earlier), table
        gone.write_bytes(whole)


def test_nothing_starts_while_a_terminal_is_at_work(finished: Home):
    with instance_of(finished) as instance, FileLock(finished.folder / "data" / "night.lock"):
        found = tonight(settings_of(finished), instance, new_york("2012-11-05T16:15"))
        assert isinstance(found, dg.SkipReason)
        assert "terminal" in str(found.skip_message)


def test_a_new_name_gets_its_history_once(finished: Home, copy: Callable[[], Home]):
    home = copy()
    settings = settings_of(home)
    (home.folder / "universe.csv").write_text(UNIVERSE + "JPM,skfolio,2007-01-03\n")
    with instance_of(home) as instance:
        found = new_names_sensor(settings, [])(dg.build_sensor_context(instance=instance))
        assert isinstance(found, dg.SensorResult)
        assert json.loads(str(found.cursor)) == ["JPM"]
        runs = list(carried_out(settings, instance, list(found.run_requests or [])))
        phases = [run.tags["quant_assets/phase"] for run in runs]
        assert phases == ["prices", "features", "cross_section", "predict", "portfolio", "proof", "decide", "scorecard", "report"]
        assert runs[0].tags["dagster/asset_partition_range_start"] == "2007|JPM"
        work = Workspace.open(settings)
        assert losses(work, DECIDING, decide=work.universe.tickers).stopped is None
        assert not any(missing_cells(phase, work, tickers=work.universe.tickers) for phase in DECIDING)
        # a daemon that restarts with the same cursor, one that lost it, and the name taken out and in again
        for cursor in (found.cursor, None):
            assert isinstance(new_names_sensor(settings, [])(dg.build_sensor_context(instance=instance, cursor=cursor)), dg.SkipReason)


def test_a_phase_follows_once_all_runs_before_it_have_ended(finished: Home, copy: Callable[[], Home]):
    home = copy()
    settings = settings_of(home)
    with instance_of(home) as instance:
        first = tonight(settings, instance, new_york("2012-11-05T16:15"))
        assert not isinstance(first, dg.SkipReason)
        [run] = [run for run, _ in zip(carried_out(settings, instance, first), range(1), strict=False)]
        once, twice = (asked(following(settings, instance, run, reason=None)) for _ in range(2))
        assert once
        assert [request.run_key for request in once] == [request.run_key for request in twice]
        sibling = instance.create_run_for_job(build_defs(settings).resolve_job_def("indices_phase"), tags=run.tags)
        assert sibling.status in BUSY
        [waits] = following(settings, instance, run, reason=None)
        assert isinstance(waits, dg.SkipReason)
        assert "still at work" in str(waits.skip_message)
        instance.delete_run(sibling.run_id)
        by_hand = instance.create_run_for_job(build_defs(settings).resolve_job_def("prices_phase"))
        assert Link.of(by_hand) is None
        assert asked(following(settings, instance, by_hand, reason=None)) == []


def test_a_run_whose_process_is_gone_is_taken_over(finished: Home, copy: Callable[[], Home]):
    home = copy()
    settings = settings_of(home)
    with subprocess.Popen([sys.executable, "-c", ""]) as short:
        pass
    with instance_of(home) as instance:
        first = tonight(settings, instance, new_york("2012-11-05T16:15"))
        assert not isinstance(first, dg.SkipReason)
        job = build_defs(settings).resolve_job_def("indices_phase")
        run = instance.create_run_for_job(job, tags=dict(first[0].tags), status=dg.DagsterRunStatus.STARTED)
        assert bury(instance, at_terminal=False) == []  # it has not said yet which process carries it out
        assert isinstance(tonight(settings, instance, new_york("2012-11-05T16:45")), dg.SkipReason)
        instance.report_engine_event("carries it out", run, EngineEventData(metadata={"pid": dg.MetadataValue.text(str(short.pid))}))
        again = tonight(settings, instance, new_york("2012-11-05T17:15"))
        dead = instance.get_run_by_id(run.run_id)
        assert dead is not None
        assert dead.status == dg.DagsterRunStatus.FAILURE
        # the failure's own sensor carries the night on; when none is awake, a later tick begins it anew
        assert isinstance(again, dg.SkipReason)
        assert "one night at a time" in str(again.skip_message)
