"""For clients that ride on a `requests.Session`: finnhub-python (its `_session`), newsapi-python (`session=`)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.client import responses
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from quant_assets.sources.wire.exchange import Broken, Limits, Request, in_time
from quant_assets.sources.wire.over_urllib3 import kind, pieces
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire


def session(wire: Wire, policy: Policy) -> requests.Session:
    """For clients that take one."""
    return mount(requests.Session(), wire, policy)


def mount(session: requests.Session, wire: Wire, policy: Policy) -> requests.Session:
    """The same session; from now on whatever it sends goes through the wire."""
    for scheme in list(session.adapters):
        session.adapters.pop(scheme).close()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Transport(wire, policy))
    return session


class _Transport(HTTPAdapter):
    def __init__(self, wire: Wire, policy: Policy) -> None:
        super().__init__(max_retries=0)
        self._wire, self._policy = wire, policy

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """The client's own time-out gives way to the policy's. Raises what `Wire.exchange` does."""
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        if not isinstance(body, bytes):
            raise TypeError("a streamed body cannot be sent twice")  # no client of ours sends one
        asked = Request.of(
            request.method or "GET", request.url or "", headers={name: str(value) for name, value in request.headers.items()}, body=body
        )
        options = {name: options[name] for name in ("verify", "cert", "proxies") if name in options}

        def send(routed: Request, limits: Limits) -> tuple[int, Mapping[str, str], bytes]:
            attempt = request.copy()
            attempt.url = routed.full_url
            deadline = time.monotonic() + limits.total
            try:
                with super(_Transport, self).send(attempt, stream=True, timeout=(limits.connect, limits.read), **options) as response:
                    return response.status_code, response.headers, in_time(pieces(response.raw), deadline, limits)
            except requests.RequestException as error:
                raise Broken(_kind(error)) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:  # of the body, which is read without requests' own hands
                raise Broken(kind(error)) from None

        answer = self._wire.exchange(self._policy, asked, send)
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, request.url or "", request
        response.reason = responses.get(answer.status, "")
        response.headers = CaseInsensitiveDict(answer.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response._content, response._content_consumed = answer.body, True
        return response


def _kind(error: Exception) -> str:
    """What happened, without the library's own words: they may hold the URL."""
    match error:
        case requests.Timeout():
            return "did not answer in time"
        case requests.exceptions.SSLError():
            return "offered no TLS connection that can be trusted"
        case requests.ConnectionError():
            return "could not be connected to, or closed the connection"
        case _:
            return f"failed with {type(error).__name__}"
