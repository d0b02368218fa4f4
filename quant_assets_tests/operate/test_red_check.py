"""From a red check in Dagster's UI to the rows that turned it red and to what to do: two clicks in a real browser."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from playwright.sync_api import sync_playwright

from quant_assets_tests.operate.red_check import FELL, NAME, UPSIDE_DOWN, broken_home, from_red_check_to_rows, webserver


def test_two_clicks_lead_from_a_red_check_to_the_rows_and_the_remedy(chromium: str, tmp_path: Path):
    home = broken_home(tmp_path / "home")
    done = home.run("backfill", "--tables", "prices", "--start", "2012-01-03", "--tickers", NAME)
    assert f"withheld {NAME} 2012..2013" in done.stdout + done.stderr
    with webserver(home) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seen = from_red_check_to_rows(browser.new_page(viewport={"width": 1400, "height": 1000}), base)
        browser.close()
    assert seen.clicks == 2
    stored = home.lake.scan("quarantine", window=home.workspace().history).filter(pl.col("table") == "prices").collect()
    assert {*UPSIDE_DOWN, FELL} <= set(stored["session"])
    assert len(seen.rows) == stored.height
    for row, (session, reason) in zip(sorted(seen.rows), stored.select("session", "reason").sort("session").iter_rows(), strict=True):
        assert str(session) in row
        assert row.endswith(reason.split("; ")[0])
    assert seen.remedies == [
        "quarantined, correct it at the source and run again",
        "quarantined, add the corporate action, or let it in with quant-assets data quarantine release",
    ]
    assert seen.sentence.endswith(seen.remedies[0])
