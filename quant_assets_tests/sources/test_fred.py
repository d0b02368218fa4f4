"""FRED through fredapi over real connections: each value with the moment it became public, and the files that lack it."""

from __future__ import annotations

import csv
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, is_session, session_close, session_offset, year_window
from quant_assets.errors import BadArgument, NoData, SourceError, SourceUnavailable
from quant_assets.point_in_time import as_of
from quant_assets.schemas import TABLES
from quant_assets.sources.fred import KEY_VARIABLE, LAST_VERSION, RELEASES, FredMacro, read_last_version
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Answers, ReplayServer, Reply, in_turn, replaying
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.fred_answers import CPI, DGS10, GDP, error, fred, observations
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import MovingClock

D = dt.date
KEY = "0123456789abcdef0123456789abcdef"
NEW_YORK = ZoneInfo("America/New_York")
ALWAYS = Window(D(1990, 1, 1), D(2026, 1, 1))


@pytest.fixture(autouse=True)
def no_key_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.get_records("call"))
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def ask(tmp_path: Path, server: ReplayServer, *series: str, window: Window = ALWAYS) -> pl.DataFrame:
    wire = Wire(tmp_path, base_urls={"fred": server.url}, clock=MovingClock())
    source = FredMacro(wire, series=[*RELEASES, "GDP", "SP500"])
    try:
        return source.normalise(source.fetch(series, window), fetched_at=FETCHED_AT)
    finally:
        wire.store.close()


def delivered(tmp_path: Path, answers: Answers, *series: str, window: Window = ALWAYS) -> pl.DataFrame:
    with replaying(answers) as server:
        return ask(tmp_path, server, *series, window=window)


def new_york(*moment: int) -> dt.datetime:
    return dt.datetime(*moment, tzinfo=NEW_YORK)


def values(rows: pl.DataFrame, instant: dt.datetime) -> list[tuple[dt.date, float]]:
    return as_of(rows, instant).select("session", "value").rows()


def test_every_version_of_a_value_is_a_row(tmp_path: Path):
    rows = delivered(tmp_path, fred({"CPIAUCSL": CPI}), "CPIAUCSL")
    assert rows.select("session", "published", "value").rows() == [
        (D(2014, 12, 1), D(2015, 1, 16), 234.8),
        (D(2014, 12, 1), D(2016, 2, 19), 234.9),
        (D(2015, 1, 1), D(2015, 2, 26), 233.7),
        (D(2015, 1, 1), D(2016, 2, 19), 234.0),
    ]
    assert rows["source"].unique().to_list() == ["fred"]
    assert rows["known_at"][0] == new_york(2015, 1, 16, 10)


def test_what_was_known_of_a_revised_value(tmp_path: Path):
    rows = delivered(tmp_path, fred({"CPIAUCSL": CPI}), "CPIAUCSL")
    december, january = D(2014, 12, 1), D(2015, 1, 1)
    assert values(rows, new_york(2015, 1, 16, 9, 59)) == []
    assert values(rows, new_york(2015, 1, 16, 10)) == [(december, 234.8)]
    assert values(rows, session_close(D(2016, 2, 18))) == [(december, 234.8), (january, 233.7)]
    assert values(rows, session_close(D(2016, 2, 19))) == [(december, 234.9), (january, 234.0)]
    assert_frame_equal(as_of(rows.lazy(), session_close(D(2016, 2, 19))).collect(), as_of(rows, session_close(D(2016, 2, 19))))
    with pytest.raises(ValueError, match="has no time zone"):
        as_of(rows, dt.datetime(2016, 2, 19))  # noqa: DTZ001


def test_as_of_agrees_with_a_naive_loop_and_does_not_see_the_future(tmp_path: Path):
    rows = delivered(tmp_path, fred({"CPIAUCSL": CPI, "GDP": GDP}), "CPIAUCSL", "GDP")
    for instant in [*rows["known_at"], session_close(D(2014, 2, 28)), session_close(D(2020, 1, 2))]:
        latest: dict[tuple[str, dt.date], tuple[dt.datetime, float]] = {}
        for row in rows.iter_rows(named=True):
            key, version = (row["series"], row["session"]), (row["known_at"], row["value"])
            if row["known_at"] <= instant and version > latest.get(key, (dt.datetime.min.replace(tzinfo=dt.UTC), 0.0)):
                latest[key] = version
        found = as_of(rows, instant)
        assert {(s, d): v for s, d, v in found.select("series", "session", "value").rows()} == {k: v for k, (_, v) in latest.items()}
        corrupted = rows.with_columns(value=pl.when(pl.col("known_at") > instant).then(-1.0).otherwise("value"))
        assert_frame_equal(as_of(corrupted, instant), found)


