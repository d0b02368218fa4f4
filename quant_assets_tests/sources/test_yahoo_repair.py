"""Yahoo's contradictions on their way into the lake: put right as traded, with what was delivered beside it in `quality_log`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.defs.vendor_types import check_vendor_frames
from quant_assets.quality.vendor_splits import UNDIVIDED
from quant_assets.settings import Grids, Settings
from quant_assets.sources.base import Repairing
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


def test_a_dividend_that_contradicts_itself_is_left_to_the_gate(source: YahooPrices, fetched: pd.DataFrame):
    """Which word holds only later dividends and later prices tell: told twice, and in another unit than its step."""
    clean = stepped(fetched)
    ibm = clean["ticker"] == "IBM"
    for day, factor, told in (("2014-05-05", 0.0, 1.1), ("2014-05-07", 100.0, 0.0)):
        bad = clean.copy()
        at = ibm & (bad["date"] == day)
        bad.loc[at, "Dividends"] = bad.loc[at, "Dividends"] * factor + told
        found = source.repaired(bad, fetched_at=FETCHED_AT)
        assert found.rows.equals(source.normalise(bad, fetched_at=FETCHED_AT))
        assert found.log.is_empty()
