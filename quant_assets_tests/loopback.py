"""Servers on loopback for tests of what is sent: a webhook and a mail server, each with the faults of real ones."""

from __future__ import annotations

import datetime as dt
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Server(socketserver.ThreadingTCPServer):
    """`fault` is asked at each connection, so that a test can end an outage."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type[socketserver.StreamRequestHandler], fault: str) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.fault = fault
        self.connections = 0
        self.stopped = threading.Event()
        self.taken: list[Any] = []
        self.logins: list[str] = []
        self.tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what some tests are about."""


@dataclass
class Request:
    path: str
    body: dict[str, Any] = field(default_factory=dict)


class Webhook(socketserver.StreamRequestHandler):
    """Faults: a status code; `echo`, which repeats the path in its reason and body; `never`; `close`; `garbage`."""

    server: Server

    def handle(self) -> None:
        self.server.connections += 1
        fault = self.server.fault
        if fault == "close":
            return
        path = self.rfile.readline().split()[1].decode()
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        body = json.loads(self.rfile.read(length))
        if fault == "never":
            self.server.stopped.wait(30)
            return
        if fault == "garbage":
            self.wfile.write(f"{path} is not HTTP\r\n\r\n".encode())
            return
        if not fault:
            self.server.taken.append(Request(path, body))
        status = "404 no " + path if fault == "echo" else fault or "200 OK"
        location = f"Location: http://127.0.0.1:{self.server.port}/elsewhere{path}\r\n" if fault.startswith("30") else ""
        self.wfile.write(f"HTTP/1.1 {status}\r\n{location}Content-Length: {len(path)}\r\nConnection: close\r\n\r\n{path}".encode())


class Mail(socketserver.StreamRequestHandler):
    """Offers STARTTLS, and a login only under it, when the server has `tls`.

    Faults: `login` refuses it and repeats it; `recipient`; `data`; `never`; `close`; `quit` hangs up after the letter is taken.
    """

    server: Server

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.server.connections += 1
        fault = self.server.fault
        if fault == "close":
            return
        if fault == "never":
            self.server.stopped.wait(30)
            return
        self.say("220 loopback")
        tls = self.server.tls
        while line := self.rfile.readline().strip().decode():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self.say("250-loopback\r\n250 " + ("STARTTLS" if tls else "AUTH PLAIN"))
            elif verb == "STARTTLS" and tls:
                self.say("220 go on")
                self.connection = tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                tls = None
            elif verb == "AUTH":
                self.server.logins.append(line)
                self.say(f"535 no {line}" if fault == "login" else "235 welcome")
            elif verb == "RCPT" and fault == "recipient":
                self.say(f"550 unknown {line}")
            elif verb == "DATA":
                self.say("354 go on")
                letter = b""
                while (line_of_letter := self.rfile.readline()) != b".\r\n":
                    letter += line_of_letter
                if fault == "data":
                    self.say("451 try later")
                    continue
                self.server.taken.append(message_from_bytes(letter, policy=default))
                self.say("250 taken")
                if fault == "quit":
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")


@contextmanager
def serving(handler: type[socketserver.StreamRequestHandler], fault: str = "") -> Iterator[Server]:
    with Server(handler, fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """(file that trusts it, server's side) of a certificate for 127.0.0.1 that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "trusted.pem", folder / "private.pem"
    trusted.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return trusted, context
