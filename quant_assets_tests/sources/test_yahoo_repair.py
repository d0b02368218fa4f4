"""Yahoo's contradictions on their way into the lake: put right as traded, with what was delivered beside it in `quality_log`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.defs.vendor_types import check_vendor_frames
from quant_assets.quality.vendor_dividends import AGAIN, OF_PRICE
from quant_assets.quality.vendor_splits import UNDIVIDED
from quant_assets.settings import Grids, Settings
from quant_assets.sources.base import LEFT, Repairing
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo import YahooPrices
from quant_assets.steps.history import RawPrices, store_prices
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace
from quant_assets_tests.replay import replaying
from quant_assets_tests.replay_yahoo import Yahoo, lean_history
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.test_yahoo import assert_as_traded
from quant_assets_tests.sources.wire.ways import At

D = dt.date
YEAR = Window(D(2014, 1, 1), D(2015, 1, 1))
PRICES = ["Open", "High", "Low", "Close", "Adj Close"]
CLOCK = At("2015-01-02T18:00")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> YahooPrices:
    return YahooPrices(Wire(tmp_path_factory.mktemp("wire"), clock=CLOCK))


@pytest.fixture(scope="module")
def fetched(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """2014 of AAPL, which split 7:1 on 9 June, and of IBM, which did not."""
    histories = {name: lean_history(shared, name) for name in ("AAPL", "IBM")}
    with replaying(Yahoo(histories, as_at=D(2015, 1, 2))) as server:
        wire = Wire(tmp_path_factory.mktemp("replay"), base_urls={"yahoo": server.url}, clock=CLOCK)
        frame = YahooPrices(wire).fetch(["AAPL", "IBM"], YEAR)
        wire.store.close()
    return frame


def undivided(fetched: pd.DataFrame, until: str) -> pd.DataFrame:
    """AAPL's bars up to then as they were traded, which Yahoo forgot to divide."""
    frame = fetched.copy()
    wrong = (frame["ticker"] == "AAPL") & (frame["date"] <= until)
    frame.loc[wrong, PRICES] *= 7
    frame.loc[wrong, "Volume"] = (frame.loc[wrong, "Volume"] / 7).round().astype(int)
    return frame


def store(home: Path, frame: pd.DataFrame) -> tuple[Workspace, StepResult]:
    check_vendor_frames({"yahoo": frame})
    universe = home / "universe.csv"
    universe.write_text("ticker,source,listed\nAAPL,yahoo,2014-01-02\nIBM,yahoo,2014-01-02\n")
    grids = Grids(history_start=D(2013, 1, 1), first_cutoff=YEAR.start, first_decision=D(2014, 1, 2))
    work = Workspace.open(Settings(home=home, profile="live", universe=universe, grids=grids), as_of=D(2014, 12, 31), clock=CLOCK.now)
    return work, store_prices(work, ["AAPL", "IBM"], {"2014": YEAR}, RawPrices({"yahoo": frame}), run_id=None)


def test_bars_that_a_listed_split_missed_reach_the_lake_as_traded(tmp_path: Path, shared: Path, fetched: pd.DataFrame):
    work, result = store(tmp_path, undivided(fetched, "2014-06-04"))
    assert result.withheld == {}
    rows = work.lake.scan("prices").collect()
    for name in ("AAPL", "IBM"):
        assert_as_traded(rows.filter(ticker=name).select(pl.exclude("fetched_at")), lean_history(shared, name), YEAR, shares=30)
    log = work.lake.scan("quality_log").collect()
    n_bars = rows.filter(pl.col("ticker") == "AAPL", pl.col("session") <= D(2014, 6, 4)).height
    assert (log.height, set(log["ticker"]), set(log["method"])) == (5 * n_bars, {"AAPL"}, {UNDIVIDED})
    [row] = log.filter(session=D(2014, 6, 4), field="close").iter_rows(named=True)
    assert (row["original"], row["repaired"]) == (pytest.approx(7 * 644.82, rel=1e-6), 644.82)
    assert row["evidence"].startswith("split 7 on 2014-06-09; close 644.82 on 2014-06-04, then 92.47")
    assert result.figures["repaired_by_record"] == 5 * n_bars


