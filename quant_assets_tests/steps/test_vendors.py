"""Several vendors of one name through the step: real histories continued by real bars as traded, and one vendor that stands in for another.

Yahoo is a server on loopback that answers with LEAN's bars as traded, seen from a day that the test names. What comes of it is compared
with LEAN's own adjustment, which is computed from its factor files here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quant_assets.sources as registry
from quant_assets.calendars import Window, sessions
from quant_assets.demand import demand
from quant_assets.errors import NoData
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings, Vendor
from quant_assets.sources.base import known_at_close
from quant_assets.steps.history import StepResult
from quant_assets.workspace import Workspace
from quant_assets_tests.natives import from_parquet, native_stooq, put
from quant_assets_tests.replay import ReplayServer, replaying
from quant_assets_tests.replay_yahoo import Yahoo, absent, lean_history
from quant_assets_tests.small import store

D = dt.date
NAMES = {"AAPL": D(2015, 3, 16), "IBM": D(2009, 3, 12), "SPY": D(2009, 1, 2)}
"""Each with the first session after the last one on which its native file and LEAN differ by more than 1 %."""
ENDS = {"AAPL": D(2017, 11, 10), "IBM": D(2012, 12, 31), "SPY": D(2012, 12, 31)}
NIGHT = D(2021, 3, 31)


@dataclass
class Vendors:
    """Two vendors on loopback or in a folder, and homes on them."""

    shared: Path
    server: ReplayServer
    yahoo: Yahoo

    def home(self, folder: Path, *, source: str = "kaggle+yahoo", as_of: dt.date = NIGHT, names: dict[str, dt.date] = NAMES) -> Workspace:
        self.yahoo.as_at = as_of
        native = folder / "data/native"
        put(native, "AAPL", native_stooq(self.shared, "AAPL"))
        for ticker in ("IBM", "SPY"):
            put(native, ticker, from_parquet(self.shared, ticker))
        file = folder / "universe.csv"
        file.write_text("ticker,source,listed\n" + "".join(f"{ticker},{source},{day}\n" for ticker, day in names.items()))
        grids = Grids(history_start=D(2009, 1, 1), first_cutoff=D(2012, 1, 1), first_decision=D(2012, 1, 3))
        sources = {"yahoo": Vendor(base_url=self.server.url)}
        return Workspace.open(Settings(home=folder, profile="live", universe=file, grids=grids, sources=sources), as_of=as_of)


@pytest.fixture
def vendors(shared: Path) -> Iterator[Vendors]:
    yahoo = Yahoo({name: lean_history(shared, name, kind="ETF" if name == "SPY" else "EQUITY") for name in NAMES})
    with replaying(yahoo) as server:
        yield Vendors(shared, server, yahoo)


def stored(work: Workspace, table: str = "prices") -> pl.DataFrame:
    rows = work.lake.scan(table).collect().sort(TABLES[table].key)
    return rows.drop([column for column in ("fetched_at",) if column in rows.columns])


def every_year(work: Workspace, tickers: list[str]) -> StepResult:
    return store(work, tickers, list(work.year_windows()))


def adjusted_by_lean(shared: Path, ticker: str) -> pl.DataFrame:
    """session, close: LEAN's own adjustment, each close times the factors of the first line that is not before it."""
    factors = []
    for line in (shared / f"data/corporate_actions/lean_factor_files/{ticker.lower()}.csv").read_text().split():
        stamp, price, split, _ = line.split(",")
        factors.append((dt.datetime.strptime(stamp, "%Y%m%d").date(), float(price) * float(split)))  # noqa: DTZ007 - a date
    closes = []
    for day, close in lean_history(shared, ticker).bars.select("session", "close").iter_rows():
        closes.append((day, close * next(factor for last, factor in factors if last >= day)))
    return pl.DataFrame(closes, schema=["session", "lean"], orient="row")


