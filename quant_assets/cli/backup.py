"""`make backup` and `make restore`: what they print, and their exit codes. What they do is in `quant_assets/backup/`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from pathlib import Path

from rich.table import Table

from quant_assets.backup import restore, save
from quant_assets.backup.archive import Manifest
from quant_assets.backup.save import FOLDER
from quant_assets.backup.stores import stores
from quant_assets.cli.app import aside, exit_with, screen
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.reporting import wording
from quant_assets.settings import Settings, find_home


def save_here() -> None:
    began = time.monotonic()
    settings = Settings.load()
    saved = save(settings, now=dt.datetime.now(dt.UTC))
    screen.print(_contents(saved.manifest, settings))
    screen.print(f"\nBackup  {saved.file}  {saved.size / 1e6:,.1f} MB, {time.monotonic() - began:.1f} s", soft_wrap=True)


def restore_here(archive: str) -> None:
    """Raises BadArgument when no archive is named."""
    home = find_home()
    if not archive:
        newest = max((home / FOLDER).glob("*.tar.gz"), default=None)
        example = newest.relative_to(home) if newest else f"{FOLDER}/NAME.tar.gz"
        raise BadArgument("no backup is named", remedy=f"write it as `make restore FROM={example}`")
    began = time.monotonic()
    restored = restore(Path(archive), home=home)
    made = f"{restored.manifest.created_at:%Y-%m-%d %H:%M} UTC, version {restored.manifest.version}"
    screen.print(_contents(restored.manifest, Settings.load(home=home)))
    screen.print(f"\nRestored into {home}: the backup of {made}, in {time.monotonic() - began:.1f} s", soft_wrap=True)
    for here, there in restored.kept.items():
        aside.print(f"{here} differs from the saved one and was kept; the saved one is {there}: compare them before the next run")
    screen.print("Next    quant-assets run  says what is up to date, and completes what was not when the backup was made", soft_wrap=True)


def _contents(manifest: Manifest, settings: Settings) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name in ("settings", *(store.name for store in stores(settings))):
        sizes = [
            member.size for member_name, member in manifest.members.items() if member_name == name or member_name.startswith(f"{name}/")
        ]
        if sizes:
            table.add_row(name, wording.count(len(sizes), "file"), f"{sum(sizes) / 1e6:,.1f} MB")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m quant_assets.cli.backup", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("save")
    verbs.add_parser("restore").add_argument("archive")
    asked = parser.parse_args()
    try:
        save_here() if asked.verb == "save" else restore_here(asked.archive)
    except QuantAssetsError as error:
        sys.exit(exit_with(error, as_json=False))


if __name__ == "__main__":
    main()
