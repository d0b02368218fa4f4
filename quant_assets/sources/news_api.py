"""Headlines of the last seven days from News API, in English; its key is in NEWS_API_KEY.

The free Developer plan is for development only, shows articles a day late and up to a month old, and allows 100 requests a day
(newsapi.org/pricing).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.logs import logger
from quant_assets.sources.vendor_rows import Record, listed, new_york_day, raw_frame, required_key, rows_of, text, unreadable
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import Complaint, Policy, Trouble

if TYPE_CHECKING:
    from newsapi import NewsApiClient

    from quant_assets.sources.wire.wire import Wire

KEY_VARIABLE = "NEWS_API_KEY"
PAGE = "newsapi.org/register"
REACH = dt.timedelta(days=7)
PAGE_SIZE = 100
MOST_PAGES = 5
"""Requests a name: ten names then leave half of the day's budget to repetitions and to whoever else uses the key."""
WITHDRAWN = "[Removed]"
FIELDS = ("url", "publishedAt", "title", "description", "publisher")

# newsapi.org/docs/errors; and those that its answers to a Developer key show. What a plan does not hold is neither key nor budget.
TROUBLES = {
    **dict.fromkeys(("apiKeyInvalid", "apiKeyMissing", "apiKeyDisabled"), Trouble.KEY_REFUSED),
    **dict.fromkeys(("rateLimited", "apiKeyExhausted"), Trouble.BUDGET_SPENT),
    "unexpectedError": Trouble.TRANSIENT,
}


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """Its errors are JSON with a code, whatever the status. `rateLimited` is told of a spent day, and passes only with the next."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("status") != "error":
        return None
    code = str(told.get("code"))
    return Complaint(TROUBLES.get(code, Trouble.UNUSABLE), f"{code}: {told.get('message')}")


POLICY = Policy(
    vendor="news_api",
    server="https://newsapi.org",
    key_variable=KEY_VARIABLE,
    secret_headers=frozenset({"authorization"}),
    daily_budget=100,
    lasts=lambda request: dt.timedelta(hours=12),
    complaint=_complaint,
    symbol=lambda request: dict(request.params).get("q"),
)


class NewsApi:
    """Headlines and summaries as News API shows them, through its Python client. Of articles that were withdrawn nothing is left but one
    common address: they are left out, and how many they are is logged.

    An article was public from `publishedAt` on, to whoever read its publisher; that the Developer plan shows it a day later delays this
    copy, not the fact. One dated after the fetch, by a clock that runs ahead of ours, counts as known from the fetch on.

    Parameters
    ----------
    queries : what to search for, by ticker (newsapi.org/docs/endpoints/everything). Of other tickers: the ticker beside a word of the
        stock market, since many a ticker is also a word (ALL, NOW) and a company's name is not known here. A name finds more:
        {"AAPL": '"Apple Inc" OR AAPL'}.
    """

    name = "news_api"
    table = "articles"
    policy = POLICY

    def __init__(self, wire: Wire, *, queries: Mapping[str, str] | None = None) -> None:
        self._wire = wire
        self._queries = dict(queries or {})

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        today = self._today
        return dict.fromkeys(keys or (), Window(today - REACH, today + dt.timedelta(days=1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Articles of the last seven days, when any of them is in the window, by address: one told twice is there once."""
        if window.end <= self._today - REACH or window.start > self._today:
            return raw_frame((), FIELDS)
        from newsapi import NewsApiClient  # of the extra `live`

        from quant_assets.sources.wire.over_requests import session

        key = required_key(POLICY, page=PAGE)
        with session(self._wire, POLICY) as opened:
            client = NewsApiClient(api_key=key, session=opened)
            return raw_frame((article for ticker in keys for article in self._articles(client, ticker)), FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(article: Record) -> Record:
            appeared = _moment(article["publishedAt"])
            return {
                "ticker": article["ticker"],
                "article": text(article["url"]),
                "published": new_york_day(appeared),
                "published_at": appeared,
                "headline": text(article["title"]) or "",
                "summary": text(article["description"]),
                "publisher": text(article["publisher"]),
                "url": text(article["url"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": min(appeared, fetched_at),
            }

        return rows_of(self.table, raw, row, policy=POLICY, what="an article")

    @property
    def _today(self) -> dt.date:
        return new_york_day(self._wire.clock.now())

    def _articles(self, client: NewsApiClient, ticker: str) -> Iterator[Record]:
        """Newest first; each further request ends where the last one did. Page numbers would repeat and lose articles when new ones come
        in between, and a Developer key is refused the second page."""
        query = self._queries.get(ticker, f'"{ticker}" AND (stock OR shares)')
        since, until = (self._today - REACH).isoformat(), None
        told: dict[str, Record] = {}
        withdrawn = 0
        for _ in range(MOST_PAGES):
            answer = client.get_everything(q=query, from_param=since, to=until, language="en", sort_by="publishedAt", page_size=PAGE_SIZE)
            found, total = self._checked(answer, ticker)
            there = [article for article in found if article.get("title") != WITHDRAWN]
            withdrawn += len(found) - len(there)
            for article in there:
                told.setdefault(article["url"], article)
            reached = min((_moment(article["publishedAt"]) for article in there), default=None)
            further = None if reached is None else f"{reached.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}"
            if total <= len(found) or further in (None, until):
                break
            until = further
        if withdrawn:
            logger.info("news_api: %d articles of %s were withdrawn, and are left out", withdrawn, ticker)
        if total > len(found):
            older = total - len(found)
            logger.warning("news_api gave %d articles of %s of the last week; %d older ones are missing", len(told), ticker, older)
        yield from told.values()

    def _checked(self, answer: Any, ticker: str) -> tuple[list[dict[str, Any]], int]:
        """(articles, each with the name of its publisher, which it has one level down; how many there are from the last one on)."""
        total = answer.get("totalResults") if isinstance(answer, dict) else None
        if not isinstance(total, int):
            raise unreadable(POLICY, "the news", ticker, f"an answer of {total!r} results")
        found = []
        for article in listed(answer.get("articles"), POLICY, "the news", ticker):
            try:
                _moment(article["publishedAt"])
                publisher = article.get("source")
                found.append({**article, "ticker": ticker, "url": article["url"], "publisher": publisher["name"] if publisher else None})
            except (KeyError, TypeError, ValueError) as error:
                raise unreadable(POLICY, "an article", ticker, f"{error!r} in {article}") from None
        return found, total


def _moment(stamp: Any) -> dt.datetime:
    """Of a stamp as 2026-11-20T10:15:00Z; one without a zone is UTC. Raises ValueError or TypeError."""
    moment = dt.datetime.fromisoformat(stamp)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
