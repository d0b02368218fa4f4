"""What Massive does wrong, over real connections: each error names it, the endpoint, the name, what came and what to do, and no key."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from quant_assets.calendars import Window, sessions
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.massive_prices import MassivePrices
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, Reply, in_turn
from quant_assets_tests.replay_yahoo import History
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.massive_answers import KEY, Massive, bar, body, dividend, error, made, massive, split
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import At

D = dt.date
JUNE = Window(D(2014, 6, 2), D(2014, 7, 1))
LATER = "2021-03-31T18:00"
DAYS = [D(2014, 5, 30), *sessions(JUNE)]
FORMS = (KEY, quote(KEY, safe=""), quote_plus(KEY))


@pytest.fixture
def flat() -> History:
    return TEN_A_PAGE.histories["AAPL"]


@pytest.fixture(autouse=True)
def no_key_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.get_records("call"))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [form for form in FORMS if form in said or form.encode() in written]


def fails(wire: Wire, kind: type[SourceError] = SourceError) -> str:
    """The error's text, after the proof that no key is in or behind it."""
    with pytest.raises(SourceError) as caught:
        MassivePrices(wire).fetch(["AAPL"], JUNE)
    assert type(caught.value) is kind
    assert not [form for form in FORMS if form in told(caught.value)]
    assert caught.value.message.startswith(("massive", "the key in MASSIVE_API_KEY"))
    assert "AAPL" in caught.value.message
    return str(caught.value)


def kept(wire: Wire) -> int:
    with wire.store._using() as connection:
        return int(connection.execute("SELECT count(*) FROM answer").fetchone()[0])


def bars(*found: dict[str, Any], **changes: Any) -> Reply:
    counts = {"queryCount": len(found), "resultsCount": len(found)}
    return body(**{"ticker": "AAPL", "adjusted": False, **counts, "results": list(found), **changes})


def on(day: str, **changes: Any) -> dict[str, Any]:
    return bar(D.fromisoformat(day), 10.0, 11.0, 9.0, 10.0, 1000.0) | changes


REFUSALS: dict[str, tuple[Reply, type[SourceError], str, int]] = {
    "error inside a 200": (error(200, "ERROR", error="Something broke"), SourceError, "ERROR: Something broke; see whether", 1),
    "limit inside a 200": (
        error(200, "ERROR", error="You've exceeded the maximum requests per minute, please wait"),
        SourceUnavailable,
        "ERROR: You've exceeded the maximum requests per minute",
        4,
    ),
    "limit": (error(429, "ERROR", error="You've exceeded the maximum requests per minute"), SourceUnavailable, "answered 429", 4),
    "plan": (
        error(403, "NOT_AUTHORIZED", message="You are not entitled to this data. Please upgrade your plan"),
        SourceError,
        "for AAPL NOT_AUTHORIZED: You are not entitled to this data. Please upgrade",
        1,
    ),
    "plan inside a 200": (error(200, "NOT_AUTHORIZED", message="Upgrade"), SourceError, "the key in MASSIVE_API_KEY was refused", 1),
    "key that comes back": (error(401, "ERROR", error=f"Unknown API Key {KEY}"), SourceError, "Unknown API Key ***", 1),
    "key inside a 200": (error(200, "ERROR", error=f"Unknown API Key {KEY}"), SourceError, "put a valid key into MASSIVE_API_KEY", 1),
    "unknown": (error(404, "NOT_FOUND", message="Ticker not found."), NoData, "for AAPL: NOT_FOUND: Ticker not found.; leave it out", 1),
    "unknown inside a 200": (error(200, "NOT_FOUND", message="Ticker not found."), NoData, "NOT_FOUND", 1),
    "status nobody knows": (error(200, "MAYBE"), SourceError, "MAYBE: without an explanation", 1),
    "bad request": (error(400, "ERROR", error="Could not parse the time parameter"), SourceError, "Could not parse the time", 1),
    "no path": (Reply("404 page not found", 404, "text/plain"), SourceError, "answered 404 404 page not found", 1),
    "list": (Reply("[1, 2]"), SourceError, "answered JSON that is no object", 1),
    "null results": (bars(results=None, resultsCount=1), SourceError, "holds no list of 'results'", 1),
    "no results and no count": (Reply('{"status": "OK", "ticker": "AAPL"}'), SourceError, "holds no list of 'results'", 1),
    "fewer than told": (bars(on("2014-06-02"), resultsCount=2), SourceError, "says 2 bars and holds 1", 1),
    "no count": (bars(on("2014-06-02"), resultsCount=None), SourceError, "says None bars and holds 1", 1),
    "basis untold": (bars(on("2014-06-02"), adjusted=None), SourceError, "adjusted for splits, or does not say", 1),
    "another name": (bars(on("2014-06-02"), ticker="MSFT"), SourceError, "for AAPL: holds bars of MSFT", 1),
}


