"""Loops that anybody can read on real bars, and bars made to give exactly one flag."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import polars as pl
import pytest
from bokeh_sampledata import stocks

from quant_assets.features.compute import compute
from quant_assets.features.patterns import FEATURES
from quant_assets_tests.features.panels import SESSIONS, adjusted_only, bars, tables

FIELDS = ("open", "high", "low", "close", "volume")
NAMES = tuple(feature.name for feature in FEATURES)


def features(prices: pl.DataFrame) -> pl.DataFrame:
    return compute({**tables(5), "prices": prices}, names=NAMES)


def frame(ohlcv: np.ndarray) -> pl.DataFrame:
    """(n, 5) bars as a table of prices without actions."""
    named = pl.DataFrame(ohlcv, schema=list(FIELDS))
    return named.with_columns(
        ticker=pl.lit("AAA"),
        session=pl.Series(SESSIONS[: len(ohlcv)]),
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
    )


def wilder(values: list[float], n: int) -> list[float]:
    average = [statistics.fmean(values[:n])]
    for value in values[n:]:
        average.append(((n - 1) * average[-1] + value) / n)
    return average


def ema(values: list[float], n: int) -> list[float]:
    """The average of each bar from bar n - 1 on."""
    average = [statistics.fmean(values[:n])]
    for value in values[n:]:
        average.append(average[-1] + 2 / (n + 1) * (value - average[-1]))
    return average


@pytest.mark.parametrize("ticker", ["AAPL", "GOOG"])
def test_against_loops_on_real_bars(ticker: str):
    """Years of daily bars, 700 at a time so that they fit the sessions of the panel; every flag is up somewhere and down somewhere."""
    data = getattr(stocks, ticker)
    ohlcv = np.array([data[name] for name in FIELDS], dtype=float).T
    seen: dict[str, set[float]] = {name: set() for name in NAMES}
    for start in range(0, len(ohlcv) - 700, 700):
        part = ohlcv[start : start + 700]
        out = features(frame(part))
        opening, high, low, close, volume = (column.tolist() for column in part.T)
        true_range = [max(h, c) - min(lo, c) for h, lo, c in zip(high[1:], low[1:], close, strict=False)]
        atr = [0.0] * 14 + wilder(true_range, 14)
        fast, slow = [0.0] * 8 + ema(close, 9), [0.0] * 20 + ema(close, 21)
        inside = [False] + [high[t] < high[t - 1] and low[t] > low[t - 1] for t in range(1, 700)]
        extent = [h - lo for h, lo in zip(high, low, strict=True)]
        small = [t >= 14 and extent[t] < 0.7 * (1 - 1e-9) * statistics.fmean(extent[t - 14 : t]) for t in range(700)]
        for t in range(27, 700):
            strong = close[t] > fast[t] > slow[t] and close[t] / close[t - 10] > 1.05
            pause = atr[t] < statistics.fmean(atr[t - 13 : t + 1]) and all(inside[s] or small[s] for s in (t - 2, t - 1, t))
            expected = {
                "higher_high_5": high[t] > max(high[t - 5 : t]),
                "higher_low_5": low[t] > min(low[t - 5 : t]),
                "inside_day": inside[t],
                "small_range_day": small[t],
                "gap": opening[t] / close[t - 1] - 1,
                "gap_up": low[t] > high[t - 1],
                "gap_down": high[t] < low[t - 1],
                "bull_flag": strong and pause and volume[t] < 0.7 * statistics.fmean(volume[t - 5 : t]),
                "breakout_20": close[t] > max(high[t - 20 : t]) and volume[t] > 1.5 * statistics.fmean(volume[t - 20 : t]),
            }
            assert expected.keys() == set(NAMES)
            for name, value in expected.items():
                assert out[name][t] == pytest.approx(float(value), rel=1e-9, abs=1e-12), (name, t)
                seen[name].add(value)
    assert all(len(values) > 1 for values in seen.values()), seen


def flag_bars(*, pole: float = 0.012, last_volume: float = 500.0, wide: float = 0.5, pole_range: float = 2.0) -> pl.DataFrame:
    """30 quiet bars about 100, eight up (a pole), three narrow ones of which the last is dry, three that fall on usual volume."""
    close = [100.0 + (t % 2) * 0.2 for t in range(30)]
    for _ in range(8):
        close.append(close[-1] * (1 + pole))
    close += [close[-1]] * 3
    close += [close[-1] * 0.95 ** (k + 1) for k in range(3)]
    extent = [2.0] * 30 + [pole_range] * 8 + [0.5, wide, 0.5] + [2.0] * 3
    volume = [1_000.0] * 40 + [last_volume] + [1_000.0] * 3
    rows = [[c, c + r / 2, c - r / 2, c, v] for c, r, v in zip(close, extent, volume, strict=True)]
    return frame(np.array(rows))


def test_a_bull_flag_is_found_once():
    assert features(flag_bars())["bull_flag"].to_list() == [None] * 27 + [0.0] * 13 + [1.0] + [0.0] * 3


@pytest.mark.parametrize(
    "without",
    [{"pole": 0.004}, {"last_volume": 700.0}, {"wide": 1.9}, {"pole_range": 6.0}],
    ids=["rose too little", "exactly 0.7 of the usual volume", "one wide day in the pause", "more movement than before"],
)
def test_a_bull_flag_needs_every_condition(without: dict[str, float]):
    """Spoiled in one condition, and only in that one, the same bars give none."""
    assert features(flag_bars(**without))["bull_flag"].sum() == 0


@pytest.mark.parametrize(("close", "volume", "expected"), [(111, 1_600, 1), (110, 1_600, 0), (111, 1_500, 0), (109, 9_000, 0)])
def test_a_breakout_is_above_the_highest_high_on_more_than_usual_volume(close: float, volume: float, expected: float):
    """Touching the old high or trading exactly 1.5 times the mean is none; today's own high and volume are not what it is compared with."""
    before = [[100, 110 if t == 4 else 101, 99, 100, 1_000] for t in range(22)]
    out = features(frame(np.array([*before, [100, 120, 99, close, volume]], dtype=float)))
    assert out["breakout_20"].to_list() == [None] * 20 + [0, 0, expected]


