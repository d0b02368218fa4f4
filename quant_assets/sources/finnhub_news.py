"""News of companies from Finnhub, and how it reads them. The client, its limits and the other tables are in `finnhub.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.logs import logger
from quant_assets.sources.finnhub import DAY, Asking, in_parts
from quant_assets.sources.vendor_rows import Record, listed, new_york_day, number, raw_frame, rows_of, text, unreadable, whole_number

if TYPE_CHECKING:
    import finnhub

NEWS_REACH = 365 * DAY
WEEK = 7 * DAY
MONDAY = dt.date(1970, 1, 5)
MAY_BE_CUT, IS_CUT = 140, 240
"""Articles in an answer from which it is asked for in parts, and from which a single day is told to be incomplete. Finnhub states no
limit; users report that it gives the newest 250 or so, one of them 150."""
ARTICLE_FIELDS = ("id", "datetime", "headline", "summary", "source", "url")
SENTIMENT_FIELDS = ("articlesInLastWeek", "buzz", "companyNewsScore", "sectorAverageNewsScore", "bullishPercent", "bearishPercent")


class FinnhubNews(Asking):
    """Headlines and summaries of the last year.

    An article was public from the moment Finnhub says it appeared. One dated after the fetch, by a clock that runs ahead of ours, is kept
    and counts as known from the fetch on, at which it was there to be read.
    """

    table = "articles"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return dict.fromkeys(keys or (), Window(self.today - NEWS_REACH, self.today + DAY))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """What appeared on the days of the window in New York, and on a few around it. An article told twice is there once."""
        first, last = max(window.start, self.today - NEWS_REACH), min(window.end, self.today + DAY)  # its days may be those of UTC
        if first > last:
            return raw_frame((), ARTICLE_FIELDS)
        with self.client() as client:
            return raw_frame((article for key in keys for article in self._articles(client, key, first, last)), ARTICLE_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(article: Record) -> Record:
            appeared = dt.datetime.fromtimestamp(whole_number(article["datetime"]) or 0, dt.UTC)
            return {
                "ticker": article["ticker"],
                "article": str(whole_number(article["id"])),
                "published": new_york_day(appeared),
                "published_at": appeared,
                "headline": text(article["headline"]) or "",
                "summary": text(article["summary"]),
                "publisher": text(article["source"]),
                "url": text(article["url"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": min(appeared, fetched_at),
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="an article")

    def _articles(self, client: finnhub.Client, ticker: str, first: dt.date, last: dt.date) -> Iterator[Record]:
        def ask(since: dt.date, until: dt.date) -> list[dict[str, Any]]:
            answer = client.company_news(ticker, since.isoformat(), until.isoformat())
            found = listed(answer, self.policy, "the news", ticker)
            if since == until and len(found) >= IS_CUT:
                logger.warning("finnhub gave %d articles of %s on %s, about as many as it ever does: some may be missing",
                               len(found), ticker, since)  # fmt: skip
            return found

        told: dict[Any, Record] = {}
        week = first - (first - MONDAY) % WEEK  # always the same weeks, so that those that are over are answered from the cache
        while week <= last:
            for article in in_parts(week, week + WEEK - DAY, ask, MAY_BE_CUT):
                if not article.get("id") or not article.get("datetime"):
                    raise unreadable(self.policy, "an article", ticker, f"it has no id or datetime: {article}")
                told[article["id"]] = {**article, "ticker": ticker}
            week += WEEK
        yield from told.values()


class FinnhubSentiment(Asking):
    """How Finnhub reads the news of the last week, as it stands today. In paid plans only: with a free key every name is refused."""

    table = "news_sentiment"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return dict.fromkeys(keys or (), Window(self.today, self.today + DAY))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """None when today is not in the window."""
        if self.today not in window:
            return raw_frame((), SENTIMENT_FIELDS)
        with self.client() as client:
            return raw_frame((self._reading(client, key) for key in keys), SENTIMENT_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(told: Record) -> Record:
            return {
                "ticker": told["ticker"],
                "observed": new_york_day(fetched_at),
                "bullish": number(told["bullishPercent"]),
                "bearish": number(told["bearishPercent"]),
                "articles_in_week": whole_number(told["articlesInLastWeek"]),
                "buzz": number(told["buzz"]),
                "score": number(told["companyNewsScore"]),
                "sector_score": number(told["sectorAverageNewsScore"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="the sentiment")

    def _reading(self, client: finnhub.Client, ticker: str) -> Record:
        answer = client.news_sentiment(ticker)
        buzz, sentiment = (answer.get(name) or {} for name in ("buzz", "sentiment")) if isinstance(answer, dict) else (None, None)
        if not isinstance(buzz, dict) or not isinstance(sentiment, dict):
            raise unreadable(self.policy, "the sentiment", ticker, f"{answer}")
        unread = {} if buzz and sentiment else dict.fromkeys(SENTIMENT_FIELDS)  # of a name without news
        return {**unread, **answer, **buzz, **sentiment, "ticker": ticker}
