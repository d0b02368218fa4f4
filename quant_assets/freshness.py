"""Whether what a table was computed from has been written again since: prices that a vendor corrected, features of another night.

Scores of past quarters are left alone on purpose: they are what was forecast then. Only the running quarter's follow their features.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from quant_assets import gathered
from quant_assets.calendars import quarter_window, year_window
from quant_assets.features.catalog import ACROSS
from quant_assets.features.compute import READ
from quant_assets.lake import coverage
from quant_assets.lake.tallies import tally
from quant_assets.schemas import TABLES, UTC
from quant_assets.workspace import Workspace

STALE = "stale input"
"""How the reason of a decision begins that was made on something older than it should have been; such a decision is made again."""


def outdated(table: str, work: Workspace) -> pl.DataFrame:
    """key, window of each cell up to the night that was written before something it reads."""
    if table in ("features", "labels"):
        read, windows = _bars(work, table), work.year_windows()
        if table == "features":
            read = _later(read, _told(work, read))
    elif table == "cross_section_features":
        read, windows = _each_name(work), work.year_windows()
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
        index = tally(work.lake, "index_prices", work.history, _indices_fetched)
        both = fetched.join(index, on="year", how="left").sort("ticker", "year")
        read = both.with_columns(read_at=pl.max_horizontal("fetched_at", "index_at").cum_max().over("ticker"))
    return read.select(key="ticker", window=pl.col("year").cast(pl.String), read_at="read_at")


def _told(work: Workspace, names: pl.DataFrame) -> pl.DataFrame:
    """key, window (year), read_at: when vendors last delivered what features read beside bars, of the year or one before it."""
    parts = [pl.DataFrame(schema={"key": pl.String, "window": pl.String, "read_at": UTC})]
    for table in set(READ) & set(gathered.GATHERED):
        wrote = coverage.written(work.lake, table, work.history.start, work.after_as_of, status="complete")
        if TABLES[table].entity == "series":
            years = wrote.group_by("window").agg(pl.col("written_at").max())
            wrote = names.select(pl.col("key").unique()).join(years, how="cross")
        parts.append(wrote.select("key", "window", read_at="written_at"))
    latest = pl.concat(parts).group_by("key", "window").agg(pl.col("read_at").max())
    every = names.select("key", "window").join(latest, on=["key", "window"], how="left").sort("key", "window")
    return every.with_columns(pl.col("read_at").cum_max().over("key")).with_columns(pl.col("read_at").forward_fill().over("key"))


def _later(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    both = one.join(other, on=["key", "window"], how="left", suffix="_other")
    return both.select("key", "window", read_at=pl.max_horizontal("read_at", "read_at_other"))


def _each_name(work: Workspace) -> pl.DataFrame:
    """key, window (year), read_at: when features of any name were last completed in the year; a name that fails is not ranked."""
    wrote = coverage.written(work.lake, "features", work.history.start, work.after_as_of, status="complete")
    years = wrote.group_by("window").agg(read_at=pl.col("written_at").max()).sort("window")
    return wrote.select(pl.col("key").unique()).join(years, how="cross")


def _fetched(rows: pl.LazyFrame) -> pl.LazyFrame:
    """ticker, year, fetched_at of the last bar."""
    return rows.group_by("ticker", _year().alias("year")).agg(pl.col("fetched_at").max())


def _indices_fetched(rows: pl.LazyFrame) -> pl.LazyFrame:
    """year, index_at: when the last bar of an index was fetched."""
    return rows.group_by(_year().alias("year")).agg(index_at=pl.col("fetched_at").max())


def _year() -> pl.Expr:
    return pl.col("session").dt.year()


def _features(work: Workspace) -> pl.DataFrame:
    """key, window (the running quarter), read_at: when the features of the running year that the model reads were written."""
    year: dt.date = year_window(work.as_of.year).start
    quarter = quarter_window(work.as_of).start.strftime("%Y-%m")
    tables = ["features", *(["cross_section_features"] if set(work.model_features) & set(ACROSS) else [])]
    wrote = pl.concat(coverage.written(work.lake, table, year, work.after_as_of) for table in tables)
    latest = wrote.group_by("key").agg(pl.col("written_at").max())
    return latest.select("key", pl.lit(quarter).alias("window"), read_at="written_at")
