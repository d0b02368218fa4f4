"""The ways to tell a message: the log, a webhook, e-mail. When each is used, and how often, is `alerts.py`'s business.

The webhook's address and the password are secrets, and a library or a server may repeat them: of an error only its kind is told.
"""

from __future__ import annotations

import http.client
import json
import os
import smtplib
import socket
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from quant_assets.alerts import Channel, Message
from quant_assets.logs import logger
from quant_assets.settings import Alerts

WEBHOOK_VARIABLE = "QUANT_ASSETS_ALERT_WEBHOOK"
USER_VARIABLE, PASSWORD_VARIABLE = "QUANT_ASSETS_SMTP_USER", "QUANT_ASSETS_SMTP_PASSWORD"
TIMEOUT_SECONDS = 5


def channels(alerts: Alerts) -> list[Channel]:
    """Those that are set; the log always is."""
    found: list[Channel] = [Log()]
    if address := os.environ.get(WEBHOOK_VARIABLE, "").strip():
        found.append(Webhook(address))
    if alerts.email_to is not None:
        found.append(Email(alerts, os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")))
    return found


class Log:
    """The package's log, one line a message."""

    name = "log"

    def send(self, message: Message, runs: int) -> str | None:
        logger.error(" | ".join(message.text(runs).splitlines()))
        return None


@dataclass(frozen=True)
class Webhook:
    """POSTs `{"text": ...}`, which Slack and Mattermost take, and Discord at its address followed by /slack."""

    address: str = field(repr=False)
    name = "webhook"

    def send(self, message: Message, runs: int) -> str | None:
        body = json.dumps({"text": message.text(runs)}).encode()
        if not self.address.startswith(("https://", "http://")):
            return f"is not set to an http address; correct {WEBHOOK_VARIABLE}"
        try:
            request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"})
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
                return None
        except Exception as error:
            return _kind(error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Email:
    """One letter a message; its Message-ID is the message's, so that a letter that came twice can be told."""

    alerts: Alerts
    user: str = field(repr=False)
    password: str = field(repr=False)
    name = "e-mail"

    def send(self, message: Message, runs: int) -> str | None:
        try:
            letter = self._letter(message, runs)
            server = smtplib.SMTP(self.alerts.smtp_host or "", self.alerts.smtp_port, timeout=TIMEOUT_SECONDS)
            try:
                if self.alerts.smtp_starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(letter)
            finally:
                with suppress(Exception):  # the letter is taken, or it is not: parting well changes nothing
                    server.quit()
        except Exception as error:
            return _kind(error)
        return None

    def _letter(self, message: Message, runs: int) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(f"quant_assets: {message.title}".split())
        letter["From"], letter["To"] = self.alerts.email_from, self.alerts.email_to
        letter["Date"] = format_datetime(message.when)
        letter["Message-ID"] = f"<{message.id}@quant-assets>"
        letter.set_content(message.text(runs))
        return letter


def _kind(error: Exception) -> str:
    """What happened, in words of our own."""
    match error:
        case urllib.error.HTTPError():
            error.close()
            return f"answered {error.code}"
        case urllib.error.URLError() if isinstance(error.reason, Exception):
            return _kind(error.reason)
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, Exception):
            return _kind(error.__context__)
        case smtplib.SMTPResponseException():
            return f"refused with code {error.smtp_code}"
        case smtplib.SMTPRecipientsRefused():
            return "refused the recipient"
        case smtplib.SMTPNotSupportedError():
            return "does not offer what is asked of it (STARTTLS, a login or an address that is not ASCII)"
        case TimeoutError():
            return f"did not answer within {TIMEOUT_SECONDS} s"
        case socket.gaierror():
            return "has a host name that is not known here"
        case ssl.SSLError():
            return "offered no TLS connection that can be trusted"
        case ConnectionRefusedError():
            return "refused the connection"
        case smtplib.SMTPServerDisconnected() | http.client.BadStatusLine() | ConnectionError():
            return "closed the connection"
        case _:
            return f"failed with {type(error).__name__}"
