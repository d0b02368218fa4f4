"""For clients that ask a urllib3 pool: massive (`RESTClient.client`, and `.vx.client`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

import certifi
import urllib3

from quant_assets.sources.wire.exchange import Broken, Limits, Request, in_time
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire

PIECE = 65_536


class Pool:
    """Takes the place of a client's `PoolManager`, and with it of its retries and time-outs."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._wire, self._policy = wire, policy
        self._pool = urllib3.PoolManager(ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(), maxsize=8)

    def close(self) -> None:
        self._pool.clear()

    def request(
        self, method: str, url: str, *, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> urllib3.HTTPResponse:
        """Raises what `Wire.exchange` does."""
        answer = self._wire.exchange(self._policy, Request.of(method, url, params=fields, headers=headers or {}), self._send)
        return urllib3.HTTPResponse(answer.body, headers=answer.headers, status=answer.status, request_method=method, request_url=url)

    def _send(self, request: Request, limits: Limits) -> tuple[int, Mapping[str, str], bytes]:
        deadline = time.monotonic() + limits.total
        try:
            response = self._pool.request(
                request.method,
                request.full_url,
                body=request.body or None,
                headers=request.headers,
                timeout=urllib3.Timeout(connect=limits.connect, read=limits.read),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return response.status, response.headers, in_time(pieces(response), deadline, limits)
            except BaseException:
                response.close()  # half read: of no use to the next request
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Broken(kind(error)) from None


def pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The decoded body as it comes in: `stream` would wait for a full piece, and a slow one would outlast every time-out."""
    if response.chunked:
        yield from response.read_chunked(decode_content=True)
        return
    while piece := response.read1(PIECE, decode_content=True):
        yield piece


def kind(error: Exception) -> str:
    """What happened, without the library's own words: they may hold the URL."""
    match error:
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.NameResolutionError():
            return "could not be connected to"
        case urllib3.exceptions.TimeoutError():
            return "did not answer in time"
        case urllib3.exceptions.IncompleteRead() | urllib3.exceptions.InvalidChunkLength():
            return "broke off its answer"
        case urllib3.exceptions.DecodeError():
            return "sent a body that cannot be decoded"
        case urllib3.exceptions.SSLError():
            return "offered no TLS connection that can be trusted"
        case urllib3.exceptions.ProtocolError() | ConnectionError():
            return "closed the connection"
        case _:
            return f"failed with {type(error).__name__}"
