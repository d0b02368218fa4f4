"""The file itself: what is said when it is damaged or cannot be written, and that processes share it."""

from __future__ import annotations

import datetime as dt

import pytest

from quant_assets.errors import WireError
from quant_assets.sources.wire.exchange import Answer
from quant_assets.sources.wire.policy import Rate
from quant_assets.sources.wire.store import FILE_NAME, Store
from quant_assets_tests.replay import Reply, in_turn, replaying
from quant_assets_tests.sources.wire.ways import POLICY, by_httpx

WHEN = dt.datetime(2026, 1, 5, 21, 0, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / FILE_NAME)
    yield store
    store.close()


def claim(store: Store, now: float, *rates: Rate, budget: int | None = None, day: str = "2026-01-05"):
    return store.claim("acme", rates, budget=budget, day=day, clock=lambda: now, stale_seconds=100.0)


def test_a_file_that_is_no_database(wire, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database, " * 500)
    with replaying(in_turn(Reply())) as server, pytest.raises(WireError, match=r"wire\.db cannot be used .*; delete it"):
        by_httpx(wire, POLICY, f"{server.url}/v1/bars", {})
    assert server.asked == []


def test_a_damaged_answer(wire, tmp_path):
    with replaying(in_turn(Reply())) as server:
        by_httpx(wire, POLICY, f"{server.url}/v1/bars", {})
        with wire.store._writing() as connection:
            connection.execute("UPDATE answer SET body = ?", (b"rubbish",))
        with pytest.raises(WireError, match=r"wire\.db cannot be used .*; delete it"):
            by_httpx(wire, POLICY, f"{server.url}/v1/bars", {})


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(WireError, match="make it and its folder writable"):
        Store(tmp_path / "data" / FILE_NAME).spent("acme", "2026-01-05")


def test_a_file_that_cannot_be_opened(store, tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(WireError, match="make it and its folder writable"):
        claim(store, 0.0)


def test_a_write_that_fails_half_way_keeps_nothing(store):
    class Hangup(Exception):
        pass

    def hang_up() -> None:
        with store._writing() as connection:
            connection.execute("INSERT INTO budget VALUES ('acme', '2026-01-05', 7, 0)")
            raise Hangup

    with pytest.raises(Hangup):
        hang_up()
    assert store.spent("acme", "2026-01-05") == (0, False)


def test_expired_answers_are_deleted(store):
    old = Answer(200, {}, b"old", WHEN)
    store.keep("old", old, expires_at=WHEN.timestamp() + 60)
    store.keep("new", Answer(200, {}, b"new", WHEN + dt.timedelta(hours=1)), expires_at=None)
    assert store.answer("old", now=WHEN.timestamp()) is None


def test_a_slot_counts_until_its_answer_is_older_than_the_window(store):
    rate = Rate(2, seconds=1.0)
    first, second = claim(store, 10.0, rate), claim(store, 10.1, rate)
    assert claim(store, 10.2, rate).wait_seconds == pytest.approx(1.0)  # both are under way: not before a whole window from now
    store.release(first.slot, now=10.5)
    store.release(second.slot, now=10.9)
    assert claim(store, 11.2, rate).wait_seconds == pytest.approx(0.3)
    assert claim(store, 11.5, rate).slot is not None


def test_the_slowest_of_several_rates_decides(store):
    for now in (0.0, 2.0, 4.0):
        store.release(claim(store, now, Rate(1, 1.0), Rate(3, 60.0)).slot, now=now)
    assert claim(store, 6.0, Rate(1, 1.0), Rate(3, 60.0)).wait_seconds == pytest.approx(54.0)


def test_a_process_that_was_killed_gives_its_slot_back_in_the_end(store):
    assert claim(store, 0.0, Rate(1, 1.0)).slot is not None
    assert claim(store, 99.0, Rate(1, 1.0)).slot is None
    assert claim(store, 101.5, Rate(1, 1.0)).slot is not None


def test_slots_and_holds_of_before_a_restart_of_the_machine_mean_nothing(store):
    """The monotonic clock begins anew."""
    claim(store, 5_000.0, Rate(1, 60.0))
    store.hold("acme", clock=lambda: 5_000.0, seconds=100.0)
    assert claim(store, 3.0, Rate(1, 60.0)).slot is not None


def test_a_hold_keeps_everyone_and_the_longer_one_stands(store):
    store.hold("acme", clock=lambda: 0.0, seconds=30.0)
    store.hold("acme", clock=lambda: 1.0, seconds=9.0)
    assert claim(store, 2.0).wait_seconds == pytest.approx(28.0)
    assert claim(store, 30.5).slot is not None
