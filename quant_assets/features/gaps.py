"""Why features have no value: the nulls of a table of features, counted by name, year and feature, each count with its reason."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quant_assets.calendars import TIMEZONE
from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import INDEX_SERIES
from quant_assets.schemas import TABLES

FIELDS = ("open", "high", "low", "volume")
SERIES = "series"
NAMED = 2
"""Names of several that `together` writes out."""
GAPS = {
    "ticker": pl.String,
    "feature": pl.String,
    "sessions": pl.Int64,
    "warm_up": pl.Int64,
    "session": pl.Date,
    "reason": pl.String,
}


def gaps(values: pl.DataFrame, tables: Mapping[str, pl.LazyFrame | pl.DataFrame]) -> pl.DataFrame:
    """The nulls of computed features.

    Parameters
    ----------
    values : rows of table `features` or `cross_section_features`.
    tables : what they were computed from, as for `compute.compute`: bars from the first stored one on; of another table, all rows.

    Returns
    -------
    (n, 6), a row for each name, year and feature with a null: `ticker`; `session`, the first one of these rows in the year; `feature`;
    `sessions`, how many have no value; `warm_up`, how many of them lie inside the look-back; `reason`, in words.
    """
    bars = tables["prices"].lazy().select("ticker", "session").sort("ticker", "session")
    place = bars.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over("ticker")).collect()
    names = [name for name in values.columns if name in CATALOG and values[name].null_count()]
    if not names:
        return pl.DataFrame(schema=GAPS)
    cells = (
        values.join(place, on=["ticker", "session"], how="left")
        .group_by("ticker", pl.col("session").dt.year().alias("year"))
        .agg(pl.col(names).null_count(), first=pl.col("session").min(), last=pl.col("session").max(), place=pl.col("place").min())
    )
    counts = cells.unpivot(names, index=["ticker", "first", "last", "place"], variable_name="feature", value_name="sessions")
    lookbacks = {name: CATALOG[name].lookback for name in names}
    lookback = pl.col("feature").replace_strict(lookbacks, return_dtype=pl.Int64)
    found = counts.filter(pl.col("sessions") > 0).with_columns(
        pl.col("sessions").cast(pl.Int64), lookback=lookback, warm_up=(lookback - pl.col("place")).clip(0).cast(pl.Int64)
    )
    found = found.with_columns(warm_up=pl.min_horizontal("warm_up", "sessions"))
    rule = pl.col("feature").replace_strict({name: CATALOG[name].missing for name in names}, return_dtype=pl.String)
    told = found.join(_absent(found, tables), on=["ticker", "first", "feature"], how="left", maintain_order="left")
    reason = (
        pl.when(pl.col("absent").is_not_null())
        .then("absent")
        .when(pl.col("warm_up") == pl.col("sessions"))
        .then(pl.format("needs {} sessions before it", "lookback"))
        .otherwise(rule)
    )
    return told.select("ticker", "feature", "sessions", "warm_up", session="first", reason=reason).sort("ticker", "session", "feature")


def together(rows: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The reasons of each feature, one that holds for several names said once: `prices has no high of 18 names by then (AMD, BAC, ...)`.

    Parameters
    ----------
    rows : of table `feature_gaps`: `ticker`, `feature`, `reason`, `sessions`.

    Returns
    -------
    (n, 3) `feature`, `reason`, `sessions` (without a value), of each feature the reason with the most sessions first.
    """
    # the reason without the name, so that those which differ in it alone are one
    of_name = pl.format(" of {} by then", "ticker")
    split = rows.lazy().with_columns(named=pl.col("reason").str.ends_with(of_name), n_end=of_name.str.len_chars())
    head = pl.when("named").then(pl.col("reason").str.head(pl.col("reason").str.len_chars() - pl.col("n_end"))).otherwise("reason")
    by_reason = split.group_by("feature", "named", head=head).agg(pl.col("sessions").sum(), pl.col("ticker").unique().sort())
    several = pl.col("ticker").list.len() > 1
    shown = pl.col("ticker").list.head(NAMED).list.join(", ")
    more = pl.when(pl.col("ticker").list.len() > NAMED).then(pl.lit(", ...")).otherwise(pl.lit(""))
    who = (
        pl.when(several)
        .then(pl.format(" of {} names by then ({}{})", pl.col("ticker").list.len(), shown, more))
        .otherwise(pl.format(" of {} by then", shown))
    )
    reason = pl.when("named").then(pl.concat_str("head", who)).otherwise("head")
    told = by_reason.select("feature", reason.alias("reason"), "sessions")
    return told.sort("feature", "sessions", "reason", descending=[False, True, False]).collect()


