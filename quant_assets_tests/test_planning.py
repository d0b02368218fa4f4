"""The cells of a night as rectangles: everything asked for, nothing twice, nothing else but what is free to take along."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.planning import Rectangle, rectangles

TICKERS = ["A", "B", "C", "D", "E"]
YEARS = ["2009", "2010", "2011", "2012"]
CELLS = st.sets(st.tuples(st.sampled_from(TICKERS), st.sampled_from(YEARS)))


def cover(found: list[Rectangle]) -> list[tuple[str, str]]:
    return [(ticker, window) for rectangle in found for ticker in rectangle.tickers for window in rectangle.windows]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(CELLS, CELLS)
def test_every_cell_once_in_adjacent_stretches(cells: set[tuple[str, str]], free: set[tuple[str, str]]):
    found = rectangles(cells, TICKERS, YEARS, free=free - cells)
    covered = cover(found)
    assert len(covered) == len(set(covered))
    assert cells <= set(covered) <= cells | free
    for rectangle in found:
        first = TICKERS.index(rectangle.tickers[0])
        assert list(rectangle.tickers) == TICKERS[first : first + len(rectangle.tickers)]
        begin = YEARS.index(rectangle.windows[0])
        assert list(rectangle.windows) == YEARS[begin : begin + len(rectangle.windows)]


def test_a_whole_grid_is_one_run():
    every = {(ticker, year) for ticker in TICKERS for year in YEARS}
    assert rectangles(every, TICKERS, YEARS) == [Rectangle(tuple(TICKERS), tuple(YEARS))]


def test_a_young_name_does_not_split_the_run():
    """C was listed in 2012: the three years before have nothing to do, and taking them along saves two runs."""
    missing = {(ticker, year) for ticker in TICKERS for year in YEARS if ticker != "C" or year == "2012"}
    free = {("C", year) for year in YEARS[:3]}
    assert rectangles(missing, TICKERS, YEARS, free=free) == [Rectangle(tuple(TICKERS), tuple(YEARS))]
    assert len(rectangles(missing, TICKERS, YEARS)) == 3


def test_a_hole_makes_two_runs():
    assert rectangles({("A", "2009"), ("A", "2011"), ("B", "2009")}, TICKERS, YEARS) == [
        Rectangle(("A", "B"), ("2009",)),
        Rectangle(("A",), ("2011",)),
    ]


def test_nothing_missing_is_no_run():
    assert rectangles(set(), TICKERS, YEARS) == []
