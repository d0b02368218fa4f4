"""Published weights, and loops that anybody can read."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_assets.features.compute import compute
from quant_assets.features.stationary import (
    FEATURES,
    fractional_difference,
    fractional_log_close,
    fractional_weights,
    robust_scaled,
    time_rank,
    zscore,
)
from quant_assets_tests.features.panels import bars, evaluated, tables

GOLDEN = Path(__file__).parent.parent / "golden"
WEIGHTS = {case["id"]: case for case in json.loads((GOLDEN / "fractional_weights.json").read_text())["cases"]}
NAMES = tuple(feature.name for feature in FEATURES)


def evaluate(values: list[float | None], expression: pl.Expr) -> list[float | None]:
    return evaluated(pl.DataFrame({"x": values}, schema={"x": pl.Float64}), expression.fill_nan(None).alias("out")).to_series().to_list()


@pytest.mark.parametrize("case", WEIGHTS)
def test_published_weights(case: str):
    d, size = WEIGHTS[case]["inputs"]["d"], WEIGHTS[case]["inputs"]["size"]
    expected = WEIGHTS[case]["expected"]["weights"]
    assert fractional_weights(d, size) == pytest.approx(expected, abs=WEIGHTS[case]["tolerance"]["abs"])
    impulse = [0.0] * (size - 1) + [1.0] + [0.0] * (size - 1)
    assert evaluate(impulse, fractional_difference(pl.col("x"), d, size))[size - 1 :] == pytest.approx(expected, abs=1e-14)


def test_whole_orders_are_plain_differences_and_a_hole_passes():
    values = [3.0, 5.0, 4.0, None, 1.0, 7.0, 2.0, 2.5]
    assert evaluate(values, fractional_difference(pl.col("x"), 1.0, 2)) == [None, 2, -1, None, None, 6, -5, 0.5]
    assert evaluate(values, fractional_difference(pl.col("x"), 2.0, 3)) == [None, None, -3, None, None, None, -11, 5.5]
    assert evaluate(values, fractional_difference(pl.col("x"), 0.0, 2)) == [None, 5, 4, None, None, 7, 2, 2.5]


def test_fractional_log_close_is_order_04_with_the_rest_on_the_oldest_close():
    """Computed from returns, defined on prices: both sums agree, and the weight on the oldest close is all that lies beyond."""
    close = bars("AAA", 300, actions=False)["close"].to_list()
    weights = fractional_weights(0.4, 252)
    beyond = -sum(weights)
    assert beyond == pytest.approx(sum(fractional_weights(0.4, 400_000)[252:]), rel=0.06)
    assert -beyond == pytest.approx(0.0736, abs=1e-4)
    found = evaluated(pl.DataFrame({"adj_close": close}), out=fractional_log_close()).to_series().to_list()
    assert found[:252] == [None] * 252
    for t in range(252, 300):
        expected = sum(w * math.log(close[t - k]) for k, w in enumerate([*weights, beyond]))
        assert found[t] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_every_feature_against_loops():
    """Tolerance 1e-9: rolling sums against fresh ones. The panel has a split and dividends."""
    prices = bars("AAA", 400)
    out = compute({**tables(400), "prices": prices}, names=NAMES)
    rows = prices.to_dicts()
    returns = [math.nan] + [(b["close"] + b["dividend"]) * b["split_factor"] / a["close"] - 1 for a, b in itertools.pairwise(rows)]
    close = np.cumprod([1 + r for r in [0.0, *returns[1:]]]).tolist()
    volume = (prices["volume"].to_numpy() / np.cumprod(prices["split_factor"].to_numpy())).tolist()
    values = {"close": close, "ret_1": returns, "volume": volume}

    def rank(x: list[float], t: int, n: int) -> float:
        others = x[t - n + 1 : t]
        return (sum(o < x[t] for o in others) + sum(o == x[t] for o in others) / 2) / (n - 1)

    def robust(x: list[float], t: int) -> float:
        lower, middle, upper = statistics.quantiles(x[t - 252 : t], n=4, method="inclusive")
        return (x[t] - middle) / (upper - lower)

    summed = list(itertools.accumulate(fractional_weights(0.4, 252)))
    for t in range(260, 400):
        expected = {"fracdiff_close_04": sum(w * math.log1p(returns[t - k]) for k, w in enumerate(summed))}
        expected["ret_1_demeaned_60"] = returns[t] - statistics.fmean(returns[t - 59 : t + 1])
        for what, x in values.items():
            for n in (20, 60) if what != "volume" else ():
                window = x[t - n + 1 : t + 1]
                expected[f"{what}_zscore_{n}"] = (x[t] - statistics.fmean(window)) / statistics.stdev(window)
            expected |= {f"{what}_rank_{n}": rank(x, t, n) for n in (60, 252)}
            expected[f"{what}_robust_252"] = robust(x, t)
        assert expected.keys() == set(NAMES)
        for name, value in expected.items():
            assert out[name][t] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, t)


def test_ties_count_half():
    assert evaluate([1.0, 2.0, 2.0, 2.0, 1.0], time_rank(pl.col("x"), 3)) == [None, None, 0.75, 0.5, 0.0]


def test_today_is_not_part_of_what_it_is_scaled_by():
    values = [1.0, 2.0, 3.0, 4.0, 1e9, 5.0]
    assert evaluate(values, robust_scaled(pl.col("x"), 4))[4] == pytest.approx((1e9 - 2.5) / 1.5)
    assert evaluate(values, robust_scaled(pl.col("x"), 4))[:4] == [None] * 4


def test_no_score_is_beyond_its_bound_after_a_wild_past():
    """A rolling deviation that is carried along would keep rounding of the wild values and divide the calm ones by it."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(100) * 1e6, np.full(50, 3.3), [3.4], np.full(30, 3.3)])
    found = evaluate(values.tolist(), zscore(pl.col("x"), 20))
    assert found[120:150] == [None] * 30
    assert found[150] == pytest.approx(19 / math.sqrt(20))


def test_a_price_that_never_moves():
    still = bars("AAA", 300, actions=False).with_columns(open=10.0, high=10.0, low=10.0, close=10.0, volume=0.0)
    out = compute({**tables(300), "prices": still}, names=NAMES).row(-1, named=True)
    for name in NAMES:
        expected = 0.5 if "_rank_" in name else None if "zscore" in name or "robust" in name else 0.0
        assert out[name] == expected, name


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_is_null(n: int):
    out = compute({**tables(), "prices": bars("AAA", n)}, names=NAMES)
    assert out.null_count().row(0)[2:] == (n,) * len(NAMES)


def test_a_session_without_volume_is_null_for_as_long_as_it_is_in_the_window():
    names = ("volume_rank_60", "volume_robust_252", "close_rank_60")
    prices = bars("AAA", 600).with_columns(volume=pl.when(pl.int_range(pl.len()) != 300).then(pl.col("volume")))
    out = compute({**tables(), "prices": prices}, names=names)
    assert [out[name][300:].null_count() for name in names] == [60, 253, 0]
    assert out["volume_rank_60"][359:361].is_null().to_list() == [True, False]
