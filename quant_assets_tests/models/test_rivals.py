"""The baselines beside a model: kept as bytes, asked again, and taught nothing by a feature that nobody knows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_assets.errors import ModelError
from quant_assets.models import rivals
from quant_assets.models.terms import LAST_MOVE, PERSISTENCE, RIDGE

FEATURES = ("rsi_14", "atr_14_pct")


@pytest.fixture
def rows() -> pl.DataFrame:
    """Of 2,000 rows the label follows rsi_14, and against yesterday's move six times in ten; nobody knows atr_14_pct."""
    rng = np.random.default_rng(5)
    move, rsi = rng.normal(0, 0.01, 2000), rng.normal(50, 10, 2000)
    label = (rsi - 50 - 400 * move + rng.normal(0, 10, 2000) > 0).astype(np.int8)
    columns = {LAST_MOVE: move, "rsi_14": rsi, "label": label}
    return pl.DataFrame(columns).with_columns(atr_14_pct=pl.lit(None, dtype=pl.Float64))


def test_they_say_after_storage_what_they_learned(rows: pl.DataFrame):
    stored = rivals.taught(rows, FEATURES)
    found = rivals.scores(stored, rows)
    assert list(found) == [RIDGE, PERSISTENCE]
    up = rows["label"].to_numpy() == 1
    assert found[RIDGE][up].mean() > found[RIDGE][~up].mean() + 0.03
    rose = rows[LAST_MOVE].to_numpy() > 0
    went_on = (rose == up).mean()
    assert found[PERSISTENCE][rose] == pytest.approx(went_on)
    assert found[PERSISTENCE][~rose] == pytest.approx(1 - went_on)


def test_a_damaged_one_is_refused(rows: pl.DataFrame):
    stored = rivals.taught(rows, FEATURES)
    with pytest.raises(ModelError, match="damaged"):
        rivals.scores({RIDGE: stored[RIDGE][:-1]}, rows)
