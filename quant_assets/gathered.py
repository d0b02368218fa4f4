"""What must have been asked of vendors about the economy and about companies, and what has been.

Such tables have no row a session, and a vendor may rightly have nothing to say: what counts for a cell is that every vendor that can be
asked was asked late enough. Fetching is `steps/facts.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import polars as pl

from quant_assets.calendars import TIMEZONE, Window, session_close
from quant_assets.lake import coverage
from quant_assets.schemas import TABLES, UTC
from quant_assets.settings import Settings
from quant_assets.sources import configured, every_source
from quant_assets.workspace import Workspace

ECONOMY = ("macro",)
COMPANIES = (
    "fundamentals", "earnings", "articles", "news_sentiment", "insider_transactions", "recommendations", "holders", "company_info",
)  # fmt: skip
MARKET = ("option_chain", "quotes")
GATHERED = (*ECONOMY, *COMPANIES, *MARKET)
COMPLETE, WITHHELD = "complete", "withheld"


def offered(settings: Settings) -> list[str]:
    """The tables that the profile has a vendor of, whether or not its key is set."""
    there = {source.table for source in every_source(settings)}
    return [table for table in GATHERED if table in there]


def expected(table: str, work: Workspace, tickers: Sequence[str], windows: Mapping[str, Window]) -> pl.DataFrame:
    """key, window, n (1), first of each cell that a vendor may have something about; none where no vendor can be asked."""
    places = pl.DataFrame(
        [(name, window.start, window.end) for name, window in windows.items()],
        schema={"window": pl.String, "first": pl.Date, "end": pl.Date},
        orient="row",
    )
    parts = [pl.DataFrame(schema={"key": pl.String, "window": pl.String, "first": pl.Date})]
    for source in configured(work.settings, table):
        offered = source.offers(None if TABLES[table].entity == "series" else tickers)
        for covered in set(offered.values()):  # mostly one for all names
            keys = pl.DataFrame({"key": [key for key, its in offered.items() if its == covered]})
            touched = places.filter(pl.col("first") < covered.end, pl.col("end") > covered.start)
            parts.append(keys.join(touched, how="cross").select("key", "window", "first"))
    cells = pl.concat(parts).unique().sort("key", "window")
    if TABLES[table].entity == "ticker":  # nobody is asked about a name after its last session
        lives = coverage.listings(work.universe, tickers).select("key", "end")
        cells = cells.join(lives, on="key").filter(pl.col("end").is_null() | (pl.col("first") <= pl.col("end")))
    return cells.select("key", "window", pl.lit(1, dtype=pl.UInt32).alias("n"), "first")


def missing(table: str, work: Workspace, cells: pl.DataFrame, windows: Mapping[str, Window]) -> pl.DataFrame:
    """The cells that were not fetched from today's vendors since their window ended, or since the close of the night."""
    begun = Window(min(window.start for window in windows.values()), work.after_as_of)
    due = pl.DataFrame(
        [(name, _due(window, work)) for name, window in windows.items()], schema={"window": pl.String, "due": UTC}, orient="row"
    )
    told = work.lake.scan("coverage", window=begun, scope={"table": table}).filter(status=COMPLETE, version=_vendors(table, work))
    whole = told.select("window", "written_at", key="ticker").collect().join(due, on="window").filter(pl.col("written_at") >= pl.col("due"))
    return cells.join(whole, on=["key", "window"], how="anti")


def note(
    work: Workspace,
    table: str,
    tickers: Sequence[str],
    windows: Mapping[str, Window],
    *,
    withheld: Mapping[tuple[str, str], str],
    run_id: str | None,
) -> None:
    """Writes down in `coverage` which cells were fetched, and why others were not."""
    cells = expected(table, work, tickers, windows)
    reasons = [(key, window, withheld.get((key, window))) for key, window in cells.select("key", "window").iter_rows()]
    told = pl.DataFrame(reasons, schema={"ticker": pl.String, "window": pl.String, "reason": pl.String}, orient="row")
    fetched = pl.col("reason").is_null()
    starts = {name: window.start for name, window in windows.items()}
    rows = told.select(
        pl.lit(table).alias("table"),
        "ticker",
        "window",
        pl.col("window").replace_strict(starts, return_dtype=pl.Date).alias("window_start"),
        pl.lit(1, dtype=pl.Int64).alias("expected"),
        fetched.cast(pl.Int64).alias("present"),
        *(pl.lit(0, dtype=pl.Int64).alias(name) for name in ("logged", "quarantined")),
        pl.when(fetched).then(pl.lit(COMPLETE)).otherwise(pl.lit(WITHHELD)).alias("status"),
        "reason",
        pl.lit(_vendors(table, work)).alias("version"),
        pl.lit(work.clock()).cast(UTC).alias("written_at"),
        pl.lit(run_id, dtype=pl.String).alias("run_id"),
    )
    cover = Window(min(starts.values()), max(starts.values()) + dt.timedelta(days=1))
    work.lake.replace("coverage", rows, keys=rows["ticker"].unique().to_list(), window=cover, scope={"table": table})


def _vendors(table: str, work: Workspace) -> str:
    """What `coverage` calls the version of such a cell: a vendor whose key is set later was not asked yet."""
    return ", ".join(sorted(source.name for source in configured(work.settings, table)))


def _due(window: Window, work: Workspace) -> dt.datetime:
    if work.as_of in window:
        return session_close(work.as_of).astimezone(dt.UTC)
    return dt.datetime.combine(window.end, dt.time(), ZoneInfo(TIMEZONE)).astimezone(dt.UTC)
