"""Bands and ranks, on and around their edges."""

from __future__ import annotations

import polars as pl
import pytest

from quant_assets.decisions.signal import band, ranked
from quant_assets.settings import Signal


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (1.0, "STRONG_BULL"),
        (0.7200001, "STRONG_BULL"),
        (0.72, "BULL"),
        (0.6200001, "BULL"),
        (0.62, "NEUTRAL"),
        (0.5, "NEUTRAL"),
        (0.38, "NEUTRAL"),
        (0.3799999, "BEAR"),
        (0.28, "BEAR"),
        (0.2799999, "STRONG_BEAR"),
        (0.0, "STRONG_BEAR"),
        (None, None),
    ],
)
def test_an_edge_belongs_to_the_milder_band(score: float | None, expected: str | None):
    frame = pl.DataFrame({"score": [score]}, schema={"score": pl.Float64})
    assert frame.select(band(pl.col("score"), Signal())).item() == expected


def test_bands_come_from_settings():
    settings = Signal(strong_bull=0.6, bull=0.55, bear=0.45, strong_bear=0.4)
    scores = pl.DataFrame({"score": [0.61, 0.56, 0.5, 0.44, 0.39]})
    expected = ["STRONG_BULL", "BULL", "NEUTRAL", "BEAR", "STRONG_BEAR"]
    assert scores.select(band(pl.col("score"), settings)).to_series().to_list() == expected


def test_ranks():
    frame = pl.DataFrame({"score": [0.5, None, 0.7, 0.5, 0.4, None, 0.7]})
    assert frame.select(ranked(pl.col("score"))).to_series().to_list() == [3, None, 1, 3, 5, None, 1]
    nothing = pl.DataFrame({"score": [None]}, schema={"score": pl.Float64})
    assert nothing.select(ranked(pl.col("score"))).to_series().to_list() == [None]
