"""Tickers and whose they were, on the true histories of FB, META, GOOG, GOOGL, TWX and BAC as LEAN's map files tell them."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_assets.errors import BadArgument, SourceError
from quant_assets.identity import own_rows, securities, ticker_of, who

D = dt.date
END = D(2050, 12, 31)
MAP_FILES = {
    "FB.1": [(D(1999, 9, 29), "FB"), (D(2003, 3, 28), "FB")],
    "META": [(D(2012, 5, 18), "FB"), (D(2022, 6, 8), "FB"), (END, "META")],
    "GOOG": [(D(2014, 3, 27), "GOOCV"), (D(2014, 4, 2), "GOOCV"), (END, "GOOG")],
    "GOOGL": [(D(2004, 8, 19), "GOOG"), (D(2014, 4, 2), "GOOG"), (END, "GOOGL")],
    "TWX": [(D(1998, 1, 2), "AOL"), (D(2003, 10, 15), "AOL"), (END, "TWX")],
    "TWX.1": [(D(1998, 1, 2), "TWX"), (D(2001, 1, 11), "TWX")],
    "BAC": [(D(1998, 1, 2), "NB"), (D(1998, 9, 30), "NB"), (END, "BAC")],
}


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    return securities(MAP_FILES)


@pytest.mark.parametrize(
    ("ticker", "on", "security"),
    [
        ("FB", D(2003, 3, 28), "FB 1999-09-29"),
        ("FB", D(2012, 5, 18), "FB 2012-05-18"),
        ("FB", D(2022, 6, 8), "FB 2012-05-18"),
        ("META", D(2022, 6, 9), "FB 2012-05-18"),
        ("META", D(2049, 1, 1), "FB 2012-05-18"),
        ("GOOG", D(2014, 4, 2), "GOOG 2004-08-19"),
        ("GOOG", D(2014, 4, 3), "GOOCV 2014-03-27"),
        ("GOOCV", D(2014, 3, 28), "GOOCV 2014-03-27"),
        ("TWX", D(2001, 1, 11), "TWX 1998-01-02"),
        ("TWX", D(2003, 10, 16), "AOL 1998-01-02"),
    ],
)
def test_who_had_a_ticker_on_a_day(known: pl.DataFrame, ticker: str, on: dt.date, security: str):
    assert who(known, ticker, on) == security
    assert ticker_of(known, security, on) == ticker


def test_each_security_has_its_tickers_without_gap_or_overlap(known: pl.DataFrame):
    assert known["security_id"].n_unique() == len(MAP_FILES)
    facebook = known.filter(security_id="FB 2012-05-18").select("ticker", "valid_from", "valid_to").rows()
    assert facebook == [("FB", D(2012, 5, 18), D(2022, 6, 8)), ("META", D(2022, 6, 9), None)]
    for _, own in known.group_by("security_id"):
        later = own.sort("valid_from")
        assert later["valid_from"][1:].to_list() == [day + dt.timedelta(days=1) for day in later["valid_to"][:-1]]


@pytest.mark.parametrize(("ticker", "on"), [("FB", D(2010, 1, 4)), ("FB", D(2022, 6, 9)), ("META", D(2022, 6, 8)), ("TWX", D(2001, 1, 12))])
def test_nobody_had_it_and_who_did_is_said(known: pl.DataFrame, ticker: str, on: dt.date):
    with pytest.raises(BadArgument, match=rf"nobody had the ticker {ticker} on {on}; it was that of .* from \d{{4}}"):
        who(known, ticker, on)


def test_unknown_names_and_days_are_refused(known: pl.DataFrame):
    with pytest.raises(BadArgument, match="no security of these ever had it"):
        who(known, "ZZZ", D(2010, 1, 4))
    with pytest.raises(BadArgument, match=r"'FB 1999-09-29' had no ticker on 2003-03-31; it had FB from 1999-09-29 to 2003-03-28"):
        ticker_of(known, "FB 1999-09-29", D(2003, 3, 31))
    with pytest.raises(BadArgument, match="'ZZZ' had no ticker"):
        ticker_of(known, "ZZZ", D(2003, 3, 31))


def test_bars_of_another_security_under_the_same_ticker_never_join_a_history(known: pl.DataFrame):
    days = [D(2003, 3, 28), D(2012, 5, 17), D(2012, 5, 18), D(2022, 6, 8), D(2022, 6, 9)]
    filed = pl.DataFrame({"ticker": ["FB"] * 5 + ["META"], "session": [*days, D(2022, 6, 9)], "close": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    meta = own_rows(filed, known.filter(security_id="FB 2012-05-18"))
    assert sorted(meta["close"]) == [3.0, 4.0, 6.0]
    both = own_rows(filed, known)
    assert dict(both.group_by("security_id").len().iter_rows()) == {"FB 1999-09-29": 1, "FB 2012-05-18": 3}


def test_one_ticker_of_two_securities_on_one_day_is_refused():
    """LEAN's folder of 2021 with Facebook's file of 2022 put beside the old one."""
    both = MAP_FILES | {"FB": [(D(2012, 6, 1), "FB"), (END, "FB")]}
    with pytest.raises(SourceError, match=r"FB was that of two securities from 2012-06-01 to 2022-06-08: FB 2012-05-18 and FB 2012-06-01"):
        securities(both)
    with pytest.raises(SourceError, match="two securities"):
        securities(MAP_FILES | {"BAC copy": MAP_FILES["BAC"]})


@pytest.mark.parametrize(
    ("rows", "told"), [([], "has no row"), ([(D(2003, 1, 2), "A"), (D(2003, 1, 2), "B")], "has days that do not ascend")]
)
def test_an_impossible_map_file_is_named(rows: list[tuple[dt.date, str]], told: str):
    with pytest.raises(SourceError, match=rf"map file A {told}"):
        securities({"A": rows})
