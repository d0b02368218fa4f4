"""Presence against calendar and listings, by naive loops over a lake with holes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, quarter_window, sessions, year_window
from quant_assets.errors import LookbackIncomplete
from quant_assets.lake import Lake, coverage
from quant_assets.schemas import TABLES
from quant_assets.universe import Listing, Universe
from quant_assets_tests.small import delivered

D = dt.date
NOON = dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
WINDOW = Window(D(2011, 7, 1), D(2013, 3, 2))
UNIVERSE = Universe(
    (Listing("AAPL", "bokeh", D(2000, 3, 1)), Listing("FB", "bokeh", D(2012, 5, 18)), Listing("IBM", "bokeh", D(2000, 3, 1))), Path("u")
)
HOLES = {
    ("AAPL", D(2011, 12, 30)),
    ("AAPL", D(2012, 1, 3)),
    ("AAPL", D(2012, 6, 5)),
    ("FB", D(2012, 5, 18)),
    *(("IBM", day) for day in sessions(quarter_window(D(2012, 10, 1)))),
}
YEARS = {str(year): year_window(year) for year in WINDOW.years}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Prices of AAPL, FB and IBM with the holes above."""
    inside = pl.col("session").is_between(WINDOW.start, WINDOW.end, closed="left")
    rows = delivered("bokeh", "AAPL", "FB", "IBM", window=WINDOW).filter(inside)
    gone = pl.DataFrame(sorted(HOLES), schema={"ticker": pl.String, "session": pl.Date}, orient="row")
    lake = Lake(tmp_path)
    lake.replace("prices", rows.join(gone, on=["ticker", "session"], how="anti"), keys=None, window=WINDOW)
    return lake


def expected_cells(window: Window) -> set[tuple[str, dt.date]]:
    return {(known.ticker, day) for known in UNIVERSE.listings for day in sessions(window) if day >= known.listed}


def cells(frame: pl.DataFrame) -> set[tuple[str, dt.date]]:
    assert frame.columns == ["key", "session"]
    assert not frame.is_duplicated().any()
    return set(frame.iter_rows())


def test_listed_sessions_are_those_since_the_listing():
    assert cells(coverage.listed_sessions(UNIVERSE, WINDOW)) == expected_cells(WINDOW)
    only = coverage.listed_sessions(UNIVERSE, WINDOW, tickers=["FB"])
    assert cells(only) == {cell for cell in expected_cells(WINDOW) if cell[0] == "FB"}
    assert coverage.listed_sessions(UNIVERSE, year_window(2011), tickers=["FB"]).is_empty()


def test_holes(lake: Lake):
    stored = coverage.stored_sessions(lake, "prices", WINDOW)
    assert cells(stored) == expected_cells(WINDOW) - HOLES
    assert cells(coverage.holes(coverage.listed_sessions(UNIVERSE, WINDOW), stored)) == HOLES
    assert cells(coverage.holes(coverage.every_session(["AAPL"], WINDOW), stored)) == {cell for cell in HOLES if cell[0] == "AAPL"}


@pytest.mark.parametrize("keys", [("2011", "2012", "2013"), ("2013", "2011"), ("2012",)])
def test_cells_by_window_against_a_loop(lake: Lake, keys: tuple[str, ...]):
    """Windows in any order, with gaps: what lies in none of them is not counted to a neighbour."""
    windows = {key: YEARS[key] for key in keys}
    expected = {}
    for key, window in windows.items():
        for ticker in UNIVERSE.tickers:
            days = sorted(day for name, day in expected_cells(WINDOW) if name == ticker and day in window)
            if days:
                expected[(ticker, key)] = (len(days), days[0], days[-1])
    found = coverage.by_cell(coverage.listed_sessions(UNIVERSE, WINDOW), windows)
    assert {(ticker, key): tuple(rest) for ticker, key, *rest in found.iter_rows()} == expected
    assert coverage.by_cell(coverage.listed_sessions(UNIVERSE, WINDOW).clear(), windows).is_empty()


def test_the_guard_names_tickers_and_dates(lake: Lake):
    with pytest.raises(LookbackIncomplete) as refused:
        coverage.require_complete(lake, "prices", UNIVERSE, ["AAPL", "FB", "IBM"], WINDOW)
    assert refused.value.missing == {
        "AAPL": "prices incomplete: 3 sessions missing, 2011-12-30..2012-06-05",
        "FB": "prices incomplete: 1 session missing, 2012-05-18..2012-05-18",
        "IBM": "prices incomplete: 62 sessions missing, 2012-10-01..2012-12-31",
    }
    said = str(refused.value)
    assert said.startswith("AAPL: prices incomplete: 3 sessions missing, 2011-12-30..2012-06-05; FB: prices ")
    assert said.endswith("; materialise prices for 2011-07-01..2013-03-01 first.")


