"""Costs of single orders, against published figures."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from quant_assets.backtest import engine
from quant_assets.backtest.costs import DEFAULT_COSTS, US_STOCKS, Costs
from quant_assets.backtest.fees import SEC_FEE, TAF, FeeTable, Rate
from quant_assets.backtest.impact import AlmgrenImpact, LinearImpact, SquareRootImpact
from quant_assets.backtest.orders import Order
from quant_assets.errors import BadArgument
from quant_assets_tests.backtest.tapes import orders_of, tape_of

DAY = dt.date(2024, 6, 3)
AS_PUBLISHED = Costs(half_spread=0, exchange_per_share=0.003, sec_fee=SEC_FEE, taf=TAF, impact=LinearImpact())
CASES = ("cost_2", "cost_3", "cost_5", "cost_9", "cost_10", "thresholds")


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, dict]:
    cases = json.loads((shared / "reference" / "18_transaction_costs.json").read_text())["cases"]
    return {case["id"]: case for case in cases}


def test_all_published_cases_are_tested(published: dict[str, dict]):
    assert set(published) == set(CASES)


@pytest.mark.parametrize("case", CASES[:-1])
def test_published_case(published: dict[str, dict], case: str):
    """Ours is the convention "cap_before": the cap of 50 bp is met before the multipliers of the hour and the VIX."""
    asked, expected = published[case]["inputs"], published[case]["expected"]
    shares = asked["shares"] if asked["side"] == "buy" else -asked["shares"]
    adv = asked["shares"] / asked["adv_fraction"]
    charge = AS_PUBLISHED.of(shares, asked["price"], session=DAY, hour=asked["hour"], adv=adv, vix=asked["vix"])
    near = published[case]["tolerance"]["abs"]
    assert charge.commission == pytest.approx(expected["commission"], abs=near)
    assert charge.sec_fee == pytest.approx(expected["sec_fee"], abs=near)
    assert charge.taf == pytest.approx(expected["taf"], abs=near)
    assert charge.exchange_fee == pytest.approx(expected["exchange_fee"], abs=near)
    assert charge.explicit == pytest.approx(expected["explicit_total"], abs=near)
    assert charge.impact_cost == pytest.approx(expected["impact_cost_cap_before"], abs=near)
    assert charge.total == pytest.approx(expected["total_cap_before"], abs=near)
    direction = 1 if shares > 0 else -1
    assert charge.price == pytest.approx(asked["price"] * (1 + direction * expected["impact_bps_cap_before"] * 1e-4), rel=1e-12)


def test_published_thresholds(published: dict[str, dict]):
    at = published["thresholds"]["expected"]
    below = at["commission_min_binds_below_shares"]
    assert AS_PUBLISHED.commission(below - 1) == 1 == AS_PUBLISHED.commission(below) < AS_PUBLISHED.commission(below + 1)
    capped = at["taf_cap_binds_from_shares"]
    taf = [AS_PUBLISHED.of(-shares, 10, session=DAY).taf for shares in (capped - 1, capped, capped + 1)]
    assert taf[0] < taf[1] == pytest.approx(taf[2]) == pytest.approx(at["taf_at_50000"])
    binds = at["impact_cap_binds_from_adv_fraction"]
    cost = [AS_PUBLISHED.of(100, 100, session=DAY, adv=100 / part).impact_cost for part in (binds * 0.99, binds, binds * 1.01)]
    assert cost[0] < cost[1] == pytest.approx(cost[2]) == pytest.approx(100 * 100 * 50e-4)


def test_a_vix_of_30_does_not_double():
    quiet, fearful = (AS_PUBLISHED.of(100, 100, session=DAY, adv=1e6, vix=vix).impact_cost for vix in (30, 30.01))
    assert fearful == pytest.approx(2 * quiet)


@pytest.mark.parametrize(("hour", "factor"), [(9.5, 1.5), (9.99, 1.5), (10, 1), (12, 0.9), (12.99, 0.9), (13, 1), (15, 1.3), (16, 1)])
def test_hours_are_closed_on_the_left(hour: float, factor: float):
    assert AS_PUBLISHED.of(100, 100, session=DAY, adv=1e9, hour=hour).impact_cost == pytest.approx(2.000001 * factor, rel=1e-6)


def test_almgren_of_ibm():
    """Almgren, Thum, Hauptmann and Li (2005), Table 3, IBM, a tenth of a day's volume within a tenth of a day: permanent impact 20 bp,
    temporary 22 bp, cost 32 bp: half the one and all of the other. Printed without decimals, hence half a basis point.
    """
    x, sigma, theta = 0.1, 0.0157, 263.0
    permanent = 0.314 * sigma * x * theta**0.25
    temporary = 0.142 * sigma * (x / 0.1) ** 0.6
    assert (permanent * 1e4, temporary * 1e4) == (pytest.approx(20, abs=0.5), pytest.approx(22, abs=0.5))
    costs = Costs(half_spread=0, impact=AlmgrenImpact(inverse_turnover=theta, day_fraction=0.1))
    paid = costs.of(1e5, 100, session=DAY, adv=1e6, sigma=sigma).impact_cost / 1e7
    assert paid == pytest.approx(permanent / 2 + temporary, rel=1e-12)
    assert paid * 1e4 == pytest.approx(32, abs=0.5)


def test_square_root_impact_of_a_quarter_of_the_volume_is_half_the_volatility():
    costs = Costs(half_spread=0, impact=SquareRootImpact())
    assert costs.of(250, 100, session=DAY, adv=1_000, sigma=0.02).price == pytest.approx(101)


def test_a_fee_holds_from_its_day_on_and_the_first_one_before():
    table = FeeTable("fee", (Rate(dt.date(2020, 1, 2), 1.0, 5.0), Rate(dt.date(2021, 1, 4), 2.0, 6.0)))
    days = [dt.date(2019, 1, 2), dt.date(2020, 1, 2), dt.date(2021, 1, 3), dt.date(2021, 1, 4), dt.date(2022, 1, 3)]
    assert [table.on(day).rate for day in days] == [1, 1, 1, 2, 2]
    rates, caps = table.over(days)
    assert (rates.tolist(), caps.tolist()) == ([1, 1, 1, 2, 2], [5, 5, 5, 6, 6])
    with pytest.raises(BadArgument, match="the rates of fee"):
        FeeTable("fee", table.rates[::-1])


def test_the_sec_fee_ended_in_may_2025():
    assert US_STOCKS.of(-100, 50, session=dt.date(2025, 5, 13)).sec_fee == pytest.approx(0.139)
    assert US_STOCKS.of(-100, 50, session=dt.date(2025, 5, 14)).sec_fee == 0


@pytest.mark.parametrize("wrong", [{"half_spread": -0.1}, {"commission_per_share": float("nan")}, {"borrow_annual": float("inf")}])
def test_a_cost_that_is_none_is_refused(wrong: dict):
    with pytest.raises(BadArgument, match=f"{next(iter(wrong))} is"):
        Costs(**wrong)


def test_the_default_trade_pays_commission_and_spread_alone():
    charge = DEFAULT_COSTS.of(-100, 50, session=DAY)
    assert (charge.explicit, charge.spread_cost, charge.impact_cost) == (1.0, pytest.approx(1.0), 0.0)


@pytest.mark.parametrize(
    "costs",
    [
        US_STOCKS,
        Costs(half_spread=0.003, sec_fee=SEC_FEE, taf=TAF, impact=SquareRootImpact(0.7)),
        Costs(exchange_per_share=0.003, impact=AlmgrenImpact(day_fraction=0.2)),
    ],
)
def test_every_fill_of_the_engine_costs_what_costs_say(costs: Costs):
    """At the open (9:30), within the bar (an hour without a factor) and at the close (15:30), at the volume and volatility known before."""
    bars = [(100 + k % 3, 103 + k % 3, 97, 100 + (k * 7) % 5, 10_000.0 + 1_000 * k) for k in range(8)]
    tape = tape_of({"AAA": bars})
    wishes = [Order("AAA", shares=300), Order("AAA", shares=-100, stop=99, lasts=3), Order("AAA", close=True, at="close")]
    fills = engine.run(tape, orders_of(*zip((2, 3, 5), wishes, strict=True)), costs=costs, cash=1e6).fills
    assert fills["shares"].to_list() == [300, -100, -200]
    adv, sigma = tape.average_volume()[0], tape.volatility()[0]
    for fill, hour in zip(fills.iter_rows(named=True), (9.5, 11, 15.5), strict=True):
        day = tape.sessions.index(fill["session"])
        charge = costs.of(fill["shares"], fill["quoted"], session=fill["session"], hour=hour, adv=adv[day], sigma=sigma[day])
        told = (charge.price, charge.commission, charge.explicit - charge.commission, charge.spread_cost, charge.impact_cost)
        assert tuple(fill[name] for name in ("price", "commission", "fees", "spread_cost", "impact_cost")) == pytest.approx(told, rel=1e-12)
