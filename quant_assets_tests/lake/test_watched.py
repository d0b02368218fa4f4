"""A watched lake: what is noted of a reading, and what counts as a change of it."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, year_window
from quant_assets.lake import Lake
from quant_assets.lake.watched import Watched, seen
from quant_assets_tests.lake.frames import TABLE, YEAR_2012, file_of, predictions

IN_2012, IN_2013 = predictions(("AAPL", "2012-06-01", 0.5)), predictions(("AAPL", "2013-06-03", 0.6), ("IBM", "2013-06-03", 0.4))
BOTH = Window(dt.date(2012, 1, 1), dt.date(2014, 1, 1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012)
    return lake


def scores_of(lake: Lake, name: str) -> pl.DataFrame:
    return lake.scan(TABLE, keys=[name], window=BOTH).collect()


def test_files_that_were_read_count_and_no_others(lake: Lake):
    read = Watched(lake)
    assert scores_of(read, "AAPL").height == 1
    of_2012 = Watched(lake)
    of_2012.scan(TABLE, window=YEAR_2012)
    assert read.unchanged()
    lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))
    assert not read.unchanged()
    assert of_2012.unchanged()
    lake.replace(TABLE, predictions(), keys=None, window=YEAR_2012)
    assert not of_2012.unchanged()


def test_a_file_of_other_bytes_or_gone_is_a_change_and_one_that_comes_back_is_none(lake: Lake):
    read, file = Watched(lake), file_of(lake.root, 2012)
    read.versions(TABLE)
    away = file.with_name("away")
    os.rename(file, away)
    assert not read.unchanged()
    os.rename(away, file)
    assert read.unchanged()
    file.write_bytes(file.read_bytes()[:100])
    assert not read.unchanged()


def test_an_answer_counts_by_its_content(lake: Lake):
    read = Watched(lake)
    assert seen(read, scores_of, "AAPL").equals(seen(lake, scores_of, "AAPL"))
    lake.replace(TABLE, predictions(("IBM", "2012-06-01", 0.4)), keys=["IBM"], window=YEAR_2012)
    assert read.unchanged()
    lake.replace(TABLE, predictions(("AAPL", "2012-06-01", 0.4)), keys=["AAPL"], window=YEAR_2012)
    assert not read.unchanged()


def test_what_changed_while_it_was_read_is_a_change(lake: Lake):
    read = Watched(lake)
    scores_of(read, "AAPL")
    lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))
    assert scores_of(read, "AAPL").height == 2
    assert not read.unchanged()
