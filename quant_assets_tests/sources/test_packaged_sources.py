"""The sources inside the Python packages, on their real data."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_close, sessions, year_window
from quant_assets.errors import BadArgument, SourceError
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.sources import source_named, sources
from quant_assets.sources.arch_indices import SERIES, ArchIndices
from quant_assets.sources.bokeh_stocks import TICKERS, BokehStocks
from quant_assets.sources.packaged import packaged_file
from quant_assets.sources.skfolio_prices import SkfolioPrices
from quant_assets_tests.small import EVERYTHING, FETCHED_AT, delivered

D = dt.date


@pytest.fixture(scope="module")
def bokeh() -> pl.DataFrame:
    return delivered("bokeh", *TICKERS)


@pytest.fixture(scope="module")
def skfolio() -> pl.DataFrame:
    return delivered("skfolio", "AAPL", "KO")


@pytest.mark.parametrize(
    ("ticker", "session", "split_factor", "dividend"),
    [
        ("AAPL", D(2000, 6, 21), 2.0, 0.0),
        ("AAPL", D(2005, 2, 28), 2.0, 0.0),
        ("AAPL", D(2012, 8, 9), 1.0, 2.65),
        ("AAPL", D(2012, 11, 7), 1.0, 2.65),
        ("AAPL", D(2013, 2, 7), 1.0, 2.65),
        ("IBM", D(2000, 5, 8), 1.0, 0.13),
        ("IBM", D(2012, 5, 8), 1.0, 0.85),
        ("IBM", D(2013, 2, 6), 1.0, 0.85),
        ("MSFT", D(2003, 2, 18), 2.0, 0.0),
        ("MSFT", D(2003, 2, 19), 1.0, 0.08),
        ("MSFT", D(2004, 11, 15), 1.0, 3.08),
    ],
)
def test_declared_actions_are_inferred(bokeh: pl.DataFrame, ticker: str, session: dt.date, split_factor: float, dividend: float):
    """Splits and dividends as the companies declared them, to the cent."""
    [row] = bokeh.filter(ticker=ticker, session=session).iter_rows(named=True)
    assert row["inferred"]
    assert row["split_factor"] == split_factor
    assert row["dividend"] == pytest.approx(dividend, abs=0.005)


def test_nothing_else_is_inferred(bokeh: pl.DataFrame):
    """IBM paid 52 quarters; AAPL none from 1995 to 2012; FB and GOOG none; rounding of the vendor's digits is no dividend."""
    actions = bokeh.filter("inferred")
    assert dict(actions.group_by("ticker").len().iter_rows()) == {"AAPL": 5, "IBM": 52, "MSFT": 38}
    assert actions.filter(pl.col("split_factor") != 1).height == 3
    assert actions.filter((pl.col("dividend") != 0) & (pl.col("dividend") < 0.07)).is_empty()
    assert bokeh.filter(~pl.col("inferred")).select((pl.col("split_factor") == 1) & (pl.col("dividend") == 0)).to_series().all()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (D(2012, 8, 9), D(2012, 8, 11)),  # the window opens on an ex-date
        (D(2005, 2, 28), D(2005, 3, 1)),  # on a split
        (D(2003, 2, 18), D(2003, 2, 20)),  # a split, then a dividend
        (D(2012, 1, 1), D(2013, 1, 1)),
        (D(2012, 11, 4), D(2012, 11, 8)),  # on a Sunday
        (D(2000, 1, 1), D(2000, 3, 2)),  # on the first bar
    ],
)
def test_a_window_gives_the_rows_of_everything(bokeh: pl.DataFrame, skfolio: pl.DataFrame, start: dt.date, end: dt.date):
    """Exactly, and the bar before comes along; that bar's own action is not judged, since nothing precedes it."""
    inside = pl.col("session").is_between(start, end, closed="left")
    for whole, name in ((bokeh, "bokeh"), (skfolio, "skfolio")):
        part = delivered(name, *whole["ticker"].unique().sort(), window=Window(start, end))
        assert_frame_equal(part.filter(inside), whole.filter(inside), check_exact=True)
        before = whole.filter(pl.col("session") < start).group_by("ticker", maintain_order=True).agg(pl.col("session").max())
        assert_frame_equal(part.filter(~inside).select("ticker", "session"), before)


def test_the_level_of_the_adjusted_close_says_nothing(bokeh: pl.DataFrame):
    """The vendor's level carries the splits after 2013 (AAPL 56.14 where 430.47 was paid): only its changes are read."""
    source = BokehStocks()
    raw = source.fetch(["AAPL"], EVERYTHING)
    assert raw["adj_close"].iloc[-1] < raw["close"].iloc[-1] / 7
    for factor in (7.0, 1 / 28):
        rows = source.normalise(raw.assign(adj_close=raw["adj_close"] * factor), fetched_at=FETCHED_AT)
        ours = bokeh.filter(ticker="AAPL")
        assert_frame_equal(rows.select("session", "split_factor", "inferred"), ours.select("session", "split_factor", "inferred"))
        assert (rows["dividend"] - ours["dividend"]).abs().max() < 1e-9
        assert rows["close"].equals(ours["close"])


def test_known_at_is_the_close_of_the_session(bokeh: pl.DataFrame, skfolio: pl.DataFrame):
    for rows in (bokeh, skfolio, index()):
        pairs = rows.select("session", "known_at").unique().filter(pl.col("session").dt.year() == 2012).sort("session")
        assert pairs["known_at"].to_list() == [session_close(day) for day in sessions(year_window(2012))]
        assert rows["fetched_at"].unique().to_list() == [FETCHED_AT]


