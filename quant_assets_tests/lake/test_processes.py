"""Several processes on one year, and writers killed at any instant."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from quant_assets.lake import Lake
from quant_assets_tests.conftest import CHECKOUT
from quant_assets_tests.lake.frames import SORT_ORDER, TABLE, YEAR_2012, file_of, weekdays_2012
from quant_assets_tests.lake.writer_process import APPENDED, REWRITTEN, VERSIONS

# Every fifth kill comes as soon as the unfinished file appears, the other 52 at drawn instants of a write.
KILLS, AIMED = 65, 5


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "quant_assets_tests.lake.writer_process", *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def hear(process: subprocess.Popen[bytes]) -> str:
    line = process.stdout.readline()
    assert line, f"writer process ended with {process.wait()}"
    return line.decode().strip()


def test_two_processes_write_one_year_while_a_third_reads(tmp_path: Path) -> None:
    tickers = ["AAPL", "IBM"]
    expected = {ticker: weekdays_2012([ticker], 0.0).head(APPENDED) for ticker in tickers}
    lake, seen = Lake(tmp_path), dict.fromkeys(tickers, 0)
    with ExitStack() as stack:
        writers = [stack.enter_context(start("append", str(tmp_path), ticker)) for ticker in tickers]
        assert [hear(writer) for writer in writers] == ["ready", "ready"]
        for writer in writers:
            writer.stdin.write(b"\n")
        while any(writer.poll() is None for writer in writers):
            rows = lake.scan(TABLE).collect()
            for ticker in tickers:
                own = rows.filter(ticker=ticker)
                assert_frame_equal(own, expected[ticker].head(own.height))
                assert own.height >= seen[ticker]
                seen[ticker] = own.height
    assert [writer.returncode for writer in writers] == [0, 0]
    assert_frame_equal(lake.scan(TABLE).collect(), pl.concat(expected.values()))


def test_a_writer_killed_at_any_instant_leaves_before_or_after(tmp_path: Path) -> None:
    rng = random.Random(20130301)
    lake, unfinished = Lake(tmp_path), file_of(tmp_path, 2012).with_name("part.parquet.tmp")
    neighbour = weekdays_2012(["ZZZ"], 7.0)
    versions = [weekdays_2012(REWRITTEN, first_score) for first_score in VERSIONS]
    lake.replace(TABLE, pl.concat([versions[1], neighbour]), keys=None, window=YEAR_2012)
    states = [pl.concat([version, neighbour]).sort(SORT_ORDER) for version in versions]

    inside_a_write = leftovers = 0
    outcomes = set()
    with start("alternate", str(tmp_path)) as server:
        assert hear(server) == "ready"
        for round_number in range(KILLS):
            server.stdin.write(b"\n")
            child = int(hear(server))
            for _ in range(2):  # a child's first write also starts its threads: the second one shows how long a write takes
                assert hear(server) == "begin"
                begun = time.perf_counter()
                assert hear(server) == "end"
                duration = time.perf_counter() - begun
            assert hear(server) == "begin"
            if round_number % AIMED:  # until the drawn instant of this write, or its end if that comes first
                select.select([server.stdout], [], [], rng.uniform(0, duration))
            else:
                while not unfinished.exists() and not select.select([server.stdout], [], [], 0)[0]:
                    pass
            os.kill(child, signal.SIGKILL)
            heard = ["begin"]
            while heard[-1] != "dead":
                heard.append(hear(server))
            inside_a_write += heard[-2] == "begin"

            found = lake.scan(TABLE).collect()
            assert any(found.equals(state) for state in states)
            outcomes.add(found.equals(states[0]))
            left = [unfinished] if unfinished.exists() else []
            leftovers += len(left)
            if round_number % 2:
                assert lake.sweep() == left
            else:
                lake.replace(TABLE, versions[1], keys=REWRITTEN, window=YEAR_2012)
            assert not unfinished.exists()
        server.stdin.close()

    assert server.returncode == 0
    assert inside_a_write >= KILLS // 2
    assert leftovers >= 3
    assert outcomes == {True, False}
