"""Alpha158 against pandas: qlib's definitions as its loader writes them, over full windows and without the 1e-12."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from bokeh_sampledata import stocks

from quant_assets.features.alpha158 import FEATURES, SPANS
from quant_assets.features.compute import compute
from quant_assets.features.feature import Feature
from quant_assets_tests.features.panels import N, bars

NAMES = tuple(feature.name for feature in FEATURES)


def ibm() -> pl.DataFrame:
    """The last 700 real bars; IBM had dividends but no split in them, and here both are left out on either side."""
    data = pl.DataFrame({name: stocks.IBM[name] for name in ("date", "open", "high", "low", "close", "volume")}).tail(700)
    return data.select(
        pl.lit("IBM").alias("ticker"),
        pl.col("date").str.to_date().alias("session"),
        *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")),
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
    )


def broken() -> pl.DataFrame:
    """Bars without open, high, low and volume, without trading, without a range, and prices in whole dollars, so that many are equal."""
    row = pl.int_range(pl.len())
    prices = bars("BAD", n=320, actions=False).with_columns(pl.col("open", "high", "low", "close").round(0))
    return prices.with_columns(
        pl.when(~row.is_in([0, 150, 151])).then(pl.col("open", "high", "low", "volume")),
    ).with_columns(
        pl.when(row.is_in([40, 230])).then(0.0).otherwise(pl.col("volume")).alias("volume"),
        *(pl.when(row == 90).then(pl.col("close")).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low")),
    )


def windowed(statistic: Callable[..., float], d: int, *columns: pd.Series) -> pd.Series:
    """The statistic of each window of d bars, NaN while a value is missing in it."""
    arrays = [column.to_numpy() for column in columns]
    out = np.full(len(arrays[0]), np.nan)
    for t in range(d - 1, len(out)):
        windows = [array[t - d + 1 : t + 1] for array in arrays]
        if not any(np.isnan(window).any() for window in windows):
            out[t] = statistic(*windows)
    return pd.Series(out)


def slope(y: np.ndarray) -> float:
    x = np.arange(len(y)) - (len(y) - 1) / 2
    return (x * (y - y.mean())).sum() / (x * x).sum()


def residual(y: np.ndarray) -> float:
    return y[-1] - y.mean() - slope(y) * (len(y) - 1) / 2


def r_value(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())


def as_qlib_writes_them(frame: pl.DataFrame) -> dict[str, pd.Series]:
    raw = {name: pd.Series(frame[name].to_numpy().astype(float)) for name in ("open", "high", "low", "close", "volume")}
    split, dividend = (pd.Series(frame[name].to_numpy().copy()) for name in ("split_factor", "dividend"))
    gain = split * (1 + dividend / raw["close"])
    gain[0] = split[0] = 1.0
    o, h, l, c = (raw[name] * gain.cumprod() for name in ("open", "high", "low", "close"))  # noqa: E741
    v = raw["volume"] / split.cumprod()
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    out = {
        "kmid": (c - o) / o,
        "klen": (h - l) / o,
        "kmid2": (c - o) / (h - l),
        "kup": (h - top) / o,
        "kup2": (h - top) / (h - l),
        "klow": (bottom - l) / o,
        "klow2": (bottom - l) / (h - l),
        "ksft": (2 * c - h - l) / o,
        "ksft2": (2 * c - h - l) / (h - l),
        "open_0": o / c,
        "high_0": h / c,
        "low_0": l / c,
        "typical_0": (h + l + c) / 3 / c,
    }
    c1, v1 = c.shift(1), v.shift(1)
    known = c1.notna()
    rose, fell = (c > c1).astype(float).where(known), (c < c1).astype(float).where(known)
    rise, fall, move = (c - c1).clip(lower=0), (c1 - c).clip(lower=0), (c - c1).abs()
    vrise, vfall, vmove = (v - v1).clip(lower=0), (v1 - v).clip(lower=0), (v - v1).abs()
    weighed = (c / c1 - 1).abs() * v
    log_volume, log_growth = np.log(v.where(v > 0)), np.log((v / v1.where(v1 > 0)) + 1)
    time = pd.Series(np.arange(len(c), dtype=float))
    for d in SPANS:
        imax, imin = windowed(lambda x: x.argmax() + 1, d, h), windowed(lambda x: x.argmin() + 1, d, l)
        highest, lowest = h.rolling(d).max(), l.rolling(d).min()
        of_span = {
            "roc": c.shift(d) / c,
            "ma": c.rolling(d).mean() / c,
            "std": windowed(lambda x: x.std(ddof=1), d, c) / c,
            "beta": windowed(slope, d, c) / c,
            "rsqr": windowed(r_value, d, c, time) ** 2,
            "resi": windowed(residual, d, c) / c,
            "max": highest / c,
            "min": lowest / c,
            "qtlu": c.rolling(d).quantile(0.8) / c,
            "qtld": c.rolling(d).quantile(0.2) / c,
            "rank": c.rolling(d).rank(pct=True),
            "rsv": (c - lowest) / (highest - lowest),
            "imax": imax / d,
            "imin": imin / d,
            "imxd": (imax - imin) / d,
            "corr": windowed(r_value, d, c, log_volume),
            "cord": windowed(r_value, d, c / c1, log_growth),
            "cntp": rose.rolling(d).mean(),
            "cntn": fell.rolling(d).mean(),
            "cntd": rose.rolling(d).mean() - fell.rolling(d).mean(),
            "sump": rise.rolling(d).sum() / move.rolling(d).sum(),
            "sumn": fall.rolling(d).sum() / move.rolling(d).sum(),
            "sumd": (rise.rolling(d).sum() - fall.rolling(d).sum()) / move.rolling(d).sum(),
            "vma": v.rolling(d).mean() / v,
            "vstd": windowed(lambda x: x.std(ddof=1), d, v) / v,
            "wvma": windowed(lambda x: x.std(ddof=1), d, weighed) / weighed.rolling(d).mean(),
            "vsump": vrise.rolling(d).sum() / vmove.rolling(d).sum(),
            "vsumn": vfall.rolling(d).sum() / vmove.rolling(d).sum(),
            "vsumd": (vrise.rolling(d).sum() - vfall.rolling(d).sum()) / vmove.rolling(d).sum(),
        }
        out |= {f"{name}_{d}": values for name, values in of_span.items()}
    return {f"alpha_{name}": values for name, values in out.items()}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(
    "prices", [ibm(), bars("AAA", n=400), bars("BBB", n=130, seed=5), broken()], ids=["ibm", "split", "short", "broken"]
)
def test_every_value_is_that_of_the_definition(prices: pl.DataFrame):
    """Tolerance 1e-9: rolling sums against fresh ones for each window; 1e-11 absolute where differences of prices cancel."""
    out = compute({"prices": prices}, names=NAMES)
    expected = as_qlib_writes_them(prices)
    assert set(expected) == set(NAMES)
    for name, values in expected.items():
        wanted = values.where(np.isfinite(values)).to_numpy()
        np.testing.assert_allclose(out[name].fill_null(np.nan).to_numpy(), wanted, rtol=1e-9, atol=1e-11, err_msg=name)


def test_the_names_are_the_158_of_qlib_in_its_order():
    shapes = "kmid klen kmid2 kup kup2 klow klow2 ksft ksft2 open_0 high_0 low_0 typical_0"
    rolling = (
        "roc ma std beta rsqr resi max min qtlu qtld rank rsv imax imin imxd corr cord cntp cntn cntd "
        "sump sumn sumd vma vstd wvma vsump vsumn vsumd"
    )
    assert [f"alpha_{name}" for name in (*shapes.split(), *(f"{stem}_{d}" for stem in rolling.split() for d in SPANS))] == list(NAMES)
    assert len(NAMES) == 158


def last(prices: pl.DataFrame) -> dict[str, float | None]:
    return {name.removeprefix("alpha_"): value for name, value in compute({"prices": prices}, names=NAMES).tail(1).to_dicts()[0].items()}


def test_a_price_that_stands_still_after_a_wild_past():
    """The past leaves no rest in a running sum: what is 0 is 0 (slopes within 1e-14) and what means nothing is null."""
    row = pl.int_range(pl.len())
    wild = bars("AAA", n=300, actions=False).with_columns(pl.col("open", "high", "low", "close") * 1_000, pl.col("volume") * 1e6)
    still = wild.with_columns(
        pl.when(row >= 200).then(10.0).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close", "volume")
    )
    out = last(still)
    null = {"kmid2", "kup2", "klow2", "ksft2"}
    null |= {
        f"{name}_{d}" for name in ["rsqr", "rsv", "corr", "cord", "sump", "sumn", "sumd", "wvma", "vsump", "vsumn", "vsumd"] for d in SPANS
    }
    assert {name for name, value in out.items() if value is None} == null
    zero = {f"{name}_{d}" for name in ("std", "cntp", "cntn", "cntd", "vstd") for d in SPANS}
    assert {name: out[name] for name in zero} == dict.fromkeys(zero, 0.0)
    assert [out[f"{name}_60"] for name in ("roc", "max", "min", "qtlu", "qtld")] == [1.0] * 5
    assert [out["ma_60"], out["vma_60"], out["resi_60"], out["beta_60"]] == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-14)
    assert [out["rank_60"], out["imax_60"], out["imin_60"], out["imxd_60"]] == [30.5 / 60, 1 / 60, 1 / 60, 0.0]


def test_no_trading_gives_null_and_never_a_number():
    dead = bars("AAA", n=130, actions=False).with_columns(volume=0.0)
    out = last(dead)
    of_volume = {f"{name}_{d}" for name in ["corr", "cord", "vma", "vstd", "wvma", "vsump", "vsumn", "vsumd"] for d in SPANS}
    assert {name for name, value in out.items() if value is None} == of_volume


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_is_null(n: int):
    out = compute({"prices": bars("AAA", n=n)}, names=NAMES)
    for feature in FEATURES:
        assert out[feature.name].null_count() == min(n, feature.lookback), feature.name


def test_paths_whose_shape_is_known():
    """A straight line has R2 1 and residual 0; a path that goes up as it came down R2 0; a rise every day is all rise."""
    frame = bars("AAA", n=61, actions=False)
    line = last(frame.with_columns(close=100 + pl.int_range(pl.len()) * 0.5))
    valley = last(frame.with_columns(close=100 + (pl.int_range(pl.len()) - 55.5).abs()))
    assert [line["rsqr_60"], line["resi_60"], line["beta_60"]] == pytest.approx([1.0, 0.0, 0.5 / 130], abs=1e-13)
    assert [line[name] for name in ("rank_60", "cntp_60", "cntn_60", "sump_60", "sumn_60", "sumd_60")] == [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    assert valley["rsqr_10"] == pytest.approx(0.0, abs=1e-13)


def test_quiet_and_steep_paths_keep_their_digits():
    """A price that moves in its eighth digit after a thousandfold fall: R2 and correlation to 1e-9 of those in extended precision."""
    rng = np.random.default_rng(4)
    close = np.concatenate([1e5 * np.exp(rng.normal(0, 0.05, 150)), 100 * (1 + np.cumsum(rng.normal(0, 1e-8, 150)))])
    prices = bars("AAA", n=300, actions=False).with_columns(close=pl.Series(close))
    out = compute({"prices": prices}, names=NAMES)
    x, y = close.astype(np.longdouble), np.log(prices["volume"].to_numpy()).astype(np.longdouble)
    for t in range(240, 300):
        for d in SPANS:
            window = slice(t - d + 1, t + 1)
            assert out[f"alpha_corr_{d}"][t] == pytest.approx(float(r_value(x[window], y[window])), rel=1e-9, abs=1e-12)
            time = np.arange(d, dtype=np.longdouble)
            assert out[f"alpha_rsqr_{d}"][t] == pytest.approx(float(r_value(x[window], time) ** 2), rel=1e-9, abs=1e-12)
            assert out[f"alpha_beta_{d}"][t] == pytest.approx(float(slope(x[window]) / x[t]), rel=1e-9, abs=1e-15)
            assert out[f"alpha_resi_{d}"][t] == pytest.approx(float(residual(x[window]) / x[t]), rel=1e-9, abs=1e-14)
            assert out[f"alpha_std_{d}"][t] == pytest.approx(float(x[window].std(ddof=1) / x[t]), rel=1e-6)


COUNTS = [feature for feature in FEATURES if feature.unit in ("fraction of window", "fraction of sessions")]


@pytest.mark.parametrize("feature", COUNTS, ids=lambda feature: feature.name)
def test_dividends_and_the_close_they_are_reinvested_at_count(feature: Feature):
    """Places and counts stay where they are under a small disturbance: here each session pays 3 % and what it pays is doubled or not."""
    rng = np.random.default_rng(0)
    prices = bars("AAA", actions=False).with_columns(dividend=pl.col("close") * 0.03)
    base = compute({"prices": prices}, names=(feature.name,))
    for column, values in (("dividend", rng.uniform(0, 2, N)), ("close", rng.uniform(0.5, 1.5, N))):
        moved = compute({"prices": prices.with_columns((pl.col(column) * pl.Series(values)).alias(column))}, names=(feature.name,))
        assert not moved.equals(base), column
