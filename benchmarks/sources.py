"""The wire against what a user would pick: requests-cache and bare requests for a second fetch, pyrate-limiter for a shared limit.

Run `python benchmarks/sources.py`. The vendor is a server on loopback that takes 0 to 120 ms for an answer.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' server, which is not installed

import pyrate_limiter
import requests
import requests_cache
from rich.console import Console
from rich.table import Table

from quant_assets.sources.wire import over_requests
from quant_assets.sources.wire.policy import Policy, Rate
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, ReplayServer, Reply, replaying

N_SYMBOLS, N_BARS, REPETITIONS = 50, 250, 5
LIMIT, PROCESSES, N_REQUESTS = 10, 4, 80
BODY = json.dumps([{"date": f"bar {n}", "open": n * 1.01, "high": n * 1.02, "low": n * 0.99, "close": n * 1.0} for n in range(N_BARS)])


def answers(asked: Asked) -> Reply:
    """Slower for some, so that requests overtake each other."""
    return Reply(BODY, sleep=sum(asked.params["symbol"].encode()) % 5 * 0.03)


def fetch(session: requests.Session, url: str) -> float:
    """Seconds for all symbols, one after the other."""
    begun = time.perf_counter()
    for number in range(N_SYMBOLS):
        session.get(f"{url}/v1/bars", params={"symbol": f"T{number:02d}", "apikey": "K3Y-of-a-benchmark"}, timeout=30).raise_for_status()
    return time.perf_counter() - begun


def on_the_wire(folder: Path, rates: tuple[Rate, ...] = ()) -> tuple[requests.Session, Wire]:
    wire = Wire(folder)
    return over_requests.mount(requests.Session(), wire, Policy(vendor="loopback", rates=rates)), wire


def second_fetches(server: ReplayServer, folder: Path) -> dict[str, tuple[float, float, int]]:
    """Contestant to (seconds of the first fetch, median of the second, requests of one second fetch)."""

    def wired() -> requests.Session:
        return on_the_wire(folder)[0]

    def cached() -> requests.Session:
        return requests_cache.CachedSession(
            str(folder / "requests_cache"), backend="sqlite", expire_after=86_400, ignored_parameters=["apikey"]
        )

    contestants: dict[str, Callable[[], requests.Session]] = {"wire": wired, "requests-cache": cached, "requests": requests.Session}
    first = {name: fetch(make(), server.url) for name, make in contestants.items()}
    again: dict[str, list[float]] = {name: [] for name in contestants}
    sent = dict.fromkeys(contestants, 0)
    names = list(contestants)
    for repetition in range(REPETITIONS):
        for name in names[repetition % 3 :] + names[: repetition % 3]:
            before = len(server.asked)
            again[name].append(fetch(contestants[name](), server.url))
            sent[name] = len(server.asked) - before
    return {name: (first[name], statistics.median(again[name]), sent[name]) for name in contestants}


def worker(how: str, folder: str, url: str, process: int) -> None:
    """One process's share of the requests, under the limit that all of them share."""
    acquire = lambda: None  # noqa: E731
    if how == "wire":
        session, _ = on_the_wire(Path(folder), (Rate(LIMIT, 1.0),))
    else:
        session = requests.Session()
        rates = [pyrate_limiter.Rate(LIMIT, pyrate_limiter.Duration.SECOND)]
        path = f"{folder}/rates.sqlite"
        limiter = pyrate_limiter.Limiter(
            pyrate_limiter.SQLiteBucket.init_from_file(rates, db_path=path, use_file_lock=how.endswith("lock"))
        )
        acquire = lambda: limiter.try_acquire("vendor")  # noqa: E731
    for number in range(N_REQUESTS // PROCESSES):
        acquire()
        session.get(f"{url}/v1/bars", params={"symbol": f"P{process}N{number}"}, timeout=30)


def shared_limit(how: str) -> tuple[int, int, float, int]:
    """(requests in the worst second, seconds-long windows above the limit, requests a second, processes that failed)."""
    spawning = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, replaying(answers) as server:
        workers = [spawning.Process(target=worker, args=(how, folder, server.url, number)) for number in range(PROCESSES)]
        for process in workers:
            process.start()
        for process in workers:
            process.join(120)
        failed = sum(1 for process in workers if process.exitcode != 0)
        for process in workers:
            process.kill()
        arrivals = sorted(asked.at for asked in server.asked)
    if len(arrivals) < 2:
        return 0, 0, 0.0, failed
    counts = [sum(1 for other in arrivals if start <= other < start + 1.0) for start in arrivals]
    return max(counts), sum(1 for count in counts if count > LIMIT), len(arrivals) / (arrivals[-1] - arrivals[0]), failed


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder, replaying(answers) as server:
        fetched = second_fetches(server, Path(folder))
    table = Table("", "first (s)", "second (s)", "requests the second time", title=f"{N_SYMBOLS} symbols, {len(BODY) / 1000:.0f} kB each")
    for name, (first, second, sent) in fetched.items():
        table.add_row(name, f"{first:.2f}", f"{second:.3f}", str(sent))
    console.print(table)

    limited = {how: shared_limit(how) for how in ("wire", "pyrate-limiter, file lock", "pyrate-limiter")}
    table = Table(
        "", "worst second", "windows above", "requests/s", "processes that failed", title=f"{PROCESSES} processes, {LIMIT} a second"
    )
    for name, (worst, above, speed, failed) in limited.items():
        table.add_row(name, str(worst), str(above), f"{speed:.1f}", str(failed))
    console.print(table)

    _, second, sent = fetched["wire"]
    if sent > 0.01 * N_SYMBOLS or second >= 1.0:
        sys.exit(f"the second fetch took {second:.2f} s and {sent} requests; 1 s and 1 % are allowed")
    if limited["wire"][0] > LIMIT or limited["wire"][3]:
        sys.exit(f"{limited['wire'][0]} requests arrived within a second; {LIMIT} are allowed")


if __name__ == "__main__":
    main()
