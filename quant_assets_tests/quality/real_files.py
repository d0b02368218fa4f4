"""Real files as rows of the tables, and what becomes of each row: accepted, repaired or quarantined, and nothing else.

Formats that the package has a source for are read by it. Rows are counted in the file itself, by whoever asks.
"""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from quant_assets.calendars import TIMEZONE, Window
from quant_assets.quality.gate import judge_prices
from quant_assets.quality.repair import repair_bars
from quant_assets.quality.row_gate import judge_rows
from quant_assets.schemas import TABLES, UTC
from quant_assets.sources.base import known_at_close
from quant_assets.sources.lean_files import LeanFiles
from quant_assets.sources.native_files import NativeFiles
from quant_assets.universe import Listing, Universe
from quant_assets_tests.features.panels import quandl_sample
from quant_assets_tests.natives import native_stooq, put
from quant_assets_tests.small import FETCHED_AT

EVER = Window(dt.date(1900, 1, 1), dt.date(2100, 1, 1))
PRICES = ("open", "high", "low", "close")
UNITS = {"DilutedShares": "shares", "EPSDiluted": "USD/shares"}


@dataclass(frozen=True)
class Outcome:
    """accepted : rows let in as delivered. repaired : rows let in with a price put right. quarantined : rows kept out, by the check that
    keeps their cell out. found : findings of each check. quarantine : rows of the table `quarantine`.
    """

    accepted: int
    repaired: int
    quarantined: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    quarantine: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def rows(self) -> int:
        return self.accepted + self.repaired + sum(self.quarantined.values())


def through_the_gate(rows: pl.DataFrame) -> Outcome:
    """`prices` rows of names that are listed from their first bar on, to the last day of all."""
    first = rows.group_by("ticker").agg(pl.col("session").min()).sort("ticker").iter_rows()
    universe = Universe(tuple(Listing(ticker, "file", day) for ticker, day in first), Path("u"))
    window = Window(dt.date(rows["session"].min().year, 1, 1), rows["session"].max() + dt.timedelta(days=1))
    repaired = repair_bars(rows.sort("ticker", "session", maintain_order=True))
    verdict = judge_prices(repaired.rows, universe, window, fetched_at=FETCHED_AT)
    changed = verdict.accepted.join(repaired.log, on=["ticker", "session"], how="semi").height
    cells = ["ticker", pl.col("session").dt.year().alias("year")]
    why = verdict.quarantined.sort("ticker", "session", maintain_order=True).group_by(cells, maintain_order=True)
    kept_out = rows.select(cells).join(why.agg(pl.col("check").first()), on=["ticker", "year"])
    return Outcome(
        verdict.accepted.height - changed,
        changed,
        dict(Counter(kept_out["check"])),
        dict(Counter(verdict.quarantined["check"])),
        verdict.quarantined,
    )


def through_the_rules(table: str, rows: pl.DataFrame) -> Outcome:
    """Rows of a table that arrive in one delivery."""
    judged = judge_rows(table, TABLES[table].conform(rows.select(list(TABLES[table].schema))))
    why = judged.quarantined.group_by("ticker", maintain_order=True).agg(pl.col("check").first())
    kept_out = rows.select(ticker=TABLES[table].entity).join(why, on="ticker")
    return Outcome(
        judged.accepted.height, 0, dict(Counter(kept_out["check"])), dict(Counter(judged.quarantined["check"])), judged.quarantined
    )


def us_daily(shared: Path) -> pl.DataFrame:
    """277 names, 1990 to 2012."""
    file = pl.read_parquet(shared / "data/equities/us_daily_1990_2012.parquet")
    return _bars(file.rename(str.lower).rename({"date": "session"}), "adjusted")


def native(shared: Path, folder: Path, ticker: str) -> pl.DataFrame:
    """A native file through its source."""
    put(folder, ticker, native_stooq(shared, ticker))
    source = NativeFiles(folder)
    return source.normalise(source.fetch([ticker], EVER), fetched_at=FETCHED_AT)


def lean(shared: Path, folder: Path, ticker: str) -> pl.DataFrame:
    """A name of LEAN's files through its source."""
    if not folder.exists():
        shutil.copytree(shared / "data/equities/lean_daily", folder / "daily")
        for kind in ("map_files", "factor_files"):
            shutil.copytree(shared / f"data/corporate_actions/lean_{kind}", folder / kind)
    source = LeanFiles(folder)
    return source.normalise(source.fetch([ticker], EVER), fetched_at=FETCHED_AT)


def redated(shared: Path) -> pl.DataFrame:
    file = pl.read_csv(shared / "data/equities/redated_copy/AAPL_data.csv", try_parse_dates=True)
    return _bars(file.rename({"date": "session", "Name": "ticker"}), "adjusted")


def quandl(shared: Path) -> pl.DataFrame:
    return _bars(quandl_sample(shared), "raw")


