"""Corporate actions against a vendor's own adjusted series, and by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.adjustments import adjust, forward_adjusted
from quant_assets.errors import QuantAssetsError
from quant_assets_tests.features.panels import adjusted_only, bars, quandl_sample


def hand_made(**columns: list[object]) -> pl.LazyFrame:
    n = len(columns["close"])
    base: dict[str, list[object]] = {
        "ticker": ["A"] * n,
        "session": [dt.date(2014, 6, 2) + dt.timedelta(days=i) for i in range(n)],
        "price_basis": ["raw"] * n,
        "split_factor": [1.0] * n,
        "dividend": [0.0] * n,
    }
    frame = pl.DataFrame(base | columns)
    return frame.with_columns(open="close", high="close", low="close", volume=pl.lit(700.0)).lazy()


@pytest.fixture(scope="module")
def quandl(shared: Path) -> pl.DataFrame:
    return quandl_sample(shared)


def test_growth_by_hand():
    """2:1 split with 1 USD paid on each new share: an old share worth 102 became 2 x (50 + 1) = 102: no gain, no loss."""
    prices = hand_made(close=[100.0, 102.0, 50.0], split_factor=[1.0, 1.0, 2.0], dividend=[0.0, 0.0, 1.0])
    out = forward_adjusted(prices).collect()
    assert out["growth"].to_list() == pytest.approx([1.0, 1.0, 2.04])
    assert out["split_growth"].to_list() == [1.0, 1.0, 2.0]
    assert out["adj_close"].to_list() == pytest.approx([100.0, 102.0, 102.0])
    assert out["adj_volume"].to_list() == [700.0, 700.0, 350.0]


def test_an_action_on_the_first_bar_changes_nothing():
    out = forward_adjusted(hand_made(close=[10.0, 11.0], split_factor=[7.0, 1.0], dividend=[5.0, 0.0])).collect()
    assert out["growth"].to_list() == [1.0, 1.0]


def test_returns_equal_the_vendors(quandl: pl.DataFrame):
    """AAPL (7:1 on 2014-06-09, four dividends), MSFT, BRK_A, ZEN in 2014: Quandl too reinvests a dividend at the ex-date's close."""
    out = forward_adjusted(quandl.lazy()).collect()
    out = out.with_columns(
        ours=pl.col("adj_close") / pl.col("adj_close").shift(1).over("ticker"),
        theirs=pl.col("vendor_adj_close") / pl.col("vendor_adj_close").shift(1).over("ticker"),
    ).drop_nulls("ours")
    assert out.height == 912
    assert out.filter(pl.col("split_factor") == 7).height == 1
    assert out.filter(pl.col("dividend") != 0).height == 8
    np.testing.assert_allclose(out["ours"], out["theirs"], rtol=1e-9)


def test_adjust_ends_on_the_raw_bar_and_spans_splits_as_the_vendor_does(quandl: pl.DataFrame):
    as_of = dt.date(2014, 6, 30)
    view = adjust(quandl.lazy(), as_of).collect()
    assert view["session"].max() == as_of
    last = view.filter(pl.col("session") == as_of)
    raw = quandl.filter(pl.col("session") == as_of).sort("ticker")
    assert_frame_equal(last, raw.select(last.columns), check_exact=True)
    volume = view.join(quandl.select("ticker", "session", "vendor_adj_volume"), on=["ticker", "session"])
    np.testing.assert_allclose(volume["volume"], volume["vendor_adj_volume"], rtol=1e-12)
    eve = view.filter((pl.col("ticker") == "AAPL") & (pl.col("session") == dt.date(2014, 6, 6)))
    assert eve["close"].item() == pytest.approx(645.57 / 7)


def test_a_split_tomorrow_changes_no_forward_value_and_no_earlier_view(quandl: pl.DataFrame):
    eve = dt.date(2014, 6, 6)
    known = quandl.filter(pl.col("session") <= eve)
    later = forward_adjusted(quandl.lazy()).filter(pl.col("session") <= eve).collect()
    assert_frame_equal(later, forward_adjusted(known.lazy()).collect(), check_exact=True)
    assert_frame_equal(adjust(quandl.lazy(), eve).collect(), adjust(known.lazy(), eve).collect(), check_exact=True)


def test_tickers_do_not_touch_and_order_does_not_matter():
    one, two = bars("AAA"), bars("BBB", n=100)
    both = forward_adjusted(pl.concat([two, one]).reverse().lazy()).collect()
    assert_frame_equal(both.filter(pl.col("ticker") == "AAA"), forward_adjusted(one.lazy()).collect(), check_exact=True)


def test_missing_columns_stay_missing():
    out = forward_adjusted(adjusted_only(bars("AAA")).lazy()).collect()
    assert out["growth"].unique().to_list() == [1.0]
    assert out["adj_close"].equals(out["close"].alias("adj_close"))
    assert all(out[name].null_count() == out.height for name in ("adj_open", "adj_high", "adj_low", "adj_volume"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dividend": [0.0, 10.0]}, r"A 2014-06-03: dividend 10 x split 1 is not below the close before it, 10; correct the action"),
        ({"dividend": [0.0, 6.0], "split_factor": [1.0, 2.0]}, r"dividend 6 x split 2 is not below the close before it, 10"),
        ({"split_factor": [1.0, 0.0]}, r"A 2014-06-03: split factor 0.0 is not positive; correct the action"),
        ({"split_factor": [-1.0, 1.0]}, r"A 2014-06-02: split factor -1.0 is not positive"),
        (
            {"price_basis": ["raw", "adjusted"]},
            r"A: bars of 2 price bases \(adjusted, raw\) where 1 is allowed.*; store one basis a ticker",
        ),
    ],
)
def test_impossible_actions_are_refused(columns: dict[str, list[object]], message: str):
    with pytest.raises(QuantAssetsError, match=message):
        forward_adjusted(hand_made(close=[10.0, 9.0], **columns))
