"""The sensor of failed runs, evaluated on a real instance with runs that really failed."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_assets.alert_channels import PASSWORD_VARIABLE, USER_VARIABLE, WEBHOOK_VARIABLE
from quant_assets.alerts import FILE_NAME, outbox
from quant_assets.definitions import build_defs
from quant_assets.defs.alerts import INTERVAL_SECONDS, alerts_sensor, tell
from quant_assets.defs.backfill import BACKFILL_TAG
from quant_assets.defs.chain import NIGHT_TAG, PHASE_TAG, RETRIED_TAG
from quant_assets.defs.failures import KILLED
from quant_assets.defs.partitions import range_tags
from quant_assets.logs import logger
from quant_assets.settings import Settings
from quant_assets_tests.defs.small import small_settings
from quant_assets_tests.loopback import Server, Webhook, serving

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CONFIGURATION = """telemetry:
  enabled: false
run_retries:
  enabled: true
  retry_on_asset_or_op_failure: false
"""
AAPL_2012 = "AAPL: prices incomplete: 250 sessions missing, 2012-01-03..2012-12-31; materialise prices for 2012-01-01..2012-12-31 first."
NIGHT = {NIGHT_TAG: "2013-03-01", PHASE_TAG: "features"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """SQLite, where run retries are on as in a home."""
    storage = tmp_path / "dagster"
    storage.mkdir()
    (storage / "dagster.yaml").write_text(CONFIGURATION)
    with dg.DagsterInstance.from_config(str(storage)) as instance:
        yield instance


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path)


@pytest.fixture(autouse=True)
def _own_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (WEBHOOK_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logger, "propagate", True)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Webhook) as server:
        monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{server.port}/hook")
        yield server


def fail(settings: Settings, instance: dg.DagsterInstance, **tags: str) -> str:
    """Runs features of AAPL for 2012 on an empty lake; the run id."""
    asked = {**range_tags(("AAPL",), ("2012",)), "dagster/max_retries": "0", **tags}
    job = build_defs(settings).resolve_job_def("features_phase")
    result: Any = job.execute_in_process(instance=instance, tags=asked, raise_on_error=False, run_config=QUIET)
    assert not result.success
    return str(result.run_id)


def tick(settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[str, str | None]:
    """(what the tick says, the next cursor), as the daemon evaluates it."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        told = alerts_sensor(settings).evaluate_tick(context)
    assert not told.run_requests
    return str(told.skip_message), told.cursor


def texts(webhook: Server) -> list[str]:
    return [request.body["text"] for request in webhook.taken]


def test_it_is_among_the_definitions_and_on(settings: Settings):
    sensor = build_defs(settings).resolve_sensor_def("alerts")
    assert (sensor.default_status, sensor.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, INTERVAL_SECONDS)


def test_nothing_failed_nothing_told(settings: Settings, instance: dg.DagsterInstance):
    assert tick(settings, instance) == ("0 new; nothing to tell", None)


def test_one_cause_in_two_runs_of_a_night_is_one_message(
    settings: Settings, instance: dg.DagsterInstance, webhook: Server, caplog: pytest.LogCaptureFixture
):
    runs = [fail(settings, instance, **NIGHT), fail(settings, instance, **NIGHT)]
    said, cursor = tick(settings, instance)
    assert said == "1 new; 1 told by log; 1 told by webhook"
    (text,) = texts(webhook)
    title, cause, place = text.splitlines()
    assert title == "quant_assets: features failed, night of 2013-03-01 (2 runs)"
    assert cause == AAPL_2012
    assert place.startswith(f"2012, AAPL, run {runs[0]}, ")
    assert [record.message for record in caplog.records if record.name == "quant_assets"] == [" | ".join(text.splitlines())]
    fail(settings, instance, **NIGHT)
    assert tick(settings, instance, cursor)[0] == "0 new; nothing to tell"


@pytest.mark.parametrize("lost", [False, True], ids=["cursor kept", "cursor lost"])
def test_evaluated_again_it_tells_nothing_twice(settings: Settings, instance: dg.DagsterInstance, webhook: Server, lost: bool):
    fail(settings, instance)
    _, cursor = tick(settings, instance)
    assert cursor is not None
    for again in (cursor, cursor, None if lost else cursor, "no cursor of ours", "2013-03-01"):
        assert tick(settings, instance, again) == ("0 new; nothing to tell", cursor)
    assert len(texts(webhook)) == 1


def test_a_run_that_failed_at_the_cursors_own_instant_is_told(settings: Settings, instance: dg.DagsterInstance, webhook: Server):
    fail(settings, instance, **NIGHT)
    _, cursor = tick(settings, instance)
    fail(settings, instance, **{**NIGHT, NIGHT_TAG: "2013-02-28"})
    _, later = tick(settings, instance, cursor)
    assert later is not None
    fail(settings, instance, **{BACKFILL_TAG: "1a2b3c4d"})
    # the cursor stands already where a run that is only now committed failed, or after it
    ahead = (dt.datetime.fromisoformat(later) + dt.timedelta(minutes=10)).isoformat()
    tick(settings, instance, ahead)
    assert [text.splitlines()[0].partition(", ")[2] for text in texts(webhook)] == [
        "night of 2013-03-01",
        "night of 2013-02-28",
        "backfill 1a2b3c4d",
    ]


