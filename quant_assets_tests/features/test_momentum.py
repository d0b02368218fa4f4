"""The family `momentum`: TA-Lib through its own wrapper, and loops that anybody can read."""

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

from quant_assets.features import momentum
from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import compute
from quant_assets_tests.features.panels import adjusted_only, bars

NAMES = tuple(feature.name for feature in momentum.FEATURES)
OSCILLATORS = tuple(feature.name for feature in momentum.oscillators.FEATURES)


def momenta(prices: pl.DataFrame) -> pl.DataFrame:
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
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    slow_k = np.concatenate([slow_k[:15], talib.SMA(talib.STOCHF(high, low, close, 14, 1, 0)[0][13:], 3)[2:]])  # it has K only where D is
    rsi = talib.RSI(close, 14)
    return {
        **{f"ret_{n}": talib.ROCP(close, n) for n in (1, 5, 20)},
        **{f"roc_{n}": talib.ROC(close, n) for n in (10, 20)},
        "rsi_14": rsi,
        "rsi_14_oversold": np.where(np.isnan(rsi), np.nan, (rsi < 35).astype(float)),
        "rsi_14_overbought": np.where(np.isnan(rsi), np.nan, (rsi > 70).astype(float)),
        "macd": macd / close,
        "macd_signal": signal / close,
        "macd_hist": histogram / close,
        "stochastic_k_14": slow_k,
        "stochastic_d_14": slow_d,
        "williams_r_14": talib.WILLR(high, low, close, 14),
        "cci_20": talib.CCI(high, low, close, 20),
        "mfi_14": talib.MFI(high, low, close, volume, 14),
        "ultimate_oscillator": talib.ULTOSC(high, low, close, 7, 14, 28),
        "high_252_distance": close / talib.MAX(close, 252) - 1,
    }


def test_against_talib_on_thirteen_years_of_ibm(ibm: pl.DataFrame):
    """Tolerance 1e-9 relative to the size of the quantity: sums in another order."""
    out = momenta(ibm)
    for name, values in by_talib(ibm).items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-9, err_msg=name)


def exponential_average(values: list[float], span: int) -> list[float]:
    """From value number span - 1 on, seeded with the plain average of the first span values."""
    averages = [statistics.fmean(values[:span])]
    for value in values[span:]:
        averages.append(averages[-1] + 2 / (span + 1) * (value - averages[-1]))
    return averages


def true_strength(closes: list[float]) -> list[float]:
    changes = [now - before for before, now in itertools.pairwise(closes)]
    net = exponential_average(exponential_average(changes, 25), 13)
    whole = exponential_average(exponential_average([abs(change) for change in changes], 25), 13)
    return [math.nan] * 37 + [100 * a / b for a, b in zip(net, whole, strict=True)]


def from_lookback(lookback: int, value: Callable[[int], float], n: int) -> list[float]:
    return [math.nan] * lookback + [value(t) for t in range(lookback, n)]


def by_loops(frame: pl.DataFrame, out: pl.DataFrame) -> dict[str, list[float]]:
    closes, volumes = frame["close"].to_list(), frame["volume"].to_list()
    n = len(closes)

    def weighted(t: int) -> float:
        days = range(t - 19, t + 1)
        return sum((closes[day] / closes[day - 1] - 1) * volumes[day] for day in days) / sum(volumes[day] for day in days)

    def acceleration(t: int) -> float:
        return 100 * (closes[t] / closes[t - 10] - closes[t - 5] / closes[t - 15])

    histogram = out["macd_hist"].to_list()
    return {
        "tsi_25_13": true_strength(closes),
        "momentum_12_1": from_lookback(252, lambda t: closes[t - 21] / closes[t - 252] - 1, n),
        "volume_weighted_momentum_20": from_lookback(20, weighted, n),
        "roc_10_acceleration": from_lookback(15, acceleration, n),
        "macd_cross": from_lookback(34, lambda t: float(histogram[t] > 0) - float(histogram[t - 1] > 0), n),
    }


def test_against_loops(ibm: pl.DataFrame):
    out = momenta(ibm)
    for name, expected in by_loops(ibm, out).items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), expected, rtol=1e-9, atol=1e-10, err_msg=name)
    assert set(out["macd_cross"].drop_nulls().unique()) == {-1.0, 0.0, 1.0}
    assert out["rsi_14_oversold"].sum() > 100 < out["rsi_14_overbought"].sum()


def test_every_feature_is_compared(ibm: pl.DataFrame):
    frame = ibm.head(300)
    assert {*by_talib(frame), *by_loops(frame, momenta(frame))} == set(NAMES)


def test_a_split_and_its_dividend_are_no_momentum():
    """Without its actions the walk would fall by two thirds on bar 300; volume is of the shares of one day."""
    prices = bars("AAA")
    out = momenta(prices)
    assert out["roc_10"][300] > -25
    assert out["mfi_14"][300:314].min() > 5
    held = (prices["close"] + prices["dividend"]) * prices["split_factor"] / prices["close"].shift(1) - 1
    shares = prices["volume"] / prices["split_factor"].cum_prod()
    for t in (299, 300, 310, 319, 330):
        days = slice(t - 19, t + 1)
        expected = np.average(held[days].to_numpy(), weights=shares[days].to_numpy())
        assert out["volume_weighted_momentum_20"][t] == pytest.approx(expected, rel=1e-9), t


