"""Great Expectations suites, in code: what must hold for a whole table. The row-by-row gate is `gate.py`."""

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
from great_expectations.data_context import EphemeralDataContext

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


def expectations(table: str) -> list[gxe.Expectation]:
    """What must hold for a table: the declared columns and types, no nulls where none is allowed, unique keys, its rules (`rules.py`), and
    nothing fetched before it was known."""
    spec = TABLES[table]
    required = [column.name for column in spec.columns if not column.nullable]
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
        *((_not_below("fetched_at", "known_at"),) if "fetched_at" in spec.schema and spec.known_time else ()),
    ]


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
    context = _context()
    suite = gx.ExpectationSuite(name=table, expectations=expectations(table))
    source = context.data_sources.add_or_update_pandas(table)
    batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe(table)
    # GX takes pandas frames only: this is the one door. It copies and hashes them over and over, which categories make twice as fast.
    frame = with_open_days(table, rows).with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    result = batch.get_batch({"dataframe": frame}).validate(suite)
    failed = pl.DataFrame([_failure(one) for one in result.results if not one.success], schema=FAILURE, orient="row")
    told = [f"{kind} fails on {column}: {n} rows, e.g. {examples}" for kind, column, n, examples in failed.iter_rows()]
    sound = f"{len(result.results)} expectations hold on {rows.height:,} rows"
    return [Findings("suite", not told, "; ".join(told) or sound, rows=failed)]


@cache
def _context() -> EphemeralDataContext:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


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
