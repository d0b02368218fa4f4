"""What processes share: a rate that no second exceeds, a day's budget, and who counts the day."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quant_assets.errors import SourceError, SourceUnavailable
from quant_assets.sources.wire.over_httpx import Client
from quant_assets.sources.wire.policy import Complaint, Rate, Trouble
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, Reply, in_turn, replaying
from quant_assets_tests.sources.wire.ways import MovingClock, by_httpx, policy


def worst_second(arrivals: list[float], seconds: float = 1.0) -> int:
    """Most arrivals in any half-open window of so many seconds."""
    arrivals = sorted(arrivals)
    return max(sum(1 for other in arrivals if start <= other < start + seconds) for start in arrivals)


def ask(folder: str, url: str, process: int, count: int, limit: int) -> None:
    wire = Wire(Path(folder))
    client = Client(wire, policy(rates=(Rate(limit, 1.0),)))
    for number in range(count):
        client.get(f"{url}/v1/bars", {"symbol": f"P{process}N{number}"})
    client.close()
    wire.store.close()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_ten_a_second(tmp_path, processes):
    """Answers of uneven slowness, so that requests overtake each other on their way."""

    def uneven(asked: Asked) -> Reply:
        return Reply(sleep=(sum(asked.params["symbol"].encode()) % 5) * 0.03)

    spawning = multiprocessing.get_context("spawn")
    with replaying(uneven) as server:
        workers = [spawning.Process(target=ask, args=(str(tmp_path), server.url, n, 32 // processes, 10)) for n in range(processes)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * processes
    arrivals = [asked.at for asked in server.asked]
    assert len(arrivals) == 32
    assert worst_second(arrivals) <= 10
    assert max(arrivals) - min(arrivals) < 12.0  # and the limit is used, not feared


def open_at(folder: str, at: float) -> None:
    time.sleep(max(0.0, at - time.time()))
    Wire(Path(folder)).status([policy()])


def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path):
    forking = multiprocessing.get_context("fork")
    at = time.time() + 0.3
    folders = [tmp_path / str(number) for number in range(4)]
    openers = [forking.Process(target=open_at, args=(str(folder), at)) for folder in folders for _ in range(8)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0] * len(openers)


def test_threads_share_one_wire_and_processes_one_breaker(tmp_path):
    brittle = policy(attempts=1, breaker_failures=8, rates=(Rate(4, 0.5),))
    wire, other = Wire(tmp_path), Wire(tmp_path)
    with replaying(in_turn(Reply(status=500))) as server, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(by_httpx, wire, brittle, f"{server.url}/v1/bars", {"symbol": str(n)}) for n in range(8)]
        assert {type(one.exception(30)) for one in asked} == {SourceUnavailable}
        assert worst_second([one.at for one in server.asked], 0.5) <= 4
        with pytest.raises(SourceUnavailable, match="not asked"):
            by_httpx(other, brittle, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    assert len(server.asked) == 8
    wire.store.close()
    other.store.close()


def test_a_rate_is_waited_for_and_no_longer(wire):
    slow = policy(rates=(Rate(1, 10.0),))
    with replaying(in_turn(Reply())) as server:
        for symbol in ("AAPL", "MSFT", "IBM"):
            by_httpx(wire, slow, f"{server.url}/v1/bars", {"symbol": symbol})
    first, second, third = (row.at for row in wire.store.audit())
    assert 9.9 <= second - first < 12.0
    assert 9.9 <= third - second < 12.0


def ask_in_child(wire: Wire, url: str) -> None:
    parents = wire.store._opened
    by_httpx(wire, policy(), f"{url}/v1/bars", {"symbol": "CHILD"})
    assert wire.store._opened is not parents


def test_a_forked_child_opens_the_file_anew(tmp_path):
    wire = Wire(tmp_path)
    forking = multiprocessing.get_context("fork")
    with replaying(in_turn(Reply())) as server:
        by_httpx(wire, policy(), f"{server.url}/v1/bars", {"symbol": "PARENT"})
        child = forking.Process(target=ask_in_child, args=(wire, server.url))
        child.start()
        child.join(30)
    assert child.exitcode == 0
    assert [row.symbol for row in wire.store.audit()] == ["PARENT", "CHILD"]
    wire.store.close()


def test_a_budget_of_25_a_day_outlives_the_process_and_counts_attempts(tmp_path, clock):
    frugal = policy(daily_budget=25)
    with replaying(in_turn(Reply(status=500), Reply())) as server:
        for number in range(3):
            wire = Wire(tmp_path, clock=clock)
            for symbol in range(8):
                by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": f"{number}-{symbol}"})
            wire.store.close()
        assert len(server.asked) == 25  # 24 and one that was repeated
        wire = Wire(tmp_path, clock=clock)
        assert wire.status([frugal])[0].budget_left == 0
        tomorrow = (clock.now() + dt.timedelta(days=1)).date()
        with pytest.raises(SourceError, match=rf"requests to acme is spent \(25\); the next may be sent from {tomorrow} 00:00 UTC"):
            by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "AAPL"})
        assert len(server.asked) == 25
        by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "0-0"})  # what is kept costs nothing
        clock.ahead += 86_400
        by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "AAPL"})
        assert wire.status([frugal])[0].requests_today == 1
        wire.store.close()


class NewYorkEvening(MovingClock):
    """From 2026-01-06 03:30 UTC, which is still the fifth in New York."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = time.monotonic()

    def now(self) -> dt.datetime:
        return dt.datetime(2026, 1, 6, 3, 30, tzinfo=dt.UTC) + dt.timedelta(seconds=self.monotonic() - self.begun)


def test_a_day_in_new_york_ends_at_five_utc(tmp_path):
    clock = NewYorkEvening()
    wire = Wire(tmp_path, clock=clock)
    frugal = policy(daily_budget=1, budget_zone="America/New_York")
    with replaying(in_turn(Reply())) as server:
        by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "MSFT"})
        with pytest.raises(SourceError, match="from 2026-01-06 05:00 UTC"):
            by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "AAPL"})
        clock.ahead += 5_400
        by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    wire.store.close()


def test_a_vendor_that_says_the_day_is_over_is_believed(wire):
    def complaint(request, answer):
        return Complaint(Trouble.BUDGET_SPENT, answer.body.decode()) if b"per day" in answer.body else None

    frugal = policy(daily_budget=25, complaint=complaint)
    with replaying(in_turn(Reply('{"Information": "25 requests per day"}'))) as server:
        for _ in range(2):
            with pytest.raises(SourceError, match="the next may be sent from"):
                by_httpx(wire, frugal, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    assert len(server.asked) == 1
    assert wire.status([frugal])[0].budget_left == 0
