from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import session_offset
from quant_assets.errors import BadArgument
from quant_assets.labels.trend_scanning import trend_scanning_labels
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import CALENDAR, hand_made

HALTED = SESSIONS[50:52]
PRICES = pl.concat([bars("AAA", 80), bars("BBB", 80).filter(~pl.col("session").is_in(HALTED))])
LAST = SESSIONS[75]


def scanned(prices: pl.DataFrame = PRICES, **options: object) -> pl.DataFrame:
    return trend_scanning_labels(prices.lazy(), CALENDAR, **{"as_of": LAST, "shortest": 5, "longest": 9} | options)


def t_value(y: npt.NDArray[np.float64]) -> float:
    """As a textbook writes it, by matrices."""
    x = np.column_stack((np.ones(y.size), np.arange(y.size)))
    beta = np.linalg.solve(x.T @ x, x.T @ y)
    residual = y - x @ beta
    covariance = residual @ residual / (y.size - 2) * np.linalg.inv(x.T @ x)
    return float(beta[1] / np.sqrt(covariance[1, 1]))


def test_against_a_loop():
    adjusted = forward_adjusted(PRICES.lazy()).collect()
    expected = []
    for _, frame in adjusted.group_by("ticker", maintain_order=True):
        close = dict(frame.filter(pl.col("session") <= LAST).select("session", "adj_close").iter_rows())
        for start in close:
            days = [session_offset(start, ahead) for ahead in range(10)]
            if any(day not in close for day in days):
                expected.append((None, None, None))
                continue
            trends = {ahead: t_value(np.array([close[day] for day in days[: ahead + 1]])) for ahead in range(5, 10)}
            best = max(trends, key=lambda ahead: abs(trends[ahead]))
            expected.append((pytest.approx(trends[best], rel=1e-8), days[best], pytest.approx(close[days[best]] / close[start] - 1)))
    out = scanned()
    assert out.select("t_value", "trend_end", "ret").rows() == expected
    assert out["label"].to_list() == [None if t is None else int(np.sign(t)) for t in out["t_value"]]
    assert out["trend_end"].null_count() == 2 * 9 + 9


def test_the_span_ends_with_the_longest_trend_scanned_not_with_the_chosen_one():
    out = scanned().drop_nulls()
    assert out["label_end"].to_list() == [session_offset(start, 9) for start in out["label_start"]]
    assert (out["trend_end"] < out["label_end"]).any()
    assert (out["trend_end"] <= out["label_end"]).all()


def test_a_straight_line_is_certain_and_no_movement_is_no_trend():
    closes = [10.0] * 12 + [10.0 + 0.5 * step for step in range(1, 11)]
    out = scanned(hand_made(dict(zip(SESSIONS, closes, strict=False))), as_of=SESSIONS[len(closes) - 1])
    still, straight = out.row(0, named=True), out.row(11, named=True)
    assert (still["label"], still["t_value"], still["trend_end"], still["ret"]) == (None, None, None, None)
    assert (straight["label"], straight["t_value"], straight["trend_end"]) == (1, np.inf, SESSIONS[16])


@pytest.mark.parametrize("slope", [0.1, -0.3, 0.007])
def test_rounding_makes_no_line_less_straight_and_a_bent_one_is_not_straight(slope: float):
    line = [10 + slope * step for step in range(10)]
    bent = [close * (1 + 1e-5 * (-1) ** step) for step, close in enumerate(line)]
    found = [scanned(hand_made(dict(zip(SESSIONS, closes, strict=False))))["t_value"][0] for closes in (line, bent)]
    expected = max((t_value(np.array(bent[: ahead + 1])) for ahead in range(5, 10)), key=abs)
    assert found == [np.copysign(np.inf, slope), pytest.approx(expected, rel=1e-6)]


@settings(max_examples=15, derandomize=True)
@given(t=st.integers(12, 78))
def test_a_label_is_null_until_its_end_and_constant_from_then_on(t: int):
    as_of = SESSIONS[t]
    nonsense = PRICES.with_columns(pl.when(pl.col("session") > as_of).then(-1.0).otherwise(pl.col("close")).alias("close"))
    early, late = scanned(nonsense, as_of=as_of), scanned(as_of=SESSIONS[79])
    assert early.filter(pl.col("label_end") > as_of)["label"].null_count() == early.filter(pl.col("label_end") > as_of).height
    ended = late.filter(pl.col("label_end") <= as_of)
    assert_frame_equal(early.filter(pl.col("label_end") <= as_of), ended, check_exact=True)


@pytest.mark.parametrize(("shortest", "longest"), [(1, 5), (6, 5)])
def test_impossible_trends_are_refused(shortest: int, longest: int):
    with pytest.raises(BadArgument, match=f"trends of {shortest} to {longest} sessions cannot be scanned"):
        scanned(shortest=shortest, longest=longest)
