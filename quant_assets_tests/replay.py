"""A vendor on loopback: answers from a folder of recorded answers or from the test, and misbehaves as asked."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

JSON = "application/json"


@dataclass
class Asked:
    """A request as it arrived."""

    at: float  # monotonic seconds
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What the server does about one request. `cut`: bytes of the body after which it hangs up; `reset`: it sends a TCP reset instead.

    `sleep` seconds pass before the status line; `drip`: seconds between two bytes of the body; `date`: seconds its Date is wrong by.
    """

    body: bytes | str = b"{}"
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    announced: bool = True
    reset: bool = False
    sleep: float = 0.0
    drip: float = 0.0
    date: float = 0.0
    gzip: bool = False

    @property
    def content(self) -> bytes:
        content = self.body.encode() if isinstance(self.body, str) else self.body
        return gzip.compress(content) if self.gzip else content


Answers = Callable[[Asked], Reply]


class ReplayServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[Asked] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: ReplayServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        arrived = time.monotonic()
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(arrived, self.command, parts.path, params, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.asked.append(asked)
        reply = self.server.answers(asked)
        if reply.sleep:
            self.server.stopped.wait(reply.sleep)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        with suppress(OSError):
            self._write(reply)

    do_POST = do_GET  # noqa: N815

    def _write(self, reply: Reply) -> None:
        content = reply.content
        self.send_response_only(reply.status)
        self.send_header("Date", formatdate(time.time() + reply.date, usegmt=True))
        self.send_header("Content-Type", reply.content_type)
        if reply.gzip:
            self.send_header("Content-Encoding", "gzip")
        if reply.announced:
            self.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.close_connection = reply.cut is not None or not reply.announced
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if reply.drip:
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.server.stopped.wait(reply.drip):
                    return
        else:
            self.wfile.write(content[: reply.cut])

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def replaying(answers: Answers) -> Iterator[ReplayServer]:
    with ReplayServer(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


def in_turn(*replies: Reply) -> Answers:
    """The first request gets the first reply, and so on; the last one for ever."""
    left = list(replies)
    lock = threading.Lock()

    def answers(_: Asked) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answers


def recorded(folder: Path, *, secret_params: tuple[str, ...] = ("apiKey", "api_key", "apikey", "token")) -> Answers:
    """Answers from files: `a/b.json` for /a/b, `a/b&x=1.json` for /a/b?x=1; a query that no file names gets the file without one.

    What no file answers is a 404.
    """
    files = {unquote(str(path.relative_to(folder).with_suffix(""))): path for path in folder.rglob("*") if path.is_file()}

    def answers(asked: Asked) -> Reply:
        # A colon cannot stand in every file name, so the recordings have `;` for it.
        path = asked.path.strip("/").replace(":", ";")
        query = [f"{name}={value}" for name, value in asked.params.items() if name not in secret_params]
        candidates = ["&".join([path, *query]), path, *(name for name in files if name.startswith(f"{path}&"))]
        found = next((files[name] for name in candidates if name in files), None)
        if found is None:
            return Reply('{"error": "not recorded"}', status=404)
        kind = {".json": JSON, ".xml": "text/xml", ".csv": "text/csv"}.get(found.suffix, "text/plain")
        return Reply(found.read_bytes(), content_type=kind)

    return answers
