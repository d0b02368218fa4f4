"""What is changed before a strategy is run again, and what is told of each run."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.impact import AlmgrenImpact, LinearImpact, SquareRootImpact
from quant_assets.backtest.stress import noisy_fills, noisy_prices, stressed_costs, under_costs, under_noise, under_noisy_fills
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.market import DAYS, QUIET, prices

BARS = prices({name: [QUIET, (100.0, 100.0, 95.0, 99.0, 2.0, 0.5)] * 30 for name in ("AAA", "BBB")})
FIELDS = ("open", "high", "low", "close")


def equity(wealth: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"session": DAYS[: len(wealth)], "equity": wealth})


def held(bars: pl.DataFrame) -> pl.DataFrame:
    """Equity of one share of each name."""
    return bars.group_by("session").agg(equity=pl.col("close").sum())


@given(st.floats(1.0, 500.0), st.integers(0, 1_000))
def test_noise_moves_bars_and_keeps_them_bars(noise_bps: float, seed: int):
    noisy = noisy_prices(BARS, noise_bps=noise_bps, seed=seed)
    assert noisy.select((pl.col("high") >= pl.max_horizontal(*FIELDS)).all()).item()
    assert noisy.select((pl.col("low") <= pl.min_horizontal(*FIELDS)).all()).item()
    assert noisy.drop(FIELDS).equals(BARS.drop(FIELDS))
    assert noisy.equals(noisy_prices(BARS, noise_bps=noise_bps, seed=seed))
    factor = (noisy["close"] / BARS["close"]).to_numpy()
    np.testing.assert_allclose(noisy["open"] / BARS["open"], factor, rtol=1e-12)
    assert len(np.unique(factor)) == len(factor)


def test_the_factor_is_one_on_average_and_as_wide_as_told():
    many = prices({f"N{name}": [QUIET] * 120 for name in range(100)})
    factor = (noisy_prices(many, noise_bps=200, seed=1)["close"] / 100).to_numpy()
    assert factor.mean() == pytest.approx(1, abs=4 * 0.02 / math.sqrt(len(factor)))
    assert np.log(factor).std() == pytest.approx(0.02, rel=0.03)


def test_a_bar_without_a_price_stays_without():
    gap = BARS.with_columns(high=pl.lit(None, dtype=pl.Float64))
    assert noisy_prices(gap, noise_bps=10, seed=1)["high"].null_count() == gap.height


def test_only_the_half_spread_of_a_fill_is_noisy():
    drawn = [noisy_fills(US_STOCKS, sigma=0.5, seed=seed) for seed in range(400)]
    spreads = np.array([costs.half_spread for costs in drawn])
    assert all(dataclasses.replace(costs, half_spread=US_STOCKS.half_spread) == US_STOCKS for costs in drawn)
    assert np.log(spreads).std() == pytest.approx(0.5, rel=0.15)
    assert spreads.mean() == pytest.approx(US_STOCKS.half_spread, rel=0.1)


@pytest.mark.parametrize("impact", [LinearImpact(), LinearImpact(cap_bps=1.0), SquareRootImpact(), AlmgrenImpact(), None])
@pytest.mark.parametrize("shares", [-60_000.0, -10.0, 300.0])
def test_every_part_of_a_charge_is_multiplied(impact: LinearImpact | SquareRootImpact | AlmgrenImpact | None, shares: float):
    costs = dataclasses.replace(US_STOCKS, impact=impact)
    fill = {"session": dt.date(2024, 6, 3), "adv": 1e6, "sigma": 0.02, "vix": 20.0}
    once, fourfold = (of.of(shares, 50.0, **fill) for of in (costs, stressed_costs(costs, 4.0)))
    for part in ("commission", "sec_fee", "taf", "exchange_fee", "spread_cost", "impact_cost"):
        assert getattr(fourfold, part) == pytest.approx(4 * getattr(once, part)), part


def test_no_cost_is_forgotten():
    every = dataclasses.replace(US_STOCKS, impact=SquareRootImpact())
    doubled = stressed_costs(every, 2.0)
    assert [field.name for field in dataclasses.fields(Costs) if getattr(doubled, field.name) == getattr(every, field.name)] == []


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_costs_are_multiplied_by_something_above_zero(factor: float):
    with pytest.raises(BadArgument, match=r"cannot be multiplied by .* \(limit: above 0\)"):
        stressed_costs(US_STOCKS, factor)


def test_each_run_sees_other_prices():
    found = under_noise(held, BARS, n=5, noise_bps=50, seed=4)
    assert found["run"].to_list() == [0, 1, 2, 3, 4]
    assert found.drop("run").unique().height == 5
    assert found.equals(under_noise(held, BARS, n=5, noise_bps=50, seed=4))
    still = under_noise(held, BARS, n=2, noise_bps=0, seed=4)
    wealth = held(BARS).sort("session")["equity"].to_numpy()
    assert still["total_return"].to_list() == [pytest.approx(wealth[-1] / wealth[0] - 1)] * 2
    assert still["max_drawdown"].to_list() == [pytest.approx(0.99 - 1)] * 2


def test_each_run_pays_another_spread():
    found = under_noisy_fills(lambda costs: equity([100.0, 100.0 * (1 - costs.half_spread)]), US_STOCKS, n=3, sigma=0.3, seed=9)
    assert found["total_return"].n_unique() == 3
    assert found["sharpe"].null_count() == 3  # of one return there is none


def test_costs_once_twice_and_four_times():
    found = under_costs(lambda costs: equity([100.0, 101.0 - costs.commission_minimum, 102.0 - costs.commission_minimum]), US_STOCKS)
    assert found["factor"].to_list() == [1.0, 2.0, 4.0]
    assert found["total_return"].to_list() == pytest.approx([0.01, 0.0, -0.02])
    assert found["max_drawdown"].to_list() == pytest.approx([0.0, -0.01, -0.03])


def test_a_ruined_run_ends_with_its_ruin():
    found = under_costs(lambda _: equity([100.0, 50.0, -10.0, 20.0]), US_STOCKS, [1.0])
    assert found["total_return"].item() == pytest.approx(-1.1)
    assert found["max_drawdown"].item() == pytest.approx(-1.1)


def test_a_run_without_equity_is_refused():
    with pytest.raises(BadArgument, match="no column equity"):
        under_costs(lambda _: equity([1.0]).drop("equity"), US_STOCKS)


def test_the_engine_under_noise_and_under_costs():
    """A round trip a week in a market that stands still: what is paid is all that happens, and twice the costs cost twice."""
    bars = prices({"AAA": [QUIET] * 40})
    orders = pl.DataFrame({"ticker": "AAA", "session": DAYS[:40:5], "shares": 10.0, "exit_after": 2})
    run = lambda tape, costs: engine.run(tape, orders, costs=costs).equity  # noqa: E731
    paid = under_costs(lambda costs: run(Tape.of(bars), costs), Costs())["total_return"]
    assert paid[0] < 0
    assert paid.to_list() == pytest.approx([paid[0], 2 * paid[0], 4 * paid[0]])
    noisy = under_noise(lambda other: run(Tape.of(other), Costs()), bars, n=5, noise_bps=50, seed=1)["total_return"]
    assert noisy.n_unique() == 5
