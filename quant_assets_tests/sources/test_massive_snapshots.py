"""Massive's snapshots of shares and of option chains, from the recorded answers: what is of the session, and what is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window, day_window
from quant_assets.errors import SourceError
from quant_assets.schemas import TABLES
from quant_assets.sources.massive_options import MassiveOptions
from quant_assets.sources.massive_quotes import MassiveQuotes
from quant_assets_tests.replay import Reply, in_turn
from quant_assets_tests.sources.massive_answers import (
    Massive,
    body,
    contract,
    error,
    massive,
    nanoseconds,
    recordings,
    snapshot,
)
from quant_assets_tests.sources.wire.ways import At

D = dt.date
FRIDAY = day_window(D(2022, 4, 29))
AFTER = "2022-04-29T16:30"
CALL = "O:AAPL230616C00150000"


def rows(source: MassiveQuotes | MassiveOptions, window: Window, *keys: str) -> pl.DataFrame:
    raw = source.fetch(list(keys) or ["AAPL"], window)
    return source.normalise(raw, fetched_at=source._wire.clock.now())


def one(found: pl.DataFrame) -> dict[str, Any]:
    [row] = found.iter_rows(named=True)
    return row


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_the_recorded_quote(tmp_path: Path, shared: Path):
    """Sizes were in round lots of a hundred then."""
    found = recordings(shared)
    with massive(tmp_path, At("2020-11-12T18:00"), lambda asked: found(replace(asked, path=f"{asked.path}/index"))) as (wire, server):
        row = one(rows(MassiveQuotes(wire), day_window(D(2020, 11, 12)), "BCAT"))
        now = wire.clock.now()
    assert [(asked.path, asked.params["tickers"]) for asked in server.asked] == [("/v2/snapshot/locale/us/markets/stocks/tickers", "BCAT")]
    about = {"ticker": "BCAT", "session": D(2020, 11, 12), "source": "massive", "fetched_at": now, "known_at": now}
    trade = {"last": 20.506, "last_size": 2416.0, "last_at": utc("2020-11-12T14:54:54.630916")}
    quoted = {"bid": 20.5, "ask": 20.6, "bid_size": 1300.0, "ask_size": 2200.0, "quoted_at": utc("2020-11-12T14:55:59.994246")}
    so_far = {"open": 20.64, "high": 20.64, "low": 20.506, "volume": 37216.0, "vwap": 20.616, "previous_close": 20.63}
    assert row == about | trade | quoted | so_far


def test_all_names_are_one_request_of_the_moment(tmp_path: Path, shared: Path):
    held = [snapshot(shared, ticker=ticker) for ticker in ("AAPL", "BRK.B", "MSFT")]
    with massive(tmp_path, At(AFTER), Massive(snapshots=held)) as (wire, server):
        assert sorted(rows(MassiveQuotes(wire), FRIDAY, "MSFT", "BRK.B", "NOPE")["ticker"]) == ["BRK.B", "MSFT"]
        assert rows(MassiveQuotes(wire), FRIDAY, "MSFT", "BRK.B", "NOPE").height == 2
        assert MassiveQuotes(wire).fetch([], FRIDAY).empty  # without a name Massive would tell of all there are
    assert [asked.params["tickers"] for asked in server.asked] == ["BRK.B,MSFT,NOPE"] * 2


def test_sizes_are_shares_since_november_2025(tmp_path: Path, shared: Path):
    sizes = {}
    for day in ("2025-10-31", "2025-11-03"):
        stamps = dict.fromkeys(("updated", "lastTrade__t", "lastQuote__t"), nanoseconds(f"{day}T15:59:59"))
        with massive(tmp_path / day, At(f"{day}T16:30"), Massive(snapshots=[snapshot(shared, **stamps)])) as (wire, _):
            sizes[day] = one(rows(MassiveQuotes(wire), day_window(D.fromisoformat(day))))["bid_size"]
    assert sizes == {"2025-10-31": 300.0, "2025-11-03": 3.0}


def test_a_plan_without_trades_and_quotes_has_the_session(tmp_path: Path, shared: Path):
    held = snapshot(shared)
    del held["lastTrade"], held["lastQuote"]
    with massive(tmp_path, At(AFTER), Massive(snapshots=[held])) as (wire, _):
        row = one(rows(MassiveQuotes(wire), FRIDAY))
    assert (row["last"], row["last_at"], row["bid"], row["quoted_at"], row["vwap"]) == (160.315, None, None, None, 162.7124)


def test_a_quote_belongs_to_the_session_of_its_newest_stamp(tmp_path: Path, shared: Path):
    """Not to the day it is asked on: on Sunday it is Friday's, before the open of Monday too, until something happens."""
    zeros = dict.fromkeys(("day__o", "day__h", "day__l", "day__c", "day__v", "day__vw"), 0)
    early = {**zeros, **dict.fromkeys(("updated", "lastQuote__t"), nanoseconds("2022-05-02T04:10:00"))}
    empty = {**zeros, **dict.fromkeys(("updated", "lastTrade__t", "lastQuote__t"), 0)}
    monday = day_window(D(2022, 5, 2))
    for moment, held, friday_rows, monday_rows in (
        ("2022-05-01T12:00", snapshot(shared), 1, 0),
        ("2022-05-02T01:00", snapshot(shared), 1, 0),
        ("2022-05-02T03:45", snapshot(shared, **empty), 0, 0),
        ("2022-05-02T08:00", snapshot(shared, **early), 0, 1),
    ):
        with massive(tmp_path / moment, At(moment), Massive(snapshots=[held])) as (wire, _):
            found = [rows(MassiveQuotes(wire), window) for window in (FRIDAY, monday)]
            assert [part.height for part in found] == [friday_rows, monday_rows], moment
    assert one(found[1])["open"] is None
    assert one(found[1])["previous_close"] == 163.64


