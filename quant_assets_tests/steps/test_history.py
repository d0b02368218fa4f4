"""The history grid step by step on real names: the same rows from any way of asking, and faults that stay in their cell."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, sessions, year_window
from quant_assets.demand import demand
from quant_assets.errors import LakeError, LookbackIncomplete
from quant_assets.schemas import TABLES
from quant_assets.steps import features, history
from quant_assets.workspace import Workspace
from quant_assets_tests.small import FETCHED_AT, LISTINGS, store, workspace

D = dt.date
NAMES = ["AAPL", "FB", "KO"]
YEARS = ["2010", "2011", "2012", "2013"]
LATER = dt.datetime(2026, 1, 3, 12, tzinfo=dt.UTC)


def stored(work: Workspace, table: str) -> pl.DataFrame:
    return work.lake.scan(table).collect().sort(TABLES[table].key)


def fill(work: Workspace, years: list[str] = YEARS) -> None:
    windows = {year: work.year_windows()[year] for year in years}
    history.fetch_index_prices(work, windows)
    store(work, NAMES, years)
    features.build_features(work, NAMES, windows, run_id="night")
    history.build_labels(work, NAMES, windows, run_id="night")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Index prices, prices, features and labels of three names from 2010 on. Read only."""
    work = workspace(tmp_path_factory.mktemp("filled"))
    fill(work)
    return work


def test_rows_are_those_of_the_listings(filled: Workspace):
    for table in ("prices", "features", "labels"):
        rows = stored(filled, table)
        for ticker in NAMES:
            listed = filled.universe[ticker].listed
            days = [day for day in sessions(filled.history) if day >= listed]
            assert rows.filter(ticker=ticker)["session"].to_list() == days
    assert set(stored(filled, "coverage")["status"]) == {"complete"}
    assert stored(filled, "quarantine").is_empty()


def test_bars_after_a_delisting_are_not_the_dead_names(tmp_path: Path):
    """Whoever has the ticker next: nothing of it is stored, and nothing is missing."""
    last = D(2012, 11, 14)
    work = workspace(tmp_path, listings=f"ticker,source,listed,delisted\nAAPL,bokeh,2000-03-01,{last}\nMSFT,bokeh,2000-03-01,\n")
    windows = {year: work.year_windows()[year] for year in ("2012", "2013")}
    raw = history.fetch_raw_prices(work, ["AAPL", "MSFT"], windows)
    assert raw.frames["bokeh"].groupby("ticker")["date"].max()["AAPL"].date() == D(2013, 3, 1)
    done = history.store_prices(work, ["AAPL", "MSFT"], windows, raw, run_id="night")
    assert done.withheld == {}
    ends = stored(work, "prices").group_by("ticker").agg(pl.col("session").max()).sort("ticker").rows()
    assert ends == [("AAPL", last), ("MSFT", D(2013, 3, 1))]
    assert set(stored(work, "coverage").select("ticker", "window", "status").rows()) == {
        ("AAPL", "2012", "complete"),
        ("MSFT", "2012", "complete"),
        ("MSFT", "2013", "complete"),
    }


def test_one_year_at_a_time_gives_the_same_rows(filled: Workspace, tmp_path: Path):
    """In any order: an action on the first session of a year is seen against the bar before, which is not stored twice."""
    work = workspace(tmp_path)
    for year in ("2012", "2010", "2013", "2011"):
        store(work, NAMES, [year])
    history.fetch_index_prices(work, work.year_windows())
    for year in YEARS:
        window = {year: year_window(int(year))}
        features.build_features(work, NAMES, window, run_id="night")
        history.build_labels(work, NAMES, window, run_id="night")
    for table in ("prices", "index_prices", "features", "labels", "quality_log"):
        assert_frame_equal(stored(work, table), stored(filled, table), check_exact=table != "features", rel_tol=1e-9, abs_tol=0)


