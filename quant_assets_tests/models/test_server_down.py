"""A tracking server that is down, up and down again: what is trained meanwhile is kept, used, and sent once. A real server on loopback."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from quant_assets.errors import ModelError
from quant_assets.models.account_log import log_accounts
from quant_assets.models.kept_runs import KeptRuns
from quant_assets.models.model_files import BOOSTER
from quant_assets.models.model_listing import n_trials, registered
from quant_assets.models.registry import ModelRegistry
from quant_assets.models.run_record import RunRecord
from quant_assets.models.tracking import PARENT, TrackingUnavailable
from quant_assets_tests.models.mlflow_server import Server
from quant_assets_tests.models.trained import searched, trained

NAME = "signal-kept"


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Not started yet: nobody listens."""
    served = Server.at_a_free_port(tmp_path / "server")
    yield served
    served.kill()


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(server.uri, None, tmp_path / "waiting")


def files_of_a_registered(model_files: Path) -> Path:
    (model_files / "model").mkdir(parents=True)
    (model_files / "model" / "MLmodel").write_text("flavors: {}\n")
    return model_files


@contextmanager
def killed_at(owner: object, call: str) -> Iterator[None]:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, call, end)
        yield


def record_of(registry: ModelRegistry, kept_id: str) -> RunRecord:
    assert registry.kept
    return registry.kept.of(kept_id)[0].record()


def test_runs_are_kept_used_and_sent_once(server: Server, registry: ModelRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="quant_assets")
    assert registry.kept

    # Down: the same training with its members first and without them later is one run that waits in two turns; another is a third.
    model, other = trained(with_members=True), trained(seed=2)
    first = registry.log(model, partition="2010-10", name=NAME, trials=searched(3))
    again = registry.log(trained(), partition="2010-10", name=NAME)
    third = registry.log(other, partition="2010-10", name=NAME)
    assert first.waits
    assert first.version is None
    assert first.run_id == again.run_id != third.run_id
    assert len(registry.kept.waiting()) == 3
    stored = registry.load(first.run_id)
    assert len(stored.members) == 3
    assert stored.booster.save_raw() == model.booster.save_raw()
    waiting = ModelRegistry(server.uri, None, tmp_path / "waiting")  # another process's, later
    assert waiting.load(third.run_id).booster.save_raw() == other.booster.save_raw()
    to_register = files_of_a_registered(tmp_path / "files")
    registry.store(_registering(record_of(registry, third.run_id)), to_register)
    accounts = log_accounts(
        registry, partition="2010-10", booked={"accounts": "a"}, figures={"sharpe": 1.0}, pictures={}, files=to_register
    )

    # Up: whoever opens the registry next sends all of them, in their turn, even when it is killed amid it. Who is at it is not waited for.
    server.start()
    with killed_at(KeptRuns, "drop"), pytest.raises(KeyboardInterrupt):
        ModelRegistry(server.uri, None, tmp_path / "waiting")
    with FileLock(tmp_path / "waiting" / ".lock"):
        ModelRegistry(server.uri, None, tmp_path / "waiting")
        assert len(registry.kept.waiting()) == 5
    ModelRegistry(server.uri, None, tmp_path / "waiting")
    assert registry.kept.waiting() == []
    newest = registry.log(trained(seed=3), partition="2011-01", name=NAME)
    assert not newest.waits
    runs = {run.data.tags.get("kept_as"): run for run in registry.tracking.runs("tags.code_version != ''") if PARENT not in run.data.tags}
    assert set(runs) == {first.run_id, third.run_id, accounts, None}
    assert runs[accounts].data.metrics == {"sharpe": 1.0}
    assert runs[first.run_id].info.start_time == min(run.info.start_time for run in runs.values())
    assert n_trials(registry.tracking, NAME) == 2  # the trials that count: one of them chose what all were trained with
    assert [(each.model, each.version, each.run_id) for each in registered(registry.tracking)] == [
        (NAME, "1", runs[third.run_id].info.run_id)
    ]
    for run_id in (first.run_id, runs[first.run_id].info.run_id):
        assert len(registry.load(run_id).members) == 3
    assert registry.log(model, partition="2010-10", name=NAME).run_id == runs[first.run_id].info.run_id

    # Another machine, which downloads it. Down again: what was sent or read here is there; what is elsewhere is not, and that is said; what
    # is trained now waits.
    another = ModelRegistry(server.uri, None, tmp_path / "another" / "waiting")
    other_run = runs[third.run_id].info.run_id
    assert another.load(other_run).booster.save_raw() == other.booster.save_raw()
    server.kill()
    for run_id in (first.run_id, runs[first.run_id].info.run_id):
        assert len(registry.load(run_id).members) == 3
    assert registry.load(newest.run_id).booster.save_raw() == trained(seed=3).booster.save_raw()
    assert another.load(other_run).booster.save_raw() == other.booster.save_raw()
    with pytest.raises(TrackingUnavailable, match=f"the tracking server http://127.0.0.1:{server.port} does not answer") as unread:
        another.load(newest.run_id)
    assert unread.value.transient
    assert registry.log(trained(seed=4), partition="2011-01", name=NAME).waits
    ModelRegistry(server.uri, None, tmp_path / "waiting")
    assert len(registry.kept.waiting()) == 1
    said = caplog.text + str(unread.value)
    assert f"run {NAME} 2010-10 waits in {tmp_path / 'waiting'}" in said
    assert f"the run that waited as {first.run_id} was sent to http://127.0.0.1:{server.port} as" in said
    assert "hidden-word" not in said


