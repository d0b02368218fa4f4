"""The weekly look at what is stored: the scorecard counts what is there, and finds a hole, a changed file and a silent name."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, day_window, ends_a_week, session_offset, sessions, year_window
from quant_assets.demand import demand
from quant_assets.quality.findings import Findings
from quant_assets.quality.scorecard import STATES, STRIP, trend
from quant_assets.quality.survivorship import survivorship
from quant_assets.schemas import TABLES
from quant_assets.steps import history
from quant_assets.steps.quality import score_quality, scorecard
from quant_assets.steps.stored import impossible, unlikely
from quant_assets.universe import Universe
from quant_assets.workspace import Workspace
from quant_assets_tests.small import store, workspace

D = dt.date
NIGHT = D(2013, 3, 1)
LISTINGS = "ticker,source,listed\nAAPL,bokeh,2010-01-04\nIBM,bokeh,2010-01-04\nKO,skfolio,2010-01-04\nFB,bokeh,2012-05-18\n"


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    work = workspace(tmp_path, listings=LISTINGS, as_of=NIGHT)
    store(work, work.universe.tickers, list(work.year_windows()))
    history.fetch_index_prices(work, work.year_windows())
    return work


def checks(work: Workspace, night: dt.date = NIGHT) -> dict[str, Findings]:
    return {check.name: check for check in score_quality(work, {night.isoformat(): day_window(night)}).checks}


def of(work: Workspace, ticker: str) -> dict[str, object]:
    return scores(work).filter(ticker=ticker).row(0, named=True)


def scores(work: Workspace) -> pl.DataFrame:
    return scorecard(work, impossible(work), unlikely(work))


def lose(work: Workspace, ticker: str, first: dt.date, last: dt.date) -> None:
    work.lake.replace(
        "prices", pl.DataFrame(schema=TABLES["prices"].schema), keys=[ticker], window=Window(first, last + dt.timedelta(days=1))
    )


def test_each_name_and_source_has_its_figures(work: Workspace):
    rows = scores(work)
    assert rows.select("table", "ticker", "source").rows() == [
        ("prices", "AAPL", "bokeh"),
        ("prices", "FB", "bokeh"),
        ("prices", "IBM", "bokeh"),
        ("prices", "KO", "skfolio"),
        ("index_prices", "nasdaq", "arch"),
        ("index_prices", "sp500", "arch"),
    ]
    since = {"FB": D(2012, 5, 18)}
    for ticker, expected, present, last in rows.select("ticker", "expected", "present", "last_good").iter_rows():
        n = len(sessions(Window(since.get(ticker, D(2010, 1, 4)), NIGHT + dt.timedelta(days=1))))
        assert (expected, present, last) == (n, n, NIGHT)
    assert set(rows["last_60"]) == {STATES["good"] * STRIP}
    assert rows["gaps"].sum() == 0


def test_holes_findings_and_what_is_kept_out_have_their_letters(work: Workspace):
    lose(work, "IBM", D(2013, 2, 4), D(2013, 2, 5))
    lose(work, "IBM", D(2012, 7, 2), D(2012, 7, 2))
    held = TABLES["quarantine"].schema
    row = dict.fromkeys(held) | {
        "table": "prices", "ticker": "IBM", "session": D(2013, 2, 5), "field": "close", "check": "extreme_move", "reason": "x", "row": "{}",
        "source": "bokeh", "fetched_at": work.clock(),
    }  # fmt: skip
    work.lake.replace("quarantine", pl.DataFrame([row], schema=held), keys=["IBM"], window=year_window(2013), scope={"table": "prices"})
    log = TABLES["quality_log"].schema
    told = [("two sources disagree", D(2013, 2, 6)), ("times a power of ten", D(2013, 2, 7)), ("inferred from the change", D(2013, 2, 8))]
    rows = [("prices", "IBM", day, "close", 1.0, 10.0, method, "e") for method, day in told]
    rows[2] = (*rows[2][:4], None, *rows[2][5:])
    work.lake.replace(
        "quality_log", pl.DataFrame(rows, schema=log, orient="row"), keys=["IBM"], window=year_window(2013), scope={"table": "prices"}
    )
    ibm = of(work, "IBM")
    days = sessions(Window(session_offset(NIGHT, 1 - STRIP), NIGHT + dt.timedelta(days=1)))
    strip = dict(zip(days, str(ibm["last_60"]), strict=True))
    assert {day: letter for day, letter in strip.items() if letter != "."} == {
        D(2013, 2, 4): "x", D(2013, 2, 5): "q", D(2013, 2, 6): "d", D(2013, 2, 7): "r",
    }  # fmt: skip
    assert of(work, "IBM")["broken"] == 0
    assert (ibm["gaps"], ibm["longest_gap"], ibm["repaired"], ibm["disagreements"], ibm["quarantined"]) == (2, 2, 1, 1, 1)
    assert ibm["expected"] == ibm["present"] + 3  # type: ignore[operator]
    counts = trend(scores(work))
    assert len(counts) == STRIP
    assert counts[days.index(D(2013, 2, 4))] == {**dict.fromkeys(STATES, 0), "good": 5, "missing": 1}
    assert of(work, "KO")["last_60"] == "." * STRIP


def test_a_sound_lake_passes_and_one_that_somebody_changed_does_not(work: Workspace):
    found = checks(work)
    assert [name for name, check in found.items() if not check.passed] == []
    assert "stored rows" in found["suites"].description
    bars = work.lake.scan("prices", keys=["KO"], window=day_window(D(2012, 6, 7))).collect()
    work.lake.replace("prices", bars.with_columns(close=-1.0), keys=["KO"], window=day_window(D(2012, 6, 7)))
    night = {NIGHT.isoformat(): day_window(NIGHT)}
    result = score_quality(work, night)
    broken = next(check for check in result.checks if check.name == "suites")
    assert not broken.passed
    assert broken.rows.select("table", "ticker", "field", "value", "day").rows() == [("prices", "KO", "close", "-1.0", D(2012, 6, 7))]
    command = "`quant-assets backfill --tables prices --start 2012-01-01 --end 2012-12-31 --tickers KO`"
    assert broken.description == (
        "prices of KO on 2012-06-07: close is -1.0 and must be above 0; it was changed since it was let in, fill it again with " + command
    )
    assert list(result.withheld.values()) == [broken.description]
    assert of(work, "KO")["broken"] == 1
    assert demand("quality_scorecard", work, ()).holes.height == 1  # due until it is mended
    store(work, ["KO"], ["2012"])
    assert score_quality(work, night).withheld == {}
    assert demand("quality_scorecard", work, ()).holes.is_empty()


def test_a_silent_name_is_named(work: Workspace):
    lose(work, "IBM", session_offset(NIGHT, -9), NIGHT)
    assert checks(work)["alive"].passed
    lose(work, "IBM", session_offset(NIGHT, -12), NIGHT)
    alive = checks(work)["alive"]
    assert alive.rows.rows() == [("IBM", session_offset(NIGHT, -13))]
    assert "`delisted` in universe.csv" in alive.description


def test_what_only_shows_over_time_is_doubted_lately_and_not_for_ever(work: Workspace):
    bar = work.lake.scan("prices", keys=["IBM"], window=day_window(D(2013, 2, 21))).collect()
    for day in sessions(Window(D(2013, 2, 22), D(2013, 3, 2))):
        rows = bar.with_columns(session=pl.lit(day))
        work.lake.replace("prices", rows, keys=["IBM"], window=day_window(day))
    doubted = checks(work)["plausible"]
    assert not doubted.passed
    assert doubted.description.startswith("prices: the same bar 5 sessions in a row")
    assert of(work, "IBM")["doubtful"] == doubted.rows.filter(ticker="IBM").height > 0


def test_a_scorecard_is_due_at_the_end_of_each_week(work: Workspace):
    due = demand("quality_scorecard", work, (), since=D(2013, 1, 2))
    assert due.expected["first"].to_list()[:3] == [D(2013, 1, 4), D(2013, 1, 11), D(2013, 1, 18)]
    assert due.holes.height == due.expected.height == 9
    score_quality(work, {str(day): day_window(day) for day in (D(2013, 2, 22), NIGHT)})
    assert demand("quality_scorecard", work, (), since=D(2013, 1, 2)).holes.height == 7
    thursday = dataclasses.replace(work, as_of=D(2013, 2, 28))
    assert demand("quality_scorecard", thursday, ()).expected.is_empty()
    lonely = dataclasses.replace(work, as_of=D(2013, 2, 14))  # whose last week has none
    assert demand("quality_scorecard", lonely, ()).holes["first"].to_list() == [D(2013, 2, 14)]
    assert demand("quality_scorecard", work, ()).holes.is_empty()
    lose(work, "IBM", D(2012, 7, 2), D(2012, 7, 2))
    assert demand("quality_scorecard", work, ()).holes.height == 1  # of other files than those there are
    assert ends_a_week(D(2013, 3, 28))  # Good Friday follows
    earlier = work.lake.scan("quality_scorecard", window=day_window(D(2013, 2, 22))).collect()
    assert earlier["last_good"].max() == D(2013, 2, 22)


def test_what_a_list_of_names_says_of_its_own_making(work: Workspace, tmp_path: Path):
    window = Window(D(2010, 1, 4), D(2013, 3, 2))
    alive = survivorship(work.universe, window)
    assert (alive.names, alive.ended) == (4, 0)
    assert alive.name_years == pytest.approx(3 * 3.15 + 0.79, abs=0.02)
    assert alive.highest_rate == pytest.approx(0.293, abs=0.001)
    assert "% of endings" not in alive.sentence  # of so few lives it says nothing
    file = tmp_path / "dead.csv"
    file.write_text(
        "ticker,source,listed,delisted\nAAPL,bokeh,2010-01-04,\nLEH,bokeh,2005-01-03,2008-09-17\nWAMU,bokeh,2010-01-04,2011-01-04\n"
    )
    dead = survivorship(Universe.read(file), window)
    assert (dead.names, dead.ended) == (2, 1)
    assert dead.sentence.startswith("1 of 2 names ended in 4 name-years")
