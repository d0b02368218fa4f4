"""SQL sees the tables as declared, and nothing but the tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument
from quant_assets.lake import Lake
from quant_assets.schemas import TABLES
from quant_assets_tests.lake.frames import SCHEMA, TABLE, YEAR_2012, day, file_of, fingerprint, predictions

STORED = predictions(("AAPL", "2012-06-01", 0.51), ("IBM", "2012-06-01", None), ("IBM", "2013-06-03", 0.4))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "a [b] 'c'")
    lake.replace(TABLE, STORED, keys=None, window=Window(day("2012-01-01"), day("2014-01-01")))
    return lake


def test_a_view_holds_the_stored_rows(lake: Lake) -> None:
    assert_frame_equal(lake.sql(f"FROM {TABLE} ORDER BY session, ticker"), STORED)
    assert lake.sql(f"SELECT max(score) AS top FROM {TABLE} WHERE ticker = 'IBM'").item() == 0.4


def test_instants_keep_their_type(lake: Lake) -> None:
    close = dt.datetime(2012, 6, 1, 20, tzinfo=dt.UTC)
    row = ("sp500", day("2012-06-01"), *[1.0] * 5, "arch", close, close)
    index = pl.DataFrame([row], schema=TABLES["index_prices"].schema, orient="row")
    lake.replace("index_prices", index, keys=None, window=YEAR_2012)
    assert_frame_equal(lake.sql("FROM index_prices"), index)


def test_every_table_has_a_view_with_the_declared_columns(lake: Lake) -> None:
    shown = lake.sql("SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW'")
    assert set(shown["table_name"]) == set(TABLES)
    for name, table in TABLES.items():
        view = lake.sql(f'FROM "{name}" LIMIT 0')
        assert dict(view.schema) == {column: dtype() if isinstance(dtype, type) else dtype for column, dtype in table.schema.items()}
    assert lake.sql("FROM trades").is_empty()


def test_a_column_an_older_file_lacks_is_null(lake: Lake) -> None:
    lake.scan(TABLE, window=YEAR_2012).collect().drop("score").write_parquet(file_of(lake.root, 2012))
    assert lake.sql(f"SELECT score FROM {TABLE} ORDER BY session, ticker")["score"].to_list() == [None, None, 0.4]
    assert list(lake.sql(f"FROM {TABLE}").columns) == list(SCHEMA)


@pytest.mark.parametrize(
    "query", ["SELEC 1", "SELECT * FROM pricez", "SELECT nothing FROM prices", "SELECT 1; SELECT 2", "", "DROP VIEW prices"]
)
def test_what_is_not_one_select_is_refused(lake: Lake, query: str) -> None:
    with pytest.raises(BadArgument):
        lake.sql(query)


def test_a_query_reaches_no_other_file_and_no_variable(lake: Lake, tmp_path: Path) -> None:
    other, before, local_frame = tmp_path / "other.parquet", fingerprint(lake.root), STORED
    local_frame.write_parquet(other)
    path = str(file_of(lake.root, 2012)).replace("'", "''")
    for query in (
        f"FROM '{other}'",
        "FROM local_frame",
        f"COPY (SELECT 1) TO '{path}' (USE_TMP_FILE false)",
        "SET enable_external_access = true",
    ):
        with pytest.raises(BadArgument):
            lake.sql(query)
    assert fingerprint(lake.root) == before
