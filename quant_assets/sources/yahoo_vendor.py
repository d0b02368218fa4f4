"""What all tables from Yahoo Finance share: how it is asked, what its answers mean when they are none, and its name of a share.

The client that reads its answers is in `yahoo_client.py`; what their numbers mean, in the file of each table.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote

import pandas as pd

from quant_assets.calendars import last_settled_session, next_settled, session_offset, session_open
from quant_assets.sources.vendor_rows import new_york_day
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import NOW, OVERLOADED, Complaint, Policy, Rate, Trouble, text
from quant_assets.sources.wire.wire import Clock, Wire

if TYPE_CHECKING:
    from quant_assets.sources.yahoo_client import Client

CHART, OPTIONS, SUMMARY = "/v8/finance/chart/", "/v7/finance/options/", "/v10/finance/quoteSummary/"
SERIES, QUOTE, CALENDAR = "/ws/fundamentals-timeseries/v1/finance/timeseries/", "/v7/finance/quote", "/calendar/earnings"
CRUMB = "/v1/test/getcrumb"
ROOTS = {CHART: "chart", OPTIONS: "optionChain", SUMMARY: "quoteSummary", SERIES: "timeseries", QUOTE: "quoteResponse"}
"""Of each address that answers JSON, the name that all of it stands under."""
REFUSALS = (401, 403)
ADAPT = "see whether Yahoo changed its answers"


def policy_of(clock: Clock, *, promises: Literal["json", "anything"] = "json") -> Policy:
    """Yahoo publishes no limits; these are below those at which users report to be shut out for hours."""
    return Policy(
        vendor="yahoo",
        server="https://query2.finance.yahoo.com",
        promises=promises,
        secret_params=frozenset({"crumb"}),
        rates=(Rate(2, 1.0), Rate(60, 60.0)),
        lasts=lambda request: _lasts(request, clock.now()),
        complaint=_complaint,
        passes=_passes,
        symbol=_symbol,
    )


def yahoo_symbol(ticker: str) -> str:
    """Yahoo's name of a US share: BRK-B for BRK.B and BRK/B. A dot would mean another country's exchange."""
    return ticker.replace(".", "-").replace("/", "-")


class OverYahoo:
    """A table that Yahoo fills."""

    name = "yahoo"
    table: str
    promises: ClassVar[Literal["json", "anything"]] = "json"

    def __init__(self, wire: Wire) -> None:
        self.policy = policy_of(wire.clock, promises=self.promises)
        self._wire = wire

    @property
    def _today(self) -> dt.date:
        """In New York."""
        return new_york_day(self._wire.clock.now())

    @cached_property
    def _client(self) -> Client:
        from quant_assets.sources.yahoo_client import Client  # yfinance imports for a second: only when asked for

        return Client(self._wire, self.policy)


def delivered(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of one of yfinance's frames, None for what pandas marks as missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _lasts(request: Request, now: dt.datetime) -> dt.timedelta:
    """Until the next daily bar is final; quotes of options never while they move, and until the next open when they rest."""
    if OPTIONS in request.endpoint:
        return max(session_open(session_offset(last_settled_session(now), 1)) - now, NOW)
    return next_settled(now) - now


def _symbol(request: Request) -> str | None:
    found = next((address for address in ROOTS if address in request.endpoint), None)
    in_path = request.endpoint.partition(found)[2] if found else ""
    params = dict(request.params)
    return unquote(in_path) or params.get("symbols") or params.get("symbol")


def _passes(request: Request, answer: Answer) -> bool:
    """What yfinance judges itself: the pages that give cookie and crumb, and a refusal, after which it gets them anew."""
    if any(address in request.endpoint for address in (*ROOTS, CALENDAR)):
        return answer.status in REFUSALS
    return not (CRUMB in request.endpoint and (answer.status in OVERLOADED or answer.status >= 500))


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """Yahoo explains itself in its own JSON, whatever the status."""
    if answer.status in OVERLOADED or answer.status >= 500:
        return None
    if CALENDAR in request.endpoint:
        return _of_page(request, answer)
    address = next((address for address in ROOTS if address in request.endpoint), None)
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None  # judged as any other answer
    if address is None:
        return None
    try:
        told = said.get(ROOTS[address]) or said["finance"]
        if error := told.get("error"):
            words = f"{error.get('code')}: {error.get('description')}"
            absent = error.get("code") == "Not Found" or "Data doesn't exist" in words
            return Complaint(Trouble.NO_DATA if absent else Trouble.UNUSABLE, words)
        return JUDGES[address](request, told.get("result") or [])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return Complaint(Trouble.UNUSABLE, f"answered JSON that is not built as it was ({error!r})")


def _of_chart(request: Request, result: list[Any]) -> Complaint | None:
    if not result or not result[0].get("timestamp"):
        return Complaint(Trouble.NO_DATA, "the chart holds no bar")
    meta = result[0].get("meta", {})
    if meta.get("regularMarketTime", 0) >= int(dict(request.params)["period2"]):
        # A split after what was asked for would be in the prices and not among the splits.
        return Complaint(Trouble.UNUSABLE, "trades later than what was asked for: this machine's clock is behind")
    return _of_currency(meta)


def _of_options(request: Request, result: list[Any]) -> Complaint | None:
    """yfinance takes whatever share and expiry it is given for those it asked for."""
    if not result or not result[0]["expirationDates"]:
        return Complaint(Trouble.NO_DATA, "no options are listed")
    chain, asked = result[0], dict(request.params).get("date")
    if other := _of_another(request, chain["underlyingSymbol"]):
        return other
    if not chain["options"]:
        return Complaint(Trouble.UNUSABLE, "the chain holds no expiry")
    if asked and int(asked) != chain["options"][0]["expirationDate"]:
        return Complaint(Trouble.UNUSABLE, f"gave the expiry {chain['options'][0]['expirationDate']} where {asked} was asked for")
    return _of_currency(chain["quote"])


def _of_summary(request: Request, result: list[Any]) -> Complaint | None:
    if not result or not result[0]:
        return Complaint(Trouble.NO_DATA, "the summary is empty")
    return _of_another(request, result[0].get("quoteType", {}).get("symbol"))


def _of_quote(request: Request, result: list[Any]) -> Complaint | None:
    return _of_another(request, result[0].get("symbol")) if result else Complaint(Trouble.NO_DATA, "there is no such quote")


def _of_page(request: Request, answer: Answer) -> Complaint | None:
    """The calendar is a page for people. It once gave all names' earnings to who asked for one's; yfinance does not look whose they are."""
    if answer.status != 200:
        return None
    page = answer.body.decode(errors="replace")
    if "</html>" not in page.lower():
        return Complaint(Trouble.TRANSIENT, f"answered a page that breaks off after {len(answer.body)} bytes")
    if "<table" not in page:
        # Funds have no earnings, and so no table; nor have the pages on which Yahoo asks for consent or says that it is down.
        known = "Earnings Calendar" in page
        words = "the calendar holds no earnings" if known else f"answered another page than the earnings calendar: {text(answer)}"
        return Complaint(Trouble.NO_DATA if known else Trouble.UNUSABLE, words)
    try:
        table = pd.read_html(io.StringIO(page), flavor="lxml", keep_default_na=False)[0]
    except ValueError as error:
        return Complaint(Trouble.UNUSABLE, f"answered a calendar whose table cannot be read ({error})")
    if "Symbol" not in table:
        return Complaint(Trouble.UNUSABLE, f"the calendar's table has no symbols, but {', '.join(map(str, table.columns))}")
    return next(filter(None, (_of_another(request, symbol) for symbol in table["Symbol"])), None)


def _of_another(request: Request, symbol: str | None) -> Complaint | None:
    return None if symbol in (None, _symbol(request)) else Complaint(Trouble.UNUSABLE, f"is about {symbol}")


def _of_currency(meta: Mapping[str, Any]) -> Complaint | None:
    quoted = meta.get("currency")
    return None if quoted in ("USD", None) else Complaint(Trouble.UNUSABLE, f"is quoted in {quoted}, and prices are US dollars")


JUDGES: dict[str, Callable[[Request, list[Any]], Complaint | None]] = {
    CHART: _of_chart,
    OPTIONS: _of_options,
    SUMMARY: _of_summary,
    SERIES: lambda request, result: None,  # of a fund it is empty
    QUOTE: _of_quote,
}
