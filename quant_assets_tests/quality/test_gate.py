"""Each rule of the gate with one bad row planted in real data: its (ticker, year) is withheld, all others pass unchanged."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window
from quant_assets.quality.gate import Verdict, judge_prices
from quant_assets.schemas import TABLES
from quant_assets.sources.reconcile import compare_returns
from quant_assets.universe import Listing, Universe
from quant_assets_tests.small import EVERYTHING, FETCHED_AT, delivered

D = dt.date
WINDOW = Window(D(2011, 1, 1), D(2013, 3, 2))
DAY = D(2012, 6, 5)
UNIVERSE = Universe(
    (Listing("AAPL", "bokeh", D(2000, 3, 1)), Listing("FB", "bokeh", D(2012, 5, 18)), Listing("KO", "skfolio", D(2000, 1, 3))), Path("u")
)
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def good() -> pl.DataFrame:
    """AAPL, FB and KO with the bar before the window."""
    return pl.concat([delivered("bokeh", "AAPL", "FB", window=WINDOW), delivered("skfolio", "KO", window=WINDOW)])


def judge(rows: pl.DataFrame, universe: Universe = UNIVERSE, window: Window = WINDOW) -> Verdict:
    return judge_prices(rows, universe, window, fetched_at=FETCHED_AT)


def planted(rows: pl.DataFrame, ticker: str, session: dt.date = DAY, **values: Any) -> pl.DataFrame:
    here = (pl.col("ticker") == ticker) & (pl.col("session") == session)
    changed = [pl.when(here).then(pl.lit(value)).otherwise(name).cast(rows.schema[name]).alias(name) for name, value in values.items()]
    return rows.with_columns(changed)


def assert_only(verdict: Verdict, good: pl.DataFrame, cell: tuple[str, int]) -> None:
    """The cell is withheld and nothing else: every other row of the window passes as it was."""
    assert list(verdict.withheld) == [cell]
    ticker, year = cell
    inside = good.filter(pl.col("session").is_between(WINDOW.start, WINDOW.end, closed="left"))
    others = inside.filter(~((pl.col("ticker") == ticker) & (pl.col("session").dt.year() == year)))
    assert_frame_equal(verdict.accepted, others, check_exact=True)
    assert set(TABLES["quarantine"].conform(verdict.quarantined)["ticker"]) == {ticker}
    reason = verdict.withheld[cell]
    assert all(part in reason for part in (ticker, str(year), ": ")), reason
    assert ";" in reason, reason


def test_real_data_pass(good: pl.DataFrame):
    verdict = judge(good)
    assert verdict.withheld == {}
    assert verdict.quarantined.is_empty()
    assert verdict.accepted["session"].min() == D(2011, 1, 3)
    assert verdict.accepted.height == good.height - 2
    TABLES["prices"].conform(verdict.accepted)


@pytest.mark.parametrize(
    ("ticker", "values", "field", "said"),
    [
        ("AAPL", {"high": 1.0}, "high", "high 1.0 is below 562.83"),
        ("AAPL", {"low": 1000.0}, "low", "low 1000.0 is above"),
        ("AAPL", {"open": -5.0}, "open", "open is -5.0, a price is above 0"),
        ("AAPL", {"close": 0.0}, "close", "close is 0.0, a price is above 0"),
        ("AAPL", {"close": NAN}, "close", "close is NaN, a price is above 0"),
        ("AAPL", {"close": INF}, "close", "close is inf, a price is above 0"),
        ("AAPL", {"high": INF}, "high", "high is inf, a price is above 0"),
        ("AAPL", {"close": None}, "close", "close is missing, a price is above 0"),
        ("AAPL", {"low": None}, "low", "low is missing, a price is above 0"),
        ("KO", {"close": None}, "close", "close is missing, a price is above 0"),
        ("KO", {"close": -1.0}, "close", "close is -1.0, a price is above 0"),
        ("FB", {"volume": -1.0}, "volume", "volume is -1.0, a number of shares is not below 0"),
        ("FB", {"volume": NAN}, "volume", "volume is NaN"),
        ("FB", {"volume": None}, "volume", "volume is missing"),
        ("AAPL", {"dividend": -1.0}, "dividend", "dividend -1.0 USD on a close of 562.83 (limits 0 and 25 % of the close before)"),
        ("AAPL", {"dividend": 200.0}, "dividend", "dividend 200.0 USD"),
        ("AAPL", {"dividend": NAN}, "dividend", "dividend NaN USD"),
        ("AAPL", {"split_factor": 0.0}, "split_factor", "split factor 0.0 is not above 0"),
    ],
)
def test_a_bad_value(good: pl.DataFrame, ticker: str, values: dict[str, Any], field: str, said: str):
    verdict = judge(planted(good, ticker, **values))
    assert_only(verdict, good, (ticker, 2012))
    assert said in verdict.withheld[(ticker, 2012)]
    row = verdict.quarantined.row(0, named=True)
    assert (row["session"], row["field"], row["fetched_at"]) == (DAY, field, FETCHED_AT)
    assert verdict.withheld[(ticker, 2012)] in verdict.quarantined["reason"].to_list()
    bar = json.loads(row["row"])
    assert (bar["ticker"], bar["session"], bar["source"]) == (ticker, str(DAY), row["source"])


def test_the_bars_around_a_bad_close_are_not_accused(good: pl.DataFrame):
    """The move is measured against the last sound close."""
    assert judge(planted(good, "AAPL", close=1e-6, low=1e-6)).quarantined.height > 1  # a positive one is a move, both ways
    for close in (NAN, INF, None, -3.0, 0.0):
        assert judge(planted(good, "AAPL", close=close)).quarantined["session"].to_list() == [DAY]


def test_a_bar_on_a_holiday(good: pl.DataFrame):
    """On a day without trading, here the first of Sandy's."""
    extra = good.filter(ticker="AAPL", session=D(2012, 10, 26)).with_columns(session=pl.lit(D(2012, 10, 29)))
    verdict = judge(pl.concat([good, extra]))
    assert_only(verdict, good, ("AAPL", 2012))
    assert verdict.withheld[("AAPL", 2012)].startswith("AAPL 2012-10-29: the exchange was closed that day; ")


