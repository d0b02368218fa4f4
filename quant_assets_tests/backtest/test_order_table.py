"""Orders as a table: in which order they are worked, which are refused, and whose accounts they are."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import fields

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest import engine
from quant_assets.backtest.orders import SCHEMA, Order, of_frame
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import FREE, QUIET, tape_of

TAPE = tape_of({name: [QUIET] * 4 for name in ("AAA", "BBB", "CCC")})
Row = tuple[dt.date, str, float, float]
COLUMNS = {"session": pl.Date, "ticker": pl.String, "priority": pl.Float64, "shares": pl.Float64}
SAME_NOW_AND_THEN = st.tuples(*(st.sampled_from(few) for few in (DAYS[:3], TAPE.tickers, [0.0, 1.0], [1.0, 2.0])))


def table(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


@settings(deadline=None)
@given(rows=st.lists(SAME_NOW_AND_THEN, max_size=12), by_name=st.booleans())
def test_orders_are_worked_by_priority_then_as_they_came_and_none_twice(rows: list[Row], by_name: bool):
    if any(n > 1 for n in Counter(rows).values()):
        with pytest.raises(BadArgument, match="is there twice"):
            of_frame(table(rows), TAPE, by_name=by_name)
        return
    records, ordered = of_frame(table(rows), TAPE, by_name=by_name)
    expected = sorted(rows, key=lambda row: (row[1] if by_name else "", row[0], -row[2], row[1]))
    assert ordered.select(list(COLUMNS)).rows() == expected
    told = [(DAYS[record["decided"]], TAPE.tickers[record["name"]], record["size"]) for record in records]
    assert told == [(session, ticker, shares) for session, ticker, _, shares in expected]


def test_a_column_that_is_left_out_is_its_default_in_every_row():
    rows = table([(DAYS[0], "AAA", 0.0, 1.0), (DAYS[1], "BBB", 0.0, -2.0)])
    defaults = {field.name: field.default for field in fields(Order) if field.name not in rows.columns}
    whole = rows.with_columns(pl.lit(value, dtype=SCHEMA[name]).alias(name) for name, value in defaults.items())
    records, _ = of_frame(rows, TAPE, by_name=False)
    assert records.tobytes() == of_frame(whole, TAPE, by_name=False)[0].tobytes()
    assert len(records) == 2
    assert np.isnan(records["limit"]).all()


def test_orders_that_say_no_size_are_refused_by_the_first_of_them():
    rows = table([(DAYS[0], "AAA", 0.0, 1.0), (DAYS[1], "BBB", 0.0, 1.0)]).drop("shares")
    with pytest.raises(BadArgument, match=f"AAA {DAYS[0]} says how much not at all"):
        of_frame(rows, TAPE, by_name=False)


def test_each_account_has_the_sessions_from_its_own_start_on():
    starts = {"AAA": DAYS[1], "CCC": DAYS[3]}
    done = engine.run(TAPE, table([(DAYS[1], "AAA", 0.0, 1.0)]), by_name=True, starts=starts, costs=FREE)
    kept = done.equity.select("account", "session").rows()
    assert kept == [("AAA", day) for day in DAYS[1:4]] + [("CCC", DAYS[3])]
    assert done.equity["entries"].to_list() == [0, 1, 1, 0]
    assert engine.run(TAPE, table([]), by_name=True, starts={}, costs=FREE).equity.is_empty()


def test_an_order_for_a_name_without_an_account_is_refused():
    with pytest.raises(BadArgument, match="orders for BBB, which has no account"):
        engine.run(TAPE, table([(DAYS[0], "BBB", 0.0, 1.0)]), by_name=True, starts={"AAA": DAYS[0]})


def test_starts_without_accounts_by_name_are_refused():
    with pytest.raises(BadArgument, match="starts are of accounts by name"):
        engine.run(TAPE, table([]), costs=FREE, starts={"AAA": DAYS[1]})
