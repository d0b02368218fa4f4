"""The page in a real Chromium, opened from disk: what its script draws, selects and sorts, and that it asks for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from quant_assets.reporting.html_page import write_html
from quant_assets_tests.reporting.samples import sample, without_scores
from quant_assets_tests.reporting.test_html_page import hostile

TRACES = "plot => plot.data.map(trace => trace.type + ':' + trace.x.length)"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


class Visit:
    """An opened page with everything its console said and every address it asked for."""

    def __init__(self, browser: Browser, file: Path, fragment: str = "", width: int = 1440) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.complaints.append(request.url) if request.url.split("#")[0] != file.as_uri() else None)
        self.page.goto(file.as_uri() + fragment)

    def selected(self) -> str | None:
        return self.page.locator("article.selected").get_attribute("id")

    def traces(self, figure: str) -> list[str]:
        found: list[str] = self.page.locator(f"{figure} .plot").evaluate(TRACES)
        return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "daily_report_2013-03-01.html"
    write_html(sample(), path)
    return path


def test_it_opens_quietly_and_draws_the_portfolio_and_the_first_name(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)
    assert [trace.split(":")[0] for trace in visit.traces("#rules figure")] == ["scatter"] * 3
    assert visit.page.locator("#rules .main-svg").first.is_visible()
    assert visit.selected() == visit.page.locator(".ranking tbody th").first.inner_text()
    assert visit.complaints == []


def test_choosing_a_name_draws_its_candles_and_drops_the_others(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)
    visit.page.select_option("#picker", "MSFT")
    assert visit.selected() == "MSFT"
    assert visit.page.url.endswith("#MSFT")
    assert "candlestick:252" in visit.traces("#MSFT figure.price")
    assert len(visit.traces("#MSFT figure.equity")) == 3
    assert visit.page.locator("article .main-svg:visible").count() > 0
    assert visit.page.locator("article:not(.selected) .main-svg").count() == 0
    assert visit.complaints == []


def test_a_deep_link_opens_its_name_and_a_row_of_the_table_another(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file, "#KO")
    assert visit.selected() == "KO"
    assert visit.page.locator("#picker").input_value() == "KO"
    assert {trace.split(":")[0] for trace in visit.traces("#KO figure.price")} == {"scatter"}
    visit.page.locator(".ranking tbody a", has_text="IBM").click()
    visit.page.wait_for_selector("#IBM.selected")
    assert [trace.split(":")[0] for trace in visit.traces("#IBM figure.equity")] == ["scatter"] * 2
    assert visit.complaints == []


def test_a_link_to_a_name_that_is_not_there_opens_the_first(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file, "#%E0%A4%A")
    assert visit.selected() is not None
    assert visit.complaints == []


def test_columns_sort_both_ways(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)

    def column(index: int) -> list[str]:
        return [text.strip() for text in visit.page.locator(f".ranking tbody tr > :nth-child({index})").all_inner_texts()]

    by_name = visit.page.locator(".ranking thead button", has_text="Name")
    by_name.click()
    assert column(2) == sorted(column(2))
    by_name.click()
    assert column(2) == sorted(column(2), reverse=True)
    visit.page.locator(".ranking thead button", has_text="Rank").click()
    assert column(1) == [str(rank) for rank in range(1, 23)]
    assert visit.page.locator(".ranking th[aria-sort]").all_inner_texts()[0].startswith("Rank")


def test_the_charts_follow_the_colour_scheme_and_paper_is_light(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)
    colour = "plot => plot.layout.font.color"
    plot = visit.page.locator("#rules .plot")
    light = plot.evaluate(colour)
    visit.page.emulate_media(color_scheme="dark")
    # A selector, not wait_for_function: that one evaluates text inside the page, which the page's policy forbids.
    visit.page.wait_for_selector("html[data-theme=dark]")
    dark = plot.evaluate(colour)
    assert dark != light
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert plot.evaluate(colour) == light
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert plot.evaluate(colour) == dark


def test_a_phone_scrolls_tables_and_never_the_page(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file, "#AAPL", width=390)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_first_night_opens_quietly_too(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "first.html"
    write_html(without_scores(sample(), reason="a very long reason " * 60), path)
    visit = Visit(browser, path, width=390)
    assert visit.selected() == "AAPL"
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    assert visit.complaints == []


def test_foreign_text_does_not_run(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    write_html(hostile(sample()), path)
    visit = Visit(browser, path, width=390)
    assert visit.page.evaluate("typeof window.hacked") == "undefined"
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    assert visit.complaints == []
