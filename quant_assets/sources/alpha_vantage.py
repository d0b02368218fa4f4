"""Quarterly earnings and company figures from Alpha Vantage, a request a name and table; its key is in ALPHA_VANTAGE_KEY.

A free key has 25 requests a day. Company figures are therefore asked for once a week, and nightly earnings of more than about twenty names
want a paid plan. Its indicators, which only check ours, are in `alpha_vantage_indicators.py`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError
from quant_assets.sources.vendor_rows import (
    NULLS,
    Record,
    dated,
    earnings_known_at,
    is_about,
    listed,
    new_york_day,
    number,
    raw_frame,
    required_key,
    rows_of,
    text,
    unreadable,
)
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import OVERLOADED, Complaint, Policy, Rate, Trouble

if TYPE_CHECKING:
    from quant_assets.sources.wire.wire import Wire

URL = "https://www.alphavantage.co/query"
PAGE = "alphavantage.co/support/#api-key"
POLITENESS = "Thank you for using Alpha Vantage! "
PREMIUM = "This is a premium endpoint"
WHEN = {"pre-market": "before_open", "post-market": "after_close"}
EARNINGS_FIELDS = ("fiscalDateEnding", "reportedDate", "reportedEPS", "estimatedEPS", "reportTime")
NIGHTLY, WEEKLY = dt.timedelta(hours=12), dt.timedelta(days=6, hours=12)

# In this order: what it says of too many requests a second also names those a day, and both name the premium plans.
_TOLD = (
    (re.compile(r"apikey is invalid|demo\W* api key", re.I), Trouble.KEY_REFUSED),
    (re.compile(r"sparingly|requests? per second|calls? per minute|burst pattern", re.I), Trouble.TRANSIENT),
    (re.compile(r"per day", re.I), Trouble.BUDGET_SPENT),
)


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """Its errors are JSON of one text, with status 200; the text of a spent day repeats the key."""
    if answer.status in OVERLOADED or answer.status >= 500:
        return None
    try:
        told = json.loads(answer.body)
    except ValueError:
        return None
    if told == {}:
        return Complaint(Trouble.NO_DATA, "answered {}: it does not know the name, or has nothing of the kind")
    if not isinstance(told, dict):
        return None
    kind = next((name for name in ("Error Message", "Information", "Note") if isinstance(told.get(name), str)), None)
    if kind is None:
        return None
    words = " ".join(told[kind].split()).removeprefix(POLITENESS)
    otherwise = Trouble.NO_DATA if kind == "Error Message" else Trouble.UNUSABLE
    return Complaint(next((trouble for said, trouble in _TOLD if said.search(words)), otherwise), words)


def _subject(request: Request) -> str | None:
    """Every function has the same address."""
    asked = dict(request.params)
    return f"{asked.get('symbol')} ({asked.get('function')})"


POLICY = Policy(
    vendor="alpha_vantage",
    server="https://www.alphavantage.co",
    key_variable="ALPHA_VANTAGE_KEY",
    # 25 a day and 1 a second with a free key, in its own refusals; one every 2 s passes, one a second not always
    # (github.com/finance-quote/finance-quote/issues/546). When its day begins is said nowhere; its clock is New York's.
    rates=(Rate(1, 2.0),),
    daily_budget=25,
    budget_zone="America/New_York",
    attempts=3,
    lasts=lambda request: WEEKLY if dict(request.params).get("function") == "OVERVIEW" else NIGHTLY,
    complaint=_complaint,
    symbol=_subject,
)


def ask(wire: Wire, function: str, ticker: str, **further: str) -> dict[str, Any]:
    """The answer to one function (alphavantage.co/documentation) about one name.

    Raises
    ------
    SourceError : no key is set, it is refused, its day is spent or its plan too small; NoData and SourceUnavailable as of the wire.
    """
    from quant_assets.sources.wire.over_httpx import Client  # of the extra `live`

    asked = {"function": function, "symbol": ticker, **further, "apikey": required_key(POLICY, page=PAGE)}
    with closing(Client(wire, POLICY)) as client:
        try:
            answer = json.loads(client.get(URL, asked).body)
        except SourceError as error:
            if PREMIUM not in error.message:
                raise
            raise NoData(error.message, remedy="do without it, or subscribe to a plan that includes it") from None
    if not isinstance(answer, dict):
        raise unreadable(POLICY, function, ticker, f"{type(answer).__name__} where an object was expected")
    return answer


class AlphaVantageEarnings:
    """Announced quarters with the consensus before them. Its numbers are in the currency the company reports in."""

    name = "alpha_vantage"
    table = "earnings"
    policy = POLICY

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Whatever is asked for: what it has of a name shows when it is fetched."""
        return dict.fromkeys(keys or (), Window(dt.date.min, dt.date.max))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Its quarters with a day of announcement in the window, numbers as text; a quarter without such a day was not announced.

        Raises
        ------
        SourceError : a quarter with a figure has no day; else as of `ask`.
        """
        quarters = [quarter for key in keys for quarter in self._announced(key)]
        return raw_frame(dated(quarters, "reportedDate", window, policy=POLICY, what="EARNINGS"), EARNINGS_FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Two quarters announced on one day are an error: the table has room for one."""

        def row(quarter: Record) -> Record:
            announced = dt.date.fromisoformat(quarter["reportedDate"])
            when = WHEN.get(text(quarter["reportTime"]) or "")
            actual = number(quarter["reportedEPS"])
            return {
                "ticker": quarter["ticker"],
                "announced": announced,
                "announced_when": when,
                "period_end": dt.date.fromisoformat(quarter["fiscalDateEnding"]),
                "eps_estimate": number(quarter["estimatedEPS"]),
                "eps_actual": actual,
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": earnings_known_at(announced, when, is_out=actual is not None, fetched_at=fetched_at),
            }

        return rows_of(self.table, raw, row, policy=POLICY, what="EARNINGS")

    def _announced(self, ticker: str) -> Iterator[Record]:
        answer = ask(self._wire, "EARNINGS", ticker)
        if not is_about(ticker, answer.get("symbol")):
            raise unreadable(POLICY, "EARNINGS", ticker, f"it is about {answer.get('symbol')!r}")
        for quarter in listed(answer.get("quarterlyEarnings"), POLICY, "EARNINGS", ticker):
            if quarter.get("reportedDate") not in (None, *NULLS) or quarter.get("reportedEPS") not in (None, *NULLS):
                yield {**quarter, "ticker": ticker}


