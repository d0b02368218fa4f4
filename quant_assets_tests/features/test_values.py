"""Three oracles: published numbers, TA-Lib itself, loops that anybody can read."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import statistics
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
from bokeh_sampledata import stocks

from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import compute
from quant_assets.features.feature import USD
from quant_assets.features.momentum import relative_strength_index
from quant_assets.features.trend import ema_distance, ema_level
from quant_assets_tests.features.panels import bars, evaluated, index_bars, quandl_sample

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = {case["id"]: case for case in json.loads((GOLDEN / "indicators_talib.json").read_text())["cases"]}


def without_actions(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(price_basis=pl.lit("raw"), split_factor=pl.lit(1.0), dividend=pl.lit(0.0))


@pytest.fixture(scope="module")
def published() -> pl.DataFrame:
    frame = pl.read_csv(GOLDEN / "indicators_ohlcv.csv")
    return frame.select(adj_close="close", growth=pl.lit(1.0), price_basis=pl.lit("raw"))


@pytest.fixture(scope="module")
def ibm() -> pl.DataFrame:
    """3,270 real bars; IBM had dividends but no split in them, and here both are left out on either side."""
    data = pl.DataFrame({name: stocks.IBM[name] for name in ("date", "open", "high", "low", "close", "volume")})
    return without_actions(
        data.with_columns(ticker=pl.lit("IBM"), session=pl.col("date").str.to_date(), volume=pl.col("volume").cast(float))
    )


@pytest.mark.parametrize(
    ("case", "expression", "field"),
    [
        ("rsi14", relative_strength_index(14), "rsi"),
        ("ema20", ema_level(20), "values"),
        ("ema20", pl.col("adj_close") / (ema_distance(20) + 1), "values"),
    ],
)
def test_published_values(published: pl.DataFrame, case: str, expression: pl.Expr, field: str):
    expected = pl.Series(CASES[case]["expected"][field], dtype=pl.Float64)
    found = evaluated(published, x=expression.fill_nan(None))["x"]
    assert found.is_null().equals(expected.is_null())
    tolerance = CASES[case]["tolerance"]
    np.testing.assert_allclose(found.drop_nulls(), expected.drop_nulls(), rtol=tolerance["rel"], atol=tolerance["abs"])


def test_against_talib_on_thirteen_years_of_ibm(ibm: pl.DataFrame):
    """TA-Lib 0.8 through its own wrapper. Tolerance 1e-9 relative to the size of the quantity: both sum 3,270 bars in another order."""
    out = compute({"prices": ibm, "index_prices": index_bars()})
    high, low, close = (ibm[name].to_numpy() for name in ("high", "low", "close"))
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0, 0)
    macd, _, histogram = talib.MACD(close, 12, 26, 9)
    expected = {
        "rsi_14": talib.RSI(close, 14),
        "atr_14": talib.ATR(high, low, close, 14),
        "atr_14_pct": talib.ATR(high, low, close, 14) / close,
        "macd": macd / close,
        "macd_hist": histogram / close,
        "bollinger_position": (close - lower) / (upper - lower),
        "bollinger_width": (upper - lower) / middle,
        **{f"ema_{span}": talib.EMA(close, span) for span in (9, 21, 50, 200)},
        **{f"ema_{span}_distance": close / talib.EMA(close, span) - 1 for span in (9, 21, 50, 200)},
        **{f"ret_{n}": np.concatenate([np.full(n, np.nan), close[n:] / close[:-n] - 1]) for n in (1, 5, 20)},
    }
    for name, values in expected.items():
        np.testing.assert_allclose(out[name].fill_null(np.nan), values, rtol=1e-9, atol=1e-11, err_msg=name)


def naive_total_returns(frame: pl.DataFrame) -> list[float]:
    """Return of each bar, from the bar before; the first has none."""
    rows = frame.to_dicts()
    returns = [math.nan]
    for before, bar in itertools.pairwise(rows):
        split = bar["split_factor"]
        returns.append((bar["close"] + bar["dividend"]) * split / before["close"] - 1)
    return returns


def test_volatility_beta_and_volume_ratio_against_loops():
    """Tolerance 1e-9: rolling sums against fresh ones for each window."""
    prices, index = bars("AAA"), index_bars()
    out = compute({"prices": prices, "index_prices": index})
    name_returns = naive_total_returns(prices)
    level = index["close"].to_list()
    index_returns = [math.nan, *(b / a - 1 for a, b in itertools.pairwise(level))]
    shares = np.cumprod(prices["split_factor"].to_numpy())
    traded = (prices["volume"].to_numpy() / shares).tolist()

    def volatility(t: int, n: int) -> float:
        return statistics.stdev(math.log1p(r) for r in name_returns[t - n + 1 : t + 1]) * math.sqrt(252)

    for t in range(60, prices.height):
        x, y = index_returns[t - 59 : t + 1], name_returns[t - 59 : t + 1]
        expected = {
            "volatility_20": volatility(t, 20),
            "volatility_60": volatility(t, 60),
            "volatility_ratio": volatility(t, 20) / volatility(t, 60),
            "volume_ratio_20": traded[t] / statistics.fmean(traded[t - 20 : t]),
            "beta_60": statistics.linear_regression(x, y).slope,
            "ret_20": math.prod(1 + r for r in name_returns[t - 19 : t + 1]) - 1,
        }
        for name, value in expected.items():
            assert out[name][t] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, t)


def test_usd_levels_are_in_prices_of_their_own_session():
    """After a 3:1 split the level is a third of what it would be, and the bars before it keep theirs."""
    plain = bars("AAA", actions=False)
    day = 130
    split = plain.with_columns(
        pl.when(pl.int_range(pl.len()) >= day)
        .then(pl.col("open", "high", "low", "close") / 3)
        .otherwise(pl.col("open", "high", "low", "close")),
        split_factor=pl.when(pl.int_range(pl.len()) == day).then(3.0).otherwise(1.0),
        volume=pl.when(pl.int_range(pl.len()) >= day).then(pl.col("volume") * 3).otherwise(pl.col("volume")),
    )
    index = index_bars()
    before, after = compute({"prices": plain, "index_prices": index}), compute({"prices": split, "index_prices": index})
    for name in before.columns[2:]:
        shares = np.where(np.arange(plain.height) >= day, 3.0 if CATALOG[name].unit == USD else 1.0, 1.0)
        np.testing.assert_allclose(
            after[name].fill_null(np.nan) * shares, before[name].fill_null(np.nan), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_a_seven_for_one_split_is_no_crash(shared: Path):
    """AAPL fell from 645.57 to 93.70 on 2014-06-09: a total return of +1.6 %, and an ATR a seventh of the day before."""
    prices = quandl_sample(shared).filter(pl.col("ticker") == "AAPL")
    out = compute({"prices": prices, "index_prices": index_bars()})
    eve, day = out.filter(pl.col("session").is_in([dt.date(2014, 6, 6), dt.date(2014, 6, 9)])).to_dicts()
    assert day["ret_1"] == pytest.approx(93.70 * 7 / 645.57 - 1)
    assert day["atr_14"] == pytest.approx(eve["atr_14"] / 7, rel=0.1)
    assert day["ema_9"] == pytest.approx(eve["ema_9"] / 7, rel=0.02)
    assert day["volume_ratio_20"] < 2
