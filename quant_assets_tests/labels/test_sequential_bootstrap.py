from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from quant_assets.errors import BadArgument
from quant_assets.labels.concurrency import average_uniqueness
from quant_assets.labels.sequential_bootstrap import sequential_bootstrap, uniqueness_beside
from quant_assets_tests.labels.overlaps import depends, overlapping, spanning
from quant_assets_tests.labels.tapes import CALENDAR


def test_the_published_probabilities(shared: Path):
    cases = json.loads((shared / "reference/03_labels_sampling_fracdiff.json").read_text())["cases"]
    case = next(one for one in cases if one["id"] == "seq_bootstrap_453")
    rows = [np.flatnonzero(column) + 1 for column in np.transpose(case["inputs"]["ind_matrix"])]
    labels = spanning([(int(row[0]), int(row[-1])) for row in rows])

    def probabilities(*drawn: int) -> list[float]:
        uniqueness = uniqueness_beside(labels, CALENDAR, np.array(drawn, dtype=np.int64))
        return (uniqueness / uniqueness.sum()).tolist()

    assert probabilities() == pytest.approx(case["expected"]["first"], abs=1e-12)
    assert uniqueness_beside(labels, CALENDAR, np.array([1])).tolist() == pytest.approx(case["expected"]["uniq_after"], abs=1e-12)
    assert probabilities(1) == pytest.approx(case["expected"]["prob_after"], abs=1e-12)
    assert probabilities(1, 2) == pytest.approx(case["expected"]["prob_after_1_2"], abs=1e-12)


@settings(max_examples=12, derandomize=True)
@given(told=overlapping())
def test_against_the_indicator_matrix(told: tuple[list[tuple[int, int]], list[str]]):
    """Every draw weighs all labels anew: by the matrix of what is drawn, and by the function of the published case."""
    spans, tickers = told
    labels, matrix = spanning(spans, tickers), depends(spans, tickers)
    draws = sequential_bootstrap(labels, CALENDAR, n_draws=12, seed=3)
    in_order = sorted(range(len(spans)), key=lambda row: (tickers[row], spans[row][0]))
    rng, drawn = np.random.default_rng(3), []
    for draw in draws.tolist():
        shared = 1 + matrix[drawn].sum(axis=0)
        uniqueness = (matrix / shared).sum(axis=(1, 2)) / matrix.sum(axis=(1, 2))
        np.testing.assert_allclose(uniqueness_beside(labels, CALENDAR, np.array(drawn, dtype=np.int64)), uniqueness, rtol=1e-12)
        ordered = uniqueness[in_order]
        assert draw == in_order[rng.choice(len(spans), p=ordered / ordered.sum())]
        drawn.append(draw)


def test_draws_are_more_unique_than_those_of_a_plain_bootstrap():
    """Lopez de Prado 2018, section 4.5.4: of heavily overlapping labels, averaged over seeds."""
    labels = spanning([(first, first + length) for first, length in zip(range(1, 101), [1, 9] * 50, strict=True)])
    sequential, plain = [], []
    for seed in range(10):
        drawn = sequential_bootstrap(labels, CALENDAR, seed=seed)
        assert drawn.size == labels.height
        sequential.append(average_uniqueness(labels[drawn], CALENDAR).mean())
        plain.append(average_uniqueness(labels[np.random.default_rng(seed).integers(100, size=100)], CALENDAR).mean())
    assert np.mean(sequential) > 1.05 * np.mean(plain)


def test_a_seed_is_a_sample():
    labels = spanning([(first, first + 4) for first in range(1, 40)])
    first, second = (sequential_bootstrap(labels, CALENDAR, seed=5) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != sequential_bootstrap(labels, CALENDAR, seed=6).tolist()


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(BadArgument, match="0 labels to draw from"):
        sequential_bootstrap(spanning([]), CALENDAR, seed=1)
