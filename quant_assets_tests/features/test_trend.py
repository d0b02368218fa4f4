"""The family `trend`: TA-Lib through its own wrapper, and loops that anybody can read."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import talib
from bokeh_sampledata import stocks
from polars.testing import assert_frame_equal

from quant_assets.features import trend
from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import compute
from quant_assets_tests.features.panels import adjusted_only, bars

NAMES = tuple(feature.name for feature in trend.FEATURES)
RECURSIVE_BARS = [name for name in NAMES if name.startswith(("adx", "plus", "minus", "parabolic", "above_parabolic"))]


def trends(prices: pl.DataFrame) -> pl.DataFrame:
    return compute({"prices": prices}, names=NAMES)


@pytest.fixture(scope="module")
def ibm() -> pl.DataFrame:
    """3,270 real bars of IBM, dividends left out on either side."""
    data = pl.DataFrame({name: stocks.IBM[name] for name in ("date", "open", "high", "low", "close", "volume")})
    return data.select(
        "open", "high", "low", "close", pl.col("volume").cast(float), ticker=pl.lit("IBM"), session=pl.col("date").str.to_date(),
        price_basis=pl.lit("raw"), split_factor=pl.lit(1.0), dividend=pl.lit(0.0),
    )  # fmt: skip


def by_talib(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    ema = {span: talib.EMA(close, span) for span in (9, 21, 50, 200)}
    sma = {span: talib.SMA(close, span) for span in (20, 50)}
    down, up = talib.AROON(high, low, 25)
    return {
        **{f"ema_{span}": values for span, values in ema.items()},
        **{f"ema_{span}_distance": close / values - 1 for span, values in ema.items()},
        **{f"sma_{span}": values for span, values in sma.items()},
        **{f"sma_{span}_distance": close / values - 1 for span, values in sma.items()},
        "above_ema_200": np.where(np.isnan(ema[200]), np.nan, (close > ema[200]).astype(float)),
        "ema_9_slope_5": np.concatenate([np.full(5, np.nan), ema[9][5:] / ema[9][:-5] - 1]),
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        "aroon_up_25": up,
        "aroon_down_25": down,
        "aroon_oscillator_25": talib.AROONOSC(high, low, 25),
        "parabolic_sar_distance": (close - talib.SAR(high, low, 0.02, 0.2)) / close,
        **{f"regression_slope_{n}": talib.LINEARREG_SLOPE(np.log(close), n) for n in (20, 60)},
    }


def test_against_talib_on_thirteen_years_of_ibm(ibm: pl.DataFrame):
    """Tolerance 1e-9 relative to the size of the quantity: sums in another order."""
    out = trends(ibm)
    for name, values in by_talib(ibm).items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-11, err_msg=name)


def middle(highs: list[float], lows: list[float], t: int, n: int) -> float:
    return (max(highs[t - n + 1 : t + 1]) + min(lows[t - n + 1 : t + 1])) / 2


def cloud_distance(highs: list[float], lows: list[float], closes: list[float], t: int) -> float:
    edges = (middle(highs, lows, t - 26, 9) + middle(highs, lows, t - 26, 26)) / 2, middle(highs, lows, t - 26, 52)
    if closes[t] > max(edges):
        return (closes[t] - max(edges)) / closes[t]
    return min(closes[t] - min(edges), 0.0) / closes[t]


def cloud_thickness(highs: list[float], lows: list[float], closes: list[float], t: int) -> float:
    a, b = (middle(highs, lows, t - 26, 9) + middle(highs, lows, t - 26, 26)) / 2, middle(highs, lows, t - 26, 52)
    return abs(a - b) / closes[t]


def r_squared(closes: list[float], t: int, n: int) -> float:
    return statistics.correlation(range(n), [math.log(close) for close in closes[t - n + 1 : t + 1]]) ** 2


LOOPS: dict[str, Callable[[list[float], list[float], list[float], int], float]] = {
    "detrended_price_20": lambda _, __, closes, t: closes[t] / statistics.fmean(closes[t - 30 : t - 10]) - 1,
    "regression_r2_20": lambda _, __, closes, t: r_squared(closes, t, 20),
    "regression_r2_60": lambda _, __, closes, t: r_squared(closes, t, 60),
    "ichimoku_tenkan_distance": lambda highs, lows, closes, t: closes[t] / middle(highs, lows, t, 9) - 1,
    "ichimoku_kijun_distance": lambda highs, lows, closes, t: closes[t] / middle(highs, lows, t, 26) - 1,
    "ichimoku_cloud_distance": cloud_distance,
    "ichimoku_cloud_thickness": cloud_thickness,
}


def test_against_loops(ibm: pl.DataFrame):
    """Tolerance 1e-9: R^2 of a window without a trend is a small difference of large sums, hence 1e-11 absolute."""
    frame = ibm.head(700)
    out = trends(frame)
    highs, lows, closes = (frame[name].to_list() for name in ("high", "low", "close"))
    for name, loop in LOOPS.items():
        first = CATALOG[name].lookback
        expected = [math.nan] * first + [loop(highs, lows, closes, t) for t in range(first, len(closes))]
        np.testing.assert_allclose(out[name].fill_null(np.nan), expected, rtol=1e-9, atol=1e-11, err_msg=name)
    inside = out["ichimoku_cloud_distance"].drop_nulls() == 0.0
    assert 0.05 < inside.mean() < 0.5


def test_the_averages_cross_where_their_order_changes(ibm: pl.DataFrame):
    out = trends(ibm)
    fast, slow = out["ema_9"].to_list(), out["ema_21"].to_list()
    expected: list[float | None] = [None] * 21
    for before, now in itertools.pairwise(zip(fast[20:], slow[20:], strict=True)):
        was_above, is_above = before[0] > before[1], now[0] > now[1]
        expected.append(float(is_above) - float(was_above))
    assert out["ema_9_21_cross"].to_list() == expected
    counts = out["ema_9_21_cross"].value_counts()
    assert {value: count > 50 for value, count in counts.drop_nulls().iter_rows()} == {-1.0: True, 0.0: True, 1.0: True}


def wilder_sides(high: list[float], low: list[float]) -> list[float | None]:
    """1 long, 0 short, by Wilder's rules: chapter 2 of his book. The first side follows the larger move of the first two bars."""
    up, down = high[1] - high[0], low[0] - low[1]
    long = not (down > 0 and down > up)
    stop, extreme, step = (low[0], high[1], 0.02) if long else (high[0], low[1], 0.02)
    sides: list[float | None] = [None]
    for t in range(1, len(high)):
        previous = t - 1
        if low[t] <= stop if long else high[t] >= stop:
            long, stop, step = not long, extreme, 0.02
            stop = min(stop, low[t], low[previous]) if long else max(stop, high[t], high[previous])
            extreme = high[t] if long else low[t]
        elif high[t] > extreme if long else low[t] < extreme:
            extreme, step = (high[t] if long else low[t]), min(step + 0.02, 0.2)
        sides.append(float(long))
        stop += step * (extreme - stop)
        stop = min(stop, low[t], low[previous]) if long else max(stop, high[t], high[previous])
    return sides