def option_chain(shared: Path) -> pl.DataFrame:
    """The chain of two sessions with quotes and vendor's Greeks."""
    file = pl.read_parquet(shared / "data/options/aapl_chain_2014.parquet")
    greeks = {f"vendor_{name}": name for name in ("delta", "gamma", "theta", "vega")}
    return _chain(
        file.select(
            *("strike", "bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest"),
            session=pl.col("date").str.to_date("%Y%m%d"),
            expiry=pl.col("expiry").str.to_date("%Y%m%d"),
            right=pl.col("right").replace_strict({"C": "call", "P": "put"}),
            underlying="und_close",
            vendor_implied_volatility="iv",
            **greeks,
        )
    )


def lean_chain(file: Path) -> pl.DataFrame:
    """A day of LEAN's option universe: the share on the first line, then each contract; its close stands as `last`."""
    table = pl.read_csv(file, infer_schema=False, null_values=[""]).rename({"#expiry": "expiry"})
    share = float(table.row(0, named=True)["close"])
    number = {name: pl.col(name).cast(pl.Float64) for name in ("strike", "volume", "open_interest")}
    greeks = {f"vendor_{name}": pl.col(name).cast(pl.Float64) for name in ("implied_volatility", "delta", "gamma", "theta", "vega")}
    return _chain(
        table.slice(1).select(
            session=pl.lit(dt.datetime.strptime(file.stem, "%Y%m%d").date()),  # noqa: DTZ007 - a date
            expiry=pl.col("expiry").str.to_date("%Y%m%d"),
            right=pl.col("right").replace_strict({"C": "call", "P": "put"}),
            last=pl.col("close").cast(pl.Float64),
            underlying=pl.lit(share),
            **number,
            **greeks,
        )
    )


def treasury_curves(shared: Path) -> pl.DataFrame:
    """A row a day and tenor, those without a rate too: (n_days * 11,)."""
    content = gzip.decompress((shared / "data/macro/treasury_curves/treasury_curves.csv.gz").read_bytes())
    wide = pl.read_csv(content, infer_schema=False)
    day = pl.col("Time Period").str.slice(0, 10).str.to_date()
    rate = pl.col("value").cast(pl.Float64)
    long = wide.unpivot(index="Time Period", variable_name="series").with_columns(rate, session=day, published=day)
    return long.with_columns(known_at=_end_of("session"), **_provenance("treasury")).drop("Time Period")


def vix(shared: Path) -> pl.DataFrame:
    content = gzip.decompress((shared / "data/macro/vix_daily.csv.gz").read_bytes())
    file = pl.read_csv(content, try_parse_dates=True).rename(str.lower).rename({"date": "session"})
    return known_at_close(file.with_columns(series=pl.lit("vix"), volume=pl.lit(None, dtype=pl.Float64), **_provenance("cboe")))


def as_filed(shared: Path) -> pl.DataFrame:
    """Figures of 40 companies as they were first filed; the file names neither the filing nor the start of a period."""
    file = pl.read_csv(shared / "data/fundamentals/point_in_time/pit_fundamentals_history.csv", try_parse_dates=True)
    return file.select(
        "ticker",
        "period_end",
        concept="xbrl_tag",
        unit=pl.col("concept").replace_strict(UNITS, default="USD"),
        value=pl.col("original_value").cast(pl.Float64),
        filed="first_filed",
        taxonomy=pl.lit("us-gaap"),
        period_start=pl.lit(None, dtype=pl.Date),
        accession=pl.format("{} of {}", "concept", "first_filed"),
        form=pl.lit("10-K"),
        fiscal_year="fiscal_year",
        fiscal_period=pl.lit("FY"),
        known_at=_end_of("first_filed"),
        **_provenance("tradevo"),
    )


def _bars(rows: pl.DataFrame, basis: str) -> pl.DataFrame:
    """`prices` rows from ticker, session, OHLC and volume; without actions where there are none."""
    actions = {name: pl.lit(default) for name, default in (("split_factor", 1.0), ("dividend", 0.0)) if name not in rows.columns}
    typed = rows.with_columns(
        pl.col("ticker").cast(pl.String),
        pl.col("session").cast(pl.Date),
        pl.col(*PRICES, "volume").cast(pl.Float64),
        price_basis=pl.lit(basis),
        inferred=pl.lit(False),
        **actions,
        **_provenance("file"),
    )
    return TABLES["prices"].conform(known_at_close(typed).select(list(TABLES["prices"].schema)))


def _chain(rows: pl.DataFrame) -> pl.DataFrame:
    """`option_chain` rows of AAPL, null where the file has no such column."""
    schema = TABLES["option_chain"].schema
    told = known_at_close(rows.with_columns(ticker=pl.lit("AAPL"), **_provenance("lean")))
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in told.columns]
    return TABLES["option_chain"].conform(told.with_columns(absent).select(list(schema)))


def _provenance(source: str) -> dict[str, pl.Expr]:
    return {"source": pl.lit(source), "fetched_at": pl.lit(FETCHED_AT, dtype=UTC)}


def _end_of(day: str) -> pl.Expr:
    """The end of the day in New York."""
    return (pl.col(day).cast(pl.Datetime("us")) + dt.timedelta(days=1)).dt.replace_time_zone(TIMEZONE).dt.convert_time_zone("UTC")
