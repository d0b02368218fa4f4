"""What a vendor does wrong, through every transport over real connections: how often it is asked, what is said, what is kept."""

from __future__ import annotations

import time
from email.utils import formatdate
from urllib.parse import quote, quote_plus

import pytest

from quant_assets.errors import SourceError, SourceUnavailable
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import ReplayServer, Reply, in_turn, replaying
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import KEY, POLICY, Get, MovingClock, policy

GOOD = Reply('{"close": 1.5}')


def fails(get: Get, wire: Wire, server: ReplayServer, with_policy=POLICY, expected: type[SourceError] = SourceError) -> str:
    """The error's text, after the proof that nothing in or behind it holds the key and that nothing was kept."""
    with pytest.raises(SourceError) as caught:
        get(wire, with_policy, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    assert type(caught.value) is expected
    everything = told(caught.value)
    assert not [form for form in (KEY, quote(KEY, safe=""), quote_plus(KEY)) if form in everything]
    assert [row for row in wire.store.audit() if row.outcome == "ok"] == []
    with wire.store._using() as connection:
        assert connection.execute("SELECT count(*) FROM answer").fetchone() == (0,)
    text = str(caught.value)
    assert "acme /v1/bars for AAPL" in text
    return text


def between_attempts(wire: Wire) -> float:
    """Seconds from the first attempt's answer to the second's."""
    first, second = wire.store.audit()
    return second.at - first.at


TRANSIENT = {
    "429": Reply("slow down", status=429),
    "500": Reply("oops", status=500),
    "502": Reply("<html>bad gateway</html>", status=502, content_type="text/html"),
    "503": Reply("", status=503),
    "reset": Reply(reset=True),
    "cut body": Reply('{"close": [1, 2, 3, 4, 5]}', cut=10),
    "cut body of no announced length": Reply('{"close": [1, 2, 3, 4, 5]}', cut=10, announced=False),
    "cut gzip": Reply('{"close": [1, 2, 3, 4, 5]}' * 50, cut=30, gzip=True),
    "not gzip": Reply('{"close": 1}', headers={"Content-Encoding": "gzip"}),
    "empty body": Reply(""),
}


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_may_pass_is_asked_again_and_then_named(get, wire, clock, reply):
    with replaying(in_turn(reply)) as server:
        text = fails(get, wire, server, expected=SourceUnavailable)
    assert len(server.asked) == POLICY.attempts == len([row for row in wire.store.audit() if row.outcome == "transient"])
    assert "4 attempts" in text
    assert len(clock.waits) == 3
    assert all(0.5 * 2**n <= wait <= 0.5 * 2**n + 1 for n, wait in enumerate(clock.waits))  # exponential, with jitter


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_passes_is_no_failure(get, wire, reply):
    with replaying(in_turn(reply, reply, GOOD)) as server:
        assert get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL"}) == b'{"close": 1.5}'
    assert [row.outcome for row in wire.store.audit()] == ["transient", "transient", "ok"]
    assert [row.attempt for row in wire.store.audit()] == [1, 2, 3]


FINAL = {
    "401": (Reply(f"bad key {KEY}", status=401), "the key in ACME_KEY was refused"),
    "403": (Reply("not for you", status=403), "the key in ACME_KEY was refused"),
    "404": (Reply("no such path", status=404), "answered 404 no such path"),
    "301": (Reply("", status=301), "answered 301"),
    "HTML": (Reply("<!DOCTYPE html><html>Maintenance</html>", content_type="text/html"), "something other than JSON"),
    "NaN": (Reply('{"close": NaN}'), "holds NaN"),
    "Infinity": (Reply('{"close": -Infinity}'), "holds -Infinity"),
}


@pytest.mark.parametrize(("reply", "words"), FINAL.values(), ids=FINAL.keys())
def test_a_fault_that_stays_is_asked_once(get, wire, clock, reply, words):
    with replaying(in_turn(reply)) as server:
        assert words in fails(get, wire, server)
    assert len(server.asked) == 1
    assert clock.waits == []


def test_nobody_there(get, wire):
    with replaying(in_turn(GOOD)) as server:
        pass
    assert "could not be connected to" in fails(get, wire, server, expected=SourceUnavailable)


def test_no_answer_in_time(get, wire):
    patient = policy(limits=Limits(connect=1.0, read=1.0, total=2.0), attempts=2)
    with replaying(in_turn(Reply(sleep=30.0))) as server:
        begun = time.monotonic()
        text = fails(get, wire, server, patient, expected=SourceUnavailable)
        assert 2.0 <= time.monotonic() - begun < 6.0
    assert "did not answer in time" in text


def test_an_answer_that_drips_in_for_ever(get, wire):
    """Each byte comes within the read time-out: only the total ends it."""
    patient = policy(limits=Limits(connect=1.0, read=1.0, total=1.5), attempts=1)
    with replaying(in_turn(Reply(b"x" * 1000, drip=0.1))) as server:
        begun = time.monotonic()
        fails(get, wire, server, patient, expected=SourceUnavailable)
        assert time.monotonic() - begun < 4.0


def test_retry_after_in_seconds_is_waited_for(get, wire):
    with replaying(in_turn(Reply(status=429, headers={"Retry-After": "37"}), GOOD)) as server:
        get(wire, POLICY, f"{server.url}/v1/bars", {})
    assert 37.0 <= between_attempts(wire) < 39.0


@pytest.mark.parametrize("wrong_by", [-3600.0, 0.0, 3600.0])
def test_retry_after_as_a_date_is_judged_by_the_answers_own_clock(get, wire, wrong_by):
    until = formatdate(time.time() + wrong_by + 20, usegmt=True)
    with replaying(in_turn(Reply(status=503, headers={"Retry-After": until}, date=wrong_by), GOOD)) as server:
        get(wire, POLICY, f"{server.url}/v1/bars", {})
    assert 18.0 <= between_attempts(wire) < 22.5  # the header has whole seconds


@pytest.mark.parametrize("nonsense", ["soon", "-5", "nan", "", "Wed, 99 Foo 2020"])
def test_a_retry_after_that_means_nothing_is_as_none(get, wire, clock, nonsense):
    with replaying(in_turn(Reply(status=503, headers={"Retry-After": nonsense}), GOOD)) as server:
        get(wire, POLICY, f"{server.url}/v1/bars", {})
    assert sum(clock.waits) < 2.0


def test_a_vendor_that_asks_for_too_long_is_spared_that_long(get, wire, clock):
    with replaying(in_turn(Reply(status=429, headers={"Retry-After": "7200"}), GOOD)) as server:
        assert "it asks for 7200 s" in fails(get, wire, server, expected=SourceUnavailable)
        clock.ahead += 7190
        assert "not asked" in fails(get, wire, server, expected=SourceUnavailable)
        assert len(server.asked) == 1
        clock.ahead += 11
        server.answers = in_turn(Reply(status=500))
        fails(get, wire, server, expected=SourceUnavailable)
        assert wire.status([POLICY])[0].breaker == "open"  # one failure after having been spared is enough
        assert "not asked" in fails(get, wire, server, expected=SourceUnavailable)
        clock.ahead += POLICY.breaker_seconds + 1
        server.answers = in_turn(GOOD)
        get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL"})


def test_a_key_revoked_half_way_is_named_at_once(get, wire):
    with replaying(in_turn(GOOD, GOOD, Reply("expired", status=401))) as server:
        for symbol in ("MSFT", "IBM"):
            get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": symbol})
        with pytest.raises(SourceError, match="the key in ACME_KEY was refused"):
            get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    assert len(server.asked) == 3


def test_the_breaker_opens_lets_one_through_and_closes(get, wire, clock: MovingClock):
    brittle = policy(attempts=2, breaker_failures=3, breaker_seconds=60.0)
    with replaying(in_turn(Reply(status=500))) as server:
        for _ in range(3):
            fails(get, wire, server, brittle, expected=SourceUnavailable)
        assert wire.status([brittle])[0].breaker == "open"
        assert "failed 3 times in a row" in fails(get, wire, server, brittle, expected=SourceUnavailable)
        assert len(server.asked) == 6

        clock.ahead += 61
        assert wire.status([brittle])[0].breaker == "half-open"
        fails(get, wire, server, brittle, expected=SourceUnavailable)  # it still fails: spared again, at once
        assert len(server.asked) == 8
        assert "not asked" in fails(get, wire, server, brittle, expected=SourceUnavailable)

        clock.ahead += 61
        server.answers = in_turn(GOOD)
        get(wire, brittle, f"{server.url}/v1/bars", {"symbol": "AAPL"})
    assert wire.status([brittle])[0].breaker == "closed"
