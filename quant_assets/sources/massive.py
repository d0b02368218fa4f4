"""The vendor Massive (Polygon.io until 2025): its limits, its errors, and its official client on the wire.

What its answers mean is the business of `massive_prices.py`, `massive_quotes.py`, `massive_options.py` and `massive_reference.py`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl

from quant_assets.calendars import TIMEZONE, last_settled_session, next_settled
from quant_assets.errors import SourceError
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import NOW, OVERLOADED, Complaint, Policy, Rate, Trouble
from quant_assets.sources.wire.wire import Clock, Wire

if TYPE_CHECKING:
    import pandas as pd
    from massive import RESTClient

    from quant_assets.schemas import Dtype
    from quant_assets.sources.wire.over_urllib3 import Pool

KEY_VARIABLE = "MASSIVE_API_KEY"
BASE_URL = "https://api.massive.com"
BARS = "/v2/aggs/ticker/"
SNAPSHOT = "/snapshot/"
ONE_TICKER = "/v3/reference/tickers/"
TICKER_EVENTS = "/vX/reference/tickers/"
TICKER_IN_PATH = re.compile(r"/(?:aggs/ticker|snapshot/options|reference/tickers)/([^/]+)")
GOOD = ("OK", "DELAYED")  # delayed: what a plan without live data gets
CHANGED = "see whether Massive changed its interface, or a newer client reads it"


def policy_of(clock: Clock) -> Policy:
    """As a free key may ask: 5 requests a minute. Paid plans have no limit but "under 100 a second".

    Both: massive.com/knowledge-base, "What is the request limit for Massive's RESTful APIs?".
    """
    return Policy(
        vendor="massive",
        server="https://api.massive.com",
        key_variable=KEY_VARIABLE,
        secret_params=frozenset({"apikey"}),
        secret_headers=frozenset({"authorization"}),
        rates=(Rate(5, 60.0),),
        backoff_seconds=20.0,  # four attempts outlast the minute after which a spent key may ask again
        lasts=lambda request: _lasts(request, clock.now()),
        complaint=_complaint,
        symbol=_symbol,
    )


@contextmanager
def opened(wire: Wire, policy: Policy, *, about: str) -> Iterator[RESTClient]:
    """The official client on the wire, for the questions about one name.

    Parameters
    ----------
    about : the name, for messages.

    Raises
    ------
    SourceError : no key is set; a listing comes round again, which the client would follow for ever.
    """
    from massive import RESTClient  # of the extra `live`

    from quant_assets.sources.wire.over_urllib3 import Pool

    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise SourceError(f"massive: no key in {KEY_VARIABLE}", remedy="get one from massive.com and set the variable")
    client = RESTClient(api_key=key, base=BASE_URL)
    pool = Pool(wire, policy)
    client.client = client.vx.client = _Listings(pool, about)
    try:
        yield client
    finally:
        pool.close()


@contextmanager
def reading(what: str, about: str) -> Iterator[None]:
    """SourceError where the client stumbles over an answer, or what it made of one is not what is promised."""
    from massive.exceptions import BadResponse

    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, BadResponse) as error:
        raise SourceError(f"massive: {what} of {about} cannot be read ({type(error).__name__}: {error})", remedy=CHANGED) from None


def table(raw: pd.DataFrame, columns: Mapping[str, Dtype], what: str) -> pl.DataFrame:
    """The raw frame's columns as these types; SourceError where a value is of another one."""
    try:
        return pl.DataFrame({name: pl.Series(name, raw[name].to_list(), dtype) for name, dtype in columns.items()})
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"massive: {what} cannot be read ({reason})", remedy=CHANGED) from None


def fields(found: object, paths: Iterable[str]) -> list[Any]:
    """Of what the client made of an answer the fields `name` and `parent.name`; None where the parent is absent."""
    values = []
    for path in paths:
        value: Any = found
        for name in path.split("."):
            value = None if value is None else getattr(value, name)
        values.append(value)
    return values


def moment(nanoseconds: str) -> pl.Expr:
    """The instant (UTC) of a column of nanoseconds since 1970; null where it is 0, as it is before the first one of a day."""
    stamp = pl.col(nanoseconds)
    return pl.when(stamp > 0).then(stamp // 1000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def new_york(milliseconds: float) -> dt.datetime:
    """The wall clock there, so many milliseconds after 1970 began."""
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)).astimezone(ZoneInfo(TIMEZONE))


