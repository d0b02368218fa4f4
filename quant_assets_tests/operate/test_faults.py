"""What happens to a machine at work: processes killed, a full disk, a lost database, changed code, two at once. Real processes only.

Nothing may be lost or doubled: whatever stopped, the same command afterwards leaves the rows of a home that nothing ever happened to.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import psutil
import pytest

from quant_assets.calendars import year_window
from quant_assets_tests.night.homes import Home, new_home, read_until
from quant_assets_tests.night.test_restoring import ALL_TABLES, assert_same_rows
from quant_assets_tests.operate.daemon import Daemon, instance_of, running, until, worker_of

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
NOTHING_TO_DO = "nothing to do"
FOUR_NAMES = """ticker,source,listed
AAPL,bokeh,2010-01-04
IBM,bokeh,2010-01-04
KO,skfolio,2010-01-04
MSFT,bokeh,2010-01-04
"""
THREE_YEARS = """universe = "universe.csv"

[grids]
history_start = 2010-01-01
first_cutoff = 2012-01-01
first_decision = 2012-10-01
"""
LAUNCH = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename
... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"


@pytest.fixture
def home(finished: Home, tmp_path: Path) -> Home:
    return finished.copy(tmp_path / "home")


def forget(home: Home, table: str, year: int, *tickers: str) -> None:
    """The rows of these names (all without any) in one year are gone."""
    if tickers:
        nothing = home.lake.scan(table, keys=[], window=year_window(year)).collect()
        home.lake.replace(table, nothing, keys=tickers, window=year_window(year))
    else:
        (home.folder / "data" / "lake" / table / f"year={year}" / "part.parquet").unlink()


def start(command: list[str], home: Home) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        command, env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of a run that failed, which tells one what to do; there is no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


# Killed processes


def launch_backfill(daemon: Daemon, assets: tuple[str, ...], first: str, last: str) -> str:
    chosen = [{"assetKey": {"path": [asset]}, "partitions": {"range": {"start": first, "end": last}}} for asset in assets]
    told = daemon.ask(LAUNCH, p={"partitionsByAssets": chosen, "tags": []})["launchPartitionBackfill"]
    assert told["__typename"] == "LaunchBackfillSuccess", told
    return str(told["backfillId"])


def status_of(daemon: Daemon, backfill: str) -> str:
    return str(daemon.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"])


def year_of(run: dg.RunRecord) -> int:
    first, last = (run.dagster_run.tags[f"dagster/asset_partition_range_{end}"][:4] for end in ("start", "end"))
    assert first == last
    return int(first)


def kill_the_daemon(daemon: Daemon) -> None:
    """SIGKILL to the daemon, then to all that was started with it."""
    family = psutil.Process(daemon.process.pid).children(recursive=True)
    next(child for child in family if "dagster._daemon" in child.cmdline()).kill()
    daemon.stop(signal.SIGKILL)


def test_a_backfill_from_the_ui_outlives_its_worker_and_its_daemon(tmp_path: Path):
    """Prices and features together, launched as the UI launches them: nothing is lost, and no year runs before its look-back."""
    killed, unharmed = (new_home(tmp_path / name, universe=FOUR_NAMES) for name in ("killed", "unharmed"))
    for home in (killed, unharmed):
        (home.folder / "quant_assets.toml").write_text(THREE_YEARS)
    done = unharmed.run("backfill", "--tables", "index_prices,prices,features", "--end", "2012-12-31")
    assert done.returncode == 0, done.stderr
    assert killed.run("backfill", "--tables", "index_prices").returncode == 0
    slow = killed.folder / "faults" / "slow"
    slow.parent.mkdir()
    slow.write_text("60")
    with running(killed) as daemon:
        backfill = launch_backfill(daemon, ("prices", "features"), "2010|AAPL", "2012|MSFT")
        first = worker_of(daemon, "prices")
        os.kill(first, signal.SIGKILL)
        slow.write_text("5")
        until(lambda: worker_of(daemon, "prices") != first, "the repeated run")
        kill_the_daemon(daemon)
    slow.unlink()
    with running(killed) as daemon:
        until(lambda: status_of(daemon, backfill) not in ("REQUESTED", "REQUESTED_CANCEL"), "the end of the backfill")
        assert status_of(daemon, backfill) == "COMPLETED_SUCCESS"
    assert_same_rows(killed, unharmed, ("prices", "features"))
    with instance_of(killed) as instance:
        every = instance.get_run_records(filters=dg.RunsFilter(tags={"dagster/backfill": backfill}, statuses=[dg.DagsterRunStatus.SUCCESS]))
        ran = {
            asset: {year_of(run): run for run in every if dg.AssetKey(asset) in (run.dagster_run.asset_selection or ())}
            for asset in ("prices", "features")
        }
        assert all(set(years) == {2010, 2011, 2012} for years in ran.values())
        for year, run in ran["features"].items():
            assert all(run.start_time >= ran["prices"][earlier].end_time for earlier in range(2010, year + 1))
        cells = {f"{year}|{ticker}" for year in (2010, 2011, 2012) for ticker in ("AAPL", "IBM", "KO", "MSFT")}
        assert instance.get_materialized_partitions(dg.AssetKey("features")) == cells


def test_a_backfill_that_was_killed_in_a_step_does_not_hold_up_the_next(finished: Home, home: Home):
    """A step holds the pool of its table; nobody gives back what a killed process held."""

    def in_a_step() -> bool:
        with instance_of(home) as instance:
            return bool(instance.event_log_storage.get_concurrency_info("lake_prices").active_slot_count)

    with start(home.command("backfill", "--tables", "prices"), home) as killed:
        until(in_a_step, "the step of prices")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
    code, told = home.json("backfill", "--tables", "prices")
    assert (code, told["runs"], told["errors"]) == (0, 1, [])
    assert_same_rows(home, finished)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Mounts 64 MB of memory as the home's data."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """A file that takes all of the disk but `leave` bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - leave)
    return ballast


