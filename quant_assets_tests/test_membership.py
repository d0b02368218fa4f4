"""The membership file, and that no later line of it touches what an earlier session sees."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.errors import BadArgument
from quant_assets.lake import coverage
from quant_assets.membership import SPANS, Membership, inside, versions
from quant_assets.universe import Listing, Universe
from quant_assets_tests.small import workspace

D = dt.date
HEAD = "ticker,start,end\n"
UNIVERSE = Universe(tuple(Listing(name, "x", D(2010, 1, 4)) for name in "ABC"), Path("universe.csv"))
FIRST = D(2010, 1, 1)
DAYS = [FIRST + dt.timedelta(days=day) for day in range(60)]
day_numbers = st.integers(0, 59)


def read(folder: Path, text: str) -> Membership:
    file = folder / "members.csv"
    file.write_text(text)
    return Membership.read(file, UNIVERSE)


def of(stays: list[tuple[str, int, int | None]]) -> Membership:
    rows = [(name, DAYS[start], None if end is None else DAYS[end]) for name, start, end in stays]
    return Membership(pl.DataFrame(rows, schema=SPANS, orient="row").sort("key", "start"), Path("m"))


@st.composite
def memberships(draw: st.DrawFn) -> Membership:
    stays = []
    for name in "ABC":
        edges = sorted(draw(st.sets(day_numbers, max_size=6)))
        for place in range(0, len(edges), 2):
            stays.append((name, edges[place], edges[place + 1] if place + 1 < len(edges) else None))
    return of(stays)


def test_several_stays_of_a_name_are_read_in_order(tmp_path: Path):
    members = read(tmp_path, f"{HEAD}B,2012-03-01,\nA,2011-01-03,2011-06-30\nB,2010-01-04,2011-12-30\n")
    assert members.spans.rows() == [
        ("A", D(2011, 1, 3), D(2011, 6, 30)),
        ("B", D(2010, 1, 4), D(2011, 12, 30)),
        ("B", D(2012, 3, 1), None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a CSV with the columns ticker,start,end"),
        ("ticker,start\nA,2010-01-04\n", "is not a CSV with the columns ticker,start,end"),
        (HEAD, "names no member"),
        (f"{HEAD}A,,\n", "'' is not a date; write it as YYYY-MM-DD"),
        (f"{HEAD}A,2010-01-04,soon\n", "'soon' is not a date"),
        (f"{HEAD}A,2010-01-04,2010-01-03\n", "A is a member from 2010-01-04 to 2010-01-03; `end` is its last day"),
        (f"{HEAD}A,2010-01-04,2010-06-30\nA,2010-06-30,\n", "A enters on 2010-06-30 while it is a member"),
        (f"{HEAD}A,2010-01-04,\nA,2011-01-04,\n", "A enters on 2011-01-04 while it is a member"),
        (f"{HEAD}A,2010-01-04,\nZ,2010-01-04,\nY,2010-01-04,\n", "has members that universe.csv lacks: Y, Z; add them to the universe"),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path: Path, text: str, message: str):
    with pytest.raises(BadArgument, match=re.escape(message)) as refused:
        read(tmp_path, text)
    assert "members.csv" in str(refused.value)


def test_an_absent_file(tmp_path: Path):
    with pytest.raises(BadArgument, match=r"none\.csv cannot be read \(No such file or directory\); correct `membership`"):
        Membership.read(tmp_path / "none.csv", UNIVERSE)


@given(memberships())
def test_rows_are_inside_as_a_loop_says(members: Membership):
    rows = pl.DataFrame([(name, day) for name in "ABC" for day in DAYS], schema=["ticker", "session"], orient="row")
    spans = list(members.spans.iter_rows())
    expected = [row for row in rows.iter_rows() if any(key == row[0] and a <= row[1] and (b is None or row[1] <= b) for key, a, b in spans)]
    assert inside(rows, members.spans).rows() == expected


@given(memberships(), memberships(), day_numbers)
def test_no_later_change_touches_a_version(past: Membership, future: Membership, day: int):
    """Histories that agree up to a day have the same versions up to it, whatever follows; others differ then."""
    until = DAYS[day]
    agreed = [change for change in past.changes() if change[0] <= until]
    later = [change for change in future.changes() if change[0] > until]
    before = versions(past.changes()).filter(pl.col("session") <= until)
    assert versions([*later, *agreed]).filter(pl.col("session") <= until).equals(before)
    assert before["version"].is_unique().all()
    if agreed:
        other = versions([*agreed[1:], (agreed[0][0], f"{agreed[0][1]} not")])
        assert other["version"][-1] != before["version"][-1]


def test_a_models_version_is_of_the_days_before_its_cutoff():
    members = of([("A", 0, None), ("B", 10, 20)])
    assert members.version(DAYS[0]) == ""
    assert members.version(DAYS[1]) == members.version(DAYS[10]) != members.version(DAYS[11])
    assert members.version(DAYS[11]) == of([("A", 0, None), ("B", 10, 40)]).version(DAYS[21]) != members.version(DAYS[22])


def test_stays_are_cut_to_the_life_of_a_name():
    members = of([("A", 0, 10), ("A", 20, None), ("B", 0, 3)])
    lives = pl.DataFrame([("A", DAYS[5], DAYS[30]), ("B", DAYS[4], None), ("C", DAYS[0], None)], schema=SPANS, orient="row")
    assert members.within(lives).sort("key", "start").rows() == [("A", DAYS[5], DAYS[10]), ("A", DAYS[20], DAYS[30])]


def test_who_can_be_decided_on_tonight(tmp_path: Path):
    text = "ticker,source,listed,delisted\nAAPL,bokeh,2000-03-01,\nFB,bokeh,2012-05-18,\nIBM,bokeh,2000-03-01,2012-11-14\n"
    for night, names in ((D(2012, 3, 1), ["AAPL", "IBM"]), (D(2012, 11, 14), ["AAPL", "FB", "IBM"]), (D(2012, 11, 15), ["AAPL", "FB"])):
        work = workspace(tmp_path, listings=text, as_of=night)
        assert work.decidable(work.universe.tickers) == names
        assert work.eligible().equals(coverage.listings(work.universe))
