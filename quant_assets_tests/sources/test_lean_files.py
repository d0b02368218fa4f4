"""LEAN's files on real bars: AAPL, BAC, IBM and SPY, 1998 to 2021."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import zipfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.adjustments import adjust
from quant_assets.calendars import Window, sessions, year_window
from quant_assets.defs.vendor_types import check_vendor_frames
from quant_assets.errors import BadArgument, SourceError
from quant_assets.quality.gate import judge_prices
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings, Vendor
from quant_assets.sources import sources
from quant_assets.sources.lean_files import LeanFiles
from quant_assets.steps import history
from quant_assets.universe import Listing, Universe
from quant_assets.workspace import Workspace
from quant_assets_tests.small import FETCHED_AT, store

D = dt.date
NAMES = ["AAPL", "BAC", "IBM", "SPY"]
ALL_OF_IT = Window(D(1998, 1, 1), D(2021, 4, 1))
# Split factors are printed with six digits: 0.01785710 for 1/56 is 2.4e-6 off. Price factors telescope exactly.
PRINTED = 3e-6


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded files in LEAN's own layout."""
    home = tmp_path_factory.mktemp("lean")
    shutil.copytree(shared / "data/equities/lean_daily", home / "daily")
    for kind in ("map_files", "factor_files"):
        shutil.copytree(shared / f"data/corporate_actions/lean_{kind}", home / kind)
    return home


def bars_of(folder: Path, *names: str, window: Window = ALL_OF_IT) -> pl.DataFrame:
    source = LeanFiles(folder)
    rows = source.normalise(source.fetch(names, window), fetched_at=FETCHED_AT)
    return TABLES["prices"].conform(rows.select(list(TABLES["prices"].schema)))


@pytest.fixture(scope="module")
def prices(folder: Path) -> pl.DataFrame:
    return bars_of(folder, *NAMES).sort("ticker", "session")


@pytest.fixture(scope="module")
def theirs(folder: Path, prices: pl.DataFrame) -> pl.DataFrame:
    """ticker, session, lean: close x price factor x split factor, brought to the last bar's level, as `adjust` has it."""
    raw = pl.from_pandas(LeanFiles(folder).fetch(NAMES, ALL_OF_IT))
    adjusted = pl.col("close") / 10_000 * pl.col("price_factor") * pl.col("split_factor")
    rows = raw.select("ticker", session=pl.col("date").cast(pl.Date), lean=adjusted).sort("ticker", "session")
    level = prices.group_by("ticker").agg(level=pl.col("close").last())
    return rows.join(level, on="ticker").with_columns(lean=pl.col("lean") / pl.col("lean").last().over("ticker") * pl.col("level"))


@pytest.mark.parametrize(
    ("ticker", "session", "split_factor", "dividend"),
    [
        ("AAPL", D(2000, 6, 21), 2.0, 0.0),
        ("AAPL", D(2012, 8, 9), 1.0, 2.65),
        ("AAPL", D(2014, 6, 9), 7.0, 0.0),
        ("AAPL", D(2014, 8, 7), 1.0, 0.47),
        ("AAPL", D(2020, 8, 31), 4.0, 0.0),
        ("IBM", D(1999, 5, 27), 2.0, 0.0),
        ("IBM", D(2012, 5, 8), 1.0, 0.85),
        ("BAC", D(2004, 8, 30), 2.0, 0.0),
    ],
)
def test_declared_actions_are_recovered(prices: pl.DataFrame, ticker: str, session: dt.date, split_factor: float, dividend: float):
    [row] = prices.filter(ticker=ticker, session=session).iter_rows(named=True)
    assert row["split_factor"] == split_factor
    # seven decimals of a price factor times a last close of up to 650 USD
    assert row["dividend"] == pytest.approx(dividend, abs=1e-4)


def test_factors_worked_out_from_the_table_agree_with_leans_own(prices: pl.DataFrame, theirs: pl.DataFrame):
    """LEAN's convention, by hand: an old share worth C before a dividend D is C - D after it."""
    last_close = pl.col("close").shift().over("ticker")
    paid = pl.col("dividend") * pl.col("split_factor")
    growth = (pl.col("split_factor") * last_close / (last_close - paid)).fill_null(1.0).cum_prod().over("ticker")
    ours = prices.with_columns(growth=growth).with_columns(ours=pl.col("close") * pl.col("growth") / pl.col("growth").last().over("ticker"))
    both = ours.join(theirs, on=["ticker", "session"])
    assert both.height == prices.height == 3 * 5849 + 5849 - len(sessions(Window(D(1998, 1, 2), D(1998, 10, 1))))
    assert both.select((pl.col("ours") / pl.col("lean") - 1).abs().max()).item() < PRINTED


