"""Channels against servers on loopback: what arrives, what is said when nothing does, and that no secret is in it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from quant_assets import alert_channels
from quant_assets.alert_channels import PASSWORD_VARIABLE, USER_VARIABLE, WEBHOOK_VARIABLE, Email, Log, Webhook, channels
from quant_assets.alerts import FILE_NAME, Channel, Message, outbox
from quant_assets.logs import logger
from quant_assets.settings import Alerts
from quant_assets_tests import loopback
from quant_assets_tests.loopback import certificate, serving

NOW = dt.datetime(2013, 3, 1, 22, 30, tzinfo=dt.UTC)
FAILED = Message("prices of ZZZ are – missing; add them.", "night of 2013-03-01", "features", "2013", "ZZZ", NOW, "run-1")
SECRET = "T0PS3CRET"


@pytest.fixture(autouse=True)
def _no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (WEBHOOK_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(alert_channels, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(logger, "propagate", True)


def mail(port: int, **others: object) -> Alerts:
    given = {"email_to": "me@example.com", "email_from": "night@example.com", "smtp_host": "127.0.0.1", "smtp_port": port}
    return Alerts.model_validate({**given, "smtp_starttls": False, **others})


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_only_the_log_is_set_by_default():
    assert [channel.name for channel in channels(Alerts())] == ["log"]


def test_the_environment_and_the_settings_set_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(WEBHOOK_VARIABLE, f" https://example.com/{SECRET}\n")
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
    found = channels(mail(25))
    assert [channel.name for channel in found] == ["log", "webhook", "e-mail"]
    assert SECRET not in repr(found)


def test_the_log_has_one_line_a_message(caplog: pytest.LogCaptureFixture):
    assert Log().send(FAILED, 2) is None
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.ERROR, " | ".join(FAILED.text(2).splitlines())),
    ]


def test_a_webhook_gets_the_text_once():
    with serving(loopback.Webhook) as server:
        assert Webhook(f"http://127.0.0.1:{server.port}/{SECRET}").send(FAILED, 2) is None
    (request,) = server.taken
    assert (request.path, request.body) == (f"/{SECRET}", {"text": FAILED.text(2)})


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("500 Oops", "answered 500"),
        ("echo", "answered 404"),
        ("302 Found", "answered 302"),
        ("307 Moved", "answered 307"),
        ("never", "did not answer within 0.3 s"),
        ("close", "closed the connection"),
        ("garbage", "closed the connection"),
    ],
)
def test_a_webhook_that_fails_says_how_and_is_asked_once(fault: str, problem: str):
    with serving(loopback.Webhook, fault) as server:
        assert Webhook(f"http://127.0.0.1:{server.port}/{SECRET}").send(FAILED, 1) == problem
    assert (server.connections, server.taken) == (1, [])


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (f"ftp://127.0.0.1/{SECRET}", f"is not set to an http address; correct {WEBHOOK_VARIABLE}"),
        (SECRET, f"is not set to an http address; correct {WEBHOOK_VARIABLE}"),
        (f"file:///{SECRET}", f"is not set to an http address; correct {WEBHOOK_VARIABLE}"),
        (f"http://{SECRET}:{SECRET}@127.0.0.1/", "failed with InvalidURL"),
        (f"http://127.0.0.1:{SECRET}/", "failed with InvalidURL"),
        (f"http://127.0.0.1/{SECRET} with blanks", "failed with InvalidURL"),
        (f"http://[{SECRET}", "failed with ValueError"),
        (f"http://{SECRET * 9}.invalid/", "failed with UnicodeError"),
        (f"http:///{SECRET}", "failed with URLError"),
    ],
)
def test_an_address_that_is_none_is_said_without_showing_it(address: str, problem: str):
    assert Webhook(address).send(FAILED, 1) == problem


def test_nobody_listens():
    port = unused_port()
    assert Webhook(f"http://127.0.0.1:{port}/{SECRET}").send(FAILED, 1) == "refused the connection"
    assert Email(mail(port), "", "").send(FAILED, 1) == "refused the connection"


def test_a_letter_says_the_same_and_carries_the_messages_own_id():
    with serving(loopback.Mail) as server:
        assert Email(mail(server.port), "", "").send(FAILED, 1) is None
    (letter,) = server.taken
    assert letter["Subject"] == "quant_assets: features failed, night of 2013-03-01"
    assert (letter["From"], letter["To"]) == ("night@example.com", "me@example.com")
    assert letter["Message-ID"] == f"<{FAILED.id}@quant-assets>"
    assert letter["Date"].datetime == NOW
    assert letter.get_content().splitlines() == FAILED.text().splitlines()
    assert server.logins == []


def test_a_login_is_made_when_there_is_a_user():
    with serving(loopback.Mail) as server:
        assert Email(mail(server.port), "me", SECRET).send(FAILED, 1) is None
    assert len(server.logins) == len(server.taken) == 1


def test_a_line_break_in_a_runs_tag_does_not_reach_the_letters_head():
    odd = Message("cause", "night\nBcc: all@example.com", "features", "", "", NOW, "run-1")
    with serving(loopback.Mail) as server:
        assert Email(mail(server.port), "", "").send(odd, 1) is None
    assert server.taken[0]["Bcc"] is None


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("login", "refused with code 535"),
        ("recipient", "refused the recipient"),
        ("data", "refused with code 451"),
        ("never", "did not answer within 0.3 s"),
        ("close", "closed the connection"),
    ],
)
def test_a_mail_server_that_fails_says_how(fault: str, problem: str):
    with serving(loopback.Mail, fault) as server:
        assert Email(mail(server.port), "me", SECRET).send(FAILED, 1) == problem
    assert server.taken == []


def test_a_letter_that_was_taken_is_told_even_when_the_server_hangs_up():
    with serving(loopback.Mail, "quit") as server:
        assert Email(mail(server.port), "", "").send(FAILED, 1) is None
    assert len(server.taken) == 1


def test_a_login_and_a_letter_go_through_starttls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trusted, tls = certificate(tmp_path)
    with serving(loopback.Mail) as server:
        server.tls = tls
        sender = Email(mail(server.port, smtp_starttls=True), "me", SECRET)
        assert sender.send(FAILED, 1) == "offered no TLS connection that can be trusted"
        assert (server.logins, server.taken) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert sender.send(FAILED, 1) is None
    assert len(server.logins) == len(server.taken) == 1


def test_a_webhook_without_tls_under_an_https_address():
    with serving(loopback.Mail) as server:
        told = Webhook(f"https://127.0.0.1:{server.port}/{SECRET}").send(FAILED, 1)
    assert told == "offered no TLS connection that can be trusted"


def test_no_letter_leaves_in_clear_when_starttls_is_wanted():
    with serving(loopback.Mail) as server:
        told = Email(mail(server.port, smtp_starttls=True), "me", SECRET).send(FAILED, 1)
    assert told == "does not offer what is asked of it (STARTTLS, a login or an address that is not ASCII)"
    assert (server.logins, server.taken) == ([], [])


@pytest.mark.parametrize("fault", ["echo", "500 Oops", "302 Found", "never", "close", "garbage", ""])
def test_no_secret_is_in_any_file_line_or_answer(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with serving(loopback.Webhook, fault) as hook, serving(loopback.Mail, "login") as post, outbox(tmp_path) as box:
        monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.port}/{SECRET}")
        monkeypatch.setenv(USER_VARIABLE, "me")
        monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
        box.put([FAILED], now=NOW)
        found: list[Channel] = channels(mail(post.port))
        told = [str(box.deliver(found, now=NOW + dt.timedelta(minutes=minutes))) for minutes in (0, 1, 2000)]
    assert "e-mail refused with code 535" in told[0]
    assert "given up" in told[2]
    assert hook.connections
    shown = "\n".join([*told, repr(found), caplog.text, *capfd.readouterr(), (tmp_path / FILE_NAME).read_text()])
    assert SECRET not in shown
    assert f":{hook.port}" not in shown


def test_the_doctor_says_which_ways_are_set_and_shows_none_of_them(tmp_path: Path):
    (tmp_path / "quant_assets.toml").write_text("")
    environment = {**os.environ, "QUANT_ASSETS_HOME": str(tmp_path), WEBHOOK_VARIABLE: f"https://example.com/{SECRET}"}
    done = subprocess.run(
        [sys.executable, "-m", "quant_assets", "doctor", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert SECRET not in done.stdout + done.stderr
    (found,) = [item for item in json.loads(done.stdout)["items"] if item["name"] == "alerts"]
    assert found["detail"] == "failed runs are told by log, webhook; not set: e-mail (alerts.email_to)"
