"""Features of another package: installed beside ours, they are in the catalogue; what is wrong with them is said by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FEATURE = """import polars as pl
from quant_assets.features.feature import CLOSES, Feature

FEATURES = (
    Feature(
        name="{name}", family="mine", expression=pl.col("adj_close") / pl.col("adj_close").shift(3) - 1,
        inputs=CLOSES, lookback=3, recursive=False, unit="fraction", formula="close[t] / close[t-3] - 1",
        meaning="what a holder gained over three sessions", missing="never", source="simple total return",
    ),
)
"""


def install(folder: Path, text: str) -> dict[str, str]:
    """A package as pip leaves it, and an environment that finds it."""
    (folder / "my_features.py").write_text(text)
    info = folder / "my_features-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-features\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[quant_assets.features]\nmine = my_features\n")
    return {**os.environ, "PYTHONPATH": str(folder), "QUANT_ASSETS_HOME": str(folder)}


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "quant_assets", *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_one_of_your_own_is_in_the_catalogue(tmp_path: Path):
    environment = install(tmp_path, FEATURE.format(name="ret_3"))
    done = command(environment, "features", "list", "--family", "mine")
    assert done.returncode == 0, done.stderr
    assert "ret_3" in done.stdout
    script = "from quant_assets.schemas import TABLES; print('ret_3' in TABLES['features'].schema)"
    shown = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "True"


def test_two_of_one_name_are_refused(tmp_path: Path):
    done = command(install(tmp_path, FEATURE.format(name="ret_5")), "features", "list")
    assert done.returncode == 2
    told = "two features are called ret_5, in quant_assets.features.momentum and my_features; rename one of them"
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (
            '"ret_3"',
            '"Ret 3"',
            "a feature of my_features is called 'Ret 3', and a name is of a-z, 0-9 and _, a letter first; rename it, as ret_3",
        ),
        ('"never"', '""', "feature ret_3 of my_features has missing='', and a reader must be told; say when it is null"),
        (
            'pl.col("adj_close").',
            'pl.col("adj_closed").',
            "feature ret_3 of my_features reads adj_closed, and there is no such column; did you",
        ),
        ("lookback=3", "lookback=-3", "feature ret_3 of my_features has lookback=-3"),
    ],
)
def test_what_is_wrong_with_one_is_said_before_anything_runs(tmp_path: Path, there: str, here: str, told: str):
    text = FEATURE.format(name="ret_3")
    assert there in text
    done = command(install(tmp_path, text.replace(there, here)), "features", "list")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_input_that_is_not_stored_is_refused(tmp_path: Path):
    text = FEATURE.format(name="ret_3").replace("inputs=CLOSES", 'inputs=("price.close",)')
    environment = install(tmp_path, text)
    script = "import quant_assets.features.compute"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "feature ret_3 of my_features has the input 'price.close', which is not stored; the tables are " in done.stderr


def test_a_package_that_cannot_be_read_is_named(tmp_path: Path):
    done = command(install(tmp_path, "import nothing_of_that_name\n"), "features", "list")
    assert done.returncode == 2
    assert "features of entry point 'mine' (my_features) cannot be read: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
