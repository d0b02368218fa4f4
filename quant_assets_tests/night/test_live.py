"""Whole nights of profile live against Yahoo on loopback: one that loses two names, and the next, which asks for those two only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.sources.fred import SERIES
from quant_assets_tests.night.homes import Home, new_home
from quant_assets_tests.replay import Asked, ReplayServer, Reply, replaying
from quant_assets_tests.replay_yahoo import CHART, Yahoo, absent, index_history, lean_history
from quant_assets_tests.sources.fred_answers import error, fred
from quant_assets_tests.sources.sec_answers import FUND, company, listed, sec
from quant_assets_tests.sources.yahoo_answers import CALENDAR, announcement, calendar

NIGHT = "2012-12-14"
SETTINGS = """profile = "live"
universe = "universe.csv"

[grids]
history_start = 2008-01-01
first_cutoff = 2012-07-01
first_decision = 2012-10-01

[sources.yahoo]
base_url = "{yahoo}"

[sources.fred]
base_url = "{fred}"

[sources.sec]
base_url = "{sec}"
contact = "quant@example.com"
"""
UNIVERSE = """ticker,source,listed
AAPL,yahoo,2008-01-02
BAC,yahoo,2008-01-02
IBM,yahoo,2008-01-02
SPY,yahoo,2008-01-02
"""


BAD_LOWS = {dt.date(2009, 9, 21): 184.02, dt.date(2010, 8, 31): 241.88, dt.date(2011, 1, 3): 325.9}
"""Lows of Apple that LEAN has below a tenth of the rest of their bars; each is bounded by open and close."""


def overloaded(_: Asked) -> Reply:
    return Reply("Too Many Requests\r\n", 429, "text/plain", headers={"Retry-After": "1"})


@dataclass
class Nights:
    """A home, its Yahoo, and what the first two nights said (exit code, document) and asked for (symbols)."""

    home: Home
    server: ReplayServer
    yahoo: Yahoo
    first: tuple[int, Any]
    first_asked: list[str]
    second: tuple[int, Any]
    second_asked: list[str]
    economy: list[str]
    """The series that FRED was asked for, in both nights."""


def symbols(asked: list[Asked]) -> list[str]:
    return [unquote(each.path).removeprefix(CHART) for each in asked if unquote(each.path).startswith(CHART)]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Nights]:
    histories = {name: lean_history(shared, name, kind="ETF" if name == "SPY" else "EQUITY") for name in ("AAPL", "BAC", "IBM", "SPY")}
    yahoo = Yahoo(histories | {symbol: index_history(symbol) for symbol in ("^GSPC", "^IXIC")})
    yahoo.wrong = {"BAC": overloaded, "IBM": absent}
    announced = [announcement(dt.date(2012, 10, 25), 16, 8.75, 8.67)]
    yahoo.pages = {CALENDAR: lambda asked: calendar(asked.params["symbol"], announced)(asked)}
    rates = {name: [("2012-11-01", "2012-12-07", "7.7")] for name in SERIES}
    filing = {"end": "2012-09-29", "val": 7, "accn": "1", "fy": 2012, "fp": "FY", "form": "10-K", "filed": "2012-10-31"}
    companies = sec({1: company(1, filing)}, tickers=listed(AAPL=1, BAC=FUND, IBM=FUND, SPY=FUND))
    refusing = fred(rates | {"UNRATE": error("Bad Request.  The value for variable limit is not an integer.")})
    with replaying(yahoo) as server, replaying(refusing) as macro, replaying(companies) as filings, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRED_API_KEY", "f" * 32)
        folder = tmp_path_factory.mktemp("live") / "home"
        home = new_home(folder, universe=UNIVERSE, settings=SETTINGS.format(yahoo=server.url, fred=macro.url, sec=filings.url))
        first = home.json("run", "--as-of", NIGHT)
        first_asked = symbols(server.asked)
        yahoo.wrong, macro.answers = {}, fred(rates)
        server.asked.clear()
        second = home.json("run", "--as-of", NIGHT)
        series = [asked.params["series_id"] for asked in macro.asked]
        yield Nights(home, server, yahoo, first, first_asked, second, symbols(server.asked), series)


def test_names_that_yahoo_fails_on_are_withheld_with_its_words(nights: Nights):
    code, told = nights.first
    assert (code, told["profile"], told["status"], told["as_of"]) == (3, "live", "partial", NIGHT)
    errors = {error["ticker"]: error["message"] for error in told["errors"]}
    assert set(errors) == {"BAC", "IBM", None}
    assert "macro: fred /fred/series/observations for UNRATE: Bad Request." in errors[None]
    assert "yahoo /v8/finance/chart/BAC for BAC: answered 429 Too Many Requests (4 attempts)" in errors["BAC"]
    assert "IBM: Not Found: No data found, symbol may be delisted" in errors["IBM"]
    scored = {signal["ticker"] for signal in told["signals"] if signal["score"] is not None}
    assert scored == {"AAPL", "SPY"}
    assert sorted(nights.first_asked) == ["AAPL", *["BAC"] * 4, "IBM", "SPY", "^GSPC", "^IXIC"]


def test_the_next_run_asks_for_what_is_missing_and_no_more(nights: Nights):
    code, told = nights.second
    assert (code, told["status"], told["errors"]) == (0, "done", [])
    assert {signal["ticker"] for signal in told["signals"] if signal["score"] is not None} == {"AAPL", "BAC", "IBM", "SPY"}
    assert sorted(nights.second_asked) == ["BAC", "IBM"]
    assert sorted(nights.economy) == sorted([*SERIES, "UNRATE"])


def test_what_is_published_stands_beside_the_prices(nights: Nights):
    assert set(nights.home.table("macro")["series"]) == set(SERIES)
    assert nights.home.table("fundamentals").select("ticker", "value").rows() == [("AAPL", 7.0)]
    assert set(nights.home.table("earnings").select("ticker", "announced", "eps_actual").rows()) == {
        (ticker, dt.date(2012, 10, 25), 8.67) for ticker in ("AAPL", "BAC", "IBM", "SPY")
    }
    _, told = nights.home.json("data", "coverage", "--as-of", NIGHT)
    cells = [cell for cell in told["items"] if cell["table"] in ("macro", "fundamentals")]
    assert {(cell["table"], cell["ticker"]) for cell in cells} == {
        *(("macro", series) for series in SERIES),
        *(("fundamentals", ticker) for ticker in ("AAPL", "BAC", "IBM", "SPY")),
    }
    assert {cell["status"] for cell in cells} == {"complete"}


def test_what_is_stored_was_traded(nights: Nights):
    stored = nights.home.table("prices")
    assert set(stored["source"]) == {"yahoo"}
    for name in ("AAPL", "BAC", "IBM", "SPY"):
        traded = nights.yahoo.histories[name].bars.filter(pl.col("session").is_between(pl.date(2008, 1, 2), pl.date(2012, 12, 14)))
        if name == "AAPL":
            wrong = traded.filter(pl.col("session").is_in(list(BAD_LOWS)))["low"].to_list()
            assert wrong == [10.59, 25.3, 32.65]
            traded = traded.with_columns(low=pl.col("session").replace_strict(BAD_LOWS, default=pl.col("low")))
        mine = stored.filter(ticker=name).select(traded.columns)
        assert_frame_equal(mine, traded, rel_tol=1e-7, abs_tol=1e-4)
    log = nights.home.table("quality_log").filter(field="low")
    assert log.select("ticker", "original").rows() == [("AAPL", 10.59), ("AAPL", 25.3), ("AAPL", 32.65)]
    assert stored.filter(ticker="AAPL", dividend=2.6499).height == 1  # 2.65 in LEAN's seven digits, a share of the time


def test_another_run_asks_nobody(nights: Nights):
    nights.server.asked.clear()
    done = nights.home.run("run", "--as-of", NIGHT)
    assert done.returncode == 0
    assert done.stderr.count("nothing to do") == 15
    assert nights.server.asked == []


def test_the_doctor_tells_what_is_known_of_each_vendor(nights: Nights):
    code, told = nights.home.json("doctor")
    assert code == 0
    [found] = [item for item in told["items"] if item["name"] == "source yahoo"]
    assert found["detail"].startswith("needs no key; reachable; ")
    assert "requests today, no daily limit; breaker closed; fetched: prices of 20" in found["detail"]
    [economy] = [item for item in told["items"] if item["name"] == "source fred"]
    assert economy["detail"].startswith(
        "FRED_API_KEY set; reachable; 10 requests today, no daily limit; breaker closed; fetched: macro of 20"
    )


def test_a_name_is_added_from_its_first_bar(nights: Nights, tmp_path: Path):
    home = nights.home.copy(tmp_path / "home")
    (home.folder / "universe.csv").write_text(UNIVERSE.replace("BAC,yahoo,2008-01-02\n", ""))
    assert home.run("universe", "add", "BAC").returncode == 0
    assert (home.folder / "universe.csv").read_text() == UNIVERSE
    unknown = home.run("universe", "add", "ZZZ")
    assert unknown.returncode == 2
    assert "no source of profile 'live' has 'ZZZ'; write it as the vendor does" in unknown.stderr
