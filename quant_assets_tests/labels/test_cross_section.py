from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.errors import BadArgument
from quant_assets.labels.cross_section import quintile_labels, rank_labels
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import CALENDAR

NAMES = [f"N{number:02d}" for number in range(12)]
PRICES = pl.concat([bars(name, 60) for name in NAMES[:-1]] + [bars(NAMES[-1], 60).filter(pl.col("session") != SESSIONS[30])])
LAST = SESSIONS[50]


def returns(prices: pl.DataFrame = PRICES, as_of: dt.date = LAST) -> pl.DataFrame:
    return forward_return_labels(prices.lazy(), CALENDAR, as_of=as_of)


def one_session(*values: float | None) -> pl.DataFrame:
    told = pl.DataFrame({"ticker": [f"N{number}" for number in range(len(values))], "ret": values}, schema_overrides={"ret": pl.Float64})
    return told.with_columns(session=pl.lit(SESSIONS[0]), label_start=pl.lit(SESSIONS[0]), label_end=pl.lit(SESSIONS[3]))


@settings(max_examples=25, derandomize=True)
@given(values=st.lists(st.sampled_from([-0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.05]) | st.floats(-0.1, 0.1), min_size=5, max_size=30))
def test_against_pandas(values: list[float]):
    ranks = rank_labels(one_session(*values), as_of=LAST)["label"]
    np.testing.assert_allclose(ranks, pd.Series(values).rank(pct=True))
    assert 0 < ranks.min() <= ranks.max() <= 1
    edges = pd.Series(values).quantile([0.2, 0.4, 0.6, 0.8]).to_numpy()
    assert quintile_labels(one_session(*values), as_of=LAST)["label"].to_list() == np.searchsorted(edges, values).tolist()


def test_quintiles_of_different_returns_are_those_of_qcut():
    out = quintile_labels(returns(), as_of=LAST)
    for _, session in out.drop_nulls("label").group_by("session"):
        assert session["label"].to_list() == pd.qcut(session["ret"].to_numpy(), 5, labels=False).tolist()
    assert_frame_equal(out.drop("label"), returns().drop("label"))


def test_a_name_without_a_return_is_not_ranked():
    out = rank_labels(returns(), as_of=LAST).filter(session=SESSIONS[27])
    assert out.filter(ticker=NAMES[-1])["label"].to_list() == [None]
    assert out["label"].max() == 1.0
    assert sorted(out["label"].drop_nulls() * 11) == pytest.approx(range(1, 12))


def test_too_few_names_have_no_places():
    assert quintile_labels(one_session(0.1, 0.2, 0.3, 0.4, None), as_of=LAST)["label"].to_list() == [None] * 5
    six = one_session(*np.linspace(0, 0.1, 6))
    assert rank_labels(six, as_of=LAST, fewest=7)["label"].null_count() == 6
    with pytest.raises(BadArgument, match=r"a place among 4 names says nothing \(limit 5\)"):
        rank_labels(six, as_of=LAST, fewest=4)


def test_a_place_is_known_when_the_last_return_is():
    late = one_session(*np.linspace(0, 0.1, 6)).with_columns(label_end=pl.Series(SESSIONS[1:7]))
    for kind in (quintile_labels, rank_labels):
        assert kind(late, as_of=SESSIONS[5])["label"].null_count() == 6
        known = kind(late, as_of=SESSIONS[6])
        assert (known["label"].null_count(), known["label_end"].unique().to_list()) == (0, [SESSIONS[6]])


def test_an_open_end_is_refused():
    with pytest.raises(BadArgument, match="N0 2010-01-04: no label_end"):
        rank_labels(one_session(*np.linspace(0, 0.1, 6)).with_columns(label_end=pl.lit(None, dtype=pl.Date)), as_of=LAST)


@settings(max_examples=10, derandomize=True)
@given(t=st.integers(5, 58))
def test_nothing_after_as_of_is_read_and_what_is_known_stays(t: int):
    as_of = SESSIONS[t]
    nonsense = PRICES.with_columns(pl.when(pl.col("session") > as_of).then(-1.0).otherwise(pl.col("close")).alias("close"))
    early = quintile_labels(returns(nonsense, as_of), as_of=as_of)
    late = quintile_labels(returns(as_of=SESSIONS[59]), as_of=SESSIONS[59])
    ended = pl.col("label_end") <= as_of
    assert_frame_equal(early.filter(ended), late.filter(ended), check_exact=True)
    assert early.filter(~ended)["label"].null_count() == early.filter(~ended).height > 0
