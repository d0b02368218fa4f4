"""Yahoo's answers about options, earnings, holders and companies, for the `pages` of `replay_yahoo.Yahoo`.

Their form is that of answers that Yahoo gave in 2026 (fields, nesting, which values are nested again), but for the earnings page, of which
only what yfinance reads is certain: its table. The figures are made up, or given.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from quant_assets.calendars import Window
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo_vendor import OverYahoo
from quant_assets_tests.replay import Answers, Asked, ReplayServer, Reply, replaying
from quant_assets_tests.replay_yahoo import NEW_YORK, Yahoo
from quant_assets_tests.sources.wire.ways import At

OPTIONS, SUMMARY = "/v7/finance/options/", "/v10/finance/quoteSummary/"
QUOTE, SERIES, CALENDAR = "/v7/finance/quote", "/ws/fundamentals-timeseries/v1/finance/timeseries/", "/calendar/earnings"


ALWAYS = Window(dt.date(1990, 1, 2), dt.date.max)
"""What a step asks of a table that tells how things stand now."""
Table = TypeVar("Table", bound=OverYahoo)


@dataclass
class Asking(Generic[Table]):
    """A table, the wire and the server that it is asked of, and the clock of all."""

    source: Table
    wire: Wire
    server: ReplayServer
    clock: At

    def rows(self, *keys: str, window: Window = ALWAYS) -> pl.DataFrame:
        return self.source.normalise(self.source.fetch(keys, window), fetched_at=self.clock.now())

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.server.asked]


@contextmanager
def asking(make: type[Table], folder: Path, moment: str, pages: dict[str, Answers], **options: Any) -> Iterator[Asking[Table]]:
    clock = At(moment)
    with replaying(Yahoo(pages=pages, **options)) as server:
        wire = Wire(folder, base_urls={"yahoo": server.url}, clock=clock)
        yield Asking(make(wire), wire, server, clock)
        wire.store.close()


def epoch(day: dt.date) -> int:
    """Midnight UTC, which stands for a day without an hour."""
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())


def told(root: str, result: Any, error: dict[str, str] | None = None, status: int = 200) -> Reply:
    return Reply(json.dumps({root: {"result": result, "error": error}}), status, gzip=True)


def not_found(root: str, words: str) -> Reply:
    return told(root, None, {"code": "Not Found", "description": words}, 404)


def contract(root: str, expiry: dt.date, right: str, strike: float, **figures: Any) -> dict[str, Any]:
    """As Yahoo writes one; `figures` replace its own, and those that are None it does not write."""
    made = {
        "contractSymbol": f"{root}{expiry:%y%m%d}{right[0].upper()}{round(strike * 1000):08d}",
        "strike": strike,
        "currency": "USD",
        "lastPrice": 4.2,
        "change": 0,
        "percentChange": 0,
        "volume": 12,
        "openInterest": 340,
        "bid": 4.1,
        "ask": 4.3,
        "contractSize": "REGULAR",
        "expiration": epoch(expiry),
        "lastTradeDate": 1_401_984_000,
        "impliedVolatility": 0.23,
        "inTheMoney": False,
    }
    return {name: value for name, value in (made | figures).items() if value is not None}


def chain(symbol: str, contracts: Sequence[dict[str, Any]], *, traded_at: dt.datetime, spot: float = 100.0, **quote: Any) -> Answers:
    """The contracts expiry by expiry, the nearest one to who names none."""
    expiries = sorted({one["expiration"] for one in contracts})

    def answers(asked: Asked) -> Reply:
        expiry = int(asked.params.get("date", expiries[0] if expiries else 0))
        sides: dict[str, list[dict[str, Any]]] = {"calls": [], "puts": []}
        for one in contracts:
            if one["expiration"] == expiry:
                sides["calls" if one["contractSymbol"][-9] == "C" else "puts"].append(one)
        answer = {
            "underlyingSymbol": symbol,
            "expirationDates": expiries,
            "strikes": sorted({one.get("strike") for one in contracts}),
            "hasMiniOptions": False,
            "quote": {
                "symbol": symbol,
                "currency": "USD",
                "marketState": "POST",
                "regularMarketTime": int(traded_at.timestamp()),
                "regularMarketPrice": spot,
                **quote,
            },
            "options": [{"expirationDate": expiry, "hasMiniOptions": False, **sides}] if expiries else [],
        }
        return told("optionChain", [answer])

    return answers


Announced = tuple[str, str, str, str]
"""As the page writes it: "October 30, 2025 at 4 PM EDT", estimate, reported, surprise; a dash where it has none."""


def announcement(day: dt.date, hour: int, estimate: float | None = None, actual: float | None = None) -> Announced:
    moment = dt.datetime.combine(day, dt.time(hour), NEW_YORK)
    surprise = f"{actual / estimate * 100 - 100:+.2f}" if actual and estimate else "-"
    figures = ("-" if figure is None else f"{figure:.2f}" for figure in (estimate, actual))
    return (f"{moment:%B} {day.day}, {day.year} at {moment:%-I %p} {moment:%Z}", *figures, surprise)


def calendar(symbol: str, rows: Sequence[Announced], *, listed: str | None = None) -> Answers:
    """`size` rows from `offset` on; no table at all after the last one. `listed`: whose name stands there instead."""
    heads = ("Symbol", "Company", "Earnings Date", "EPS Estimate", "Reported EPS", "Surprise (%)")

    def answers(asked: Asked) -> Reply:
        first = int(asked.params["offset"])
        cells = [(listed or symbol, "Some Inc.", *row) for row in rows[first : first + int(asked.params["size"])]]
        lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in cells)
        table = f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{lines}</tbody></table>"
        return page(f"<h1>Earnings Calendar</h1>{table if cells else '<p>No results</p>'}")

    return answers


def page(body: str) -> Reply:
    return Reply(f"<!DOCTYPE html><html><head><title>Yahoo Finance</title></head><body>{body}</body></html>", content_type="text/html")


def holder(name: str, day: dt.date, shares: int, **figures: Any) -> dict[str, Any]:
    made = {
        "maxAge": 1,
        "reportDate": {"raw": epoch(day), "fmt": day.isoformat()},
        "organization": name,
        "pctHeld": {"raw": 0.0319, "fmt": "3.19%"},
        "position": {"raw": shares, "fmt": f"{shares / 1e6:.2f}M", "longFmt": f"{shares:,}"},
        "value": {"raw": shares * 333, "fmt": f"{shares * 333 / 1e9:.2f}B", "longFmt": f"{shares * 333:,}"},
        "pctChange": {"raw": 0.0001, "fmt": "0.01%"},
    }
    return {name: value for name, value in (made | figures).items() if value is not None}


def holders(institutions: Sequence[dict[str, Any]], funds: Sequence[dict[str, Any]]) -> Answers:
    result = {
        "institutionOwnership": {"maxAge": 1, "ownershipList": list(institutions)},
        "fundOwnership": {"maxAge": 1, "ownershipList": list(funds)},
    }
    return lambda asked: told("quoteSummary", [result])


def company(symbol: str, modules: dict[str, Any], quote: dict[str, Any], *, peg: float | None = None) -> dict[str, Answers]:
    """The three pages of a name that `info` is made of."""
    series: dict[str, Any] = {"meta": {"symbol": [symbol], "type": ["trailingPegRatio"]}}
    if peg is not None:
        series["trailingPegRatio"] = [{"asOfDate": "2026-10-02", "periodType": "TTM", "reportedValue": {"raw": peg, "fmt": f"{peg:.2f}"}}]
    return {
        f"{SUMMARY}{symbol}": lambda asked: told("quoteSummary", [{"quoteType": {"symbol": symbol, "maxAge": 1}, **modules}]),
        QUOTE: lambda asked: told("quoteResponse", [{"symbol": symbol, **quote}]),
        f"{SERIES}{symbol}": lambda asked: told("timeseries", [series]),
    }
