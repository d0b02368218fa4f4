"""The sensor of the drop folder on a real instance: which runs a new file asks for, and that each is asked for once, whatever dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from quant_assets.calendars import Window, sessions
from quant_assets.definitions import build_defs
from quant_assets.defs.drop import INTERVAL_SECONDS, native_files_sensor
from quant_assets.intake import record_of
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace
from quant_assets_tests.defs.small import GRIDS, small_settings
from quant_assets_tests.natives import put, text
from quant_assets_tests.small import store

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.BetaWarning"), pytest.mark.filterwarnings("ignore::ResourceWarning")]
UNIVERSE = "ticker,source,listed\nAAPL,bokeh,2012-01-03\nCAT,kaggle,2012-01-03\nKO,kaggle,2012-01-03\nPG,kaggle,2013-01-02\n"
DAYS = sessions(Window(GRIDS.history_start, GRIDS.history_start.replace(year=2014)))
ALL = [day for day in DAYS if day.isoformat() <= "2013-03-01"]
Tick = Callable[[str | None], tuple[list[dg.RunRequest], str | None, str]]


def history(days: list, start: float = 20.0) -> str:
    return text(days, [start + 0.01 * place for place in range(len(days))])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data" / "drop").mkdir(parents=True)
    return small_settings(tmp_path, universe=UNIVERSE)


@pytest.fixture
def tick(settings: Settings, tmp_path: Path) -> Tick:
    """(requests, cursor, what it said) of one evaluation that begins with this cursor."""
    instance = dg.DagsterInstance.ephemeral()

    def evaluate(cursor: str | None) -> tuple[list[dg.RunRequest], str | None, str]:
        found = native_files_sensor(settings, [])(dg.build_sensor_context(instance=instance, cursor=cursor))
        if isinstance(found, dg.SkipReason):
            return [], cursor, str(found.skip_message)
        assert isinstance(found, dg.SensorResult)
        return list(found.run_requests or []), found.cursor, str(found.skip_reason.skip_message if found.skip_reason else "")

    return evaluate


def asked(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    tags = [request.tags for request in requests]
    return [(each["dagster/asset_partition_range_start"], each["dagster/asset_partition_range_end"]) for each in tags]


def test_new_files_ask_for_the_prices_of_their_names_over_their_years(settings: Settings, tick: Tick):
    drop = settings.home / "data/drop"
    put(drop, "CAT", history(ALL))
    put(drop, "KO", history(ALL))
    put(drop, "PG", history(ALL))
    put(drop, "AAPL", history(ALL))
    put(drop, "ZZZ", history(ALL))
    requests, cursor, said = tick(None)
    assert (requests, "waiting until they have been the same for two looks" in said) == ([], True)
    requests, cursor, _ = tick(cursor)
    assert asked(requests) == [("2012|CAT", "2013|PG")]  # adjacent; nothing is expected of PG in 2012
    assert {request.job_name for request in requests} == {"prices_phase"}
    assert requests[0].tags["quant_assets/night"] == "2013-03-01"
    assert requests[0].tags["quant_assets/attempt"].startswith("drop-")
    assert sorted(file.name for file in (settings.home / "data/native").iterdir()) == [
        f"{name}.us.txt" for name in ("aapl", "cat", "ko", "pg")
    ]
    requests, cursor, said = tick(cursor)
    assert requests == []
    assert said.endswith("called TICKER.us.txt): zzz.us.txt")
    put(drop, "KO", history([*ALL, *DAYS[len(ALL) : len(ALL) + 3]], 21.0))
    assert asked(tick(tick(cursor)[1])[0]) == [("2012|KO", "2013|KO")]


def test_the_run_that_is_asked_for_stores_the_bars(settings: Settings, tick: Tick):
    put(settings.home / "data/drop", "KO", history(ALL))
    [request], _, _ = tick(tick(None)[1])
    job = build_defs(settings).resolve_job_def(str(request.job_name))
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
    rows = Workspace.open(settings).lake.scan("prices").collect()
    assert rows.select("ticker", "source").unique().rows() == [("KO", "kaggle")]
    assert rows["session"].to_list() == ALL


def test_what_was_taken_in_is_asked_for_after_any_death(settings: Settings, tick: Tick):
    """A daemon that died before it kept the cursor asks by the same keys, so that Dagster starts the run once."""
    drop = settings.home / "data/drop"
    put(drop, "KO", history(ALL))
    _, first, _ = tick(None)
    once, after, _ = tick(first)
    again, _, _ = tick(first)
    assert [request.run_key for request in once] == [request.run_key for request in again]
    assert len(once) == 1
    assert tick(after)[0] == []
    lost, _, _ = tick(None)
    assert [request.run_key for request in lost] == [request.run_key for request in once]
    assert len(record_of(drop)) == 1


def test_what_was_fetched_since_is_not_asked_for(settings: Settings, tick: Tick):
    drop = settings.home / "data/drop"
    put(drop, "KO", history(ALL))
    _, cursor, _ = tick(None)
    requests, _, _ = tick(cursor)
    assert len(requests) == 1
    work = Workspace.open(settings)
    assert store(work, ["KO"], list(work.year_windows())).withheld == {}
    assert tick(cursor)[0] == []
    assert tick(None)[0] == []


def test_bars_that_continue_a_file_follow_it(tmp_path: Path, tick: Tick, settings: Settings):
    """Their level is the file's: all years since the listing are asked for, though the file ends in 2012."""
    settings.universe_file.write_text(UNIVERSE.replace("KO,kaggle", "KO,kaggle+bokeh"))
    put(settings.home / "data/drop", "KO", history([day for day in ALL if day.year == 2012]))
    put(settings.home / "data/drop", "CAT", history([day for day in ALL if day.year == 2012]))
    assert sorted(asked(tick(tick(None)[1])[0])) == [("2012|CAT", "2012|CAT"), ("2012|KO", "2013|KO")]


def test_nothing_is_moved_while_a_night_is_at_work(settings: Settings, tick: Tick):
    drop = settings.home / "data/drop"
    put(drop, "KO", history(ALL))
    _, cursor, _ = tick(None)
    with FileLock(settings.home / "data" / "night.lock"):
        assert tick(cursor) == ([], cursor, "a terminal is at work")
    assert (drop / "ko.us.txt").exists()
    assert len(tick(cursor)[0]) == 1


def test_without_a_drop_folder_there_is_nothing_to_do(settings: Settings, tick: Tick):
    (settings.home / "data/drop").rmdir()
    assert tick(None)[2].startswith("nothing to take in: ")
    sensor = native_files_sensor(settings, [])
    assert (sensor.default_status, sensor.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, INTERVAL_SECONDS)


def test_the_cursor_is_small_after_ten_thousand_files(settings: Settings, tick: Tick):
    for number in range(10_000):
        put(settings.home / "data/drop", f"T{number:05d}", "x")
    _, cursor, said = tick(None)
    assert len(str(cursor)) < 100
    assert said.endswith("and 9,995 more")
    assert json.loads(str(cursor)) == {"sizes": {}, "asked": 0}


def test_it_is_one_of_the_sensors_of_the_house(tmp_path: Path):
    names = {sensor.name for sensor in build_defs(Settings(home=tmp_path)).sensors or ()}
    assert {"after_phase", "after_failed_phase", "new_names", "native_files", "dead_runs", "alerts"} == names
