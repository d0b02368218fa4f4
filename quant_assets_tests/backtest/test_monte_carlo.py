"""Drawn records against naive loops over the same draws, and what must not depend on luck."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.backtest.monte_carlo import BANDS, bootstrap_figures, fan, shuffled_trades, shuffled_wealth
from quant_assets.errors import BadArgument
from quant_assets.validation.bootstrap import circular_blocks

RETURNS = np.random.default_rng(1).standard_t(4, size=130) / 100


def naive_paths(n_paths: int, block: int, seed: int) -> list[list[float]]:
    """Returns of each path, day by day."""
    draws = circular_blocks(len(RETURNS), block=block, resamples=n_paths, seed=seed)
    return [[float(RETURNS[place]) for place in places] for places in draws]


def naive_wealth(path: list[float]) -> list[float]:
    wealth = [1.0]
    for ret in path:
        wealth.append(wealth[-1] * (1 + ret))
    return wealth


def naive_drawdown(wealth: list[float]) -> float:
    return min(worth / max(wealth[: place + 1]) - 1 for place, worth in enumerate(wealth))


def test_the_fan_is_the_percentiles_of_paths_drawn_one_by_one():
    paths = np.array([naive_wealth(path) for path in naive_paths(40, 21, seed=3)])
    found = fan(RETURNS, n_paths=40, block=21, seed=3)
    assert found["step"].to_list() == list(range(131))
    for name, level in BANDS.items():
        np.testing.assert_allclose(found[name], np.quantile(paths, level, axis=0), rtol=1e-12)


def test_figures_are_those_of_paths_drawn_one_by_one():
    paths = naive_paths(40, 21, seed=3)
    wealth = [naive_wealth(path) for path in paths]
    found = bootstrap_figures(RETURNS, n_paths=40, block=21, seed=3)
    expected = {
        "cagr": [worth[-1] ** (252 / 130) - 1 for worth in wealth],
        "sharpe": [np.mean(path) / np.std(path, ddof=1) * math.sqrt(252) for path in paths],
        "max_drawdown": [naive_drawdown(worth) for worth in wealth],
    }
    for name, values in expected.items():
        shown = getattr(found, name)
        np.testing.assert_allclose([shown.p05, shown.p50, shown.p95], np.quantile(values, [0.05, 0.5, 0.95]), rtol=1e-9)
    assert found.share_losing == np.mean([worth[-1] < 1 for worth in wealth])


def test_figures_do_not_depend_on_how_many_paths_are_held_at_once(monkeypatch: pytest.MonkeyPatch):
    whole = bootstrap_figures(RETURNS, n_paths=50, seed=7)
    monkeypatch.setattr("quant_assets.backtest.monte_carlo.VALUES_AT_ONCE", 300)
    assert bootstrap_figures(RETURNS, n_paths=50, seed=7) == whole


def test_the_fan_ends_where_the_figures_do():
    last = fan(RETURNS, n_paths=500, seed=5, steps=200).row(-1, named=True)
    cagr = bootstrap_figures(RETURNS, n_paths=500, seed=5, steps=200).cagr
    assert last["step"] == 200
    assert last["p50"] ** (252 / 200) - 1 == pytest.approx(cagr.p50, rel=1e-2)  # percentiles of a power and powers of percentiles


def test_a_steady_record_has_one_path_and_no_sharpe():
    steady = np.full(60, 0.01)
    found = bootstrap_figures(steady, n_paths=20, seed=1)
    assert fan(steady, n_paths=20, seed=1).row(-1)[1:] == pytest.approx([1.01**60] * 5)
    assert found.sharpe is None
    assert found.share_losing == 0.0
    assert found.max_drawdown.p05 == 0.0


@given(st.lists(st.floats(-0.9, 2.0), min_size=1, max_size=30), st.integers(0, 10))
def test_the_order_of_trades_changes_the_way_and_not_the_end(trades: list[float], seed: int):
    wealth = np.concatenate(list(shuffled_wealth(np.array(trades), n_paths=25, seed=seed)))
    assert wealth.shape == (25, 1 + len(trades))
    np.testing.assert_allclose(wealth[:, -1], math.prod(1 + trade for trade in trades), rtol=1e-9)
    for path in wealth:
        np.testing.assert_allclose(np.sort(path[1:] / path[:-1] - 1), np.sort(trades), rtol=1e-9, atol=1e-9)


def test_orders_differ_and_their_drawdowns_are_measured():
    trades = np.array([0.1, -0.2, 0.3, -0.1, 0.05])
    paths = np.concatenate(list(shuffled_wealth(trades, n_paths=300, seed=2)))
    assert len(np.unique(paths.round(12), axis=0)) > 80  # of 120 orders
    found = shuffled_trades(trades, n_paths=300, seed=2)
    falls = [naive_drawdown(path.tolist()) for path in paths]
    np.testing.assert_allclose([found.p05, found.p50, found.p95], np.quantile(falls, [0.05, 0.5, 0.95]), rtol=1e-12)
    assert min(falls) == pytest.approx(0.8 * 0.9 - 1)


@pytest.mark.parametrize(
    ("returns", "options", "message"),
    [
        ([0.01, math.nan, 0.0, 0.0], {}, "return nan at place 1 is not a number above -1"),
        ([0.01, 0.0, -1.0, 0.0], {}, "return -1.0 at place 2"),
        ([0.01, 0.0, 0.02], {}, "3 returns cannot be drawn in blocks of 2"),
        ([0.01, 0.0, 0.02, 0.0], {"steps": 0}, "4 paths of 0 steps"),
    ],
)
def test_what_cannot_be_drawn(returns: list[float], options: dict[str, int], message: str):
    with pytest.raises(BadArgument, match=message):
        fan(np.array(returns), n_paths=4, block=2, seed=1, **options)


def test_no_trades_cannot_be_shuffled():
    with pytest.raises(BadArgument, match="there are 0 returns"):
        shuffled_trades(np.array([]), seed=1)
