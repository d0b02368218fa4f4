"""Answers as vendors give them, and what the wire makes of them; what is shown of a request."""

from __future__ import annotations

import datetime as dt
import logging
from urllib.parse import quote

import httpx
import pytest

from quant_assets.errors import SourceError
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import Policy, Trouble, retry_after
from quant_assets_tests.replay import Reply, in_turn, replaying
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import KEY, POLICY, by_httpx, policy

ASKED = Request.of("GET", "https://acme.example/v1/bars", headers={})


def answer(body: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer.of(200, named, body.encode(), fetched_at=dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("promised", "body", "trouble"),
    [
        ("json", '{"a": 1e400}', None),  # too large for a float, but written as a number: the schema's business
        ("json", "null", None),
        ("json", '{"a": 1', Trouble.TRANSIENT),
        ("json", "[1, 2,", Trouble.TRANSIENT),
        ("json", "<html>busy</html>", Trouble.UNUSABLE),
        ("json", "date,close\n2012-01-03,1", Trouble.UNUSABLE),
        ("json", "  \n", Trouble.TRANSIENT),
        ("xml", "<a><b/></a>", None),
        ("xml", "<a><b/>", Trouble.TRANSIENT),
        ("xml", "<!doctype html><html><p>busy", Trouble.UNUSABLE),
        ("xml", '{"error": 1}', Trouble.UNUSABLE),
        ("csv", "date,close\n2012-01-03,1\n", None),
        ("csv", '{"Information": "no"}', Trouble.UNUSABLE),
        ("csv", "<html></html>", Trouble.UNUSABLE),
        ("anything", "cRuMb", None),
    ],
)
def test_what_was_promised(promised, body, trouble):
    complaint = Policy(vendor="acme", promises=promised).judge(ASKED, answer(body))
    assert (complaint and complaint.trouble) is trouble


def test_a_date_without_a_date_is_judged_by_the_moment_of_arrival():
    assert retry_after(answer("", retry_after="Mon, 05 Jan 2026 12:00:30 GMT")) == 30.0
    assert retry_after(answer("", retry_after="Mon, 05 Jan 2026 11:00:00 GMT")) == 0.0
    assert retry_after(answer("")) is None


def test_parameters_in_the_url_and_beside_it_are_the_same_request():
    beside = Request.of("get", "https://acme.example/v1/bars", params={"symbol": "BRK B", "apikey": "one"}, headers={"Accept": "*/*"})
    inside = Request.of("GET", "https://acme.example/v1/bars?apikey=another&symbol=BRK+B", headers={})
    secret = frozenset({"apikey"})
    assert beside.cache_key("acme", secret) == inside.cache_key("acme", secret)
    assert beside.cache_key("acme", frozenset()) != inside.cache_key("acme", frozenset())
    assert beside.cache_key("acme", secret) != beside.cache_key("other", secret)
    assert beside.full_url == "https://acme.example/v1/bars?symbol=BRK+B&apikey=one"
    assert "one" not in repr(beside)


def test_a_key_in_the_path_is_hidden_too(wire, caplog):
    with replaying(in_turn(Reply("no", status=404))) as server, pytest.raises(SourceError) as caught:
        by_httpx(wire, POLICY, f"{server.url}/v1/{quote(KEY, safe='')}/bars", {})
    assert KEY not in told(caught.value)
    assert [row.endpoint for row in wire.store.audit()] == ["/v1/***/bars"]


def test_a_long_answer_is_cut_after_its_secrets_are_hidden(wire):
    """A key at the place of the cut must not leave its first half."""
    for before in range(30, 80, 5):
        with replaying(in_turn(Reply("x" * before + KEY, status=404))) as server, pytest.raises(SourceError) as caught:
            by_httpx(wire, POLICY, f"{server.url}/v1/bars", {})
        assert KEY[:3] not in str(caught.value)
        assert len(str(caught.value)) < 250


def test_logs_of_http_libraries_do_not_show_a_key_once_it_was_used(wire, caplog):
    with replaying(in_turn(Reply())) as server:
        by_httpx(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL"})
        httpx.get(f"{server.url}/outside", params={"apikey": KEY})  # even outside the wire
    logged = [record.getMessage() for record in caplog.records if record.name == "httpx" and record.levelno == logging.INFO]
    assert len(logged) == 2
    assert all("apikey=***" in line for line in logged)


def test_status_of_a_vendor_nobody_asked(wire):
    status = wire.status([policy(daily_budget=25)])[0]
    assert (status.requests_today, status.budget_left, status.last_success, status.breaker) == (0, 25, None, "closed")


def test_status_of_one_that_answered(wire, clock):
    with replaying(in_turn(Reply(), Reply(status=404))) as server:
        by_httpx(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL"})
        success = clock.now()
        clock.ahead += 60
        with pytest.raises(SourceError):
            by_httpx(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "NONE"})
    status = wire.status([POLICY])[0]
    assert (status.requests_today, status.budget_left) == (2, None)
    assert abs((status.last_success - success).total_seconds()) < 5
