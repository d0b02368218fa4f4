"""A night through Dagster against the same library calls in a plain script, and the features step against bare polars.

Run `python benchmarks/night.py`. Each night is a process in a home of its own, on profile offline. Repetitions are interleaved and
start with the other contestant each time, so that a busy machine favours neither. Ends with 1 and a sentence when the two ways do not
leave the same decisions, or when a repeated night changes a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table as RichTable

CHECKOUT = Path(__file__).resolve().parent.parent
HOME_VARIABLE = "QUANT_ASSETS_HOME"
MEASURED = "measured.json"
COMPARED = ("signal", "daily_report")
NAMED_BY_CHANCE = ("model_run_id",)
"""MLflow draws these; everything else of a decision must be the same both ways."""
FEATURE_REPETITIONS = 5


@dataclasses.dataclass(frozen=True)
class Process:
    """What one process took: wall and processor seconds in all, what it measured itself, peak resident memory in MB."""

    seconds: float
    processor_seconds: float
    measured: Mapping[str, float]
    peak_mb: float


def through_dagster() -> dict[str, float]:
    """`quant-assets run`, timed from the end of its imports."""
    import quant_assets.cli.run
    import quant_assets.definitions
    import quant_assets.defs.instance
    import quant_assets.defs.nightly  # noqa: F401 - what the command imports on its way
    from quant_assets.cli.app import main as command

    sys.argv = ["quant-assets", "run"]
    begun = time.perf_counter()
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    return {"seconds": time.perf_counter() - begun}


def plain_script() -> dict[str, float]:
    """The steps of the night, one after the other, on the whole universe."""
    from quant_assets.calendars import day_window
    from quant_assets.eligibility import tradable_tickers
    from quant_assets.settings import Settings
    from quant_assets.steps import backtests, decisions, features, history, models, proof, reports
    from quant_assets.workspace import Workspace

    warnings.filterwarnings("ignore")
    begun = time.perf_counter()
    work = Workspace.open(Settings.load())
    tickers, years, quarters = work.universe.tickers, work.year_windows(), work.quarter_windows()
    night = {work.as_of.isoformat(): day_window(work.as_of)}
    history.fetch_index_prices(work, years)
    history.store_prices(work, tickers, years, history.fetch_raw_prices(work, tickers, years), run_id=None)
    features.build_features(work, tickers, years, run_id=None)
    features.build_across(work, years, run_id=None)
    history.build_labels(work, tickers, years, run_id=None)
    models.train_pooled_models(work, quarters)
    models.score_quarters(work, tickers, quarters, run_id=None)
    backtests.backtest_names(work, tradable_tickers(work), quarters, run_id=None)
    backtests.backtest_together(work, quarters)
    proof.prove(work, night)
    decisions.decide(work, tickers, night, run_id=None)
    decisions.synthesise(work, tickers, night, run_id=None)
    decisions.rank_session(work, night)
    reports.write_report(work)
    return {"seconds": time.perf_counter() - begun}


def prices_to_features() -> dict[str, float]:
    """Median seconds of the features step and of bare polars on the prices that this home holds already."""
    from quant_assets.lake import Lake
    from quant_assets.settings import Settings
    from quant_assets.steps import features
    from quant_assets.workspace import Workspace

    work = Workspace.open(Settings.load())
    times: dict[str, list[float]] = {"step": [], "bare": []}
    for number in range(FEATURE_REPETITIONS + 1):
        # A lake without features, since writing what is there already would cost nothing.
        with tempfile.TemporaryDirectory() as folder:
            for table in ("prices", "index_prices"):
                shutil.copytree(work.lake.root / table, Path(folder, table))
            alone = dataclasses.replace(work, lake=Lake(folder))
            target = Path(folder, "bare.parquet")
            contest: list[tuple[str, Callable[[], object]]] = [
                ("step", partial(features.build_features, alone, work.universe.tickers, work.year_windows(), run_id=None)),
                ("bare", partial(bare_features, folder, target)),
            ]
            for name, action in contest if number % 2 else reversed(contest):
                begun = time.perf_counter()
                action()
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(own[1:]) for name, own in times.items()}  # the first of each warms up


def bare_features(lake: str, target: Path) -> None:
    """The expressions of bars on the stored files as a notebook would write it: no guard, no schema, no reasons, one file out."""
    from quant_assets.features.catalog import OF_BARS
    from quant_assets.features.shared import evaluate, root_names

    index = pl.scan_parquet(f"{lake}/index_prices/*/*.parquet").filter(pl.col("series") == "sp500")
    bars = (
        pl.scan_parquet(f"{lake}/prices/*/*.parquet")
        .sort("ticker", "session")
        .join(index.select("session", index_close="close"), on="session", how="left", maintain_order="left")
    )
    first = pl.col("session") == pl.col("session").first().over("ticker")
    gain = pl.col("split_factor") * (1 + pl.col("dividend") / pl.col("close"))
    bars = bars.with_columns(
        growth=pl.when(first).then(1.0).otherwise(gain).cum_prod().over("ticker"),
        split_growth=pl.when(first).then(1.0).otherwise("split_factor").cum_prod().over("ticker"),
    ).with_columns(
        *((pl.col(name) * pl.col("growth")).alias(f"adj_{name}") for name in ("open", "high", "low", "close")),
        adj_volume=pl.col("volume") / pl.col("split_growth"),
    )
    there = set(bars.collect_schema())
    of_bars = {name: one for name, one in OF_BARS.items() if root_names([one.expression]) <= there}
    features = [one.expression.alias(name) for name, one in of_bars.items()]
    evaluate(bars.collect(), [pl.col("session"), *features]).write_parquet(target, compression="zstd")


CHILDREN: dict[str, Callable[[], dict[str, float]]] = {
    "through_dagster": through_dagster,
    "plain_script": plain_script,
    "prices_to_features": prices_to_features,
}


def fresh_home(parent: str, name: str) -> Path:
    home = Path(parent, name)
    home.mkdir()
    for file in ("quant_assets.toml", "dagster.yaml"):
        shutil.copy(CHECKOUT / file, home)
    return home


def process(child: str, home: Path, *, warehouse: bool = False) -> Process:
    """Runs one of CHILDREN in its own process; a failing one ends the benchmark with its last words.

    Parameters
    ----------
    warehouse : the night ends with it; the plain script has none.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QUANT_ASSETS", "DAGSTER"))}
    environment = {**inherited, HOME_VARIABLE: str(home), "QUANT_ASSETS__PROFILE": "offline", "GX_ANALYTICS_ENABLED": "false"}
    environment["QUANT_ASSETS__WAREHOUSE"] = str(warehouse).lower()
    with (home / "output.txt").open("w+") as output:
        begun = time.perf_counter()
        running = subprocess.Popen(
            [sys.executable, __file__, "--child", child], cwd=home, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.perf_counter() - begun
        running.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if running.returncode:
            sys.exit(f"{child} ended with {running.returncode}: {output.read()[-2000:]}")
    return Process(seconds, usage.ru_utime + usage.ru_stime, json.loads((home / MEASURED).read_text()), usage.ru_maxrss / 1024)


def contents(home: Path) -> dict[str, str]:
    """Hash of every file of the lake and the outputs."""
    files = [file for folder in ("data/lake", "outputs") for file in sorted((home / folder).rglob("*")) if file.is_file()]
    return {str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def refuse_changes(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        sys.exit(f"repeating the night changed {len(changed)} files that should have stayed: {', '.join(changed[:5])}")


def refuse_differences(one: Path, other: Path) -> None:
    """Ends the benchmark when the two homes hold other decisions."""
    for table in COMPARED:
        frames = [pl.read_parquet(f"{home}/data/lake/{table}/*/*.parquet") for home in (one, other)]
        mine, theirs = (frame.drop(NAMED_BY_CHANCE, strict=False).sort("ticker", "session") for frame in frames)
        if mine.equals(theirs):
            continue
        if (mine.height, mine.columns) != (theirs.height, theirs.columns):
            sys.exit(f"{table}: {mine.shape} rows and columns through Dagster, {theirs.shape} by plain calls: they must be the same")
        differing = [name for name in mine.columns if not mine[name].equals(theirs[name])]
        sys.exit(f"{table}: {', '.join(differing)} through Dagster and by plain calls differ: they must be the same")


def told(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{short(statistics.median(values))} ({short(min(values))}-{short(max(values))})"


def short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def main(repetitions: int) -> None:
    runs: dict[str, list[Process]] = {"through_dagster": [], "plain_script": [], "warehouse": [], "again": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            homes = {name: fresh_home(folder, f"{name}_{number}") for name in ("through_dagster", "plain_script")}
            for name in homes if number % 2 == 0 else reversed(homes):
                runs[name].append(process(name, homes[name]))
            refuse_differences(homes["through_dagster"], homes["plain_script"])
            runs["warehouse"].append(process("through_dagster", homes["through_dagster"], warehouse=True))
            before = contents(homes["through_dagster"])
            runs["again"].append(process("through_dagster", homes["through_dagster"], warehouse=True))
            refuse_changes(before, contents(homes["through_dagster"]))
        features = process("prices_to_features", homes["plain_script"]).measured

    table = RichTable(title=f"One night of the offline universe, median (range) of {repetitions}")
    for heading in ("", "quant-assets", "plain", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")

    def add(title: str, figure: Callable[[Process], float]) -> None:
        ours, plain = ([figure(run) for run in runs[name]] for name in ("through_dagster", "plain_script"))
        table.add_row(title, told(ours), told(plain), f"{statistics.median(ours) / statistics.median(plain):.2f}")

    add("first night (no warehouse), s", lambda run: run.seconds)
    add("  without imports, s", lambda run: run.measured["seconds"])
    add("  processor, s", lambda run: run.processor_seconds)
    add("  peak memory, MB", lambda run: run.peak_mb)
    table.add_row("the warehouse by itself, s", told([run.seconds for run in runs["warehouse"]]), "", "")
    table.add_row("repeated night, s", told([run.seconds for run in runs["again"]]), "", "")
    step, bare = 1e3 * features["step"], 1e3 * features["bare"]
    table.add_row("prices to features, ms", short(step), short(bare), f"{step / bare:.2f}")
    Console().print(table)
    print("Targets: first night and warehouse below 120 s, the night at most 1.5 times the plain script; repeated night below 30 s.")
    print(f"The repeated night changed no file of data/lake and outputs; {' and '.join(COMPARED)} hold the same rows both ways.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A night through Dagster against the same calls in a plain script.")
    parser.add_argument("--repetitions", type=int, default=3, help="of each way (default 3); one takes about two minutes")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measured = CHILDREN[arguments.child]()
        Path(os.environ[HOME_VARIABLE], MEASURED).write_text(json.dumps(measured))
    else:
        main(arguments.repetitions)
