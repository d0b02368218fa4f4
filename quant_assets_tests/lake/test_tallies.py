"""Tallies: what a query says of each year, asked again only of the years that were written since."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, year_window
from quant_assets.errors import LakeError
from quant_assets.lake import Lake
from quant_assets.lake.tallies import tally
from quant_assets_tests.lake.frames import TABLE, YEAR_2012, file_of, predictions

BOTH = Window(dt.date(2012, 1, 1), dt.date(2013, 12, 31))
IN_2012, IN_2013 = predictions(("AAPL", "2012-06-01", 0.5)), predictions(("AAPL", "2013-06-03", 0.6), ("IBM", "2013-06-03", 0.4))
asked: list[float] = []


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    asked.clear()
    lake = Lake(tmp_path)
    lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012)
    lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))
    return lake


def a_name(rows: pl.LazyFrame, least: float) -> pl.LazyFrame:
    """Rows of each name with at least this score; notes that it was asked."""
    asked.append(least)
    return rows.filter(pl.col("score") >= least).group_by("ticker").agg(n=pl.len())


def tallied(lake: Lake, window: Window = BOTH, least: float = 0.0) -> list[tuple[str, int]]:
    return sorted(tally(lake, TABLE, window, a_name, least).rows())


def test_a_year_is_read_once_until_it_is_written(lake: Lake):
    assert tallied(lake) == tallied(lake) == [("AAPL", 1), ("AAPL", 1), ("IBM", 1)]
    assert len(asked) == 2
    lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))  # the same rows leave the file alone
    assert len(tallied(Lake(lake.root))) == 3
    assert len(asked) == 2
    lake.replace(TABLE, predictions(("IBM", "2013-06-04", 0.4)), keys=["IBM"], window=year_window(2013))
    assert len(tallied(lake)) == 3
    assert len(asked) == 3
    lake.replace(TABLE, predictions(), keys=["IBM"], window=year_window(2013))
    assert tallied(lake) == [("AAPL", 1), ("AAPL", 1)]


def test_another_question_window_or_lake_is_another_tally(lake: Lake, tmp_path: Path):
    assert tallied(lake) == [("AAPL", 1), ("AAPL", 1), ("IBM", 1)]
    assert tallied(lake, least=0.55) == [("AAPL", 1)]
    assert tallied(lake, Window(dt.date(2012, 6, 2), dt.date(2013, 6, 4))) == [("AAPL", 1), ("IBM", 1)]
    assert tallied(lake, Window(dt.date(2012, 6, 2), dt.date(2013, 6, 3))) == []
    assert tallied(Lake(tmp_path / "empty")) == []


def test_a_year_that_goes_leaves_nothing_behind(lake: Lake):
    assert len(tallied(lake)) == 3
    file_of(lake.root, 2013).unlink()
    assert tallied(lake) == [("AAPL", 1)]


def test_a_damaged_year_is_refused_though_it_was_read_before(lake: Lake):
    assert len(tallied(lake)) == 3
    torn = file_of(lake.root, 2013)
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(LakeError, match="delete the file and run again"):
        tallied(lake)
