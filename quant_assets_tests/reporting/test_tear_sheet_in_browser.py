"""The tear sheet in a real Chromium, opened from disk: what its script draws and switches, and what stands there without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from quant_assets.backtest.track import Track
from quant_assets.reporting.tear_sheet import TearSheet, render
from quant_assets_tests.reporting.tear_samples import ONCE, bars, booked, sample, strategy

WITHOUT_INFLATE = "delete window.DecompressionStream"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "sheet.html"
    path.write_text(render(sample()), encoding="utf-8")
    return path


class Visit:
    """An opened page, tall enough that every chart is near the screen, with everything that its console said or it asked for."""

    def __init__(self, browser: Browser, file: Path, *, width: int = 1280) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 16_000})
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.complaints.append(request.url) if request.url != file.as_uri() else None)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        self.page.wait_for_selector("figure[data-chart=sweep] .main-svg")

    def traces(self, kind: str) -> list[str]:
        found: list[str] = self.page.locator(f"figure[data-chart={kind}] .plot").evaluate("plot => plot.data.map(trace => trace.type)")
        return found


def test_it_opens_quietly_draws_every_chart_and_switches_strategies(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)
    kinds = ("equity", "drawdown", "sharpe", "beta", "distribution", "candles", "exposure", "costs", "fan", "sweep")
    assert [kind for kind in kinds if not visit.traces(kind)] == []
    assert visit.traces("equity") == ["scatter"] * 4
    assert visit.traces("candles") == ["candlestick"] + ["scatter"] * 4
    assert visit.page.locator("[aria-pressed=true]").all_inner_texts() == ["Linear", "Busy"]

    visit.page.locator(".chooser button", has_text="Idle").click()
    assert visit.page.locator("figure[data-chart=fan]").is_hidden()
    assert visit.page.locator("#months .of.selected").inner_text().startswith("Idle (idle rule) bought nothing")
    visit.page.locator(".chooser button", has_text="Busy").click()
    assert visit.page.locator("figure[data-chart=fan]").is_visible()

    visit.page.locator("button", has_text="Log").click()
    assert visit.page.locator("figure[data-chart=equity] .plot").evaluate("plot => plot.layout.yaxis.type") == "log"

    visit.page.select_option("#candle-name", "MSFT")
    visit.page.select_option("#candle-year", "2012")
    shown = visit.page.locator("figure[data-chart=candles] .plot").evaluate("plot => [plot.data[0].name, plot.data[0].x[0].slice(0, 4)]")
    assert shown == ["MSFT", "2012"]
    assert visit.complaints == []


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve years: a rule of many trades that made and lost millions, and one whose only trade is in the first year."""
    prices = bars(("IBM",), n_sessions=3_000)
    often, once = (strategy(f"k{every}", f"Every {every}", prices, None, every=every) for every in (5, ONCE))
    steps = np.random.default_rng(1).normal(0.0003, 0.012, often.track.wealth.size)
    rich = replace(often.track, wealth=1e4 * np.exp(np.cumsum(steps)), trades=often.track.trades.with_columns(pl.col("pnl") * 1_000))
    early = Track.of(*booked(prices, every=ONCE, hold=3))
    path = tmp_path_factory.mktemp("long") / "sheet.html"
    sheet = TearSheet("Long", "money", [replace(often, track=rich), replace(once, name="Once", track=early)], prices=prices)
    path.write_text(render(replace(sheet, sweep=sample().sweep)), encoding="utf-8")
    return path


def test_a_long_record_opens_where_it_traded_and_nothing_is_clipped_or_collides(browser: Browser, long_file: Path) -> None:
    visit = Visit(browser, long_file)
    beyond = "tables => tables.map(table => table.scrollWidth - table.clientWidth)"
    assert visit.page.locator("#breakdown .of.selected .scroll").evaluate_all(beyond) == [0] * 4
    boxes = "ticks => ticks.map(tick => tick.getBoundingClientRect()).map(box => [box.top, box.bottom])"
    ticks = sorted(visit.page.locator("figure[data-chart=fan] .ytick text").evaluate_all(boxes))
    assert len(ticks) > 2
    assert all(above[1] <= below[0] for above, below in pairwise(ticks))
    assert visit.page.locator("#candle-year").input_value() == "2013"
    visit.page.locator(".chooser button", has_text="Once").click()
    assert visit.page.locator("#candle-year").input_value() == "2001"
    assert visit.traces("candles") == ["candlestick"] + ["scatter"] * 4
    assert visit.complaints == []


def test_a_dark_telephone_scrolls_tables_and_never_the_page(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file, width=390)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    colour = "plot => plot.layout.font.color"
    light = visit.page.locator("figure[data-chart=equity] .plot").evaluate(colour)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_selector("html[data-theme=dark]")
    assert visit.page.locator("figure[data-chart=equity] .plot").evaluate(colour) != light


@pytest.mark.parametrize("scripts", [True, False])
def test_without_charts_it_says_so_and_the_tables_stand(browser: Browser, file: Path, scripts: bool) -> None:
    context = browser.new_context(java_script_enabled=scripts)
    if scripts:
        context.add_init_script(WITHOUT_INFLATE)
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector(".no-charts", state="visible")
    assert page.locator(".plot:visible").count() == 0
    assert page.locator(".of:visible").count() == page.locator(".of").count()
    assert page.locator(".headline table").is_visible()
    assert ("DecompressionStream" in page.locator(".no-charts .why").inner_text()) == scripts
