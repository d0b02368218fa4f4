"""Keeps keys out of whatever is written: our own texts, and the logs of HTTP libraries, which print whole URLs."""

from __future__ import annotations

import logging
import os
import threading
from base64 import b64encode
from urllib.parse import quote, quote_plus

from quant_assets.sources.wire.exchange import Request
from quant_assets.sources.wire.policy import Policy

HIDDEN = "***"
SHORTEST = 4  # shorter values ("1", "csv") are no secrets, and hiding them would garble every text
TALKATIVE = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "requests", "urllib3.connection",
    "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.response", "urllib3.util.retry", "yfinance", "RESTClient",
)  # fmt: skip
_known: set[str] = set()
_lock = threading.Lock()


def learn(policy: Policy, request: Request) -> tuple[str, ...]:
    """The secrets of a request, longest first; from now on the logs of HTTP libraries do not show them either."""
    values = [value for name, value in request.params if name.lower() in policy.secret_params]
    for name, value in request.headers.items():
        if name in policy.secret_headers:
            values += [value, value.rpartition(" ")[2]]  # "Bearer KEY"
    if policy.key_variable:
        values.append(os.environ.get(policy.key_variable, ""))
    plain = {value for value in values if len(value) >= SHORTEST}
    spelled = {form for value in plain for form in (value, quote(value, safe=""), quote_plus(value), b64encode(value.encode()).decode())}
    with _lock:
        if not spelled <= _known:
            _known.update(spelled)
            for name in TALKATIVE:
                logging.getLogger(name).addFilter(_hide_in_record)  # the same one twice is added once
    return tuple(sorted(spelled, key=len, reverse=True))


def hide(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _hide_in_record(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    if any(secret in said for secret in _known):
        record.msg, record.args = hide(said, tuple(sorted(_known, key=len, reverse=True))), ()
    return True
