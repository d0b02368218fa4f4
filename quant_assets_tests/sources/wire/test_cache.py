"""What is answered from disk, for how long, and what never gets there."""

from __future__ import annotations

import datetime as dt
import random

from quant_assets.sources.wire.exchange import Request
from quant_assets.sources.wire.policy import NOW
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Reply, in_turn, replaying
from quant_assets_tests.sources.wire.ways import KEY, POLICY, policy

GOOD = Reply('{"close": 1.5}')


def test_the_second_time_nothing_is_sent(get, wire):
    with replaying(in_turn(GOOD, Reply('{"close": 2.5}'))) as server:
        first = get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "AAPL", "adjusted": "true"})
        again = get(wire, POLICY, f"{server.url}/v1/bars", {"adjusted": "true", "symbol": "AAPL"})
        other = get(wire, POLICY, f"{server.url}/v1/bars", {"symbol": "MSFT", "adjusted": "true"})
    assert first == again == b'{"close": 1.5}'
    assert other == b'{"close": 2.5}'
    assert len(server.asked) == 2
    assert [(row.cached, row.symbol, row.bytes) for row in wire.store.audit()] == [
        (False, "AAPL", 14), (True, "AAPL", 14), (False, "MSFT", 14)
    ]  # fmt: skip


def test_a_body_survives_the_way_and_the_cache_whole(get, wire):
    noise = random.Random(7).randbytes(700_000).hex()
    for reply in (Reply(f'["{noise}"]'), Reply(f'["{noise}"]', gzip=True), Reply(f'["{noise}"]', announced=False)):
        with replaying(in_turn(reply)) as server:
            bodies = [get(wire, POLICY, f"{server.url}/v1/bars", {}) for _ in range(2)]
        assert bodies == [reply.body.encode()] * 2
        assert len(server.asked) == 1


def test_an_answer_lasts_a_day_and_one_about_the_past_for_ever(get, wire, clock):
    def lasts(request: Request) -> dt.timedelta | None:
        return None if dict(request.params)["end"] < "2013-03-01" else dt.timedelta(hours=24)

    historical = policy(lasts=lasts)
    with replaying(in_turn(GOOD)) as server:

        def ask(end: str) -> int:
            get(wire, historical, f"{server.url}/v1/bars", {"end": end})
            return len(server.asked)

        assert ask("2012-12-31") == 1
        assert ask("2013-12-31") == 2
        clock.ahead += 86_390
        assert ask("2013-12-31") == 2
        clock.ahead += 11
        assert ask("2013-12-31") == 3
        clock.ahead += 20 * 366 * 86_400
        assert ask("2012-12-31") == 3


def test_what_is_not_to_be_kept_is_not(get, wire):
    def passes(request, answer) -> bool:
        return answer.status == 200 and b"cookie" in answer.body

    with replaying(in_turn(GOOD, GOOD, Reply("cookie", content_type="text/plain"))) as server:
        for _ in range(2):
            get(wire, policy(lasts=lambda request: NOW), f"{server.url}/v1/bars", {})
        for _ in range(2):
            assert get(wire, policy(passes=passes), f"{server.url}/v1/crumb", {}) == b"cookie"
    assert len(server.asked) == 4


def test_an_answer_that_repeats_the_key_is_given_and_not_kept(get, wire):
    with replaying(in_turn(Reply(f'{{"next": "/v1/bars?apikey={KEY}"}}'))) as server:
        for _ in range(2):
            assert KEY.encode() in get(wire, POLICY, f"{server.url}/v1/bars", {})
    assert len(server.asked) == 2


def test_answers_of_another_server_are_other_answers(get, wire, tmp_path):
    """Whoever tried a server of his own must not find its answers in place of the vendor's."""
    with replaying(in_turn(GOOD)) as vendor, replaying(in_turn(Reply('{"close": 9.9}'))) as mine:
        get(wire, POLICY, f"{vendor.url}/v1/bars", {"symbol": "AAPL"})
        redirected = Wire(tmp_path, base_urls={"acme": mine.url + "/copy/"})
        assert get(redirected, POLICY, f"{vendor.url}/v1/bars", {"symbol": "AAPL"}) == b'{"close": 9.9}'
        redirected.store.close()
    assert [asked.path for asked in mine.asked] == ["/copy/v1/bars"]
    assert len(vendor.asked) == 1
