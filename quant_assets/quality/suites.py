"""Great Expectations suites, in code: what must hold for a whole table. The row-by-row gate is `gate.py`.

Great Expectations takes some 20 ms an expectation, of a table of six rows as of one of thousands. What is expected of each row is therefore
asked at once, of one column that says whether the row keeps all of it; one by one only where a row does not, to tell what it breaks.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from functools import cache
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import polars as pl
from great_expectations.core.batch_definition import BatchDefinition

from quant_assets.errors import QuantAssetsError
from quant_assets.features.catalog import CATALOG
from quant_assets.quality.findings import Findings
from quant_assets.quality.rules import Between, NotBelow, OneOf, OnSession, Rule, broken, rules, sessions_known
from quant_assets.schemas import TABLES, Dtype

PANDAS_TYPES: dict[Dtype, str] = {pl.Float64: "float64", pl.Int64: "int64", pl.Int8: "int8", pl.Boolean: "bool", pl.Date: "datetime64[ms]"}
FAILURE = dict.fromkeys(("expectation", "column", "rows", "examples"), pl.String)
LARGEST = sys.float_info.max
POSSIBLE = "each feature is possible"
"""The column in which a suite looks for it: of hundreds of features, Great Expectations would copy each."""
KEPT = "all that is expected of each row"
"""The column in which a suite looks for it."""
SAID_OTHERWISE = (
    gxe.ExpectTableColumnsToMatchSet,
    gxe.ExpectColumnValuesToBeOfType,
    gxe.ExpectColumnValuesToNotBeNull,
    gxe.ExpectColumnValuesToBeBetween,
    gxe.ExpectColumnValuesToBeInSet,
    gxe.ExpectColumnPairValuesAToBeGreaterThanB,
)
"""What the declared types, the column of `with_rows_judged` and that there is no other leave nothing of."""


def expectations(table: str) -> list[gxe.Expectation]:
    """What must hold for a table: the declared columns and types, no nulls where none is allowed, unique keys, its rules (`rules.py`), and
    nothing fetched before it was known."""
    spec = TABLES[table]
    required = _required(table)
    plain = {column.name: PANDAS_TYPES[column.dtype] for column in spec.columns if column.dtype in PANDAS_TYPES}
    asked = [rule for rule in rules(table) if not _is_of_feature(rule)]
    possible = [POSSIBLE] if len(asked) < len(rules(table)) else []
    columns = [name for name in spec.schema if name not in CATALOG]
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=[*columns, *_open_days(table), *possible], exact_match=True),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=list(spec.key)),
        *(gxe.ExpectColumnValuesToBeOfType(column=name, type_=dtype) for name, dtype in plain.items() if name in required),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in required),
        *(_expected(rule) for rule in asked),
        *(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[True]) for name in possible),
        *(_expected(rule) for rule in _on_arrival(table)),
    ]


def _required(table: str) -> list[str]:
    return [column.name for column in TABLES[table].columns if not column.nullable]


def _on_arrival(table: str) -> tuple[Rule, ...]:
    """Nothing is fetched before it is known."""
    spec = TABLES[table]
    return (NotBelow("fetched_at", "known_at"),) if "fetched_at" in spec.schema and spec.known_time else ()


def at_once(table: str) -> list[gxe.Expectation]:
    """`expectations` of rows of the declared types, with one in place of all that is expected of each row."""
    columns = [name for name in TABLES[table].schema if name not in CATALOG]
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=[*columns, KEPT], exact_match=True),
        *(each for each in expectations(table) if not isinstance(each, SAID_OTHERWISE)),
        gxe.ExpectColumnValuesToBeInSet(column=KEPT, value_set=[True]),
    ]


def with_rows_judged(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, without their features, and in KEPT whether each has its required values and breaks no rule."""
    there = [pl.col(name).is_not_null() for name in _required(table)]
    keeps = [~broken(rule) for rule in (*rules(table), *_on_arrival(table))]
    return rows.with_columns(pl.all_horizontal(*there, *keeps).alias(KEPT)).drop(name for name in rows.columns if name in CATALOG)


