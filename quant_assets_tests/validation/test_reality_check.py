"""p-values against arch and a naive loop over resamples, and worlds in which the answer is known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from arch.bootstrap import SPA

from quant_assets.errors import BadArgument
from quant_assets.validation.bootstrap import circular_blocks
from quant_assets.validation.reality_check import reality_check

N = 240
SETTINGS = {"block_sessions": 10, "resamples": 300, "seed": 5}
RNG = np.random.default_rng(21)
BENCHMARK = RNG.normal(0.0003, 0.01, N)
# Some good, some bad by a lot and by a little, some wild: the three bounds and the two statistics differ.
DEVIATION = np.array([0.01, 0.01, 0.004, 0.004, 0.05, 0.01])
RETURNS = BENCHMARK + RNG.normal(np.array([0.0008, -0.0002, -0.003, -0.0004, 0.001, 0.0])[:, None], DEVIATION[:, None], (6, N))
NOISE = RNG.normal(0, 0.01, (40, N))


def arch_values(excess: np.ndarray) -> dict[str, float]:
    """arch takes losses, (sessions, strategies), and its maximum is of bare means, whatever `studentize` says."""
    test = SPA(np.zeros(N), -excess.T, block_size=10, reps=300, bootstrap="circular", nested=True, seed=5)
    test.compute()
    return dict(test.pvalues)


def standard_errors(excess: np.ndarray) -> np.ndarray:
    means = [excess[:, places].mean(axis=1) for places in circular_blocks(N, block=10, resamples=300, seed=5)]
    return np.std(means, axis=0)


def test_white_is_the_upper_value_of_arch():
    found = reality_check(RETURNS, BENCHMARK, **SETTINGS)
    assert found.white == arch_values(RETURNS - BENCHMARK)["upper"]
    assert 0 < found.white < 1


def test_hansen_is_arch_on_excess_returns_in_units_of_their_standard_errors():
    excess = RETURNS - BENCHMARK
    found = reality_check(RETURNS, BENCHMARK, **SETTINGS)
    values = arch_values(excess / standard_errors(excess)[:, None])
    assert (found.spa_lower, found.spa_consistent, found.spa_upper) == (values["lower"], values["consistent"], values["upper"])
    assert found.spa_lower < found.spa_consistent < found.spa_upper


def naive(returns: np.ndarray, benchmark: np.ndarray) -> dict[str, float]:
    """Equations of Hansen's section 2 and White's statistic, one resample and one strategy at a time."""
    excess = returns - benchmark
    mean, omega = excess.mean(axis=1), standard_errors(excess) * math.sqrt(N)
    shown = max(0.0, max(math.sqrt(N) * mean[k] / omega[k] for k in range(len(excess))))
    limit = -math.sqrt(2 * math.log(math.log(N)))
    keeps = {
        "spa_lower": lambda k: max(mean[k], 0.0),
        "spa_consistent": lambda k: mean[k] if math.sqrt(N) * mean[k] / omega[k] >= limit else 0.0,
        "spa_upper": lambda k: mean[k],
    }
    beyond = dict.fromkeys(["white", *keeps], 0)
    for places in circular_blocks(N, block=10, resamples=300, seed=5):
        drawn = [excess[k, places].mean() for k in range(len(excess))]
        beyond["white"] += max(drawn[k] - mean[k] for k in range(len(excess))) > mean.max()
        for name, g in keeps.items():
            values = [math.sqrt(N) * (drawn[k] - g(k)) / omega[k] for k in range(len(excess))]
            beyond[name] += max(0.0, *values) >= shown
    return {name: count / 300 for name, count in beyond.items()}


@pytest.mark.parametrize("shift", [0.0, 0.002, -0.02], ids=["as drawn", "good", "all worse than the benchmark"])
def test_values_are_those_of_a_naive_loop(shift: float):
    found = dataclasses.asdict(reality_check(RETURNS + shift, BENCHMARK, **SETTINGS))
    expected = naive(RETURNS + shift, BENCHMARK)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_strategies_that_are_all_worse_than_the_benchmark_are_not_believed_at_all():
    hopeless = reality_check(NOISE[:5] - 0.01, np.zeros(N))
    assert (hopeless.spa_lower, hopeless.spa_consistent, hopeless.spa_upper) == (1.0, 1.0, 1.0)
    assert hopeless.white > 0.99


def test_noise_is_believed_as_rarely_as_said():
    """100 searches among ten strategies without skill, at 5 %; by itself the best of ten would be believed in four of ten."""
    worlds = np.random.default_rng(22).normal(0, 0.01, (100, 10, 250))
    found = [reality_check(world, np.zeros(250), block_sessions=5, resamples=200) for world in worlds]
    believed = {name: sum(getattr(each, name) < 0.05 for each in found) for name in ("white", "spa_consistent", "spa_upper")}
    winners = [world[each.best] for world, each in zip(worlds, found, strict=True)]
    alone = sum(best.mean() > 1.645 * best.std(ddof=1) / math.sqrt(250) for best in winners)
    assert alone > 30
    assert max(believed.values()) <= 10


def test_a_planted_strategy_is_believed():
    planted = NOISE.copy()
    planted[13] += 0.004
    found = reality_check(planted, np.zeros(N))
    assert (found.best, found.best_studentised) == (13, 13)
    assert max(found.white, found.spa_upper) < 0.01


def test_one_wild_strategy_hides_a_good_one_from_white_and_not_from_hansen():
    good = np.random.default_rng(2).normal(0.001, 0.004, N)
    wild = np.random.default_rng(3).normal(0, 0.08, N)
    found = reality_check(np.stack([good, wild - wild.mean()]), np.zeros(N))
    assert found.best_studentised == 0
    assert found.spa_consistent < 0.01
    assert found.white > 0.3


def test_hopeless_strategies_weigh_on_white_and_the_upper_value_and_not_on_the_consistent_one():
    hopeless = NOISE[1:] - 0.01
    good = NOISE[0] - NOISE[0].mean() + 0.0013
    alone, among = reality_check(good[None], np.zeros(N)), reality_check(np.vstack([good, hopeless]), np.zeros(N))
    assert among.spa_consistent == alone.spa_consistent == alone.spa_upper
    assert among.spa_upper > 3 * alone.spa_upper
    assert among.white > 3 * alone.white


@pytest.mark.parametrize(
    ("returns", "benchmark", "options", "message"),
    [
        (RETURNS, BENCHMARK[1:], {}, r"the benchmark has the shape \(239,\) and 0 returns missing, for strategies of \(6, 240\)"),
        (RETURNS, np.where(np.arange(N) == 4, np.nan, BENCHMARK), {}, "and 1 returns missing"),
        (np.where(np.arange(N) == 4, np.nan, RETURNS), BENCHMARK, {}, "set 0 has no return at place 4"),
        (RETURNS[0], BENCHMARK, {}, "returns have the shape"),
        (RETURNS[:, :41], BENCHMARK[:41], {}, "41 sessions in blocks of 21 .limits: 42 sessions, blocks of 1"),
        (RETURNS, BENCHMARK, {"block_sessions": 0}, "240 sessions in blocks of 0"),
        (
            np.vstack([RETURNS, BENCHMARK - 1e-4]),
            BENCHMARK,
            {},
            r"strategy 6 differs from the benchmark by the same in every session \(1 such",
        ),
    ],
)
def test_what_cannot_be_checked(returns: np.ndarray, benchmark: np.ndarray, options: dict[str, int], message: str):
    with pytest.raises(BadArgument, match=message):
        reality_check(returns, benchmark, **options)
