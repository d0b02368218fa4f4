"""Every rule, broken by one value: the row is quarantined with its reason, its name kept out, the others let in, the suite fails."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import year_window
from quant_assets.features.catalog import CATALOG
from quant_assets.quality.row_gate import finding, judge_rows
from quant_assets.quality.rules import Between, NotBelow, OneOf, OnSession, Rule, rules
from quant_assets.quality.suites import POSSIBLE, judge_table, open_day
from quant_assets.schemas import PROVENANCE, TABLES, UTC, Column
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets_tests.small import FETCHED_AT

D = dt.date
DAY = D(2013, 2, 28)
SATURDAY = D(2013, 3, 2)
DELIVERED = [name for name, spec in TABLES.items() if spec.entity and PROVENANCE[0] in spec.columns]


def sound(table: str, name: str) -> dict[str, Any]:
    """A row that breaks no rule."""
    spec = TABLES[table]
    words = {rule.column: rule.values[0] for rule in rules(table) if isinstance(rule, OneOf)}
    bounds = {rule.column: rule.high for rule in rules(table) if isinstance(rule, Between) and rule.high is not None and rule.high < 1}
    return {column.name: words.get(column.name, bounds.get(column.name, _value(column, name))) for column in spec.columns}


def _value(column: Column, name: str) -> Any:
    if column.name in ("ticker", "series"):
        return name
    if column.dtype == UTC:
        return FETCHED_AT
    kinds: dict[Any, Any] = {pl.Date: DAY, pl.String: "x", pl.Boolean: False, pl.Float64: 1.0, pl.List(pl.String): ["x"]}
    return kinds.get(column.dtype, 1)


def frame(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TABLES[table].schema, orient="row")


def breaking(table: str, rule: Rule) -> list[dict[str, Any]]:
    match rule:
        case Between(column, low, high, above):
            integer = TABLES[table].schema[column].is_integer()
            wrong: list[float] = [] if integer else [float("nan"), float("inf")]
            wrong += [] if low is None else [low if above else low - 1]
            wrong += [] if high is None else [high + 1]
            return [{column: int(value) if integer else value} for value in wrong]
        case NotBelow(column, other):
            if TABLES[table].schema[column] == pl.Date:
                return [{column: DAY, other: DAY + dt.timedelta(days=1)}]
            return [{column: 1.0, other: 2.0, **({"high": 3.0} if column != "high" else {})}]
        case OneOf(column):
            return [{column: "nobody"}]
        case _:
            return [{rule.column: SATURDAY}]


CASES = [(table, rule) for table in DELIVERED for rule in rules(table)]


@pytest.mark.parametrize(("table", "rule"), CASES, ids=lambda told: str(told))
def test_each_rule(table: str, rule: Rule):
    for wrong in breaking(table, rule):
        bad = {**sound(table, "BAD"), **wrong}
        rows = frame(table, sound(table, "GOOD"), bad)
        judged = judge_rows(table, rows)
        assert set(judged.withheld) == {"BAD"}
        assert judged.accepted[TABLES[table].entity or ""].to_list() == ["GOOD"]
        assert judged.accepted.height + 1 == judged.arrived == 2
        held = TABLES["quarantine"].conform(judged.quarantined)
        mine = held.filter(field=rule.column).row(0, named=True)
        assert mine["ticker"] == "BAD"
        assert mine["table"] == table
        assert f"{rule.column} is " in mine["reason"]
        assert "correct it at the source and run again" in mine["reason"]
        assert json.loads(mine["row"]).keys() == TABLES[table].schema.keys()
        told = finding([judged])
        assert not told.passed
        assert told.description == f"1 name withheld: {judged.withheld['BAD']}"


def test_a_null_breaks_nothing_and_sound_rows_pass():
    for table in DELIVERED:
        nothing = {column.name: None for column in TABLES[table].columns if column.nullable}
        rows = frame(table, sound(table, "GOOD"), {**sound(table, "BARE"), **nothing})
        judged = judge_rows(table, rows)
        assert judged.withheld == {}
        assert judged.accepted.equals(rows)
        assert finding([judged]).description == "2 rows arrived, none breaks a rule"


def test_several_bad_rows_of_a_day_are_all_kept():
    """A chain has many rows a day, and quarantine one a day and field: it holds them all."""
    first = sound("option_chain", "AAPL")
    rows = frame("option_chain", first, *({**first, "strike": 90.0 + n, "bid": -1.0 * n} for n in (1, 2, 3)))
    judged = judge_rows("option_chain", rows)
    [held] = judged.quarantined.rows(named=True)
    assert [row["strike"] for row in json.loads(held["row"])] == [91.0, 92.0, 93.0]
    assert held["reason"] == (
        "AAPL 2013-02-28: bid is -1.0 and must not be below 0; quarantined, correct it at the source and run again (3 rows of that day)"
    )


def test_nothing_arrived():
    judged = judge_rows("quotes", frame("quotes"))
    assert (judged.arrived, judged.withheld) == (0, {})
    assert finding([]).passed


def test_every_table_has_a_suite_and_it_finds_what_the_gate_finds():
    """Great Expectations reads the same rules: a frame in which each rule is broken by a row."""
    for table in TABLES:
        good = sound(table, "GOOD")
        [verdict] = judge_table(table, frame(table, good))
        assert verdict.passed, verdict.description
        bad = [{**good, **breaking(table, rule)[-1]} for rule in rules(table)]
        [verdict] = judge_table(table, frame(table, good, *bad))
        failed = set(verdict.rows["column"])
        for rule in rules(table):
            told = str([rule.column, rule.other]) if isinstance(rule, NotBelow) else rule.column
            told = open_day(rule) if isinstance(rule, OnSession) else POSSIBLE if rule.column in CATALOG else told
            assert told in failed, (table, rule)


def test_a_real_index_passes():
    source = ArchIndices()
    rows = source.normalise(source.fetch(["sp500"], year_window(2012)), fetched_at=FETCHED_AT).select(list(TABLES["index_prices"].schema))
    assert judge_rows("index_prices", rows).withheld == {}
