"""The night's context: which sessions it may be, and the windows it knows."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument
from quant_assets_tests.small import workspace

D = dt.date


def test_the_night_is_the_last_known_session_by_default(tmp_path: Path):
    work = workspace(tmp_path)
    assert work.as_of == D(2013, 3, 1)
    assert work.history == Window(D(2010, 1, 1), D(2013, 3, 2))
    assert work.out_of_sample == Window(D(2012, 1, 1), D(2013, 3, 2))
    assert work.cutoff == D(2013, 1, 1)


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        (D(2013, 2, 18), "--as-of 2013-02-18 is not a session of the exchange; use 2013-02-15 or 2013-02-19."),
        (D(2012, 10, 29), "is not a session of the exchange; use 2012-10-26 or 2012-10-31."),
        (D(2012, 7, 7), "is not a session of the exchange; use 2012-07-06 or 2012-07-09."),
        (D(2012, 1, 2), "--as-of 2012-01-02 is before the first decision 2012-01-03; use 2012-01-03 or a later session."),
        (D(1970, 1, 1), "is before the first decision 2012-01-03"),
        (D(2013, 3, 4), "--as-of 2013-03-04 is after the last known session 2013-03-01; use 2013-03-01 or an earlier session."),
        (D(3000, 1, 1), "is after the last known session 2013-03-01"),
    ],
)
def test_an_impossible_night_names_the_sessions_around(tmp_path: Path, as_of: dt.date, message: str):
    with pytest.raises(BadArgument, match=re.escape(message)):
        workspace(tmp_path, as_of=as_of)


def test_windows_end_with_the_night(tmp_path: Path):
    work = workspace(tmp_path, as_of=D(2012, 4, 2))
    assert list(work.year_windows()) == ["2010", "2011", "2012"]
    assert work.year_windows()["2012"] == Window(D(2012, 1, 1), D(2013, 1, 1))
    assert work.known(work.year_windows()["2012"]) == Window(D(2012, 1, 1), D(2012, 4, 3))
    assert work.quarter_windows() == {
        "2012-01": Window(D(2012, 1, 1), D(2012, 4, 1)),
        "2012-04": Window(D(2012, 4, 1), D(2012, 7, 1)),
    }
    assert work.cutoff == D(2012, 4, 1)
    assert list(workspace(tmp_path, as_of=D(2012, 3, 30)).quarter_windows()) == ["2012-01"]
    assert list(workspace(tmp_path, as_of=D(2012, 12, 31)).year_windows()) == ["2010", "2011", "2012"]
