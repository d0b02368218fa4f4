from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.complete import over_complete


def test_bars_with_a_hole_are_passed_over():
    frame = pl.DataFrame({"high": [None, 2.0, 3.0, None, 5.0, 7.0], "low": [1.0, 1.0, None, 1.0, 1.0, 2.0]})
    found = frame.select(over_complete(lambda high, low: (high + low).rolling_sum(2), pl.col("high"), pl.col("low")).alias("x"))["x"]
    assert found.to_list() == [None, None, None, None, 9.0, 15.0]


def test_it_is_the_kernel_where_nothing_is_missing_and_null_where_all_is():
    frame = pl.DataFrame({"close": [float(i * i % 17) for i in range(60)]})
    whole = frame.select(over_complete(lambda close: talib.ema(close, 5), pl.col("close")).alias("x"), y=talib.ema(pl.col("close"), 5))
    assert whole["x"].equals(whole["y"])
    empty = frame.with_columns(close=pl.lit(None, dtype=pl.Float64))
    assert empty.select(over_complete(lambda close: talib.ema(close, 5), pl.col("close")).alias("x"))["x"].null_count() == 60


def test_a_hole_poisons_nothing_after_it():
    close = [float(i * i % 17) for i in range(60)]
    holed = pl.DataFrame({"close": [*close[:30], None, *close[30:]]})
    found = holed.select(over_complete(lambda one: talib.ema(one, 5), pl.col("close")).fill_nan(None).alias("x"))["x"].to_list()
    plain = pl.DataFrame({"close": close}).select(x=talib.ema(pl.col("close"), 5).fill_nan(None))["x"].to_list()
    assert found == [*plain[:30], None, *plain[30:]]
