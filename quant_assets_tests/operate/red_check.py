"""A home whose price gate fails, its webserver, and an operator who clicks from the red check to the offending rows and the remedy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page

from quant_assets.calendars import Window, sessions
from quant_assets_tests.natives import HEAD, line, put
from quant_assets_tests.night.homes import UNIVERSE, Home, new_home
from quant_assets_tests.operate.daemon import launched

NAME, LISTED = "ZZZ", dt.date(2012, 1, 3)
UPSIDE_DOWN = (dt.date(2012, 5, 3), dt.date(2012, 5, 4), dt.date(2013, 1, 9))
"""Sessions on which the file says that the low was above the high, and the close below zero."""
FELL = dt.date(2012, 6, 20)
"""A session at a third of the price before and after."""
PATIENCE_MS = 60_000


def broken_home(folder: Path) -> Home:
    """A small home with one name more, of a native file with impossible and unlikely bars."""
    home = new_home(folder, universe=f"{UNIVERSE}{NAME},kaggle,{LISTED}\n")
    days = sessions(Window(LISTED, dt.date(2013, 3, 2)))
    prices = {day: 10 + place % 7 / 10 for place, day in enumerate(days)}
    prices[FELL] /= 3
    bars = [f"{day},10,5,20,-3,1000,0\r\n" if day in UPSIDE_DOWN else line(day, price) for day, price in prices.items()]
    put(home.folder / "data" / "native", NAME, HEAD + "".join(bars))
    return home


@contextmanager
def webserver(home: Home) -> Iterator[str]:
    """Its address. Without a daemon: nothing else than what was run shows."""
    server = launched(home, "dagster_webserver", "-m", "quant_assets.definitions")
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@dataclass
class Seen:
    """What the page showed in the end, and how many clicks led to it."""

    clicks: int
    sentence: str
    remedies: list[str]
    rows: list[str]

    def __str__(self) -> str:
        return f"{self.clicks} clicks from the red check to {len(self.rows)} offending rows and the remedy: {self.remedies[0]}"


def from_red_check_to_rows(page: Page, base: str, *, asset: str = "prices", check: str = "gate") -> Seen:
    """From the asset's page, which shows how many checks are red; the pointer on that number opens their names."""
    clicks = 0

    def click(what: Locator) -> None:
        nonlocal clicks
        what.click()
        clicks += 1

    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{base}/assets/{asset}")
    page.get_by_text("Latest check results").wait_for()
    page.get_by_role("img", name="cancel").last.hover()
    click(page.get_by_role("link", name=check, exact=True))
    sentence = page.get_by_text("withheld: ").inner_text()
    click(page.get_by_text("[Show Markdown]"))
    dialog = page.get_by_role("dialog")
    dialog.locator("pre").wait_for()
    remedies = [told.removeprefix("Remedy: ") for told in dialog.locator("p").all_inner_texts() if told.startswith("Remedy: ")]
    rows = [row.strip() for row in dialog.locator("pre").inner_text().splitlines() if row.strip()]
    return Seen(clicks, sentence, remedies, rows[1:])
