"""Volatility against TA-Lib, scipy and loops, on real bars of IBM and on made-up ones with a split and dividends."""

from __future__ import annotations

import math
import statistics

import numpy as np
import polars as pl
import pytest
import scipy.stats
import talib
from bokeh_sampledata import stocks

from quant_assets.features import range_estimators, volatility
from quant_assets.features.compute import compute
from quant_assets_tests.features.panels import bars, evaluated
from quant_assets_tests.features.test_values import naive_total_returns, without_actions

NAMES = [feature.name for feature in volatility.FEATURES]
RANGES = [feature.name for feature in range_estimators.FEATURES]


def computed(frame: pl.DataFrame) -> pl.DataFrame:
    return compute({"prices": frame}, names=NAMES)


def ibm() -> pl.DataFrame:
    data = pl.DataFrame({name: stocks.IBM[name] for name in ("date", "open", "high", "low", "close", "volume")})
    data = data.with_columns(ticker=pl.lit("IBM"), session=pl.col("date").str.to_date(), volume=pl.col("volume").cast(float))
    return without_actions(data)


def by_loops(frame: pl.DataFrame) -> dict[str, list[float]]:
    """Every feature of the family but the ATR on each bar, NaN before the first value."""
    rows, n = frame.to_dicts(), frame.height
    r = [math.log1p(one) for one in naive_total_returns(frame)]
    year = math.sqrt(252)
    # Session and gap apart: what a holder of a share gained from the close before to this open, dividends as in the close's return.
    gap = [math.nan, *(r[t] - math.log(rows[t]["close"] / rows[t]["open"]) for t in range(1, n))]

    def volatility_of(t: int, sessions: int) -> float:
        return statistics.stdev(r[t - sessions + 1 : t + 1]) * year if t >= sessions else math.nan

    found: dict[str, list[float]] = {name: [math.nan] * n for name in NAMES if not name.startswith("atr")}
    variance = math.nan
    for t in range(n):
        if t == 20:
            variance = sum(one * one for one in r[1:21]) / 20
        elif t > 20:
            variance = 0.94 * variance + 0.06 * r[t] ** 2
        found["ewma_volatility"][t] = math.sqrt(252 * variance)
        found["volatility_20"][t], found["volatility_60"][t] = volatility_of(t, 20), volatility_of(t, 60)
        found["volatility_ratio"][t] = volatility_of(t, 20) / volatility_of(t, 60)
        if t >= 39:
            found["vol_of_vol_20"][t] = statistics.stdev(volatility_of(s, 20) for s in range(t - 19, t + 1))
        if t >= 60:
            window = r[t - 59 : t + 1]
            found["realised_skew_60"][t] = scipy.stats.skew(window, bias=False)
            found["realised_kurtosis_60"][t] = scipy.stats.kurtosis(window, fisher=True, bias=False)
            found["downside_deviation_60"][t] = math.sqrt(252 * sum(one * one for one in window if one < 0) / 60)
        if t >= 19:
            parkinson = garman_klass = rogers_satchell = 0.0
            for row in rows[t - 19 : t + 1]:
                o, h, low, c = (math.log(row[name]) for name in ("open", "high", "low", "close"))
                parkinson += (h - low) ** 2 / (4 * math.log(2)) / 20
                garman_klass += (0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2) / 20
                rogers_satchell += ((h - c) * (h - o) + (low - c) * (low - o)) / 20
            found["parkinson_20"][t] = math.sqrt(252 * parkinson)
            found["garman_klass_20"][t] = math.sqrt(252 * garman_klass)
            found["rogers_satchell_20"][t] = math.sqrt(252 * rogers_satchell)
            if t >= 20:
                body = [math.log(row["close"] / row["open"]) for row in rows[t - 19 : t + 1]]
                k = 0.34 / (1.34 + 21 / 19)
                sum_of_three = statistics.variance(gap[t - 19 : t + 1]) + k * statistics.variance(body) + (1 - k) * rogers_satchell
                found["yang_zhang_20"][t] = math.sqrt(252 * sum_of_three)
    return found


@pytest.mark.parametrize("frame", [ibm().tail(700), bars("AAA")], ids=["IBM", "with a split and dividends"])
def test_every_feature_against_loops(frame: pl.DataFrame):
    """Tolerance 1e-9: rolling sums against fresh ones for each window; the cancelling third moment leaves 1e-9 of a skew of about 1."""
    out, expected = computed(frame), by_loops(frame)
    for name, values in expected.items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-9 if "skew" in name else 1e-12, err_msg=name)
    assert {*expected, "atr_14", "atr_14_pct"} == set(NAMES)


