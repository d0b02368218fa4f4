"""What is asked of a vendor and what comes back, whichever client asks. What it means is `policy.py`'s business."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

DECODED = ("content-encoding", "content-length", "transfer-encoding", "connection")  # true of the transfer, not of the decoded body


class Broken(Exception):
    """One attempt that brought no whole answer: no connection, a reset, a time-out, a cut or undecodable body. In words of our own."""


@dataclass(frozen=True)
class Limits:
    """Time-outs of one attempt, seconds: to connect, between two pieces of the answer, and until the last of them."""

    connect: float = 10.0
    read: float = 30.0
    total: float = 60.0


@dataclass(frozen=True)
class Request:
    """What is asked. Made by `of`, so that a client that writes parameters into its URL and one that does not look alike.

    params : (name, value) pairs in the order they are sent. `headers` has lower-case names.
    """

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # repr may be logged, and these hold keys
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def of(
        cls, method: str, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str], body: bytes = b""
    ) -> Request:
        parts = urlsplit(url)
        pairs = (*parse_qsl(parts.query, keep_blank_values=True), *((name, str(value)) for name, value in (params or {}).items()))
        bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        return cls(method.upper(), bare, pairs, {name.lower(): value for name, value in headers.items()}, body)

    @property
    def full_url(self) -> str:
        return f"{self.url}?{urlencode(self.params)}" if self.params else self.url

    @property
    def endpoint(self) -> str:
        return urlsplit(self.url).path or "/"

    def at(self, base_url: str) -> Request:
        """The same request to another server: scheme, host and port (and a path before the vendor's own) of `base_url`."""
        base, mine = urlsplit(base_url), urlsplit(self.url)
        return replace(self, url=urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + mine.path, "", "")))

    def without(self, names: frozenset[str]) -> tuple[tuple[str, str], ...]:
        """Its parameters but those named (lower case), sorted."""
        return tuple(sorted(pair for pair in self.params if pair[0].lower() not in names))

    def cache_key(self, vendor: str, secret_params: frozenset[str]) -> str:
        """Equal for requests that a vendor answers alike, whatever key they carry."""
        asked = [vendor, self.method, self.url, self.without(secret_params), hashlib.sha256(self.body).hexdigest()]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What came, decoded and whole. `headers` has lower-case names and none that told how the body was transferred."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    fetched_at: dt.datetime

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes, *, fetched_at: dt.datetime) -> Answer:
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(status, {name: value for name, value in lower.items() if name not in DECODED}, body, fetched_at)


Send = Callable[[Request, Limits], tuple[int, Mapping[str, str], bytes]]
"""One real attempt: (status, headers, body), or Broken. It follows no redirect and repeats nothing."""


def in_time(pieces: Iterable[bytes], deadline: float, limits: Limits) -> bytes:
    """The whole body; Broken when it still drips in at `deadline` (monotonic seconds), which no time-out between pieces notices."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if time.monotonic() > deadline:
            raise Broken(f"was still sending after {limits.total:g} s")
    return bytes(body)
