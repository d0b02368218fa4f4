"""A sweep is the engine, many times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.orders import Order
from quant_assets.backtest.sweep import Setting, grid, sweep
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.tapes import orders_of, tape_of

N = 60
NAMES = ("AAA", "BBB", "CCC")


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    return 100 * np.cumprod(1 + np.random.default_rng(11).normal(0, 0.02, (3, N)), axis=1)


@pytest.fixture(scope="module")
def tape(walk: np.ndarray):
    return tape_of({name: [(c * 1.001, c * 1.02, c * 0.98, c, 2_000.0) for c in path] for name, path in zip(NAMES, walk, strict=True)})


@pytest.fixture(scope="module")
def decided() -> list[tuple[int, Order]]:
    rng = np.random.default_rng(12)
    return [
        (day, Order(name, equity=0.5, stop_loss=2, take_profit=3, trailing_stop=4, exit_after=3, lasts=2, priority=score))
        for day in range(N)
        for name in NAMES
        if (score := float(rng.uniform())) > 0.4
    ]


def as_set(order: Order, setting: Setting) -> Order:
    """The order as a setting has it."""
    scaled = {"stop_loss": setting.stop, "take_profit": setting.target, "trailing_stop": setting.trail}
    changed = {name: getattr(order, name) * factor for name, factor in scaled.items() if factor is not None}
    return replace(order, **changed, exit_after=setting.hold or order.exit_after)


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("limits", [Limits(), Limits(participation=0.01)])
def test_each_setting_is_a_run_of_its_orders(tape, decided: list[tuple[int, Order]], by_name: bool, limits: Limits):
    """With a limit to volume too: what one setting took of a bar is there again for the next."""
    settings = [*grid(threshold=[0.4, 0.7], stop=[0.5, 2], hold=[1, 5]), Setting(), Setting(target=0.5, trail=0.5), Setting(threshold=2.0)]
    found = sweep(tape, orders_of(*decided), settings, by_name=by_name, costs=US_STOCKS, limits=limits)
    for place, setting in enumerate(settings):
        given = orders_of(*((day, as_set(order, setting)) for day, order in decided if order.priority > (setting.threshold or 0)))
        alone = engine.run(tape, given, by_name=by_name, costs=US_STOCKS, limits=limits)
        wealth = alone.equity.group_by("session").agg(equity="equity").sort("session")["equity"].list.sum().to_numpy()
        row = found.figures.row(place, named=True)
        assert np.allclose(found.returns[place], wealth[1:] / wealth[:-1] - 1, rtol=0, atol=1e-14)
        assert row["n_trades"] == alone.trades.height
        assert row["costs"] == pytest.approx(alone.equity.group_by("account").agg(pl.col("costs").last())["costs"].sum())
        assert row["total_return"] == pytest.approx(wealth[-1] / wealth[0] - 1)
        assert row["max_drawdown"] == pytest.approx(min(wealth / np.maximum.accumulate(wealth)) - 1)
        spread = found.returns[place].std(ddof=1)
        assert row["sharpe"] == (pytest.approx(found.returns[place].mean() / spread * np.sqrt(252)) if spread else None)
    assert found.figures["n_trades"].n_unique() > 4


def test_a_grid_is_every_combination_the_last_varying_fastest():
    assert grid(threshold=[0.6, 0.7], hold=[3, 5]) == [
        Setting(threshold=0.6, hold=3),
        Setting(threshold=0.6, hold=5),
        Setting(threshold=0.7, hold=3),
        Setting(threshold=0.7, hold=5),
    ]


@pytest.mark.parametrize(
    "wrong", [{"hold": 0}, {"hold": 2.5}, {"stop": -1.0}, {"target": math.nan}, {"trail": math.inf}, {"threshold": math.nan}]
)
def test_a_setting_that_cannot_be_is_refused(wrong: dict):
    with pytest.raises(BadArgument, match=f"{next(iter(wrong))} is"):
        Setting(**wrong)


def test_no_setting_is_refused(tape):
    with pytest.raises(BadArgument, match="no setting"):
        sweep(tape, orders_of(), [])


def test_a_multiple_of_what_no_order_has_is_refused(tape):
    orders = pl.DataFrame({"ticker": ["AAA"], "session": [tape.sessions[0]], "shares": [1.0]})
    for setting in (Setting(trail=2.0), Setting(threshold=0.5)):
        with pytest.raises(BadArgument, match="change nothing"):
            sweep(tape, orders, [Setting(), setting])