def test_a_series_without_a_declared_hour_is_known_at_the_end_of_the_day_in_st_louis(tmp_path: Path):
    rows = delivered(tmp_path, fred({"GDP": GDP}), "GDP")
    assert rows["known_at"][0] == dt.datetime(2014, 1, 31, tzinfo=ZoneInfo("America/Chicago"))
    assert values(rows, session_close(D(2014, 2, 28))) == [(D(2013, 10, 1), 17102.5)]


def test_all_of_alfreds_history_is_asked_for_whatever_the_window(tmp_path: Path):
    """A part of it would be told to begin with that part: every old value as if it were published then."""
    with replaying(fred({"CPIAUCSL": CPI})) as server:
        ask(tmp_path, server, "CPIAUCSL", window=year_window(2016))
        ask(tmp_path, server, "CPIAUCSL", window=year_window(2015))
        [asked] = server.asked
    assert (asked.params["realtime_start"], asked.params["realtime_end"]) == ("1776-07-04", "9999-12-31")
    assert asked.params["api_key"] == KEY


def test_a_market_rate_is_known_on_the_next_business_day_of_the_federal_reserve(tmp_path: Path):
    with replaying(fred({"DGS10": DGS10})) as server:
        rows = ask(tmp_path, server, "DGS10", window=year_window(2014))
        [asked] = server.asked
    assert rows.select("session", "published", "value").rows() == [
        (D(2014, 10, 9), D(2014, 10, 10), 2.34),
        (D(2014, 10, 10), D(2014, 10, 14), 2.31),  # not on Columbus Day, although the exchange was open
        (D(2014, 10, 14), D(2014, 10, 15), 2.21),  # the dot of Columbus Day is no row
    ]
    assert is_session(D(2014, 10, 13))
    assert rows["known_at"].to_list()[1] == new_york(2014, 10, 14, 16, 30)
    assert asked.params["observation_start"] == "2013-12-18"  # early enough for what was published first in the window
    assert asked.params["observation_end"] == "2014-12-31"
    assert "realtime_start" not in asked.params


@pytest.mark.parametrize("series", ["BAA10Y", "DFF", "DGS10", "DGS2", "T10YIE", "VIXCLS"])
def test_no_market_rate_is_known_at_the_close_of_its_own_day(tmp_path: Path, series: str):
    days = [(str(day), "2026-01-02", "1.5") for day in pl.date_range(D(2001, 1, 1), D(2012, 12, 31), eager=True)]
    rows = delivered(tmp_path, fred({series: days}), series)
    assert rows.height == len(days)
    for session, known_at in rows.select("session", "known_at").iter_rows():
        if is_session(session):
            assert known_at > session_close(session)
            assert known_at < session_close(session_offset(session, 3))


def test_the_recorded_answer_of_the_client(tmp_path: Path, shared: Path):
    body = (shared / "data/vendor_api/fredapi/sp500_obs_call.xml").read_bytes()
    rows = delivered(tmp_path, in_turn(Reply(body, content_type="text/xml")), "SP500")
    assert rows["value"].to_list() == [2002.28, 2000.72, 1997.65, 2007.71]
    assert rows["published"].unique().to_list() == [D(2015, 6, 28)]  # the day of the recording: no more was asked for


def test_a_second_time_nobody_is_asked_and_another_key_finds_the_same_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with replaying(fred({"CPIAUCSL": CPI})) as server:
        first = ask(tmp_path, server, "CPIAUCSL")
        monkeypatch.setenv(KEY_VARIABLE, "f" * 32)
        assert_frame_equal(ask(tmp_path, server, "CPIAUCSL"), first)
        assert len(server.asked) == 1


MANY = "Bad Request.  There are 2004 vintage dates in the specified real-time period.  This exceeds the maximum number (2000)."
FAULTS: dict[str, tuple[Reply, type[SourceError], str]] = {
    "key": (error("Bad Request.  The value for variable api_key is not registered."), SourceError, "the key in FRED_API_KEY was refused"),
    "series": (error("Bad Request.  The series does not exist."), NoData, "The series does not exist"),
    "vintages": (
        error(MANY),
        SourceError,
        "declare how CPIAUCSL is published in quant_assets.sources.fred.RELEASES",
    ),
    "error in a 200": (error("Bad Request.  Something.", status=200), SourceError, "Bad Request. Something"),
    "cut at the limit": (observations(CPI, count=120_000), SourceError, "gave the first 100000 of 120000 observations"),
    "no number": (observations([("2015-01-01", "2015-02-26", "12,5")]), SourceError, "an observation of CPIAUCSL cannot be read"),
    "no date": (observations([("2015-01-32", "2015-02-26", "1")]), SourceError, "an observation of CPIAUCSL cannot be read"),
    "overload": (error("Too Many Requests", status=429), SourceUnavailable, "answered 429"),
    "failure": (error("Internal Server Error", status=500), SourceUnavailable, "answered 500"),
    "page": (Reply("<html><body>Maintenance</body>", content_type="text/html"), SourceError, "something other than XML"),
}


