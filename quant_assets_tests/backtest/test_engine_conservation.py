"""Whatever is ordered, nothing appears and nothing is lost: the account again in a plain loop, from the fills and the bars alone."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest import engine
from quant_assets.backtest.costs import US_STOCKS, Costs
from quant_assets.backtest.engine import Limits, Result
from quant_assets.backtest.impact import AlmgrenImpact, SquareRootImpact
from quant_assets.backtest.orders import Order
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.tapes import FREE, PLAIN, Bar, orders_of, tape_of

NAMES = ("AAA", "BBB", "CCC")
N = 12
START = 10_000.0
NEAR = 1e-6
"""USD or shares: the rounding of some hundred additions."""

fraction = st.floats(0, 1)
move = st.tuples(
    st.floats(-0.4, 0.4),  # gap from the close before
    fraction,  # how far the low goes, in 10 %
    fraction,  # how far the high goes
    fraction,  # where between them it closes
    st.sampled_from([1e6, 1e6, 1e6, 5_000.0, 300.0, 300.0, 300.0, 0.0, None]),  # volume
    st.sampled_from([1.0, 1.0, 1.0, 1.0, 2.0, 1 / 3]),  # split
    st.sampled_from([0.0, 0.0, 0.0, 0.25]),  # dividend
    st.sampled_from([*["bar"] * 10, "none", "incomplete"]),
)
side = st.sampled_from([1.0, 1.0, -1.0])
part = st.floats(0.01, 2.2)
sizing = st.one_of(
    st.tuples(st.just("shares"), st.tuples(side, st.integers(1, 150)).map(math.prod)),
    st.tuples(st.just("shares"), st.tuples(side, st.floats(0.3, 90)).map(math.prod)),
    st.tuples(st.just("cash"), st.tuples(side, st.floats(20, 15_000)).map(math.prod)),
    st.tuples(st.just("equity"), st.tuples(side, part).map(math.prod)),
    st.tuples(st.just("weight"), st.one_of(st.just(0.0), st.tuples(side, part).map(math.prod))),
    st.tuples(st.just("close"), st.just(True)),
)
ratio = st.floats(0.9, 1.1)
distance = st.one_of(st.none(), st.floats(0.0001, 0.1))
prices = st.one_of(  # in parts of the close at which the order is decided
    st.just({}),
    st.just({"at": "close"}),
    st.fixed_dictionaries({"limit": ratio}),
    st.fixed_dictionaries({"stop": ratio}),
    st.fixed_dictionaries({"stop": ratio, "limit": ratio}),
    st.fixed_dictionaries({"trail": st.floats(0.005, 0.1)}),
)
rest = st.fixed_dictionaries(
    {
        "exit_after": st.one_of(st.none(), st.integers(1, 4)),
        "lasts": st.sampled_from([0, 1, 1, 3]),
        "only_flat": st.sampled_from([False, False, True]),
        "priority": st.sampled_from([0.0, 1.0]),
    }
)
guards = st.fixed_dictionaries({"stop_loss": distance, "take_profit": distance, "trailing_stop": distance})
wish = st.one_of(st.none(), st.tuples(sizing, prices, guards, rest))
costs = st.sampled_from(
    [FREE, PLAIN, US_STOCKS, Costs(impact=SquareRootImpact(), borrow_annual=0.1), Costs(impact=AlmgrenImpact(), half_spread=0.005)]
)
limits = st.builds(
    Limits,
    whole_shares=st.booleans(),
    participation=st.sampled_from([None, 0.1]),
    initial_margin=st.sampled_from([1.0, 0.5, 0.5]),
    maintenance_margin=st.sampled_from([0.0, 0.25, 0.5]),
    credit_rate=st.sampled_from([0.0, 0.03]),
    debit_rate=st.sampled_from([0.0, 0.08]),
)
market = st.fixed_dictionaries({name: st.lists(move, min_size=N, max_size=N) for name in NAMES})
wishes = st.fixed_dictionaries({name: st.lists(wish, min_size=N, max_size=N) for name in NAMES})


def bars_of(moves: list[tuple]) -> list[Bar | None]:
    """A split or dividend happens on bars only, since a table without the bar would not know of it."""
    bars: list[Bar | None] = []
    close = 60.0
    for gap, down, up, where, volume, split, dividend, kind in moves:
        if kind == "none":
            bars.append(None)
            continue
        opening = close / split * (1 + gap)
        low, high = opening * (1 - 0.1 * down), opening * (1 + 0.1 * up)
        close = min(max(low + where * (high - low), low), high)
        bars.append((opening, high if kind == "bar" else None, low, close, volume, split, dividend))
    return bars


def order_of(name: str, wished: tuple, close: float) -> Order:
    (kind, size), at_prices, distances, others = wished
    in_usd = {key: value if key == "at" else value * close for key, value in at_prices.items()}
    return Order(name, **{kind: size}, **in_usd, **{key: value and value * close for key, value in distances.items()}, **others)


class Replay:
    """The account again. Every session: carry, splits and dividends, fills as they are told, the value at the close."""

    def __init__(
        self, bars: dict[str, list[Bar | None]], orders: dict[tuple[int, str], Order], result: Result, costs: Costs, limits: Limits
    ):
        self.bars, self.orders, self.costs, self.limits = bars, orders, costs, limits
        self.fills: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for fill in result.fills.iter_rows(named=True):
            self.fills[DAYS.index(fill["session"])].append(fill)
        self.closed = {name: result.trades.filter(ticker=name).iter_rows(named=True) for name in NAMES}
        self.refused: dict[tuple[int, str], int] = defaultdict(int)
        for decided, name in result.refused.select("decided", "ticker").iter_rows():
            self.refused[DAYS.index(decided), name] += 1
        self.cash, self.paid, self.carry = START, 0.0, 0.0
        self.shares = dict.fromkeys(NAMES, 0.0)
        self.last_close = dict.fromkeys(NAMES, math.nan)
        self.flow = dict.fromkeys(NAMES, 0.0)
        self.left: dict[tuple[int, str], float] = {}
        self.touched: set[tuple[int, str]] = set()
        self.realised, self.interest = 0.0, 0.0
        self.least = 1 if limits.whole_shares else NEAR

    def go_through(self, day: int) -> None:
        if day:
            self._carry((DAYS[day] - DAYS[day - 1]).days / 360)
        for name in NAMES:
            if bar := self.bars[name][day]:
                self._act(name, split=bar[5], dividend=bar[6])
        traded: dict[str, float] = defaultdict(float)
        for fill in self.fills[day]:
            if fill["reason"] != "delisted":
                traded[fill["ticker"]] += abs(fill["shares"])
                self._check_quote(fill, self.bars[fill["ticker"]][day])
            self._book(fill)
        if self.limits.participation:
            assert all(total <= self.limits.participation * self.bars[name][day][4] + NEAR for name, total in traded.items())
        for name in NAMES:
            if bar := self.bars[name][day]:
                self.last_close[name] = bar[3]
        self._decide(day)

    @property
    def position(self) -> float:
        return sum(self.shares[name] * self.last_close[name] for name in NAMES if self.shares[name])

    @property
    def unrealised(self) -> float:
        return self.position + sum(self.flow.values())

    def _carry(self, years: float) -> None:
        owed = {name: -self.shares[name] * self.last_close[name] for name in NAMES if self.shares[name] < 0}
        for name, value in owed.items():
            fee = value * self.costs.borrow_annual * years
            self.cash, self.carry, self.flow[name] = self.cash - fee, self.carry - fee, self.flow[name] - fee
        credit = max(self.cash - sum(owed.values()), 0) * self.limits.credit_rate
        interest = (credit - max(-self.cash, 0) * self.limits.debit_rate) * years
        self.cash, self.carry, self.interest = self.cash + interest, self.carry + interest, self.interest + interest

    def _act(self, name: str, *, split: float, dividend: float) -> None:
        self.shares[name] *= split
        self.cash += self.shares[name] * dividend
        self.flow[name] += self.shares[name] * dividend
        for key in self.left:
            self.left[key] *= split if key[1] == name else 1.0

    def _check_quote(self, fill: dict[str, Any], bar: Bar | None) -> None:
        assert bar is not None
        assert None not in bar[:4]
        assert bar[4] != 0.0
        assert bar[2] * (1 - 1e-12) <= fill["quoted"] <= bar[1] * (1 + 1e-12)
        direction = math.copysign(1, fill["shares"])
        assert direction * (fill["price"] - fill["quoted"]) >= 0
        order = self.orders[DAYS.index(fill["decided"]), fill["ticker"]]
        if fill["reason"] == "order" and order.limit is not None:
            splits = math.prod(
                bar[5] for bar in self.bars[order.ticker][DAYS.index(fill["decided"]) + 1 : DAYS.index(fill["session"]) + 1] if bar
            )
            assert direction * (fill["price"] - order.limit / splits) <= NEAR

    def _book(self, fill: dict[str, Any]) -> None:
        name, size = fill["ticker"], abs(fill["shares"])
        assert size > 0
        charged = fill["commission"] + fill["fees"]
        self.cash -= fill["shares"] * fill["price"] + charged
        self.flow[name] -= fill["shares"] * fill["price"] + charged
        self.paid += charged + fill["spread_cost"] + fill["impact_cost"]
        assert size * abs(fill["price"] - fill["quoted"]) == pytest.approx(fill["spread_cost"] + fill["impact_cost"], abs=NEAR)
        self.shares[name] += fill["shares"]
        if self.limits.initial_margin == 1 and fill["reason"] == "order" and self.shares[name] > fill["shares"] - NEAR > 0:
            assert self.cash >= -NEAR, "without leverage nothing is bought on credit"
        if abs(self.shares[name]) < NEAR:
            self.shares[name] = 0.0
            trade = next(self.closed[name])
            assert (trade["session"], trade["pnl"]) == (fill["session"], pytest.approx(self.flow[name], abs=NEAR))
            self.realised += self.flow[name]
            self.flow[name] = 0.0
        elif self.limits.whole_shares:
            assert size == round(size)
        if fill["reason"] == "order":
            key = (DAYS.index(fill["decided"]), name)
            self.touched.add(key)
            if key in self.left:
                assert math.copysign(1, self.left[key]) == math.copysign(1, fill["shares"])
                self.left[key] -= fill["shares"]
                if abs(self.left[key]) < self.least:
                    self.left[key] = 0.0

    def _decide(self, day: int) -> None:
        """What is asked for in shares, at the close of the decision."""
        for name in NAMES:
            order = self.orders.get((day, name))
            if order is None:
                continue
            if order.shares is not None:
                self.left[day, name] = order.shares
            if order.weight is not None and self.bars[name][day]:
                aimed = order.weight * (self.cash + self.position) / self.last_close[name]
                whole = math.copysign(math.floor(abs(aimed) + 1e-9), aimed) if self.limits.whole_shares else aimed
                self.left[day, name] = whole - self.shares[name]

    def check_ends(self) -> None:
        """Every order was filled in full, was refused once, or still works."""
        for key, order in self.orders.items():
            assert self.refused[key] <= 1
            works = order.lasts == 0 or key[0] + order.lasts > N - 1
            if not self.refused[key] and not works:
                assert abs(self.left[key]) < self.least if key in self.left else key in self.touched
        assert all(next(rows, None) is None for rows in self.closed.values())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(moves=market, wished=wishes, costs=costs, limits=limits, last=st.sampled_from([None, None, 6]))
def test_cash_and_shares_are_conserved(moves: dict, wished: dict, costs: Costs, limits: Limits, last: int | None):
    bars = {name: bars_of(moves[name]) for name in NAMES}
    orders = {
        (day, name): order_of(name, each, next((bar[3] for bar in reversed(bars[name][: day + 1]) if bar), 60.0))
        for name in NAMES
        for day, each in enumerate(wished[name])
        if each is not None and any(bars[name])
    }
    tape = tape_of({name: listed for name, listed in bars.items() if any(listed)} or {"AAA": [(1.0,) * 4] * N}, gone=last and {"AAA": last})
    result = engine.run(tape, orders_of(*((day, order) for (day, _), order in orders.items())), costs=costs, limits=limits, cash=START)
    account = Replay(bars, orders, result, costs, limits)
    for day, row in enumerate(result.equity.iter_rows(named=True)):
        account.go_through(day)
        assert (account.cash, account.position) == (pytest.approx(row["cash"], abs=NEAR), pytest.approx(row["position"], abs=NEAR))
        assert row["equity"] == pytest.approx(account.cash + account.position, abs=NEAR)
        assert (account.paid, account.carry) == (pytest.approx(row["costs"], abs=NEAR), pytest.approx(row["carry"], abs=NEAR))
    account.check_ends()
    # What was earned is what the journal says, what is still open, and interest.
    assert account.cash + account.position == pytest.approx(START + account.realised + account.unrealised + account.interest, abs=NEAR)
    assert account.realised == pytest.approx(result.trades["pnl"].sum(), abs=NEAR)
