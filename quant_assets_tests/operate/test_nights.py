"""Nights through a real daemon, asked for by the schedule at simulated times: a holiday, a vendor's outage, a killed worker."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest

from quant_assets.alerts import FILE_NAME, Outbox
from quant_assets_tests.night.homes import Home
from quant_assets_tests.operate.daemon import Daemon, instance_of, running, until

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
NEW_YORK = ZoneInfo("America/New_York")
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def at(day: int, hour: int, minute: int = 45) -> dt.datetime:
    """February 2013, New York time."""
    return dt.datetime(2013, 2, day, hour, minute, tzinfo=NEW_YORK)


@pytest.fixture
def home(finished: Home, tmp_path: Path) -> Home:
    """Everything up to Thursday 14 February 2013, decided by a terminal's run; of that year it had nothing but the quarter's model."""
    home = finished.copy(tmp_path / "home")
    shutil.rmtree(home.folder / "outputs")
    for table in set(home.lake.tables()) - {"model_runs"}:
        (home.folder / "data" / "lake" / table / "year=2013" / "part.parquet").unlink(missing_ok=True)
    (home.folder / "faults").mkdir()
    done = home.run("run", "--as-of", "2013-02-14")
    assert done.returncode == 0, done.stderr
    assert home.table("prices")["session"].max() == dt.date(2013, 2, 14)
    return home


def runs_of(home: Home, night: str) -> list[dg.DagsterRun]:
    with instance_of(home) as instance:
        return list(instance.get_runs(filters=dg.RunsFilter(tags={"quant_assets/night": night})))


def reported(home: Home, night: str) -> bool:
    runs = [run for run in runs_of(home, night) if run.tags["quant_assets/attempt"] != "terminal"]
    assert all(run.status != dg.DagsterRunStatus.CANCELED for run in runs)
    return any(run.tags["quant_assets/phase"] == "report" and run.status in FINISHED for run in runs)


def report_of(home: Home, night: str) -> pl.DataFrame:
    return home.table("daily_report").filter(pl.col("session") == dt.date.fromisoformat(night))


def told_of(home: Home, night: str) -> str:
    """The messages of a night that the log has taken."""
    entries = Outbox(home.folder / "data" / FILE_NAME).entries
    return "\n".join(entry.message.text() for entry in entries if entry.message.occasion == f"night of {night}" and entry.on("log").over)


def kill_a_worker(daemon: Daemon, night: str) -> str:
    """SIGKILL to the process of the night's prices while it works; returns its run."""

    def worker() -> tuple[str, int] | None:
        with instance_of(daemon.home) as instance:
            for run in instance.get_runs(filters=dg.RunsFilter(tags={"quant_assets/night": night, "quant_assets/phase": "prices"})):
                for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
                    event = record.event_log_entry.dagster_event
                    if event and "Executing steps in process" in (event.message or ""):
                        return run.run_id, int(event.engine_event_data.metadata["pid"].value)
        return None

    run_id, pid = until(worker, "the worker of prices")
    os.kill(pid, signal.SIGKILL)
    return run_id


def test_three_sessions_with_a_holiday_an_outage_and_a_crash(home: Home):
    faults = home.folder / "faults"
    unbroken = home.copy(home.folder.parent / "unbroken")
    with running(home) as daemon:
        # Friday: before the close nothing, after it the whole night, and never twice; the worker is killed in the middle of the prices, its
        # run is repeated and the night goes on
        (faults / "slow").write_text("20")
        assert "closes at 21:00 UTC" in str(daemon.start_night(at(15, 15)))
        assert daemon.start_night(at(15, 16)) is None
        assert "one night at a time" in str(daemon.start_night(at(15, 17)))
        refused = home.run("run")
        assert refused.returncode == 1
        assert "the scheduled night of 2013-02-15 is at its phase" in refused.stderr
        killed = kill_a_worker(daemon, "2013-02-15")
        (faults / "slow").unlink()
        until(lambda: reported(home, "2013-02-15"), "Friday's report")
        statuses = {run.run_id: run.status for run in runs_of(home, "2013-02-15")}
        assert statuses.pop(killed) == dg.DagsterRunStatus.FAILURE
        assert set(statuses.values()) == {dg.DagsterRunStatus.SUCCESS}
        assert "all is decided up to 2013-02-15" in str(daemon.start_night(at(15, 19)))

        # Monday was Presidents' Day
        assert "2013-02-18 is no session" in str(daemon.start_night(at(18, 16)))

        # Tuesday: the vendor does not answer; the report says why, the next tick tries again
        (faults / "outage").touch()
        assert daemon.start_night(at(19, 16)) is None
        until(lambda: reported(home, "2013-02-19"), "Tuesday's report of what is missing")
        missing = report_of(home, "2013-02-19").filter(pl.col("score").is_null())
        assert set(missing["ticker"]) == {"AAPL", "FB", "IBM", "MSFT"}  # whose vendor it is
        assert all("503 Service Unavailable" in reason for reason in missing["reason"])
        (faults / "outage").unlink()

        # on Wednesday evening both sessions are made up for, in order
        for night in ("2013-02-19", "2013-02-20"):
            until(lambda: daemon.start_night(at(20, 19)) is None, f"the start of {night}")
            until(lambda night=night: decided(home, night), f"the decisions of {night}")
        until(lambda: "all is decided up to 2013-02-20" in str(daemon.tick(at(20, 21))[1]), "the end of the last night")

        # the outage was told once; the run that was killed and repeated was not worth a word
        until(lambda: "503 Service Unavailable" in told_of(home, "2013-02-19"), "the message of Tuesday's outage")
        assert told_of(home, "2013-02-19").count("503 Service Unavailable") == 1
        assert told_of(home, "2013-02-15") == ""

    for night in ("2013-02-15", "2013-02-20"):
        done = unbroken.run("run", "--as-of", night)
        assert done.returncode == 0, done.stderr
        assert report_of(home, night).drop("session").equals(report_of(unbroken, night).drop("session"))


def decided(home: Home, night: str) -> bool:
    """The run that wrote the report has ended too, so that the next night may begin."""
    rows = report_of(home, night)
    ended = all(run.status in FINISHED for run in runs_of(home, night))
    return ended and rows.height == 6 and rows["rank"].drop_nulls().len() == 5
