"""SIGKILL at random instants in the middle of backfills, in a terminal and through a daemon; run by `operate.py`.

Half of the kills hit a terminal's backfill, in homes that are killed again until they finish; the others a backfill launched as the UI
launches it: the run worker, the code server and the daemon in turn. The seed is fixed; where a process stands at an instant is not.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
from rich.console import Console

from quant_assets.schemas import TABLES
from quant_assets_tests.night.homes import Home, new_home
from quant_assets_tests.operate.daemon import Daemon, running, until
from quant_assets_tests.operate.test_faults import FOUR_NAMES, THREE_YEARS, launch_backfill, status_of

TABLES_OF_UI = ("index_prices", "prices", "features")
UNTIL = ("--end", "2012-12-31")
TARGETS = {"run worker": "from multiprocessing.spawn", "code server": "grpc", "daemon": "dagster._daemon"}
"""What is killed, and how the word of its command line begins that tells it."""
EARLIEST_SECONDS, PATIENCE_SECONDS = 1.0, 900.0
AGAIN = ("REQUESTED", "REQUESTED_CANCEL")
screen = Console()


def main(folder: Path, n_kills: int) -> None:
    chance, done = random.Random(11), Counter[str]()
    n_terminal = n_kills // 2
    terminal(folder, n_terminal, chance, done)
    through_daemon(folder, n_kills - n_terminal, chance, done)
    told = ", ".join(f"{what} {times}" for what, times in done.items())
    screen.print(f"{done.total()} kills ({told}): every backfill completed, no row lost, doubled or different.")


def terminal(folder: Path, n_kills: int, chance: random.Random, done: Counter[str]) -> None:
    reference = new_home(folder / "reference")
    begun = time.monotonic()
    succeed(reference, "backfill")
    whole = time.monotonic() - begun
    number = 0
    while done["terminal"] < n_kills:
        home = new_home(folder / f"terminal_{number}")
        number += 1
        while not killed(home, chance.uniform(EARLIEST_SECONDS, whole)):
            done["terminal"] += 1
            if done["terminal"] == n_kills:
                succeed(home, "backfill")
                break
        refuse_differences(home, reference, tuple(TABLES))
        shutil.rmtree(home.folder)


def killed(home: Home, instant: float) -> bool:
    """Kills the backfill at the instant; True when it had ended by then."""
    with subprocess.Popen(
        home.command("backfill"), env=home.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.wait(instant) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False


def through_daemon(folder: Path, n_kills: int, chance: random.Random, done: Counter[str]) -> None:
    reference = four_names(folder / "reference_ui")
    succeed(reference, "backfill", "--tables", ",".join(TABLES_OF_UI), *UNTIL)
    for number in range(n_kills):
        home = four_names(folder / f"ui_{number}")
        succeed(home, "backfill", "--tables", "index_prices", *UNTIL)
        what = list(TARGETS)[number % len(TARGETS)]
        with running(home) as daemon:
            backfill = launch_backfill(daemon, ("prices", "features"), "2010|AAPL", "2012|MSFT")
            until(lambda daemon=daemon: found(daemon, "run worker"), "the first worker")
            time.sleep(chance.uniform(0, 6))
            victims = found(daemon, what)
            for victim in victims:
                victim.kill()
            done[what] += bool(victims)
            time.sleep(EARLIEST_SECONDS)
            lives = daemon.process.poll() is None
            if lives and what != "daemon":
                ended(daemon, backfill)
        if not lives or what == "daemon":  # `dagster dev` ends with its daemon: the operator starts it again
            with running(home) as daemon:
                ended(daemon, backfill)
        succeed(home, "backfill", "--only-missing", "--tables", ",".join(TABLES_OF_UI), *UNTIL)
        refuse_differences(home, reference, TABLES_OF_UI)
        shutil.rmtree(home.folder)
        screen.print(f"{what} killed: completed", style="dim")


def ended(daemon: Daemon, backfill: str) -> None:
    until(
        lambda: status_of(daemon, backfill) not in AGAIN,
        f"the end of backfill {backfill} in {daemon.home.folder}",
        seconds=PATIENCE_SECONDS,
    )


def four_names(folder: Path) -> Home:
    home = new_home(folder, universe=FOUR_NAMES)
    (home.folder / "quant_assets.toml").write_text(THREE_YEARS)
    return home


def found(daemon: Daemon, what: str) -> list[psutil.Process]:
    """The processes of this kind under the daemon."""
    family = psutil.Process(daemon.process.pid).children(recursive=True) if psutil.pid_exists(daemon.process.pid) else []
    return [child for child in family if any(word.startswith(TARGETS[what]) for word in child.cmdline())]


def succeed(home: Home, *arguments: str) -> None:
    done = home.run(*arguments)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")


def refuse_differences(home: Home, reference: Home, tables: tuple[str, ...]) -> None:
    """Ends the benchmark when the homes hold other rows; what MLflow and the run log draw by chance is not compared."""
    for table in tables:
        mine, theirs = (each.table(table).drop("model_run_id", "scores", strict=False) for each in (home, reference))
        if mine.select(TABLES[table].key).is_duplicated().any() or not mine.equals(theirs):
            sys.exit(f"{table}: {mine.height} rows after a kill, {theirs.height} without one: they must be the same")