@pytest.mark.parametrize(("reply", "kind", "said", "asked"), REFUSALS.values(), ids=REFUSALS.keys())
def test_an_answer_that_is_none_is_told_and_not_kept(
    tmp_path: Path, flat: History, reply: Reply, kind: type[SourceError], said: str, asked: int
):
    with massive(tmp_path, At(LATER), Massive({"AAPL": flat}, wrong={"aggs": in_turn(reply)})) as (wire, server):
        text = fails(wire, kind)
        assert said in text
        assert "/v2/aggs/ticker/AAPL/range/1/day/2014-05-30/2014-06-30" in text
        assert (len(server.asked), kept(wire)) == (asked, 0)


def test_a_limit_that_was_met_is_waited_out(tmp_path: Path, flat: History):
    limit = error(429, "ERROR", error="You've exceeded the maximum requests per minute")
    clock = At(LATER)
    with massive(tmp_path, clock, Massive({"AAPL": flat}, wrong={"splits": in_turn(limit)})) as (wire, _):
        fails(wire, SourceUnavailable)
    assert sum(clock.waits) > 60


CUT, PAID = split("AAPL", D(2014, 6, 9), 7.0), dividend("AAPL", D(2014, 6, 9), 0.5)
UNREADABLE: dict[str, tuple[str, Reply, str]] = {
    "text for a price": ("aggs", bars(on("2014-06-02", c="10.0")), "a bar of AAPL cannot be read (TypeError: '10.0' where a number"),
    "true for a volume": ("aggs", bars(on("2014-06-02", v=True)), "True where a number"),
    "no stamp": ("aggs", bars({"o": 1.0}), "a bar of AAPL cannot be read"),
    "stamp at the close": ("aggs", bars(on("2014-06-02", t=1401739200000)), "begins at 16:00 in New York, a daily one does at midnight"),
    "stamp in seconds": ("aggs", bars(on("2014-06-02", t=1401681600)), "a daily one does at midnight"),
    "stamp far away": ("aggs", bars(on("2014-06-02", t=10**20)), "a bar of AAPL cannot be read"),
    "text for a bar": ("aggs", bars("bar"), "a bar of AAPL cannot be read"),  # type: ignore[arg-type]
    "split without shares": ("splits", body(results=[CUT | {"split_to": None}]), "a split of AAPL cannot"),
    "split into none": ("splits", body(results=[CUT | {"split_to": 0}]), "2014-06-09: a split of 1 into 0"),
    "split without a day": (
        "splits",
        body(results=[CUT | {"execution_date": None}]),
        "a split of AAPL cannot",
    ),
    "two splits": (
        "splits",
        body(results=[CUT, split("AAPL", D(2014, 6, 9), 2.0)]),
        "AAPL 2014-06-09: a split of 1 into 7 and 1 into 2; name another source",
    ),
    "split of another": (
        "splits",
        body(results=[split("MSFT", D(2014, 6, 9), 7.0)]),
        "a split of AAPL cannot be read (ValueError: it is of MSFT)",
    ),
    "no list of splits": ("splits", Reply('{"status": "OK"}'), "/stocks/v1/splits for AAPL: holds no list of 'results'"),
    "dividend in another currency": (
        "dividends",
        body(results=[PAID | {"currency": "CAD"}]),
        "AAPL 2014-06-09: a dividend of 0.5 CAD, and prices are US dollars",
    ),
    "dividend without an amount": (
        "dividends",
        body(results=[PAID | {"cash_amount": None}]),
        "None where a",
    ),
    "dividend of another": ("dividends", body(results=[dividend("AAPL.WS", D(2014, 6, 9), 0.5)]), "it is of AAPL.WS"),
}


