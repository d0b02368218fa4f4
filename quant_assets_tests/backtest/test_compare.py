"""Differences of Sharpe ratios against a naive loop, under no difference, and under one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from quant_assets.backtest.compare import compare, compare_varying, sharpe_difference
from quant_assets.errors import BadArgument
from quant_assets.validation.bootstrap import circular_blocks


def pair(seed: int, n: int, *, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two records that share half of their variance; the first earns `gain` a day more."""
    draw = np.random.default_rng(seed)
    common, a, b = draw.normal(0, 0.01, (3, n))
    return common + a + gain, common + b


def sharpe(returns: np.ndarray) -> float:
    return returns.mean() / returns.std(ddof=1) * math.sqrt(252)


def test_it_is_what_a_naive_loop_finds():
    a, b = pair(1, 130)
    found = sharpe_difference(a, b, block=10, resamples=120, seed=6)
    measured = sharpe(a) - sharpe(b)
    drawn = [sharpe(a[places]) - sharpe(b[places]) for places in circular_blocks(130, block=10, resamples=120, seed=6)]
    assert found.difference == pytest.approx(measured)
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]).tolist())
    assert found.p_value == (1 + sum(abs(each - measured) >= abs(measured) for each in drawn)) / 121


def test_without_a_difference_every_p_value_is_as_likely():
    """No further from uniform than one of a hundred samples of 150 would be (Kolmogorov: 1.63 / sqrt(n))."""
    found = np.sort([sharpe_difference(*pair(seed, 250), block=5, resamples=99, seed=seed).p_value for seed in range(150)])
    assert np.abs(found - (np.arange(150) + 0.5) / 150).max() < 1.63 / math.sqrt(150)


def test_a_difference_that_is_there_is_found():
    found = sharpe_difference(*pair(3, 1_000, gain=0.003), resamples=500, seed=1)
    assert found.p_value < 0.01
    assert found.low > 0


def test_what_moves_together_is_told_apart_sooner():
    a, b = pair(3, 1_000, gain=0.001)
    together = sharpe_difference(a, b, resamples=300, seed=1)
    apart = sharpe_difference(a, np.random.default_rng(0).permutation(b), resamples=300, seed=1)
    assert together.high - together.low < apart.high - apart.low


def test_a_strategy_does_not_differ_from_itself():
    a, _ = pair(4, 100)
    found = sharpe_difference(a, a, seed=1)
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_all_pairs_with_p_values_of_holm():
    a, b = pair(5, 300, gain=0.002)
    c, d = pair(6, 300)
    returns = {"a": a, "b": b, "c": c, "d": d}
    found = compare(returns, block=10, resamples=300, seed=2)
    assert list(zip(found["a"], found["b"], strict=True)) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    for row in found.iter_rows(named=True):
        alone = sharpe_difference(returns[row["a"]], returns[row["b"]], block=10, resamples=300, seed=2)
        assert (row["difference"], row["low"], row["high"], row["p_value"]) == pytest.approx(
            (alone.difference, alone.low, alone.high, alone.p_value)
        )
        assert row["sharpe_a"] == pytest.approx(sharpe(returns[row["a"]]))
        assert row["sharpe_b"] == pytest.approx(sharpe(returns[row["b"]]))
    assert found["p_holm"].to_list() == pytest.approx(multipletests(found["p_value"].to_numpy(), method="holm")[1].tolist())
    assert (found["p_holm"] > found["p_value"]).any()


def test_one_that_does_not_vary_leaves_the_other_pairs_as_they_are():
    returns = {"a": pair(5, 300)[0], "once": np.where(np.arange(300) == 50, 0.01, 0.0), "b": pair(5, 300)[1]}
    found, left_out = compare_varying(returns, resamples=200, seed=2)
    assert found.equals(compare({name: returns[name] for name in ("a", "b")}, resamples=200, seed=2))
    assert list(left_out) == ["once"]
    assert left_out["once"].startswith("does not vary in")
    none, both = compare_varying(dict.fromkeys(("c", "d"), returns["once"]), resamples=200, seed=2)
    assert (none.height, none.columns, list(both)) == (0, found.columns, ["c", "d"])
    with pytest.raises(BadArgument, match="once does not vary in"):
        compare(returns, resamples=200, seed=2)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones(40), np.ones(41), "not equally many returns \\(a 40, b 41\\)"),
        (pair(1, 40)[0], np.where(np.arange(40) == 7, np.nan, 0.01), "b has 1 missing returns"),
        (pair(1, 41)[0], pair(1, 41)[1], "41 returns cannot be drawn in blocks of 21"),
        (pair(1, 100)[0], np.zeros(100), "b does not vary in 201 of the record and its 200 resamples"),
        (pair(1, 100)[0], np.where(np.arange(100) == 50, 0.01, 0.0), "b does not vary in"),
    ],
)
def test_what_cannot_be_compared(a: np.ndarray, b: np.ndarray, message: str):
    with pytest.raises(BadArgument, match=message):
        sharpe_difference(a, b, resamples=200, seed=1)
