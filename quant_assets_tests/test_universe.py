"""The universe file: what may be a name, and that changing the file never leaves half of it."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import pytest

from quant_assets.errors import BadArgument
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.universe import Listing, Universe

HEAD = "ticker,source,listed\n"
DAY = dt.date(2000, 1, 3)


def read(folder: Path, text: str) -> Universe:
    file = folder / "universe.csv"
    file.write_text(text)
    return Universe.read(file)


def test_the_packaged_universe_is_what_its_sources_offer():
    universe = Universe.read(Settings(profile="offline").universe_file)
    assert universe.tickers == sorted(universe.tickers)
    assert len(universe.listings) == 23
    offers = {source.name: source.offers() for source in sources(Settings(profile="offline"), "prices")}
    for known in universe.listings:
        span = offers[known.source][known.ticker]
        assert span.start <= known.listed < span.end


def test_reading_sorts_and_survives_other_column_order(tmp_path: Path):
    universe = read(tmp_path, "ticker,listed,source\nB,2001-01-02,two\nA,2000-01-03,one\n")
    assert universe.listings == (Listing("A", "one", DAY), Listing("B", "two", dt.date(2001, 1, 2)))
    assert universe["b"].source == "two"
    assert Listing("C", "one+two", DAY).sources == ("one", "two")


@pytest.mark.parametrize("ticker", ["aapl", "A|B", '"A,B"', "A B", "A/B", "", "A..B", "A...B", "../A", "Ä"])
def test_a_name_that_cannot_be_a_partition_key_is_refused(tmp_path: Path, ticker: str):
    with pytest.raises(BadArgument, match="bad ticker"):
        read(tmp_path, f"{HEAD}{ticker},bokeh,2000-01-03\n")


@pytest.mark.parametrize("ticker", ["A", "BRK.B", "BRK-B", "^GSPC", "EURUSD=X", "NA", "TRUE", "600519"])
def test_names_of_real_vendors_are_kept_as_text(tmp_path: Path, ticker: str):
    assert read(tmp_path, f"{HEAD}{ticker},bokeh,2000-01-03\n").tickers == [ticker]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}A,x,2000-01-03\nA,y,2000-01-03\n", "A occurs more than once"),
        (HEAD, "names no ticker"),
        (f"{HEAD}A,x,\n", "first session '' of A is not a date"),
        (f"{HEAD}A,,2000-01-03\n", "A has no source"),
        (f"{HEAD}A,x+,2000-01-03\n", "bad source 'x+' of A; join the names of different sources by +, as in yahoo+massive"),
        (f"{HEAD}A,x+y+x,2000-01-03\n", "bad source 'x+y+x' of A"),
        ("ticker,source,listed,delisted\nA,x,2000-01-03,soon\n", "last session 'soon' of A is not a date"),
        ("ticker,source,listed,delisted\nA,x,2000-01-03,1999-12-31\n", "A was delisted on 1999-12-31, before its first session 2000-01-03"),
        ("ticker,source,listed,delisted\nA,x,2000-01-03,2001-09-12\n", "A was delisted on 2001-09-12, which is no session"),
        ("ticker,source,listed,died\nA,x,2000-01-03,\n", "is not a CSV with the columns ticker,source,listed"),
        (f"{HEAD}A,x,2000-13-03\n", "first session '2000-13-03' of A is not a date"),
        ("ticker,source\nA,x\n", "is not a CSV with the columns ticker,source,listed"),
        ("name,source,listed\nA,x,2000-01-03\n", "is not a CSV"),
        ("", "is not a CSV"),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path: Path, text: str, message: str):
    with pytest.raises(BadArgument, match=re.escape(message)) as refused:
        read(tmp_path, text)
    assert "universe.csv" in str(refused.value)


def test_an_absent_file(tmp_path: Path):
    with pytest.raises(BadArgument, match=r"cannot be read \(No such file or directory\)"):
        Universe.read(tmp_path / "none.csv")


def test_adding_and_removing_keep_the_file_sorted(tmp_path: Path):
    universe = read(tmp_path, f"{HEAD}A,one,2000-01-03\nC,one,2000-01-03\n")
    before = universe.file.read_text()
    more = universe.add(Listing("B", "two", DAY))
    assert universe.file.read_text() == f"{HEAD}A,one,2000-01-03\nB,two,2000-01-03\nC,one,2000-01-03\n"
    assert Universe.read(universe.file) == more
    assert more.remove(" b ").tickers == ["A", "C"]
    assert universe.file.read_text() == before
    assert os.listdir(tmp_path) == ["universe.csv"]


def test_the_last_session_of_a_dead_name_is_kept(tmp_path: Path):
    text = "ticker,source,listed,delisted\nA,one,2000-01-03,2001-09-10\nB,one,2000-01-03,\n"
    universe = read(tmp_path, text)
    assert universe.listings == (Listing("A", "one", DAY, dt.date(2001, 9, 10)), Listing("B", "one", DAY))
    universe.add(Listing("C", "two", DAY)).remove("C")
    assert universe.file.read_text() == text
    universe.remove("A")
    assert universe.file.read_text() == f"{HEAD}B,one,2000-01-03\n"


def test_what_is_refused_leaves_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    universe = read(tmp_path, f"{HEAD}A,one,2000-01-03\n")
    before = universe.file.read_bytes()
    with pytest.raises(BadArgument, match=r"A is already in universe\.csv"):
        universe.add(Listing("A", "two", DAY))
    with pytest.raises(BadArgument, match="bad ticker 'b'"):
        universe.add(Listing("b", "two", DAY))
    with pytest.raises(BadArgument, match="A is the last ticker"):
        universe.remove("A")
    with pytest.raises(BadArgument, match="'Z' is not in the universe; `quant-assets universe list` shows the names"):
        universe.remove("Z")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quant_assets.universe.os.replace", full)
    with pytest.raises(BadArgument, match=r"cannot be written \(No space left on device\)"):
        universe.add(Listing("B", "two", DAY))
    assert universe.file.read_bytes() == before
    assert os.listdir(tmp_path) == ["universe.csv"]


def test_selecting(tmp_path: Path):
    universe = read(tmp_path, f"{HEAD}A,one,2000-01-03\nB,one,2000-01-03\nC,one,2000-01-03\n")
    assert universe.select([" c", "a", "A"]) == ["A", "C"]
    with pytest.raises(BadArgument, match="'ZZZ' is not in the universe"):
        universe.select(["A", "ZZZ"])
    with pytest.raises(BadArgument, match="'ZZZ' is not in the universe"):
        universe["ZZZ"]
