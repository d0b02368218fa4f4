from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.adjustments import forward_adjusted
from quant_assets.errors import BadArgument
from quant_assets.labels.events import cusum, cusum_events
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import hand_made

PRICES = pl.concat([bars("AAA", 200), bars("BBB", 200)])
LAST = SESSIONS[180]


def case(shared: Path, name: str) -> dict[str, object]:
    cases = json.loads((shared / "reference/03_labels_sampling_fracdiff.json").read_text())["cases"]
    return next(one for one in cases if one["id"] == name)


def test_the_published_case_of_log_returns(shared: Path):
    told = case(shared, "cusum_log_h0.02")
    prices = hand_made(dict(zip(SESSIONS, told["inputs"]["prices"], strict=False)))
    events = cusum_events(prices.lazy(), told["inputs"]["h"], as_of=LAST)
    assert events["session"].to_list() == [SESSIONS[place] for place in told["expected"]["event_positions"]]
    assert events["direction"].to_list() == [1, -1, 1, -1, -1, 1]


def test_the_published_case_of_differences(shared: Path):
    told = case(shared, "cusum_diff_h2")
    changes = np.diff(told["inputs"]["prices"], prepend=told["inputs"]["prices"][0])
    found = np.flatnonzero(list(cusum(changes.tolist(), [told["inputs"]["h"]] * changes.size)))
    assert found.tolist() == told["expected"]["event_positions"]


def test_each_name_is_filtered_alone_by_its_own_thresholds():
    adjusted = forward_adjusted(PRICES.filter(pl.col("session") <= LAST).lazy()).collect()
    told = adjusted.select("ticker", "session", threshold=0.02 + 0.01 * (pl.int_range(pl.len()) % 4))
    expected = []
    for (ticker,), frame in adjusted.join(told, on=["ticker", "session"]).group_by("ticker", maintain_order=True):
        risen = fallen = 0.0
        rows = frame.to_dicts()
        for before, now in itertools.pairwise(rows):
            change = math.log(now["adj_close"] / before["adj_close"])
            risen, fallen = max(0.0, risen + change), min(0.0, fallen + change)
            if fallen < -now["threshold"]:
                fallen = 0.0
                expected.append((ticker, now["session"], -1))
            elif risen > now["threshold"]:
                risen = 0.0
                expected.append((ticker, now["session"], 1))
    assert cusum_events(PRICES.lazy(), told, as_of=LAST).rows() == expected
    assert {direction for _, _, direction in expected} == {1, -1}


def test_a_split_is_no_event_and_a_bar_without_a_threshold_has_none():
    split = hand_made(dict(zip(SESSIONS, [10.0, 5.0, 5.5], strict=False)), split_factor={SESSIONS[1]: 2.0})
    assert cusum_events(split.lazy(), 0.05, as_of=LAST)["session"].to_list() == [SESSIONS[2]]
    told = pl.DataFrame({"ticker": "AAA", "session": SESSIONS[:3], "threshold": [0.05, 0.05, None]})
    assert cusum_events(split.lazy(), told, as_of=LAST).is_empty()


def test_a_bar_has_one_threshold():
    told = pl.DataFrame({"ticker": "AAA", "session": [SESSIONS[2], *SESSIONS[:200]], "threshold": 0.05})
    with pytest.raises(BadArgument, match=f"AAA {SESSIONS[2]}: more than one threshold .limit 1 a session.; keep one"):
        cusum_events(PRICES.lazy(), told, as_of=LAST)
    late = told[1:].extend(told.filter(session=SESSIONS[190]))
    assert_frame_equal(cusum_events(PRICES.lazy(), late, as_of=LAST), cusum_events(PRICES.lazy(), told[1:], as_of=LAST))


@settings(max_examples=10, derandomize=True)
@given(t=st.integers(1, 198))
def test_nothing_after_as_of_is_read_and_an_event_stays(t: int):
    nonsense = PRICES.with_columns(pl.when(pl.col("session") > SESSIONS[t]).then(-1.0).otherwise(pl.col("close")).alias("close"))
    late = cusum_events(PRICES.lazy(), 0.05, as_of=SESSIONS[199])
    assert_frame_equal(cusum_events(nonsense.lazy(), 0.05, as_of=SESSIONS[t]), late.filter(pl.col("session") <= SESSIONS[t]))


@pytest.mark.parametrize("threshold", [0.0, -0.1, float("nan")])
def test_impossible_thresholds_are_refused(threshold: float):
    with pytest.raises(BadArgument, match=r"AAA 2010-01-04: threshold .* is not above 0"):
        cusum_events(PRICES.lazy(), threshold, as_of=LAST)
