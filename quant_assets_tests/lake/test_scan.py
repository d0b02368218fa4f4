"""What a read opens, pushes down and makes of files with another declaration."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, day_window
from quant_assets.errors import BadArgument, LakeError
from quant_assets.lake import Lake
from quant_assets.schemas import TABLES, Column
from quant_assets_tests.lake.frames import SCHEMA, TABLE, YEAR_2012, day, file_of, predictions, weekdays_2012

STORED = predictions(("AAPL", "2011-06-01", 0.1), ("AAPL", "2012-06-01", 0.2), ("IBM", "2012-06-01", 0.3), ("IBM", "2013-06-03", 0.4))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "a [b] 'c'")
    lake.replace(TABLE, STORED, keys=None, window=Window(day("2011-01-01"), day("2014-01-01")))
    return lake


def test_a_table_never_written_is_empty_with_its_schema(tmp_path: Path) -> None:
    frame = Lake(tmp_path).scan(TABLE, keys=["AAPL"], window=YEAR_2012, scope={"model": "pooled"})
    assert frame.collect().is_empty()
    assert dict(frame.collect_schema()) == SCHEMA


def test_keys_window_scope_and_columns_select(lake: Lake) -> None:
    read = lake.scan(TABLE, keys=["IBM"], window=YEAR_2012, scope={"model": "pooled"}, columns=["score", "ticker"])
    assert_frame_equal(read.collect(), STORED.filter(score=0.3).select("score", "ticker"))
    assert lake.scan(TABLE, scope={"model": "deep"}).collect().is_empty()


def test_only_the_years_of_the_window_are_opened(lake: Lake) -> None:
    file_of(lake.root, 2011).write_bytes(b"torn")
    plan = lake.scan(TABLE, window=Window(day("2012-06-01"), day("2013-01-01"))).explain()
    assert str(file_of(lake.root, 2012)) in plan
    assert "year=2013" not in plan


def test_a_folder_that_is_no_year_is_ignored(lake: Lake) -> None:
    year = file_of(lake.root, 2012).parent
    shutil.copytree(year, year.with_name("year=2012.bak"))
    assert lake.scan(TABLE).collect().height == STORED.height
    assert lake.scan(TABLE, window=YEAR_2012).collect().height == 2


def test_projection_and_predicates_reach_the_parquet_reader(lake: Lake) -> None:
    plan = lake.scan(TABLE, keys=["IBM"], window=YEAR_2012, columns=["ticker", "score"]).filter(pl.col("score") > 0.25).explain()
    assert plan.startswith(("simple π", "Parquet SCAN"))
    assert "FILTER" not in plan
    selection = next(line for line in plan.splitlines() if "SELECTION" in line)
    assert all(name in selection for name in ("ticker", "session", "score"))
    assert f"PROJECT 3/{len(SCHEMA)} COLUMNS" in plan


def test_a_plan_made_before_a_write_reads_the_whole_new_file(lake: Lake) -> None:
    plan = lake.scan(TABLE, window=YEAR_2012)
    rows = weekdays_2012(["AAPL", "IBM", "MSFT"], 0.0)
    lake.replace(TABLE, rows, keys=None, window=YEAR_2012)
    assert_frame_equal(plan.collect(), rows)


def test_impossible_requests_are_refused(lake: Lake) -> None:
    with pytest.raises(BadArgument, match="did you mean 'prices'"):
        lake.scan("price")
    with pytest.raises(BadArgument, match="did you mean 'score'"):
        lake.scan(TABLE, columns=["scores"])
    with pytest.raises(BadArgument, match="not a list"):
        lake.scan(TABLE, keys="AAPL")


def declared_with(lake: Lake, *columns: Column) -> Lake:
    """The same files under a declaration of `oos_predictions` with other columns."""
    return Lake(lake.root, {TABLE: replace(TABLES[TABLE], columns=columns)})


def test_a_column_declared_later_reads_as_null_and_a_dropped_one_is_ignored(lake: Lake) -> None:
    kept = [column for column in TABLES[TABLE].columns if column.name != "score"]
    evolved = declared_with(lake, *kept, Column("margin", pl.Float64, "fraction", "added later"))
    expected = STORED.drop("score").with_columns(margin=pl.lit(None, pl.Float64))
    assert_frame_equal(evolved.scan(TABLE).collect(), expected)

    session = day("2012-06-01")
    rows = expected.filter(pl.col("ticker") == "IBM", pl.col("session") == session).with_columns(margin=pl.lit(0.5))
    evolved.replace(TABLE, rows, keys=["IBM"], window=day_window(session))
    assert evolved.scan(TABLE, columns=["margin"]).collect()["margin"].to_list() == [None, None, 0.5, None]


def test_files_that_cannot_be_read_as_declared_are_refused(lake: Lake) -> None:
    required = declared_with(lake, *TABLES[TABLE].columns, Column("margin", pl.Float64, "fraction", "added later", nullable=False))
    with pytest.raises(LakeError, match=r"year=2011.* lacks the required column margin; delete the file and run again"):
        required.scan(TABLE)
    retyped = [replace(column, dtype=pl.Float32) if column.name == "score" else column for column in TABLES[TABLE].columns]
    with pytest.raises(LakeError, match="holds score as Float64 where Float32 is declared; delete the file"):
        declared_with(lake, *retyped).scan(TABLE)