def test_the_guard_looks_at_the_window_and_names_asked_for(lake: Lake):
    coverage.require_complete(lake, "prices", UNIVERSE, ["IBM"], Window(D(2012, 1, 1), D(2012, 10, 1)))
    coverage.require_complete(lake, "prices", UNIVERSE, ["FB"], Window(D(2012, 5, 19), D(2013, 3, 2)))
    coverage.require_complete(lake, "prices", UNIVERSE, ["FB"], year_window(2011))
    coverage.require_complete(lake, "prices", UNIVERSE, [], WINDOW)
    with pytest.raises(LookbackIncomplete, match="IBM: prices incomplete: 1 session missing, 2012-10-01"):
        coverage.require_complete(lake, "prices", UNIVERSE, ["IBM"], Window(D(2012, 9, 28), D(2012, 10, 2)))


def test_many_names_are_shortened(lake: Lake):
    names = [f"N{number}" for number in range(8)]
    universe = Universe(tuple(Listing(name, "x", D(2012, 1, 3)) for name in names), Path("u"))
    with pytest.raises(
        LookbackIncomplete, match=r"N4: prices incomplete: 3 sessions missing, 2012-01-03\.\.2012-01-05 and 3 more; "
    ) as refused:
        coverage.require_complete(lake, "prices", universe, names, Window(D(2012, 1, 1), D(2012, 1, 6)))
    assert sorted(refused.value.missing) == names


def test_what_is_recorded(lake: Lake):
    reasons = {("IBM", "2012"): "IBM 2012-06-05: close is NaN, a price is above 0"}
    until = D(2013, 2, 1)
    coverage.record(lake, "prices", UNIVERSE, ["AAPL", "FB", "IBM"], YEARS, until=until, run_id="night", written_at=NOON, reasons=reasons)
    rows = TABLES["coverage"].conform(lake.scan("coverage").collect())
    known = Window(D(2011, 1, 1), until)
    for row in rows.iter_rows(named=True):
        window = YEARS[row["window"]]
        mine = {cell for cell in expected_cells(known) if cell[0] == row["ticker"] and cell[1] in window}
        stored = {cell for cell in mine - HOLES if cell[1] >= WINDOW.start}
        assert (row["expected"], row["present"]) == (len(mine), len(stored))
        assert (row["window_start"], row["run_id"]) == (window.start, "night")
    status = {(ticker, window): state for ticker, window, state in rows.select("ticker", "window", "status").iter_rows()}
    assert status == {
        ("AAPL", "2011"): "partial",
        ("AAPL", "2012"): "partial",
        ("AAPL", "2013"): "complete",
        ("FB", "2012"): "partial",
        ("FB", "2013"): "complete",
        ("IBM", "2011"): "partial",
        ("IBM", "2012"): "withheld",
        ("IBM", "2013"): "complete",
    }
    assert rows.filter(pl.col("reason").is_not_null()).select("ticker", "window", "reason").rows() == [("IBM", "2012", *reasons.values())]


def test_a_record_replaces_its_own_cells_only(lake: Lake):
    coverage.record(lake, "prices", UNIVERSE, UNIVERSE.tickers, YEARS, until=WINDOW.end, run_id="first", written_at=NOON)
    coverage.record(lake, "features", UNIVERSE, ["IBM"], YEARS, until=WINDOW.end, run_id="other", written_at=NOON)
    coverage.record(lake, "prices", UNIVERSE, ["AAPL"], {"2012": YEARS["2012"]}, until=WINDOW.end, run_id="second", written_at=NOON)
    rows = lake.scan("coverage").filter(pl.col("run_id") != "first").collect()
    assert sorted(rows.select("table", "ticker", "window", "run_id").rows()) == [
        ("features", "IBM", "2011", "other"),
        ("features", "IBM", "2012", "other"),
        ("features", "IBM", "2013", "other"),
        ("prices", "AAPL", "2012", "second"),
    ]
    assert lake.scan("coverage").filter(pl.col("run_id") == "first").collect().height == 7


def test_a_label_counts_once_it_is_known(tmp_path: Path):
    """Null is right while the label's end lies ahead, and a hole from then on."""
    lake = Lake(tmp_path)
    days = sessions(Window(D(2013, 2, 1), D(2013, 3, 9)))
    n = 15
    labels = pl.DataFrame(
        {
            "ticker": "IBM",
            "session": days[:n],
            "label": pl.Series([None if i in (4, n - 1) else 1 for i in range(n)], dtype=pl.Int8),
            "ret": 0.01,
            "label_start": days[:n],
            "label_end": days[3 : n + 3],
        }
    )
    lake.replace("labels", labels, keys=None, window=Window(days[0], days[n]))
    for as_of, missing in ((days[n + 2], [days[4], days[n - 1]]), (days[n + 1], [days[4]])):
        window = Window(days[0], as_of + dt.timedelta(days=1))
        stored = coverage.stored_sessions(lake, "labels", window)
        assert sorted(set(days[:n]) - set(stored["session"])) == missing