def test_the_side_of_the_parabolic_stop(ibm: pl.DataFrame):
    out = trends(ibm)
    found = out["above_parabolic_sar"].to_list()
    assert found == wilder_sides(ibm["high"].to_list(), ibm["low"].to_list())
    assert 0.3 < out["above_parabolic_sar"].mean() < 0.7


def test_every_feature_is_compared(ibm: pl.DataFrame):
    assert {*by_talib(ibm.head(300)), *LOOPS, "ema_9_21_cross", "above_parabolic_sar"} == set(NAMES)


def held(prices: pl.DataFrame, first: int, last: int, price: float) -> pl.DataFrame:
    """The bars with one price from bar `first` to bar `last`."""
    there = pl.int_range(pl.len()).is_between(first, last)
    return prices.with_columns(pl.when(there).then(price).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close"))


def test_a_price_that_stands_still_has_no_direction():
    out = trends(held(bars("AAA", 400, actions=False), 0, 400, 10.1))
    for name in ("adx_14", "plus_di_14", "minus_di_14", "aroon_up_25", "aroon_down_25", "aroon_oscillator_25"):
        assert out[name].null_count() == out.height, name
    for name in ("regression_r2_20", "regression_r2_60", "above_parabolic_sar"):
        assert out[name].null_count() == out.height, name
    last = out.tail(1).to_dicts()[0]
    zero = ("above_ema_200", "ema_9_21_cross", "regression_slope_20", "regression_slope_60", "ichimoku_cloud_thickness")
    assert [last[name] for name in zero] == [0.0] * 5
    assert out["ema_9_21_cross"].drop_nulls().abs().sum() == 0
    for name in NAMES:
        if name.endswith("_distance") or name in ("ema_9_slope_5", "detrended_price_20"):
            assert last[name] == pytest.approx(0.0, abs=1e-14), name


def test_bars_before_the_first_movement_do_not_count():
    """A listing without a trade for 40 sessions: the directional values start afterwards as if the name had been listed then."""
    moving = bars("AAA", 200, actions=False)
    prices = held(moving, 0, 39, moving["close"][40] * 0.97)
    names = ["adx_14", "plus_di_14", "minus_di_14"]
    assert_frame_equal(trends(prices)[names][40:], trends(prices.tail(160))[names])
    assert trends(prices)["adx_14"].is_not_null().arg_max() == 40 + 27


def test_a_standstill_in_the_middle_is_null_and_ends():
    """Nothing moves on bars 100 to 149: the Wilder values are null from the 14th still bar on, and back with the first move."""
    prices = bars("AAA", 300, actions=False)
    out = trends(held(prices, 99, 149, prices["close"][99]))
    for name in ("adx_14", "plus_di_14", "minus_di_14"):
        assert out[name][99:113].null_count() == 0, name
        assert out[name][113:150].null_count() == 37, name
        assert out[name][150:].null_count() == 0, name
    assert out["aroon_up_25"][124:150].null_count() == 26
    assert out["regression_r2_20"][118:150].null_count() == 32
    assert out["regression_r2_20"][150:].null_count() == 0


def test_bars_without_high_and_low_are_passed_over():
    """Wilder's values are those of the other bars; windows are null as long as they hold such a bar."""
    prices = bars("AAA", 210, actions=False)
    hole = pl.int_range(pl.len()).is_between(120, 122)
    out = trends(prices.with_columns(pl.when(~hole).then(pl.col("open", "high", "low", "volume"))))
    without = trends(prices.filter(~hole))
    assert_frame_equal(out.filter(~hole)[RECURSIVE_BARS], without[RECURSIVE_BARS])
    for name, span in (("ichimoku_tenkan_distance", 9), ("ichimoku_kijun_distance", 26), ("aroon_up_25", 26)):
        assert out[name][120 : 122 + span].null_count() == 2 + span, name
        assert out[name][122 + span] is not None, name
    cloud = out["ichimoku_cloud_distance"]
    assert cloud[119] is not None
    assert cloud[120:123].null_count() == 3
    assert cloud[123:146].null_count() == 0
    assert cloud[146:200].null_count() == 54
    assert cloud[200] is not None


def test_a_close_outside_its_bar_does_not_leave_the_bounds():
    prices = bars("AAA", 100, actions=False)
    wrong = pl.int_range(pl.len()) == 80
    out = trends(prices.with_columns(close=pl.when(wrong).then(pl.col("high") * 5).otherwise("close")))
    for name in ("adx_14", "plus_di_14", "minus_di_14"):
        assert out[name][80] is None, name
        assert out[name][81:].null_count() == 0, name
        assert out[name].drop_nulls().is_between(0, 100).all(), name


def test_the_cloud_was_known_26_sessions_before():
    """Highs and lows of the last 25 bars may be anything: the cloud of today does not read them, only the close does."""
    prices = bars("AAA", 120, actions=False)
    recent = pl.int_range(pl.len()) >= 120 - 26
    wild = prices.with_columns(high=pl.when(recent).then(pl.col("high") * 3).otherwise("high"))
    names = ["ichimoku_cloud_distance", "ichimoku_cloud_thickness"]
    assert_frame_equal(trends(wild).tail(1)[names], trends(prices).tail(1)[names], check_exact=True)
    older = pl.int_range(pl.len()) == 120 - 27
    assert (
        not trends(prices.with_columns(high=pl.when(older).then(pl.col("high") * 3).otherwise("high")))
        .tail(1)[names]
        .equals(trends(prices).tail(1)[names])
    )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_short_history_has_what_its_lookback_allows(n: int):
    out = trends(bars("AAA", n))
    for name in NAMES:
        assert out[name].null_count() == min(n, CATALOG[name].lookback), name
    assert trends(adjusted_only(bars("AAA", n)))[RECURSIVE_BARS].null_count().row(0) == (n,) * len(RECURSIVE_BARS)
