"""Steps that compute features: of each name's bars on the history grid, across names by years. What a feature is stands in `features/`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import LakeError, NoData
from quant_assets.features import across
from quant_assets.features.catalog import ACROSS, ALL_FEATURES, OF_BARS, feature_set_hash
from quant_assets.features.compute import READ, compute
from quant_assets.features.gaps import gaps
from quant_assets.lake import coverage
from quant_assets.schemas import TABLES
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]
KEY = ["ticker", "session"]
EVER = dt.date.min
SESSIONS_A_YEAR, REASONS = 252, 8
VALUES_AT_ONCE = 300_000_000
"""Float64 values that a run holds: 2 GB, and as much again while they are computed. Each block of names writes its years anew."""


def build_features(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """Features of the windows; every bar since the listing must be there, since recursive features start at the first one.

    What is not known is null, and why is written into `feature_gaps`. Of tables that vendors gather, what is there is read: where a profile
    has no vendor of one, or a vendor did not deliver, nothing was known.
    """
    asked = work.known(_span(windows))
    needed = Window(work.history.start, asked.end)
    names = ready(work, tickers, {"prices": needed})
    _require_index(work, needed)
    n_values, rows, without = 0, [TABLES["features"].empty.select(*KEY, *read_of_bars(work))], []
    for part in blocks(work, names.tickers):
        tables = tables_read(work, part, needed)
        values = TABLES["features"].conform(whole_history(tables, asked))
        work.lake.replace("features", values, keys=part, window=asked)
        without.append(_explain(work, "features", values, tables, part, asked))
        n_values += sum(values.select(pl.col(list(OF_BARS)).count()).row(0))
        rows.append(values.select(*KEY, *read_of_bars(work)))
    withheld = names.withheld(list(windows))
    note(work, "features", tickers, windows, run_id=run_id, withheld=withheld, version=ALL_FEATURES)
    figures = {
        "feature_set": feature_set_hash(work.model_features),
        "features": len(OF_BARS),
        "values": n_values,
        "without_values": _told(pl.concat(without)) if without else {},
    }
    return StepResult(pl.concat(rows), figures, withheld=withheld)


def whole_history(tables: Mapping[str, pl.LazyFrame | pl.DataFrame], window: Window) -> pl.DataFrame:
    """Features of the window, computed from the first bar on: bit for bit the same whichever window is asked for.

    A rolling sum that begins later differs in its last digits; `compute` of the window alone takes a fraction of the time.
    """
    rows = compute({**tables, "prices": tables["prices"].lazy().filter(pl.col("session") < window.end)})
    return rows.filter(pl.col("session") >= window.start)


def build_across(work: Workspace, windows: Windows, *, run_id: str | None) -> StepResult:
    """Features across names of the windows: at each session of the eligible names that have features of it.

    A name that lacks a session is not ranked there, and changes no rank of an earlier one.
    """
    asked = work.known(_span(windows))
    needed = Window(asked.start - across.BEFORE, asked.end)
    names = ready(work, work.universe.tickers, {"features": asked})
    every = work.universe.tickers
    tables = tables_read(work, every, Window(work.history.start, asked.end))
    values = work.lake.scan("features", keys=every, window=needed, columns=[*KEY, *across.READ]).collect()
    rows = TABLES["cross_section_features"].conform(across.compute(values, tables, work.eligible(every), window=asked))
    work.lake.replace("cross_section_features", rows, keys=every, window=asked)
    _explain(work, "cross_section_features", rows, tables, every, asked)
    note(work, "cross_section_features", names.tickers, windows, run_id=run_id, withheld={}, version=work.across_version)
    return StepResult(rows, {"names": len(names.tickers), "left_out": sorted(names.missing)})


def tables_read(work: Workspace, tickers: Sequence[str], window: Window) -> dict[str, pl.LazyFrame]:
    """What features of these names are computed from: bars of the window, and all that was published until its end."""
    found = {}
    for name in READ:
        keys = tickers if TABLES[name].entity == "ticker" else None
        of_bars = name in ("prices", "index_prices")
        found[name] = work.lake.scan(name, keys=keys, window=window if of_bars else Window(EVER, window.end))
    return found


def feature_rows(work: Workspace, names: Sequence[str], window: Window, *, tickers: Sequence[str] | None = None) -> pl.DataFrame:
    """ticker, session and these features, of bars and across names, in this order: null where a name was not ranked."""
    of_bars = [name for name in names if name in OF_BARS]
    rows = work.lake.scan("features", keys=tickers, window=window, columns=[*KEY, *of_bars])
    if ranked := [name for name in names if name in ACROSS]:
        beside = work.lake.scan("cross_section_features", keys=tickers, window=window, columns=[*KEY, *ranked])
        rows = rows.join(beside, on=KEY, how="left", maintain_order="left")
    return rows.select(*KEY, *names).collect()


def _explain(
    work: Workspace, table: str, values: pl.DataFrame, tables: Mapping[str, pl.LazyFrame], tickers: Sequence[str], window: Window
) -> pl.DataFrame:
    """Writes down why values are null; the rows of `feature_gaps`."""
    without = TABLES["feature_gaps"].conform(gaps(values, tables).with_columns(table=pl.lit(table)))
    work.lake.replace("feature_gaps", without, keys=tickers, window=window, scope={"table": table})
    return without


def _told(without: pl.DataFrame) -> dict[str, int]:
    """How many features have no value for each reason, the commonest first."""
    counts = without.group_by("reason").agg(pl.col("feature").n_unique()).sort("feature", "reason", descending=[True, False])
    return dict(counts.head(REASONS).iter_rows())


def blocks(work: Workspace, tickers: Sequence[str]) -> Iterator[list[str]]:
    """The names in order, as many together as VALUES_AT_ONCE allows over the whole history."""
    sessions = len(work.history.years) * SESSIONS_A_YEAR
    n = max(1, int(VALUES_AT_ONCE / (sessions * len(OF_BARS))))
    for place in range(0, len(tickers), n):
        yield list(tickers[place : place + n])


def tables_of_model(work: Workspace) -> tuple[str, ...]:
    """The tables whose features the model reads: one that lacks a session of a name must not reach it as nulls."""
    return ("features", "cross_section_features") if set(work.model_features) & set(ACROSS) else ("features",)


def read_of_bars(work: Workspace) -> list[str]:
    """What the model reads of each name's bars."""
    return [name for name in work.model_features if name in OF_BARS]


def _span(windows: Windows) -> Window:
    return Window(min(window.start for window in windows.values()), max(window.end for window in windows.values()))


def _require_index(work: Workspace, window: Window) -> None:
    expected = coverage.every_session(["sp500"], Window(max(window.start, work.history.start), window.end))
    missing = coverage.holes(expected, coverage.stored_sessions(work.lake, "index_prices", window))
    if not missing.is_empty():
        days = missing["session"].to_list()
        raise LakeError(
            f"index_prices: sp500 lacks {len(days)} sessions, {days[0]}..{days[-1]}",
            remedy="materialise index_prices for those years first",
        )


def stored_values(work: Workspace, names: Sequence[str]) -> pl.DataFrame:
    """Everything that is stored of these features up to the night, of bars and across names.

    Raises
    ------
    NoData : nothing is stored yet.
    """
    rows = feature_rows(work, names, work.history)
    if rows.is_empty():
        raise NoData("no features in the lake", remedy="run `quant-assets run` first")
    return rows
