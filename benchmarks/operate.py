"""What it costs to operate: planning, ticks and hops at 10,000 partitions, a night through the daemon, a backfill from nothing, 20 kills.

Run `python benchmarks/operate.py`, or one part of it: `--only planning`. `--quick` takes each figure once and kills four times. Planning
and ticks are measured on the synthetic home of `big_home.py`, everything else on the market data that ships with the install. Ends with
1 and a sentence when a killed backfill does not lead to the rows of one that nobody killed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
from rich.console import Console
from rich.table import Table as RichTable

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

import big_home  # noqa: E402 - beside this file
import kills  # noqa: E402

from quant_assets.backfill import Backfill  # noqa: E402
from quant_assets.calendars import year_window  # noqa: E402
from quant_assets.defs.chain import Link, chain_tags  # noqa: E402
from quant_assets.defs.instance import open_instance  # noqa: E402
from quant_assets.defs.jobs import job_name  # noqa: E402
from quant_assets.defs.schedules import tonight  # noqa: E402
from quant_assets.defs.sensors import following  # noqa: E402
from quant_assets.lake import tallies  # noqa: E402
from quant_assets.planning import DECIDING, PHASES, Phase, Rectangle, windows_of  # noqa: E402
from quant_assets.workspace import Workspace  # noqa: E402
from quant_assets_tests.night.homes import Home, new_home  # noqa: E402
from quant_assets_tests.operate.daemon import instance_of, running, until  # noqa: E402

PLANNED_SECONDS, TICK_SECONDS, BACKFILL_SECONDS = 2, 1, 300
PAST_NIGHTS = 100
SCATTERED = 100
LAST_NIGHT, NIGHT = "2013-02-28", "2013-03-01"
EVENING = dt.datetime(2013, 3, 1, 17, 15, tzinfo=ZoneInfo("America/New_York"))
screen = Console()


def seconds(action: Callable[[], object], repetitions: int) -> list[float]:
    """Of each repetition, after one that warms up."""
    times = []
    for _ in range(repetitions + 1):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return times[1:]


def told(times: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(times):.2f} ({min(times):.2f}-{max(times):.2f})"


def figures(title: str, rows: Sequence[tuple[str, Sequence[float]]], *, target: float) -> None:
    table = RichTable(title=title)
    for heading in ("", "seconds, median (range)", "target"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, times in rows:
        table.add_row(name, told(times), f"{target} {'met' if statistics.median(times) < target else 'MISSED'}")
    screen.print(table)


def planning(folder: Path, repetitions: int) -> None:
    work = big_home.build(folder / "big")
    names = tuple(work.universe.tickers)
    phases = [phase for phase in PHASES if phase.name in ("prices", "features", "predict", "backtest")]

    def planned(phase: Phase, *, only_missing: bool) -> Callable[[], object]:
        asked = Backfill(work.history, names, phase.tables, only_missing)
        return lambda: asked.runs(phase, work)

    rows = [(f"{phase.name}: everything again", seconds(planned(phase, only_missing=False), repetitions)) for phase in phases]
    rows += [(f"{phase.name}: nothing is missing", seconds(planned(phase, only_missing=True), repetitions)) for phase in phases]
    cells = random.Random(7).sample([(name, year) for name in names for year in work.history.years], SCATTERED)
    for name, year in cells:
        work.lake.replace("prices", work.lake.scan("prices", keys=[]).collect(), keys=[name], window=year_window(year))
    prices = phases[0]
    rows.append((f"prices: {SCATTERED} scattered", seconds(planned(prices, only_missing=True), repetitions)))
    figures("Planning one phase of 500 names x 20 windows", rows, target=PLANNED_SECONDS)


def ticks(folder: Path, repetitions: int) -> None:
    work = big_home.build(folder / "ticks")
    named = {phase.name: phase for phase in PHASES}

    def forget(table: str) -> None:
        work.lake.replace(table, work.lake.scan(table, keys=[]).collect(), keys=None, window=big_home.night_of(work))

    with open_instance(work.settings) as instance:
        for number in range(PAST_NIGHTS):
            for phase in DECIDING:
                instance.add_run(past_run(work, phase, night=work.as_of - dt.timedelta(days=PAST_NIGHTS - number)))

        def tick() -> object:
            return tonight(work.settings, instance, EVENING)

        def hop(after: str, *wrote: str, first: bool = False) -> Callable[[], object]:
            """As it is when the phase has just written the running year of these tables; `first`: in a process that knows nothing yet."""

            def carried_on() -> object:
                for table in (*wrote, "coverage"):
                    os.utime(work.lake.root / table / f"year={work.as_of.year}" / "part.parquet")
                if first:
                    tallies._of_year.cache_clear()
                return list(following(work.settings, instance, past_run(work, named[after], night=work.as_of), reason=None))

            return carried_on

        rows = [("tick, all is decided", seconds(tick, repetitions))]
        forget("signal")
        rows.append(("tick, a night to begin", seconds(tick, repetitions)))
        rows.append(("sensor after portfolio", seconds(hop("portfolio", "equity"), repetitions)))
        first = seconds(hop("portfolio", "equity", first=True), repetitions)
        forget("features")
        rows.append(("sensor after prices", seconds(hop("prices", "prices"), repetitions)))
    figures(f"500 names x 20 windows, {PAST_NIGHTS} past nights on record", rows, target=TICK_SECONDS)
    screen.print(f"The same sensor in a process that has counted nothing yet, as after the start of the daemon: {told(first)} s.")


def past_run(work: Workspace, phase: Phase, *, night: dt.date) -> dg.DagsterRun:
    window = list(windows_of(phase, work))[-1]
    names = (work.universe.tickers[0], work.universe.tickers[-1]) if phase.by_ticker else ()
    tags = chain_tags(dataclasses.replace(work, as_of=night), phase, Rectangle(names, (window,)), attempt="1")
    return dg.DagsterRun(job_name=job_name(phase), tags=tags, status=dg.DagsterRunStatus.SUCCESS)


def night(folder: Path, repetitions: int) -> None:
    """One night of six names; time in our code is that of its steps, the rest is what Dagster and its processes take."""
    times: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(repetitions):
        home = new_home(folder / f"night_{number}")
        done = home.run("run", "--as-of", LAST_NIGHT)
        if done.returncode:
            sys.exit(f"the night before failed: {done.stderr[-2000:]}")
        with running(home) as daemon:
            daemon.start_night(EVENING)
            until(lambda home=home: any(phase == "report" for phase, *_ in phases_of(home)), "the report")
        for phase, *parts in phases_of(home):
            times.setdefault(phase, []).append((parts[0], parts[1], parts[2]))
    table = RichTable(title=f"A night of six names through the daemon, seconds, median of {repetitions}")
    for heading in ("phase", "request to step", "step", "step to next request"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    totals = [0.0, 0.0, 0.0]
    for phase, own in times.items():
        medians = [statistics.median(each[part] for each in own) for part in range(3)]
        totals = [total + median for total, median in zip(totals, medians, strict=True)]
        table.add_row(phase, *(f"{median:.1f}" for median in medians))
    table.add_row("all", *(f"{total:.1f}" for total in totals))
    screen.print(table)
    outside = totals[0] + totals[2]
    screen.print(f"{outside / sum(totals):.0%} of the night is outside its steps: {outside / max(len(times), 1):.1f} s a phase.")


def phases_of(home: Home) -> list[tuple[str, float, float, float]]:
    """phase, seconds from request to step, in the step, from its end to the next request, of each phase of the night that has ended."""
    found = []
    with instance_of(home) as instance:
        for record in instance.get_run_records(ascending=True):
            link = Link.of(record.dagster_run)
            if link is None or link.night.isoformat() != NIGHT or record.end_time is None:
                continue
            stats = instance.get_run_step_stats(record.dagster_run.run_id)
            begun, ended = min(each.start_time or 0 for each in stats), max(each.end_time or 0 for each in stats)
            found.append((link.phase, record.create_timestamp.timestamp(), begun, ended))
    following_requests = [requested for _, requested, _, _ in found[1:]] + [found[-1][3]] if found else []
    return [
        (phase, begun - requested, ended - begun, following - ended)
        for (phase, requested, begun, ended), following in zip(found, following_requests, strict=True)
    ]


def backfill(folder: Path, repetitions: int) -> None:
    """The whole offline universe from an empty home, and what the plan says of it before and after."""
    times, plans = [], []
    for number in range(repetitions):
        home = Home(folder / f"backfill_{number}")
        home.folder.mkdir()
        for file in ("quant_assets.toml", "dagster.yaml"):
            (home.folder / file).write_bytes((CHECKOUT / file).read_bytes())
        before = home.json("backfill", "--plan")[1]["items"]
        assert all(line["seconds"] is None for line in before), "a plan for an empty home knows no times"
        begun = time.perf_counter()
        done = home.run("backfill")
        times.append(time.perf_counter() - begun)
        if done.returncode:
            sys.exit(f"the backfill failed: {done.stderr[-2000:]}")
        plans.append(sum(line["seconds"] for line in home.json("backfill", "--plan")[1]["items"]))
    figures("Backfill of the offline universe, 2000 to 2013, from nothing", [("quant-assets backfill", times)], target=BACKFILL_SECONDS)
    screen.print(f"Before it the plan knows no times; after it, it says {told(plans)} s for the same again.")


PARTS: dict[str, Callable[[Path, int], None]] = {
    "planning": planning,
    "ticks": ticks,
    "night": night,
    "backfill": backfill,
    "kills": lambda folder, repetitions: kills.main(folder, 20 if repetitions > 1 else 4),
}


def main(parts: Sequence[str], repetitions: int) -> None:
    warnings.filterwarnings("ignore")
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for part in parts:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            PARTS[part](Path(folder), repetitions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What it costs to operate, and what a kill costs.")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--quick", action="store_true", help="each figure once, four kills")
    arguments = parser.parse_args()
    main([arguments.only] if arguments.only else list(PARTS), 1 if arguments.quick else 3)