def test_a_bar_on_a_holiday_survives_until_the_gate():
    source = BokehStocks()
    raw = source.fetch(["IBM"], Window(D(2013, 2, 15), D(2013, 2, 16)))
    raw["date"] = raw["date"].mask(raw["date"] == "2013-02-15", "2013-02-18")
    rows = source.normalise(raw, fetched_at=FETCHED_AT)
    assert rows["session"].to_list() == [D(2013, 2, 14), D(2013, 2, 18)]
    assert rows["known_at"].to_list()[1] == dt.datetime(2013, 2, 18, tzinfo=dt.UTC)


def test_skfolio_has_closes_and_nothing_else(skfolio: pl.DataFrame):
    for name in ("open", "high", "low", "volume"):
        assert skfolio[name].null_count() == skfolio.height
    assert skfolio["close"].null_count() == 0
    assert skfolio["price_basis"].unique().to_list() == ["adjusted"]
    assert not skfolio["inferred"].any()
    assert skfolio.filter(ticker="KO")["session"].to_list() == [D(1999, 12, 31), *sessions(EVERYTHING)]


def index(window: Window = EVERYTHING) -> pl.DataFrame:
    source = ArchIndices()
    rows = source.normalise(source.fetch(["sp500", "nasdaq"], window), fetched_at=FETCHED_AT)
    return TABLES["index_prices"].conform(rows.select(list(TABLES["index_prices"].schema)))


def test_the_index_has_every_session():
    rows = index()
    for series in ("nasdaq", "sp500"):
        assert rows.filter(series=series)["session"].to_list() == sessions(EVERYTHING)
    close = dict(rows.filter(session=D(2012, 12, 31)).select("series", "close").iter_rows())
    assert close == {"nasdaq": pytest.approx(3019.51, abs=0.01), "sp500": pytest.approx(1426.19, abs=0.01)}
    year = year_window(2012)
    assert_frame_equal(index(year), rows.filter(pl.col("session").is_between(year.start, year.end, closed="left")), check_exact=True)


@pytest.mark.parametrize("source", [BokehStocks(), SkfolioPrices()], ids=lambda source: source.name)
@pytest.mark.parametrize(
    ("keys", "window"),
    [(["FB"], year_window(1980)), (["ZZZ"], year_window(2005)), ([], year_window(2005)), (["AAPL"], year_window(1980))],
)
def test_what_is_not_offered_gives_no_rows_of_the_same_kind(source: BokehStocks | SkfolioPrices, keys: list[str], window: Window):
    rows = source.normalise(source.fetch(keys, window), fetched_at=FETCHED_AT)
    TABLES["prices"].conform(rows.select(list(TABLES["prices"].schema)))
    assert rows.is_empty()


def test_offers_are_the_first_and_last_bar(bokeh: pl.DataFrame):
    offers = BokehStocks().offers()
    for ticker, span in offers.items():
        days = bokeh.filter(ticker=ticker)["session"]
        assert (span.start, span.last_day) == (days.min(), days.max())
    assert offers["FB"].start == D(2012, 5, 18)
    assert ArchIndices().offers()["sp500"].start == D(1999, 1, 4)


def test_profile_live_without_its_packages_says_what_to_install(tmp_path: Path):
    without = "import sys; from importlib.machinery import PathFinder as P; find = P.find_spec; "
    without += "P.find_spec = lambda name, *rest: None if name.split('.')[0] in ('yfinance', 'tenacity') else find(name, *rest); "
    asked = "from quant_assets.cli.app import main; sys.argv = ['quant-assets', 'run', '--profile', 'live']; main()"
    environment = {**os.environ, "QUANT_ASSETS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", without + asked], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "profile 'live' needs packages that are not installed: tenacity, yfinance; pip install" in done.stderr


def test_a_profile_without_a_source_and_a_wrong_name():
    offline = Settings(profile="offline")
    with pytest.raises(BadArgument, match="profile 'offline' has no source for macro"):
        sources(offline, "macro")
    with pytest.raises(BadArgument, match="no source 'yahoo' for prices; the universe file may name bokeh, skfolio"):
        source_named(offline, "prices", "yahoo")


@pytest.mark.parametrize("series", SERIES)
def test_the_file_of_arch_is_read_as_arch_reads_it(series: str):
    from arch.data import nasdaq, sp500

    theirs = {"nasdaq": nasdaq, "sp500": sp500}[series].load()
    ours = ArchIndices().fetch([series], Window(D(1900, 1, 1), D(2100, 1, 1))).drop(columns="series").set_index("date")
    pd.testing.assert_frame_equal(ours, theirs, check_names=False)


def test_the_file_of_skfolio_is_read_as_skfolio_reads_it():
    from skfolio.datasets import load_sp500_dataset

    theirs = load_sp500_dataset()
    ours = SkfolioPrices().fetch(list(theirs.columns), Window(D(1900, 1, 1), D(2100, 1, 1)))
    wide = ours.pivot(index="date", columns="ticker", values="adj_close")[list(theirs.columns)]
    pd.testing.assert_frame_equal(wide, theirs, check_names=False)


def test_what_is_offered_is_told_without_importing_the_packages():
    told = "from quant_assets.sources.arch_indices import ArchIndices; from quant_assets.sources.skfolio_prices import SkfolioPrices; "
    told += "ArchIndices().offers(); SkfolioPrices().offers(); import sys; print({'arch', 'skfolio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_file_that_a_package_no_longer_has_is_named():
    with pytest.raises(SourceError, match=r"arch has no file data/nikkei\.csv; install the versions of constraints\.txt again"):
        packaged_file("arch", "data", "nikkei.csv")
    with pytest.raises(SourceError, match="no_such_package has no file"):
        packaged_file("no_such_package", "x")