def test_adjusted_closes_differ_from_leans_by_when_a_dividend_is_reinvested_and_nothing_else(prices: pl.DataFrame, theirs: pl.DataFrame):
    """Ours buys at the close of the ex-date, LEAN at the close before less the dividend: (1 + d / c)(1 - d s / c_before) apart each time.

    That is d / c times the day's return, of either sign: at most 0.4 % in 23 years of quarterly dividends, and nothing between two of them.
    """
    view = adjust(prices.lazy(), ALL_OF_IT.last_day).collect().select("ticker", "session", ours="close")
    last_close = pl.col("close").shift().over("ticker")
    later = (1 + pl.col("dividend") / pl.col("close")) * (1 - pl.col("dividend") * pl.col("split_factor") / last_close).fill_null(1.0)
    seam = prices.select("ticker", "session", seam=later.cum_prod().over("ticker"))
    both = view.join(theirs, on=["ticker", "session"]).join(seam, on=["ticker", "session"]).sort("ticker", "session")
    expected = pl.col("seam") / pl.col("seam").last().over("ticker")
    apart = both.select("ticker", ratio=pl.col("ours") / pl.col("lean"), expected=expected)
    assert apart.select((pl.col("ratio") / pl.col("expected") - 1).abs().max()).item() < PRINTED
    assert 1e-4 < apart.select((pl.col("ratio") - 1).abs().max()).item() < 4e-3


def test_bars_of_the_old_bank_of_america_are_not_nationsbanks(folder: Path, prices: pl.DataFrame, caplog: pytest.LogCaptureFixture):
    """NationsBank took the ticker BAC on 1998-10-01; bac.zip begins with nine months of the bank that had it before, 12 % higher."""
    with caplog.at_level(logging.INFO, logger="quant_assets"):
        offered = LeanFiles(folder).offers(["BAC", "ZZZ"])
    assert offered == {"BAC": Window(D(1998, 10, 1), D(2021, 4, 1))}
    assert prices.filter(ticker="BAC")["session"].min() == D(1998, 10, 1)
    assert "BAC: 188 bars under its tickers are another security's" in caplog.text
    assert "NB from 1998-01-02 to 1998-09-30, BAC from 1998-10-01 to now" in caplog.text


def test_without_the_change_of_ticker_the_factors_betray_the_other_security(folder: Path, tmp_path: Path):
    home = tmp_path / "lean"
    shutil.copytree(folder, home)
    (home / "map_files/bac.csv").write_text("19980102,bac\n20501231,bac\n")
    with pytest.raises(SourceError, match=r"BAC 1998-03-03: the bar closed at 78 and the factor file says 68.81 \(limit 5% apart\)"):
        bars_of(home, "BAC")


def test_a_renamed_security_is_gathered_from_the_files_of_all_its_tickers(folder: Path, tmp_path: Path):
    """IBM told as if it had been ABC until 2004 and another company had had IBM before: its history has every bar, and only its own."""
    home = tmp_path / "lean"
    shutil.copytree(folder, home)
    with zipfile.ZipFile(folder / "daily/spy.zip") as archive:
        spy = archive.read("spy.csv").splitlines(keepends=True)
    with zipfile.ZipFile(folder / "daily/ibm.zip") as archive:
        ibm = archive.read("ibm.csv").splitlines(keepends=True)
    renamed = b"20040105"
    own = {"abc": [line for line in ibm if line < renamed], "ibm": [line for line in spy if line < renamed]}
    own["ibm"] += [line for line in ibm if line >= renamed]
    for name, lines in own.items():
        with zipfile.ZipFile(home / f"daily/{name}.zip", "w") as archive:
            archive.writestr(f"{name}.csv", b"".join(lines))
    (home / "map_files/ibm.csv").write_text("19980102,abc,N\n20040104,abc,N\n20501231,ibm,N\n")
    assert_frame_equal(bars_of(home, "IBM"), bars_of(folder, "IBM"))