def test_without_a_place_to_wait_the_run_is_refused(server: Server):
    with pytest.raises(TrackingUnavailable, match="Connection refused") as refused:
        ModelRegistry(server.uri, None).log(trained(), partition="2010-10")
    assert "hidden-word" not in str(refused.value)


@contextmanager
def answering(status: int, answer: bytes) -> Iterator[str]:
    """The address of a server that says the same to everything."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Same) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://me:hidden-word@127.0.0.1:{served.server_port}"
        served.shutdown()


def test_a_server_that_fails_is_waited_for_and_one_that_refuses_is_not(tmp_path: Path):
    with answering(503, b"") as address:
        registry = ModelRegistry(address, None, tmp_path / "waiting")
        assert registry.log(trained(), partition="2010-10").waits
    with answering(403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}') as address:
        registry = ModelRegistry(address, None, tmp_path / "other")
        with pytest.raises(ModelError, match=r"MLflow at http://127\.0\.0\.1:\d+ refuses \(PERMISSION_DENIED: not yours\)") as refused:
            registry.log(trained(), partition="2010-10")
    assert not isinstance(refused.value, TrackingUnavailable)
    assert registry.kept
    assert registry.kept.waiting() == []


def test_a_kept_run_that_is_damaged_is_told_and_keeps_no_other_from_waiting(registry: ModelRegistry):
    assert registry.kept
    kept_id = registry.log(trained(), partition="2010-10").run_id
    [kept] = registry.kept.waiting()
    (kept.folder / "run.json").write_text('{"experiment": "pooled_model"')
    with pytest.raises(ModelError, match=f"the run that waits in {kept.folder} is damaged"):
        kept.record()
    assert registry.log(trained(seed=2), partition="2010-10").waits
    assert registry.load(kept_id).members == ()
    (kept.files / BOOSTER).write_bytes(b"half")
    with pytest.raises(ModelError, match=f"model run {kept_id} cannot be read"):
        registry.load(kept_id)


def test_what_was_killed_while_it_was_being_kept_does_not_wait(registry: ModelRegistry):
    assert registry.kept
    with killed_at(RunRecord, "to_json"), pytest.raises(KeyboardInterrupt):
        registry.log(trained(), partition="2010-10")
    assert registry.kept.waiting() == []
    registry.log(trained(), partition="2010-10")
    assert len(registry.kept.waiting()) == 1


def _registering(record: RunRecord) -> RunRecord:
    return dataclasses.replace(record, register_as=NAME)
