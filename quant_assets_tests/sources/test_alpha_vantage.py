"""Alpha Vantage over real connections: numbers as text, errors with status 200, a day of 25 requests; and its indicators beside ours."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window, year_window
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.schemas import TABLES
from quant_assets.sources.alpha_vantage import AlphaVantageEarnings, AlphaVantageOverview
from quant_assets.sources.alpha_vantage_indicators import WARM_UP_SESSIONS, Indicator, compare_indicators, fetch
from quant_assets_tests.features.panels import bars
from quant_assets_tests.replay import Reply, in_turn
from quant_assets_tests.sources import alpha_vantage_answers as av
from quant_assets_tests.sources.alpha_vantage_answers import alpha_vantage, earnings, indicator, overview, quarter
from quant_assets_tests.sources.keyed import ALWAYS, asking, key_in, rows, says
from quant_assets_tests.sources.wire.ways import At

D = dt.date
VENDOR = "alpha_vantage"
no_key_gets_out = key_in("ALPHA_VANTAGE_KEY")


def delivered(folder: Path, reply: Reply, *tickers: str, window: Window = ALWAYS) -> pl.DataFrame:
    clock = At("2024-11-20T18:00")
    with asking(folder, in_turn(reply), VENDOR, clock) as (wire, _):
        return rows(AlphaVantageEarnings(wire), clock, *(tickers or ("IBM",)), window=window)


def test_a_quarter_is_known_from_the_end_of_its_day_or_from_the_opening_it_preceded(tmp_path: Path):
    told = earnings(
        quarter(),
        quarter("2024-03-31", "2024-04-24", "1.68", reportTime="pre-market"),
        quarter("2023-12-31", "2024-01-24", "3.87", reportTime="sometime"),
        quarter("2024-12-31", "2025-01-29", "None", reportTime="None"),
    )
    found = delivered(tmp_path, told).sort("announced").select("announced", "announced_when", "eps_actual", "known_at")
    utc = dt.UTC
    assert found.rows() == [
        (D(2024, 1, 24), None, 3.87, dt.datetime(2024, 1, 25, 5, tzinfo=utc)),
        (D(2024, 4, 24), "before_open", 1.68, dt.datetime(2024, 4, 24, 13, 30, tzinfo=utc)),
        (D(2024, 7, 24), "after_close", 2.43, dt.datetime(2024, 7, 25, 4, tzinfo=utc)),
        (D(2025, 1, 29), None, None, dt.datetime(2024, 11, 20, 23, tzinfo=utc)),  # to come: known when it was fetched
    ]


def test_none_and_a_dash_are_null_and_what_was_never_announced_is_no_row(tmp_path: Path):
    told = earnings(quarter(estimatedEPS="None"), quarter("2024-03-31", "2024-04-24", "-"), quarter("1996-03-31", "None", "None"))
    found = delivered(tmp_path, told).sort("announced")
    assert found.select("eps_estimate", "eps_actual").rows() == [(2.2, None), (None, 2.43)]


def test_a_window_holds_what_was_announced_in_it_and_one_request_serves_all(tmp_path: Path):
    clock = At("2024-11-20T18:00")
    told = earnings(quarter("2023-12-31", "2024-01-24"), quarter("2023-09-30", "2023-10-25"), quarter("2023-12-30", "2024-12-31"))
    with asking(tmp_path, in_turn(told), VENDOR, clock) as (wire, server):
        source = AlphaVantageEarnings(wire)
        assert rows(source, clock, "IBM", window=year_window(2023))["announced"].to_list() == [D(2023, 10, 25)]
        assert rows(source, clock, "IBM", window=year_window(2024))["announced"].to_list() == [D(2024, 1, 24), D(2024, 12, 31)]
        assert len(server.asked) == 1


def test_rows_told_twice_or_out_of_order_or_by_the_thousand_are_all_there_once(tmp_path: Path):
    days = [D(1990, 1, 1) + dt.timedelta(days=n) for n in range(10_000)]
    quarters = [quarter(f"{day}", f"{day}", f"{n}.5", extra=n) for n, day in enumerate(days)]
    found = delivered(tmp_path, earnings(*reversed(quarters), *quarters[:50]), window=Window(D.min, D.max)).sort("announced")
    assert found["announced"].to_list() == days
    assert found["eps_actual"].to_list() == [n + 0.5 for n in range(10_000)]


@pytest.mark.parametrize("ticker", ["BRK/B", "BRK.B", "^GSPC", "A B"])
def test_a_ticker_arrives_as_it_is_written(tmp_path: Path, ticker: str):
    clock = At("2024-11-20T18:00")
    with asking(tmp_path, alpha_vantage({("EARNINGS", ticker): earnings(quarter(), symbol=ticker.replace("/", "-"))}), VENDOR, clock) as (
        wire,
        _,
    ):
        assert rows(AlphaVantageEarnings(wire), clock, ticker)["ticker"].to_list() == [ticker]


REFUSALS: dict[str, tuple[Reply, type[SourceError], str, int]] = {
    "day spent": (av.told("Information", av.SPENT), SourceError, "today's requests are spent", 1),
    "day spent, as it said before": (av.told("Note", av.SPENT), SourceError, "today's requests are spent", 1),
    "too fast": (av.told("Information", av.TOO_FAST), SourceUnavailable, "more sparingly", 3),
    "a minute spent": (av.told("Note", "Our standard API call frequency is 5 calls per minute and 500 calls per day."), SourceUnavailable,
                       "5 calls per minute", 3),
    "premium": (av.told("Information", av.TOO_SMALL), NoData, "This is a premium endpoint", 1),
    "key": (av.told("Error Message", av.REFUSED), SourceError, "the key in ALPHA_VANTAGE_KEY was refused", 1),
    "demo": (av.told("Information", "The **demo** API key is for demo purposes only."), SourceError, "ALPHA_VANTAGE_KEY was refused", 1),
    "unknown name": (av.told("Error Message", av.UNKNOWN), NoData, "Invalid API call", 1),
    "nothing": (Reply("{}"), NoData, "IBM (EARNINGS): answered {}", 1),
    "other words": (av.told("Information", "Out for lunch"), SourceError, "Out for lunch", 1),
    "a list": (Reply("[]"), SourceError, "list where an object was expected", 1),
    "no quarters": (Reply('{"symbol": "IBM"}'), SourceError, "EARNINGS of IBM cannot be read (NoneType", 1),
    "another name": (earnings(quarter(), symbol="IBN"), SourceError, "it is about 'IBN'", 1),
    "no day": (earnings(quarter(reported=None)), SourceError, "reportedDate is None", 1),
    "text": (earnings(quarter(eps="two")), SourceError, "could not convert string to float: 'two'", 1),
    "not finite": (earnings(quarter(eps="nan")), SourceError, "nan is no number", 1),
    "no such day": (earnings(quarter(reported="2024-02-30")), SourceError, "reportedDate is '2024-02-30'", 1),
    "two on one day": (earnings(quarter(), quarter("2024-03-31")), SourceError, "occurs more than once", 1),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "kind", "words", "asked"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_it_refuses_or_changes_is_told_and_not_kept(tmp_path: Path, reply: Reply, kind: type[SourceError], words: str, asked: int):
    clock = At("2024-11-20T18:00")
    with asking(tmp_path, in_turn(reply), VENDOR, clock) as (wire, server):
        with pytest.raises(SourceError) as caught:
            rows(AlphaVantageEarnings(wire), clock, "IBM")
        assert type(caught.value) is kind
        text = says(caught.value)
        assert words in text
        assert "IBM" in text
        assert "EARNINGS" in text
        assert len(server.asked) == asked


def test_a_premium_function_says_what_to_do(tmp_path: Path):
    with pytest.raises(SourceError, match="do without it, or subscribe"):
        delivered(tmp_path, av.told("Information", av.TOO_SMALL))


def test_a_spent_day_is_asked_no_more_until_new_york_has_the_next(tmp_path: Path):
    clock = At("2024-11-20T18:00")
    with asking(tmp_path, in_turn(av.told("Information", av.SPENT), earnings(quarter())), VENDOR, clock) as (wire, server):
        source = AlphaVantageEarnings(wire)
        for _ in range(2):
            with pytest.raises(SourceError, match="2024-11-21 05:00 UTC"):
                source.fetch(["IBM"], ALWAYS)
        assert len(server.asked) == 1
        clock.ahead += 6 * 3600
        assert rows(source, clock, "IBM").height == 1


def test_a_day_has_25_requests_two_seconds_apart(tmp_path: Path):
    clock = At("2024-11-20T12:00")
    names = [f"T{n}" for n in range(26)]
    known = alpha_vantage({("EARNINGS", name): earnings(quarter(), symbol=name) for name in names})
    with asking(tmp_path, known, VENDOR, clock) as (wire, server):
        source = AlphaVantageEarnings(wire)
        source.fetch(names[:25], ALWAYS)
        assert clock.ahead > 40
        with pytest.raises(SourceError, match="budget of requests to alpha_vantage is spent"):
            source.fetch(names[25:], ALWAYS)
        assert len(server.asked) == 25
        assert source.fetch(names[:25], ALWAYS).shape[0] == 25  # from the cache


def test_a_key_refused_half_way_or_an_answer_that_does_not_end_leaves_nothing(tmp_path: Path):
    for name, fault in {"key": av.told("Error Message", av.REFUSED), "end": Reply('{"symbol": "IBN", "quarterly": [', cut=30)}.items():
        clock = At("2024-11-20T12:00")
        with asking(tmp_path / name, in_turn(earnings(quarter()), fault), VENDOR, clock) as (wire, _):
            with pytest.raises(SourceError, match="IBN") as caught:
                AlphaVantageEarnings(wire).fetch(["IBM", "IBN"], ALWAYS)
            says(caught.value)
            assert [row.symbol for row in wire.store.audit() if row.outcome == "ok"] == ["IBM (EARNINGS)"]


def test_without_a_key_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ALPHA_VANTAGE_KEY")
    clock = At("2024-11-20T12:00")
    with asking(tmp_path, in_turn(earnings()), VENDOR, clock) as (wire, server):
        for source in (AlphaVantageEarnings(wire), AlphaVantageOverview(wire)):
            with pytest.raises(SourceError, match="no key in ALPHA_VANTAGE_KEY"):
                source.fetch(["IBM"], ALWAYS)
        assert server.asked == []


def test_what_it_says_of_a_company_is_a_row_a_field_asked_once_a_week_and_of_today_only(tmp_path: Path):
    clock = At("2024-11-20T21:00")  # already tomorrow in UTC
    told = overview(PERatio="25.5", PEGRatio="None", Beta="-", CIK="51143", LatestQuarter="2024-09-30", Description="", New="Infinity")
    with asking(tmp_path, in_turn(told), VENDOR, clock) as (wire, server):
        source = AlphaVantageOverview(wire)
        assert source.offers(["IBM"]) == {"IBM": Window(D(2024, 11, 20), D(2024, 11, 21))}
        found = rows(source, clock, "IBM", window=year_window(2024))
        assert rows(source, clock, "IBM", window=year_window(2023)).is_empty()
        clock.ahead += 6 * 86_400
        assert rows(source, clock, "IBM", window=year_window(2024)).height == found.height
        assert len(server.asked) == 1
    figures = {field: (text, number) for field, text, number in found.select("field", "text", "number").iter_rows()}
    assert figures["PERatio"] == ("25.5", 25.5)
    assert figures["PEGRatio"] == ("None", None)
    assert figures["Beta"] == ("-", None)
    assert figures["LatestQuarter"] == ("2024-09-30", None)
    assert figures["Description"] == ("", None)
    assert figures["New"] == ("Infinity", None)
    assert len(figures) == 9
    assert set(found["observed"]) == {D(2024, 11, 20)}
    assert set(found["known_at"]) == {dt.datetime(2024, 11, 21, 2, tzinfo=dt.UTC)}
    TABLES["company_info"].conform(found)


def test_a_figure_that_is_no_text_is_told(tmp_path: Path):
    clock = At("2024-11-20T12:00")
    with (
        asking(tmp_path, in_turn(overview(EPS={"a": 1})), VENDOR, clock) as (wire, _),
        pytest.raises(SourceError, match="OVERVIEW of IBM cannot be read"),
    ):
        rows(AlphaVantageOverview(wire), clock, "IBM")


def wilder(closes: list[float]) -> list[float]:
    """RSI(14) by its definition (Wilder 1978), one step at a time; from the 15th close on."""
    changes = [after - before for before, after in pairwise(closes)]
    gain, loss = (sum(max(sign * change, 0) for change in changes[:14]) / 14 for sign in (1, -1))
    found = [100 * gain / (gain + loss)]
    for change in changes[14:]:
        gain, loss = (13 * gain + max(change, 0)) / 14, (13 * loss + max(-change, 0)) / 14
        found.append(100 * gain / (gain + loss))
    return found


def smoothed(values: list[float], n: int) -> list[float]:
    """Exponential average from the n-th value on, seeded with the mean of the first n."""
    found = [sum(values[:n]) / n]
    for value in values[n:]:
        found.append(found[-1] + 2 / (n + 1) * (value - found[-1]))
    return found


@pytest.mark.parametrize("name", ["RSI", "MACD"])
def test_its_indicators_agree_with_ours_to_its_rounding(tmp_path: Path, name: Indicator):
    """Its values made here, by the definitions, of closes adjusted backwards as vendors adjust them: our forward ones times a constant."""
    prices = bars("IBM", 500)
    growth = (prices["split_factor"] * (1 + prices["dividend"] / prices["close"])).cum_prod()
    closes = (prices["close"] * growth / growth[-1]).to_list()
    if name == "RSI":
        values = [{"RSI": f"{value:.4f}"} for value in wilder(closes)]
    else:
        fast, slow = smoothed(closes, 12), smoothed(closes, 26)
        macd = [a - b for a, b in zip(fast[14:], slow, strict=True)]
        signal = smoothed(macd, 9)
        values = [
            {"MACD": f"{m:.4f}", "MACD_Signal": f"{s:.4f}", "MACD_Hist": f"{m - s:.4f}"} for m, s in zip(macd[8:], signal, strict=True)
        ]
    days = [str(day) for day in prices["session"].to_list()[-len(values) :]]
    clock = At("2024-11-20T12:00")
    with asking(tmp_path, in_turn(indicator(name, dict(zip(days, values, strict=True)))), VENDOR, clock) as (wire, server):
        theirs = fetch(wire, name, "IBM")
        assert server.asked[0].params["interval"] == "daily"
    compared = compare_indicators(prices.lazy(), theirs)
    assert compared.height == (500 - WARM_UP_SESSIONS) * (1 if name == "RSI" else 2)
    assert compared["agrees"].all()
    wrong = compare_indicators(prices.lazy(), theirs.with_columns(theirs=pl.col("theirs") + 0.0002))
    assert not wrong["agrees"].any()


def test_an_indicator_of_a_plan_that_is_too_small_or_of_another_form_is_told(tmp_path: Path):
    for reply, words in ((av.told("Information", av.TOO_SMALL), "premium"), (Reply('{"Meta Data": {}}'), "MACD of IBM cannot be read")):
        clock = At("2024-11-20T12:00")
        with asking(tmp_path, in_turn(reply), VENDOR, clock) as (wire, _), pytest.raises(SourceError, match=words):
            fetch(wire, "MACD", "IBM")