def test_a_price_that_stands_still_has_no_strength():
    price = 10.1
    frame = bars("AAA", 300, actions=False).with_columns(open=price, high=price, low=price, close=price)
    out = momenta(frame)
    for name in (*OSCILLATORS, "rsi_14", "rsi_14_oversold", "rsi_14_overbought", "tsi_25_13"):
        assert out[name].null_count() == out.height, name
    last = out.tail(1).to_dicts()[0]
    zero = ("roc_10", "roc_10_acceleration", "momentum_12_1", "volume_weighted_momentum_20", "high_252_distance", "macd_cross")
    assert [last[name] for name in zero] == [0.0] * 6
    assert out["macd_cross"].drop_nulls().abs().sum() == 0
    assert last["macd_signal"] == pytest.approx(0.0, abs=1e-15)


def test_a_standstill_leaves_no_trace_of_the_sums_before():
    """Nothing trades on bars 100 to 159, after days of millions: null and not a ratio of last bits, and right again afterwards."""
    prices = bars("AAA", 300, actions=False).with_columns(pl.col("volume") * 1e6)
    held, price = pl.int_range(pl.len()).is_between(100, 159), prices["close"][99]
    one_price = [pl.when(held).then(price).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close")]
    stopped = prices.with_columns(*one_price, volume=pl.when(held).then(0.0).otherwise("volume"))
    out = momenta(stopped)
    first_null = {"mfi_14": 113, "volume_weighted_momentum_20": 119, "ultimate_oscillator": 106, "williams_r_14": 113, "cci_20": 119}
    for name, first in first_null.items():
        assert out[name][100:first].null_count() == 0, name
        assert out[name][first:160].null_count() == 160 - first, name
        assert out[name][160:].null_count() == 0, name
    rest = momenta(stopped[150:])
    for name in first_null:
        assert out[name][200:].to_list() == pytest.approx(rest[name][50:].to_list(), rel=1e-9), name


def test_a_close_outside_its_bar_does_not_leave_the_bounds():
    prices = bars("AAA", 100, actions=False)
    wrong = pl.int_range(pl.len()) == 50
    out = momenta(prices.with_columns(close=pl.when(wrong).then(pl.col("high") * 5).otherwise("close")))
    for name in ("stochastic_k_14", "stochastic_d_14", "williams_r_14", "ultimate_oscillator"):
        feature = CATALOG[name]
        assert out[name][50] is None, name
        assert out[name].drop_nulls().is_between(feature.low, feature.high).all(), name
        assert out[name][51 + feature.lookback :].null_count() == 0, name


def test_zero_volume_counts_for_nothing():
    prices = bars("AAA", 100, actions=False)
    silent = prices.with_columns(volume=0.0)
    out = momenta(silent)
    assert out["mfi_14"].null_count() == out["volume_weighted_momentum_20"].null_count() == 100
    one_day = momenta(prices.with_columns(volume=pl.when(pl.int_range(pl.len()) == 90).then(5.0).otherwise(0.0)))
    assert one_day["volume_weighted_momentum_20"][95] == pytest.approx(one_day["ret_1"][90], rel=1e-12)
    typical = (prices["high"] + prices["low"] + prices["close"]) / 3
    assert one_day["mfi_14"][95] == (100.0 if typical[90] > typical[89] else 0.0)


def test_money_flow_below_one_dollar_is_a_flow():
    """TA-Lib gives 0 where fewer than one dollar changed hands in the window; the share is what it is for millions."""
    prices = bars("AAA", 100, actions=False)
    few = momenta(prices.with_columns(pl.col("volume") * 1e-9))["mfi_14"]
    assert few.drop_nulls().to_list() == pytest.approx(momenta(prices)["mfi_14"].drop_nulls().to_list(), rel=1e-9)


def test_windows_with_a_bar_without_high_low_and_volume_are_null():
    prices = bars("AAA", 200, actions=False)
    hole = pl.int_range(pl.len()) == 120
    out = momenta(prices.with_columns(pl.when(~hole).then(pl.col("open", "high", "low", "volume"))))
    whole = momenta(prices)
    for name in (*OSCILLATORS, "volume_weighted_momentum_20"):
        # These two read only the close of the bar before their window, and the close is there.
        back = 121 + CATALOG[name].lookback - (name in ("ultimate_oscillator", "volume_weighted_momentum_20"))
        assert out[name][120:back].null_count() == back - 120, name
        assert out[name][back:].to_list() == pytest.approx(whole[name][back:].to_list(), rel=1e-9), name


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_short_history_has_what_its_lookback_allows(n: int):
    out = momenta(bars("AAA", n))
    for name in NAMES:
        assert out[name].null_count() == min(n, CATALOG[name].lookback), name
    assert momenta(adjusted_only(bars("AAA", n)))[OSCILLATORS].null_count().row(0) == (n,) * len(OSCILLATORS)
