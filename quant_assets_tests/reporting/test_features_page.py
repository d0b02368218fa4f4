"""The page of features in a real Chromium: what an entry says, what Find leaves, and that links lead where they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from quant_assets.features.catalog import CATALOG
from quant_assets.features.profile import profiles
from quant_assets.reporting.features_page import NOT_COMPUTED, null_when, plain, write_features_page
from quant_assets_tests.features.panels import SESSIONS, bars

TICKERS = tuple(f"N{place}" for place in range(8))
NAMES = ("rsi_14", "rsi_14_oversold", "dispersion_20", "atr_14_pct", "month", "vix", "ret_5", "cdl_hammer")
REASON = "macro has no VIXCLS by then"
N = 500


def made_up() -> pl.DataFrame:
    """`atr_14_pct` has few sessions, `month` is of the market, `vix` and `ret_5` are empty, `cdl_hammer` fires rarely."""
    rng = np.random.default_rng(7)
    rows = pl.concat([bars(name, n=N, actions=False) for name in TICKERS]).select("ticker", "session", "close").sort("ticker", "session")
    ahead = (pl.col("close").shift(-1) / pl.col("close") - 1).over("ticker").fill_null(0.0)
    noise = [pl.Series(rng.normal(0, 0.02, rows.height)) for _ in range(4)]
    return rows.with_columns(
        rsi_14=ahead + noise[0],
        rsi_14_oversold=noise[1],
        dispersion_20=noise[2],
        atr_14_pct=pl.when(pl.col("session") >= SESSIONS[N - 180]).then(ahead + noise[3]),
        month=pl.col("session").dt.month().cast(pl.Float64),
        vix=pl.lit(None, dtype=pl.Float64),
        ret_5=pl.lit(None, dtype=pl.Float64),
        cdl_hammer=(pl.int_range(pl.len()) % 200 == 0).cast(pl.Float64),
    ).drop("close")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "features.html"
    values = made_up()
    found = profiles(values, pl.concat([bars(name, n=N, actions=False) for name in TICKERS]), NAMES)
    without = {"vix": [(REASON, values.height)], "atr_14_pct": [("prices has no high of 2 names by then (N0, N1)", 640), ("needs 14", 9)]}
    write_features_page(values, found, {"baseline": ["rsi_14"]}, without, path, as_of=SESSIONS[N - 1], profile="offline")
    return path


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text))
    page.goto(file.as_uri())
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
    assert complaints == []


def left(page: Page) -> list[str]:
    found: list[str] = page.locator(".feature:not([hidden])").evaluate_all("all => all.map(one => one.id)")
    return found


def told(page: Page, selector: str) -> str:
    """The text, also of what is not in view and so not laid out."""
    return page.locator(selector).first.text_content() or ""


def test_a_coefficient_says_what_it_rests_on(page: Page) -> None:
    rows = page.locator("#rsi_14 .ic tbody tr")
    assert rows.locator("td:nth-child(4)").all_text_contents() == ["499", "495", "480"]
    assert rows.locator("td:nth-child(5)").all_text_contents() == ["8"] * 3
    assert rows.first.get_attribute("class") == "clear"


def test_few_sessions_are_grey_and_never_bold(page: Page) -> None:
    """180 sessions are fewer than ten blocks, though the first interval lies far from zero."""
    classes = page.locator("#atr_14_pct .ic tbody tr").evaluate_all("all => all.map(one => one.className)")
    assert classes == ["few"] * 3
    assert "+" in told(page, "#atr_14_pct .ic tbody tr td:nth-child(3)")
    assert "Grey rests on fewer than 10 blocks" in told(page, "#atr_14_pct")
    assert page.locator("#rsi_14 .ic ~ .legend").count() == 0


def test_what_goes_beyond_the_axis_has_an_arrow(page: Page) -> None:
    assert "above" in str(page.locator("#rsi_14 .plotted").first.get_attribute("class"))
    assert page.locator("#dispersion_20 .plotted.above").count() < 3


def test_what_excludes_zero_is_counted_beside_chance(page: Page) -> None:
    cells = [row.split() for row in page.locator(".chance tbody tr").all_inner_texts()]
    # rsi_14, rsi_14_oversold, dispersion_20, month; what is drawn of cdl_hammer has too few sessions in which names differ
    assert cells[0][:3] == ["1", "session", "4"]
    assert int(cells[0][-1]) == 0
    assert int(cells[0][-2]) >= 1


def test_reasons_are_told_and_what_is_not_computed_is_no_gap(page: Page) -> None:
    assert f"No value in the stored data: {REASON}." in told(page, "#vix")
    assert told(page, "#ret_5 .empty").startswith(NOT_COMPUTED.replace("not", "Not", 1))
    reasons = page.locator("#atr_14_pct .reason").all_text_contents()
    assert reasons == ["640: prices has no high of 2 names by then (N0, N1)", "9: needs 14"]
    assert "too little to measure" in told(page, "#cdl_hammer")
    assert told(page, "#cdl_hammer").count("too little") == 1
    assert "on 0.50 % of these, 20 times" in told(page, "#cdl_hammer")
    assert "All names, " in told(page, "#month figcaption")


def test_find_looks_at_the_beginnings_of_words(page: Page) -> None:
    page.fill("#find", "rsi")
    assert left(page) == ["rsi_14", "rsi_14_oversold"]
    assert page.locator("#found").inner_text() == "2 of 8"
    assert page.locator(".overview tbody tr:visible").count() == 2
    assert page.locator("nav a:visible").all_inner_texts() == ["overview", "momentum 2"]
    page.fill("#find", "nothing of that name")
    assert left(page) == []
    assert page.locator("#none").is_visible()


def test_a_link_to_what_find_left_out_clears_it_and_goes(page: Page) -> None:
    page.fill("#find", "rsi_14")
    page.locator("#rsi_14 dd a[href='#atr_14_pct'], #rsi_14_oversold h3 a").first.click()
    page.evaluate("location.hash = '#month'")
    page.wait_for_selector("#month:target")
    assert page.input_value("#find") == ""
    assert len(left(page)) == len(NAMES)
    page.wait_for_selector("#month >> visible=true")


def test_the_overview_sorts_and_keeps_few_sessions_last(page: Page) -> None:
    names = page.locator(".overview tbody th")
    assert set(names.all_inner_texts()[-3:]) == {"vix", "ret_5", "cdl_hammer"}
    assert names.all_inner_texts()[-4] == "atr_14_pct"
    page.locator(".overview thead button", has_text="Feature").click()
    assert names.all_inner_texts() == sorted(NAMES)
    page.locator(".overview thead button", has_text="Rows").click()
    assert names.all_inner_texts()[-3] == "atr_14_pct"
    assert page.locator(".overview [aria-sort]").count() == 1


@pytest.mark.parametrize(
    ("value", "text"), [(10432.7, "10,433"), (-0.56784, "−0.5678"), (0.0, "0"), (-0.0, "0"), (88.9, "88.9"), (-2000.0, "−2,000")]
)
def test_figures_are_plain(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ret_20", "its look-back is not full"),
        ("atr_14_pct", "its look-back is not full; the bar has no high or low"),
        ("session_of_month", CATALOG["session_of_month"].missing),
    ],
)
def test_when_a_value_is_null(name: str, text: str) -> None:
    assert null_when(name) == text