def with_open_days(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with a column more for each that must hold sessions: whether it does. GX takes seconds over a calendar it is given.

    Features become one column: whether the row's are all what they can be. A row in which one is not is found by the same rules again.
    """
    days = (pl.col(rule.column).is_in(sessions_known().implode()).alias(name) for name, rule in _open_days(table).items())
    of_features = [~broken(rule) for rule in rules(table) if _is_of_feature(rule)]
    possible = [pl.all_horizontal(of_features).alias(POSSIBLE)] if of_features else []
    return rows.with_columns(*days, *possible).drop(name for name in rows.columns if of_features and name in CATALOG)


def _is_of_feature(rule: Rule) -> bool:
    return isinstance(rule, Between) and rule.column in CATALOG


def _open_days(table: str) -> dict[str, OnSession]:
    return {open_day(rule): rule for rule in rules(table) if isinstance(rule, OnSession)}


def open_day(rule: OnSession) -> str:
    """The column in which a suite looks for it."""
    return f"{rule.column} is a session"


def _expected(rule: Rule) -> gxe.Expectation:
    match rule:
        case Between(column, low, high, above):
            limits = {"min_value": -LARGEST if low is None else low, "max_value": LARGEST if high is None else high}
            return gxe.ExpectColumnValuesToBeBetween(column=column, **limits, strict_min=above)
        case NotBelow(column, other):
            return _not_below(column, other)
        case OneOf(column, values):
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values))
        case OnSession():
            return gxe.ExpectColumnValuesToBeInSet(column=open_day(rule), value_set=[True])


def _not_below(column: str, other: str) -> gxe.Expectation:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column, column_B=other, or_equal=True, ignore_row_if="either_value_is_missing"
    )


def judge_table(table: str, rows: pl.DataFrame) -> list[Findings]:
    """Runs the table's suite; one finding for the whole suite.

    Raises
    ------
    QuantAssetsError : an expectation itself raised: that is our bug or a changed vendor, never a verdict on the data.
    """
    if rows.is_empty():
        return [Findings("suite", False, f"{table}: no rows to judge")]
    failed = _unmet(table, rows)
    told = [f"{kind} fails on {column}: {n} rows, e.g. {examples}" for kind, column, n, examples in failed.iter_rows()]
    sound = f"{len(expectations(table))} expectations hold on {rows.height:,} rows"
    return [Findings("suite", not told, "; ".join(told) or sound, rows=failed)]


def _unmet(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Columns of FAILURE. KEPT fails alone where a rule refuses what Great Expectations takes for a null: a NaN."""
    if dict(rows.schema) != dict(TABLES[table].schema):
        return _failures(expectations(table), with_open_days(table, rows))
    together = _failures(at_once(table), with_rows_judged(table, rows))
    if together.is_empty():
        return together
    singly = _failures(expectations(table), with_open_days(table, rows))
    return together if singly.is_empty() else singly


def _failures(expected: list[gxe.Expectation], rows: pl.DataFrame) -> pl.DataFrame:
    """Columns of FAILURE: what Great Expectations says of those that do not hold."""
    # GX takes pandas frames only: this is the one door. It copies and hashes them over and over, which categories make twice as fast.
    frame = rows.with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    result = _whole_frames().get_batch({"dataframe": frame}).validate(gx.ExpectationSuite(name="table", expectations=expected))
    return pl.DataFrame([_failure(one) for one in result.results if not one.success], schema=FAILURE, orient="row")


@cache
def _whole_frames() -> BatchDefinition[Any]:
    """Where a frame is handed in, whatever its table: to declare a source takes as long as to ask two expectations."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context.data_sources.add_pandas("lake").add_dataframe_asset("table").add_batch_definition_whole_dataframe("table")


def _failure(one: Any) -> tuple[str, str, str, str]:
    """Columns of FAILURE."""
    raised = next((info for info in _exceptions(one.exception_info) if info.get("raised_exception")), None)
    kind, settings = one.expectation_config.type, one.expectation_config.kwargs
    if raised:
        raise QuantAssetsError(
            f"expectation {kind} raised: {raised['exception_message']}", remedy="report it, this is not a verdict on the data"
        )
    pair = [settings[name] for name in ("column_A", "column_B") if name in settings]
    column = settings.get("column") or settings.get("column_list") or pair or "table"
    examples = [_plain(value) for value in one.result.get("partial_unexpected_list", [])[:3]]
    return kind, str(column), str(one.result.get("unexpected_count", "?")), str(examples)


def _plain(value: Any) -> Any:
    """numpy's and pandas' values as Python writes them."""
    if isinstance(value, tuple | list):
        return tuple(_plain(part) for part in value)
    return str(value) if isinstance(value, dt.datetime) else getattr(value, "item", lambda: value)()


def _exceptions(info: Any) -> list[dict[str, Any]]:
    return [info] if "raised_exception" in info else list(info.values())