def test_equal_prices_are_neither_higher_nor_inside():
    same = [[100.0, 101.0, 99.0, 100.0, 1_000.0]] * 40
    out = features(frame(np.array(same)))
    assert {name: out[name][-1] for name in NAMES} == dict.fromkeys(NAMES, 0.0)


def test_a_gap_is_measured_after_dividend_and_split():
    """Closing at 100, split 2:1 with a dividend of 1 a new share, opening at 49: nobody gained or lost overnight."""
    rows = np.array([[100, 101, 99, 100, 1_000], [49, 50, 48, 49, 2_000]], dtype=float)
    prices = frame(rows).with_columns(split_factor=pl.Series([1.0, 2.0]), dividend=pl.Series([0.0, 1.0]))
    assert features(prices)["gap"].to_list() == [None, pytest.approx(0.0, abs=1e-12)]
    assert features(prices)["gap_down"].to_list() == [None, 0.0]


def test_nothing_traded_no_range_and_no_bars():
    still = bars("AAA", 60, actions=False).with_columns(open=10.0, high=10.0, low=10.0, close=10.0, volume=0.0)
    last = features(still).row(-1, named=True)
    assert last["bull_flag"] is last["breakout_20"] is None
    assert [last[name] for name in NAMES if name not in ("bull_flag", "breakout_20")] == [0.0] * (len(NAMES) - 2)
    moving = bars("AAA", 60, actions=False)
    halted = moving.with_columns(pl.when(pl.int_range(pl.len()) < 30).then(pl.col(*FIELDS)).otherwise(pl.col("close").first()))
    assert features(halted)["small_range_day"][45:].sum() == 0
    for n in (1, 2, 5):
        out = features(bars("AAA", n))
        assert all(out[feature.name].is_not_null().sum() == max(n - feature.lookback, 0) for feature in FEATURES)
    assert all(features(adjusted_only(bars("AAA", 60)))[name].null_count() == 60 for name in NAMES)


def test_a_flag_is_unknown_while_what_it_reads_is():
    """A missing volume makes a breakout unknown even where the close is below the range and the rest would settle it."""
    prices = bars("AAA", 100).with_columns(volume=pl.when(pl.int_range(pl.len()) != 50).then(pl.col("volume")))
    out = features(prices)
    assert out["breakout_20"][50:72].is_null().to_list() == [True] * 21 + [False]
    assert out["bull_flag"][50:57].is_null().to_list() == [True] * 6 + [False]
    for name, after in itertools.product(("higher_high_5", "inside_day", "gap"), (50, 51)):
        assert out[name][after] is not None
