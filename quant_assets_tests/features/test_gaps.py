"""Every null is counted once, with a reason that is true of it."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_assets.features.catalog import CATALOG, OF_BARS
from quant_assets.features.compute import compute
from quant_assets.features.gaps import gaps, together
from quant_assets_tests.features.panels import adjusted_only, bars, tables

PANEL = tables() | {"prices": pl.concat([bars("AAA"), adjusted_only(bars("CCC"))])}


def explained(given: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    values = compute(given)
    return values, gaps(values, given)


def reasons(found: pl.DataFrame, ticker: str, feature: str) -> list[tuple[int, int, int, str]]:
    """(year, sessions, warm_up, reason) of each year."""
    rows = found.filter(ticker=ticker, feature=feature).sort("session")
    return list(rows.select(pl.col("session").dt.year(), "sessions", "warm_up", "reason").iter_rows())


def test_every_null_is_counted():
    values, found = explained(PANEL)
    nulls = {name: values[name].null_count() for name in OF_BARS if values[name].null_count()}
    counted = dict(found.group_by("feature").agg(pl.col("sessions").sum()).iter_rows())
    assert counted == nulls
    assert found["reason"].null_count() == 0
    assert found.select(pl.struct("ticker", "session", "feature").is_duplicated().any()).item() is False


def test_a_warm_up_says_how_long_it_is():
    _, found = explained(PANEL)
    assert reasons(found, "AAA", "ret_20") == [(2010, 20, 20, "needs 20 sessions before it")]
    lookback = CATALOG["momentum_12_1"].lookback
    assert reasons(found, "AAA", "momentum_12_1") == [
        (2010, 252, 252, f"needs {lookback} sessions before it"),
    ]


def test_a_field_that_a_name_never_had_is_named():
    _, found = explained(PANEL)
    assert {told[3] for told in reasons(found, "CCC", "atr_14_pct")} == {"prices has no high of CCC by then"}
    assert {told[3] for told in reasons(found, "CCC", "ema_9")} == {"prices has no raw price of CCC by then"}
    assert reasons(found, "AAA", "ema_9") == [(2010, 8, 8, "needs 8 sessions before it")]


def test_a_table_without_rows_is_named():
    """Without the index beta has no value, whatever its look-back says."""
    _, found = explained({"prices": bars("AAA"), "index_prices": PANEL["index_prices"].clear()})
    assert {told[3] for told in reasons(found, "AAA", "beta_60")} == {"index_prices has no sp500 by then"}


def test_a_rule_is_quoted_where_neither_warm_up_nor_input_is_missing():
    still = bars("AAA", actions=False).with_columns(close=pl.lit(10.0), open=pl.lit(10.0), high=pl.lit(10.0), low=pl.lit(10.0))
    _, found = explained(PANEL | {"prices": still})
    assert reasons(found, "AAA", "rsi_14")[1] == (2011, 252, 0, CATALOG["rsi_14"].missing)


@pytest.mark.parametrize("day", [dt.date(2010, 6, 1), dt.date(2011, 6, 1)])
def test_what_begins_later_is_missing_until_then(day: dt.date):
    index = PANEL["index_prices"].filter(pl.col("session") >= day)
    _, found = explained(PANEL | {"index_prices": index})
    told = {year: why for year, _, _, why in reasons(found, "AAA", "beta_60")}
    absent = [year for year, why in told.items() if why == "index_prices has no sp500 by then"]
    assert absent == ([] if day.year == 2010 else [2010])


def test_one_reason_of_several_names_is_said_once():
    rows = [
        ("A", "prices has no high of A by then", 3),
        ("B", "prices has no high of B by then", 4),
        ("B", "needs 3 sessions before it", 3),
    ]
    rows += [
        ("A", "needs 3 sessions before it", 3),
        ("D", "prices has no high of D by then", 1),
        ("C", "macro has nothing of C by then", 2),
    ]
    frame = pl.DataFrame(rows, schema=["ticker", "reason", "sessions"], orient="row").with_columns(feature=pl.lit("x"))
    assert together(frame).rows() == [
        ("x", "prices has no high of 3 names by then (A, B, ...)", 8),
        ("x", "needs 3 sessions before it", 6),
        ("x", "macro has nothing of C by then", 2),
    ]
