"""The partition grids and how they map onto each other. Exchange sessions come from `calendars.py`, tickers from the universe file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from quant_assets.calendars import TIMEZONE, Window, day_window, holidays, quarter_window, year_window
from quant_assets.universe import Universe
from quant_assets.workspace import Workspace

WEEKEND = ("0 0 * * 6", "0 0 * * 0")
MULTI_RUN = dg.BackfillPolicy.multi_run(10**6)
"""For assets that look back: another policy than their parents', so that a backfill waits for all of the parents' windows."""
SINGLE_RUN = dg.BackfillPolicy.single_run()


@dataclass(frozen=True)
class Grids:
    """The partitions definitions of one universe and profile; `year`, `quarter` and `session` are the date dimensions alone."""

    year: dg.TimeWindowPartitionsDefinition
    quarter: dg.TimeWindowPartitionsDefinition
    session: dg.TimeWindowPartitionsDefinition
    history: dg.MultiPartitionsDefinition
    training: dg.MultiPartitionsDefinition
    decision: dg.MultiPartitionsDefinition


def grids(work: Workspace) -> Grids:
    """Grids that end with the last known session offline, and grow with the calendar live."""
    settings = work.settings
    tickers = dg.StaticPartitionsDefinition(work.universe.tickers)
    offline = settings.profile == "offline"
    first, last = settings.grids, work.as_of
    year_end = year_window(last.year).end.strftime("%Y") if offline else None
    quarter_end = quarter_window(last).end.strftime("%Y-%m") if offline else None
    year = _cron("0 0 1 1 *", first.history_start.strftime("%Y"), year_end, "%Y")
    quarter = _cron("0 0 1 1,4,7,10 *", first.first_cutoff.strftime("%Y-%m"), quarter_end, "%Y-%m")
    closed = holidays(Window(first.first_decision, dt.date(last.year + 2, 1, 1) if not offline else work.after_as_of))
    session = dg.DailyPartitionsDefinition(
        start_date=first.first_decision.isoformat(),
        end_date=work.after_as_of.isoformat() if offline else None,
        timezone=TIMEZONE,
        exclusions=[*WEEKEND, *(dt.datetime(day.year, day.month, day.day) for day in closed)],  # noqa: DTZ001 - dagster wants naive
        end_offset=0 if offline else 1,
    )
    return Grids(year, quarter, session, *(_with_tickers(dates, tickers) for dates in (year, quarter, session)))


def _cron(schedule: str, start: str, end: str | None, fmt: str) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=schedule, start=start, end=end, fmt=fmt, timezone=TIMEZONE, end_offset=0 if end else 1
    )


def _with_tickers(dates: dg.TimeWindowPartitionsDefinition, tickers: dg.StaticPartitionsDefinition) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition({"date": dates, "ticker": tickers})


def in_time(*, start_offset: int = 0, end_offset: int = 0) -> dg.TimeWindowPartitionMapping:
    return dg.TimeWindowPartitionMapping(start_offset=start_offset, end_offset=end_offset, allow_nonexistent_upstream_partitions=True)


def same_ticker(*, start_offset: int = 0, end_offset: int = 0) -> dg.MultiPartitionMapping:
    """The same ticker in the upstream windows that cover this one, widened by the offsets (in upstream windows)."""
    return dg.MultiPartitionMapping(
        {
            "date": dg.DimensionPartitionMapping("date", in_time(start_offset=start_offset, end_offset=end_offset)),
            "ticker": dg.DimensionPartitionMapping("ticker", dg.IdentityPartitionMapping()),
        }
    )


ALL_EARLIER = -60
"""Windows before the own one, for a step that reads everything since the listing: all years, and fifteen years of quarters. With fewer, a
backfill would start a window when the one before it is there, whatever lies further back."""
ACROSS_TICKERS = dg.MultiToSingleDimensionPartitionMapping("date")
EVERYTHING = dg.AllPartitionMapping()
"""Where a cross-section reads a grid of another cadence: coarse on purpose, the step itself reads exactly its window."""


def asked(context: dg.AssetExecutionContext, universe: Universe) -> tuple[list[str], dict[str, Window]]:
    """(tickers, date windows by key) of this run; all tickers on a grid without them.

    Raises
    ------
    Failure : the run asked for no partition, or for more than one rectangle.
    """
    keys = [str(key) for key in context.partition_keys]
    if not keys:
        raise dg.Failure("the run asks for no partition: choose a partition or a range of them", allow_retries=False)
    pairs = [tuple(key.split("|")) for key in keys]
    dates = sorted({pair[0] for pair in pairs})
    tickers = sorted({pair[1] for pair in pairs if len(pair) == 2}) or universe.tickers
    if len(pairs[0]) == 2 and len(pairs) != len(dates) * len(tickers):
        raise dg.Failure("the run asks for partitions that are not one rectangle: split it", allow_retries=False)
    return tickers, {key: window_of(key) for key in dates}


def window_of(key: str) -> Window:
    """The dates of a date key: 2013 a year, 2013-01 a quarter, 2013-03-01 a session."""
    if len(key) == len("2013"):
        return year_window(int(key))
    if len(key) == len("2013-01"):
        return quarter_window(dt.date.fromisoformat(f"{key}-01"))
    return day_window(dt.date.fromisoformat(key))


RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(tickers: tuple[str, ...], windows: tuple[str, ...]) -> Mapping[str, str]:
    """The run tags that ask for one rectangle."""
    first, last = (f"{windows[0]}|{tickers[0]}", f"{windows[-1]}|{tickers[-1]}") if tickers else (windows[0], windows[-1])
    return {RANGE_START: first, RANGE_END: last}


def rectangle_of(tags: Mapping[str, str], tickers: Sequence[str], windows: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(tickers, date keys) that the range tags of a run ask for, out of the grid's own."""
    first, last = tags[RANGE_START].split("|"), tags[RANGE_END].split("|")
    dates = tuple(key for key in windows if first[0] <= key <= last[0])
    return tuple(ticker for ticker in tickers if first[1] <= ticker <= last[1]) if len(first) == 2 else (), dates