def test_real_histories_continue_with_the_returns_that_lean_computes(vendors: Vendors, tmp_path: Path):
    work = vendors.home(tmp_path)
    result = every_year(work, list(NAMES))
    assert result.withheld == {}
    rows = stored(work)
    for ticker, listed in NAMES.items():
        mine = rows.filter(ticker=ticker)
        assert mine["session"].to_list() == [day for day in sessions(work.history) if day >= listed]
        assert set(mine["price_basis"]) == {"adjusted"}
        by_source = dict(mine.group_by("source").agg(pl.col("session").max()).iter_rows())
        assert by_source == {"kaggle": ENDS[ticker], "yahoo": NIGHT}
        both = mine.join(adjusted_by_lean(vendors.shared, ticker), on="session").sort("session")
        seen = both.with_columns(off=((pl.col("close") / pl.col("close").shift()) - (pl.col("lean") / pl.col("lean").shift())).abs())
        assert seen.filter(pl.col("session") <= ENDS[ticker])["off"].max() < 0.0101
        # LEAN takes the dividend off the close before, we reinvest it at the ex-date's close: dividend yield x return of that day
        assert seen.filter(pl.col("session") > ENDS[ticker])["off"].max() < 0.0012
        assert seen.filter(pl.col("session") > ENDS[ticker])["off"].median() < 1e-6
    # AAPL split 4:1 on 2020-08-31: the level and the volume are those of the file's shares
    around = rows.filter(pl.col("ticker") == "AAPL", pl.col("session").is_in([D(2020, 8, 28), D(2020, 8, 31)]))
    assert around["close"][1] / around["close"][0] == pytest.approx(129.04 / (499.23 / 4), rel=1e-6)
    assert 0.5 < around["volume"][1] / around["volume"][0] < 2
    hole = rows.filter(pl.col("ticker") == "SPY", pl.col("session") == D(2011, 2, 17))  # which the file lacks
    assert hole["source"].to_list() == ["yahoo"]
    assert demand("prices", work, list(NAMES)).holes.is_empty()


def test_what_is_stored_stands_when_a_split_comes(vendors: Vendors, tmp_path: Path):
    """The night of 2018 and that of 2021, between which AAPL split 4:1 and Yahoo divided all its past."""
    early, late = (vendors.home(tmp_path / str(night), as_of=night) for night in (D(2018, 12, 31), NIGHT))
    for work in (early, late):
        vendors.yahoo.as_at = work.as_of
        every_year(work, ["AAPL"])
    before = stored(early)
    assert before["session"].max() == D(2018, 12, 31)
    assert_frame_equal(stored(late).filter(pl.col("session") <= D(2018, 12, 31)), before, rel_tol=1e-6)  # Yahoo's single precision


def test_a_year_alone_is_as_in_all_years(vendors: Vendors, tmp_path: Path):
    whole, alone = vendors.home(tmp_path / "whole"), vendors.home(tmp_path / "alone")
    every_year(whole, ["AAPL"])
    assert store(alone, ["AAPL"], ["2019"]).withheld == {}
    assert_frame_equal(stored(alone), stored(whole).filter(pl.col("session").dt.year() == 2019), check_exact=True)
    assert store(whole, ["AAPL"], ["2019"]).withheld == {}


def test_a_history_that_differs_is_refused_by_name_and_date(vendors: Vendors, tmp_path: Path):
    work = vendors.home(tmp_path, names={"AAPL": D(2015, 1, 2), "IBM": NAMES["IBM"]})
    result = every_year(work, ["AAPL", "IBM"])
    assert {ticker for ticker, _ in result.withheld} == {"AAPL"}
    assert set(result.withheld.values()) == {
        "AAPL 2015-03-12: total return 0.00542 from kaggle and 0.01808 from yahoo (limit 1%; 2 of 722 sessions differ, the last "
        "2015-03-13): they are not joined; correct the history, or list the name from a later session."
    }
    assert set(stored(work)["ticker"]) == {"IBM"}