@pytest.mark.parametrize("close", [562.83, 565.0])
def test_a_bar_delivered_twice(good: pl.DataFrame, close: float):
    """Both bars are kept in the quarantine, alike or not."""
    extra = good.filter(ticker="AAPL", session=DAY).with_columns(close=pl.lit(close))
    verdict = judge(pl.concat([good, extra]))
    assert_only(verdict, good, ("AAPL", 2012))
    assert "more than one bar of the same session" in verdict.withheld[("AAPL", 2012)]
    [row] = verdict.quarantined.filter(check="unique_key").iter_rows(named=True)
    assert [bar["close"] for bar in json.loads(row["row"])] == [562.83, close]


def test_a_missing_session(good: pl.DataFrame):
    verdict = judge(good.filter(~((pl.col("ticker") == "FB") & (pl.col("session") == DAY))))
    assert_only(verdict, good, ("FB", 2012))
    [row] = verdict.quarantined.iter_rows(named=True)
    assert (
        row["reason"]
        == "FB 2012-06-05: no bar; run again, name a second source, list the name later, or give its last session as `delisted`"
    )
    assert (row["check"], row["row"], row["source"], row["fetched_at"]) == ("missing_session", "{}", "none", FETCHED_AT)


def test_nothing_delivered_at_all(good: pl.DataFrame):
    """Before its listing a name lacks nothing, afterwards every session."""
    [fb] = [known for known in UNIVERSE.listings if known.ticker == "FB"]
    verdict = judge(good.clear(), Universe((fb,), Path("u")))
    assert list(verdict.withheld) == [("FB", 2012), ("FB", 2013)]
    assert TABLES["quarantine"].conform(verdict.quarantined).height == 196
    assert judge(good.clear(), Universe((fb,), Path("u")), Window(D(2011, 1, 1), D(2012, 1, 1))).withheld == {}


@pytest.mark.parametrize("drop", [0.15, 0.4])
def test_a_move_of_85_percent_without_a_split(good: pl.DataFrame, drop: float):
    """From the planted day on the whole series stands lower, as after a split that is not on record."""
    late = (pl.col("ticker") == "AAPL") & (pl.col("session") >= DAY)
    fallen = good.with_columns(
        pl.when(late).then(pl.col(name) * drop).otherwise(name).alias(name) for name in ("open", "high", "low", "close")
    )
    verdict = judge(fallen)
    assert list(verdict.withheld) == [("AAPL", 2012)]
    [row] = verdict.quarantined.filter(check="extreme_move").iter_rows(named=True)
    assert row["session"] == DAY
    assert row["value"] == pytest.approx(562.83 * drop, abs=0.01)
    assert "(limit 50 %); quarantined, add the corporate action" in row["reason"]
    on_record = planted(fallen, "AAPL", split_factor=1 / drop, dividend=0.0)
    assert judge(on_record).withheld == {}


def test_the_bar_before_the_window_is_only_a_measure(good: pl.DataFrame):
    """A fault on it withholds nothing of the window, and the first bar of the window is measured against it."""
    before = D(2010, 12, 31)
    assert judge(planted(good, "AAPL", before, high=1.0)).withheld == {}
    verdict = judge(planted(good, "AAPL", before, close=50.0))
    assert_only(verdict, good, ("AAPL", 2011))
    assert verdict.withheld[("AAPL", 2011)].startswith("AAPL 2011-01-03: close moved 559.1 %")


def test_a_genuine_extreme_survives_because_a_second_source_shows_it():
    """AAPL fell by 52 % on 2000-09-29, on a profit warning."""
    window = Window(D(2000, 1, 1), D(2001, 1, 1))
    rows = delivered("bokeh", "AAPL", window=window)
    universe = Universe(UNIVERSE.listings[:1], Path("u"))
    alone = judge_prices(rows, universe, window, fetched_at=FETCHED_AT)
    assert alone.withheld[("AAPL", 2000)].startswith("AAPL 2000-09-29: close moved -51.9 % with no split on record and no second source")
    compared = compare_returns(rows, delivered("skfolio", "AAPL", window=window))
    agreed = compared.filter(~pl.col("finding")).select("ticker", "session")
    assert judge_prices(rows, universe, window, fetched_at=FETCHED_AT, confirmed=agreed).withheld == {}


def test_all_packaged_names_pass_whole():
    """Twelve years of every packaged name: the one extreme aside, no rule accuses real data."""
    bokeh, skfolio = ("AAPL", "IBM", "MSFT", "GOOG", "FB"), ("AMD", "BAC", "GE", "KO", "RRC", "UNH", "WMT")
    rows = pl.concat([delivered("bokeh", *bokeh), delivered("skfolio", *skfolio)])
    first = dict(rows.filter(pl.col("session") >= EVERYTHING.start).group_by("ticker").agg(pl.col("session").min()).iter_rows())
    listings = tuple(Listing(ticker, "any", first[ticker]) for ticker in sorted(first))
    verdict = judge_prices(rows, Universe(listings, Path("u")), EVERYTHING, fetched_at=FETCHED_AT)
    assert verdict.quarantined.select("ticker", "session").rows() == [("AAPL", D(2000, 9, 29))]
