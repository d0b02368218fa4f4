"""The record of a model beside its rivals, on scores whose skill is known by construction."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_assets.validation.record import MAJORITY, record
from quant_assets.validation.skill import measure

MODEL, RIVAL = "signal-xgboost", "baseline-ridge"


@pytest.fixture(scope="module")
def scored() -> pl.DataFrame:
    """120 sessions of eight names: the model's score knows the label, the rival's does not; one row of the rival is missing."""
    rng = np.random.default_rng(3)
    days = [dt.date(2012, 1, 2) + dt.timedelta(days=day) for day in range(120)]
    rows = pl.DataFrame([(f"N{name}", day) for day in days for name in range(8)], schema=["ticker", "session"], orient="row")
    ret = rng.normal(0, 0.01, rows.height)
    rows = rows.with_columns(ret=pl.Series(ret), label=pl.Series((ret > 0).astype(np.int8)), base_rate=pl.lit(0.5))
    known = rows.with_columns(model=pl.lit(MODEL), score=pl.Series(0.5 + 0.1 * np.sign(ret) + rng.uniform(-0.35, 0.35, rows.height)))
    blind = rows.with_columns(model=pl.lit(RIVAL), score=pl.Series(rng.uniform(0.4, 0.6, rows.height))).slice(1)
    return pl.concat([known, blind])


def test_each_on_the_rows_that_all_have_scored(scored: pl.DataFrame):
    found = record(scored, decides=MODEL, rivals=[RIVAL], threshold=0.65)
    assert list(found.rivals) == [MODEL, RIVAL, MAJORITY]
    assert {skill.n_rows for skill in found.rivals.values()} == {959}
    assert found.decides.n_rows == 960
    assert found.decides == measure(scored.filter(model=MODEL), threshold=0.65)
    assert found.rivals[MODEL].auc_low > 0.55
    assert found.rivals[RIVAL].auc_low < 0.5 < found.rivals[RIVAL].auc_high
    assert found.rivals[MAJORITY].auc == 0.5
    assert found.rivals[MAJORITY].rank_ic is None
    assert found.rivals[MAJORITY].log_loss == pytest.approx(np.log(2))


def test_a_rival_without_a_row_is_left_out(scored: pl.DataFrame):
    found = record(scored, decides=MODEL, rivals=[RIVAL, "baseline-persistence"], threshold=0.65)
    assert list(found.rivals) == [MODEL, RIVAL, MAJORITY]
    assert found.rivals[MODEL].n_rows == 959


def test_by_name(scored: pl.DataFrame):
    found = record(scored.filter(pl.col("model") == MODEL), decides=MODEL, rivals=(), threshold=0.65).by_ticker
    assert found["ticker"].to_list() == [f"N{name}" for name in range(8)]
    own = measure(scored.filter(model=MODEL, ticker="N3"), threshold=0.65)
    assert found.filter(ticker="N3").row(0) == ("N3", 120, own.auc, own.auc_low, own.auc_high)


def test_a_name_of_few_sessions_has_no_limits(scored: pl.DataFrame):
    late = scored.filter(model=MODEL).filter((pl.col("ticker") != "N0") | (pl.col("session") > dt.date(2012, 3, 1)))
    name, n_rows, auc, *limits = record(late, decides=MODEL, rivals=(), threshold=0.65).by_ticker.row(0)
    assert (name, n_rows, limits) == ("N0", 60, [None, None])
    assert auc > 0.5


def test_one_outcome_only_is_no_auc(scored: pl.DataFrame):
    rows = scored.filter(pl.col("model") == MODEL).with_columns(label=pl.when(ticker="N0").then(1).otherwise("label"))
    assert record(rows, decides=MODEL, rivals=(), threshold=0.65).by_ticker.row(0) == ("N0", 120, None, None, None)
