"""For yfinance, which wants a curl_cffi session: Yahoo answers browsers only, and this one keeps looking like one."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Mapping
from http.client import responses
from typing import Any
from urllib.parse import urlencode

from curl_cffi import CurlError, CurlOpt
from curl_cffi import requests as curl
from curl_cffi.requests.headers import Headers

from quant_assets.sources.wire.exchange import Broken, Limits, Request
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire


class Session(curl.Session[curl.Response]):
    """Whatever it sends goes through the wire; redirects within one request are followed and count once."""

    def __init__(self, wire: Wire, policy: Policy, *, impersonate: str = "chrome") -> None:
        slow = {CurlOpt.LOW_SPEED_LIMIT: 1, CurlOpt.LOW_SPEED_TIME: math.ceil(policy.limits.read)}  # curl's way to a read time-out
        super().__init__(impersonate=impersonate, retry=0, curl_options=slow)
        self._wire, self._policy = wire, policy

    def request(self, method: Any, url: str, **options: Any) -> curl.Response:  # type: ignore[override]  # forwards what it does not read
        """The client's own time-out gives way to the policy's. Raises what `Wire.exchange` does."""
        params, own = options.pop("params", None), options.get("headers") or {}
        headers = {name: value for name, value in {**self.headers, **own}.items() if value is not None}
        asked = Request.of(method, url, params=params, headers=headers, body=_body(options))
        options.pop("timeout", None)
        fresh: curl.Response | None = None

        def send(routed: Request, limits: Limits) -> tuple[int, Mapping[str, str], bytes]:
            nonlocal fresh
            try:
                timeout = (limits.connect, limits.total - limits.connect)
                fresh = super(Session, self).request(method, routed.full_url, timeout=timeout, **options)
            except (CurlError, OSError) as error:
                raise Broken(_kind(error)) from None
            return fresh.status_code, {name: value or "" for name, value in fresh.headers.items()}, fresh.content

        answer = self._wire.exchange(self._policy, asked, send)
        return fresh or _kept(answer.status, answer.headers, answer.body, url)


def _body(options: Mapping[str, Any]) -> bytes:
    """What is sent, as far as it tells requests apart."""
    if options.get("json") is not None:
        return json_module.dumps(options["json"], sort_keys=True).encode()
    data = options.get("data") or options.get("content") or b""
    return data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else urlencode(data, doseq=True).encode()


def _kept(status: int, headers: Mapping[str, str], body: bytes, url: str) -> curl.Response:
    response = curl.Response()
    response.status_code, response.ok, response.url, response.content = status, True, url, body
    response.reason = responses.get(status, "")
    response.headers = Headers(dict(headers))
    return response


def _kind(error: Exception) -> str:
    """What happened, without the library's own words: they may hold the URL."""
    match error:
        case curl.exceptions.Timeout():
            return "did not answer in time"
        case curl.exceptions.IncompleteRead() | curl.exceptions.ChunkedEncodingError():
            return "broke off its answer"
        case curl.exceptions.ContentDecodingError():
            return "sent a body that cannot be decoded"
        case curl.exceptions.SSLError():
            return "offered no TLS connection that can be trusted"
        case curl.exceptions.ConnectionError():
            return "could not be connected to, or closed the connection"
        case _:
            return f"failed with {type(error).__name__}"
