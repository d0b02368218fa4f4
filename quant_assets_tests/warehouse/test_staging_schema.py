"""The staging layer of `dbt_features` against the registry of tables.

Renew its files with `QUANT_ASSETS_RENEW_SNAPSHOT=1 pytest <this file>`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from quant_assets.schemas import TABLES, UTC, Column, Dtype, Table
from quant_assets.warehouse import COPIED, STAGED
from quant_assets_tests.conftest import CHECKOUT

STAGING = CHECKOUT / "dbt_features" / "models" / "staging"
SCHEMA_FILE = "staging.yml"
RENEW = "QUANT_ASSETS_RENEW_SNAPSHOT"
HEADER = f"# Written from quant_assets/schemas/: {RENEW}=1 pytest {Path(__file__).relative_to(CHECKOUT)}\n"
DUCKDB_TYPES: dict[Dtype, str] = {
    pl.String: "varchar",
    pl.Date: "date",
    pl.Float64: "double",
    pl.Int64: "bigint",
    pl.Int8: "tinyint",
    pl.Boolean: "boolean",
    UTC: "timestamp with time zone",
    pl.List(pl.String): "varchar[]",
}


def described(column: Column) -> str:
    return column.meaning if column.unit == "-" else f"{column.meaning} [{column.unit}]"


def source(table: Table) -> dict[str, Any]:
    columns = [{"name": one.name, "description": described(one)} for one in table.columns]
    return {"name": table.name, "description": table.meaning, "columns": columns}


def model(table: Table) -> dict[str, Any]:
    known = f"known from {table.known_time} on" if table.known_time else f"known from the close of {table.event_time} on"
    required = [one.name for one in table.columns if not one.nullable]
    tests: list[dict[str, Any]] = [
        {"declared_rows": {"name": f"{table.name}_rows_are_as_declared", "arguments": {"key": list(table.key), "required": required}}}
    ]
    if table.name in COPIED:  # a bar of no session would be left out of the marts without a word
        tests.append({"on_a_session": {"name": f"{table.name}_is_on_sessions", "config": {"severity": "warn"}}})
    columns = [
        {"name": one.name, "quote": True, "data_type": DUCKDB_TYPES[one.dtype], "description": described(one)} for one in table.columns
    ]
    return {
        "name": f"stg_{table.name}",
        "description": f"{table.meaning} A view over the lake; one row for each {', '.join(table.key)}; {known}.",
        "data_tests": tests,
        "columns": columns,
    }


def files() -> dict[str, str]:
    """Every file of the staging folder with the text that the registry asks for."""
    tables = [TABLES[name] for name in STAGED]
    lake = {"name": "lake", "description": "The parquet lake: one folder a table, one file a year.", "tables": [source(t) for t in tables]}
    schema = {"version": 2, "sources": [lake], "models": [model(table) for table in tables]}
    text = HEADER + yaml.safe_dump(schema, sort_keys=False, width=140, allow_unicode=True)
    return {SCHEMA_FILE: text} | {f"stg_{name}.sql": f"{{{{ lake_rows('{name}') }}}}\n" for name in STAGED}


@pytest.fixture(scope="module", autouse=True)
def renewed() -> None:
    if os.environ.get(RENEW):
        for old in STAGING.iterdir():
            old.unlink()
        for name, text in files().items():
            (STAGING / name).write_text(text)


def test_every_table_but_the_bookkeeping_is_staged():
    assert set(TABLES) - set(STAGED) == {"coverage", "rulings"}


def test_the_staging_layer_is_what_the_registry_says():
    stored = {path.name: path.read_text() for path in STAGING.iterdir()}
    told = f"schemas/ has changed; when that is meant, renew the staging layer: {RENEW}=1 pytest {Path(__file__).name}"
    assert stored == files(), told


def test_every_column_of_the_staging_layer_says_its_unit():
    schema = yaml.safe_load((STAGING / SCHEMA_FILE).read_text())
    prices = next(one for one in schema["models"] if one["name"] == "stg_prices")
    told = {column["name"]: column["description"] for column in prices["columns"]}
    assert told["close"].endswith("[USD]")
    assert told["known_at"].endswith("[UTC]")
