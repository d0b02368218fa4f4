"""The transports, each as a way to ask, so that one test of a fault covers them all; and a clock that waits by moving on."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import requests

from quant_assets.sources.wire import over_curl, over_httpx, over_requests, over_urllib3
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Clock, Wire

KEY = "K3Y-that/must+stay hidden"
POLICY = Policy(vendor="acme", key_variable="ACME_KEY", limits=Limits(connect=2.0, read=2.0, total=5.0))

Get = Callable[[Wire, Policy, str, Mapping[str, str]], bytes]


def by_httpx(wire: Wire, policy: Policy, url: str, params: Mapping[str, str]) -> bytes:
    client = over_httpx.Client(wire, policy, headers={"Authorization": f"Bearer {KEY}"})
    try:
        return client.get(url, {**params, "apikey": KEY}).body
    finally:
        client.close()


def by_requests(wire: Wire, policy: Policy, url: str, params: Mapping[str, str]) -> bytes:
    with over_requests.mount(requests.Session(), wire, policy) as session:
        return session.get(url, params={**params, "apikey": KEY}, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).content


def by_urllib3(wire: Wire, policy: Policy, url: str, params: Mapping[str, str]) -> bytes:
    pool = over_urllib3.Pool(wire, policy)
    try:
        return pool.request("GET", url, fields={**params, "apikey": KEY}, headers={"Authorization": f"Bearer {KEY}"}).data
    finally:
        pool.close()


def by_curl(wire: Wire, policy: Policy, url: str, params: Mapping[str, str]) -> bytes:
    with over_curl.Session(wire, policy) as session:
        return session.get(url, params={**params, "apikey": KEY}, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).content


WAYS: dict[str, Get] = {"httpx": by_httpx, "requests": by_requests, "urllib3": by_urllib3, "curl": by_curl}


class MovingClock(Clock):
    """Real time, but waiting takes none: the clock moves on by as much. `waits` are those asked for, in seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.waits: list[float] = []

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.ahead += seconds


class At(MovingClock):
    """A clock that stands at a moment in New York, but for the waits."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = dt.datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo("America/New_York"))

    def now(self) -> dt.datetime:
        return self.moment.astimezone(dt.UTC) + dt.timedelta(seconds=self.ahead)


def policy(**changes: object) -> Policy:
    return replace(POLICY, **changes)  # type: ignore[arg-type]
