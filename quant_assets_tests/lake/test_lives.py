"""What is expected of names that are delisted, and of those that come and go."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.calendars import Window, session_offset, sessions
from quant_assets.errors import LookbackIncomplete
from quant_assets.lake import Lake, coverage
from quant_assets.membership import SPANS
from quant_assets.universe import Listing, Universe
from quant_assets_tests.small import delivered

D = dt.date
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
LAST = D(2012, 3, 15)
SPRING = Window(D(2012, 2, 1), D(2012, 6, 1))
MONTHS = {f"2012-{month:02d}": Window(D(2012, month, 1), D(2012, month + 1, 1)) for month in range(2, 6)}
UNIVERSE = Universe((Listing("DEAD", "x", D(2012, 1, 3), LAST), Listing("LIVE", "x", D(2012, 1, 3))), Path("u"))
DAYS = sessions(SPRING)
numbers = st.integers(0, len(DAYS) - 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Real bars, under made-up names, as long as they live."""
    made = Lake(tmp_path)
    inside = pl.col("session").is_between(SPRING.start, SPRING.last_day)
    bars = delivered("bokeh", "AAPL", "IBM", window=SPRING).filter(inside)
    named = bars.with_columns(ticker=pl.col("ticker").replace_strict({"AAPL": "DEAD", "IBM": "LIVE"}))
    alive = (pl.col("ticker") == "LIVE") | (pl.col("session") <= LAST)
    made.replace("prices", named.filter(alive), keys=None, window=SPRING)
    return made


def test_no_session_after_the_last_one_is_missing(lake: Lake):
    coverage.require_complete(lake, "prices", UNIVERSE, ["DEAD"], SPRING)
    earlier = Universe((Listing("DEAD", "x", D(2012, 1, 3), session_offset(LAST, 1)),), Path("u"))
    with pytest.raises(LookbackIncomplete, match="DEAD: prices incomplete: 1 session missing, 2012-03-16"):
        coverage.require_complete(lake, "prices", earlier, ["DEAD"], SPRING)


@pytest.mark.parametrize(
    ("table", "last"), [("prices", LAST), ("features", LAST), ("labels", session_offset(LAST, -3)), ("equity", DAYS[-1])]
)
def test_each_table_ends_where_a_dead_name_can_have_a_row(table: str, last: dt.date):
    """The last three sessions have no label, since nothing closes three sessions later; an account keeps its cash."""
    expected = coverage.listed_sessions(UNIVERSE, SPRING, tickers=["DEAD"], table=table)
    assert expected["session"].max() == last
    assert coverage.listed_sessions(UNIVERSE, SPRING, tickers=["LIVE"], table=table)["session"].to_list() == DAYS


def test_cells_after_the_last_session_are_not_recorded(lake: Lake):
    coverage.record(lake, "prices", UNIVERSE, UNIVERSE.tickers, MONTHS, until=SPRING.end, run_id="night", written_at=NOON)
    rows = lake.scan("coverage").select("ticker", "window", "expected", "status").sort("ticker", "window").collect().rows()
    assert [row for row in rows if row[0] == "DEAD"] == [("DEAD", "2012-02", 20, "complete"), ("DEAD", "2012-03", 11, "complete")]
    assert [row[1] for row in rows if row[0] == "LIVE"] == sorted(MONTHS)


@given(st.lists(st.sets(numbers, max_size=6), min_size=2, max_size=2), st.sets(st.tuples(st.sampled_from("AB"), numbers)))
def test_cells_of_names_that_come_and_go_are_counted_as_a_loop_counts_them(edges: list[set[int]], there: set[tuple[str, int]]):
    rows = []
    for name, days in zip("AB", edges, strict=True):
        ends = sorted(days)
        rows += [(name, DAYS[ends[i]], DAYS[ends[i + 1]] if i + 1 < len(ends) else None) for i in range(0, len(ends), 2)]
    spans = pl.DataFrame(rows, schema=SPANS, orient="row")
    days = coverage.placed_sessions(SPRING, MONTHS)
    found = coverage.cells_within(spans, days)
    wanted = {
        (name, window): [
            day for day in DAYS if day in dates and any(key == name and a <= day and (b is None or day <= b) for key, a, b in rows)
        ]
        for name in "AB"
        for window, dates in MONTHS.items()
    }
    assert found.rows() == [(*cell, len(held), held[0]) for cell, held in sorted(wanted.items()) if held]
    stored = pl.LazyFrame([(name, DAYS[day]) for name, day in there], schema={"key": pl.String, "session": pl.Date}, orient="row")
    short = {cell: sum((cell[0], DAYS.index(day)) not in there for day in held) for cell, held in wanted.items()}
    lacking = coverage.short_cells(found, coverage.counts(stored, spans, days).collect())
    assert {(key, window): n for key, window, n, _ in lacking.rows()} == {cell: n for cell, n in short.items() if n}
