"""For vendors without a client of their own, through httpx."""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

from quant_assets.sources.wire.exchange import Answer, Broken, Limits, Request, in_time
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire

REACH_SECONDS = 3.0


def unreachable(server: str) -> str | None:
    """Why the server cannot be reached; None when it answers at all. Its root is asked for a head: no key, nothing that counts."""
    try:
        httpx.head(server, timeout=REACH_SECONDS)
    except (httpx.HTTPError, OSError) as error:
        return _kind(error)
    return None


class Client:
    """Asks one vendor. `headers` go with every request."""

    def __init__(self, wire: Wire, policy: Policy, *, headers: Mapping[str, str] | None = None) -> None:
        self._wire, self._policy, self._headers = wire, policy, dict(headers or {})
        self._client = httpx.Client()

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """Raises what `Wire.exchange` does."""
        return self._wire.exchange(self._policy, Request.of("GET", url, params=params, headers=self._headers), self._send)

    def _send(self, request: Request, limits: Limits) -> tuple[int, Mapping[str, str], bytes]:
        timeout = httpx.Timeout(limits.read, connect=limits.connect)
        deadline = time.monotonic() + limits.total
        try:
            with self._client.stream(
                request.method, request.full_url, headers=dict(request.headers), content=request.body, timeout=timeout
            ) as response:
                return response.status_code, response.headers, in_time(response.iter_bytes(), deadline, limits)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Broken(_kind(error)) from None


def _kind(error: Exception) -> str:
    """What happened, without the library's own words: they may hold the URL."""
    match error:
        case httpx.TimeoutException():
            return "did not answer in time"
        case httpx.ConnectError():
            return "could not be connected to"
        case httpx.RemoteProtocolError():
            return "broke off its answer"
        case httpx.DecodingError():
            return "sent a body that cannot be decoded"
        case httpx.NetworkError():
            return "closed the connection"
        case _:
            return f"failed with {type(error).__name__}"