def test_an_action_on_the_first_session_asked_for_is_stored(tmp_path: Path):
    """AAPL paid 2.65 on 2012-08-09, the first day of this window."""
    work = workspace(tmp_path)
    window = {"asked": Window(D(2012, 8, 9), D(2012, 9, 1))}
    history.store_prices(work, ["AAPL"], window, history.fetch_raw_prices(work, ["AAPL"], window), run_id=None)
    rows = stored(work, "prices")
    assert rows["session"].to_list() == sessions(window["asked"])
    assert rows["dividend"][0] == pytest.approx(2.65, abs=0.005)
    [logged] = stored(work, "quality_log").iter_rows(named=True)
    assert (logged["session"], logged["field"]) == (D(2012, 8, 9), "dividend")
    assert logged["repaired"] == rows["dividend"][0]


def test_a_deleted_year_comes_back(tmp_path: Path):
    """Every row as it was, but for the moment it was fetched."""
    work = workspace(tmp_path)
    fill(work)
    tables = ("prices", "index_prices", "features", "labels")
    before = {table: stored(work, table) for table in tables}
    for table in tables:
        (work.lake.root / table / "year=2011" / "part.parquet").unlink()
    later = dataclasses.replace(work, clock=lambda: LATER)
    fill(later, ["2011"])
    for table in tables:
        after = stored(later, table)
        if "fetched_at" in after.columns:
            again = pl.col("session").dt.year() == 2011
            assert after.filter(again)["fetched_at"].unique().to_list() == [LATER]
            assert after.filter(~again)["fetched_at"].unique().to_list() == [FETCHED_AT]
        without = [name for name in after.columns if name != "fetched_at"]
        assert_frame_equal(after.select(without), before[table].select(without), check_exact=True)


def test_labels_are_null_until_their_end_and_constant_from_then_on(filled: Workspace, tmp_path: Path):
    """The year 2012 built on three nights."""
    window = {"2012": year_window(2012)}
    seen = {}
    for as_of in (D(2012, 10, 26), D(2012, 12, 31), D(2013, 3, 1)):
        folder = tmp_path / str(as_of)
        folder.mkdir()
        work = workspace(folder, as_of=as_of)
        store(work, NAMES, list(work.year_windows()))
        history.build_labels(work, NAMES, window, run_id=None)
        seen[as_of] = rows = stored(work, "labels")
        assert rows["session"].max() == min(as_of, D(2012, 12, 31))
        ahead = pl.col("label_end") > as_of
        assert rows.filter(ahead).select("label", "ret").null_count().row(0) == (rows.filter(ahead).height,) * 2
        assert rows.filter(~ahead).select("label", "ret").null_count().row(0) == (0, 0)
    first, second, last = seen.values()
    for early, late in ((first, second), (second, last)):
        both = early.drop_nulls("label").join(late, on=["ticker", "session"], suffix="_later")
        assert both["label"].equals(both["label_later"])
        assert both["ret"].equals(both["ret_later"])
    # Sandy closed the 29th and 30th: what began on the 26th ended on 2 November
    assert first.filter(session=D(2012, 10, 26))["label_end"].unique().to_list() == [D(2012, 11, 2)]
    assert last.equals(stored(filled, "labels").filter(pl.col("session").dt.year() == 2012))