def test_a_new_run_history_under_an_old_cursor(settings: Settings, instance: dg.DagsterInstance, webhook: Server, tmp_path: Path):
    fail(settings, instance, **NIGHT)
    _, cursor = tick(settings, instance)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(tmp_path / "dagster" / "dagster.yaml", fresh)
    with dg.DagsterInstance.from_config(str(fresh)) as other:
        fail(settings, other, **{**NIGHT, NIGHT_TAG: "2013-02-28"})
        assert tick(settings, other, cursor)[0] == "1 new; 1 told by log; 1 told by webhook"
    assert len(texts(webhook)) == 2


def test_history_from_before_the_first_tick_is_not_told(settings: Settings, instance: dg.DagsterInstance):
    fail(settings, instance)
    late = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    told = tell(settings, instance, None, now=late)
    assert str(told.skip_reason.skip_message if told.skip_reason else None) == "0 new; nothing to tell"


def test_a_run_that_failed_while_the_daemon_was_down_is_told_when_it_is_back(settings: Settings, instance: dg.DagsterInstance):
    fail(settings, instance)
    _, cursor = tick(settings, instance)
    fail(settings, instance, **NIGHT)
    told = tell(settings, instance, cursor, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=9))
    assert told.skip_reason is not None
    assert told.skip_reason.skip_message == "1 new; 1 told by log"


def test_a_run_that_is_repeated_is_not_told_and_its_last_repetition_is(settings: Settings, instance: dg.DagsterInstance, webhook: Server):
    repeated = fail(settings, instance, **NIGHT)
    instance.add_run_tags(repeated, {RETRIED_TAG: "true"})
    said, cursor = tick(settings, instance)
    assert said == "0 new; nothing to tell"
    last = fail(settings, instance, **NIGHT)
    tick(settings, instance, cursor)
    assert [last in text and repeated not in text for text in texts(webhook)] == [True]


def test_a_run_whose_repetition_is_not_settled_waits(settings: Settings, instance: dg.DagsterInstance):
    run_id = fail(settings, instance, **NIGHT)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.delete_run(run_id)
    instance.add_run(run.with_tags({key: value for key, value in run.tags.items() if key != RETRIED_TAG}))
    said, cursor = tick(settings, instance)
    assert said == "0 new; nothing to tell"
    now = dt.datetime.now(dt.UTC)
    told = tell(settings, instance, cursor, now=now + dt.timedelta(minutes=2))
    assert told.skip_reason is not None
    assert told.skip_reason.skip_message == "1 new; 1 told by log"


def test_a_killed_run_says_so_and_what_to_do(settings: Settings, instance: dg.DagsterInstance, webhook: Server):
    job = build_defs(settings).resolve_job_def("features_phase")
    run = instance.create_run_for_job(job, tags={**range_tags(("AAPL", "IBM"), ("2012", "2013")), "dagster/max_retries": "0"})
    instance.report_run_failed(run, "marked as failed")
    tick(settings, instance)
    (text,) = texts(webhook)
    title, cause, place = text.splitlines()
    assert title == f"quant_assets: features_phase failed, started by hand, {dt.datetime.now(dt.UTC):%Y-%m-%d}"
    assert cause == KILLED
    assert place.startswith("2012..2013, AAPL..IBM, run ")


def test_assets_launched_in_the_ui_are_told_by_their_names(settings: Settings, instance: dg.DagsterInstance, webhook: Server):
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    assets = frozenset({dg.AssetKey("labels"), dg.AssetKey("features")})
    asked = {"dagster/partition": "2012|AAPL", "dagster/backfill": "abcdefgh", "dagster/max_retries": "0"}
    run = instance.create_run_for_job(job, asset_selection=assets, tags=asked)
    instance.report_run_failed(run, "marked as failed")
    tick(settings, instance)
    (text,) = texts(webhook)
    assert text.splitlines()[0] == "quant_assets: features, labels failed, backfill abcdefgh"
    assert text.splitlines()[2].startswith("2012, AAPL, run ")


def test_a_webhook_that_is_down_gets_the_message_when_it_is_back(settings: Settings, instance: dg.DagsterInstance, webhook: Server):
    fail(settings, instance, **NIGHT)
    webhook.fault = "503 Service Unavailable"
    said, cursor = tick(settings, instance)
    assert said == "1 new; 1 told by log; webhook answered 503; 1 waiting for another attempt"
    webhook.fault = ""
    told = tell(settings, instance, cursor, now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=INTERVAL_SECONDS))
    assert told.skip_reason is not None
    assert told.skip_reason.skip_message == "0 new; 1 told by webhook"
    assert len(texts(webhook)) == 1


def test_two_daemons_do_not_tell_twice(settings: Settings, instance: dg.DagsterInstance):
    fail(settings, instance)
    data = settings.path(settings.paths.data)
    with outbox(data):
        said, cursor = tick(settings, instance)
    assert (said, cursor) == ("another process is delivering messages; wait for it to end.", None)
    assert not (data / FILE_NAME).exists()
    assert tick(settings, instance, cursor)[0] == "1 new; 1 told by log"
