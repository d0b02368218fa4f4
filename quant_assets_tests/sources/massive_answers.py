"""Massive on loopback: real bars and actions in its form, recorded snapshots and references. For `replay.replaying`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest

from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, ReplayServer, Reply, recorded, replaying
from quant_assets_tests.replay_yahoo import NEW_YORK, History
from quant_assets_tests.sources.wire.ways import MovingClock

KEY = "m4ssive-Key/that+stays hidden"
RECORDED = "data/vendor_api/polygon_massive"
NEXT = "https://api.massive.com"
D = dt.date


@dataclass
class Massive:
    """Answers as Massive does.

    chains : contracts of an underlying, `Reply`s of single pages among them. page : rows of a page, if fewer than asked for.
    wrong : what it does instead, by what is in the path.
    """

    histories: dict[str, History] = field(default_factory=dict)
    chains: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    page: int = 50_000
    wrong: dict[str, Callable[[Asked], Reply]] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "ERROR", error="Unknown API Key")
        path, parts = unquote(asked.path), [unquote(part) for part in asked.path.split("/")]
        for part, reply in self.wrong.items():
            if part in path:
                return reply(asked)
        if path.startswith("/v2/aggs/ticker/"):
            return self._bars(asked, parts)
        if path in ("/stocks/v1/splits", "/stocks/v1/dividends"):
            return self._actions(asked, path)
        if path == "/v2/snapshot/locale/us/markets/stocks/tickers":
            wanted = asked.params["tickers"].split(",")
            found = [one for one in self.snapshots if one["ticker"] in wanted]
            return body(count=len(found), tickers=found)
        if path.startswith("/v3/snapshot/options/"):
            return self._page(asked, self.chains.get(parts[-1], []))
        return error(404, "NOT_FOUND", message="Ticker not found.")

    def _bars(self, asked: Asked, parts: list[str]) -> Reply:
        ticker, first, last = parts[4], *map(D.fromisoformat, parts[8:10])
        known = self.histories.get(ticker)
        raw = asked.params.get("adjusted") == "false" or "cursor" in asked.params
        inside = known.bars.filter(pl.col("session").is_between(first, last)).rows(named=True) if known else []
        return self._page(asked, [bar(**row) for row in inside], ticker=ticker, adjusted=not raw, counts=True)

    def _actions(self, asked: Asked, path: str) -> Reply:
        ticker = asked.params.get("ticker") or asked.params["cursor"].split("@")[1]
        known = self.histories.get(ticker, History(pl.DataFrame()))
        if path.endswith("splits"):
            rows = [split(ticker, day, ratio) for day, ratio in known.splits.items()]
        else:
            rows = [dividend(ticker, day, amount) for day, amount in known.dividends.items()]
        return self._page(asked, rows, ticker=ticker)

    def _page(self, asked: Asked, rows: list[dict[str, Any]], *, ticker: str = "", counts: bool = False, **more: Any) -> Reply:
        cursor, size = asked.params.get("cursor", "0@").split("@"), min(self.page, int(asked.params.get("limit", self.page)))
        begin = int(cursor[0])
        held = rows[begin : begin + size]
        told: dict[str, Any] = {"ticker": ticker, "queryCount": len(held), "resultsCount": len(held), **more} if counts else {}
        told |= {"results": held} if held or not counts else {}
        if begin + size < len(rows):
            told["next_url"] = f"{NEXT}{asked.path}?cursor={begin + size}@{ticker}"
        return body(**told)


def body(**told: Any) -> Reply:
    return Reply(json.dumps({**told, "status": "OK", "request_id": "f9a"}), gzip=True)


def error(http_status: int, status: str, **words: str) -> Reply:
    return Reply(json.dumps({"status": status, "request_id": "f9a", **words}), http_status)


def midnight(day: dt.date) -> int:
    """Milliseconds, as of bars."""
    return int(dt.datetime.combine(day, dt.time(), NEW_YORK).timestamp()) * 1000


def nanoseconds(moment: str) -> int:
    """Of a wall clock in New York, as of trades and quotes."""
    return int(dt.datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


def bar(session: dt.date, open: float, high: float, low: float, close: float, volume: float, **_: Any) -> dict[str, Any]:
    return {"v": volume, "vw": close, "o": open, "c": close, "h": high, "l": low, "t": midnight(session), "n": 1}


def split(ticker: str, day: dt.date, ratio: float) -> dict[str, Any]:
    old, new = (1.0, ratio) if ratio >= 1 else (round(1 / ratio), 1.0)
    kind = "forward_split" if ratio >= 1 else "reverse_split"
    return {"execution_date": str(day), "id": f"E{day}", "split_from": old, "split_to": new, "ticker": ticker, "adjustment_type": kind}


def dividend(ticker: str, day: dt.date, amount: float, **more: Any) -> dict[str, Any]:
    told = {"cash_amount": amount, "currency": "USD", "ex_dividend_date": str(day), "frequency": 4, "distribution_type": "recurring"}
    return {**told, "id": f"E{day}{amount}", "ticker": ticker, **more}


def made(*bars: tuple[str, float | None], **actions: dict[dt.date, float]) -> History:
    """A history of (day, price)."""
    days, prices = [D.fromisoformat(day) for day, _ in bars], [price for _, price in bars]
    columns = {"session": days, **dict.fromkeys(("open", "high", "low", "close"), prices), "volume": [1000.0] * len(bars)}
    return History(pl.DataFrame(columns), **actions)


def contract(shared: Path, **changes: Any) -> dict[str, Any]:
    """The recorded contract of AAPL, call at 150 of 2023-06-16, with other values at `parent__child`."""
    told = json.loads((shared / RECORDED / "v3/snapshot/options/AAPL.json").read_text())["results"][0]
    return _changed(told, changes)


def snapshot(shared: Path, **changes: Any) -> dict[str, Any]:
    """The recorded snapshot of AAPL (2022-04-29, 13:05), with other values at `parent__child`."""
    told = json.loads((shared / RECORDED / "v2/snapshot/locale/us/markets/stocks/tickers/AAPL.json").read_text())["ticker"]
    return _changed(told, changes)


def _changed(told: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = told
        for parent in parents:
            place = place[parent]
        place[name] = value
    return told


def recordings(shared: Path) -> Callable[[Asked], Reply]:
    return recorded(shared / RECORDED)


@contextmanager
def massive(folder: Path, clock: MovingClock, answers: Callable[[Asked], Reply]) -> Iterator[tuple[Wire, ReplayServer]]:
    with pytest.MonkeyPatch.context() as environment, replaying(answers) as server:
        environment.setenv("MASSIVE_API_KEY", KEY)
        wire = Wire(folder, base_urls={"massive": server.url}, clock=clock)
        try:
            yield wire, server
        finally:
            wire.store.close()
