"""The sensor of the drop folder: takes in new native files and asks for the prices that follow. What is taken is `intake.py`'s business."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import dagster as dg
import polars as pl

from quant_assets.defs.chain import open_chain, requests
from quant_assets.intake import Taken, drop_folder, record_of, take_in
from quant_assets.lake import night_lock
from quant_assets.planning import PHASES, Cell, Step, all_cells, runs_of
from quant_assets.settings import Settings
from quant_assets.sources.native_files import NAME, NativeFiles, native_folder
from quant_assets.sources.splice import is_spliced
from quant_assets.workspace import Workspace

INTERVAL_SECONDS = 30
PRICES = next(phase for phase in PHASES if phase.name == "prices")


def native_files_sensor(settings: Settings, jobs: Sequence[dg.UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """The cursor holds the sizes of the files that were seen, and how much of the record of taken files was asked for. A file is recorded
    before it is moved, so whatever is killed in between, its runs are asked for: at most twice, by the same keys."""

    @dg.sensor(
        name="native_files",
        jobs=jobs,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A native Stooq file in the drop folder is moved to the others, and the prices of its name are fetched from it.",
    )
    def native_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        drop = drop_folder(settings)
        if not drop.is_dir():
            return dg.SkipReason(f"nothing to take in: {drop} does not exist")
        if (link := open_chain(settings, context.instance)) is not None or night_lock.is_held(settings.lake_root):
            return dg.SkipReason(f"waiting for the night of {link.night} to end" if link else "a terminal is at work")
        seen = json.loads(context.cursor or "{}")
        before = {name: (size, changed) for name, (size, changed) in seen.get("sizes", {}).items()}
        work = Workspace.open(settings)
        look = take_in(drop, NativeFiles(native_folder(settings)), work.universe.tickers, before=before, clock=work.clock)
        record = record_of(drop)
        due = _due(work, record[seen.get("asked", 0) :])
        runs = runs_of(PRICES, work, _cells(work, due))
        attempt = f"drop-{hashlib.sha256(repr(due).encode()).hexdigest()[:12]}"
        cursor = json.dumps({"sizes": look.sizes, "asked": len(record)})
        told = "; ".join(look.told) or "nothing new"
        if not runs:
            return dg.SensorResult(skip_reason=told, cursor=cursor)
        return dg.SensorResult(list(requests(work, Step(PRICES, tuple(runs), None), attempt=attempt)), cursor=cursor)

    return native_files


def _due(work: Workspace, entries: Sequence[Taken]) -> list[Taken]:
    """The newest file of each name that has it as a source, unless all its bars were fetched since it was taken in."""
    newest = {entry.ticker: entry for entry in entries}
    named = {known.ticker for known in work.universe.listings if NAME in known.sources}
    wanted = [entry for ticker, entry in sorted(newest.items()) if ticker in named]
    rows = work.lake.scan("prices", keys=[entry.ticker for entry in wanted]).group_by("ticker").agg(pl.col("fetched_at").min())
    fetched = dict(rows.collect().iter_rows())
    return [entry for entry in wanted if entry.ticker not in fetched or fetched[entry.ticker] < entry.taken_at]


def _cells(work: Workspace, due: Sequence[Taken]) -> set[Cell]:
    """The years of each file; of a name that other bars continue all of them, since their level is the file's."""
    spliced = {known.ticker for known in work.universe.listings if is_spliced(known.sources)}
    years = {entry.ticker: {str(year) for year in range(entry.first.year, entry.last.year + 1)} for entry in due}
    every = all_cells(PRICES, work, tickers=list(years))
    return {(ticker, year) for ticker, year in every if ticker in spliced or year in years[ticker]}
