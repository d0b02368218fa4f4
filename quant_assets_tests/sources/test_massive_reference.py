"""Who stands behind a ticker, from Massive's recorded answers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quant_assets.errors import NoData, SourceError
from quant_assets.sources.massive_reference import CHANGES, DETAILS, MassiveReference
from quant_assets_tests.replay import Asked, Reply, in_turn
from quant_assets_tests.sources.massive_answers import body, error, massive, recordings
from quant_assets_tests.sources.wire.ways import At

D = dt.date
NOW = "2022-06-30T18:00"


def test_the_recorded_details(tmp_path: Path, shared: Path):
    with massive(tmp_path, At(NOW), recordings(shared)) as (wire, server):
        found = MassiveReference(wire).details(["AAPL"])
        assert MassiveReference(wire).details(["AAPL"]).equals(found)
    assert [asked.path for asked in server.asked] == ["/v3/reference/tickers/AAPL"]
    assert found.schema == DETAILS
    figis = ("BBG000B9XRY4", "BBG001S5N8V8")
    assert found.rows() == [("AAPL", *figis, "0000320193", "Apple Inc.", "CS", "XNAS", True, D(1980, 12, 12), None)]


def test_the_recorded_ticker_changes(tmp_path: Path, shared: Path):
    with massive(tmp_path, At(NOW), recordings(shared)) as (wire, server):
        found = MassiveReference(wire).changes(["META"])
    assert [(asked.path, asked.params) for asked in server.asked] == [("/vX/reference/tickers/META/events", {"types": "ticker_change"})]
    assert found.schema == CHANGES
    assert found.rows() == [
        ("META", "BBG000MM2P62", "0001326801", "FB", D(2012, 5, 18)),
        ("META", "BBG000MM2P62", "0001326801", "META", D(2022, 6, 11)),
    ]


def named(**told: Any) -> Reply:
    return body(results={"ticker": "TWTR", "name": "Twitter", "active": False, **told})


def events(*told: dict[str, Any], **more: Any) -> Reply:
    return body(results={"name": "A company", "events": list(told), **more})


def event(day: str, ticker: str, kind: str = "ticker_change") -> dict[str, Any]:
    return {"type": kind, "date": day, "ticker_change": {"ticker": ticker}}


def test_a_name_that_is_gone_and_of_which_little_is_known(tmp_path: Path):
    with massive(tmp_path, At(NOW), in_turn(named(delisted_utc="2022-11-08T05:00:00Z", new=1))) as (wire, _):
        [row] = MassiveReference(wire).details(["TWTR"]).rows(named=True)
    assert (row["active"], row["delisted_utc"], row["cik"]) == (False, dt.datetime(2022, 11, 8, 5, tzinfo=dt.UTC), None)


def test_changes_that_come_twice_out_of_order_and_of_another_kind(tmp_path: Path):
    told = events(event("2020-01-02", "B"), event("2010-01-04", "A"), event("2020-01-02", "B"), event("2015-01-02", "A", "merger"))
    with massive(tmp_path, At(NOW), in_turn(told)) as (wire, _):
        assert MassiveReference(wire).changes(["B"]).rows() == [
            ("B", None, None, "A", D(2010, 1, 4)),
            ("B", None, None, "B", D(2020, 1, 2)),
        ]


@pytest.mark.parametrize("ticker", ["BRK.B", "BRK/B", "^GSPC"])
def test_a_name_with_special_characters(tmp_path: Path, ticker: str):
    with massive(tmp_path, At(NOW), in_turn(named(ticker=ticker))) as (wire, server):
        assert MassiveReference(wire).details([ticker])["ticker"].to_list() == [ticker]
        assert {row.symbol for row in wire.store.audit("massive")} == {ticker}
    assert server.asked[0].path in ("/v3/reference/tickers/BRK.B", "/v3/reference/tickers/BRK%2FB", "/v3/reference/tickers/%5EGSPC")


def test_a_name_that_was_never_called_otherwise_has_no_changes(tmp_path: Path):
    with massive(tmp_path, At(NOW), in_turn(body(results={"name": "A company"}))) as (wire, _):
        assert MassiveReference(wire).changes(["A"]).is_empty()


def test_a_name_nobody_knows_has_no_details_and_no_changes(tmp_path: Path):
    with massive(tmp_path, At(NOW), in_turn(error(404, "NOT_FOUND", message="Ticker not found."))) as (wire, _):
        with pytest.raises(NoData, match="massive /v3/reference/tickers/NOPE for NOPE: NOT_FOUND"):
            MassiveReference(wire).details(["NOPE"])
        assert MassiveReference(wire).changes(["NOPE"]).is_empty()


def test_without_a_name_nobody_is_asked(tmp_path: Path):
    with massive(tmp_path, At(NOW), in_turn(named())) as (wire, server):
        assert (MassiveReference(wire).details([]).schema, MassiveReference(wire).changes([]).schema) == (DETAILS, CHANGES)
    assert server.asked == []


Ask = Callable[[MassiveReference], object]


def details(source: MassiveReference) -> object:
    return source.details(["TWTR"])


def changes(source: MassiveReference) -> object:
    return source.changes(["TWTR"])


FLAWS: dict[str, tuple[Ask, Reply, str]] = {
    "list": (details, body(results=[]), "/v3/reference/tickers/TWTR for TWTR: holds no object of 'results'"),
    "none": (changes, Reply(json.dumps({"status": "OK"})), "/vX/reference/tickers/TWTR/events for TWTR: holds no object"),
    "another": (details, named(ticker="X"), "the reference of TWTR cannot be read (ValueError: it is of X)"),
    "day": (details, named(list_date="soon"), "the reference of TWTR cannot be read (ValueError"),
    "number": (details, named(delisted_utc=20221108), "the reference of TWTR cannot be read (TypeError"),
    "number for a name": (details, named(name=5), "the reference cannot be read"),
    "text for events": (
        changes,
        body(results={"name": "A", "events": "none"}),
        "a ticker change of TWTR cannot be read (TypeError",
    ),
    "no ticker": (changes, events({"type": "ticker_change", "date": "2020-01-02"}), "a ticker change of TWTR cannot be read (KeyError"),
    "no day": (changes, events(event("", "B")), "a ticker change of TWTR cannot be read (ValueError"),
    "error": (details, error(200, "ERROR", error="Something broke"), "/v3/reference/tickers/TWTR for TWTR: ERROR: Something broke"),
}


@pytest.mark.parametrize(("ask", "reply", "said"), FLAWS.values(), ids=FLAWS.keys())
def test_what_cannot_be_read_is_told(tmp_path: Path, ask: Ask, reply: Reply, said: str):
    with massive(tmp_path, At(NOW), in_turn(reply)) as (wire, _), pytest.raises(SourceError) as caught:
        ask(MassiveReference(wire))
    assert said in str(caught.value)


def test_a_key_revoked_between_two_names(tmp_path: Path, shared: Path):
    def answers(asked: Asked) -> Reply:
        return recordings(shared)(asked) if "AAPL" in asked.path else error(401, "ERROR", error="Unknown API Key")

    refused = pytest.raises(SourceError, match="the key in MASSIVE_API_KEY was refused: massive /v3/reference/tickers/TWTR")
    with massive(tmp_path, At(NOW), answers) as (wire, server), refused:
        MassiveReference(wire).details(["AAPL", "TWTR"])
    assert len(server.asked) == 2
