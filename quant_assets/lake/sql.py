"""SQL over the lake's parquet files, in an in-memory DuckDB that cannot touch anything else. Writing is `store.py`'s business."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import polars as pl

from quant_assets.errors import BadArgument
from quant_assets.schemas import Table

ONE_SELECT = "write one SELECT (also FROM, WITH, DESCRIBE, SUMMARIZE or SHOW TABLES); PIVOT needs its values listed with IN"


def run_query(stored: Sequence[tuple[Table, Sequence[Path]]], query: str) -> pl.DataFrame:
    """The result of one SELECT over one view for each table.

    A view has the declared columns whatever its files hold, and no rows without files. Instants are shown in UTC. Files other
    than the lake's cannot be read, none can be written, no extension is fetched.

    Parameters
    ----------
    stored : each declared table with its parquet files, readable as that table.

    Raises
    ------
    BadArgument : not a single SELECT, or DuckDB refuses it.
    """
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": False, "python_enable_replacements": False}) as connection:
        files = _list(path for _, paths in stored for path in paths)
        connection.execute(f"SET TimeZone = 'UTC'; SET allowed_paths = {files}; SET enable_external_access = false")
        connection.execute("SET lock_configuration = true; CREATE SCHEMA declared")
        for table, paths in stored:
            _create_view(connection, table, paths)
        try:
            statements = connection.extract_statements(query)
            # COPY may overwrite the very files that are allowed to be read, so nothing but a SELECT is let through.
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise BadArgument("not a single SELECT", remedy=ONE_SELECT)
            answer: pl.DataFrame = connection.sql(query).pl()
            return answer
        except duckdb.Error as refusal:
            raise BadArgument(f"DuckDB refuses the query: {refusal}", remedy="correct it and ask again") from refusal


def _create_view(connection: duckdb.DuckDBPyConnection, table: Table, paths: Sequence[Path]) -> None:
    name, columns = _quoted(table.name), ", ".join(_quoted(column) for column in table.schema)
    connection.register("no_rows", pl.DataFrame(schema=table.schema))
    connection.execute(f"CREATE TABLE declared.{name} AS FROM no_rows")
    connection.unregister("no_rows")
    rows = f"FROM declared.{name}"
    if paths:
        rows += f" UNION ALL BY NAME FROM read_parquet({_list(paths)}, union_by_name = true, hive_partitioning = false)"
    connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM ({rows})")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(paths: Iterable[Path]) -> str:
    return "[" + ", ".join("'" + str(path.absolute()).replace("'", "''") + "'" for path in paths) + "]"