def test_a_window_brings_the_bar_before_it_so_that_its_first_action_shows(folder: Path, prices: pl.DataFrame):
    window = Window(D(2014, 6, 9), D(2014, 7, 1))
    rows = bars_of(folder, "AAPL", window=window)
    assert rows["session"][0] == D(2014, 6, 6)
    assert rows.filter(pl.col("split_factor") == 7)["session"].to_list() == [D(2014, 6, 9)]
    whole = prices.filter(pl.col("session").is_between(window.start, window.last_day), ticker="AAPL")
    assert_frame_equal(rows.filter(pl.col("session") >= window.start), whole)


def test_real_bars_pass_the_gate_from_the_first_offered_session(folder: Path, prices: pl.DataFrame):
    """All but the year of a genuine fall by half, which only a second source can confirm."""
    listings = tuple(Listing(name, "lean", window.start) for name, window in LeanFiles(folder).offers(NAMES).items())
    verdict = judge_prices(prices, Universe(listings, Path("u")), ALL_OF_IT, fetched_at=FETCHED_AT)
    assert list(verdict.withheld) == [("AAPL", 2000)]
    assert "AAPL 2000-09-29: close moved -51.6 %" in verdict.withheld["AAPL", 2000]
    assert verdict.accepted.height == prices.height - len(sessions(year_window(2000)))


def test_the_folder_of_the_settings_is_a_source_of_bars_in_any_profile(folder: Path, tmp_path: Path):
    """BAC from LEAN, and AAPL from its own source: on every session another vendor's returns and closes agree with theirs."""
    (tmp_path / "universe.csv").write_text("ticker,source,listed\nAAPL,bokeh,2000-03-01\nBAC,lean,1998-10-01\n")
    settings = Settings(home=tmp_path, universe=tmp_path / "universe.csv", sources={"lean": Vendor(folder=folder)})
    work = Workspace.open(settings, clock=lambda: FETCHED_AT)
    done = store(work, work.universe.tickers, ["2011", "2012"])
    assert done.withheld == {}
    check_vendor_frames(history.fetch_raw_prices(work, ["BAC"], {"2012": year_window(2012)}).frames)
    stored = work.lake.scan("prices", keys=["BAC"]).collect()
    assert stored["source"].unique().to_list() == ["lean"]
    assert stored["session"].to_list() == sessions(Window(D(2011, 1, 1), D(2013, 1, 1)))
    assert done.figures["compared_sessions"] == 2 * len(stored) + 1  # AAPL's close before the window too, as both traded it
    assert done.figures["disagreements"] == 0
    assert sources(Settings(profile="live", home=tmp_path, sources={"lean": Vendor(folder=folder)}), "prices")[-1].name == "lean"
    with pytest.raises(BadArgument, match=r"has no folder daily nor map_files nor factor_files; set sources\.lean\.folder"):
        sources(Settings(home=tmp_path, sources={"lean": Vendor(folder=tmp_path)}), "prices")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("daily/aapl.zip", "no zip", r"aapl\.zip is no zip of daily bars \(File is not a zip file\)"),
        ("map_files/aapl.csv", "never,aapl\n", r"map_files/aapl\.csv cannot be read"),
        ("map_files/aapl.csv", "", r"map file AAPL has no row"),
        ("factor_files/aapl.csv", "19980102,1\n", r"factor_files/aapl\.csv has a row of 2 columns \(19980102,1\), not 4"),
        ("factor_files/aapl.csv", "19980102,one,1,1\n", r"holds a factor that is no number"),
        ("factor_files/aapl.csv", "19980102,1,1,1\n20200102,1,1,0\n", r"AAPL: its factor file ends before the bar of 2020-01-03"),
    ],
)
def test_damage_is_named_with_its_file(folder: Path, tmp_path: Path, file: str, content: str, told: str):
    home = tmp_path / "lean"
    shutil.copytree(folder, home)
    (home / file).write_text(content)
    with pytest.raises(SourceError, match=told):
        bars_of(home, "AAPL")


def test_a_name_without_map_or_factor_file_is_not_offered(folder: Path, tmp_path: Path):
    """Without them nobody can say whose bars they are, nor whether a price fell or was split."""
    home = tmp_path / "lean"
    shutil.copytree(folder, home)
    (home / "map_files/aapl.csv").unlink()
    (home / "factor_files/ibm.csv").unlink()
    assert list(LeanFiles(home).offers()) == ["BAC", "SPY"]
    assert bars_of(home, "AAPL", "IBM").is_empty()