def test_a_full_disk(finished: Home, tmp_path: Path, small_disk: Callable[[Path], None]):
    """Without room for a byte, then with room for a part of what is to be written, then mended."""
    home = new_home(tmp_path / "home")
    small_disk(home.folder / "data")
    shutil.copytree(finished.folder / "data", home.folder / "data", dirs_exist_ok=True)
    shutil.copytree(finished.folder / "mlflow", home.folder / "mlflow")
    for table in ("prices", "features"):
        forget(home, table, 2012)
    tables = [table for table in ALL_TABLES if table != "coverage"]
    before = {table: home.table(table) for table in tables}
    for leave in (0, 300_000):
        ballast = fill(home.folder / "data", leave=leave)
        assert "free disk space" in sentence(home.run("run"))
        for table in tables:
            stored = home.table(table)
            assert stored.equals(before[table]) or (leave and stored.equals(finished.table(table))), table
        ballast.unlink()
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert_same_rows(home, finished)


# A lost database


def test_the_lake_needs_no_event_database(finished: Home, home: Home):
    _, before = home.json("data", "coverage")
    shutil.rmtree(home.folder / "data" / "dagster")
    code, after = home.json("data", "coverage")
    assert (code, after) == (0, before)
    assert {cell["status"] for cell in after["items"]} == {"complete"}
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert "..." not in done.stderr  # a phase that works ends its line with them
    assert home.files() == finished.files()
    forget(home, "features", 2010, "IBM")
    assert home.run("run").returncode == 0
    assert_same_rows(home, finished)


# Changed code


def other_code(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "quant_assets_tests.operate.other_features", *arguments]


def run_other_code(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(other_code(*arguments), env=home.environment, capture_output=True, text=True, timeout=300, check=False)


def test_code_that_changes_in_the_middle_of_a_night(finished: Home, home: Home):
    """Stopped after its features; by the time the night goes on, one of them is computed differently."""
    old = {table: finished.table(table) for table in ("model_runs", "oos_predictions", "equity", "signal")}
    for table in ("features", "model_runs"):
        forget(home, table, 2012)
    with start(home.command("run"), home) as interrupted:
        read_until(interrupted.stderr, "pooled model")
        os.killpg(interrupted.pid, signal.SIGINT)
        interrupted.communicate()
    assert interrupted.returncode == 1
    assert_same_rows(home, finished, ("features",))

    refused = run_other_code(home, "backfill", "--tables", "oos_predictions", "--start", "2011-01-01", "--end", "2011-12-31")
    assert "today's set is" in refused.stderr
    assert refused.returncode == 1
    assert home.table("oos_predictions").equals(old["oos_predictions"])

    done = run_other_code(home, "run")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    worked = [line.split("]", 1)[1].strip() for line in lines if NOTHING_TO_DO not in line]
    assert worked[0].startswith("features and labels: 2007..2013, 6 names")
    assert worked[1].startswith("features across names: 2007..2013")
    assert worked[2].startswith("pooled model, one a quarter: 2011-01..2013-01")
    assert [line.split(":")[0] for line in worked[3:]] == [
        *("out-of-sample scores", "each name's account", "portfolio, signal quality", "proof that nothing looks ahead"),
        *("signals and verdicts", "report"),
    ]
    models = home.table("model_runs")
    [feature_set] = models["feature_set"].unique()
    assert feature_set not in set(old["model_runs"]["feature_set"])
    assert set(home.table("oos_predictions")["model_run_id"]) == set(models["model_run_id"])
    assert not set(models["model_run_id"]) & set(old["model_runs"]["model_run_id"])
    assert set(home.table("signal")["feature_set"].drop_nulls()) == {feature_set}
    assert not set(home.table("equity")["scores"]) & set(old["equity"]["scores"])


# Two at once


def test_two_runs_at_once(finished: Home, home: Home):
    for table in ("prices", "features", "oos_predictions"):
        forget(home, table, 2012)
    both = [start(home.command("run"), home) for _ in range(2)]
    told = [process.communicate(timeout=240)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], told
    refused = told[[process.returncode for process in both].index(1)]
    assert refused.strip() == "error: another run is writing this lake; wait for it to end, then run again."
    assert_same_rows(home, finished)
    with instance_of(home) as instance:
        runs = sorted(instance.get_run_records(), key=lambda record: record.start_time)
    assert all(earlier.end_time <= later.start_time for earlier, later in itertools.pairwise(runs))


# A hole in the prices


def test_features_without_a_year_of_prices_fail_by_name(finished: Home, home: Home):
    forget(home, "prices", 2010, "IBM")
    forget(home, "features", 2012)
    done = home.run("backfill", "--tables", "features", "--start", "2012-01-01", "--end", "2012-12-31")
    assert done.returncode == 1
    assert "withheld IBM 2012: prices incomplete: 252 sessions missing, 2010-01-04..2010-12-31" in done.stderr
    there, whole = (each.table("features").filter(pl.col("session").dt.year() == 2012) for each in (home, finished))
    assert there.equals(whole.filter(pl.col("ticker") != "IBM"))
    _, told = home.json("data", "coverage", "--tickers", "IBM")
    [cell] = [cell for cell in told["items"] if (cell["table"], cell["window"]) == ("features", "2012")]
    assert "prices incomplete" in cell["reason"]
    assert home.run("run").returncode == 0
    assert_same_rows(home, finished)
