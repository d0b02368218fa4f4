"""The gate in front of every table that vendors fill but `prices` (`gate.py`): a row that cannot be true keeps its name out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.quality.findings import Findings
from quant_assets.quality.rules import Between, NotBelow, OneOf, OnSession, Rule, broken, limit, rules
from quant_assets.schemas import TABLES

CHECKS = {Between: "range", NotBelow: "order", OneOf: "known_value", OnSession: "exchange_session"}
SHOWN = ["table", "ticker", "session", "field", "value", "check", "reason"]


@dataclass(frozen=True)
class Judged:
    """accepted : rows that may be stored. quarantined : rows of `quarantine`, one an offending (ticker, day, field).

    withheld : each name (or series) of which nothing is stored this time, with the first reason. arrived : rows that were judged.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    withheld: dict[str, str]
    arrived: int


def judge_rows(table: str, rows: pl.DataFrame) -> Judged:
    """Judges rows of a table with an entity by its rules; a row that breaks one withholds all of its name that arrived with it.

    Parameters
    ----------
    rows : as `schemas` declares them, one source.
    """
    spec = TABLES[table]
    none = pl.DataFrame(schema=TABLES["quarantine"].schema).drop("table")
    found = pl.concat([none, *(_offending(table, rows, rule) for rule in rules(table))]).sort("ticker", "session", maintain_order=True)
    withheld: dict[str, str] = {}
    for name, reason in found.select("ticker", "reason").iter_rows():
        withheld.setdefault(name, reason)
    entity = spec.entity or ""
    accepted = rows.filter(~pl.col(entity).is_in(list(withheld)))
    return Judged(accepted, _one_a_field(table, found), withheld, rows.height)


def finding(judged: Sequence[Judged]) -> Findings:
    """The check `gate` of a table's asset."""
    bad = pl.concat([one.quarantined.select(SHOWN) for one in judged]) if judged else pl.DataFrame()
    lost = {name: reason for one in judged for name, reason in one.withheld.items()}
    n = sum(one.arrived for one in judged)
    names = f"{len(lost)} name{'s' if len(lost) > 1 else ''}"
    told = f"{names} withheld: {next(iter(lost.values()))}" if lost else f"{n:,} rows arrived, none breaks a rule"
    return Findings("gate", not lost, told, rows=bad)


def _offending(table: str, rows: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """ticker, session, field, value, check, reason, row, source, fetched_at of each row that breaks the rule."""
    spec = TABLES[table]
    column = pl.col(rule.column)
    number = column.cast(pl.Float64) if spec.schema[rule.column].is_numeric() else pl.lit(None, dtype=pl.Float64)
    other = pl.format(" ({})", pl.col(rule.other).cast(pl.String)) if isinstance(rule, NotBelow) else pl.lit("")
    day, name = pl.col(spec.event_time), pl.col(spec.entity or "")
    wrong = f"{{}} {{}}: {rule.column} is {{}} and {limit(rule)}{{}}; quarantined, correct it at the source and run again"
    # polars 2.1 can panic when it formats strings over the chunks of a concatenated frame
    return (
        rows.filter(broken(rule))
        .rechunk()
        .select(
            name.alias("ticker"),
            day.alias("session"),
            field=pl.lit(rule.column),
            value=number,
            check=pl.lit(CHECKS[type(rule)]),
            reason=pl.format(wrong, name, day, column.cast(pl.String), other),
            row=pl.struct(pl.all()).struct.json_encode(),
            source="source",
            fetched_at="fetched_at",
        )
        .select(list(TABLES["quarantine"].schema)[1:])
    )


def _one_a_field(table: str, found: pl.DataFrame) -> pl.DataFrame:
    """Rows of `quarantine`: the first of each (ticker, day, field), with the rows of all of them."""
    grouped = found.group_by("ticker", "session", "field", maintain_order=True).agg(
        pl.col("value", "check", "reason", "source", "fetched_at").first(), pl.col("row").unique(maintain_order=True)
    )
    n, several = pl.col("row").list.len(), pl.format("[{}]", pl.col("row").list.join(","))
    return grouped.select(
        pl.lit(table).alias("table"),
        "ticker",
        "session",
        "field",
        "value",
        "check",
        pl.when(n > 1).then(pl.format("{} ({} rows of that day)", "reason", n)).otherwise("reason").alias("reason"),
        pl.when(n > 1).then(several).otherwise(pl.col("row").list.first()).alias("row"),
        "source",
        "fetched_at",
    )
