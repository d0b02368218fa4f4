"""How good the data of each name are, source by source: what is there, what is missing, what was put right or kept out, and since when.

A score is of a night, by what is known in it: what was repaired of an old bar last week counts for all nights since.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quant_assets.schemas import TABLES
from quant_assets.sources.reconcile import DISAGREE

STRIP = 60
"""Sessions whose state is told one by one."""
STATES = {"good": ".", "repaired": "r", "disagreement": "d", "quarantined": "q", "missing": "x", "not listed": " "}
"""One letter a session in `last_60`; of several, the last that holds in this order."""


def score_sessions(
    table: str, expected: pl.DataFrame, rows: pl.DataFrame, *, log: pl.DataFrame, held: pl.DataFrame, first_source: Mapping[str, str]
) -> pl.DataFrame:
    """A row a (name, source) of a table that has a row a session; columns as `quality_scorecard` declares them, without `session`.

    Parameters
    ----------
    expected : key, session: every session on which the name must have a row.
    rows : key, session, source: what is stored.
    log, held : `quality_log` and `quarantine` of the table.
    first_source : who is to blame where nothing is stored, by name.
    """
    mine = expected.join(rows, on=["key", "session"], how="left", maintain_order="left").sort("key", "session")
    disagree = pl.col("method").str.contains(DISAGREE, literal=True)
    blamed = pl.col("key").replace_strict(first_source, default="none", return_dtype=pl.String)
    told = (
        mine.with_columns(missing=pl.col("source").is_null(), source=pl.coalesce("source", blamed))
        .join(_counted(log, put_right(), "repaired"), on=["key", "session"], how="left")
        .join(_counted(log, disagree, "disagreements"), on=["key", "session"], how="left")
        .join(_counted(held, pl.lit(True), "quarantined"), on=["key", "session"], how="left")
        .with_columns(pl.col("repaired", "disagreements", "quarantined").fill_null(0))
        .sort("key", "session")
    )
    last = told["session"].unique().sort().tail(STRIP)
    strip = last.to_frame().join(told.select("key", "source").unique(), how="cross").join(told, on=["key", "source", "session"], how="left")
    letters = strip.sort("key", "source", "session").group_by("key", "source").agg(_letter().str.join("").alias("last_60"))
    begins = pl.col("missing") & ~pl.col("missing").shift(fill_value=False).over("key", "source")
    run = (~pl.col("missing")).cast(pl.UInt32).cum_sum().over("key", "source")
    runs = told.with_columns(run=run).filter("missing").group_by("key", "source", "run").len()
    longest = runs.group_by("key", "source").agg(pl.col("len").max())
    figures = (
        told.with_columns(begins=begins)
        .group_by("key", "source")
        .agg(
            expected=pl.len(),
            present=(~pl.col("missing")).sum(),
            gaps=pl.col("begins").sum(),
            repaired=pl.col("repaired").sum(),
            disagreements=pl.col("disagreements").sum(),
            last_good=pl.col("session").filter(~pl.col("missing") & (pl.col("quarantined") == 0)).max(),
        )
    )
    whole = figures.join(longest, on=["key", "source"], how="left").join(letters, on=["key", "source"])
    owner = whole.sort(pl.col("source") != blamed, "source").unique("key", keep="first").select("key", "source")
    kept_out = held.group_by(pl.col("ticker").alias("key")).agg(quarantined=pl.len())  # of any day, on one row of its name
    whole = whole.join(kept_out.join(owner, on="key"), on=["key", "source"], how="left")
    return _declared(table, whole.with_columns(longest_gap=pl.col("len").fill_null(0), quarantined=pl.col("quarantined").fill_null(0)))


def put_right() -> pl.Expr:
    """Of rows of `quality_log`: the value that is stored is not the one that was delivered."""
    return ~pl.col("method").str.contains(DISAGREE, literal=True) & (pl.col("original") != pl.col("repaired"))


def score_rows(table: str, rows: pl.DataFrame, *, held: pl.DataFrame) -> pl.DataFrame:
    """A row a (name, source) of a table in which a vendor may rightly have nothing: what there is, and how new it is.

    Parameters
    ----------
    rows : key, source, day: what is stored.
    held : `quarantine` of the table.
    """
    figures = rows.group_by("key", "source").agg(present=pl.len(), last_good=pl.col("day").max())
    kept_out = held.group_by(pl.col("ticker").alias("key"), "source").agg(quarantined=pl.len())
    both = figures.join(kept_out, on=["key", "source"], how="full", coalesce=True)
    return _declared(table, both.with_columns(pl.col("present", "quarantined").fill_null(0)))


def with_findings(scores: pl.DataFrame, found: pl.DataFrame, doubted: pl.DataFrame) -> pl.DataFrame:
    """The rows with `broken` and `doubtful`; a table that no vendor fills gets a row for each name with a broken value.

    Parameters
    ----------
    found : table, ticker, source of each stored value that cannot be true. doubted : table, ticker of each unlikely row.
    """
    key = ["table", "ticker", "source"]
    broken = found.group_by(key).agg(broken=pl.len().cast(pl.Int64))
    unlikely = doubted.group_by("table", "ticker").agg(doubtful=pl.len().cast(pl.Int64))
    others = (
        broken.join(scores, on=key, how="anti")
        .select(key)
        .with_columns(present=pl.lit(0, dtype=pl.Int64), quarantined=pl.lit(0, dtype=pl.Int64))
    )
    every = pl.concat([scores.drop("broken", "doubtful"), others], how="diagonal")
    beside = every.join(broken, on=key, how="left").join(unlikely, on=["table", "ticker"], how="left")
    return beside.with_columns(pl.col("broken", "doubtful").fill_null(0))


def trend(scores: pl.DataFrame) -> list[dict[str, int]]:
    """Of each of the last sessions, oldest first, the number of names in each of `STATES`."""
    letters = [strip for strip in scores["last_60"] if strip]
    longest = max(map(len, letters), default=0)
    return [{state: sum(strip[place] == letter for strip in letters) for state, letter in STATES.items()} for place in range(longest)]


def _counted(rows: pl.DataFrame, which: pl.Expr, name: str) -> pl.DataFrame:
    return rows.filter(which).group_by(pl.col("ticker").alias("key"), "session").agg(pl.len().alias(name))


def _letter() -> pl.Expr:
    """The letter of a session; the row is null where the name was not listed, or had another source."""
    state = pl.when(pl.col("repaired") > 0).then(pl.lit(STATES["repaired"])).otherwise(pl.lit(STATES["good"]))
    state = pl.when(pl.col("disagreements") > 0).then(pl.lit(STATES["disagreement"])).otherwise(state)
    state = pl.when(pl.col("quarantined") > 0).then(pl.lit(STATES["quarantined"])).otherwise(state)
    state = pl.when(pl.col("missing") & (pl.col("quarantined") == 0)).then(pl.lit(STATES["missing"])).otherwise(state)
    return pl.when(pl.col("missing").is_null()).then(pl.lit(STATES["not listed"])).otherwise(state)


def _declared(table: str, figures: pl.DataFrame) -> pl.DataFrame:
    schema = {name: dtype for name, dtype in TABLES["quality_scorecard"].schema.items() if name not in ("session", "inputs")}
    named = figures.rename({"key": "ticker"}).with_columns(pl.lit(table).alias("table"))
    lacking = [name for name in schema if name not in named.columns]
    return named.with_columns(pl.lit(None, dtype=schema[name]).alias(name) for name in lacking).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )
