"""News API by its real client over real connections: a hundred articles an answer, errors with codes, withdrawn articles."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, year_window
from quant_assets.errors import SourceError, SourceUnavailable
from quant_assets.schemas import TABLES
from quant_assets.sources.news_api import MOST_PAGES, NewsApi
from quant_assets_tests.replay import Asked, Reply, in_turn
from quant_assets_tests.sources.keyed import ALWAYS, asking, key_in, rows, says
from quant_assets_tests.sources.news_api_answers import WITHDRAWN, article, error, every_minute, found, searched
from quant_assets_tests.sources.wire.ways import KEY, At

D = dt.date
UTC = dt.UTC
NOW = "2024-11-20T18:00"
LAST = dt.datetime(2024, 11, 19, 22, tzinfo=UTC)
no_key_gets_out = key_in("NEWS_API_KEY")


def delivered(folder: Path, reply: Reply, *, queries: Mapping[str, str] | None = None) -> pl.DataFrame:
    clock = At(NOW)
    with asking(folder, in_turn(reply), "news_api", clock) as (wire, _):
        return rows(NewsApi(wire, queries=queries), clock, "AAPL")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "quant_assets"]


def test_an_article_is_known_when_it_appeared_and_never_later_than_it_was_fetched(tmp_path: Path):
    reply = found(
        [
            article(3, "2024-11-21T00:00:00Z"),  # an hour ahead of our clock
            article(2, "2024-11-20T04:30:00.1234567Z", description=None, source=None, extra={"a": 1}),
            article(1, "2024-11-18T15:00:00"),
        ]
    )
    rows = delivered(tmp_path, reply).sort("published_at")
    assert rows["published"].to_list() == [D(2024, 11, 18), D(2024, 11, 19), D(2024, 11, 20)]  # in New York
    assert rows["published_at"][0] == dt.datetime(2024, 11, 18, 15, tzinfo=UTC)
    assert rows["known_at"].to_list() == [*rows["published_at"][:2], dt.datetime(2024, 11, 20, 23, tzinfo=UTC)]
    assert rows.select("article", "headline", "summary", "publisher", "url").rows() == [
        ("https://example.com/1", "Headline 1", "What happened", "Reuters", "https://example.com/1"),
        ("https://example.com/2", "Headline 2", None, None, "https://example.com/2"),
        ("https://example.com/3", "Headline 3", "What happened", "Reuters", "https://example.com/3"),
    ]
    TABLES["articles"].conform(rows)


def test_a_name_is_searched_beside_a_word_of_the_market_or_as_it_was_told_to(tmp_path: Path):
    clock = At(NOW)
    with asking(tmp_path, in_turn(found([])), "news_api", clock) as (wire, server):
        source = NewsApi(wire, queries={"AAPL": '"Apple Inc" OR AAPL'})
        assert rows(source, clock, "AAPL", "ALL", "BRK/B", "BRK.B", "^GSPC").is_empty()
        asked = [request.params for request in server.asked]
    suffix = " AND (stock OR shares)"
    assert [params["q"] for params in asked] == [
        '"Apple Inc" OR AAPL',
        *(f'"{name}"{suffix}' for name in ("ALL", "BRK/B", "BRK.B", "^GSPC")),
    ]
    assert asked[0].items() >= {"language": "en", "sortBy": "publishedAt", "pageSize": "100", "from": "2024-11-13"}.items()


def test_it_is_asked_about_the_last_week_only_and_once_a_night(tmp_path: Path):
    clock = At(NOW)
    with asking(tmp_path, in_turn(found([article(1)])), "news_api", clock) as (wire, server):
        source = NewsApi(wire)
        assert source.offers(["AAPL"]) == {"AAPL": Window(D(2024, 11, 13), D(2024, 11, 21))}
        assert source.fetch(["AAPL"], year_window(2023)).empty
        assert server.asked == []
        for _ in range(2):
            assert rows(source, clock, "AAPL", window=Window(D(2024, 1, 1), D.max)).height == 1
        assert len(server.asked) == 1
        clock.ahead += 12 * 3600
        source.fetch(["AAPL"], ALWAYS)
        assert len(server.asked) == 2


def test_more_than_an_answer_holds_is_asked_for_from_where_the_last_one_ended(tmp_path: Path):
    clock = At(NOW)
    news = every_minute(350, LAST)
    with asking(tmp_path, searched(news), "news_api", clock) as (wire, server):
        assert sorted(rows(NewsApi(wire), clock, "AAPL")["article"]) == sorted(item["url"] for item in news)
        assert len(server.asked) == 4
        assert {request.params.get("page") for request in server.asked} == {None}


def test_what_is_left_after_as_many_requests_as_the_day_allows_a_name_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    clock = At(NOW)
    with asking(tmp_path, searched(every_minute(10_000, LAST)), "news_api", clock) as (wire, server):
        assert rows(NewsApi(wire), clock, "AAPL").height == 496  # neighbouring answers share an article
        assert len(server.asked) == MOST_PAGES
    assert told(caplog) == ["news_api gave 496 articles of AAPL of the last week; 9504 older ones are missing"]


def test_an_answer_that_repeats_itself_ends_the_search_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    clock = At(NOW)
    with asking(tmp_path, in_turn(found(every_minute(100, LAST), total=300)), "news_api", clock) as (wire, server):
        assert rows(NewsApi(wire), clock, "AAPL").height == 100
        assert len(server.asked) == 2
    assert "200 older ones are missing" in told(caplog)[0]


def test_articles_told_twice_or_in_disorder_are_there_once_the_newest_version_first(tmp_path: Path):
    reply = found([article(2, "2024-11-18T10:00:00Z"), article(1, title="Corrected"), article(1), article(1), article(3)])
    assert sorted(delivered(tmp_path, reply).select("article", "headline").rows()) == [
        ("https://example.com/1", "Corrected"),
        ("https://example.com/2", "Headline 2"),
        ("https://example.com/3", "Headline 3"),
    ]


def test_withdrawn_articles_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = delivered(tmp_path, found([WITHDRAWN, article(1), WITHDRAWN, article(2, title=None)]))
    assert rows.sort("article")["headline"].to_list() == ["Headline 1", ""]
    assert told(caplog) == ["news_api: 2 articles of AAPL were withdrawn, and are left out"]


def test_withdrawn_articles_do_not_end_a_search(tmp_path: Path):
    clock = At(NOW)
    news = [*every_minute(150, LAST), *({**WITHDRAWN, "publishedAt": "2024-11-19T21:59:30Z"} for _ in range(20))]
    with asking(tmp_path, searched(news), "news_api", clock) as (wire, _):
        assert rows(NewsApi(wire), clock, "AAPL").height == 150


SPENT = "You have made too many requests recently. Developer accounts are limited to 100 requests over a 24 hour period."
FAULTS: dict[str, tuple[Reply, type[SourceError], str, int]] = {
    "key": (error("apiKeyInvalid", f"Your API key {KEY} is invalid", 401), SourceError, "the key in NEWS_API_KEY was refused", 1),
    "key inside a 200": (error("apiKeyDisabled", "Disabled"), SourceError, "the key in NEWS_API_KEY was refused", 1),
    "day spent": (error("rateLimited", SPENT, 429), SourceError, "today's requests are spent: rateLimited", 1),
    "key spent": (error("apiKeyExhausted", "No more"), SourceError, "today's requests are spent", 1),
    "plan": (error("maximumResultsReached", "You have requested too many.", 426), SourceError, "maximumResultsReached: You have", 1),
    "past": (error("parameterInvalid", "You are trying to request results too far in the past.", 426), SourceError, "in the past", 1),
    "their fault": (error("unexpectedError", "Oops", 500), SourceUnavailable, "unexpectedError: Oops", 4),
    "throttled by somebody else": (Reply("slow down", status=429), SourceUnavailable, "answered 429 slow down", 4),
    "no results": (Reply('{"status": "ok", "articles": []}'), SourceError, "the news of AAPL cannot be read", 1),
    "a list": (Reply("[]"), SourceError, "the news of AAPL cannot be read", 1),
    "no articles": (Reply('{"status": "ok", "totalResults": 3}'), SourceError, "the news of AAPL cannot be read", 1),
    "no address": (found([article(1, url=None)]), SourceError, "nulls where none is allowed", 1),
    "no time": (found([article(1, None)]), SourceError, "an article of AAPL cannot be read (TypeError", 1),
    "no such time": (found([article(1, "yesterday")]), SourceError, "an article of AAPL cannot be read (ValueError", 1),
    "a number for a headline": (found([article(1, title=7)]), SourceError, "7 where a text was expected", 1),
    "cut": (Reply('{"status": "ok"', cut=5), SourceUnavailable, "AAPL", 4),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "kind", "words", "asked"), FAULTS.values(), ids=FAULTS.keys())
def test_what_it_refuses_or_changes_is_told_with_the_name(tmp_path: Path, reply: Reply, kind: type[SourceError], words: str, asked: int):
    clock = At(NOW)
    with asking(tmp_path, in_turn(reply), "news_api", clock) as (wire, server):
        with pytest.raises(SourceError) as caught:
            rows(NewsApi(wire), clock, "AAPL")
        assert type(caught.value) is kind
        text = says(caught.value)
        assert words in text
        assert "AAPL" in text
        assert len(server.asked) == asked


def test_a_spent_day_is_asked_no_more(tmp_path: Path):
    with asking(tmp_path, in_turn(error("rateLimited", SPENT, 429)), "news_api", At(NOW)) as (wire, server):
        for _ in range(2):
            with pytest.raises(SourceError, match="2024-11-21 00:00 UTC"):
                NewsApi(wire).fetch(["AAPL"], ALWAYS)
        assert len(server.asked) == 1


def test_a_key_revoked_in_the_middle_of_a_search_leaves_nothing(tmp_path: Path):
    news = searched(every_minute(350, LAST))

    def answers(asked: Asked) -> Reply:
        return error("apiKeyInvalid", KEY, 401) if "to" in asked.params else news(asked)

    with asking(tmp_path, answers, "news_api", At(NOW)) as (wire, server), pytest.raises(SourceError, match="NEWS_API_KEY") as caught:
        NewsApi(wire).fetch(["AAPL"], ALWAYS)
    says(caught.value)
    assert len(server.asked) == 2


def test_without_a_key_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NEWS_API_KEY")
    with asking(tmp_path, in_turn(found([])), "news_api", At(NOW)) as (wire, server):
        with pytest.raises(SourceError, match="no key in NEWS_API_KEY"):
            NewsApi(wire).fetch(["AAPL"], ALWAYS)
        assert server.asked == []
