"""Volume against TA-Lib on real bars, and against loops over bars with a split and dividends."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import polars as pl
import pytest
import talib
from bokeh_sampledata import stocks

from quant_assets.features.compute import compute
from quant_assets.features.volume import FEATURES
from quant_assets_tests.features.panels import bars

NAMES = tuple(feature.name for feature in FEATURES)
TALIB = {"obv_change_20", "obv_slope_10", "ad_slope_10", "chaikin_oscillator", "cmf_20", "price_volume_divergence", "vwap_20_distance"}


def values(prices: pl.DataFrame) -> pl.DataFrame:
    return compute({"prices": prices}, names=NAMES)


def flat(**changes: object) -> pl.DataFrame:
    """60 bars at 10 USD with 1,000 shares each, without actions, and what is changed."""
    plain = bars("AAA", 60, actions=False).with_columns(open=10.0, high=10.5, low=9.5, close=10.0, volume=1_000.0)
    return plain.with_columns(**{name: pl.Series(column) if isinstance(column, list) else column for name, column in changes.items()})


def test_against_talib_on_thirteen_years_of_ibm():
    """Tolerance 1e-9 of a usual session: TA-Lib's lines have grown to a thousand sessions' volume, whose last digits are lost."""
    data = {name: np.asarray(stocks.IBM[name], dtype=float) for name in ("open", "high", "low", "close", "volume")}
    none = {"ticker": pl.lit("IBM"), "price_basis": pl.lit("raw"), "split_factor": 1.0, "dividend": 0.0}
    out = values(pl.DataFrame({"session": stocks.IBM["date"], **data}).with_columns(pl.col("session").str.to_date(), **none))
    high, low, close, volume = (data[name] for name in ("high", "low", "close", "volume"))
    balance, line = talib.OBV(close, volume), talib.AD(high, low, close, volume)
    mean = talib.SMA(volume, 20)
    typical = talib.TYPPRICE(high, low, close)

    def change(values: np.ndarray, n: int) -> np.ndarray:
        return np.concatenate([np.full(n, np.nan), values[n:] - values[:-n]])

    risen, gathered = np.sign(change(close, 10)), np.sign(change(balance, 10))
    flow = change(line, 20) / (20 * mean)
    flow[19] = line[19] / (20 * mean[19])
    expected = {
        "obv_change_20": change(balance, 20) / (20 * mean),
        "obv_slope_10": talib.LINEARREG_SLOPE(balance, 10) / mean,
        "ad_slope_10": talib.LINEARREG_SLOPE(line, 10) / mean,
        "chaikin_oscillator": talib.ADOSC(high, low, close, volume, 3, 10) / mean,
        "cmf_20": flow,
        "price_volume_divergence": np.where(np.isnan(risen), np.nan, np.where(risen == -gathered, risen, 0.0)),
        "vwap_20_distance": close / (talib.SUM(typical * volume, 20) / (20 * mean)) - 1,
    }
    assert set(expected) == TALIB
    for name, wanted in expected.items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), wanted, rtol=1e-9, atol=1e-9, err_msg=name)


def test_against_loops_over_a_split_and_dividends():
    prices = bars("AAA")
    out = values(prices)
    rows = prices.to_dicts()
    growth, shares = [1.0], [1.0]
    for row in rows[1:]:
        growth.append(growth[-1] * row["split_factor"] * (1 + row["dividend"] / row["close"]))
        shares.append(shares[-1] * row["split_factor"])
    traded = [row["volume"] / s for row, s in zip(rows, shares, strict=True)]
    close = [row["close"] * s for row, s in zip(rows, shares, strict=True)]
    balance, line = [0.0], []
    for (before, after), volume in zip(itertools.pairwise(close), traded[1:], strict=True):
        balance.append(balance[-1] + (volume if after > before else -volume if after < before else 0.0))
    for row, volume in zip(rows, traded, strict=True):
        up, down = row["close"] - row["low"], row["high"] - row["close"]
        line.append((line[-1] if line else 0.0) + volume * (up - down) / (up + down))
    fast, slow = [line[0]], [line[0]]
    for point in line[1:]:
        fast.append(fast[-1] + (point - fast[-1]) * 2 / 4)
        slow.append(slow[-1] + (point - slow[-1]) * 2 / 11)

    def slope(points: list[float]) -> float:
        return statistics.linear_regression(range(10), points).slope

    for t in range(20, prices.height):
        before, last = traded[t - 20 : t], traded[t - 19 : t + 1]
        usual = statistics.fmean(last)
        ratio = traded[t] / statistics.fmean(before)
        cost = [
            (row["high"] + row["low"] + row["close"]) / 3 * g * volume
            for row, g, volume in zip(rows[t - 19 : t + 1], growth[t - 19 : t + 1], last, strict=True)
        ]
        vwap = sum(cost) / sum(last)
        rose, gathered = close[t] > close[t - 10], balance[t] > balance[t - 10]
        expected = {
            "volume_ratio_20": ratio,
            "volume_z_20": (traded[t] - statistics.fmean(before)) / statistics.stdev(before),
            "volume_spike": 1.0 if ratio > 2 else 0.0,
            "obv_change_20": (balance[t] - balance[t - 20]) / sum(last),
            "obv_slope_10": slope(balance[t - 9 : t + 1]) / usual,
            "ad_slope_10": slope(line[t - 9 : t + 1]) / usual,
            "chaikin_oscillator": (fast[t] - slow[t]) / usual,
            "cmf_20": (line[t] - line[t - 20]) / sum(last),
            "vwap_20": vwap / growth[t],
            "vwap_20_distance": rows[t]["close"] * growth[t] / vwap - 1,
            "price_volume_divergence": 0.0 if rose == gathered else 1.0 if rose else -1.0,
        }
        assert set(expected) == set(NAMES)
        for name, value in expected.items():
            assert out[name][t] == pytest.approx(value, rel=1e-9, abs=1e-9), (name, t)
    assert {0.0, 1.0} == set(out["volume_spike"].drop_nulls())
    assert {-1.0, 0.0, 1.0} == set(out["price_volume_divergence"].drop_nulls())


def test_a_spike_is_above_twice_not_at_it():
    out = values(flat(volume=[1_000.0] * 40 + [2_000.0] + [1_000.0] * 9 + [2_200.0] + [1_000.0] * 9))
    assert out["volume_spike"][40] == 0.0
    assert out["volume_ratio_20"][50] == pytest.approx(2.2 / 1.05)
    assert out["volume_spike"][50] == 1.0
    assert out["volume_z_20"][40] is None  # 20 equal volumes have no standard deviation


def test_where_nothing_trades_there_is_no_value():
    """The volume before is large, so that a sum that goes on by adding and taking away would leave crumbs of it."""
    rng = np.random.default_rng(0)
    close = 10 + rng.uniform(-0.4, 0.4, 60)
    out = values(flat(close=close.tolist(), volume=[1e12 / 7] * 20 + [0.0] * 40))
    for name in NAMES:
        assert out[name][41:].null_count() == 19, name
    assert values(flat(volume=0.0)).select(NAMES).null_count().row(0) == (60,) * len(NAMES)


def test_the_first_trade_after_silence_is_no_spike_of_infinite_size():
    out = values(flat(volume=[0.0] * 30 + [500.0] + [0.0] * 29))
    assert out.row(30, named=True)["volume_ratio_20"] is None
    assert out.row(30, named=True)["volume_spike"] is None
    assert out["volume_spike"][31] == 0.0
    assert out["volume_z_20"][31] == pytest.approx(-25 / statistics.stdev([500.0] + [0.0] * 19))


def test_a_price_that_never_moves_and_bars_without_range():
    still = values(flat()).row(59, named=True)
    assert [still[name] for name in ("obv_change_20", "obv_slope_10", "price_volume_divergence", "cmf_20", "vwap_20_distance")] == [0.0] * 5
    assert still["vwap_20"] == 10.0
    points = values(flat(high=10.0, low=10.0))
    for name in ("cmf_20", "ad_slope_10", "chaikin_oscillator"):
        assert points[name].drop_nulls().unique().to_list() == [0.0], name


def test_a_close_outside_its_bar_is_nowhere_in_its_range():
    """One such bar would have counted 19 times its volume, and moved a line that never forgets."""
    close = [10.0] * 30 + [20.0] + [10.0] * 29
    out = values(flat(close=close))
    assert out["cmf_20"][30:50].null_count() == 20
    assert out["cmf_20"][50:].unique().to_list() == [0.0]
    assert out["chaikin_oscillator"][30] is None
    assert out["chaikin_oscillator"][31:].unique().to_list() == [0.0]


def test_equal_closes_count_on_neither_side():
    close = [10.0, 10.2] * 10 + [10.2] * 40
    out = values(flat(close=close))
    assert out["obv_change_20"][20] == pytest.approx(1 / 20)  # ten rises, nine falls, one unchanged
    assert out["obv_change_20"][59] == 0.0


def test_a_bar_without_volume_silences_its_windows_and_no_more():
    prices = bars("AAA", 120)
    hole = pl.int_range(pl.len()) == 60
    out = values(prices.with_columns(volume=pl.when(~hole).then("volume")))
    whole = values(prices)
    for feature in FEATURES:
        name, after = feature.name, 60 + feature.lookback + 1
        assert out[name][60] is None
        assert out[name][after:].null_count() == 0
        if not feature.recursive:
            assert out[name][after:].to_list() == pytest.approx(whole[name][after:].to_list(), rel=1e-9), name


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_gives_null(n: int):
    assert values(bars("AAA", n)).select(NAMES).null_count().row(0) == (n,) * len(NAMES)