def test_without_one_of_both_the_name_is_withheld(vendors: Vendors, tmp_path: Path):
    work = vendors.home(tmp_path)
    vendors.yahoo.wrong = {"AAPL": absent}
    (tmp_path / "data/native/ibm.us.txt").write_bytes(b"")
    (tmp_path / "data/native/spy.us.txt").unlink()
    withheld = {ticker: why for (ticker, _), why in every_year(work, list(NAMES)).withheld.items()}
    assert "No data found, symbol may be delisted" in withheld["AAPL"]
    assert withheld["IBM"].startswith("kaggle: ibm.us.txt is empty")
    assert withheld["SPY"].startswith("kaggle does not have SPY")
    assert stored(work).is_empty()


def test_a_file_that_was_adjusted_anew_does_not_stand_beside_the_old_one(vendors: Vendors, tmp_path: Path):
    """Stored from one file; then one with a dividend more, whose level is another."""
    work = vendors.home(tmp_path, source="kaggle", names={"AAPL": D(2015, 1, 2)}, as_of=D(2016, 12, 30))
    assert every_year(work, ["AAPL"]).withheld == {}
    before = stored(work)
    file = tmp_path / "data/native/aapl.us.txt"
    old = file.read_bytes().decode()
    head, *lines = old.split("\r\n")[:-1]
    moved = [
        ",".join([day, *(f"{float(price) * 0.997:.5g}" for price in prices), volume, "0"])
        for day, *prices, volume, _ in (line.split(",") for line in lines)
    ]
    file.write_text("\r\n".join([head, *moved]) + "\r\n")
    [(_, told)] = store(work, ["AAPL"], ["2016"]).withheld.items()
    assert "came from kaggle at 0.997 times what is stored, and bars outside 2016-01-01..2016-12-30 stay" in told
    assert "`quant-assets backfill --tables prices --tickers AAPL`" in told
    assert_frame_equal(stored(work), before, check_exact=True)
    assert every_year(work, ["AAPL"]).withheld == {}
    assert stored(work)["close"][0] == pytest.approx(before["close"][0] * 0.997, rel=1e-4)


def test_another_listing_asks_for_what_has_another_basis(vendors: Vendors, tmp_path: Path):
    """From Yahoo alone to a history that Yahoo continues: Yahoo's bars stand no longer, as they are as traded."""
    alone = vendors.home(tmp_path, source="yahoo", names={"AAPL": NAMES["AAPL"]})
    every_year(alone, ["AAPL"])
    assert demand("prices", alone, ["AAPL"]).holes.is_empty()
    joined = vendors.home(tmp_path, names={"AAPL": NAMES["AAPL"]})
    assert demand("prices", joined, ["AAPL"]).holes["window"].to_list() == [str(year) for year in range(2015, 2022)]
    assert every_year(joined, ["AAPL"]).withheld == {}
    assert demand("prices", joined, ["AAPL"]).holes.is_empty()
    back = vendors.home(tmp_path, source="yahoo", names={"AAPL": NAMES["AAPL"]})
    assert demand("prices", back, ["AAPL"]).holes.height == 7


def test_a_second_vendor_that_costs_nothing_is_compared(vendors: Vendors, tmp_path: Path):
    """The folder has the name too, and the universe does not say so."""
    work = vendors.home(tmp_path, source="yahoo", names={"AAPL": D(2015, 1, 2)}, as_of=D(2015, 12, 31))
    result = every_year(work, ["AAPL"])
    assert (result.figures["compared_sessions"], result.figures["disagreements"], result.withheld) == (251, 2, {})
    log = stored(work, "quality_log").filter(field="total_return")
    assert log["evidence"][0] == "total return 0.01808 from yahoo and 0.00542 from kaggle: kept the first"
    assert set(stored(work)["source"]) == {"yahoo"}