def test_average_true_range_against_talib():
    frame = ibm()
    out = computed(frame)
    expected = talib.ATR(*(frame[name].to_numpy() for name in ("high", "low", "close")), 14)
    np.testing.assert_allclose(out["atr_14"].fill_null(np.nan), expected, rtol=1e-9)
    np.testing.assert_allclose(out["atr_14_pct"].fill_null(np.nan), expected / frame["close"].to_numpy(), rtol=1e-9)


def test_range_estimators_find_the_volatility_that_made_the_bars():
    """1,500 sessions of 390 minutes at 20 % a year, a fifth of the variance overnight: each finds its share within 12 %.

    Not nearer, as a path that is looked at each minute misses its own extremes, which makes ranges some 5 % too narrow.
    """
    rng = np.random.default_rng(4)
    n, minutes, variance = 1_500, 390, 0.2**2 / 252
    gaps = rng.normal(0, math.sqrt(0.2 * variance), n)
    paths = np.cumsum(rng.normal(0, math.sqrt(0.8 * variance / minutes), (n, minutes)), axis=1)
    opens = np.cumsum(gaps) + np.r_[0.0, np.cumsum(paths[:-1, -1])]
    prices = {
        "open": opens,
        "high": opens + np.maximum(paths.max(axis=1), 0.0),
        "low": opens + np.minimum(paths.min(axis=1), 0.0),
        "close": opens + paths[:, -1],
    }
    frame = pl.DataFrame({name: 50 * np.exp(values) for name, values in prices.items()}).select(
        pl.exclude("ticker"), growth=pl.lit(1.0), adj_open="open", adj_close="close"
    )
    out = evaluated(frame, *(feature.expression.alias(feature.name) for feature in range_estimators.FEATURES))
    for name in RANGES:
        share = 1.0 if name == "yang_zhang_20" else 0.8
        assert (out[name] ** 2).mean() == pytest.approx(share * 0.2**2, rel=0.12), name


def test_a_session_without_range_and_a_price_that_stands_still_are_0():
    """Even after wild sessions, whose squares must not stay in a rolling sum; a moment of nothing, or of one same return, is null."""
    frame = bars("AAA", 400, actions=False)
    still = pl.int_range(pl.len()) >= 200
    last = frame["close"][199]
    frozen = frame.with_columns(pl.when(still).then(last).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close"))
    out = computed(frozen)[300:]
    for name in (*RANGES, "volatility_20", "volatility_60", "vol_of_vol_20", "downside_deviation_60"):
        assert out[name].to_list() == [0.0] * 100, name
    for name in ("realised_skew_60", "realised_kurtosis_60", "volatility_ratio"):
        assert out[name].null_count() == 100, name
    assert out["ewma_volatility"].max() < 0.02
    climbing = frame.with_columns(close=50 * 1.001 ** pl.int_range(pl.len()).cast(float))
    assert computed(climbing)["realised_skew_60"].null_count() == computed(climbing)["realised_kurtosis_60"].null_count() == 400


def test_a_bar_whose_open_lies_far_outside_its_range_gives_null_and_not_a_volatility():
    frame = bars("AAA", 60, actions=False)
    wrong = pl.int_range(pl.len()) == 30
    out = computed(frame.with_columns(open=pl.when(wrong).then(pl.col("close") * 3).otherwise(pl.col("open"))))
    for name in ("garman_klass_20", "rogers_satchell_20"):
        assert out[name][30:50].null_count() == 20, name
        assert out[name][50:].null_count() == 0, name
    assert out["parkinson_20"][19:].null_count() == 0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_gives_null(n: int):
    assert computed(bars("AAA", n)).select(NAMES).null_count().row(0) == (n,) * len(NAMES)


def test_a_missing_high_passes():
    frame = bars("AAA", 100)
    hole = pl.int_range(pl.len()) == 50
    out = computed(frame.with_columns(pl.when(~hole).then(pl.col("open", "high", "low"))))
    for name in RANGES:
        assert out[name][50:70].null_count() == 20, name
        assert out[name][70:].null_count() == 0, name
