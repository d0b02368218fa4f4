"""Channels against TA-Lib and loops, on real bars of IBM and on made-up ones with a split and dividends."""

from __future__ import annotations

import math
import statistics

import numpy as np
import polars as pl
import pytest
import talib

from quant_assets.features import bands
from quant_assets.features.compute import compute
from quant_assets_tests.features.panels import bars, evaluated
from quant_assets_tests.features.test_volatility import ibm

NAMES = [feature.name for feature in bands.FEATURES]


def computed(frame: pl.DataFrame) -> pl.DataFrame:
    return compute({"prices": frame}, names=NAMES)


def by_talib(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0, 0)
    average, reach = talib.EMA(close, 20), 2 * talib.ATR(high, low, close, 10)
    highest, lowest = (np.concatenate([[np.nan], channel[:-1]]) for channel in (talib.MAX(high, 20), talib.MIN(low, 20)))
    return {
        "bollinger_position": (close - lower) / (upper - lower),
        "bollinger_width": (upper - lower) / middle,
        "keltner_position": (close - (average - reach)) / (2 * reach),
        "keltner_width": 2 * reach / average,
        "donchian_20_position": (close - lowest) / (highest - lowest),
        "donchian_20_width": (highest - lowest) / close,
    }


def squeezes(close: list[float]) -> list[float]:
    """1 where fewer than 18 of the last 90 band widths are smaller than today's."""
    widths = []
    for t in range(19, len(close)):
        window = close[t - 19 : t + 1]
        widths.append(4 * statistics.pstdev(window) / statistics.fmean(window))
    flags = [math.nan] * min(108, len(close))
    for t in range(89, len(widths)):
        flags.append(float(sum(width < widths[t] for width in widths[t - 89 : t + 1]) < 18))
    return flags


def test_every_feature_on_thirteen_years_of_ibm():
    """TA-Lib 0.8 through its own wrapper, the squeeze by counting. Tolerance 1e-9: 3,270 bars summed in another order."""
    frame = ibm()
    out, expected = computed(frame), by_talib(frame) | {"bollinger_squeeze": np.array(squeezes(frame["close"].to_list()))}
    for name, values in expected.items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-11, err_msg=name)
    assert set(expected) == set(NAMES)
    assert 0.1 < out["bollinger_squeeze"].mean() < 0.4


def test_channels_look_through_splits_and_dividends():
    frame = bars("AAA", 400)
    growth = [1.0]
    for row in frame.slice(1).iter_rows(named=True):
        growth.append(growth[-1] * row["split_factor"] * (1 + row["dividend"] / row["close"]))
    adjusted = frame.with_columns(pl.col("high", "low", "close") * pl.Series(growth))
    out = computed(frame)
    for name, values in by_talib(adjusted).items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-11, err_msg=name)
    np.testing.assert_array_equal(out["bollinger_squeeze"].fill_null(np.nan), squeezes(adjusted["close"].to_list()))


def test_the_linear_quantile_says_the_same():
    """18 of 90 are exactly a fifth: taking the 18th smallest and interpolating to place 17.8 choose the same sessions."""
    width = pl.Series(np.random.default_rng(2).lognormal(size=2_000))
    linear = width <= width.rolling_quantile(0.2, interpolation="linear", window_size=90, min_samples=90)
    flags = evaluated(pl.DataFrame({"width": width}), out=bands.squeeze(pl.col("width"), 90))["out"]
    assert flags[89:].cast(pl.Boolean).to_list() == linear[89:].to_list()


def test_no_squeeze_before_ninety_widths_are_there():
    """A quantile that warms up on a handful of widths would flag its first ones."""
    flags = computed(bars("AAA", 300, actions=False))["bollinger_squeeze"]
    assert flags[:108].null_count() == 108
    assert set(flags[108:]) == {0.0, 1.0}
    assert computed(bars("AAA", 108, actions=False))["bollinger_squeeze"].null_count() == 108


def test_a_break_out_lies_beyond_the_channel_it_breaks():
    close = [50.0 + (t % 2) for t in range(30)] + [60.0, 40.0]
    frame = bars("AAA", 32, actions=False).with_columns(
        open=pl.Series(close), close=pl.Series(close), high=pl.Series(close) + 0.5, low=pl.Series(close) - 0.5
    )
    out = computed(frame)
    assert out["donchian_20_position"][30] == pytest.approx((60 - 49.5) / 2)
    assert out["donchian_20_position"][31] == pytest.approx((40 - 49.5) / 11)
    assert out["donchian_20_width"][31] == pytest.approx(11 / 40)


def test_a_price_that_stands_still_is_in_no_place_of_no_band():
    frame = bars("AAA", 500, actions=False)
    still = pl.int_range(pl.len()) >= 200
    last = frame["close"][199]
    frozen = frame.with_columns(pl.when(still).then(last).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close"))
    out = computed(frozen)[400:]
    assert out["bollinger_squeeze"].null_count() == 100
    assert out["donchian_20_position"].null_count() == 100
    assert out["donchian_20_width"].to_list() == [0.0] * 100
    never = computed(frame.with_columns(pl.lit(10.0).alias(name) for name in ("open", "high", "low", "close")))
    for name in ("bollinger_position", "bollinger_squeeze", "keltner_position", "donchian_20_position"):
        assert never[name].null_count() == 500, name
    for name in ("bollinger_width", "keltner_width", "donchian_20_width"):
        assert never[name].drop_nulls().unique().to_list() == [0.0], name


def test_widths_that_fall_to_nothing_are_a_squeeze_until_all_are_nothing():
    frame = bars("AAA", 400, actions=False)
    still = pl.int_range(pl.len()) >= 200
    frozen = frame.with_columns(close=pl.when(still).then(frame["close"][199]).otherwise(pl.col("close")))
    flags = computed(frozen)["bollinger_squeeze"]
    # The closes of bars 199 to 218 are the first twenty that are one number, the widths of bars 218 to 307 the first ninety.
    assert flags[218:307].to_list() == [1.0] * 89
    assert flags[307:].null_count() == 93


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_gives_null(n: int):
    assert computed(bars("AAA", n)).select(NAMES).null_count().row(0) == (n,) * len(NAMES)


def test_a_missing_high_passes():
    frame = bars("AAA", 100)
    hole = pl.int_range(pl.len()) == 50
    out = computed(frame.with_columns(pl.when(~hole).then(pl.col("open", "high", "low", "volume"))))
    assert out["donchian_20_width"][50:71].null_count() == 21
    assert out["keltner_width"][50:71].null_count() == 1
    for name in NAMES[3:]:
        assert out[name][71:].null_count() == 0, name
