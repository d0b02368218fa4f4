"""Several vendors of one table through the step: a chain is of the first that delivers, news of all, and any of them may fail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import day_window, year_window
from quant_assets.settings import Grids, Settings
from quant_assets.sources.base import Source
from quant_assets.sources.finnhub_news import FinnhubNews
from quant_assets.sources.massive_options import MassiveOptions
from quant_assets.sources.news_api import NewsApi
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo_options import YahooOptions
from quant_assets.steps import facts
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace
from quant_assets_tests.replay import Answers, ReplayServer, replaying
from quant_assets_tests.replay_yahoo import Yahoo
from quant_assets_tests.sources import finnhub_answers, massive_answers, news_api_answers
from quant_assets_tests.sources.wire.ways import KEY, At
from quant_assets_tests.sources.yahoo_answers import OPTIONS, chain, contract

D = dt.date
FRIDAY = D(2024, 11, 22)
BELOW_0 = "AAPL 2024-11-22: ask is -4.2 and must not be below 0; quarantined, correct it at the source and run again"
REFUSED = massive_answers.error(403, "NOT_AUTHORIZED", message="You are not entitled to this data.")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MASSIVE_API_KEY", "FINNHUB_API_KEY", "NEWS_API_KEY"):
        monkeypatch.setenv(variable, KEY)


def night(folder: Path, clock: At) -> Workspace:
    file = folder / "universe.csv"
    file.write_text("ticker,source,listed\nAAPL,yahoo,2020-01-02\nMSFT,yahoo,2020-01-02\n")
    grids = Grids(history_start=D(2024, 1, 1), first_cutoff=D(2024, 7, 1), first_decision=D(2024, 7, 1))
    settings = Settings(home=folder, profile="live", universe=file, grids=grids)
    return Workspace.open(settings, as_of=FRIDAY, clock=clock.now)


@contextmanager
def vendors(folder: Path, clock: At, answers: Mapping[str, Answers]) -> Iterator[tuple[Wire, dict[str, ReplayServer]]]:
    first, *others = answers
    with replaying(answers[first]) as server:
        if others:
            with vendors(folder, clock, {name: answers[name] for name in others}) as (wire, servers):
                wire.base_urls[first] = server.url
                yield wire, {**servers, first: server}
            return
        wire = Wire(folder, base_urls={first: server.url}, clock=clock)
        yield wire, {first: server}
        wire.store.close()


def fetch(work: Workspace, table: str, sources: Sequence[Source]) -> StepResult:
    windows = {"2024": year_window(2024)} if table == "articles" else {FRIDAY.isoformat(): day_window(FRIDAY)}
    return facts.fetch_facts(work, table, ["AAPL", "MSFT"], windows, sources, run_id="night")


def test_a_chain_is_of_the_first_vendor_that_delivers_it(tmp_path: Path):
    clock = At("2024-11-22T17:00")
    traded = dt.datetime(2024, 11, 22, 21, tzinfo=dt.UTC)
    calls = [contract("AAPL", D(2024, 12, 20), "call", strike) for strike in (220.0, 230.0)]
    yahoo = Yahoo(pages={f"{OPTIONS}AAPL": chain("AAPL", calls, traded_at=traded)})
    with vendors(tmp_path, clock, {"massive": lambda asked: REFUSED, "yahoo": yahoo}) as (wire, _):
        work = night(tmp_path, clock)
        result = fetch(work, "option_chain", [MassiveOptions(wire), YahooOptions(wire)])
        stored = work.lake.scan("option_chain").collect()
        assert stored.select("ticker", "session", "strike", "source").rows() == [
            ("AAPL", FRIDAY, 220.0, "yahoo"),
            ("AAPL", FRIDAY, 230.0, "yahoo"),
        ]
        assert {ticker for ticker, _ in result.withheld} == {"MSFT"}
        fetch(work, "option_chain", [MassiveOptions(wire)])
        assert work.lake.scan("option_chain").collect().equals(stored)
        clock.ahead += 4 * 24 * 3600.0  # on Tuesday Friday's chain can be had no longer
        assert fetch(work, "option_chain", [YahooOptions(wire)]).rows.is_empty()
        assert work.lake.scan("option_chain").collect().equals(stored)


def test_a_chain_that_cannot_be_true_is_quarantined_and_leaves_what_is_stored(tmp_path: Path):
    clock = At("2024-11-22T17:00")
    traded = dt.datetime(2024, 11, 22, 21, tzinfo=dt.UTC)

    def told(ask: float) -> Yahoo:
        return Yahoo(
            pages={
                f"{OPTIONS}{ticker}": chain(ticker, [contract(ticker, D(2024, 12, 20), "call", 220.0, ask=price)], traded_at=traded)
                for ticker, price in (("AAPL", ask), ("MSFT", 4.3))
            }
        )

    work = night(tmp_path, clock)
    for place, (ask, stored) in enumerate(((4.2, 4.2), (-4.2, 4.2), (4.4, 4.4))):
        folder = tmp_path / str(place)  # nobody's cache
        folder.mkdir()
        with vendors(folder, clock, {"yahoo": told(ask)}) as (wire, _):
            result = fetch(work, "option_chain", [YahooOptions(wire)])
        held = ask < 0
        assert result.withheld == ({("AAPL", FRIDAY.isoformat()): BELOW_0} if held else {})
        assert [check.passed for check in result.checks if check.name == "gate"] == [not held]
        assert work.lake.scan("quarantine", scope={"table": "option_chain"}).collect().height == held
        assert dict(work.lake.scan("option_chain").select("ticker", "ask").collect().rows()) == {"AAPL": stored, "MSFT": 4.3}


def test_news_of_two_vendors_grow_and_neither_takes_away_what_the_other_brought(tmp_path: Path):
    clock = At("2024-11-22T17:00")
    week = int(dt.datetime(2024, 11, 20, 15, tzinfo=dt.UTC).timestamp())
    of_finnhub = finnhub_answers.dated({"2024-11-20": [finnhub_answers.article(1, week), finnhub_answers.article(2, week + 60)]}, 250)
    of_news_api = news_api_answers.searched([news_api_answers.article(7, "2024-11-19T15:00:00Z")])
    with vendors(tmp_path, clock, {"finnhub": of_finnhub, "news_api": of_news_api}) as (wire, servers):
        work = night(tmp_path, clock)
        sources = [FinnhubNews(wire), NewsApi(wire)]
        assert not fetch(work, "articles", sources).withheld
        headlines = lambda: work.lake.scan("articles", keys=["AAPL"]).collect().sort("headline")["headline"].to_list()  # noqa: E731
        assert headlines() == ["Headline 1", "Headline 2", "Headline 7"]
        clock.ahead += 24 * 3600.0  # what the cache held is stale
        servers["finnhub"].answers = finnhub_answers.dated({"2024-11-20": [finnhub_answers.article(2, week + 60, headline="Mended")]}, 250)
        servers["news_api"].answers = lambda asked: news_api_answers.error("apiKeyInvalid", "Your API key is invalid.", 401)
        lost = fetch(work, "articles", sources).withheld
        assert {ticker for ticker, _ in lost} == {"AAPL", "MSFT"}
        assert all("NEWS_API_KEY" in reason for reason in lost.values())
        assert headlines() == ["Headline 1", "Headline 2", "Headline 7", "Mended"]
        versions = work.lake.scan("articles", keys=["AAPL"]).filter(pl.col("article") == "2").sort("known_at").collect()
        assert versions["headline"].to_list() == ["Headline 2", "Mended"]
        assert versions["known_at"][1] == versions["fetched_at"][1]