def test_the_vendor_s_own_frame_is_not_touched(source: YahooPrices, fetched: pd.DataFrame):
    assert isinstance(source, Repairing)
    frame = undivided(fetched, "2014-06-04")
    kept = frame.copy()
    rows = source.repaired(frame, fetched_at=FETCHED_AT).rows
    pd.testing.assert_frame_equal(frame, kept)
    assert rows.schema == source.normalise(frame, fetched_at=FETCHED_AT).schema


def test_a_clean_frame_is_normalised_and_nothing_else(source: YahooPrices, fetched: pd.DataFrame):
    """Also one whose adjusted close holds no dividend, as that of the replay."""
    found = source.repaired(fetched, fetched_at=FETCHED_AT)
    assert found.rows.equals(source.normalise(fetched, fetched_at=FETCHED_AT))
    assert found.log.is_empty()
    assert source.repaired(fetched.head(0), fetched_at=FETCHED_AT).rows.is_empty()


def stepped(fetched: pd.DataFrame) -> pd.DataFrame:
    """With adjusted closes that hold the dividends, as Yahoo's do."""
    frame = fetched.copy()
    for _, own in frame.groupby("ticker"):
        shares = (1 - own["Dividends"] / own["Close"].shift()).fillna(1.0)
        later = shares[::-1].cumprod().shift(1, fill_value=1.0)[::-1]
        frame.loc[own.index, "Adj Close"] = (own["Close"] * later).round(6)
    return frame


def test_a_dividend_in_another_unit_than_its_step(source: YahooPrices, fetched: pd.DataFrame):
    """A special one of a tenth of the price, told in cents; the price fell by it."""
    clean = stepped(fetched)
    ibm, day = clean["ticker"] == "IBM", pd.Timestamp("2014-09-10")
    clean.loc[ibm & (clean["date"] >= day), [*PRICES, "Dividends"]] *= 0.9
    clean.loc[ibm & (clean["date"] == day), "Dividends"] = 19.0
    clean = stepped(clean)
    bad = clean.copy()
    bad.loc[ibm & (bad["date"] == day), "Dividends"] = 0.19
    found = source.repaired(bad, fetched_at=FETCHED_AT)
    assert found.rows.equals(source.normalise(clean, fetched_at=FETCHED_AT))
    [row] = found.log.iter_rows(named=True)
    assert (row["session"], row["field"], row["original"], row["repaired"]) == (day.date(), "dividend", 0.19, 19.0)
    assert row["method"] == OF_PRICE


def test_a_dividend_told_twice(source: YahooPrices, fetched: pd.DataFrame):
    clean = stepped(fetched)
    bad, ibm = clean.copy(), clean["ticker"] == "IBM"
    bad.loc[ibm & (bad["date"] == "2014-05-05"), "Dividends"] = 1.1  # which it paid on the 7th
    found = source.repaired(bad, fetched_at=FETCHED_AT)
    assert found.rows.equals(source.normalise(clean, fetched_at=FETCHED_AT))
    [row] = found.log.iter_rows(named=True)
    assert (row["session"], row["original"], row["repaired"], row["method"]) == (D(2014, 5, 5), 1.1, 0.0, AGAIN)


def test_what_is_not_proven_is_logged_as_delivered(tmp_path: Path, fetched: pd.DataFrame):
    bad = stepped(fetched)
    paid = (bad["ticker"] == "IBM") & (bad["Dividends"] > 0)
    bad.loc[paid, "Dividends"] /= 100  # half a per cent in cents: no day's price tells
    work, _ = store(tmp_path, bad)
    log = work.lake.scan("quality_log").collect()
    paid_on = [D(2014, 2, 6), D(2014, 5, 7), D(2014, 8, 6), D(2014, 11, 6)]
    assert log.select("ticker", "session", "field", "method").rows() == [("IBM", day, "dividend", LEFT + OF_PRICE) for day in paid_on]
    assert (log["original"] == log["repaired"]).all()
    assert log["evidence"].str.contains("the price does not tell which is right").all()
