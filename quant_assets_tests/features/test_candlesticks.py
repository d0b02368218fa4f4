"""TA-Lib's own wrapper on real and made-up bars, loops for three shapes, and bars on which a pattern means nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import talib
from bokeh_sampledata import stocks
from talib import abstract

from quant_assets.features.candlesticks import FEATURES, GRADES, PATTERNS
from quant_assets.features.compute import compute
from quant_assets_tests.features.panels import adjusted_only, bars, tables

FIELDS = ("open", "high", "low", "close")
NAMES = tuple(feature.name for feature in FEATURES)


def cents(n: int, seed: int) -> np.ndarray:
    """(n, 4) bars in whole cents near 1,000 dollars, calm and wild by turns: every pattern occurs, and many stand on a threshold."""
    rng = np.random.default_rng(seed)
    body = np.round((rng.integers(-12, 13, n) + rng.choice([-6, 6], n // 50 + 1).repeat(50)[:n]) * rng.choice([0, 0.1, 1, 1, 1, 3], n))
    gap = rng.integers(-4, 5, n) * rng.choice([0, 0, 1, 3], n)
    opening = 100_000 + np.cumsum(gap + body) - body
    closing = opening + body
    shadows = rng.integers(0, 8, (2, n)) * rng.choice([0, 0, 0, 0.3, 1, 2], (2, n))
    high, low = np.maximum(opening, closing) + shadows[0], np.minimum(opening, closing) - shadows[1]
    return np.round(np.stack([opening, high, low, closing], axis=1)) / 100


def frame(ohlc: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(ohlc, schema=[f"adj_{name}" for name in FIELDS])


def evaluate(ohlc: pl.DataFrame) -> pl.DataFrame:
    return ohlc.select(feature.expression.alias(feature.name) for feature in FEATURES)


def talib_says(function: str, name: str, ohlc: np.ndarray) -> np.ndarray:
    found = getattr(talib, f"CDL{function.upper()}")(*np.ascontiguousarray(ohlc.T))
    return np.sign(found) * (np.abs(found) == GRADES[name]) if name in GRADES else np.sign(found)


@pytest.mark.parametrize("source", ["IBM", "AAPL", "made up"])
def test_against_talib(source: str):
    """Exactly TA-Lib 0.8 through its own wrapper, but null where it says 0 for want of bars; fields that we say are not read are not."""
    data = getattr(stocks, source, {})
    ohlc = np.array([data[name] for name in FIELDS], dtype=float).T if data else cents(300_000, seed=4)
    out = evaluate(frame(ohlc))
    compared = set()
    for name, function, _, lookback, low, high, _ in PATTERNS:
        found, expected = out[f"cdl_{name}"], talib_says(function, name, ohlc)
        assert found.null_count() == found.is_not_null().arg_max() == lookback == abstract.Function(f"CDL{function.upper()}").lookback
        np.testing.assert_array_equal(found[lookback:], expected[lookback:], err_msg=name)
        if source == "made up":
            assert set(found[lookback:].unique()) == set(range(low, high + 1)), name
        compared.add(f"cdl_{name}")
    assert compared == set(NAMES)


def test_three_shapes_against_loops():
    ohlc = cents(3_000, seed=0)
    out = evaluate(frame(ohlc))
    rows = ohlc.tolist()
    for t in range(10, len(rows)):
        opening, high, low, closing = rows[t]
        body, usual_range = abs(closing - opening), sum(bar[1] - bar[2] for bar in rows[t - 10 : t]) / 10
        usual_body = sum(abs(bar[3] - bar[0]) for bar in rows[t - 10 : t]) / 10
        assert out["cdl_doji"][t] == (body <= usual_range * 0.1), t
        bare = high - max(opening, closing) < usual_range * 0.1 and min(opening, closing) - low < usual_range * 0.1
        colour = 1 if closing >= opening else -1
        assert out["cdl_marubozu"][t] == (colour if body > usual_body and bare else 0), t
        first, last = rows[t - 1][0], rows[t - 1][3]
        covers = min(opening, closing) <= min(first, last) and max(opening, closing) >= max(first, last) and body > abs(last - first)
        other_colour = colour != (1 if last >= first else -1)
        assert out["cdl_engulfing"][t] == (colour if covers and other_colour else 0), t
    assert all(out[f"cdl_{name}"].abs().sum() > 50 for name in ("doji", "marubozu", "engulfing"))


def test_a_hikkake_and_its_confirmation_are_two_events():
    """An inside day, a bar that breaks it downwards (a bear trap: bullish), and a close above the inside day's high."""
    ohlc = np.array([[10, 11, 9, 10]] * 6 + [[10, 12, 8, 10], [10, 11, 9, 10], [9.5, 10.5, 8.5, 9.5], [9.5, 11.5, 9, 11.2]], dtype=float)
    out = evaluate(frame(ohlc))
    assert out["cdl_hikkake"].to_list()[5:] == [0, 0, 0, 1, 0]
    assert out["cdl_hikkake_confirmed"].to_list()[5:] == [0, 0, 0, 0, 1]


