"""A night of profile live with every vendor that has a server, each on loopback, on the evening of the session that it decides."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quant_assets.gathered import GATHERED
from quant_assets.sources.fred import SERIES
from quant_assets_tests.night.homes import Home, new_home
from quant_assets_tests.replay import Asked, ReplayServer, Reply, replaying
from quant_assets_tests.replay_yahoo import Yahoo, index_history, lean_history
from quant_assets_tests.sources import alpha_vantage_answers, finnhub_answers, massive_answers, news_api_answers, yahoo_answers
from quant_assets_tests.sources.fred_answers import fred
from quant_assets_tests.sources.sec_answers import company, listed, sec
from quant_assets_tests.sources.wire.ways import KEY

D = dt.date
NIGHT = D(2012, 12, 14)
EVENING = "2012-12-14T22:30:00+00:00"
FRED_KEY = "f" * 32
KEYS = {
    "FRED_API_KEY": FRED_KEY,
    "MASSIVE_API_KEY": massive_answers.KEY,
    "ALPHA_VANTAGE_KEY": KEY,
    "FINNHUB_API_KEY": KEY,
    "NEWS_API_KEY": KEY,
}
SETTINGS = """profile = "live"
universe = "universe.csv"

[grids]
history_start = 2006-01-01
first_cutoff = 2012-07-01
first_decision = 2012-12-01

