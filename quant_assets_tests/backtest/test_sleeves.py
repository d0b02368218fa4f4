"""Strategies side by side: what each sleeve does to the whole, and which accounts do not go together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.backtest.sleeves import together
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS

WEALTH = st.lists(st.floats(1.0, 1e6), min_size=4, max_size=4)


def account(*equity: float, invested: float = 0.5) -> pl.DataFrame:
    n = len(equity)
    return pl.DataFrame({"session": DAYS[:n], "equity": equity}).with_columns(
        cash=pl.col("equity") * (1 - invested),
        position=pl.col("equity") * invested,
        entries=pl.int_range(n),
        exits=pl.lit(1),
        costs=pl.int_range(n) * 2.0,
    )


def test_two_sleeves_by_hand():
    accounts = {"slow": account(100.0, 110.0, 121.0), "fast": account(300.0, 150.0, 300.0, invested=1.0)}
    found = together(accounts, {"slow": 0.75, "fast": 0.25})
    # 400 in all: 300 for the first, three times its account; 100 for the second, a third of its.
    assert found.to_dict(as_series=False) == {
        "session": DAYS[:3],
        "equity": pytest.approx([400.0, 380.0, 463.0]),
        "cash": pytest.approx([150.0, 165.0, 181.5]),
        "position": pytest.approx([250.0, 215.0, 281.5]),
        "entries": [0, 2, 4],
        "exits": [2, 2, 2],
        "costs": pytest.approx([0.0, 2 * 3 + 2 / 3, 4 * 3 + 4 / 3]),
    }


def test_accounts_run_with_their_share_are_added_to_the_cent():
    a, b = account(7_000.0, 7_100.37, 6_900.11), account(3_000.0, 2_950.01, 3_333.33)
    found = together({"a": a, "b": b}, {"a": 0.7, "b": 0.3})
    assert found["equity"].to_list() == pytest.approx((a["equity"] + b["equity"]).to_list(), abs=1e-9)


@given(WEALTH, WEALTH, st.floats(0.01, 0.99))
def test_the_whole_is_its_sleeves_and_none_is_rebalanced(first: list[float], second: list[float], weight: float):
    found = together({"a": account(*first), "b": account(*second, invested=-0.3)}, {"a": weight, "b": 1 - weight})
    growth = weight * np.array(first) / first[0] + (1 - weight) * np.array(second) / second[0]
    np.testing.assert_allclose(found["equity"] / (first[0] + second[0]), growth, rtol=1e-9)
    np.testing.assert_allclose(found["cash"] + found["position"], found["equity"], rtol=1e-9)


def test_rows_may_come_in_any_order():
    a, b = account(100.0, 90.0, 120.0), account(50.0, 60.0, 70.0)
    weights = {"a": 0.4, "b": 0.6}
    assert together({"a": a.reverse(), "b": b}, weights).equals(together({"a": a, "b": b}, weights))


A, B = account(100.0, 90.0, 120.0), account(50.0, 60.0, 70.0)
HALVES = {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("accounts", "weights", "message"),
    [
        ({"a": A, "b": B.head(1).vstack(B.tail(1))}, HALVES, f"a and b differ in sessions, first in {DAYS[1]}"),
        ({"a": A.tail(2), "b": B}, HALVES, f"a and b differ in sessions, first in {DAYS[0]}"),
        ({"a": A, "b": B.vstack(B.tail(1))}, HALVES, f"b has {DAYS[2]} more than once"),
        ({"a": A.vstack(A.tail(1)), "b": B}, HALVES, f"a has {DAYS[2]} more than once"),
        ({"a": A, "b": B.clear()}, HALVES, "b has 0 sessions"),
        ({"a": A, "b": B.drop("costs")}, HALVES, "no column costs"),
        ({"a": A, "b": B}, {"a": 1.0}, "weights are of a, accounts of a, b"),
        ({"a": A, "b": B}, {"a": 0.5, "b": 0.6}, "are 1.1 together"),
        ({"a": A, "b": B}, {"a": 1.5, "b": -0.5}, "each above 0"),
        ({"a": A, "b": B.with_columns(equity=pl.lit(0.0))}, HALVES, "b begins with 0.00"),
        ({}, {}, "are 0 together"),
    ],
)
def test_what_does_not_go_together(accounts: dict[str, pl.DataFrame], weights: dict[str, float], message: str):
    with pytest.raises(BadArgument, match=message):
        together(accounts, weights)
