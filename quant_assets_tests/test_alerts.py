"""The outbox: one message a cause and occasion, each told once, over restarts, doubled events, killed writers and channels that fail."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from quant_assets.alerts import BUDGET_SECONDS, FILE_NAME, LONGEST_CAUSE, PATIENCE, Message, Outbox, outbox
from quant_assets.errors import LakeError, LockHeld
from quant_assets.logs import logger

NOW = dt.datetime(2013, 3, 1, 22, 30, tzinfo=dt.UTC)
CAUSE = "AAPL: prices incomplete: 3 sessions missing; materialise prices for 2013-01-01..2013-12-31 first."
FAILED = Message(CAUSE, "night of 2013-03-01", "features", "2012..2013", "AAPL..MSFT", NOW, "run-1")


@pytest.fixture(autouse=True)
def _log_to_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "propagate", True)


@dataclass
class Told:
    """A channel that takes every message, or says why not."""

    name: str = "webhook"
    problem: str | None = None
    taken: list[tuple[str, int]] = field(default_factory=list)
    asked: int = 0

    def send(self, message: Message, runs: int) -> str | None:
        self.asked += 1
        if self.problem is None:
            self.taken.append((message.id, runs))
        return self.problem


def put(folder: Path, *messages: Message, now: dt.datetime = NOW) -> int:
    with outbox(folder) as box:
        return sum(box.put([message], now=now) for message in messages)


def deliver(folder: Path, *channels: Told, now: dt.datetime = NOW) -> str:
    with outbox(folder) as box:
        return str(box.deliver(channels, now=now))


def test_a_message_says_what_failed_where_when_and_what_to_do():
    assert FAILED.text() == (
        f"quant_assets: features failed, night of 2013-03-01\n{CAUSE}\n2012..2013, AAPL..MSFT, run run-1, 2013-03-01 22:30 UTC"
    )
    assert FAILED.text(3).splitlines()[0] == "quant_assets: features failed, night of 2013-03-01 (3 runs)"
    assert len(replace(FAILED, cause="x" * 9000).text()) < LONGEST_CAUSE + 200


def test_two_runs_with_one_cause_are_one_message_that_counts_them(tmp_path: Path):
    assert put(tmp_path, FAILED, replace(FAILED, run_id="run-2")) == 1
    channel = Told()
    assert deliver(tmp_path, channel) == "1 told by webhook"
    assert channel.taken == [(FAILED.id, 2)]


def test_another_cause_and_another_night_are_told_again(tmp_path: Path):
    others = [replace(FAILED, run_id="run-2", cause="another"), replace(FAILED, run_id="run-3", occasion="night of 2013-03-04")]
    assert put(tmp_path, FAILED, *others) == 3
    channel = Told()
    deliver(tmp_path, channel)
    assert [told for told, _ in channel.taken] == [FAILED.id, *(other.id for other in others)]


def test_a_run_with_two_causes_is_two_messages_and_the_same_event_again_none(tmp_path: Path):
    both = [FAILED, replace(FAILED, cause="another")]
    with outbox(tmp_path) as box:
        assert box.put(both, now=NOW) == 2
        assert box.put(both, now=NOW) == 0
    content = (tmp_path / FILE_NAME).read_bytes()
    with outbox(tmp_path) as box:
        assert box.knows("run-1")
        assert box.put(both, now=NOW) == 0
        assert [entry.runs for entry in box.entries] == [{"run-1"}, {"run-1"}]
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_what_is_told_stays_told_after_a_restart_and_when_it_happens_again(tmp_path: Path):
    channel = Told()
    put(tmp_path, FAILED)
    deliver(tmp_path, channel)
    put(tmp_path, replace(FAILED, run_id="run-2"))
    for hours in range(0, 100, 7):
        assert deliver(tmp_path, channel, now=NOW + dt.timedelta(hours=hours)) == "nothing to tell"
    assert channel.taken == [(FAILED.id, 1)]


def test_each_channel_is_tried_for_itself(tmp_path: Path):
    put(tmp_path, FAILED)
    good, bad = Told("log"), Told("webhook", problem="answered 500")
    assert deliver(tmp_path, good, bad) == "1 told by log; webhook answered 500; 1 waiting for another attempt"
    bad.problem = None
    assert deliver(tmp_path, good, bad, now=NOW + dt.timedelta(seconds=30)) == "1 told by webhook"
    assert len(good.taken) == len(bad.taken) == 1


def test_a_channel_that_fails_is_asked_once_a_call_and_the_next_message_is_not_held_up(tmp_path: Path):
    second = replace(FAILED, run_id="run-2", cause="another")
    put(tmp_path, FAILED, second)
    channel = Told(problem="answered 500")
    deliver(tmp_path, channel)
    assert channel.asked == 1
    channel.problem = None
    deliver(tmp_path, channel, now=NOW + dt.timedelta(seconds=5))
    assert channel.taken == [(second.id, 1)]


def test_attempts_become_rarer_until_it_is_given_up_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    put(tmp_path, FAILED)
    channel = Told(problem="answered 500")
    ticks = int((PATIENCE + dt.timedelta(hours=2)) / dt.timedelta(seconds=30))
    for tick in range(ticks):
        deliver(tmp_path, channel, now=NOW + tick * dt.timedelta(seconds=30))
    assert 25 < channel.asked < 40
    (said,) = [record.message for record in caplog.records]
    assert said == f"given up after {channel.asked} attempts by webhook: features failed, night of 2013-03-01 (run-1)"
    channel.problem = None
    assert deliver(tmp_path, channel, now=NOW + dt.timedelta(days=2)) == "nothing to tell"
    assert channel.taken == []


def test_a_channel_that_is_set_later_is_not_told_of_the_past(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    put(tmp_path, FAILED)
    late = Told("e-mail")
    assert deliver(tmp_path, late, now=NOW + PATIENCE + dt.timedelta(minutes=1)) == "nothing to tell"
    assert (late.taken, caplog.records) == ([], [])


def test_slow_deliveries_wait_for_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path, FAILED, replace(FAILED, run_id="run-2", cause="another"))
    clock = iter([0.0, 0.0, BUDGET_SECONDS + 1.0])
    channel = Told()
    with outbox(tmp_path) as box, monkeypatch.context() as patched:
        patched.setattr("quant_assets.alerts.time.monotonic", lambda: next(clock))
        assert str(box.deliver([channel], now=NOW)) == "1 told by webhook; 1 waiting for another attempt"
    assert deliver(tmp_path, channel) == "1 told by webhook"


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_half_a_line_of_a_killed_writer_costs_that_line_only(tmp_path: Path, cut: int):
    put(tmp_path, FAILED)
    whole = (tmp_path / FILE_NAME).read_bytes()
    put(tmp_path, replace(FAILED, run_id="run-2", cause="another"))
    last = (tmp_path / FILE_NAME).read_bytes()[len(whole) :]
    torn = last[:cut] if cut > 0 else last[: len(last) - 3]
    (tmp_path / FILE_NAME).write_bytes(whole + torn)
    third = replace(FAILED, run_id="run-3", cause="a third")
    assert put(tmp_path, third) == 1
    channel = Told()
    deliver(tmp_path, channel)
    assert deliver(tmp_path, channel) == "nothing to tell"
    assert [told for told, _ in channel.taken] == [FAILED.id, third.id]


@pytest.mark.parametrize("line", ["[]", "3", '"text"', "{}", '{"kind": "attempt", "id": "nobody", "channel": "log"}', "\x00\xff"])
def test_a_line_that_is_none_of_ours_is_passed_over(tmp_path: Path, line: str):
    put(tmp_path, FAILED)
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(line + "\n")
    assert [entry.message for entry in Outbox(tmp_path / FILE_NAME).entries] == [FAILED]


def _killed_after_the_first_delivery(folder: Path) -> None:
    class Deadly(Told):
        def send(self, message: Message, runs: int) -> str | None:
            if self.asked:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().send(message, runs)

    with outbox(folder) as box:
        box.deliver([Deadly("log")], now=NOW)


def test_a_killed_process_leaves_no_lock_and_forgets_nothing_it_wrote_down(tmp_path: Path):
    second = replace(FAILED, run_id="run-2", cause="another")
    put(tmp_path, FAILED, second)
    process = multiprocessing.get_context("spawn").Process(target=_killed_after_the_first_delivery, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    channel = Told("log")
    deliver(tmp_path, channel)
    assert channel.taken == [(second.id, 1)]


def test_one_process_at_a_time_delivers(tmp_path: Path):
    with outbox(tmp_path), pytest.raises(LockHeld, match="another process is delivering messages"), outbox(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(LakeError, match=r"set paths\.data"), outbox(tmp_path / "data"):
        pass


def test_the_journal_can_be_read_by_others(tmp_path: Path):
    put(tmp_path, FAILED)
    deliver(tmp_path, Told(problem="answered 500"))
    failure, attempt = (json.loads(line) for line in (tmp_path / FILE_NAME).read_text().splitlines())
    assert (failure["kind"], failure["cause"], failure["occasion"], failure["run_id"]) == ("failure", CAUSE, FAILED.occasion, "run-1")
    assert (attempt["kind"], attempt["channel"], attempt["outcome"]) == ("attempt", "webhook", "answered 500")
