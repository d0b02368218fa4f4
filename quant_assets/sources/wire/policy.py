"""What a vendor file declares about its vendor, and how an answer is judged. Keeping to it is `wire.py`'s business."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Literal, NoReturn
from xml.etree import ElementTree

from quant_assets.sources.wire.exchange import Answer, Limits, Request

DAY = dt.timedelta(days=1)
NOW = dt.timedelta(0)  # of `lasts`: never kept
OVERLOADED = (408, 425, 429)  # with every 5xx: the same request may succeed later


class Trouble(Enum):
    """What is wrong with an answer, by what can be done about it."""

    TRANSIENT = "transient"
    BUDGET_SPENT = "budget spent"
    KEY_REFUSED = "key refused"
    NO_DATA = "no data"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Complaint:
    trouble: Trouble
    words: str
    """What arrived, the vendor's own words where it has any. Shortened, and its secrets replaced, before anyone sees it."""


@dataclass(frozen=True)
class Rate:
    """At most `limit` requests in any `seconds`, over all processes that share a data folder."""

    limit: int
    seconds: float


def _symbol(request: Request) -> str | None:
    known = {name.lower(): value for name, value in request.params}
    return next((known[name] for name in ("symbol", "ticker", "series_id") if name in known), None)


@dataclass(frozen=True)
class Policy:
    """How to behave towards one vendor.

    Parameters
    ----------
    promises : what the body of a good answer is; anything else is an error, not data.
    server : scheme and host that is asked, where `base_url` names no other.
    key_variable : environment variable that holds the key; None: the vendor has none.
    unset : setting without which the vendor is not asked and which is not there; None: all are.
    keys_a_request : how many names or series one request can be about.
    secret_params, secret_headers : lower-case names whose values are written nowhere and do not tell cached answers apart.
    daily_budget : requests a day in `budget_zone`, attempts included; None: unlimited.
    attempts : times a request is sent before a transient failure is an error.
    backoff_seconds : mean of the first wait between two attempts; doubles each time, up to `longest_wait_seconds`.
    longest_wait_seconds : a vendor that asks to wait longer (Retry-After) gets no further request until then.
    breaker_failures, breaker_seconds : so many requests in a row that failed after all attempts spare the vendor that long.
    lasts : how long an answer stays true: None for ever (a complete window of the past), `NOW` not at all.
    complaint : an error that the vendor tells in its own way (inside a 200, say); asked first, whatever the status.
    passes : answers that the client wants to see although they look like errors (Yahoo's cookie page is a 404); never cached.
    """

    vendor: str
    server: str = ""
    promises: Literal["json", "xml", "csv", "anything"] = "json"
    key_variable: str | None = None
    unset: str | None = None
    keys_a_request: int = 1
    secret_params: frozenset[str] = frozenset({"apikey", "api_key", "token", "key"})
    secret_headers: frozenset[str] = frozenset({"authorization", "x-api-key", "x-finnhub-token", "cookie"})
    rates: tuple[Rate, ...] = ()
    daily_budget: int | None = None
    budget_zone: Literal["UTC", "America/New_York"] = "UTC"
    limits: Limits = field(default_factory=Limits)
    attempts: int = 4
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 120.0
    breaker_failures: int = 5
    breaker_seconds: float = 300.0
    lasts: Callable[[Request], dt.timedelta | None] = field(default=lambda request: DAY)
    complaint: Callable[[Request, Answer], Complaint | None] = field(default=lambda request, answer: None)
    passes: Callable[[Request, Answer], bool] = field(default=lambda request, answer: False)
    symbol: Callable[[Request], str | None] = _symbol

    @property
    def lacks(self) -> str | None:
        """The variable or setting without which the vendor is not asked; None: it can be."""
        return self.key_variable if self.key_variable and not os.environ.get(self.key_variable) else self.unset

    def judge(self, request: Request, answer: Answer) -> Complaint | None:
        """What is wrong with the answer; None when it is what was asked for."""
        if complaint := self.complaint(request, answer):
            return complaint
        return _by_status(answer) or _by_promise(answer, self.promises)


def _by_status(answer: Answer) -> Complaint | None:
    said = f"answered {answer.status} {text(answer)}".strip()
    if answer.status in OVERLOADED or answer.status >= 500:
        return Complaint(Trouble.TRANSIENT, said)
    if answer.status in (401, 403):
        return Complaint(Trouble.KEY_REFUSED, said)
    if not 200 <= answer.status < 300:
        return Complaint(Trouble.UNUSABLE, said)
    return None


def _by_promise(answer: Answer, promised: str) -> Complaint | None:
    """A body that begins like what was promised and does not end was cut on its way; one that begins otherwise is something else."""
    if promised == "anything":
        return None
    if not answer.body.strip():
        return Complaint(Trouble.TRANSIENT, f"answered {answer.status} with an empty body")
    begins_well = {"json": answer.body.lstrip()[:1] in b"{[", "xml": answer.body.lstrip()[:1] == b"<", "csv": True}[promised]
    try:
        match promised:
            case "json":
                json.loads(answer.body, parse_constant=_no_number)
            case "xml":
                ElementTree.fromstring(answer.body)
            case "csv":
                _table(answer.body.decode())
    except _NoNumber as error:
        return Complaint(Trouble.UNUSABLE, f"answered JSON that holds {error}, which is no number")
    except (ValueError, ElementTree.ParseError, csv.Error):
        if begins_well and promised != "csv" and b"<html" not in answer.body[:500].lower():
            return Complaint(Trouble.TRANSIENT, f"answered {promised.upper()} that breaks off after {len(answer.body)} bytes")
        return Complaint(Trouble.UNUSABLE, f"answered something other than {promised.upper()}: {text(answer)}")
    return None


class _NoNumber(ValueError):
    """NaN or Infinity."""


def _no_number(constant: str) -> NoReturn:
    raise _NoNumber(constant)


def _table(body: str) -> None:
    if body.lstrip()[:1] in "{[<":
        raise ValueError("no table")
    for _ in csv.reader(body.splitlines(), strict=True):
        pass


def text(answer: Answer) -> str:
    """The body on one line. Whole: what is cut before its secrets are replaced may end in half of one."""
    return " ".join(answer.body.decode(errors="replace").split())


def retry_after(answer: Answer) -> float | None:
    """Seconds that the vendor asks to wait; None when it does not say so in a way that means anything.

    A moment is judged by the answer's own Date, so that neither side's wrong clock changes the wait.
    """
    asked = answer.headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
        told = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else answer.fetched_at
        wait = (_utc(until) - _utc(told)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return max(wait, 0.0) if math.isfinite(wait) else None


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
