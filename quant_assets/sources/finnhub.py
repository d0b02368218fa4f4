"""News, insiders, analysts and announcements of US companies from Finnhub; its key is in FINNHUB_API_KEY. Personal use only by its terms.

A free key has 60 requests a minute, a year of news and a month of past announcements (finnhub.io/pricing, and `freeTier` in
finnhub.io/static/swagger.json); how it reads the news is in paid plans only. `finnhub_news.py` has the tables of news.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError
from quant_assets.sources.vendor_rows import (
    Record,
    dated,
    earnings_known_at,
    end_of_day,
    is_about,
    listed,
    new_york_day,
    number,
    raw_frame,
    required_key,
    rows_of,
    text,
    unreadable,
    whole_number,
)
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import OVERLOADED, Complaint, Policy, Rate, Trouble
from quant_assets.sources.wire.wire import Clock

if TYPE_CHECKING:
    import finnhub

    from quant_assets.sources.wire.wire import Wire

KEY_VARIABLE = "FINNHUB_API_KEY"
PAGE = "finnhub.io/register"
DAY = dt.timedelta(days=1)
SETTLED = 7 * DAY
"""After which no article is added to a day any more: its answer is kept for good."""
NOT_IN_THE_PLAN = "is not in the plan of this key"
WHEN = {"bmo": "before_open", "amc": "after_close", "dmh": "in_session"}
MOST_INSIDERS = 100
"""Transactions that one request brings at most (finnhub.io/docs/api/insider-transactions)."""
LATE_FILING = 60 * DAY
"""Whether it is asked by the day of the trade or of the filing is not said, and a filing may follow its trade late."""
FIRST_FORM_4 = dt.date(2003, 6, 30)
"""From then on insiders file electronically (SEC release 33-8230)."""
CALENDAR_PAST, CALENDAR_AHEAD = 31 * DAY, 120 * DAY

INSIDER_FIELDS = (
    "id", "name", "filingDate", "transactionDate", "transactionCode", "isDerivative", "change", "share", "transactionPrice",
)  # fmt: skip
TREND_FIELDS = ("period", "strongBuy", "buy", "hold", "sell", "strongSell")
CALENDAR_FIELDS = ("date", "hour", "year", "quarter", "epsEstimate", "epsActual", "revenueEstimate", "revenueActual")


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """What a key may not ask for is refused with 403, like the key itself; its errors are {"error": words}."""
    if answer.status in OVERLOADED or answer.status >= 500:
        return None
    try:
        told = json.loads(answer.body)
    except ValueError:
        return None
    words = told.get("error") if isinstance(told, dict) else None
    if told == {}:
        return Complaint(Trouble.NO_DATA, "answered {}: it has nothing about the name")
    if not isinstance(words, str):
        return None
    lower = words.lower()
    if "access to this resource" in lower or "premium" in lower:
        return Complaint(Trouble.UNUSABLE, f"{NOT_IN_THE_PLAN}: {words}")
    if answer.status in (401, 403) or "api key" in lower:
        return Complaint(Trouble.KEY_REFUSED, words)
    return Complaint(Trouble.TRANSIENT if "limit" in lower else Trouble.UNUSABLE, words)


def policy_of(clock: Clock) -> Policy:
    """Its limits: 60 a minute with a free key, 30 a second with any (finnhub.io/docs/api/rate-limit)."""

    def lasts(request: Request) -> dt.timedelta | None:
        asked_until = dict(request.params).get("to")
        grows = LATE_FILING if "insider" in request.endpoint else SETTLED
        settled = asked_until is not None and dt.date.fromisoformat(asked_until) < clock.now().date() - grows
        return None if settled else dt.timedelta(hours=12)

    return Policy(
        vendor="finnhub",
        server="https://api.finnhub.io",
        key_variable=KEY_VARIABLE,
        rates=(Rate(60, 60.0), Rate(30, 1.0)),
        lasts=lasts,
        complaint=_complaint,
    )


class Asking:
    """Its official client on the wire: what the five tables have in common."""

    name = "finnhub"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.policy = policy_of(wire.clock)

    @property
    def today(self) -> dt.date:
        return new_york_day(self._wire.clock.now())

    @contextmanager
    def client(self) -> Iterator[finnhub.Client]:
        """Raises SourceError for an answer whose kind the client does not take, and as of the wire."""
        import finnhub  # of the extra `live`

        from quant_assets.sources.wire.over_requests import mount

        key = required_key(self.policy, page=PAGE)
        with finnhub.Client(api_key=None) as client:  # which would put it into every address
            client._session.headers["X-Finnhub-Token"] = key
            mount(client._session, self._wire, self.policy)
            try:
                yield client
                return
            except finnhub.FinnhubRequestException:
                pass  # its text is the whole answer, and must not hang on an error of ours as its context
            except SourceError as error:
                if NOT_IN_THE_PLAN not in error.message:
                    raise
                raise NoData(error.message, remedy="do without it, or subscribe to a plan that includes it") from None
        message = "finnhub: an answer is marked neither as JSON nor as text"
        raise SourceError(message, remedy="see whether finnhub changed its interface")


def in_parts(first: dt.date, last: dt.date, ask: Callable[[dt.date, dt.date], list[dict[str, Any]]], most: int) -> Iterator[Record]:
    """All records of the days, asked for in halves as long as an answer holds `most` or more and may have been cut."""
    found = ask(first, last)
    if len(found) < most or first == last:
        yield from found
        return
    middle = first + (last - first) // 2
    yield from in_parts(first, middle, ask, most)
    yield from in_parts(middle + DAY, last, ask, most)


class FinnhubInsiders(Asking):
    """Forms 3, 4 and 5, a row a transaction. Its number is one of the filing, so the row is named by a hash of all it says."""

    table = "insider_transactions"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return dict.fromkeys(keys or (), Window(FIRST_FORM_4, self.today + DAY))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """What was filed in the window, with its own names."""
        covered = Window(max(window.start, FIRST_FORM_4), window.end).clipped(self.today + DAY)
        if covered.start >= covered.end:
            return raw_frame((), INSIDER_FIELDS)
        with self.client() as client:
            found = [{**record, "ticker": key} for key in keys for record in self._traded(client, key, covered)]
        return raw_frame(dated(found, "filingDate", covered, policy=self.policy, what="an insider transaction"), INSIDER_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(told: Record) -> Record:
            filed, traded = dt.date.fromisoformat(told["filingDate"]), text(told["transactionDate"])
            return {
                "ticker": told["ticker"],
                "transaction": hashlib.sha256(json.dumps([told[name] for name in INSIDER_FIELDS]).encode()).hexdigest()[:24],
                "filed": filed,
                "traded": dt.date.fromisoformat(traded) if traded else None,
                "insider": text(told["name"]),
                "code": text(told["transactionCode"]),
                "derivative": told["isDerivative"],
                "change": number(told["change"]),
                "held": number(told["share"]),
                "price": number(told["transactionPrice"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": end_of_day(filed),  # as of any filing with the SEC: see sec_facts.py
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="an insider transaction")

    def _traded(self, client: finnhub.Client, ticker: str, window: Window) -> Iterator[Record]:
        def ask(first: dt.date, last: dt.date) -> list[dict[str, Any]]:
            answer = client.stock_insider_transactions(ticker, first.isoformat(), last.isoformat())
            told = answer.get("data") if isinstance(answer, dict) else answer
            return listed(told, self.policy, "the insider transactions", ticker)

        for year in range((window.start - LATE_FILING).year, window.last_day.year + 1):  # whole ones: those that are over stay in the cache
            yield from in_parts(dt.date(year, 1, 1), dt.date(year, 12, 31), ask, MOST_INSIDERS)


class FinnhubRecommendations(Asking):
    """How many analysts say what, of the last months."""

    table = "recommendations"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """A year: it decides itself how many of the last months it answers with."""
        return dict.fromkeys(keys or (), Window(self.today - 365 * DAY, self.today + DAY))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The months of the window that it tells of, with its own names."""
        if window.end <= self.today - 365 * DAY or window.start > self.today:
            return raw_frame((), TREND_FIELDS)
        what = "the recommendations"
        with self.client() as client:
            told = [{**m, "ticker": key} for key in keys for m in listed(client.recommendation_trends(key), self.policy, what, key)]
        return raw_frame(dated(told, "period", window, policy=self.policy, what="a month of recommendations"), TREND_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(month: Record) -> Record:
            return {
                "ticker": month["ticker"],
                "period": dt.date.fromisoformat(month["period"]),
                "strong_buy": whole_number(month["strongBuy"]),
                "buy": whole_number(month["buy"]),
                "hold": whole_number(month["hold"]),
                "sell": whole_number(month["sell"]),
                "strong_sell": whole_number(month["strongSell"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="a month of recommendations")


class FinnhubEarnings(Asking):
    """Announcements of the last month and those to come. Its figures are not by GAAP, and its own estimates are among the estimates."""

    table = "earnings"

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        return dict.fromkeys(keys or (), Window(self.today - CALENDAR_PAST, self.today + CALENDAR_AHEAD))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """One request a name: of all names at once it silently brings the last 1,500 announcements of the window."""
        first = max(window.start, self.today - CALENDAR_PAST)
        covered = Window(first, window.end).clipped(self.today + CALENDAR_AHEAD)
        if covered.start >= covered.end:
            return raw_frame((), CALENDAR_FIELDS)
        with self.client() as client:
            return raw_frame((entry for key in keys for entry in self._entries(client, key, covered)), CALENDAR_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(entry: Record) -> Record:
            announced, when = dt.date.fromisoformat(entry["date"]), WHEN.get(text(entry["hour"]) or "")
            eps, revenue = number(entry["epsActual"]), number(entry["revenueActual"])
            is_out = eps is not None or revenue is not None
            return {
                "ticker": entry["ticker"],
                "announced": announced,
                "announced_when": when,
                "fiscal_year": whole_number(entry["year"]),
                "fiscal_quarter": whole_number(entry["quarter"]),
                "eps_estimate": number(entry["epsEstimate"]),
                "eps_actual": eps,
                "revenue_estimate": number(entry["revenueEstimate"]),
                "revenue_actual": revenue,
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": earnings_known_at(announced, when, is_out=is_out, fetched_at=fetched_at),
            }

        return rows_of(self.table, raw, row, policy=self.policy, what="an announcement")

    def _entries(self, client: finnhub.Client, ticker: str, window: Window) -> Iterator[Record]:
        answer = client.earnings_calendar(window.start.isoformat(), window.last_day.isoformat(), ticker)
        told = answer.get("earningsCalendar") if isinstance(answer, dict) else answer
        for entry in listed(told, self.policy, "the calendar", ticker):
            if not is_about(ticker, entry.get("symbol")):
                raise unreadable(self.policy, "the calendar", ticker, f"it is about {entry.get('symbol')!r}")
            yield {**entry, "ticker": ticker}
