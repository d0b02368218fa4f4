"""How many clicks lead from a red check in Dagster's UI to the rows that turned it red and to what to do about them.

Run `python benchmarks/red_check.py`. A night on a small home of profile offline, one of whose names has a native file with impossible bars;
then Dagster's webserver on that home, and a real headless Chromium that clicks and reads. Ends with 1 and a sentence when it takes more
than two clicks, or when the page does not show what is in quarantine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import polars as pl
from playwright.sync_api import sync_playwright
from rich.console import Console

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from quant_assets_tests.operate.red_check import NAME, broken_home, from_red_check_to_rows, webserver  # noqa: E402

CLICKS = 2
WITHHELD = 3
"""Exit code of a night that withheld a name."""
screen = Console()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, help="a PNG of the page after the last click")
    picture = parser.parse_args().picture
    chromium = shutil.which("chromium")
    if chromium is None:
        screen.print("chromium is not installed")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        home = broken_home(Path(folder) / "home")
        night = home.run("run")
        if night.returncode != WITHHELD:
            screen.print(f"the night did not withhold {NAME}, but ended with {night.returncode}: {night.stderr[-500:]}")
            return 1
        with webserver(home) as base, sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page(
                viewport={"width": 1400, "height": 1000}
            )
            seen = from_red_check_to_rows(page, base)
            if picture:
                page.screenshot(path=picture)
        quarantined = home.lake.scan("quarantine", window=home.workspace().history).filter(pl.col("table") == "prices").collect()
    screen.print(str(seen), soft_wrap=True)
    for row in seen.rows:
        screen.print(f"  {row}", soft_wrap=True, highlight=False)
    if seen.clicks > CLICKS or len(seen.rows) != quarantined.height or not seen.remedies:
        screen.print(f"FAILED: at most {CLICKS} clicks, {quarantined.height} rows in quarantine and a remedy are expected")
        return 1
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
