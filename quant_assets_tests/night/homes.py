"""Small homes for tests of whole nights: six names, history from 2007, training from 2011. Assertions live in the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from quant_assets.lake import Lake
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings
from quant_assets.workspace import Workspace

CHECKOUT = Path(__file__).resolve().parents[2]
UNIVERSE = """ticker,source,listed
AAPL,bokeh,2007-01-03
FB,bokeh,2012-05-18
IBM,bokeh,2007-01-03
KO,skfolio,2007-01-03
MSFT,bokeh,2007-01-03
XOM,skfolio,2007-01-03
"""
SETTINGS = """universe = "universe.csv"

[grids]
history_start = 2007-01-01
first_cutoff = 2011-01-01
first_decision = 2012-10-01
"""


@dataclass(frozen=True)
class Home:
    """A folder with settings, universe and stores, and the command line on it."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "quant_assets", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("QUANT_ASSETS", "DAGSTER"))}
        # the warehouse has tests of its own, and takes longer than all the rest of a small night
        return {**inherited, "QUANT_ASSETS_HOME": str(self.folder), "QUANT_ASSETS__WAREHOUSE": "false", "COLUMNS": "200"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=900, check=False)

    def json(self, *arguments: str) -> tuple[int, Any]:
        """(exit code, the one document on stdout)."""
        done = self.run(*arguments, "--json")
        return done.returncode, json.loads(done.stdout)

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "data" / "lake")

    def workspace(self) -> Workspace:
        grids = Grids(**tomllib.loads(SETTINGS)["grids"])
        return Workspace.open(Settings(home=self.folder, universe=self.folder / "universe.csv", grids=grids))

    def table(self, name: str) -> pl.DataFrame:
        """Every stored row in key order, without the moment it was fetched and the run that wrote it."""
        work = self.workspace()
        rows = self.lake.scan(name, window=work.history).collect().sort(TABLES[name].key)
        return rows.drop([column for column in ("fetched_at", "written_at", "run_id") if column in rows.columns])

    def files(self) -> dict[str, bytes]:
        """Every file of the lake and the reports with its bytes."""
        roots = (self.folder / "data" / "lake", self.folder / "outputs")
        files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".lock"]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def copy(self, folder: Path) -> Home:
        """The same home elsewhere. MLflow keeps pointing at the artifacts of the original, which must stay."""
        shutil.copytree(self.folder, folder)
        return Home(folder)


def read_until(stream: IO[str] | None, words: str) -> None:
    """Reads what a command says until it has said these words, however it buffers its lines."""
    assert stream is not None
    seen = ""
    while words not in seen:
        letter = stream.read(1)
        assert letter, f"it ended early: {seen}"
        seen += letter


def new_home(folder: Path, *, universe: str = UNIVERSE, settings: str = SETTINGS) -> Home:
    folder.mkdir(parents=True)
    (folder / "quant_assets.toml").write_text(settings)
    (folder / "universe.csv").write_text(universe)
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    return Home(folder)
