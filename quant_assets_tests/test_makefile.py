"""`make` alone lists what a newcomer can type, and nothing is left out of the list."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
MAKEFILE = (CHECKOUT / "Makefile").read_text()


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    """Target to its line, as `make` prints them."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run([make, "--no-print-directory"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    lines = re.findall(r"^  make (\S+)\s+(\S.*)$", done.stdout, flags=re.MULTILINE)
    assert len(lines) == len(done.stdout.splitlines())
    return dict(lines)


def targets() -> set[str]:
    """Every target that is a word; the files behind them are made by the way."""
    return set(re.findall(r"^([a-z][a-z_-]*):(?!=)", MAKEFILE, flags=re.MULTILINE))


def test_every_target_has_a_line_and_every_line_a_target(listed: dict[str, str]):
    assert set(listed) == targets()
    assert {"help", "run", "test", "ui"} <= set(listed)
    assert all(len(line.split()) >= 3 for line in listed.values())


def test_every_target_is_phony():
    """A folder called like a target (there are such) would otherwise count as made."""
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)[1].split()) == targets()  # type: ignore[index]


def test_every_recipe_can_be_expanded(listed: dict[str, str]):
    for target in listed:
        done = subprocess.run(["make", "--dry-run", target], cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