class LeanBars:
    """A second vendor of bars as traded, asked for nothing: what LEAN's files say. `lacks`: names it does not deliver."""

    name = "second"
    table = "prices"
    policy = None

    def __init__(self, yahoo: Yahoo) -> None:
        self.histories = yahoo.histories
        self.lacks: set[str] = set()

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return dict.fromkeys(self.histories if keys is None else keys, Window(D(1998, 1, 2), D(2021, 4, 1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        [key] = keys
        if key in self.lacks:
            raise NoData(f"second has no {key}", remedy="wait")
        found = self.histories[key]
        rows = found.bars.filter(pl.col("session").is_between(window.start, window.end, closed="left")).with_columns(ticker=pl.lit(key))
        splits, paid = ([actions.get(day) for day in rows["session"]] for actions in (found.splits, found.dividends))
        return rows.to_pandas().assign(split_factor=[factor or 1.0 for factor in splits], dividend=[amount or 0.0 for amount in paid])

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        rows = pl.from_pandas(raw).with_columns(
            pl.col("session").dt.date(),
            price_basis=pl.lit("raw"),
            inferred=pl.lit(False),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(rows)


def test_a_second_vendor_stands_in_for_the_first(vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For the session that the first lacks, for the name that it does not deliver; where neither does, both reasons are told."""
    lean, packaged = LeanBars(vendors.yahoo), registry.every_source
    monkeypatch.setattr(registry, "every_source", lambda settings: (*packaged(settings), lean))
    work = vendors.home(tmp_path, source="yahoo+second", as_of=D(2012, 12, 31))
    spy = lean.histories["SPY"]
    vendors.yahoo.histories = dict(lean.histories) | {"SPY": replace(spy, bars=spy.bars.filter(pl.col("session") != D(2011, 2, 17)))}
    vendors.yahoo.wrong = {"IBM": absent}
    result = every_year(work, ["IBM", "SPY"])
    assert result.withheld == {}
    rows = stored(work)
    assert set(rows.filter(ticker="IBM")["source"]) == {"second"}
    assert rows.filter(ticker="SPY", source="second")["session"].to_list() == [D(2011, 2, 17)]
    agree = next(check for check in result.checks if check.name == "sources_agree")
    assert not agree.passed
    assert "; yahoo " in agree.description
    assert "symbol may be delisted" in agree.description
    assert "symbol may be delisted" in result.figures["missed"][0]
    assert demand("prices", work, ["IBM", "SPY"]).holes.is_empty()
    lean.lacks = {"IBM"}
    [told] = set(every_year(work, ["IBM"]).withheld.values())
    assert "symbol may be delisted" in told
    assert told.endswith("second has no IBM; wait.")
    assert_frame_equal(stored(work), rows, check_exact=True)


def test_two_vendors_that_differ_are_logged_and_the_first_is_kept(vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lean, packaged = LeanBars(vendors.yahoo), registry.every_source
    monkeypatch.setattr(registry, "every_source", lambda settings: (*packaged(settings), lean))
    work = vendors.home(tmp_path, source="second+yahoo", as_of=D(2012, 12, 31))
    ibm = lean.histories["IBM"]
    wrong = pl.when(pl.col("session") == D(2012, 6, 7)).then(pl.col("close") * 1.02).otherwise("close")
    vendors.yahoo.histories = dict(lean.histories) | {"IBM": replace(ibm, bars=ibm.bars.with_columns(close=wrong))}
    (tmp_path / "data/native/ibm.us.txt").unlink()
    result = every_year(work, ["IBM"])
    log = stored(work, "quality_log").select("session", "field", "original", "repaired")
    assert log.select("session", "field").rows() == [
        (D(2012, 6, 7), "close"),
        (D(2012, 6, 7), "total_return"),
        (D(2012, 6, 8), "total_return"),
    ]
    assert log["original"][0] / log["repaired"][0] == pytest.approx(1.02, abs=1e-4)
    told = next(check.description for check in result.checks if check.name == "sources_agree")
    assert told.endswith("2 total returns and 1 closes as traded differ by more than 1 %")
    assert (result.withheld, set(stored(work)["source"])) == ({}, {"second"})
