"""Massive's daily bars by its own client over real sockets: what was traded comes back, with the actions on the right day and basis."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import polars as pl
import pytest

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window, sessions
from quant_assets.errors import SourceError
from quant_assets.schemas import TABLES
from quant_assets.sources.massive_prices import FIRST_OFFERED, MassivePrices
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, Reply
from quant_assets_tests.replay_yahoo import History, lean_history
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.massive_answers import Massive, body, dividend, made, massive, recordings
from quant_assets_tests.sources.wire.ways import At

D = dt.date
ALL = Window(FIRST_OFFERED, D(2021, 4, 1))
SPRING = Window(D(2014, 4, 1), D(2014, 7, 1))
"""AAPL paid 3.29 on 8 May and split 7:1 on 9 June."""
LATER = "2021-03-31T18:00"


@pytest.fixture(scope="module")
def apple(shared: Path) -> History:
    return lean_history(shared, "AAPL")


def rows(wire: Wire, window: Window, *keys: str) -> pl.DataFrame:
    source = MassivePrices(wire)
    found = source.normalise(source.fetch(list(keys) or ["AAPL"], window), fetched_at=FETCHED_AT)
    return TABLES["prices"].conform(found.select(list(TABLES["prices"].schema)))


def actions(found: pl.DataFrame) -> list[tuple[object, ...]]:
    acted = (pl.col("split_factor") != 1) | (pl.col("dividend") != 0)
    return found.filter(acted).select("session", "split_factor", "dividend").rows()


@pytest.mark.parametrize("page", [50_000, 250])
def test_what_was_traded_comes_back_with_each_split_and_dividend(tmp_path: Path, apple: History, page: int):
    with massive(tmp_path, At(LATER), Massive({"AAPL": apple}, page=page)) as (wire, server):
        found = rows(wire, ALL)
    traded = apple.bars.filter(pl.col("session").is_between(ALL.start, ALL.end, closed="left"))
    assert found.select(traded.columns).equals(traded)
    assert found["session"].to_list() == sessions(ALL)
    assert set(found["price_basis"]) == {"raw"}
    assert not found["inferred"].any()
    splits = {day: factor for day, factor, _ in actions(found) if factor != 1}
    assert splits == {D(2005, 2, 28): 2.0, D(2014, 6, 9): 7.0, D(2020, 8, 31): 4.0}
    paid = {day: amount for day, _, amount in actions(found) if amount}
    assert paid == {day: amount for day, amount in apple.dividends.items() if day in ALL}
    declared = {D(2012, 8, 9): 2.65, D(2014, 5, 8): 3.29, D(2014, 8, 7): 0.47, D(2020, 8, 7): 0.82, D(2020, 11, 6): 0.205}
    assert {day: paid[day] for day in declared} == pytest.approx(declared, abs=5e-4)  # LEAN's factors have seven digits
    bars = -(-found.height // page)
    assert [asked.path for asked in server.asked[:-2]] == ["/v2/aggs/ticker/AAPL/range/1/day/2003-09-10/2021-03-31"] * bars
    assert [asked.path for asked in server.asked[-2:]] == ["/stocks/v1/splits", "/stocks/v1/dividends"]
    assert server.asked[0].params == {"adjusted": "false", "sort": "asc", "limit": "50000"}


def test_growth_is_that_of_leans_factors(tmp_path: Path, shared: Path, apple: History):
    """LEAN takes a dividend d from the close before, p: 1 / (1 - d/p). Here it is reinvested at the close c of its ex-date: 1 + d/c.

    With that exchanged each step is LEAN's, to what its seven digits allow; without, 35 dividends make 0.013 % in seventeen years.
    """
    with massive(tmp_path, At(LATER), Massive({"AAPL": apple})) as (wire, _):
        ours = forward_adjusted(rows(wire, ALL).lazy()).collect()
    columns = ["until", "price_factor", "lean_split", "reference"]
    file = shared / "data/corporate_actions/lean_factor_files/aapl.csv"
    lean = pl.read_csv(file, has_header=False, new_columns=columns, schema_overrides={"until": pl.String})
    lean = lean.select(until=pl.col("until").str.to_date("%Y%m%d"), factor=pl.col("price_factor") * pl.col("lean_split")).sort("until")
    both = ours.sort("session").join_asof(lean, left_on="session", right_on="until", strategy="forward")
    reinvested = (1 + pl.col("dividend") / pl.col("close")) * (1 - pl.col("dividend") / pl.col("close").shift())
    steps = both.with_columns(ours=pl.col("growth") / pl.col("growth").shift(), lean=pl.col("factor") / pl.col("factor").shift())
    apart = steps.select("split_factor", apart=(pl.col("ours") / reinvested / pl.col("lean") - 1).abs())
    assert apart.filter(split_factor=1.0)["apart"].max() < 2e-7  # type: ignore[operator]
    assert apart["apart"].max() < 3e-6  # type: ignore[operator]  # it has 0.0178571 for 1/56
    assert steps.filter((pl.col("lean") - 1).abs() > 1e-6).height == 3 + 35
    whole = both.select(growth=pl.col("growth").last() / pl.col("growth").first(), lean=pl.col("factor").last() / pl.col("factor").first())
    assert whole["growth"].item() / whole["lean"].item() == pytest.approx(1.000127, abs=1e-6)
    assert ours["split_growth"].last() == 56.0


def test_a_window_comes_with_the_bar_before_it_and_with_its_own_actions(tmp_path: Path, apple: History):
    with massive(tmp_path, At(LATER), Massive({"AAPL": apple})) as (wire, _):
        found = rows(wire, SPRING)
    assert found["session"].to_list() == [D(2014, 3, 31), *sessions(SPRING)]
    assert [(day, factor, round(paid, 3)) for day, factor, paid in actions(found)] == [(D(2014, 5, 8), 1, 3.29), (D(2014, 6, 9), 7, 0)]
    one = {row["session"]: row for row in found.iter_rows(named=True)}
    assert (one[D(2014, 6, 6)]["close"], one[D(2014, 6, 9)]["close"]) == (645.57, 93.7)
    assert one[D(2014, 6, 9)]["known_at"] == dt.datetime(2014, 6, 9, 20, tzinfo=dt.UTC)


def test_a_complete_window_is_asked_for_once_and_what_touches_today_after_each_close(tmp_path: Path, apple: History):
    clock = At("2014-07-01T17:00")
    with massive(tmp_path, clock, Massive({"AAPL": apple})) as (wire, server):
        for moment, asked in (
            ("2014-07-01T17:00", ["2014-03-31/2014-06-30", "splits", "dividends"]),
            ("2014-07-01T23:00", []),
            ("2014-07-02T16:00", []),
            ("2014-07-02T16:15", ["splits", "dividends"]),
        ):
            clock.moment = At(moment).moment
            before = len(server.asked)
            assert rows(wire, SPRING).height == 64
            assert ["/".join(seen.path.split("/")[-2:]).removeprefix("v1/") for seen in server.asked[before:]] == asked


def test_a_window_that_ends_with_the_newest_bar_is_asked_for_again_when_the_next_one_is_there(tmp_path: Path, apple: History):
    clock = At("2014-06-30T16:15")
    with massive(tmp_path, clock, Massive({"AAPL": apple})) as (wire, server):
        for moment, times in (("2014-06-30T16:15", 1), ("2014-07-01T16:14", 1), ("2014-07-01T16:15", 2), ("2021-03-31T18:00", 2)):
            clock.moment = At(moment).moment
            assert rows(wire, SPRING)["session"].max() == SPRING.last_day
            assert sum("aggs" in asked.path for asked in server.asked) == times


def test_a_running_session_has_no_bar(tmp_path: Path, apple: History):
    clock = At("2014-06-10T11:00")
    with massive(tmp_path, clock, Massive({"AAPL": apple})) as (wire, server):
        for moment, last in (("2014-06-10T11:00", 9), ("2014-06-10T16:14", 9), ("2014-06-10T16:15", 10), ("2014-06-10T23:59", 10)):
            clock.moment = At(moment).moment
            assert rows(wire, SPRING)["session"].max() == D(2014, 6, last)
        assert [asked.path.rpartition("/")[2] for asked in server.asked if "aggs" in asked.path] == ["2014-06-09", "2014-06-10"]
        assert rows(wire, Window(D(2014, 7, 1), D(2014, 8, 1))).is_empty()  # of the future nobody is asked


def test_no_more_than_five_requests_are_sent_in_a_minute(tmp_path: Path, apple: History):
    clock = At(LATER)
    sent: list[float] = []

    def timed(asked: Asked) -> Reply:
        sent.append(clock.monotonic())
        return answers(asked)

    answers = Massive(dict.fromkeys(("AAPL", "B", "C", "E"), apple))
    with massive(tmp_path, clock, timed) as (wire, _):
        rows(wire, SPRING, "AAPL", "B", "C", "E")
    assert len(sent) == 12
    assert all(later - first >= 60 for first, later in zip(sent, sent[5:], strict=False))


@pytest.mark.parametrize("ticker", ["BRK.B", "BRK/B", "^GSPC", "A?B#C D"])
def test_a_name_with_special_characters_is_asked_for_as_it_is(tmp_path: Path, ticker: str):
    history = made(("2014-06-05", 10.0), ("2014-06-06", 20.0), splits={D(2014, 6, 6): 0.5}, dividends={D(2014, 6, 5): 0.1})
    with massive(tmp_path, At(LATER), Massive({ticker: history})) as (wire, server):
        assert actions(rows(wire, SPRING, ticker)) == [(D(2014, 6, 5), 1.0, 0.1), (D(2014, 6, 6), 0.5, 0.0)]
        assert {row.symbol for row in wire.store.audit("massive")} == {ticker}
    assert [asked.params.get("ticker") for asked in server.asked] == [None, ticker, ticker]


def test_the_recorded_answer_is_of_adjusted_bars_and_is_refused(tmp_path: Path, shared: Path):
    """It has AAPL at 1.46 in April 2005, when a share cost 40.89. As one of bars as traded it would be read."""
    window = Window(D(2005, 4, 4), D(2005, 4, 5))
    with massive(tmp_path, At(LATER), recordings(shared)) as (wire, server):
        with pytest.raises(SourceError, match=r"massive /v2/aggs/ticker/AAPL.* for AAPL: holds bars that are adjusted for splits"):
            rows(wire, window)
        assert len(server.asked) == 1

    def raw(asked: Asked) -> Reply:
        told = json.loads(recordings(shared)(asked).content)
        return Reply(json.dumps(told | {"adjusted": False})) if "aggs" in asked.path else body(results=[])

    with massive(tmp_path, At(LATER), raw) as (wire, _):
        found = rows(wire, window)
    assert found.select("session", "open", "high", "low", "close", "volume").rows() == [
        (D(2005, 4, 1), 1.5032, 1.5064, 1.4489, 1.4604, 642646396.0),
        (D(2005, 4, 4), 1.4639, 1.4754, 1.4343, 1.4675, 578172308.0),
    ]


def test_the_recorded_actions_are_read(tmp_path: Path, shared: Path):
    """As they were told at `/v3/reference`; those of one ticker each, which the recording is not."""
    days = sessions(Window(D(2022, 5, 2), D(2022, 7, 20)))
    flat = made(*((str(day), 100.0) for day in days))

    def answers(asked: Asked) -> Reply:
        if "aggs" in asked.path:
            return Massive(dict.fromkeys(("AMZN", "BRW", "CIG.C", "AIRTP"), flat))(asked)
        kind = asked.path.rpartition("/")[2]
        told = json.loads((shared / f"data/vendor_api/polygon_massive/v3/reference/{kind}.json").read_text())["results"]
        return body(results=[row for row in told if row["ticker"] == asked.params["ticker"]])

    with massive(tmp_path, At("2022-07-20T18:00"), answers) as (wire, _):
        found = rows(wire, Window(D(2022, 5, 2), D(2022, 7, 21)), "AMZN", "BRW", "CIG.C", "AIRTP")
    split = found.filter(pl.col("split_factor") != 1).select("ticker", "session", "split_factor").rows()
    assert split == [("AMZN", D(2022, 6, 6), 20.0), ("BRW", D(2022, 5, 20), 0.5), ("CIG.C", D(2022, 5, 2), pytest.approx(4 / 3))]
    assert found["dividend"].sum() == 0  # AIRTP pays in 2023


def test_an_action_of_a_day_without_a_bar_stands_at_the_next_one(tmp_path: Path):
    """A Saturday, and a session on which the name was halted; what comes after the last bar waits for one."""
    bars = (("2014-06-05", 10.0), ("2014-06-06", 10.0), ("2014-06-10", 5.0))
    history = made(*bars, splits={D(2014, 6, 9): 2.0}, dividends={D(2014, 6, 7): 0.1, D(2014, 6, 11): 0.2, D(2013, 6, 5): 9.0})
    with massive(tmp_path, At(LATER), Massive({"AAPL": history})) as (wire, _):
        assert actions(rows(wire, SPRING)) == [(D(2014, 6, 10), 2.0, 0.1)]


def test_two_dividends_of_a_day_are_both_paid_and_one_that_is_listed_twice_once(tmp_path: Path):
    day = D(2014, 6, 6)
    told = [dividend("AAPL", day, 0.5), dividend("AAPL", day, 0.5, id="another"), dividend("AAPL", day, 2.0, distribution_type="special")]
    answers = Massive({"AAPL": made(("2014-06-06", 10.0), splits={day: 7.0})}, wrong={"dividends": lambda _: body(results=told)})
    with massive(tmp_path, At(LATER), answers) as (wire, _):
        assert actions(rows(wire, SPRING)) == [(day, 7.0, 2.5)]


def test_without_a_key_nobody_is_asked(tmp_path: Path, apple: History):
    with massive(tmp_path, At(LATER), Massive({"AAPL": apple})) as (wire, server), pytest.MonkeyPatch.context() as environment:
        environment.delenv("MASSIVE_API_KEY")
        with pytest.raises(SourceError, match="massive: no key in MASSIVE_API_KEY; get one"):
            rows(wire, SPRING)
    assert server.asked == []
    assert "MASSIVE_API_KEY" not in os.environ


def test_any_name_is_offered_up_to_the_last_final_bar(tmp_path: Path):
    wire = Wire(tmp_path, clock=At("2014-06-10T16:14"))
    source = MassivePrices(wire)
    assert source.offers() == {}
    assert source.offers(["AAPL", "BRK.B"]) == dict.fromkeys(("AAPL", "BRK.B"), Window(FIRST_OFFERED, D(2014, 6, 10)))
    assert (source.name, source.table, source.policy.key_variable) == ("massive", "prices", "MASSIVE_API_KEY")
    wire.store.close()