@pytest.mark.parametrize(
    ("columns", "factor", "said"),
    [
        (["close"], -1.0, "close is -"),
        (["close"], float("nan"), "close is missing"),
        (["low"], 1.5, "low"),
        (["volume"], -1.0, "volume is -"),
        # The adjusted close stays, so a dividend is inferred, and its opposite the day after.
        (["open", "high", "low", "close"], 0.9, "2012-06-08: dividend -"),
        (["open", "high", "low", "close"], 1.1, "2012-06-07: dividend -"),
        (["open", "high", "low", "close"], 0.15, "2012-06-07: dividend 485"),
    ],
)
def test_a_fault_of_one_vendor_row_stays_in_its_cell(filled: Workspace, tmp_path: Path, columns: list[str], factor: float, said: str):
    """Before the gate nothing breaks over it: the vendor's frame is normalised, compared and judged as it is."""
    work = workspace(tmp_path)
    windows = work.year_windows()
    raw = history.fetch_raw_prices(work, NAMES, windows)
    here = (raw.frames["bokeh"]["ticker"] == "AAPL") & (raw.frames["bokeh"]["date"] == "2012-06-07")
    assert here.sum() == 1
    raw.frames["bokeh"] = raw.frames["bokeh"].astype({"volume": float})
    raw.frames["bokeh"].loc[here, columns] *= factor
    result = history.store_prices(work, NAMES, windows, raw, run_id="night")
    assert list(result.withheld) == [("AAPL", "2012")]
    assert said in result.withheld[("AAPL", "2012")]
    others = ~((pl.col("ticker") == "AAPL") & (pl.col("session").dt.year() == 2012))
    assert_frame_equal(stored(work, "prices"), stored(filled, "prices").filter(others), check_exact=True)
    assert not {check.name: check.passed for check in result.checks}["gate"]
    [cell] = stored(work, "coverage").filter(status="withheld").iter_rows(named=True)
    assert (cell["ticker"], cell["window"], cell["reason"]) == ("AAPL", "2012", result.withheld[("AAPL", "2012")])
    assert set(stored(work, "quarantine")["ticker"]) == {"AAPL"}
    lacking = "prices incomplete: 250 sessions missing, 2012-01-03..2012-12-31"
    with pytest.raises(LookbackIncomplete, match=re.escape(f"AAPL: {lacking}; materialise prices")):
        features.build_features(work, ["AAPL"], windows, run_id=None)
    history.fetch_index_prices(work, windows)
    built = features.build_features(work, NAMES, windows, run_id=None)
    assert set(built.withheld.items()) == {(("AAPL", window), lacking) for window in windows}
    assert set(stored(work, "features")["ticker"]) == set(NAMES) - {"AAPL"}
    assert store(work, ["AAPL"], ["2012"]).withheld == {}
    assert_frame_equal(stored(work, "prices"), stored(filled, "prices"), check_exact=True)
    assert stored(work, "quarantine").is_empty()


def test_a_withheld_cell_keeps_what_an_earlier_night_let_in(tmp_path: Path):
    work = workspace(tmp_path)
    windows = {year: work.year_windows()[year] for year in ("2012", "2013")}
    store(work, ["AAPL"], list(windows))
    before = stored(work, "prices")
    raw = history.fetch_raw_prices(work, ["AAPL"], windows)
    raw.frames["bokeh"].loc[raw.frames["bokeh"]["date"] == "2012-06-07", "high"] = 400.0
    assert list(history.store_prices(work, ["AAPL"], windows, raw, run_id=None).withheld) == [("AAPL", "2012")]
    assert_frame_equal(stored(work, "prices"), before, check_exact=True)
    assert set(stored(work, "quarantine")["session"]) == {D(2012, 6, 7)}


def test_a_genuine_crash_survives_through_the_second_source(tmp_path: Path):
    """Also when the crash is on the first session asked for, and not when the second source is away."""
    work = workspace(tmp_path, history_start=D(2000, 1, 1))
    for window in ({"2000": year_window(2000)}, {"day": Window(D(2000, 9, 29), D(2001, 1, 1))}):
        raw = history.fetch_raw_prices(work, ["AAPL"], window)
        assert history.store_prices(work, ["AAPL"], window, raw, run_id=None).withheld == {}
        alone = history.RawPrices({"bokeh": raw.frames["bokeh"]})
        [(_, reason)] = history.store_prices(work, ["AAPL"], window, alone, run_id=None).withheld.items()
        assert reason.startswith("AAPL 2000-09-29: close moved -51.9 % with no split on record")


def test_disagreements_are_logged_with_both_values(tmp_path: Path):
    work = workspace(tmp_path, history_start=D(2003, 1, 1))
    result = store(work, ["AAPL", "MSFT"], ["2003"])
    assert (result.figures["disagreements"], result.withheld) == (2, {})
    log = stored(work, "quality_log").filter(field="total_return")
    assert log.select("ticker", "session").rows() == [("AAPL", D(2003, 1, 29)), ("AAPL", D(2003, 1, 30))]
    assert log["original"].to_list() == pytest.approx([0.02715, -0.04405], abs=1e-5)
    agree = next(check for check in result.checks if check.name == "sources_agree")
    assert not agree.passed
    assert agree.description == "AAPL, MSFT: 504 sessions in two sources, 2 total returns differ by more than 1 %"


