from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from quant_assets.errors import BadArgument
from quant_assets.labels.concurrency import average_uniqueness, concurrency
from quant_assets_tests.features.panels import SESSIONS
from quant_assets_tests.labels.overlaps import depends, overlapping, spanning
from quant_assets_tests.labels.tapes import CALENDAR


def test_the_published_spans(shared: Path):
    cases = json.loads((shared / "reference/03_labels_sampling_fracdiff.json").read_text())["cases"]
    case = next(one for one in cases if one["id"] == "concurrency_closed_spans")
    spans = [(first + 1, last + 1) for first, last in zip(case["inputs"]["t0"], case["inputs"]["t1"], strict=True)]
    found = concurrency(spanning(spans), CALENDAR)
    assert found["session"].to_list() == SESSIONS[1 : 1 + case["inputs"]["n"]]
    assert found["labels"].to_list() == case["expected"]["concurrency"]
    assert average_uniqueness(spanning(spans), CALENDAR).tolist() == pytest.approx(case["expected"]["avg_uniqueness"], abs=1e-12)


def test_the_published_indicators(shared: Path):
    cases = json.loads((shared / "reference/03_labels_sampling_fracdiff.json").read_text())["cases"]
    case = next(one for one in cases if one["id"] == "avg_uniqueness_453")
    rows = [np.flatnonzero(column) + 1 for column in np.transpose(case["inputs"]["ind_matrix"])]
    labels = spanning([(int(row[0]), int(row[-1])) for row in rows])
    assert concurrency(labels, CALENDAR)["labels"].to_list() == case["expected"]["concurrency"]
    found = average_uniqueness(labels, CALENDAR)
    assert found.tolist() == pytest.approx(case["expected"]["avg_uniqueness"], abs=1e-12)
    assert found.mean() == pytest.approx(case["expected"]["mean"], abs=1e-12)


@settings(max_examples=25, derandomize=True)
@given(told=overlapping())
def test_against_the_indicator_matrix(told: tuple[list[tuple[int, int]], list[str]]):
    spans, tickers = told
    labels, matrix = spanning(spans, tickers), depends(spans, tickers)
    shared = matrix.sum(axis=0)
    found = concurrency(labels, CALENDAR)
    assert found["labels"].to_list() == shared[shared > 0].tolist()
    assert found.select("ticker", "session").rows() == [(sorted(set(tickers))[name], SESSIONS[day]) for name, day in np.argwhere(shared)]
    expected = (matrix / np.where(shared > 0, shared, 1)).sum(axis=(1, 2)) / matrix.sum(axis=(1, 2))
    uniqueness = average_uniqueness(labels, CALENDAR)
    np.testing.assert_allclose(uniqueness, expected, rtol=1e-12)
    assert (uniqueness > 0).all()
    assert (uniqueness <= 1).all()


def test_labels_that_follow_each_other_or_are_of_two_names_share_nothing():
    assert average_uniqueness(spanning([(1, 3), (4, 6), (1, 6)], ["AAA", "AAA", "BBB"]), CALENDAR).tolist() == [1.0, 1.0, 1.0]


def test_no_labels_share_nothing():
    assert average_uniqueness(spanning([]), CALENDAR).size == 0
    assert concurrency(spanning([]), CALENDAR).is_empty()


@pytest.mark.parametrize("end", [None, SESSIONS[0], SESSIONS[1].replace(day=9)])
def test_an_end_that_is_null_not_later_or_no_session_is_refused(end: object):
    labels = spanning([(1, 3)]).with_columns(label_end=pl.lit(end, dtype=pl.Date))
    with pytest.raises(
        BadArgument, match=f"AAA: 2010-01-04 to {end} does not lead from one of the {CALENDAR.height} sessions given to a lat"
    ):
        average_uniqueness(labels, CALENDAR)