class AlphaVantageOverview:
    """What it says of a company now, field by field, in its own words: `None` and `-` are among them."""

    name = "alpha_vantage"
    table = "company_info"
    policy = POLICY

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Today, in New York: it does not tell how a company stood."""
        today = new_york_day(self._wire.clock.now())
        return dict.fromkeys(keys or (), Window(today, today + dt.timedelta(days=1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Columns ticker, field, text; none when today is not in the window. NoData for funds, which it has no overview of."""
        if new_york_day(self._wire.clock.now()) not in window:
            return raw_frame((), ("field", "text"))
        return raw_frame((field for key in keys for field in self._fields(key)), ("field", "text"))

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        def row(field: Record) -> Record:
            return {
                "ticker": field["ticker"],
                "observed": new_york_day(fetched_at),
                "field": field["field"],
                "text": text(field["text"]) or "",
                "number": _number(field["text"]),
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        return rows_of(self.table, raw, row, policy=POLICY, what="OVERVIEW")

    def _fields(self, ticker: str) -> list[Record]:
        answer = ask(self._wire, "OVERVIEW", ticker)
        if not is_about(ticker, answer.get("Symbol")):
            raise unreadable(POLICY, "OVERVIEW", ticker, f"it is about {answer.get('Symbol')!r}")
        return [{"ticker": ticker, "field": name, "text": value} for name, value in answer.items()]


def _number(words: str) -> float | None:
    try:
        return number(words)
    except ValueError:
        return None
