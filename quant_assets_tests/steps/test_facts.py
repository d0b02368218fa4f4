"""Macro series and fundamentals in the lake: the year of publication, nothing after the night, faults that stay with their name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_close
from quant_assets.point_in_time import as_of, known
from quant_assets.schemas import TABLES
from quant_assets.sources.base import Source
from quant_assets.sources.fred import KEY_VARIABLE, FredMacro
from quant_assets.sources.sec_facts import SecFacts
from quant_assets.sources.wire.wire import Wire
from quant_assets.steps import facts
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace
from quant_assets_tests.replay import Asked, Reply, replaying
from quant_assets_tests.small import workspace
from quant_assets_tests.sources.fred_answers import error, fred
from quant_assets_tests.sources.sec_answers import FUND, company, listed, sec
from quant_assets_tests.sources.wire.ways import MovingClock

D = dt.date
YEARS = ["2010", "2011", "2012", "2013"]
UNRATE = [
    ("2009-12-01", "2010-01-08", "10.0"),
    ("2009-12-01", "2011-01-07", "9.9"),
    ("2010-01-01", "2010-02-05", "9.7"),
    ("2010-01-01", "2012-01-06", "9.8"),
    ("2013-01-01", "2013-02-01", "7.9"),
    ("2013-02-01", "2013-03-08", "7.7"),  # a week after the night
]
RATES = [(f"{year}-06-01", "2026-01-02", "0.2") for year in (2009, 2010, 2011, 2012, 2013)]
SERIES = fred({"UNRATE": UNRATE, "DFF": RATES})


def filing(number: int, filed: str, value: float) -> dict[str, object]:
    told = {"start": "2009-10-01", "end": "2010-09-30", "accn": f"0000000001-10-{number:06d}", "fy": 2010, "fp": "FY", "form": "10-K"}
    return {**told, "filed": filed, "val": value}


APPLE = company(1, filing(1, "2010-10-27", 5.0), filing(2, "2011-10-26", 6.0), filing(3, "2013-10-30", 7.0))
MICROSOFT = company(2, filing(9, "2010-07-30", 8.0))
TICKERS = listed(AAPL=1, MSFT=2, KO=FUND)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return workspace(tmp_path)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path, clock=MovingClock())
    yield wire
    wire.store.close()


def windows(work: Workspace, *years: str) -> dict[str, Window]:
    return {year: work.year_windows()[year] for year in years}


def fetch(work: Workspace, table: str, source: Source, *years: str, tickers: Sequence[str] = ()) -> StepResult:
    return facts.fetch_facts(work, table, tickers, windows(work, *years), [source], run_id="night")


def stored(work: Workspace, table: str) -> pl.DataFrame:
    return work.lake.scan(table).collect().sort(TABLES[table].sort_order)


def test_a_year_at_a_time_gives_the_same_rows_as_all_at_once(tmp_path: Path, wire: Wire):
    (tmp_path / "parts").mkdir()
    whole, parts = workspace(tmp_path), workspace(tmp_path / "parts")
    with replaying(SERIES) as server:
        wire.base_urls["fred"] = server.url
        source = FredMacro(wire, series=["DFF", "UNRATE"])
        fetch(whole, "macro", source, *YEARS)
        for year in ["2012", "2010", "2013", "2011"]:
            fetch(parts, "macro", source, year)
    assert_frame_equal(stored(parts, "macro"), stored(whole, "macro"))
    assert stored(whole, "macro").select("series", "session", "published").rows() == [
        ("DFF", D(2010, 6, 1), D(2010, 6, 2)),
        ("DFF", D(2011, 6, 1), D(2011, 6, 2)),
        ("DFF", D(2012, 6, 1), D(2012, 6, 4)),
        ("UNRATE", D(2009, 12, 1), D(2010, 1, 8)),
        ("UNRATE", D(2010, 1, 1), D(2010, 2, 5)),
        ("UNRATE", D(2009, 12, 1), D(2011, 1, 7)),
        ("UNRATE", D(2010, 1, 1), D(2012, 1, 6)),
        ("UNRATE", D(2013, 1, 1), D(2013, 2, 1)),
    ]


def test_tonight_brings_the_revisions_of_old_values(work: Workspace, wire: Wire):
    """Only the running year is asked for, as a night does: the value of 2009 that changed in it comes along."""
    with replaying(SERIES) as server:
        wire.base_urls["fred"] = server.url
        source = FredMacro(wire, series=["UNRATE"])
        fetch(work, "macro", source, "2010")
        result = fetch(work, "macro", source, "2011")
        assert len(server.asked) == 1
    assert result.rows.height == 1
    macro = work.lake.scan("macro")
    for session, value in ((D(2011, 1, 6), 10.0), (D(2011, 1, 7), 9.9)):
        rows = as_of(macro, session_close(session)).collect()
        assert rows.filter(session=D(2009, 12, 1))["value"].to_list() == [value]


def test_one_series_that_fails_does_not_stop_the_others_and_is_asked_for_again(work: Workspace, wire: Wire):
    broken = fred({"DFF": RATES, "UNRATE": error("Bad Request.  The value for variable limit is not an integer.")})
    with replaying(broken) as server:
        wire.base_urls["fred"] = server.url
        source = FredMacro(wire, series=["DFF", "UNRATE"])
        result = fetch(work, "macro", source, *YEARS)
        assert set(result.withheld) == {("UNRATE", year) for year in YEARS}
        assert set(stored(work, "macro")["series"]) == {"DFF"}
        server.answers = SERIES
        assert not fetch(work, "macro", source, *YEARS).withheld
        assert [asked.params["series_id"] for asked in server.asked] == ["DFF", "UNRATE", "UNRATE"]
    assert stored(work, "macro").height == 8


def test_what_a_company_filed_by_the_night_and_no_later(work: Workspace, wire: Wire):
    with replaying(sec({1: APPLE, 2: MICROSOFT}, tickers=TICKERS)) as server:
        wire.base_urls["sec"] = server.url
        source = SecFacts(wire, contact="quant@example.com")
        result = fetch(work, "fundamentals", source, *YEARS, tickers=["AAPL", "KO", "MSFT"])
        n_asked = len(server.asked)
        fetch(work, "fundamentals", source, "2011", tickers=["AAPL"])
        assert len(server.asked) == n_asked  # all from the cache
    assert (result.figures["sources"], result.figures["names"], list(result.figures["without_data"])) == (["sec"], 2, ["KO"])
    assert "the company files no XBRL" in result.figures["without_data"]["KO"]
    assert not result.withheld
    rows = stored(work, "fundamentals")
    assert rows.select("ticker", "filed", "value").rows() == [
        ("AAPL", D(2010, 10, 27), 5.0),
        ("AAPL", D(2011, 10, 26), 6.0),
        ("MSFT", D(2010, 7, 30), 8.0),
    ]
    assert known(rows, session_close(D(2011, 10, 26)))["value"].to_list() == [5.0, 8.0]
    assert known(rows, session_close(D(2011, 10, 27)))["value"].to_list() == [6.0, 8.0]


def test_a_name_that_fails_keeps_what_it_had_and_the_others_go_on(work: Workspace, tmp_path: Path):
    answers = sec({1: APPLE, 2: MICROSOFT}, tickers=TICKERS)

    def without_apple(asked: Asked) -> Reply:
        return Reply(status=503) if asked.path.endswith("CIK0000000001.json") else answers(asked)

    for night, served in enumerate((answers, without_apple, answers)):
        clock = MovingClock()
        clock.ahead = night * 24 * 3600.0  # what the cache held is stale
        wire = Wire(tmp_path, clock=clock)
        with replaying(served) as server:
            wire.base_urls["sec"] = server.url
            source = SecFacts(wire, contact="quant@example.com")
            result = fetch(work, "fundamentals", source, *YEARS, tickers=["AAPL", "MSFT"])
        wire.store.close()
        assert stored(work, "fundamentals").height == 3
        if night == 1:
            assert set(result.withheld) == {("AAPL", year) for year in YEARS}
            assert all("sec /api/xbrl/companyfacts/CIK0000000001.json" in reason for reason in result.withheld.values())
        else:
            assert not result.withheld