def test_a_year_before_the_listing_and_a_name_without_source(tmp_path: Path):
    """Nothing to do is no failure; nothing delivered is."""
    listings = "ticker,source,listed\nFB,bokeh,2012-05-18\nZZZ,bokeh,2012-01-03\n"
    work = workspace(tmp_path, listings=listings)
    history.fetch_index_prices(work, work.year_windows())
    early = {"2011": year_window(2011)}
    assert store(work, ["FB"], ["2011"]).withheld == {}
    assert features.build_features(work, ["FB"], early, run_id=None).rows.is_empty()
    assert history.build_labels(work, ["FB"], early, run_id=None).rows.is_empty()
    withheld = store(work, ["ZZZ"], ["2012"]).withheld
    assert withheld == {
        (
            "ZZZ",
            "2012",
        ): "ZZZ 2012-01-03: no bar; run again, name a second source, list the name later, or give its last session as `delisted`"
    }


def test_features_need_the_index(tmp_path: Path):
    work = workspace(tmp_path)
    store(work, ["KO"], YEARS)
    for year in ("2010", "2012", "2013"):
        history.fetch_index_prices(work, {year: year_window(int(year))})
    message = r"index_prices: sp500 lacks 252 sessions, 2011-01-03\.\.2011-12-30; materialise index_prices"
    with pytest.raises(LakeError, match=message):
        features.build_features(work, ["KO"], {"2012": year_window(2012)}, run_id=None)
    assert features.build_features(work, ["KO"], {"2010": year_window(2010)}, run_id=None).rows.height == 252


def test_bars_of_another_source_than_todays_count_as_missing(tmp_path: Path):
    """A name's source was changed in the universe file, or the profile was: two vendors' bars never stand side by side."""
    work = workspace(tmp_path)
    store(work, ["AAPL", "MSFT"], YEARS)
    history.fetch_index_prices(work, work.year_windows())
    assert demand("prices", work, ["AAPL", "MSFT"]).holes.is_empty()
    assert demand("index_prices", work, []).holes.is_empty()
    other = workspace(tmp_path, listings=LISTINGS.replace("AAPL,bokeh", "AAPL,skfolio"))
    missing = demand("prices", other, ["AAPL", "MSFT"]).holes
    assert (set(missing["key"]), missing["window"].to_list()) == ({"AAPL"}, YEARS)
    store(other, ["AAPL"], YEARS)
    assert demand("prices", other, ["AAPL", "MSFT"]).holes.is_empty()
    assert set(stored(other, "prices").filter(ticker="AAPL")["source"]) == {"skfolio"}
    elsewhere = dataclasses.replace(work, settings=work.settings.model_copy(update={"profile": "live"}))
    assert demand("index_prices", elsewhere, []).holes.height == 2 * len(YEARS)
    assert demand("prices", elsewhere, ["AAPL"]).holes.height == len(YEARS)


def test_a_name_that_its_vendor_does_not_deliver_keeps_what_it_had(tmp_path: Path):
    """The others are stored; it is told in the vendor's words and no session of it is called a hole."""
    work = workspace(tmp_path)
    store(work, ["AAPL", "KO"], ["2012"])
    before = stored(work, "prices")
    windows = {year: work.year_windows()[year] for year in ("2012", "2013")}
    whole = history.fetch_raw_prices(work, ["KO"], windows)
    raw = history.RawPrices(whole.frames, {"AAPL": "the vendor answered 429"})
    result = history.store_prices(work, ["AAPL", "KO"], windows, raw, run_id=None)
    assert result.withheld == {("AAPL", "2012"): "the vendor answered 429", ("AAPL", "2013"): "the vendor answered 429"}
    after = stored(work, "prices")
    assert_frame_equal(after.filter(ticker="AAPL"), before.filter(ticker="AAPL"), check_exact=True)
    assert after.filter(ticker="KO")["session"].max() == D(2013, 3, 1)
    assert stored(work, "quarantine").is_empty()
    cells = stored(work, "coverage").filter(ticker="AAPL").sort("window")
    assert cells.select("window", "status", "reason").rows() == [
        ("2012", "withheld", "the vendor answered 429"),
        ("2013", "withheld", "the vendor answered 429"),
    ]
    nobody = history.RawPrices({}, dict.fromkeys(["AAPL", "KO"], "the vendor is away"))
    assert set(history.store_prices(work, ["AAPL", "KO"], windows, nobody, run_id=None).withheld.values()) == {"the vendor is away"}
    assert_frame_equal(stored(work, "prices"), after, check_exact=True)