@pytest.mark.parametrize(("place", "reply", "said"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_told(tmp_path: Path, flat: History, place: str, reply: Reply, said: str):
    with massive(tmp_path, At(LATER), Massive({"AAPL": flat}, wrong={place: in_turn(reply)})) as (wire, _):
        assert said in fails(wire)


def test_what_is_wrong_outside_the_window_does_not_matter(tmp_path: Path, flat: History):
    paid, cut = dividend("AAPL", D(2010, 6, 9), 0.5, currency="CAD"), split("AAPL", D(2010, 6, 9), 7.0)
    wrong = {"dividends": in_turn(body(results=[paid])), "splits": in_turn(body(results=[cut, cut | {"split_to": 2}]))}
    with massive(tmp_path, At(LATER), Massive({"AAPL": flat}, wrong=wrong)) as (wire, _):
        assert len(MassivePrices(wire).fetch(["AAPL"], JUNE)) == len(DAYS)


def test_bars_out_of_order_twice_with_more_and_fewer_fields(tmp_path: Path, flat: History):
    """Sorted, once each; what there is no price for, and what differs, is left for the gate to name."""
    first, second = on("2014-06-02", x="new"), on("2014-06-03", c=None)
    del second["h"]
    early = on("2014-05-01")
    reply = bars(second, first, first, on("2014-06-04"), on("2014-06-04", c=10.5), early)
    with massive(tmp_path, At(LATER), Massive({"AAPL": flat}, wrong={"aggs": in_turn(reply)})) as (wire, _):
        source = MassivePrices(wire)
        found = source.normalise(source.fetch(["AAPL"], JUNE), fetched_at=FETCHED_AT)
    assert found.select("session", "high", "close").rows() == [
        (D(2014, 6, 2), 11.0, 10.0),
        (D(2014, 6, 3), None, None),
        (D(2014, 6, 4), 11.0, 10.0),
        (D(2014, 6, 4), 11.0, 10.5),
    ]


def test_a_name_without_bars_has_no_rows(tmp_path: Path):
    """As Massive answers about a name it does not know; the gate says which sessions are missing."""
    with massive(tmp_path, At(LATER), Massive()) as (wire, _):
        source = MassivePrices(wire)
        raw = source.fetch(["NOPE", "NADA"], JUNE)
        assert (list(raw["date"]), source.normalise(raw, fetched_at=FETCHED_AT).height) == ([], 0)


TEN_A_PAGE = Massive({"AAPL": made(*((str(day), 10.0) for day in DAYS))}, page=10)


def paged(second: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    """Bars in pages of ten, the second and later ones as given."""
    return lambda asked: second(asked) if "cursor" in asked.params else TEN_A_PAGE(asked)


def the_same_address(asked: Asked) -> Reply:
    return bars(on("2014-06-16"), next_url=f"https://api.massive.com{asked.path}?cursor={asked.params['cursor']}")


def the_same_bars(asked: Asked) -> Reply:
    """The first page for ever, under an address that is new each time."""
    first = json.loads(TEN_A_PAGE(replace(asked, params={"adjusted": "false"})).body)
    return Reply(json.dumps(first | {"next_url": f"https://api.massive.com{asked.path}?cursor={asked.params['cursor']}x"}))


PAGES: dict[str, tuple[Callable[[Asked], Reply], type[SourceError], str]] = {
    "the same address": (the_same_address, SourceError, "a page of the list came a second time, so that others are lost"),
    "the same bars": (the_same_bars, SourceError, "a page of the list came a second time, so that others are lost"),
    "nothing": (in_turn(Reply('{"status": "OK"}')), SourceError, "holds no list of 'results'"),
    "fewer": (in_turn(bars(on("2014-06-16"), resultsCount=10)), SourceError, "says 10 bars and holds 1"),
    "a token revoked": (in_turn(error(401, "ERROR", error="Unknown API Key")), SourceError, "the key in MASSIVE_API_KEY was refused"),
    "a page cut": (in_turn(Reply('{"status": "OK", "results": [{', cut=20)), SourceUnavailable, "(4 attempts)"),
    "a reset": (in_turn(Reply(reset=True)), SourceUnavailable, "closed the connection"),
}


@pytest.mark.parametrize(("second", "kind", "said"), PAGES.values(), ids=PAGES.keys())
def test_a_list_that_breaks_off_gives_nothing_and_goes_on_where_it_was(
    tmp_path: Path, second: Callable[[Asked], Reply], kind: type[SourceError], said: str
):
    clock = At(LATER)
    with massive(tmp_path, clock, paged(second)) as (wire, server):
        assert said in fails(wire, kind)
        clock.moment = At("2021-04-01T18:00").moment  # what was told of the list until today is asked for again
        before = len(server.asked)
        server.answers = TEN_A_PAGE
        assert len(MassivePrices(wire).fetch(["AAPL"], JUNE)) == len(DAYS)
        assert "cursor" in server.asked[before].params  # the first page was kept


def test_a_page_that_is_waited_for_in_vain(tmp_path: Path):
    with massive(tmp_path, At(LATER), paged(in_turn(Reply(sleep=30.0)))) as (wire, _):
        source = MassivePrices(wire)
        source.policy = replace(source.policy, limits=Limits(connect=1.0, read=0.5, total=1.0), attempts=2)
        with pytest.raises(SourceUnavailable, match="for AAPL: did not answer in time") as caught:
            source.fetch(["AAPL"], JUNE)
        assert not [form for form in FORMS if form in told(caught.value)]


def test_ten_thousand_dividends_in_pages(tmp_path: Path, flat: History):
    days = [D(1990, 1, 1) + dt.timedelta(days=n) for n in range(10_000)]
    history = History(flat.bars, dividends=dict.fromkeys(days, 0.01))
    with massive(tmp_path, At(LATER), Massive({"AAPL": history}, page=1_000)) as (wire, server):
        raw = MassivePrices(wire).fetch(["AAPL"], JUNE)
        assert raw["cash_amount"].sum() == pytest.approx(0.01 * sum(DAYS[0] <= day <= DAYS[-1] for day in days))
        assert sum("dividends" in asked.path for asked in server.asked) == 10
