"""Tickers that change hands: two real companies' bars under one ticker, and a million real bars of names that did not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.quality.doubts import doubts
from quant_assets.quality.identities import back_as_another, sudden_change
from quant_assets_tests.quality.test_repair import native
from quant_assets_tests.small import delivered

D = dt.date


@pytest.fixture(scope="module")
def lent() -> dict[str, pl.DataFrame]:
    """MSFT until the end of 2008, AAPL from then on, both as IBM's bars: by name of who is second and after how long."""
    whole = delivered("bokeh", "MSFT", window=Window(D(2007, 1, 1), D(2011, 1, 1)))
    first = whole.filter(pl.col("session") < D(2009, 1, 1))
    second = delivered("bokeh", "AAPL", window=Window(D(2009, 1, 1), D(2011, 1, 1))).filter(pl.col("session") >= D(2009, 1, 1))
    ours = pl.lit("IBM").alias("ticker")
    later = second.filter(pl.col("session") >= D(2009, 6, 1))
    thin = second.with_columns(pl.col("volume") / 1000)
    return {
        "after a gap": pl.concat([first, later]).with_columns(ours),
        "the next day": pl.concat([first, thin]).with_columns(ours),
        "nobody": whole.with_columns(ours),
    }


def test_a_ticker_that_was_lent_again(lent: dict[str, pl.DataFrame]):
    assert back_as_another(lent["after a gap"])["session"].to_list() == [D(2009, 6, 1)]
    assert sudden_change(lent["the next day"])["session"].to_list() == [D(2009, 1, 2)]
    assert back_as_another(lent["nobody"]).is_empty()
    assert sudden_change(lent["nobody"]).is_empty()
    told = doubts("prices", lent["after a gap"])
    assert not told.passed
    assert "another security under the ticker?: 1" in told.description


def test_a_halt_of_the_same_company_is_none(lent: dict[str, pl.DataFrame]):
    halted = lent["nobody"].filter(~pl.col("session").is_between(D(2009, 1, 1), D(2009, 6, 1)))
    assert back_as_another(halted).is_empty()


def test_a_million_bars_of_names_that_kept_their_tickers(shared: Path):
    """One night in 23 years: the trial of JZP-6 of June 2009, and what followed it."""
    rows = native(shared)
    assert back_as_another(rows).is_empty()
    assert set(sudden_change(rows).select("ticker", pl.col("session").dt.month()).unique().rows()) == {("JAZZ", 6)}