def test_a_history_that_starts_later_gives_the_same_patterns():
    """TA-Lib's running sums are exact on prices, so not even a bar exactly on a threshold falls the other way."""
    ohlc = cents(4_000, seed=1) * 1.0123456789
    ohlc[2_000:2_040] = ohlc[1_999, 3]
    whole = evaluate(frame(ohlc))
    for start in range(1, 3_900, 101):
        part = evaluate(frame(ohlc[start : start + 300]))
        for feature in FEATURES:
            assert part[feature.name][feature.lookback :].equals(whole[feature.name][start + feature.lookback : start + 300]), feature.name


def test_a_bar_without_a_field_is_passed_over():
    ohlc = cents(5_000, seed=2)
    holes = np.zeros(len(ohlc), dtype=bool)
    holes[[0, 1, 700, 701, 4_999]] = True
    blank = frame(ohlc).with_columns(pl.when(~pl.Series(holes)).then(pl.col("adj_open", "adj_high", "adj_low")))
    out, apart = evaluate(blank), evaluate(frame(ohlc[~holes]))
    assert out.filter(pl.Series(holes)).null_count().row(0) == (holes.sum(),) * len(NAMES)
    assert out.filter(pl.Series(~holes)).equals(apart)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_too_little_history_is_null(n: int):
    out = evaluate(frame(cents(5_000, seed=3)[:n]))
    for feature in FEATURES:
        assert out[feature.name].is_not_null().sum() == max(n - feature.lookback, 0)


def test_only_closes_give_nothing():
    out = compute({**tables(), "prices": adjusted_only(bars("AAA", 60))}, names=NAMES)
    assert all(out[name].null_count() == 60 for name in NAMES)


def test_a_price_that_never_moves_is_a_doji_and_nothing_else():
    """Open and close are one price, so a doji it is; every shape with a shadow, a body or a gap is absent."""
    moving = cents(100, seed=5)
    moving[50:] = moving[49, 3]
    last = evaluate(frame(moving)).row(-1, named=True)
    assert {name for name, value in last.items() if value != 0} == {"cdl_doji"}


def test_a_split_and_a_dividend_are_no_gap():
    """A price that falls by what was paid out or split away stands still: the patterns are those of the series without actions."""
    plain = bars("AAA", 200, actions=False)
    after = pl.int_range(pl.len()) >= 100
    fields = pl.col(*FIELDS)
    split = plain.with_columns(
        pl.when(after).then(fields / 4).otherwise(fields), split_factor=pl.when(pl.int_range(pl.len()) == 100).then(4.0).otherwise(1.0)
    )
    before = compute({**tables(), "prices": plain}, names=NAMES)
    assert compute({**tables(), "prices": split}, names=NAMES).equals(before)
