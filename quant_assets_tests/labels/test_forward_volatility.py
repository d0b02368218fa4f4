from __future__ import annotations

import datetime as dt
import itertools
import math

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_offset
from quant_assets.errors import BadArgument
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.labels.forward_volatility import forward_volatility_labels
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import CALENDAR, hand_made

PRICES = pl.concat([bars("AAA", 80), bars("CCC", 80).sample(fraction=0.9, seed=5)])
LAST = SESSIONS[75]


def naive(prices: pl.DataFrame, horizon: int, as_of: dt.date) -> list[float | None]:
    expected: list[float | None] = []
    for _, frame in prices.sort("ticker", "session").group_by("ticker", maintain_order=True):
        by_day = {row["session"]: row for row in frame.to_dicts() if row["session"] <= as_of}
        for start in by_day:
            days = [session_offset(start, step) for step in range(horizon + 1)]
            if any(day not in by_day for day in days):
                expected.append(None)
                continue
            squares = 0.0
            for before, day in itertools.pairwise(days):
                now = by_day[day]
                squares += math.log((now["close"] + now["dividend"]) * now["split_factor"] / by_day[before]["close"]) ** 2
            expected.append(math.sqrt(252 * squares / horizon))
    return expected


@pytest.mark.parametrize("horizon", [1, 5])
def test_against_a_loop(horizon: int):
    out = forward_volatility_labels(PRICES.lazy(), CALENDAR, horizon=horizon, as_of=LAST)
    expected = naive(PRICES, horizon, LAST)
    assert out["label"].to_list() == [None if one is None else pytest.approx(one, rel=1e-9) for one in expected]
    assert expected.count(None) > 2 * horizon
    spans = ("ticker", "session", "label_start", "label_end")
    returns = forward_return_labels(PRICES.lazy(), CALENDAR, horizon=horizon, as_of=LAST)
    assert_frame_equal(out.select(spans), returns.select(spans))
    there = out["label"].is_not_null()
    assert_frame_equal(out.filter(there).select("ret"), returns.filter(there).select("ret"))


def test_one_session_has_a_volatility_and_a_split_has_none():
    days = SESSIONS[:3]
    tape = hand_made(dict(zip(days, [10.0, 5.0, 5.5], strict=True)), split_factor={days[1]: 2.0})
    out = forward_volatility_labels(tape.lazy(), CALENDAR, horizon=1, as_of=days[2])
    assert out["label"].to_list() == [0.0, pytest.approx(math.log(1.1) * math.sqrt(252)), None]
    assert out["label_end"].to_list() == SESSIONS[1:4]


def test_a_window_is_its_part_of_the_whole():
    window = Window(SESSIONS[20], SESSIONS[40])
    whole = forward_volatility_labels(PRICES.lazy(), CALENDAR, horizon=3, as_of=LAST)
    part = forward_volatility_labels(PRICES.lazy(), CALENDAR, horizon=3, as_of=LAST, window=window)
    assert_frame_equal(part, whole.filter(pl.col("session").is_between(window.start, window.end, closed="left")), check_exact=True)


def test_nothing_after_as_of_is_read():
    nonsense = PRICES.with_columns(pl.when(pl.col("session") > LAST).then(-1.0).otherwise(pl.col("split_factor")).alias("split_factor"))
    known = forward_volatility_labels(PRICES.filter(pl.col("session") <= LAST).lazy(), CALENDAR, horizon=3, as_of=LAST)
    assert_frame_equal(forward_volatility_labels(nonsense.lazy(), CALENDAR, horizon=3, as_of=LAST), known, check_exact=True)


def test_no_horizon_is_refused():
    with pytest.raises(BadArgument, match="horizon 0 is below 1 session"):
        forward_volatility_labels(PRICES.lazy(), CALENDAR, horizon=0, as_of=LAST)
