"""Joins that give a bar what was known at its close: to the second, by the version, and never later."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import session_close
from quant_assets.features.known import last_known
from quant_assets_tests.features.panels import SESSIONS

DAYS = SESSIONS[:5]
UTC = pl.Datetime("us", "UTC")


def bars(*tickers: str) -> pl.LazyFrame:
    rows = [(ticker, day, session_close(day)) for ticker in tickers for day in DAYS]
    return pl.LazyFrame(rows, schema={"ticker": pl.String, "session": pl.Date, "close_at": UTC}, orient="row")


def told(rows: list[tuple[str | None, dt.datetime, float | None]]) -> pl.LazyFrame:
    frame = pl.LazyFrame(rows, schema={"ticker": pl.String, "known_at": UTC, "value": pl.Float64}, orient="row")
    return frame if rows and rows[0][0] else frame.drop("ticker")


def test_a_second_after_the_close_is_too_late():
    at_close, after = session_close(DAYS[1]), session_close(DAYS[2]) + dt.timedelta(seconds=1)
    out = last_known(bars("A", "B"), told([("A", after, 2.0), ("A", at_close, 1.0)]), ["value"]).collect()
    assert out.filter(ticker="A")["value"].to_list() == [None, 1.0, 1.0, 2.0, 2.0]
    assert out.filter(ticker="B")["value"].null_count() == len(DAYS)


def test_of_all_names_at_once():
    out = last_known(bars("A", "B"), told([(None, session_close(DAYS[3]), 7.0)]), ["value"]).collect()
    assert out["value"].to_list() == [None, None, None, 7.0, 7.0] * 2
    assert out["ticker"].to_list() == ["A"] * 5 + ["B"] * 5


def test_of_two_told_at_once_the_later_row_counts_and_a_null_is_a_value():
    at = session_close(DAYS[0])
    out = last_known(bars("A"), told([("A", at, 1.0), ("A", at, 2.0), ("A", session_close(DAYS[2]), None)]), ["value"]).collect()
    assert out["value"].to_list() == [2.0, 2.0, None, None, None]


def test_nothing_told_is_null():
    out = last_known(bars("A"), told([("A", session_close(DAYS[0]), 1.0)]).clear(), ["value"]).collect()
    assert out["value"].null_count() == len(DAYS)
