"""Two real sources for AAPL and MSFT: where they agree, the two days on which they do not, and a planted fault."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_assets.adjustments import forward_adjusted
from quant_assets.schemas import TABLES
from quant_assets.sources.reconcile import compare_returns, compare_sources, findings_log
from quant_assets_tests.small import delivered

D = dt.date


@pytest.fixture(scope="module")
def primary() -> pl.DataFrame:
    return delivered("bokeh", "AAPL", "IBM", "MSFT")


@pytest.fixture(scope="module")
def second() -> pl.DataFrame:
    return delivered("skfolio", "AAPL", "KO", "MSFT")


def test_the_disagreements_that_exist(primary: pl.DataFrame, second: pl.DataFrame):
    """bokeh repeats AAPL's bar of 2003-01-28 (close 14.58) on the 29th, so two returns of 2003 are wrong; all others agree within 0.7 %."""
    compared = compare_returns(primary, second)
    assert dict(compared.group_by("ticker").len().iter_rows()) == {"AAPL": 3269, "MSFT": 3269}
    found = compared.filter("finding")
    assert found.select("ticker", "session").rows() == [("AAPL", D(2003, 1, 29)), ("AAPL", D(2003, 1, 30))]
    assert found["difference"].to_list() == pytest.approx([0.02715, 0.02622], abs=1e-5)
    assert compared.filter(~pl.col("finding"))["difference"].max() < 0.007


def test_returns_are_the_total_returns_of_the_adjusted_series(primary: pl.DataFrame, second: pl.DataFrame):
    adjusted = forward_adjusted(primary.lazy()).collect()
    change = pl.col("adj_close") / pl.col("adj_close").shift().over("ticker") - 1
    expected = adjusted.with_columns(expected=change).select("ticker", "session", "expected")
    both = compare_returns(primary, second).join(expected, on=["ticker", "session"])
    assert (both["primary_return"] - both["expected"]).abs().max() < 1e-12


def test_a_planted_fault_is_found_on_both_its_days(primary: pl.DataFrame, second: pl.DataFrame):
    planted = D(2012, 6, 5)
    bad = primary.with_columns(pl.when(ticker="MSFT", session=planted).then(pl.col("close") * 1.02).otherwise("close").alias("close"))
    found = compare_returns(bad, second).filter("finding")
    assert found.filter(ticker="MSFT")["session"].to_list() == [planted, D(2012, 6, 6)]
    assert found.filter(ticker="AAPL").height == 2


def test_a_difference_within_the_second_prices_rounding_is_none():
    """On a level of 0.05 USD a step of 0.001 is 2 %."""
    session = [D(2012, 1, 3), D(2012, 1, 4)]
    rows = delivered("skfolio", "KO").filter(pl.col("session").is_in(session))
    mine = rows.with_columns(close=pl.Series([100.0, 102.5]))
    cheap, dear = (rows.with_columns(close=pl.Series(closes)) for closes in ([0.05, 0.05], [50.0, 50.0]))
    assert not compare_returns(mine, cheap)["finding"].any()
    assert compare_returns(mine, dear)["finding"].all()


@pytest.mark.parametrize("close", [float("nan"), float("inf"), None, -3.0, 0.0])
def test_a_wrong_close_spoils_no_other_return(primary: pl.DataFrame, second: pl.DataFrame, close: float | None):
    """The gate comes after: whatever a source delivers, the comparison of the other sessions is as it was."""
    planted = D(2012, 6, 5)
    bad = primary.with_columns(pl.when(ticker="MSFT", session=planted).then(pl.lit(close)).otherwise("close").alias("close"))
    bad = pl.concat([bad, bad.filter(ticker="AAPL", session=planted)])
    touched = (pl.col("ticker") == "MSFT") & pl.col("session").is_in([planted, D(2012, 6, 6)])
    after, before = compare_returns(bad, second).filter(~touched), compare_returns(primary, second).filter(~touched)
    assert after.sort("ticker", "session").equals(before.sort("ticker", "session"))


def test_the_log_keeps_both_values(primary: pl.DataFrame, second: pl.DataFrame):
    compared = compare_sources(primary, pl.concat([primary, second]))
    log = TABLES["quality_log"].conform(findings_log(compared).select(list(TABLES["quality_log"].schema)))
    assert log["evidence"][0] == "total return 0.0 from bokeh and 0.02715 from skfolio: kept the first"
    assert log["repaired"].to_list() == compared.filter("finding")["primary"].to_list()
    assert log["original"].to_list() == compared.filter("finding")["second"].to_list()
    assert findings_log(compared.clear()).is_empty()