@pytest.mark.parametrize(("reply", "expected", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_what_fred_refuses_is_said_in_its_words(tmp_path: Path, reply: Reply, expected: type[SourceError], words: str):
    with pytest.raises(SourceError) as caught:
        delivered(tmp_path, in_turn(reply), "CPIAUCSL")
    assert type(caught.value) is expected
    assert words in " ".join(str(caught.value).split())
    assert KEY not in told(caught.value)


def test_without_a_key_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY_VARIABLE)
    with replaying(fred({})) as server, pytest.raises(SourceError, match="no key in FRED_API_KEY"):
        ask(tmp_path, server, "DFF")
    assert server.asked == []


def test_nothing_published_is_no_row(tmp_path: Path):
    assert delivered(tmp_path, fred({"DFF": [], "CPIAUCSL": []}), "DFF", "CPIAUCSL").schema == pl.Schema(TABLES["macro"].schema)
    assert delivered(tmp_path, fred({}), "NOT_OURS").is_empty()


@pytest.mark.parametrize(
    "name",
    ["fred_date_seriesid/DGS10.csv", "fred_date_value/DGS10.csv", "fred_native_header/CPIAUCSL.csv", "fred_date_value/VIXCLS.csv"]
    + [f"fred_date_seriesid/{series}.csv" for series in ("DGS2", "T10YIE", "UNRATE")]
    + ["fred_date_value/USREC.csv"],
)
def test_files_of_all_headers(shared: Path, name: str):
    file = shared / "data/macro" / name
    rows = read_last_version(file, fetched_at=FETCHED_AT, series=file.stem)
    with file.open() as opened:
        expected = [(D.fromisoformat(day), float(value)) for day, value in list(csv.reader(opened))[1:] if value]
    assert rows.select("session", "value").rows() == expected
    assert rows["series"].unique().to_list() == [file.stem]
    assert rows["source"].unique().to_list() == [LAST_VERSION]
    assert (rows["published"] > rows["session"]).all()


def test_a_month_of_a_file_is_known_when_the_next_is_over(shared: Path):
    """The CPI of January 2015 came out on 26 February, the latest day without a shutdown."""
    rows = read_last_version(shared / "data/macro/fred_native_header/CPIAUCSL.csv", fetched_at=FETCHED_AT)
    [january] = rows.filter(session=D(2015, 1, 1)).iter_rows(named=True)
    assert january["known_at"] == new_york(2015, 2, 28, 10)


def test_a_recession_of_a_file_is_known_two_years_later(shared: Path):
    """The NBER said on 1 December 2008 that one had begun after December 2007, on 20 September 2010 that it had ended with June 2009."""
    rows = read_last_version(shared / "data/macro/fred_date_value/USREC.csv", fetched_at=FETCHED_AT)
    began, over = (row["known_at"] for row in rows.filter(pl.col("session").is_in([D(2008, 1, 1), D(2009, 7, 1)])).iter_rows(named=True))
    assert began == new_york(2010, 1, 2, 1) > new_york(2008, 12, 1)
    assert over == new_york(2011, 7, 2, 1) > new_york(2010, 9, 20)
    # The longest silence so far: the recession that ended with March 1991 was said to be over on 22 December 1992.
    assert rows.filter(session=D(1991, 4, 1))["known_at"].item() > new_york(1992, 12, 22)


def test_the_same_series_in_two_headers_is_the_same(shared: Path):
    short, long = (
        read_last_version(shared / f"data/macro/{name}/DGS10.csv", fetched_at=FETCHED_AT)
        for name in ("fred_date_seriesid", "fred_date_value")
    )
    assert_frame_equal(short, long.join(short, on="session", how="semi"))


def test_files_that_are_none(tmp_path: Path, shared: Path):
    with pytest.raises(BadArgument, match="GDP has no declared publication lag"):
        read_last_version(shared / "data/macro/fred_date_value/GDP.csv", fetched_at=FETCHED_AT)
    with pytest.raises(BadArgument, match="holds DGS2, not DGS10"):
        read_last_version(shared / "data/macro/fred_date_seriesid/DGS2.csv", fetched_at=FETCHED_AT, series="DGS10")
    file = tmp_path / "DGS10.csv"
    for text in ("<html>\n<body>\n", "date,value\n2015-13-01,1\n", "date,value\n2015-01-02,1;2\n", "date,open,close\n2015-01-02,1,2\n"):
        file.write_text(text)
        with pytest.raises(SourceError, match=r"DGS10\.csv is no table of dates and values"):
            read_last_version(file, fetched_at=FETCHED_AT)
    with pytest.raises(SourceError, match="is no table"):
        read_last_version(tmp_path / "absent.csv", fetched_at=FETCHED_AT)