def _absent(found: pl.DataFrame, tables: Mapping[str, pl.LazyFrame | pl.DataFrame]) -> pl.DataFrame:
    """ticker, first, feature, absent: the input that had nothing to say of the name by the last session of the year, in words."""
    reads = [
        (name, table, part)
        for name in found["feature"].unique()
        for table, part in map(_part, CATALOG[name].inputs)
        if table in tables and (table != "prices" or part in (*FIELDS, "price_basis"))
    ]
    schema = dict.fromkeys(("feature", "table", "part"), pl.String)
    needed = pl.DataFrame(reads, schema=schema, orient="row").unique(maintain_order=True)
    asked = found.select("ticker", "first", "last", "feature").join(needed, on="feature", maintain_order="left")
    since = _first_told(tables)
    of_name = asked.join(since, on=["ticker", "table", "part"], nulls_equal=True, how="left", maintain_order="left")
    everywhere = since.filter(pl.col("ticker").is_null()).drop("ticker")
    both = of_name.join(everywhere, on=["table", "part"], nulls_equal=True, how="left", suffix="_all", maintain_order="left")
    told = pl.coalesce("since", "since_all")
    silent = both.filter(told.is_null() | (told > pl.col("last")))
    what = pl.when(pl.col("part").is_null()).then(pl.format("nothing of {}", "ticker")).otherwise(pl.format("no {}", "part"))
    of_bars = pl.format("no {} of {}", pl.col("part").replace("price_basis", "raw price"), "ticker")
    words = pl.when(pl.col("table") == "prices").then(of_bars).otherwise(what)
    told_so = silent.with_columns(absent=pl.format("{} has {} by then", "table", words))
    return told_so.unique(["ticker", "first", "feature"], keep="first", maintain_order=True).select("ticker", "first", "feature", "absent")


def _part(column: str) -> tuple[str, str | None]:
    """(table, part) of an entry of `Feature.inputs`: the field of prices, the series of a table that has some, else None."""
    table, _, rest = column.partition(".")
    field, _, series = rest.partition(":")
    if table == "prices":
        return table, field
    return table, series or INDEX_SERIES if TABLES[table].entity == SERIES else None


def _first_told(tables: Mapping[str, pl.LazyFrame | pl.DataFrame]) -> pl.DataFrame:
    """table, part (field of prices, series, or null), ticker (null: of all names), since: the first day it has something."""
    schema = {"table": pl.String, "part": pl.String, "ticker": pl.String, "since": pl.Date}
    parts = [pl.DataFrame(schema=schema)]
    for table, given in tables.items():
        rows = given.lazy()
        if table == "prices":
            there = {field: pl.col(field).is_not_null() for field in FIELDS} | {"price_basis": pl.col("price_basis") == "raw"}
            first = [pl.col("session").filter(is_there).min().alias(field) for field, is_there in there.items()]
            wide = rows.group_by("ticker").agg(first).collect()
            parts.append(
                wide.unpivot(list(there), index="ticker", variable_name="part", value_name="since").select(
                    pl.lit(table).alias("table"), "part", "ticker", "since"
                )
            )
            continue
        nobody, spec = pl.lit(None, dtype=pl.String), TABLES[table]
        part, ticker = (pl.col(SERIES), nobody) if spec.entity == SERIES else (nobody, pl.col("ticker"))
        day = pl.col("session") if table == "index_prices" else pl.col("known_at").dt.convert_time_zone(TIMEZONE).dt.date()
        first_told = rows.group_by(part=part, ticker=ticker).agg(since=day.min())
        parts.append(first_told.select(pl.lit(table).alias("table"), "part", "ticker", "since").collect())
    return pl.concat(parts).drop_nulls("since")
