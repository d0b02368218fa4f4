"""Great Expectations suites, in code: what must hold for a whole table. The row-by-row gate is `gate.py`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import polars as pl
from great_expectations.data_context import EphemeralDataContext

from quant_assets.errors import QuantAssetsError
from quant_assets.quality.findings import Findings
from quant_assets.schemas import TABLES

POSITIVE = {"prices": ("open", "high", "low", "close"), "index_prices": ("close",)}


def expectations(table: str) -> list[gxe.Expectation]:
    """What must hold for a source table: the declared columns, no nulls where none is allowed, unique keys, positive prices, and
    nothing fetched before it was known."""
    spec = TABLES[table]
    required = [column.name for column in spec.columns if not column.nullable]
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=list(spec.schema), exact_match=True),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=list(spec.key)),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in required),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, strict_min=True) for name in POSITIVE.get(table, ())),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="fetched_at", column_B="known_at", or_equal=True),
    ]


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
    frame = rows.with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    result = batch.get_batch({"dataframe": frame}).validate(suite)
    failed = [_explain(one) for one in result.results if not one.success]
    told = f"{len(result.results)} expectations hold on {rows.height:,} rows" if not failed else "; ".join(failed)
    return [Findings("suite", not failed, told)]


@cache
def _context() -> EphemeralDataContext:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


def _explain(one: Any) -> str:
    raised = next((info for info in _exceptions(one.exception_info) if info.get("raised_exception")), None)
    kind, settings = one.expectation_config.type, one.expectation_config.kwargs
    if raised:
        raise QuantAssetsError(
            f"expectation {kind} raised: {raised['exception_message']}", remedy="report it, this is not a verdict on the data"
        )
    column = settings.get("column") or settings.get("column_list") or "table"
    count, examples = one.result.get("unexpected_count", "?"), one.result.get("partial_unexpected_list", [])[:3]
    return f"{kind} fails on {column}: {count} rows, e.g. {examples}"


def _exceptions(info: Any) -> list[dict[str, Any]]:
    return [info] if "raised_exception" in info else list(info.values())
