"""What `make install` costs: seconds, packages, and megabytes on disk with the ten largest folders.

Run `python benchmarks/install.py`. It installs a copy of the checkout in a temporary folder and removes it afterwards (2.5 GB while it
runs). The seconds hold the downloads of whatever pip has not cached on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

CHECKOUT = Path(__file__).resolve().parent.parent
READ_BY_THE_INSTALL = ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "quant_assets")
SHOWN = 10


def copy_checkout(target: Path) -> None:
    for name in READ_BY_THE_INSTALL:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)


def install(tree: Path) -> float:
    """Seconds of `make install`; a failing one ends the benchmark with its last words."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV")}
    begun = time.perf_counter()
    done = subprocess.run(
        ["make", "install", f"PYTHON={sys.executable}"],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"make install ended with {done.returncode}: {done.stdout[-2000:]}")
    return time.perf_counter() - begun


def megabytes(path: Path) -> float:
    """Blocks taken on disk by a file or everything below a folder; links count as links."""
    files = [path, *path.rglob("*")]
    return sum(file.lstat().st_blocks for file in files) * 512 / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_checkout(tree)
        seconds = install(tree)
        packages = next((tree / ".venv" / "lib").glob("python*/site-packages"))
        n_packages = len(list(packages.glob("*.dist-info")))
        total = megabytes(tree / ".venv")
        sizes = sorted(((megabytes(one), one.name) for one in packages.iterdir() if one.is_dir()), reverse=True)

    table = RichTable(title=f"make install: {seconds:.0f} s, {n_packages} packages, {total:.0f} MB")
    table.add_column("largest folders of site-packages")
    table.add_column("MB", justify="right")
    table.add_column("share", justify="right")
    for size, name in sizes[:SHOWN]:
        table.add_row(name, f"{size:.0f}", f"{size / total:.0%}")
    rest = total - sum(size for size, _ in sizes[:SHOWN])
    table.add_row("everything else", f"{rest:.0f}", f"{rest / total:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
