"""What a night leaves of its features, and what a person sees of them at the terminal and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import sync_playwright

from quant_assets.features.catalog import ACROSS, CATALOG, OF_BARS
from quant_assets.features.feature import USD
from quant_assets_tests.night.homes import Home


def test_every_null_is_counted_with_its_reason(finished: Home):
    gaps = finished.table("feature_gaps")
    for table, names in (("features", OF_BARS), ("cross_section_features", ACROSS)):
        stored = finished.table(table)
        nulls = {name: stored[name].null_count() for name in names if stored[name].null_count()}
        counted = gaps.filter(table=table).group_by("feature").agg(pl.col("sessions").sum())
        assert dict(counted.iter_rows()) == nulls
    reasons = set(gaps.filter(feature="vix")["reason"])
    assert reasons == {"macro has no VIXCLS by then"}
    assert set(gaps.filter(feature="book_to_price", ticker="AAPL")["reason"]) == {"fundamentals has nothing of AAPL by then"}
    assert set(gaps.filter(feature="atr_14_pct", ticker="KO")["reason"]) == {"prices has no high of KO by then"}


def test_ranks_are_among_the_names_of_the_session(finished: Home):
    ranks, values = finished.table("cross_section_features"), finished.table("features")
    both = ranks.join(values.select("ticker", "session", "ret_5"), on=["ticker", "session"]).drop_nulls("rank_ret_5")
    for _, day in both.group_by("session"):
        ordered = day.sort("ret_5")["rank_ret_5"].to_list()
        assert ordered == sorted(ordered)
        assert (ordered[0], ordered[-1]) == (0.0, 1.0)
    assert ranks["rank_volume_ratio_20"].null_count() == ranks.height  # four of the six names have volumes, and five are needed


def test_the_report_says_which_features_are_empty(finished: Home):
    page = next((finished.folder / "outputs" / "signals").glob("*.html")).read_text()
    assert "features have no value for any name tonight, and none was made up: " in page
    assert "; 9 macro (macro lacks them); 31 fundamental (fundamentals has nothing); " in page


def test_the_list_is_the_catalogue(finished: Home):
    code, told = finished.json("features", "list")
    assert code == 0
    assert [item["name"] for item in told["items"]] == list(CATALOG)
    assert all(item["formula"] and item["source"] and item["missing"] for item in told["items"])
    shown = finished.run("features", "list", "--family", "garch")
    assert shown.returncode == 0
    assert "garch_volatility" in shown.stdout
    assert "rsi_14" not in shown.stdout
    wrong = finished.run("features", "list", "--family", "grach")
    assert wrong.returncode == 2
    assert "--family 'grach' is unknown; did you mean garch?" in wrong.stderr


def test_a_feature_is_described_and_measured(finished: Home):
    code, told = finished.json("features", "describe", "rsi_14")
    assert code == 0
    assert told["lookback"] == CATALOG["rsi_14"].lookback
    measured = told["measured"]
    stored = finished.table("features")
    assert measured["share"] == pytest.approx(1 - stored["rsi_14"].null_count() / stored.height)
    assert [ic["horizon"] for ic in measured["ic"]] == [1, 5, 20]
    assert all(ic["low"] < ic["mean"] < ic["high"] for ic in measured["ic"])
    assert measured["without"] == {"needs 14 sessions before it": 6 * 14}
    text = finished.run("features", "describe", "vix").stdout
    assert "rows without: macro has no VIXCLS by then" in text
    assert "too little to measure" in text
    wrong = finished.run("features", "describe", "rsi_15")
    assert (wrong.returncode, "did you mean rsi_14" in wrong.stderr) == (2, True)


def test_a_feature_is_drawn(finished: Home):
    done = finished.run("features", "plot", "rsi_14", "--tickers", "IBM,KO")
    assert done.returncode == 0, done.stderr
    assert "rsi_14 of IBM, 2011-03-01 to 2013-03-01, 504 sessions [0..100]" in done.stdout
    assert "rsi_14 of KO, 2011-03-01 to 2013-03-01, 504 sessions [0..100]" in done.stdout
    assert "█" in done.stdout
    absent = finished.run("features", "plot", "vix")
    assert absent.returncode == 1
    assert "vix has no value in the lake: macro has no VIXCLS by then" in absent.stderr


def test_the_page_holds_every_feature(copy_of_page: Path, chromium: str):
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.goto(copy_of_page.as_uri())
        assert page.locator(".feature").evaluate_all("all => all.map(one => one.id)") == list(CATALOG)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.fill("#find", "garch volatility")
        assert page.locator(".feature:visible").count() >= 1
        assert page.locator("#found").inner_text().endswith(f"of {len(CATALOG)}")
        page.fill("#find", "vix")
        assert "macro has no VIXCLS by then" in str(page.locator("#vix").text_content())
        browser.close()
    assert errors == []


@pytest.fixture(scope="module")
def copy_of_page(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = finished.copy(tmp_path_factory.mktemp("page") / "home")
    done = home.run("features", "page")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path == home.folder / "outputs" / "features.html"
    return path


def test_without_a_night_there_is_nothing_to_measure(tmp_path: Path):
    home = Home(tmp_path)
    done = home.run("features", "describe", "atr_14", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["unit"] == USD
    assert "no features in the lake; run `quant-assets run` first" in told["measured"]["reason"]
    assert home.run("features", "page").returncode == 1
