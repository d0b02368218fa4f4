"""What must hold for every feature at once: the future is withheld, tickers are apart, gaps give null."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.features.catalog import CATALOG, OF_BARS
from quant_assets.features.compute import compute
from quant_assets.features.feature import FLAG, Feature
from quant_assets.schemas import TABLES
from quant_assets_tests.features.panels import SESSIONS, N, adjusted_only, bars, index_bars, tables

BEYOND_CLOSES = {f"prices.{name}" for name in ("open", "high", "low", "volume", "price_basis")}
FLAGS = {FLAG, "-1, 0 or 1"}
PLACES = {"fraction of window", "fraction of sessions", "0..100 in steps of 4", "-100..100 in steps of 4"}
PRICES = pl.concat([bars("AAA"), bars("BBB", n=90), adjusted_only(bars("CCC")), bars("DDD").sample(fraction=0.95, seed=3)])
INDEX = tables()["index_prices"]


def features(prices: pl.DataFrame = PRICES, index: pl.DataFrame = INDEX, **options: object) -> pl.DataFrame:
    return compute({**tables(), "prices": prices, "index_prices": index}, **options)


def disturbed(frame: pl.DataFrame, after: dt.date, how: str, seed: int) -> pl.DataFrame:
    """The frame with every row after `after` deleted, made up anew (with splits and dividends), or emptied."""
    future = pl.col("session") > after
    if how == "deleted":
        return frame.filter(~future)
    rng = np.random.default_rng(seed)
    columns = {}
    for name in ("open", "high", "low", "close", "volume"):
        if name in frame.columns:
            columns[name] = pl.Series(rng.lognormal(3, 2, frame.height))
    if "split_factor" in frame.columns:
        columns["split_factor"] = pl.Series(rng.choice([0.1, 1.0, 7.0], frame.height))
        columns["dividend"] = pl.Series(rng.choice([0.0, 1e-4], frame.height)) * columns["close"].min()
    if {"high", "low"} <= columns.keys():
        both = columns["high"], columns["low"]
        columns["high"], columns["low"] = (pl.select(edge(*both)).to_series() for edge in (pl.max_horizontal, pl.min_horizontal))
    if how == "emptied":
        columns |= {
            name: pl.Series([None] * frame.height, dtype=pl.Float64) for name in ("open", "high", "low", "volume") if name in columns
        }
    return frame.with_columns(pl.when(future).then(values).otherwise(pl.col(name)).alias(name) for name, values in columns.items())


def assert_future_is_withheld(after: dt.date, how: str, seed: int) -> None:
    past = pl.col("session") <= after
    moved = features(disturbed(PRICES, after, how, seed), disturbed(INDEX, after, how, seed))
    assert_frame_equal(moved.filter(past), features().filter(past), check_exact=True)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(t=st.integers(0, N - 2), how=st.sampled_from(["deleted", "made up", "emptied"]), seed=st.integers(0, 2**16))
def test_the_future_changes_nothing(t: int, how: str, seed: int):
    """Exact equality for every catalogue entry on every bar up to t: a rounding difference would already be a leak."""
    assert_future_is_withheld(SESSIONS[t], how, seed)


def test_a_leak_would_be_found(monkeypatch: pytest.MonkeyPatch):
    leak = Feature("leak", "x", pl.col("adj_close").shift(-1), ("prices.close",), 0, False, "USD", "x", "tomorrow", "last bar", "none")
    monkeypatch.setitem(CATALOG, "leak", leak)
    monkeypatch.setitem(OF_BARS, "leak", leak)
    with pytest.raises(AssertionError, match="leak"):
        assert_future_is_withheld(SESSIONS[100], "deleted", 0)


def test_a_split_tomorrow_changes_no_value_of_today():
    t = SESSIONS[200]
    tomorrow = pl.col("session") == SESSIONS[201]
    split = PRICES.with_columns(split_factor=pl.when(tomorrow).then(20.0).otherwise(pl.col("split_factor")))
    past, future = pl.col("session") <= t, pl.col("session") > t
    assert_frame_equal(features(split).filter(past), features().filter(past), check_exact=True)
    assert not features(split).filter(future).equals(features().filter(future))


def test_declared_inputs_are_all_the_inputs():
    """Disturb one stored column at a time: exactly the features that declare it may move."""
    prices = bars("AAA")
    base = features(prices)
    rng = np.random.default_rng(0)
    wobble = pl.Series(rng.uniform(0.5, 2.0, N))
    # some features count sessions without trade, or those since a dividend
    with_zeros = {"volume": wobble.clone().scatter(N // 3, 0.0), "dividend": wobble.clone().scatter(315, 0.0)}
    # a high stays above its low
    with_zeros |= {"high": wobble + 0.5, "low": wobble / 2}
    for column in ("open", "high", "low", "close", "volume", "dividend", "split_factor"):
        by = with_zeros.get(column, wobble)
        moved = features(prices.with_columns((pl.col(column) * by).alias(column)))
        assert_moved(base, moved, f"prices.{column}")
    assert_moved(base, features(prices.with_columns(price_basis=pl.lit("adjusted"))), "prices.price_basis")
    assert_moved(base, features(prices, INDEX.with_columns(pl.col("close") * wobble)), "index_prices.close")


def assert_moved(base: pl.DataFrame, moved: pl.DataFrame, column: str) -> None:
    found = {name for name in OF_BARS if not base[name].equals(moved[name])}
    declared = {name for name, feature in OF_BARS.items() if column in feature.inputs}
    assert found <= declared, (column, found - declared)
    # flags and places move in steps, and may rightly stay where they are: their families have tests of their own
    still = {name for name in declared - found if OF_BARS[name].unit not in FLAGS | PLACES}
    assert not still, (column, still)


def test_the_frame_is_the_declared_table():
    out = features()
    assert_frame_equal(TABLES["features"].conform(out), out)
    assert out.height == PRICES.height
    assert out.select("ticker", "session").equals(PRICES.select("ticker", "session").sort("ticker", "session"))


@pytest.mark.parametrize(("first", "last"), [(0, 30), (100, 101), (210, 259), (540, 590), (599, 600)])
def test_a_window_equals_its_part_of_the_whole(first: int, last: int):
    window = Window(SESSIONS[first], SESSIONS[last])
    inside = pl.col("session").is_between(window.start, window.end, closed="left")
    assert_frame_equal(features(window=window), features().filter(inside), rel_tol=1e-9)


def test_only_recursive_features_read_beyond_their_lookback():
    """From a history cut to the look-back the last value is the same within 1e-9, or the feature says that it is recursive."""
    prices = bars("AAA")
    whole = features(prices).tail(1)
    for name, feature in OF_BARS.items():
        if feature.recursive and feature.unit in FLAGS:
            continue  # mostly the same by chance
        cut = features(prices.tail(feature.lookback + 1), names=(name,)).tail(1)
        same = cut[name].item() == pytest.approx(whole[name].item(), rel=1e-9, abs=1e-12)
        assert same != feature.recursive, name


def test_adjusted_only_names_have_what_a_close_can_tell():
    out = features(adjusted_only(bars("CCC", actions=False)))
    for name, feature in OF_BARS.items():
        if BEYOND_CLOSES & set(feature.inputs):
            assert out[name].null_count() == out.height, name
        else:
            assert out[name].null_count() == feature.lookback, name


@pytest.mark.parametrize("hole", [slice(0, 30), slice(120, 121)])
def test_missing_fields_pass(hole: slice):
    """Bars without open, high, low and volume give null there and poison nothing that follows."""
    rows = pl.int_range(pl.len()).is_between(hole.start, hole.stop, closed="left")
    prices = bars("AAA")
    out = features(prices.with_columns(pl.when(~rows).then(pl.col("open", "high", "low", "volume"))))
    beyond = [
        name for name, feature in OF_BARS.items() if {"prices.open", "prices.high", "prices.low", "prices.volume"} & set(feature.inputs)
    ]
    for name in beyond:
        assert out[name][hole].null_count() == hole.stop - hole.start, name
        assert out[name][hole.stop + OF_BARS[name].lookback :].null_count() == 0, name
    assert out["volume_ratio_20"][hole.stop : hole.stop + 20].null_count() == 20
    assert out["volume_ratio_20"][hole.stop + 20 :].null_count() == 0
    closes_only = [name for name in OF_BARS if name not in beyond]
    assert_frame_equal(out.select(closes_only), features(prices).select(closes_only), check_exact=True)


def test_a_price_that_never_moves_is_null_where_a_ratio_means_nothing():
    still = bars("AAA", actions=False).with_columns(open=10.0, high=10.0, low=10.0, close=10.0, volume=0.0)
    out = features(still, INDEX.with_columns(close=1000.0)).tail(1).to_dicts()[0]
    assert [out[name] for name in ("rsi_14", "bollinger_position", "volatility_ratio", "volume_ratio_20", "beta_60")] == [None] * 5
    assert [out[name] for name in ("ret_20", "macd", "ema_9_distance", "volatility_20", "atr_14_pct", "bollinger_width")] == [0.0] * 6


def test_another_ticker_changes_nothing():
    alone = features(bars("BBB"))
    together = features(pl.concat([bars("CCC"), bars("BBB"), bars("AAA", n=5)]).sample(fraction=1.0, shuffle=True, seed=1))
    assert_frame_equal(together.filter(pl.col("ticker") == "BBB"), alone, check_exact=True)


def test_beta_spans_a_session_the_name_missed():
    """A name that is twice the index day by day stays at beta near 2 when a bar is missing, as both returns then cover two sessions."""
    index = index_bars()
    doubled = (2 * index["close"].pct_change().fill_null(0.0) + 1).cum_prod()
    name = bars("AAA", actions=False).with_columns(close=doubled * 50)
    gappy = features(name.filter(pl.col("session") != SESSIONS[230]), index)["beta_60"].drop_nulls()
    assert gappy.to_list() == pytest.approx([2.0] * len(gappy), rel=1e-2)
    late = features(name, index.filter(pl.col("session") > SESSIONS[10]))["beta_60"]
    assert late.is_not_null().arg_max() == 71


def test_bare_bars_are_prices_as_traded_without_actions():
    whole = bars("AAA", actions=False)
    bare = whole.select("ticker", "session", "open", "high", "low", "close", pl.col("volume").cast(pl.Int64))
    same = whole.with_columns(pl.col("volume").floor())
    assert_frame_equal(compute({"prices": bare}), compute({"prices": same}), check_exact=True)
    closes = compute({"prices": whole.select("ticker", "session", "close")}, names=["rsi_14", "atr_14", "ema_9"])
    assert closes.select(pl.exclude("ticker", "session").count()).row(0) == (N - 14, 0, N - 8)
    told = whole.select("ticker", "session", "close", price_basis=pl.lit("adjusted"))
    assert compute({"prices": told}, names=["ema_9"])["ema_9"].null_count() == N


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        (
            PRICES.drop("close", "session"),
            "table prices has no column session, close, only .*; it needs ticker, session .a Date. and close",
        ),
        (PRICES.with_columns(pl.col("session").cast(pl.Datetime)), r"session of prices is Datetime.*take pl.col\(\"session\"\).dt.date"),
        (PRICES.with_columns(pl.col("session").cast(pl.String)), "session of prices is String.*to_date"),
        (PRICES.with_columns(pl.col("volume").cast(pl.String)), "column volume of prices is String, and it must be a number"),
        (PRICES.to_dict(as_series=False), "table prices is a builtins dict, and a table is a polars frame"),
    ],
)
def test_what_prices_lack_is_said(prices: pl.DataFrame, words: str):
    with pytest.raises(BadArgument, match=words):
        compute({"prices": prices}, names=["ret_1"])


def test_a_high_below_its_low_is_refused():
    wrong = PRICES.with_columns(high=pl.when(pl.col("session") == SESSIONS[7]).then(pl.col("low") / 2).otherwise("high"))
    with pytest.raises(QuantAssetsError, match=rf"AAA {SESSIONS[7]}: high .* is below low .* of its own bar"):
        compute({"prices": wrong}, names=["ret_1"])


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (pl.col("adj_close").str.len_chars(), "SchemaError"),
        (pl.col("adj_close").cast(pl.String), "its values are String"),
        (pl.col("adj_close").head(3), "ShapeError"),
    ],
)
def test_an_expression_that_fails_is_named(expression: pl.Expr, why: str, monkeypatch: pytest.MonkeyPatch):
    wrong = Feature("wrong", "mine", expression, ("prices.close",), 0, False, "ratio", "x", "x", "never", "x")
    monkeypatch.setitem(CATALOG, "wrong", wrong)
    monkeypatch.setitem(OF_BARS, "wrong", wrong)
    with pytest.raises(QuantAssetsError, match=rf"feature wrong of family mine cannot be computed: {why}.*; mend its expression"):
        compute({"prices": bars("AAA")}, names=["ret_1", "wrong"])


def test_names_choose_and_order_the_columns():
    assert features(names=("rsi_14", "ret_1")).columns == ["ticker", "session", "rsi_14", "ret_1"]
    with pytest.raises(BadArgument, match="unknown feature close_tomorrow"):
        features(names=("close_tomorrow",))


def test_no_bars_give_an_empty_table():
    assert TABLES["features"].conform(features(PRICES.clear())).is_empty()
