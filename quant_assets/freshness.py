"""Whether what a table was computed from has been written again since: prices that a vendor corrected, features of another night.

Scores of past quarters are left alone on purpose: they are what was forecast then. Only the running quarter's follow their features.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from quant_assets.calendars import quarter_window, year_window
from quant_assets.lake import coverage
from quant_assets.lake.tallies import tally
from quant_assets.workspace import Workspace

STALE = "stale input"
"""How the reason of a decision begins that was made on something older than it should have been; such a decision is made again."""


def outdated(table: str, work: Workspace) -> pl.DataFrame:
    """key, window of each cell up to the night that was written before something it reads."""
    if table in ("features", "labels"):
        read, windows = _bars(work, table), work.year_windows()
    elif table == "oos_predictions":
        quarter = quarter_window(work.as_of)
        read, windows = _features(work), {quarter.start.strftime("%Y-%m"): quarter}
    else:
        return pl.DataFrame(schema={"key": pl.String, "window": pl.String})
    since = min(window.start for window in windows.values())
    wrote = coverage.written(work.lake, table, since, work.after_as_of)
    return read.join(wrote, on=["key", "window"]).filter(pl.col("read_at") > pl.col("written_at")).select("key", "window")


def stale_inputs(work: Workspace, tickers: Sequence[str]) -> dict[str, str]:
    """For each name whose decision of this night would rest on something older than what it was computed from: what that is."""
    running = [str(work.as_of.year), quarter_window(work.as_of).start.strftime("%Y-%m")]
    told = {}
    for table, read in (("oos_predictions", "features"), ("features", "prices")):
        for ticker in outdated(table, work).filter(pl.col("window").is_in(running), pl.col("key").is_in(list(tickers)))["key"]:
            told[ticker] = f"{STALE}: its {table} are older than the {read} they were computed from; run again"
    return told


def _bars(work: Workspace, table: str) -> pl.DataFrame:
    """key, window (year), read_at: when the last bar that the table's year reads was fetched, of the name or of an index."""
    fetched = tally(work.lake, "prices", work.history, _fetched).sort("ticker", "year")
    if table == "labels":  # a label of December ends in January
        read = fetched.with_columns(read_at=pl.max_horizontal("fetched_at", pl.col("fetched_at").shift(-1).over("ticker")))
    else:
        index = work.lake.scan("index_prices", window=work.history).group_by(_year().alias("year")).agg(index_at=pl.col("fetched_at").max())
        both = fetched.join(index.collect(), on="year", how="left").sort("ticker", "year")
        read = both.with_columns(read_at=pl.max_horizontal("fetched_at", "index_at").cum_max().over("ticker"))
    return read.select(key="ticker", window=pl.col("year").cast(pl.String), read_at="read_at")


def _fetched(rows: pl.LazyFrame) -> pl.LazyFrame:
    """ticker, year, fetched_at of the last bar."""
    return rows.group_by("ticker", _year().alias("year")).agg(pl.col("fetched_at").max())


def _year() -> pl.Expr:
    return pl.col("session").dt.year()


def _features(work: Workspace) -> pl.DataFrame:
    """key, window (the running quarter), read_at: when the features of the running year were written."""
    year: dt.date = year_window(work.as_of.year).start
    quarter = quarter_window(work.as_of).start.strftime("%Y-%m")
    wrote = coverage.written(work.lake, "features", year, work.after_as_of)
    return wrote.select("key", pl.lit(quarter).alias("window"), read_at="written_at")
