"""Company facts to rows, and rows as of an instant, against what a user would pick: pandas on the same text and the same rows.

Run `python benchmarks/facts.py`. The SEC is a server on loopback that gives out Apple's real facts, about 25,000.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' server, which is not installed

import pandas as pd
from rich.console import Console
from rich.table import Table

from quant_assets.calendars import Window, session_close
from quant_assets.point_in_time import known
from quant_assets.sources.sec_facts import SecFacts
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, replaying
from quant_assets_tests.sources.sec_answers import FACTS, recorded_companies

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
ALWAYS = Window(dt.date(2009, 1, 1), dt.date(2030, 1, 1))
INSTANT = session_close(dt.date(2015, 1, 30))
FIGURE = ["taxonomy", "concept", "unit", "period_start", "period_end"]
REPETITIONS = 9
TARGET_SECONDS = 2.0


def normalised(text: str | bytes) -> pd.DataFrame:
    facts = json.loads(text)["facts"]
    return pd.concat(
        pd.json_normalize(rows).assign(taxonomy=taxonomy, concept=concept, unit=unit)
        for taxonomy, concepts in facts.items()
        for concept, figure in concepts.items()
        for unit, rows in figure["units"].items()
    )


def median_ms(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000


def main() -> int:
    if not SHARED.is_dir():
        print(f"facts.py: left out, since {SHARED} is absent: set QUANT_ASSETS_SHARED to the folder with data/")
        return 0
    answers = recorded_companies(SHARED)
    text = answers(Asked(0.0, "GET", f"{FACTS}CIK0000320193.json", {}, {}, b"")).body
    with tempfile.TemporaryDirectory() as folder, replaying(answers) as server:
        wire = Wire(Path(folder), base_urls={"sec": server.url})
        source = SecFacts(wire, contact="benchmark@example.com")

        def fetch() -> object:
            return source.normalise(source.fetch(["AAPL"], ALWAYS), fetched_at=dt.datetime.now(dt.UTC))

        begun = time.perf_counter()
        rows = source.normalise(source.fetch(["AAPL"], ALWAYS), fetched_at=dt.datetime.now(dt.UTC))
        first_ms = (time.perf_counter() - begun) * 1000
        again_ms, pandas_ms = median_ms(fetch), median_ms(lambda: normalised(text))
        wire.store.close()
    frame = rows.to_pandas()

    def last_in_pandas() -> pd.DataFrame:
        past = frame[frame["known_at"] <= INSTANT].sort_values(["known_at", "accession"])
        return past.groupby(FIGURE, dropna=False).tail(1)

    assert known(rows, INSTANT).height == len(last_in_pandas())
    table = Table(title=f"{rows.height:,} facts of one company, milliseconds")
    for column in ("what", "ours", "pandas"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("fetch, first time", f"{first_ms:.0f}", "")
    table.add_row(f"fetch, from the cache (median of {REPETITIONS})", f"{again_ms:.0f}", f"{pandas_ms:.0f}")
    table.add_row(
        f"as of 2015-01-30 (median of {REPETITIONS})", f"{median_ms(lambda: known(rows, INSTANT)):.1f}", f"{median_ms(last_in_pandas):.1f}"
    )
    Console().print(table)
    if first_ms > TARGET_SECONDS * 1000:
        print(f"the first fetch took {first_ms / 1000:.1f} s, more than {TARGET_SECONDS:g} s")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
