"""Finnhub's five tables by its real client over real connections: what is known when, what was cut, what a free key may not have."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, year_window
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.finnhub import Asking, FinnhubEarnings, FinnhubInsiders, FinnhubRecommendations, policy_of
from quant_assets.sources.finnhub_news import FinnhubNews, FinnhubSentiment
from quant_assets.sources.wire.exchange import Request
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, Reply, in_turn
from quant_assets_tests.sources import finnhub_answers as fh
from quant_assets_tests.sources.finnhub_answers import a_list, announcement, article, calendar, dated, finnhub, insider, insiders, trend
from quant_assets_tests.sources.keyed import ALWAYS, asking, key_in, rows, says
from quant_assets_tests.sources.wire.ways import At

D = dt.date
UTC = dt.UTC
NOW = "2024-11-20T18:00"
WEEK = Window(D(2024, 11, 18), D(2024, 11, 25))
no_key_gets_out = key_in("FINNHUB_API_KEY")

Make = Callable[[Wire], Asking]
SOURCES: dict[str, tuple[Make, str]] = {
    "articles": (FinnhubNews, fh.NEWS),
    "news_sentiment": (FinnhubSentiment, fh.SENTIMENT),
    "insider_transactions": (FinnhubInsiders, fh.INSIDERS),
    "recommendations": (FinnhubRecommendations, fh.TRENDS),
    "earnings": (FinnhubEarnings, fh.CALENDAR),
}
every_source = pytest.mark.parametrize(("make", "endpoint"), SOURCES.values(), ids=SOURCES.keys())


def seconds(moment: str) -> int:
    return int(dt.datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def delivered(folder: Path, make: Make, reply: Reply, *tickers: str, window: Window = WEEK) -> pl.DataFrame:
    clock = At(NOW)
    with asking(folder, in_turn(reply), "finnhub", clock) as (wire, _):
        return rows(make(wire), clock, *(tickers or ("AAPL",)), window=window)


def test_an_article_is_known_when_it_appeared_and_never_later_than_it_was_fetched(tmp_path: Path):
    told = a_list(
        article(3, seconds("2024-11-21T00:00")),  # an hour ahead of our clock
        article(2, seconds("2024-11-20T04:30"), summary="What happened", related="AAPL,MSFT"),
        article(1, seconds("2024-11-18T15:00"), source="", url=None),
    )
    found = delivered(tmp_path, FinnhubNews, told).sort("published_at")
    assert found["article"].to_list() == ["1", "2", "3"]
    assert found["published"].to_list() == [D(2024, 11, 18), D(2024, 11, 19), D(2024, 11, 20)]  # in New York
    assert found["summary"].to_list() == [None, "What happened", None]
    assert found.select("publisher", "url").row(0) == (None, None)
    assert found["known_at"].to_list() == [*found["published_at"][:2], dt.datetime(2024, 11, 20, 23, tzinfo=UTC)]
    assert found["published_at"][2] == dt.datetime(2024, 11, 21, tzinfo=UTC)


def test_news_are_asked_by_week_and_weeks_that_are_over_once_only(tmp_path: Path):
    clock = At(NOW)
    year = Window(D(2024, 1, 1), D.max)
    with asking(tmp_path, in_turn(a_list()), "finnhub", clock) as (wire, server):
        source = FinnhubNews(wire)
        assert source.offers(["AAPL"])["AAPL"] == Window(D(2023, 11, 21), D(2024, 11, 21))
        assert rows(source, clock, "AAPL", window=year).is_empty()
        asked = [(D.fromisoformat(request.params["from"]), D.fromisoformat(request.params["to"])) for request in server.asked]
        assert asked == [(D(2024, 1, 1) + dt.timedelta(weeks=n), D(2024, 1, 7) + dt.timedelta(weeks=n)) for n in range(47)]
        clock.ahead += 86_400
        source.fetch(["AAPL"], year)
        assert len(server.asked) == 47 + 2  # this week, and the last one, which may still grow
        assert source.fetch(["AAPL"], year_window(2022)).empty
        assert len(server.asked) == 49


def test_a_week_that_was_cut_is_asked_for_in_parts_until_nothing_is_lost(tmp_path: Path):
    """Ten thousand articles in a week, of which one answer holds 250."""
    news = {
        f"2024-11-{day}": [article(1000 * day + n, seconds(f"2024-11-{day}T12:00") + n) for n in range(220 if day < 24 else 30)]
        for day in range(11, 25)
    }
    clock = At("2024-11-24T20:00")
    with asking(tmp_path, dated(news, most=250), "finnhub", clock) as (wire, _):
        found = rows(FinnhubNews(wire), clock, "AAPL", window=Window(D(2024, 11, 11), D(2024, 11, 25)))
    expected = sorted(str(item["id"]) for items in news.values() for item in items)
    assert sorted(found["article"]) == expected


def test_a_day_that_was_cut_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    news = {"2024-11-19": [article(n, seconds("2024-11-19T12:00") + n) for n in range(1, 400)]}
    clock = At(NOW)
    with asking(tmp_path, dated(news, most=250), "finnhub", clock) as (wire, _):
        assert rows(FinnhubNews(wire), clock, "AAPL", window=WEEK).height == 250
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "finnhub gave 250 articles of AAPL on 2024-11-19, about as many as it ever does: some may be missing"
    ]


def test_ten_thousand_articles_in_one_answer_told_twice_and_in_disorder_are_there_once(tmp_path: Path):
    items = [article(n, seconds("2024-11-19T00:00") + n) for n in range(1, 10_001)]
    found = delivered(tmp_path, FinnhubNews, a_list(*items[5000:], *items[:6000]))
    assert sorted(map(int, found["article"])) == list(range(1, 10_001))


def test_an_insiders_trade_is_known_at_the_end_of_the_day_of_its_filing(tmp_path: Path):
    told = insiders(
        insider(), insider(), insider(change=500, transactionCode="", transactionDate=None, isDerivative=None), insider("2023-12-29")
    )
    found = delivered(tmp_path, FinnhubInsiders, told, window=year_window(2024))
    assert found.select("filed", "traded", "code", "derivative", "change", "held", "price").rows() == [
        (D(2024, 4, 3), D(2024, 4, 1), "S", False, -59_162.0, 3_280_180.0, 170.03),
        (D(2024, 4, 3), None, None, None, 500.0, 3_280_180.0, 170.03),
    ]
    assert set(found["known_at"]) == {dt.datetime(2024, 4, 4, 4, tzinfo=UTC)}
    assert found["transaction"].n_unique() == 2
    again = delivered(tmp_path / "again", FinnhubInsiders, insiders(insider(currency="USD", source="SEC")), window=year_window(2024))
    assert again["transaction"][0] == found["transaction"][0]  # a row keeps its name


def test_more_insiders_than_one_answer_holds_are_asked_for_in_parts(tmp_path: Path):
    days = [D(2024, 1, 1) + dt.timedelta(days=n) for n in range(40)]
    trades = {f"{day}": [insider(f"{day}", change=n) for n in range(30)] for day in days}
    clock = At(NOW)
    with asking(tmp_path, dated(trades, most=100), "finnhub", clock) as (wire, server):
        source = FinnhubInsiders(wire)
        assert rows(source, clock, "AAPL", window=year_window(2024)).height == 1200
        assert {request.params["from"][:4] for request in server.asked} == {"2023", "2024"}
        assert source.fetch(["AAPL"], year_window(2002)).empty


def test_an_answer_is_kept_for_good_when_nothing_is_added_to_it_any_more():
    def lasts(endpoint: str, until: str) -> dt.timedelta | None:
        return policy_of(At(NOW)).lasts(Request.of("GET", f"https://finnhub.io/api/v1//{endpoint}", params={"to": until}, headers={}))

    assert lasts(fh.NEWS, "2024-11-12") is lasts(fh.INSIDERS, "2024-09-20") is None
    assert lasts(fh.NEWS, "2024-11-13") == lasts(fh.INSIDERS, "2024-09-21") == dt.timedelta(hours=12)  # a trade may be filed late


def test_analysts_are_known_from_the_fetch_on(tmp_path: Path):
    found = delivered(
        tmp_path,
        FinnhubRecommendations,
        a_list(trend(), trend("2024-10-01", buy=23), trend("2023-12-01"), trend()),
        window=year_window(2024),
    )
    assert found.select("period", "strong_buy", "buy", "hold", "sell", "strong_sell").rows() == [
        (D(2024, 11, 1), 13, 24, 7, 0, 1),
        (D(2024, 10, 1), 13, 23, 7, 0, 1),
    ]
    assert set(found["known_at"]) == {dt.datetime(2024, 11, 20, 23, tzinfo=UTC)}


def test_results_are_known_after_their_announcement_and_plans_from_the_fetch_on(tmp_path: Path):
    told = calendar(
        announcement("2025-01-30", epsActual=None, revenueActual=None, hour="", quarter=1, year=2025),
        announcement(),
        announcement("2024-11-01", hour="bmo", epsActual=None),
        announcement("2024-11-04", hour="dmh", revenueActual=None),
    )
    clock = At(NOW)
    with asking(tmp_path, in_turn(told), "finnhub", clock) as (wire, server):
        source = FinnhubEarnings(wire)
        found = rows(source, clock, "AAPL", window=Window(D(2024, 1, 1), D.max)).sort("announced")
        assert (
            server.asked[0].params.items() >= {"from": "2024-10-20", "to": "2025-03-19", "symbol": "AAPL", "international": "false"}.items()
        )
        assert source.fetch(["AAPL"], year_window(2023)).empty
        assert len(server.asked) == 1
    assert found.select("announced", "announced_when", "fiscal_year", "fiscal_quarter", "known_at").rows() == [
        (D(2024, 10, 31), "after_close", 2024, 4, dt.datetime(2024, 11, 1, 4, tzinfo=UTC)),
        (D(2024, 11, 1), "before_open", 2024, 4, dt.datetime(2024, 11, 1, 13, 30, tzinfo=UTC)),
        (D(2024, 11, 4), "in_session", 2024, 4, dt.datetime(2024, 11, 5, 5, tzinfo=UTC)),
        (D(2025, 1, 30), None, 2025, 1, dt.datetime(2024, 11, 20, 23, tzinfo=UTC)),
    ]
    assert found["eps_actual"].to_list() == [1.64, None, 1.64, None]
    assert found["revenue_actual"].to_list() == [94.93e9, 94.93e9, None, None]


def test_how_it_reads_the_news_is_of_today(tmp_path: Path):
    clock = At(NOW)
    with asking(tmp_path, in_turn(Reply(json.dumps(fh.SENTIMENT_OF_AAPL))), "finnhub", clock) as (wire, server):
        source = FinnhubSentiment(wire)
        found = rows(source, clock, "AAPL", window=year_window(2024))
        assert source.fetch(["AAPL"], year_window(2023)).empty
        assert len(server.asked) == 1
    figures = found.select("observed", "bullish", "bearish", "articles_in_week", "buzz", "score", "sector_score").row(0)
    assert figures == (D(2024, 11, 20), 0.75, 0.25, 20, 0.8888, 0.9166, 0.5191)


def test_a_name_without_news_has_no_reading(tmp_path: Path):
    clock = At(NOW)
    with asking(tmp_path, in_turn(Reply(json.dumps(fh.SENTIMENT_OF_AAPL | {"sentiment": None}))), "finnhub", clock) as (wire, _):
        assert rows(FinnhubSentiment(wire), clock, "AAPL").select("bullish", "bearish", "buzz").rows() == [(None, None, 0.8888)]


@every_source
def test_what_the_plan_does_not_hold_is_told_and_stops_no_other(tmp_path: Path, make: Make, endpoint: str):
    clock = At(NOW)
    others = {fh.TRENDS: a_list(trend()), fh.CALENDAR: calendar(announcement())}
    with asking(tmp_path, finnhub(others | {endpoint: fh.NO_ACCESS}), "finnhub", clock) as (wire, server):
        with pytest.raises(SourceError, match="is not in the plan of this key: You don't have access") as caught:
            rows(make(wire), clock, "AAPL", window=WEEK)
        assert "do without it, or subscribe" in says(caught.value)
        assert len(server.asked) == 1
        other = FinnhubEarnings if endpoint == fh.TRENDS else FinnhubRecommendations
        assert rows(other(wire), clock, "AAPL", window=Window(D(2024, 1, 1), D.max)).height == 1


LIMIT = "API limit reached. Please try again later. Remaining Limit: 0"
FAULTS: dict[str, tuple[Reply, type[SourceError], str]] = {
    "key": (fh.BAD_KEY, SourceError, "the key in FINNHUB_API_KEY was refused"),
    "key inside a 200": (Reply('{"error": "Please use an API key."}'), SourceError, "the key in FINNHUB_API_KEY was refused"),
    "limit inside a 200": (Reply(json.dumps({"error": LIMIT})), SourceUnavailable, "API limit reached"),
    "other words": (Reply('{"error": "Out for lunch"}'), SourceError, "Out for lunch"),
    "nothing": (Reply("{}"), NoData, "it has nothing about the name"),
    "not json": (Reply("[]", content_type="text/plain"), SourceError, "cannot be read"),
    "no kind": (Reply("[]", content_type="application/x-tar"), SourceError, "neither as JSON nor as text"),
    "another form": (Reply('["a"]'), SourceError, "cannot be read"),
    "cut": (Reply('[{"id": 1', cut=5), SourceUnavailable, "closed the connection"),
}


@every_source
@pytest.mark.parametrize(("reply", "kind", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_what_it_refuses_or_changes_is_told_and_not_kept(
    tmp_path: Path, make: Make, endpoint: str, reply: Reply, kind: type[SourceError], words: str
):
    with pytest.raises(SourceError) as caught:
        delivered(tmp_path, make, reply)
    assert type(caught.value) is kind
    assert words in says(caught.value)


ODD: dict[str, tuple[Make, Reply, str]] = {
    "article without a number": (FinnhubNews, a_list(article(1, 5, id=None)), "an article of AAPL"),
    "article without a time": (FinnhubNews, a_list(article(1, 0)), "has no id or datetime"),
    "headline of no text": (FinnhubNews, a_list(article(1, 5, headline=7)), "7 where a text was expected"),
    "one number, two articles": (FinnhubNews, a_list(article(1, 5), article(1, 5, id="1", summary="x")), "more than once"),
    "insider filed on no day": (FinnhubInsiders, insiders(insider("11/19/2024")), "filingDate is '11/19/2024'"),
    "insider never filed": (FinnhubInsiders, insiders(insider(filingDate=None)), "filingDate is None"),
    "insider without a change": (FinnhubInsiders, insiders(insider("2024-11-19", change=None)), "nulls where none is allowed"),
    "derivative of no kind": (FinnhubInsiders, insiders(insider("2024-11-19", isDerivative="no")), "an insider transaction of AAPL"),
    "half an analyst": (FinnhubRecommendations, a_list(trend("2024-11-20", buy=2.5)), "2.5 is no whole number"),
    "no month": (FinnhubRecommendations, a_list(trend(period=None)), "period is None"),
    "another name": (FinnhubEarnings, calendar(announcement(symbol="MSFT")), "it is about 'MSFT'"),
    "text for a figure": (FinnhubEarnings, calendar(announcement("2024-11-19", epsActual="beat")), "could not convert"),
    "truth for a figure": (FinnhubEarnings, calendar(announcement("2024-11-19", epsActual=True)), "True where a number"),
    "sentiment of no form": (FinnhubSentiment, Reply('{"buzz": 3, "sentiment": []}'), "the sentiment of AAPL"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "reply", "words"), ODD.values(), ids=ODD.keys())
def test_a_row_that_cannot_be_read_is_told_with_its_name(tmp_path: Path, make: Make, reply: Reply, words: str):
    with pytest.raises(SourceError) as caught:
        delivered(tmp_path, make, reply)
    text = says(caught.value)
    assert words in text
    assert "finnhub" in text
    assert "AAPL" in text


@every_source
def test_without_a_key_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make, endpoint: str):
    monkeypatch.delenv("FINNHUB_API_KEY")
    with asking(tmp_path, in_turn(a_list()), "finnhub", At(NOW)) as (wire, server):
        with pytest.raises(SourceError, match="no key in FINNHUB_API_KEY"):
            make(wire).fetch(["AAPL"], WEEK)
        assert server.asked == []


@pytest.mark.parametrize("ticker", ["BRK/B", "BRK.B", "^GSPC"])
def test_a_ticker_arrives_as_it_is_written(tmp_path: Path, ticker: str):
    with asking(tmp_path, in_turn(calendar(announcement(symbol=ticker))), "finnhub", At(NOW)) as (wire, server):
        assert list(FinnhubEarnings(wire).fetch([ticker], ALWAYS)["ticker"]) == [ticker]
        assert server.asked[0].params["symbol"] == ticker


def test_a_key_revoked_half_way_leaves_nothing_and_is_told(tmp_path: Path):
    def answers(asked: Asked) -> Reply:
        return a_list(article(1, seconds("2024-11-19T12:00"))) if asked.params["symbol"] == "AAPL" else fh.BAD_KEY

    with asking(tmp_path, answers, "finnhub", At(NOW)) as (wire, _), pytest.raises(SourceError, match="MSFT") as caught:
        FinnhubNews(wire).fetch(["AAPL", "MSFT"], WEEK)
    assert "the key in FINNHUB_API_KEY was refused" in says(caught.value)


def test_it_is_asked_no_more_than_sixty_times_a_minute(tmp_path: Path):
    clock = At(NOW)
    with asking(tmp_path, in_turn(a_list()), "finnhub", clock) as (wire, server):
        FinnhubRecommendations(wire).fetch([f"T{n}" for n in range(61)], ALWAYS)
        assert len(server.asked) == 61
    assert clock.ahead > 50