[sources.sec]
contact = "quant@example.com"
"""
# One name: two would ask Finnhub for more than the sixty answers that it gives a minute.
UNIVERSE = """ticker,source,listed
AAPL,yahoo+massive,2006-01-03
"""
FILING = {"end": "2012-09-29", "val": 7, "accn": "1", "fy": 2012, "fp": "FY", "form": "10-K", "filed": "2012-10-31"}


def yahoo(shared: Path) -> Yahoo:
    traded = dt.datetime(2012, 12, 14, 21, tzinfo=dt.UTC)
    contracts = [
        yahoo_answers.contract("AAPL", D(2013, 1, 18), right, 510, lastTradeDate=int(traded.timestamp())) for right in ("call", "put")
    ]
    pages = yahoo_answers.company("AAPL", {"assetProfile": {"sector": "Technology", "maxAge": 1}}, {"shortName": "Apple Inc."})
    summary = f"{yahoo_answers.SUMMARY}AAPL"
    pages |= {
        f"{yahoo_answers.OPTIONS}AAPL": yahoo_answers.chain("AAPL", contracts, traded_at=traded, spot=509.8),
        summary: both(yahoo_answers.holders([yahoo_answers.holder("Vanguard", D(2012, 9, 28), 10)], []), pages[summary]),
        yahoo_answers.CALENDAR: yahoo_answers.calendar("AAPL", [yahoo_answers.announcement(D(2012, 10, 25), 16, 8.75, 8.67)]),
    }
    histories = {"AAPL": lean_history(shared, "AAPL")} | {symbol: index_history(symbol) for symbol in ("^GSPC", "^IXIC")}
    return Yahoo(histories, as_at=NIGHT, pages=pages)


def both(of_holders: Any, of_company: Any) -> Any:
    """One path tells either, by what is asked for."""
    return lambda asked: (of_holders if "Ownership" in asked.params.get("modules", "") else of_company)(asked)


def finnhub(asked: Asked) -> Reply:
    kind = finnhub_answers.endpoint(asked)
    inside = asked.params.get("from", "") <= "2012-12-13" <= asked.params.get("to", "9999")
    moment = int(dt.datetime(2012, 12, 13, 15, tzinfo=dt.UTC).timestamp())
    return {
        finnhub_answers.NEWS: finnhub_answers.a_list(*[finnhub_answers.article(7, moment)] * inside),
        finnhub_answers.SENTIMENT: Reply(json.dumps(finnhub_answers.SENTIMENT_OF_AAPL)),
        finnhub_answers.INSIDERS: finnhub_answers.insiders(*[finnhub_answers.insider("2012-12-13", transactionDate="2012-12-12")] * inside),
        finnhub_answers.TRENDS: finnhub_answers.a_list(finnhub_answers.trend("2012-12-01")),
        finnhub_answers.CALENDAR: finnhub_answers.calendar(),
    }[kind]


def servers(shared: Path) -> dict[str, Any]:
    quarter = alpha_vantage_answers.quarter("2012-09-30", "2012-10-25", "8.67")
    told = {
        ("EARNINGS", "AAPL"): alpha_vantage_answers.earnings(quarter, symbol="AAPL"),
        ("OVERVIEW", "AAPL"): alpha_vantage_answers.overview("AAPL", Sector="TECHNOLOGY"),
    }
    seen = {"updated": massive_answers.nanoseconds("2012-12-14T16:05"), "lastTrade__t": massive_answers.nanoseconds("2012-12-14T15:59")}
    quotes = [massive_answers.snapshot(shared, **seen, lastQuote__t=seen["lastTrade__t"])]
    return {
        "yahoo": yahoo(shared),
        "massive": massive_answers.Massive({"AAPL": lean_history(shared, "AAPL")}, snapshots=quotes),
        "fred": fred({name: [("2012-11-01", "2012-12-07", "7.7")] for name in SERIES}),
        "sec": sec({1: company(1, FILING)}, tickers=listed(AAPL=1)),
        "alpha_vantage": alpha_vantage_answers.alpha_vantage(told),
        "finnhub": finnhub,
        "news_api": news_api_answers.searched([news_api_answers.article(1, "2012-12-13T15:00:00Z")]),
    }


@dataclass
class Evening:
    home: Home
    servers: dict[str, ReplayServer]

    def run(self, *arguments: str) -> tuple[int, Any, str]:
        command = [sys.executable, "-m", "quant_assets_tests.night.at_moment", EVENING, *arguments, "--json"]
        done = subprocess.run(command, env=self.home.environment, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Evening]:
    with ExitStack() as open_ones, pytest.MonkeyPatch.context() as patch:
        running = {name: open_ones.enter_context(replaying(answers)) for name, answers in servers(shared).items()}
        for variable, key in KEYS.items():
            patch.setenv(variable, key)
        home = new_home(tmp_path_factory.mktemp("vendors") / "home", universe=UNIVERSE, settings=SETTINGS)
        urls = "".join(f'\n[sources.{name}]\nbase_url = "{server.url}"\n' for name, server in running.items() if name != "sec")
        settings = home.folder / "quant_assets.toml"
        settings.write_text(settings.read_text() + f'base_url = "{running["sec"].url}"\n' + urls)
        yield Evening(home, running)


def test_every_table_is_filled_by_its_vendors(evening: Evening):
    code, told, stderr = evening.run("run")
    assert (code, told["as_of"], told["status"], told["errors"]) == (0, str(NIGHT), "done", []), stderr
    assert {signal["ticker"] for signal in told["signals"] if signal["score"] is not None} == {"AAPL"}
    vendors = {table: set(evening.home.table(table)["source"]) for table in ("prices", *GATHERED)}
    assert vendors == {
        "prices": {"yahoo"},
        "macro": {"fred"},
        "fundamentals": {"sec"},
        "earnings": {"yahoo", "alpha_vantage"},
        "articles": {"finnhub", "news_api"},
        "news_sentiment": {"finnhub"},
        "insider_transactions": {"finnhub"},
        "recommendations": {"finnhub"},
        "holders": {"yahoo"},
        "company_info": {"yahoo", "alpha_vantage"},
        "option_chain": {"yahoo"},
        "quotes": {"massive"},
    }
    assert all(server.asked for server in evening.servers.values())


def test_a_second_run_asks_nobody(evening: Evening):
    for server in evening.servers.values():
        server.asked.clear()
    code, _, stderr = evening.run("run")
    assert code == 0
    assert stderr.count("nothing to do") == 15
    assert {name for name, server in evening.servers.items() if server.asked} == set()


def test_the_doctor_knows_every_vendor(evening: Evening):
    code, told, _ = evening.run("doctor")
    assert code == 0
    details = {item["name"]: item["detail"] for item in told["items"]}
    for name in evening.servers:
        assert "reachable" in details[f"source {name}"], name
        assert "fetched: " in details[f"source {name}"], name


def test_no_key_is_anywhere(evening: Evening):
    for path in evening.home.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(key.encode() in content or key in path.name for key in KEYS.values()), path
