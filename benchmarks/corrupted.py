"""Ten thousand damaged frames through repair, gate and doubts: no exception, and no row lost. `--quick`: a thousand.

Run `python benchmarks/corrupted.py`. It ends with 1 and the smallest damage that breaks the balance.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' damages, which are not installed

from hypothesis import HealthCheck, given, seed, settings
from rich.console import Console

from quant_assets_tests.quality.corruption import Blow, assert_balanced, damaged, damages, sound

EVERYTHING, QUICK = 10_000, 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n = QUICK if parser.parse_args().quick else EVERYTHING
    rows, seen = sound(), Counter[str]()

    @seed(1)
    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(told=damages)
    def balanced(told: list[Blow]) -> None:
        arrived = damaged(rows, told)
        verdict = assert_balanced(arrived)
        seen.update(frames=1, arrived=arrived.height, accepted=verdict.accepted.height, quarantined=verdict.quarantined.height)
        seen.update(verdict.quarantined["check"].unique())

    begun = time.perf_counter()
    balanced()
    counts = {name: seen.pop(name) for name in ("frames", "arrived", "accepted", "quarantined")}
    screen = Console()
    screen.print(
        f"{counts['frames']:,} damaged frames, {counts['arrived']:,} rows in {time.perf_counter() - begun:.0f} s: {counts['accepted']:,} "
        f"accepted, the others withheld with their year; {counts['quarantined']:,} rows of quarantine say why. No exception, no row lost."
    )
    screen.print("Frames in which each check found something: " + ", ".join(f"{name} {times:,}" for name, times in seen.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
