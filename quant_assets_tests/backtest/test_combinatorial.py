"""Splits and paths against the book's figures, skfolio and a naive loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skfolio.model_selection import CombinatorialPurgedCV

from quant_assets.backtest.combinatorial import paths, train_places
from quant_assets.errors import BadArgument
from quant_assets.validation.combinatorial import path_splits, splits

RETURNS = np.random.default_rng(4).normal(0.0003, 0.01, (5, 300))


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    cases = json.loads((shared / "reference" / "02_cpcv_purging.json").read_text())["cases"]
    return {case["id"]: case for case in cases}


@pytest.mark.parametrize("case", ["cpcv_counts_6_1", "cpcv_counts_16_8", "cpcv_counts_5_2"])
def test_published_numbers_of_splits_and_paths(published: dict[str, Any], case: str):
    given, expected = published[case]["inputs"], published[case]["expected"]
    assert len(splits(given["N"], given["k"])) == expected["n_splits"]
    assert path_splits(given["N"], given["k"]).shape == (expected["n_paths"], given["N"])


def test_published_paths(published: dict[str, Any]):
    expected = published["cpcv_path_map_6_2"]["expected"]
    assert (splits(6, 2) + 1).tolist() == expected["test_groups_by_split"]
    assert (path_splits(6, 2) + 1).tolist() == expected["paths"]


@given(st.integers(2, 8), st.data())
def test_every_split_gives_each_of_its_groups_to_one_path(n_groups: int, data: st.DataObject):
    n_test = data.draw(st.integers(1, n_groups - 1))
    tested, used = splits(n_groups, n_test), path_splits(n_groups, n_test)
    given_away = sorted((int(split), group) for path in used for group, split in enumerate(path))
    assert given_away == sorted((split, int(group)) for split, groups in enumerate(tested) for group in groups)


@pytest.mark.parametrize(("n_groups", "n_test", "embargo"), [(6, 2, 0), (6, 2, 5), (10, 3, 3)])
def test_training_and_paths_are_those_of_skfolio(n_groups: int, n_test: int, embargo: int):
    """skfolio's purge leaves out sessions on both sides of a test; its embargo adds to the side after it."""
    oracle = CombinatorialPurgedCV(n_folds=n_groups, n_test_folds=n_test, purged_size=embargo, embargo_size=0)
    assert path_splits(n_groups, n_test).T.tolist() == [
        [split for split, groups in enumerate(splits(n_groups, n_test)) if group in groups] for group in range(n_groups)
    ]
    for (train, tests), tested in zip(oracle.split(RETURNS.T), splits(n_groups, n_test), strict=True):
        assert train_places(300, tested, n_groups=n_groups, embargo=embargo).tolist() == train.tolist()
        assert sorted(np.concatenate(tests) // (300 // n_groups)) == sorted(np.repeat(tested, 300 // n_groups))


def naive(n_groups: int, n_test: int, embargo: int) -> np.ndarray:
    group_of = [group for group, part in enumerate(np.array_split(range(300), n_groups)) for _ in part]
    used = path_splits(n_groups, n_test)
    out = np.full((len(used), 300), np.nan)
    for split, tested in enumerate(splits(n_groups, n_test).tolist()):
        train = [
            place
            for place in range(300)
            if not any(group_of[near] in tested for near in range(max(place - embargo, 0), min(place + embargo, 299) + 1))
        ]
        ratios = [returns[train].mean() / returns[train].std(ddof=1) for returns in RETURNS]
        for path in range(len(used)):
            for place in range(300):
                if used[path, group_of[place]] == split:
                    out[path, place] = RETURNS[int(np.argmax(ratios)), place]
    return out


@pytest.mark.parametrize(("n_groups", "n_test", "embargo"), [(6, 2, 5), (7, 3, 0), (5, 1, 10)])
def test_paths_are_those_of_a_naive_loop(n_groups: int, n_test: int, embargo: int):
    np.testing.assert_array_equal(paths(RETURNS, n_groups=n_groups, n_test=n_test, embargo=embargo), naive(n_groups, n_test, embargo))


def test_of_one_set_every_path_is_its_record():
    found = paths(RETURNS[:1])
    assert found.shape == (9, 300)
    assert (found == RETURNS[0]).all()


def test_no_set_is_chosen_by_the_sessions_it_is_tested_on():
    """A set that is splendid in one group and poor elsewhere is never used there, but where the group was trained on."""
    returns = np.random.default_rng(5).normal(0.001, 0.01, (2, 300))
    returns[1] = np.random.default_rng(6).normal(-0.01, 0.01, 300)
    returns[1, 120:150] = 0.5
    found = paths(returns, n_groups=10, n_test=2, embargo=0)
    assert (found[:, 120:150] == returns[0, 120:150]).all()
    assert (found[:, :120] == returns[1, :120]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 4, "n_test": 4}, "4 of 4 groups cannot be tested"),
        ({"n_groups": 4, "n_test": 0}, "0 of 4 groups cannot be tested"),
        ({"n_groups": 400, "n_test": 1}, "300 sessions cannot be 400 groups"),
        ({"n_groups": 3, "n_test": 2, "embargo": 60}, r"the split that tests groups \[0, 2\] has 0 sessions to learn from \(limit 2\)"),
    ],
)
def test_what_cannot_be_split(options: dict[str, int], message: str):
    with pytest.raises(BadArgument, match=message):
        paths(RETURNS, **options)
