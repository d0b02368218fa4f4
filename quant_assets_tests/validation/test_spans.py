"""Spans as users pass them, and those that are none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_assets.errors import BadArgument
from quant_assets.validation.spans import LabelSpans
from quant_assets_tests.small import labelled

FRAME = labelled(30).sample(fraction=1, shuffle=True, seed=3)
SPANS = np.array([["2012-01-03", "2012-01-06"], ["2012-01-04", "2012-01-09"]], dtype="datetime64[D]")


def test_a_table_of_labels_and_its_two_columns_are_the_same_spans():
    table = FRAME.select("label_end", label_start="session")
    of_table = LabelSpans.of(table)
    assert of_table.start.astype(object).tolist() == FRAME["session"].to_list()
    assert of_table.end.astype(object).tolist() == FRAME["label_end"].to_list()
    of_array = LabelSpans.of(np.stack([of_table.start, of_table.end], axis=1))
    assert (of_array.start == of_table.start).all()
    assert (of_array.end == of_table.end).all()


def test_sessions_are_the_days_on_which_labels_start():
    found = LabelSpans.of(FRAME.select("label_end", label_start="session")).sessions()
    assert found.astype(object).tolist() == FRAME["session"].unique().sort().to_list()


def unknown(row: int) -> np.ndarray:
    return np.where(np.arange(4).reshape(2, 2) == row, np.datetime64("NaT"), SPANS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SPANS[:0], "there is no label span"),
        (SPANS.ravel(), r"label spans have the shape \(4,\) and type datetime64\[D\]"),
        (SPANS.astype("datetime64[ns]"), r"type datetime64\[ns\], not \(rows, 2\) of datetime64\[D\]"),
        (SPANS.astype(np.int64), "type int64"),
        (unknown(1), "1 of 2 label spans are unknown"),
        (unknown(2), "1 of 2 label spans are unknown"),
        (SPANS[:, ::-1], r"the label of row 0 starts on 2012-01-06 and ends on 2012-01-03 \(2 such rows"),
        (FRAME.select("session", "label_end"), "the table has no column label_start"),
        (
            FRAME.select("label_end", label_start=pl.col("session").cast(pl.Datetime)),
            "label_start and label_end are Datetime.* and Date, not",
        ),
        (FRAME.select("label_end", label_start=pl.lit(None, dtype=pl.Date)), "of 30|90 label spans are unknown"),
    ],
)
def test_what_is_no_span(given: np.ndarray | pl.DataFrame, message: str):
    with pytest.raises(BadArgument, match=message):
        LabelSpans.of(given)