def new_york_day(instant: pl.Expr) -> pl.Expr:
    return instant.dt.convert_time_zone(TIMEZONE).dt.date()


def above_zero(column: str) -> pl.Expr:
    """A price; null where it is 0, as Massive writes one that there is not."""
    price = pl.col(column)
    return pl.when(price != 0).then(price)


class _Listings:
    """Between the client and its pool: refuses a page that was there before."""

    def __init__(self, pool: Pool, about: str) -> None:
        self._pool, self._about = pool, about
        self._seen: set[bytes] = set()

    def request(self, method: str, url: str, *, fields: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        response = self._pool.request(method, url, fields=fields, headers=headers)
        results = json.loads(response.data).get("results")
        asked = hashlib.sha256(json.dumps([url, sorted(fields.items())]).encode()).digest()
        held = {hashlib.sha256(json.dumps(results).encode()).digest()} if results else set()
        if asked in self._seen or held & self._seen:
            endpoint = url.removeprefix(BASE_URL).partition("?")[0]
            message = f"massive {endpoint} for {self._about}: a page of the list came a second time, so that others are lost"
            raise SourceError(message, remedy="try again later; if it stays, report it to Massive")
        self._seen |= {asked, *held}
        return response


def _lasts(request: Request, now: dt.datetime) -> dt.timedelta | None:
    """Bars are complete once a later session has settled too; what is told of a name until the next one; a snapshot is of its moment."""
    if SNAPSHOT in request.endpoint:
        return NOW
    if BARS in request.endpoint and "cursor" not in dict(request.params):
        last_day = dt.date.fromisoformat(request.endpoint.rpartition("/")[2])
        if last_day < last_settled_session(now):
            return None
    return next_settled(now) - now


def _symbol(request: Request) -> str | None:
    if found := TICKER_IN_PATH.search(request.endpoint):
        return unquote(found[1])
    params = dict(request.params)
    return params.get("ticker") or params.get("tickers")


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """Massive says in `status` what is wrong, now and then with a 200, and explains itself in `error` or `message`."""
    if answer.status in OVERLOADED or answer.status >= 500:
        return None
    try:
        told = json.loads(answer.body)
    except ValueError:
        return None  # no JSON: judged as any other answer
    if not isinstance(told, dict):
        return Complaint(Trouble.UNUSABLE, "answered JSON that is no object")
    status = str(told.get("status", GOOD[0] if answer.status == 200 else answer.status))
    if answer.status == 200 and status in GOOD:
        flaw = _flaw(request, told)
        return Complaint(Trouble.UNUSABLE, flaw) if flaw else None
    explained = str(told.get("error") or told.get("message") or "without an explanation")
    words = f"{status}: {explained}"
    if "maximum requests" in explained:
        return Complaint(Trouble.TRANSIENT, words)
    if answer.status in (401, 403) or status in ("NOT_AUTHORIZED", "NOT_ENTITLED") or "API Key" in explained:
        return Complaint(Trouble.KEY_REFUSED, words)
    absent = answer.status == 404 or status == "NOT_FOUND"
    return Complaint(Trouble.NO_DATA if absent else Trouble.UNUSABLE, words)


def _flaw(request: Request, told: dict[str, Any]) -> str | None:
    """What makes a good answer unusable, so that it is not kept. That a bar is missing shows against the calendar, at the gate."""
    if BARS in request.endpoint:
        return _flaw_of_bars(request, told)
    place = "tickers" if "/locale/us/markets/stocks/" in request.endpoint else "results"
    kind = dict if ONE_TICKER in request.endpoint or TICKER_EVENTS in request.endpoint else list
    held = told.get(place)
    if held is None or not isinstance(held, kind):
        return f"holds no {'list' if kind is list else 'object'} of {place!r}"
    count = told.get("count", len(held))
    return f"says {count} {place} and holds {len(held)}" if place == "tickers" and count != len(held) else None


def _flaw_of_bars(request: Request, told: dict[str, Any]) -> str | None:
    count = told.get("resultsCount")
    bars = told.get("results", [] if count == 0 else None)  # left out when there are none
    if not isinstance(bars, list):
        return "holds no list of 'results'"
    if count != len(bars):
        return f"says {count} bars and holds {len(bars)}"
    if bars and told.get("adjusted") is not False:
        return "holds bars that are adjusted for splits, or does not say whether they are"
    if bars and told.get("ticker") != _symbol(request):
        return f"holds bars of {told.get('ticker')}"
    return None
