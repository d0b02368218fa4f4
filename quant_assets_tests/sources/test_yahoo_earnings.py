"""Yahoo's earnings calendar by the real yfinance over real sockets: whose, when, and since when it was known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.yahoo_earnings import A_PAGE, YahooEarnings
from quant_assets_tests.replay import Asked, Reply, in_turn
from quant_assets_tests.replay_yahoo import NEW_YORK
from quant_assets_tests.sources.yahoo_answers import ALWAYS, CALENDAR, Announced, announcement, asking, calendar, page, told

D = dt.date
NIGHT = "2025-10-30T18:00"
ROWS = [
    announcement(D(2026, 1, 29), 16, 2.65),
    announcement(D(2025, 10, 30), 16, 1.77, 1.85),
    announcement(D(2025, 7, 31), 8, 1.43, 1.57),
    announcement(D(2025, 5, 1), 12, None, 1.65),
    announcement(D(2025, 1, 30), 0, 2.34),
]


def decades(count: int) -> list[Announced]:
    """A quarter each, back in time."""
    return [announcement(D(2025, 10, 30) - dt.timedelta(days=91 * quarter), 16, 1.0, 1.0 + quarter / 1000) for quarter in range(count)]


def test_announcements_done_and_to_come(tmp_path: Path):
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", ROWS)}) as yahoo:
        found = yahoo.rows("AAPL")
        now = yahoo.clock.now()
        assert yahoo.paths == [CALENDAR]  # without a crumb
    assert found.select("announced", "announced_when", "eps_estimate", "eps_actual").rows() == [
        (D(2026, 1, 29), "after_close", 2.65, None),
        (D(2025, 10, 30), "after_close", 1.77, 1.85),
        (D(2025, 7, 31), "before_open", 1.43, 1.57),
        (D(2025, 5, 1), "in_session", None, 1.65),
        (D(2025, 1, 30), None, 2.34, None),
    ]
    ends = [dt.datetime(*day, tzinfo=NEW_YORK).astimezone(dt.UTC) for day in ((2025, 10, 31), (2025, 8, 1), (2025, 5, 2))]
    assert found["known_at"].to_list() == [now, *ends, now]
    silent = ["period_end", "fiscal_year", "fiscal_quarter", "revenue_estimate", "revenue_actual"]
    assert found.select(silent).null_count().rows() == [(5,) * 5]


def test_only_the_window_is_delivered(tmp_path: Path):
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", ROWS)}) as yahoo:
        assert yahoo.rows("AAPL", window=Window(D(2025, 7, 31), D(2026, 1, 29)))["announced"].to_list() == [D(2025, 10, 30), D(2025, 7, 31)]


def test_every_page_is_read_as_far_back_as_the_window(tmp_path: Path):
    rows = decades(250)
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", rows)}) as yahoo:
        found = yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max))
        assert found["eps_actual"].to_list() == pytest.approx([1.0 + quarter / 1000 for quarter in range(250)], abs=0.0051)
        assert [asked.params["offset"] for asked in yahoo.server.asked] == ["0", "100", "200"]
        yahoo.rows("AAPL", window=Window(D(2020, 1, 1), dt.date.max))
        assert len(yahoo.server.asked) == 3  # all of it from the cache, and only the first page at that


def test_a_calendar_that_fills_its_last_page_ends_there(tmp_path: Path):
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", decades(A_PAGE))}) as yahoo:
        assert yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max)).height == A_PAGE


def test_a_page_that_comes_twice_is_an_error_and_no_end(tmp_path: Path):
    whole = calendar("AAPL", decades(250))

    def stuck(asked: Asked) -> Reply:
        return whole(replace(asked, params=asked.params | {"offset": "0"}))

    with (
        asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: stuck}) as yahoo,
        pytest.raises(SourceError, match="the same earnings of AAPL from the 101th on as from the 1th on"),
    ):
        yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max))


def test_rows_that_moved_to_the_next_page_meanwhile_are_one(tmp_path: Path):
    """A new announcement at the top pushes the last row of a page onto the next."""
    rows = decades(150)
    sooner, later = calendar("AAPL", rows), calendar("AAPL", [announcement(D(2026, 1, 29), 16, 2.0), *rows])
    answers = [sooner, later]
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: lambda asked: answers.pop(0)(asked)}) as yahoo:
        assert yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max)).height == 150


def test_a_time_out_on_the_second_page_gives_no_half_history(tmp_path: Path):
    whole = calendar("AAPL", decades(250))

    def slow(asked: Asked) -> Reply:
        return replace(whole(asked), sleep=3.0 if asked.params["offset"] == "100" else 0.0)

    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: slow}) as yahoo:
        yahoo.source.policy = replace(yahoo.source.policy, limits=Limits(connect=0.5, read=1.0, total=1.0), attempts=1)
        with pytest.raises(SourceUnavailable, match="AAPL: did not answer in time"):
            yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max))


def test_rows_of_one_day_are_one_announcement(tmp_path: Path):
    """Yahoo lists the report and the call about it, out of order, and some twice."""
    rows = [
        announcement(D(2025, 7, 31), 17),
        announcement(D(2025, 10, 30), 16, 1.77, 1.85),
        announcement(D(2025, 7, 31), 16, 1.43, 1.57),
        announcement(D(2025, 10, 30), 16, 1.77, 1.85),
        announcement(D(2025, 5, 1), 6, 1.6, 1.65),
        announcement(D(2025, 5, 1), 16, 1.6, 1.65),
    ]
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", rows)}) as yahoo:
        found = yahoo.rows("AAPL").sort("announced", descending=True)
    assert found.select("announced", "announced_when", "eps_actual").rows() == [
        (D(2025, 10, 30), "after_close", 1.85),
        (D(2025, 7, 31), "after_close", 1.57),
        (D(2025, 5, 1), None, 1.65),
    ]


def test_earnings_of_one_day_that_contradict_each_other_are_an_error(tmp_path: Path):
    rows = [announcement(D(2025, 7, 31), 16, 1.43, 1.57), announcement(D(2025, 7, 31), 16, 1.43, 0.39)]
    with (
        asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", rows)}) as yahoo,
        pytest.raises(SourceError, match=r"earnings of AAPL cannot be read \(several of 2025-07-31: .*\[1.57, 0.39\]"),
    ):
        yahoo.rows("AAPL")


def test_a_row_without_a_date_moves_no_other_to_a_wrong_one(tmp_path: Path):
    """yfinance gives the row after it the date of the one after that."""
    rows = [ROWS[0], ("-", "-", "-", "-"), *ROWS[1:]]
    with (
        asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", rows)}) as yahoo,
        pytest.raises(SourceError, match=r"earnings calendar of AAPL cannot be read .*a row has no date"),
    ):
        yahoo.rows("AAPL")


TABLE = "<table><thead><tr><th>{}</th><th>Company</th><th>{}</th></tr></thead><tr><td>{}</td><td>Apple</td><td>Some day</td></tr></table>"


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (page("<h1>Earnings Calendar</h1><p>Nothing</p>"), NoData, "AAPL: the calendar holds no earnings"),
        (page("<h1>Before you continue</h1>"), SourceError, "AAPL: answered another page than the earnings calendar"),
        (page("<table></table>"), SourceError, "AAPL: answered a calendar whose table cannot be read"),
        (page(TABLE.format("Symbol", "Earnings Date", "FORTY")), SourceError, "AAPL: is about FORTY"),
        (page(TABLE.format("Ticker", "Earnings Date", "AAPL")), SourceError, "AAPL: the calendar's table has no symbols"),
        (page(TABLE.format("Symbol", "Earnings Call Time", "AAPL")), SourceError, "AAPL cannot be read (KeyError"),
        (page(TABLE.format("Symbol", "Earnings Date", "AAPL")), SourceError, "AAPL cannot be read"),
        (Reply("<html><body><table><tr>", content_type="text/html"), SourceUnavailable, "AAPL: answered a page that breaks off"),
        (Reply("", content_type="text/html"), SourceUnavailable, "AAPL: answered a page that breaks off"),
        (told("finance", None, {"code": "Bad Request", "description": "no"}, 400), SourceError, "AAPL: answered 400"),
        (Reply("<html>gone</html>", 404, "text/html"), SourceError, "AAPL: answered 404"),
    ],
)
def test_what_is_no_calendar_is_told_with_the_name(tmp_path: Path, reply: Reply, kind: type[SourceError], said: str):
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: in_turn(reply)}) as yahoo:
        with pytest.raises(kind) as failure:
            yahoo.rows("AAPL")
        assert type(failure.value) is kind
        assert said in str(failure.value)


@pytest.mark.parametrize(
    "row",
    [
        ("October 30, 2025 at 9:30 AM EDT", "1", "2", "-"),
        ("October 30, 2025 at 9 AM LMT", "1", "2", "-"),
        ("November 2, 2025 at 1 AM EST", "1", "2", "-"),  # an hour that day has twice
        ("October 30, 2025 at 9 AM EDT", "one", "2", "-"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_the_name(tmp_path: Path, row: Any):
    with (
        asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", [*ROWS[1:3], row])}) as yahoo,
        pytest.raises(SourceError, match="AAPL cannot be read"),
    ):
        yahoo.rows("AAPL")


def test_a_column_of_another_name_is_told_and_not_taken_for_none(tmp_path: Path):
    def renamed(asked: Asked) -> Reply:
        reply = calendar("AAPL", ROWS)(asked)
        return replace(reply, body=str(reply.body).replace("Reported EPS", "Actual EPS"))

    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: renamed}) as yahoo, pytest.raises(SourceError, match="no Reported EPS but"):
        yahoo.rows("AAPL")


def test_a_refused_page_is_asked_for_with_a_crumb_once_and_not_for_ever(tmp_path: Path):
    with (
        asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: lambda asked: Reply("Forbidden", 403, "text/html")}) as yahoo,
        pytest.raises(SourceError, match="yahoo /calendar/earnings for AAPL refused the request: answered 403 Forbidden"),
    ):
        yahoo.rows("AAPL")
    assert yahoo.paths == [CALENDAR, "/", "/v1/test/getcrumb", CALENDAR]


def test_names_are_yahoos_on_the_way_and_ours_in_the_rows(tmp_path: Path):
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("BRK-B", ROWS)}) as yahoo:
        found = yahoo.rows("BRK.B", "BRK/B", window=ALWAYS)
        assert found.group_by("ticker").len().sort("ticker").rows() == [("BRK.B", 5), ("BRK/B", 5)]
        assert {asked.params["symbol"] for asked in yahoo.server.asked} == {"BRK-B"}
        assert {row.symbol for row in yahoo.wire.store.audit("yahoo")} == {"BRK-B"}


def test_a_thousand_announcements(tmp_path: Path):
    rows = [announcement(D(2025, 10, 30) - dt.timedelta(days=day), 16, 1.0, 1.1) for day in range(1000)]
    with asking(YahooEarnings, tmp_path, NIGHT, {CALENDAR: calendar("AAPL", rows)}) as yahoo:
        found = yahoo.rows("AAPL", window=Window(D(1900, 1, 1), dt.date.max))
    assert found["announced"].n_unique() == 1000
    assert found.select(
        pl.col("known_at").is_between(dt.datetime(2023, 1, 1, tzinfo=dt.UTC), yahoo.clock.now() + dt.timedelta(1)).all()
    ).item()
