"""The probability of a recession against statsmodels, on real rates and recessions, around 2007, and with nothing to learn from."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from statsmodels.discrete.discrete_model import Probit

from quant_assets.calendars import Window, sessions
from quant_assets.features.compute import compute
from quant_assets.features.recession import LEAST_MONTHS, estimate, probit
from quant_assets.sources.fred import read_last_version
from quant_assets_tests.features.told import macro_rows
from quant_assets_tests.small import FETCHED_AT

D = dt.date
NAME = "recession_probability"


@pytest.fixture(scope="module")
def real(shared: Path) -> pl.DataFrame:
    files = [shared / f"data/macro/fred_date_value/{series}.csv" for series in ("DGS10", "DGS2", "USREC")]
    return pl.concat([read_last_version(file, fetched_at=FETCHED_AT) for file in files])


def closes(first: dt.date, last: dt.date) -> pl.DataFrame:
    """Bars of a name whose price does not matter."""
    days = sessions(Window(first, last))
    bars = pl.DataFrame({"ticker": "AAA", "session": days, "close": 10.0, "price_basis": "raw", "split_factor": 1.0, "dividend": 0.0})
    return bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low", "volume"))


def found(macro: pl.DataFrame, first: dt.date, last: dt.date) -> pl.DataFrame:
    return compute({"prices": closes(first, last), "macro": macro}, names=(NAME,))


def by_pandas(macro: pl.DataFrame, month: str) -> tuple[float, int, int]:
    """From the averages of months up to `month`, with statsmodels: the probability, and how many months and recession months it saw."""
    wide = macro.to_pandas().pivot(index="session", columns="series", values="value")
    wide.index = pd.PeriodIndex(wide.index, freq="M")
    slopes = (wide["DGS10"] - wide["DGS2"]).groupby(level=0).mean()[:month]
    states = wide["USREC"].dropna()
    rows = []
    for one, slope in slopes.items():
        state_of = one + 12
        if state_of <= pd.Period(month) - 24 and state_of in states.index and not np.isnan(slope):
            rows.append((slope, states[state_of]))
    x, y = np.array(rows).T
    fitted = Probit(y, np.column_stack([np.ones_like(x), x])).fit(disp=0, tol=1e-12)
    return float(fitted.predict([[1.0, slopes[month]]])[0]), len(y), int(y.sum())


@pytest.mark.parametrize("month", ["2001-03", "2007-01", "2008-01", "2015-10"])
def test_each_month_is_what_statsmodels_says_of_what_was_known(real: pl.DataFrame, month: str):
    """On the tenth of the next month. Tolerance 1e-6: both stop when a further step moves the estimate by less than that."""
    expected, months, recessions = by_pandas(real, month)
    assert months > 120
    assert recessions > 20
    day = (pd.Period(month) + 1).to_timestamp() + pd.Timedelta(days=9)
    out = found(real, day.date(), day.date() + dt.timedelta(days=7))
    assert out[NAME].to_list() == pytest.approx([expected] * out.height, rel=1e-6)


def test_the_recession_of_2008_was_seen_coming_and_not_known(real: pl.DataFrame):
    """The curve inverted in 2006: the estimate rose then, a year ahead, and fell when the curve steepened, before anything was dated."""
    out = found(real, D(2003, 1, 1), D(2012, 1, 1))
    mean = dict(out.group_by(pl.col("session").dt.year()).agg(pl.col(NAME).mean()).iter_rows())
    spring = out.filter(pl.col("session").is_between(D(2007, 1, 1), D(2007, 3, 31)))[NAME]
    assert mean[2004] < 0.01
    assert 0.15 < mean[2006] < spring.mean()
    assert spring.min() > 0.2  # a year before the months that the NBER later called a recession
    assert mean[2009] < 0.01


def test_what_is_dated_later_moves_no_estimate_of_before(real: pl.DataFrame):
    """Another state of 2008 moves what is estimated when 2008 is two years past, and nothing before."""
    other = pl.when((pl.col("series") == "USREC") & (pl.col("session").dt.year() == 2008)).then(1 - pl.col("value")).otherwise("value")
    span = D(2007, 1, 1), D(2012, 1, 1)
    one, two = found(real, *span), found(real.with_columns(value=other), *span)
    before = pl.col("session") < D(2010, 1, 31)
    assert_frame_equal(one.filter(before), two.filter(before), check_exact=True)
    assert (one.filter(~before)[NAME] != two.filter(~before)[NAME]).sum() > 400


def test_the_zero_that_stands_until_the_nber_speaks_is_not_learned(real: pl.DataFrame):
    """As ALFRED has it: each month first told as no recession a month later, and put right when the NBER had spoken."""
    states = real.filter(series="USREC").select("series", "session", "value")
    hasty = states.with_columns(published=pl.col("session").dt.offset_by("1mo"), value=pl.lit(0.0))
    right = states.filter(pl.col("value") == 1).with_columns(published=pl.col("session").dt.offset_by("21mo"))
    columns = ("series", "session", "published", "value")
    vintages = pl.concat([real.filter(pl.col("series") != "USREC"), macro_rows(pl.concat([hasty.select(columns), right.select(columns)]))])
    span = D(2001, 1, 1), D(2012, 1, 1)
    assert_frame_equal(found(vintages, *span), found(real, *span), check_exact=True)


def test_an_estimate_begins_when_the_month_is_over_and_ends_when_rates_stop(real: pl.DataFrame):
    out = found(real, D(2007, 3, 26), D(2007, 4, 10))
    changed = out.filter(pl.col(NAME) != pl.col(NAME).shift(1))["session"].to_list()
    assert changed == [D(2007, 4, 4)]  # the rates of 2 April came on the 3rd after the close
    stopped = found(real.filter(pl.col("session") < D(2007, 4, 15)), D(2007, 3, 26), D(2007, 8, 1))
    assert stopped.filter(pl.col(NAME).is_null())["session"].min() == D(2007, 5, 16)  # 75 days after 1 March


def test_nothing_to_learn_from_is_no_estimate(real: pl.DataFrame):
    late = real.filter((pl.col("series") == "USREC") | (pl.col("session") >= D(1998, 1, 1)))
    span = D(2007, 1, 1), D(2007, 3, 1)
    for told in (late, real.filter(pl.col("series") != "USREC"), real.clear()):  # late: one recession is in
        assert found(told, *span)[NAME].null_count() == found(real, *span)[NAME].count() > 30
    assert compute({"prices": closes(D(2007, 1, 1), D(2007, 3, 1)).clear()}, names=(NAME,)).is_empty()
    n = LEAST_MONTHS + 36
    states = np.tile([0.0, 0.0, 1.0, 0.0], n)[:n]
    slopes = np.random.default_rng(0).normal(1, 1, n)
    assert estimate(slopes, states, n - 1) is not None
    assert estimate(slopes[1:], states[1:], n - 2) is None  # a month less


def test_a_slope_that_makes_no_mistake_has_no_maximum():
    slopes = np.linspace(-1, 1, 200)
    assert probit(slopes, (slopes < 0).astype(float)) is None
    assert probit(np.ones(200), (slopes < 0).astype(float)) is None