@pytest.mark.parametrize("kind", [MassiveQuotes, MassiveOptions])
def test_a_window_without_the_current_session_asks_nobody(tmp_path: Path, shared: Path, kind: type[MassiveQuotes | MassiveOptions]):
    with massive(tmp_path, At(AFTER), recordings(shared)) as (wire, server):
        for window in (day_window(D(2022, 4, 28)), day_window(D(2022, 5, 2)), Window(D(2020, 1, 1), FRIDAY.start)):
            found = rows(kind(wire), window)
            assert (found.height, found.columns) == (0, list(TABLES[kind.table].schema))
        assert kind(wire).offers(["AAPL"]) == {"AAPL": FRIDAY}
        assert kind(wire).offers() == {}
        assert server.asked == []


BROKEN: dict[str, tuple[Any, str]] = {
    "text": ({"lastTrade__p": "159.99"}, "a snapshot cannot be read"),
    "stamp": ({"updated": "yesterday"}, "a snapshot of AAPL cannot be read"),
    "no stamp": ({"updated": None, "lastTrade__t": None, "lastQuote__t": None}, "does not say when it is of"),
    "of tomorrow": ({"updated": nanoseconds("2022-05-02T04:10:00")}, "of a session after 2022-04-29, the last there has been here"),
}


@pytest.mark.parametrize(("changes", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_quote_that_cannot_be_is_told(tmp_path: Path, shared: Path, changes: dict[str, Any], said: str):
    held = Massive(snapshots=[snapshot(shared, **changes)])
    with massive(tmp_path, At(AFTER), held) as (wire, _), pytest.raises(SourceError, match=said):
        rows(MassiveQuotes(wire), FRIDAY)


def test_a_quote_that_comes_twice(tmp_path: Path, shared: Path):
    twice = [snapshot(shared), snapshot(shared)]
    with massive(tmp_path, At(AFTER), Massive(snapshots=twice)) as (wire, _):
        assert rows(MassiveQuotes(wire), FRIDAY).height == 1
        twice[1]["lastTrade"]["p"] = 1.0
        with pytest.raises(SourceError, match="two different snapshots of AAPL"):
            rows(MassiveQuotes(wire), FRIDAY)


@pytest.mark.parametrize("told", [body(count=2, tickers=[]), body(count=0), error(200, "ERROR", error="x"), body(tickers={"AAPL": 1})])
def test_snapshots_that_are_none(tmp_path: Path, told: Reply):
    with massive(tmp_path, At(AFTER), in_turn(told)) as (wire, _), pytest.raises(SourceError, match=r"massive /v2/snapshot/.* for AAPL"):
        rows(MassiveQuotes(wire), FRIDAY)


def test_the_recorded_contract(tmp_path: Path, shared: Path):
    """Its last trade is stamped a year after its quote, in the recording."""
    with massive(tmp_path, At(AFTER), recordings(shared)) as (wire, server):
        row = one(rows(MassiveOptions(wire), FRIDAY))
        now = wire.clock.now()
    assert server.asked[0].params == {"limit": "250", "sort": "ticker", "order": "asc"}
    greeks = {"delta": 0.6436614934293701, "gamma": 0.0061735291012820675, "theta": -0.028227189324641973, "vega": 0.6381159723175714}
    about = {"ticker": "AAPL", "session": D(2022, 4, 29), "source": "massive", "fetched_at": now, "known_at": now}
    printed = {"expiry": D(2023, 6, 16), "strike": 150.0, "right": "call", "contract": "AAPL230616C00150000", "multiplier": 100.0}
    traded = {"last": 29.25, "last_at": utc("2023-03-13T14:42:07.714665"), "volume": 8.0, "open_interest": 8133.0, "underlying": 159.9606}
    quoted = {"bid": 28.9, "ask": 29.25, "bid_size": 294.0, "ask_size": 209.0, "vendor_implied_volatility": 0.3570277203465058}
    assert row == about | printed | traded | quoted | {f"vendor_{name}": value for name, value in greeks.items()}


def chain(shared: Path, size: int) -> list[dict[str, Any]]:
    names = (f"O:AAPL230616C{1000 * strike:08d}" for strike in range(1, size + 1))
    return [contract(shared, details__ticker=name, details__strike_price=float(name[-8:]) / 1000) for name in names]


def test_ten_thousand_contracts_in_forty_pages(tmp_path: Path, shared: Path):
    with massive(tmp_path, At(AFTER), Massive(chains={"AAPL": chain(shared, 10_000)}, page=250)) as (wire, server):
        found = rows(MassiveOptions(wire), FRIDAY)
        assert (found.height, found["strike"].n_unique(), len(server.asked)) == (10_000, 10_000, 40)


def test_a_chain_is_of_its_moment(tmp_path: Path, shared: Path):
    with massive(tmp_path, At(AFTER), Massive(chains={"AAPL": [contract(shared)]})) as (wire, server):
        for asked in (1, 2):
            assert rows(MassiveOptions(wire), FRIDAY).height == 1
            assert len(server.asked) == asked


def test_a_chain_belongs_to_the_last_session_that_opened(tmp_path: Path, shared: Path):
    held = Massive(chains={"AAPL": [contract(shared)]})
    for moment, current in (("2022-05-01T12:00", FRIDAY), ("2022-05-02T09:29", FRIDAY), ("2022-05-02T09:30", day_window(D(2022, 5, 2)))):
        with massive(tmp_path / moment, At(moment), held) as (wire, _):
            assert set(rows(MassiveOptions(wire), current)["session"]) == {current.start}


def test_what_is_of_another_day_is_not_of_the_session(tmp_path: Path, shared: Path):
    """On Monday: Friday's quote, bar and price of the share are none; the last trade says itself when it was."""
    with massive(tmp_path, At("2022-05-02T09:45"), Massive(chains={"AAPL": [contract(shared)]})) as (wire, _):
        row = one(rows(MassiveOptions(wire), day_window(D(2022, 5, 2))))
    assert [row[name] for name in ("bid", "ask", "bid_size", "ask_size", "underlying")] == [None] * 5
    assert (row["volume"], row["last"], row["open_interest"]) == (0.0, 29.25, 8133.0)


def test_a_contract_with_fewer_fields_and_without_a_bid(tmp_path: Path, shared: Path):
    bare = {"details": contract(shared)["details"], "day": {}, "greeks": {}, "open_interest": 0, "new": 1}
    worthless = contract(shared, details__contract_type="put", last_quote__bid=0)
    other = contract(shared, details__contract_type="other")
    with massive(tmp_path, At(AFTER), Massive(chains={"BRK.B": [bare, worthless, other]})) as (wire, server):
        for held in (worthless, other):
            held["underlying_asset"]["ticker"] = "BRK.B"
        call, put = rows(MassiveOptions(wire), FRIDAY, "BRK.B").sort("right").iter_rows(named=True)
        assert server.asked[0].path == "/v3/snapshot/options/BRK.B"
    assert {name for name, value in call.items() if value is None} >= {"bid", "last", "volume", "underlying", "vendor_delta"}
    assert (call["open_interest"], put["bid"], put["ask"]) == (0.0, None, 29.25)


def test_a_changed_contract_gives_way_to_the_names_own(tmp_path: Path, shared: Path):
    changed = contract(shared, details__ticker="O:AAPL1230616C00150000", details__shares_per_contract=115)
    lone = contract(shared, details__ticker="O:AAPL1230616C00155000", details__strike_price=155)
    held = [changed, contract(shared), lone, contract(shared)]
    with massive(tmp_path, At(AFTER), Massive(chains={"AAPL": held})) as (wire, _):
        assert rows(MassiveOptions(wire), FRIDAY)["contract"].to_list() == ["AAPL230616C00150000", "AAPL1230616C00155000"]
        held[3]["open_interest"] = 1
        with pytest.raises(SourceError, match="massive: 3 different contracts AAPL 2023-06-16 150 call"):
            rows(MassiveOptions(wire), FRIDAY)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"last_quote__bid": "28.9"}, "a contract cannot be read"),
    "day of text": ({"last_quote__last_updated": "now"}, "a contract cannot be read"),
    "no strike": ({"details__strike_price": None}, f"contract {CALL} of AAPL has no right, expiry or strike"),
    "no expiry": ({"details__expiration_date": "2023-13-13"}, "has no right, expiry or strike"),
    "no right": ({"details__contract_type": None}, "has no right, expiry or strike"),
    "of another": ({"underlying_asset__ticker": "MSFT"}, "asked for options of AAPL, it told some of MSFT"),
    "of tomorrow": (
        {"day__last_updated": nanoseconds("2022-05-02T00:00:00")},
        "2022-05-02 04:00 UTC, when it is 2022-04-29 20:30 here",
    ),
    "no quote": ({"last_quote": 5}, "a contract of AAPL cannot be read"),
}


@pytest.mark.parametrize(("changes", "said"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_a_contract_that_cannot_be_is_told(tmp_path: Path, shared: Path, changes: dict[str, Any], said: str):
    held = Massive(chains={"AAPL": [contract(shared, **changes)]})
    with massive(tmp_path, At(AFTER), held) as (wire, _), pytest.raises(SourceError, match=said):
        rows(MassiveOptions(wire), FRIDAY)


def test_a_chain_that_comes_round_again_is_refused(tmp_path: Path, shared: Path):
    def loop(path: str) -> Reply:
        return body(results=[contract(shared)], next_url=f"https://api.massive.com{path}?cursor=1")

    with massive(tmp_path, At(AFTER), lambda asked: loop(asked.path)) as (wire, server):
        with pytest.raises(SourceError, match="/v3/snapshot/options/AAPL for AAPL: a page of the list came a second time"):
            rows(MassiveOptions(wire), FRIDAY)
        assert len(server.asked) == 2
