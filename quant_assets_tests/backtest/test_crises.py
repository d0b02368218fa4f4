"""The dates of the crises against the S&P 500 itself, and an account's way through them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest.crises import crises, through
from quant_assets.backtest.track import Track
from quant_assets.calendars import is_session
from quant_assets.schemas import TABLES
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets_tests.small import FETCHED_AT

NO_TRADES = pl.DataFrame(schema=TABLES["trades"].schema)


@pytest.fixture(scope="module")
def sp500() -> pl.DataFrame:
    """session, close from 1999 to 2018."""
    index = ArchIndices()
    raw = index.fetch(["sp500"], index.offers(["sp500"])["sp500"])
    return index.normalise(raw, fetched_at=FETCHED_AT).select("session", "close").sort("session")


def track(sessions: pl.Series, wealth: pl.Series, benchmark: pl.Series | None = None) -> Track:
    equity = pl.DataFrame({"session": sessions, "equity": wealth}).with_columns(
        position=pl.col("equity"), entries=pl.lit(1), costs=pl.lit(0.0)
    )
    beside = None if benchmark is None else pl.DataFrame({"session": sessions, "wealth": benchmark})
    return Track.of(equity, NO_TRADES, beside)


def test_each_has_sessions_in_order_and_a_source():
    table = crises()
    assert table["name"].is_unique().all()
    assert table["start"].is_sorted()
    assert (table["start"] < table["end"]).all()
    assert all(is_session(day) for name in ("start", "end") for day in table[name])
    assert table["source"].str.starts_with("http").all()


def test_each_runs_from_the_highest_to_the_lowest_close(sp500: pl.DataFrame):
    inside = crises().filter(pl.col("end") <= sp500["session"].max())
    assert inside.height == 7
    for start, end in inside.select("start", "end").iter_rows():
        closes = sp500.filter(pl.col("session").is_between(start, end)).sort("close")
        assert (closes["session"][-1], closes["session"][0]) == (start, end)


@pytest.mark.parametrize(
    ("name", "fall"),
    [
        ("Dot-com fall", -0.491),
        ("Financial crisis", -0.568),
        ("Euro crisis and US downgrade", -0.194),
        ("Volatility shock", -0.102),
        ("Fourth quarter of 2018", -0.198),
    ],
)
def test_the_index_fell_as_its_sources_say(sp500: pl.DataFrame, name: str, fall: float):
    found = through(track(sp500["session"], sp500["close"])).filter(pl.col("name") == name)
    assert found["ret"].item() == pytest.approx(fall, abs=0.0006)
    assert found["max_drawdown"].item() == pytest.approx(found["ret"].item())  # from the highest close to the lowest


def test_an_account_beside_its_benchmark(sp500: pl.DataFrame):
    days, closes = sp500["session"], sp500["close"]
    # Half in cash, half in the index, and nothing moved: less is lost.
    half = closes + closes.filter(days == dt.date(2000, 3, 24)).item()
    found = through(track(days, half, closes))
    for row in found.filter("reached").iter_rows(named=True):
        during = days.is_between(row["start"], row["end"])
        own, index = half.filter(during).to_numpy(), closes.filter(during).to_numpy()
        assert row["ret"] == pytest.approx(own[-1] / own[0] - 1)
        assert row["benchmark_ret"] == pytest.approx(index[-1] / index[0] - 1)
        assert row["max_drawdown"] == pytest.approx((own / np.maximum.accumulate(own)).min() - 1)
        assert row["benchmark_ret"] < row["ret"] < 0
        assert row["reason"] is None


def test_where_the_account_does_not_reach_there_is_a_reason_and_no_number(sp500: pl.DataFrame):
    part = sp500.filter(pl.col("session").is_between(dt.date(2007, 10, 10), dt.date(2018, 2, 8)))
    found = through(track(part["session"], part["close"], part["close"]))
    assert found.height == crises().height
    assert found.filter("reached")["name"].to_list() == [
        "Flash crash",
        "Euro crisis and US downgrade",
        "China devaluation",
        "Volatility shock",
    ]
    rest = found.filter(~pl.col("reached"))
    assert set(rest["reason"]) == {"the account runs from 2007-10-10 to 2018-02-08"}
    assert rest.select("ret", "benchmark_ret", "max_drawdown").null_count().sum_horizontal().item() == 3 * rest.height


def test_without_a_benchmark_there_is_no_return_of_it(sp500: pl.DataFrame):
    assert through(track(sp500["session"], sp500["close"]))["benchmark_ret"].null_count() == crises().height
