"""Whatever the market does, money is conserved: equity recomputed from the journal and the prices is the equity table."""

from __future__ import annotations

import datetime as dt
import math
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest.costs import DEFAULT_COSTS, Costs
from quant_assets.backtest.run import backtest
from quant_assets_tests.backtest.market import DAYS, Row, column, prices

CENT = 1e-6
NAMES = ("AAA", "BBB", "CCC")
N_MOVING, N_QUIET = 16, 5  # every default trade is closed after the quiet end, so the journal is complete
N = N_MOVING + N_QUIET

fraction = st.floats(0, 1)
move = st.tuples(
    st.floats(-0.15, 0.15),  # gap from the close before
    fraction,  # how far the low goes, in 10 %
    fraction,  # how far the high goes
    fraction,  # where between them it closes
    st.sampled_from([1.0, 1.0, 1.0, 2.0, 1.5, 0.5]),  # split
    st.sampled_from([0.0, 0.0, 0.0, 0.25]),  # dividend
    st.sampled_from(["bar", "bar", "bar", "bar", "none", "incomplete"]),
)
market = st.fixed_dictionaries({name: st.lists(move, min_size=N_MOVING, max_size=N_MOVING) for name in NAMES})
scores = st.fixed_dictionaries(
    {name: st.lists(st.one_of(st.none(), st.floats(0.3, 0.9)), min_size=N_MOVING, max_size=N_MOVING) for name in NAMES}
)


def bars_of(moves: list[tuple]) -> list[Row | None]:
    """Bars from moves; a split happens on bars only, since a price table without the bar would not know of it."""
    bars: list[Row | None] = []
    close = 60.0
    for gap, down, up, where, split, dividend, kind in moves:
        if kind == "none":
            bars.append(None)
            continue
        opening = close / split * (1 + gap)
        low, high = opening * (1 - 0.1 * down), opening * (1 + 0.1 * up)
        close = low + where * (high - low)
        bars.append((opening, high if kind == "bar" else None, low, close, split, dividend))
    return bars + [(close, close, close, close)] * N_QUIET


Bars = dict[str, list[tuple[dt.date, float, float, float]]]


def replayed(trades: list[dict], bars: Bars, session: dt.date) -> tuple[float, float]:
    """Cash and market value at a close, from the journal and the prices (session, split, dividend, close) alone."""
    cash, position = 10_000.0, 0.0
    for trade in trades:
        if trade["entered"] > session:
            continue
        cash -= trade["entry_shares"] * trade["entry_price"] + DEFAULT_COSTS.commission(trade["entry_shares"])
        shares, last_close = trade["entry_shares"], 0.0
        for day, split, dividend, close in bars[trade["ticker"]]:
            if day > min(session, trade["session"]):
                break
            if day > trade["entered"]:
                shares *= split
                cash += shares * dividend
            last_close = close
        if trade["session"] <= session:
            assert shares == pytest.approx(trade["exit_shares"])
            cash += shares * trade["exit_price"] - DEFAULT_COSTS.commission(shares)
        else:
            position += shares * last_close
    return cash, position


@settings(max_examples=40, deadline=None, derandomize=True)
@given(moves=market, listed=scores)
def test_equity_is_the_journal_at_the_prices(moves: dict, listed: dict):
    bars = prices({name: bars_of(moves[name]) for name in NAMES})
    scored = column("score", {name: [*listed[name], *[None] * N_QUIET] for name in NAMES})
    atr = column("atr_14", {name: [2.0] * N for name in NAMES})
    tables = backtest(bars, scored, atr, as_of=DAYS[N - 1])
    by_name: Bars = {
        name: bars.filter(pl.col("ticker") == name).select("session", "split_factor", "dividend", "close").rows() for name in NAMES
    }
    assert (tables.equity["cash"] >= 0).all()
    for (strategy, account, ticker), rows in tables.equity.group_by("strategy", "account", "ticker"):
        assert (rows["equity"] - rows["cash"] - rows["position"]).abs().max() < CENT
        if strategy == "buy_and_hold":
            continue
        trades = tables.trades.filter(pl.col("strategy") == strategy, pl.col("account") == account)
        if account == "ticker":
            trades = trades.filter(pl.col("ticker") == ticker)
        booked = trades.to_dicts()
        for session, cash, position, entries in rows.select("session", "cash", "position", "entries").iter_rows():
            assert replayed(booked, by_name, session) == (pytest.approx(cash, abs=CENT), pytest.approx(position, abs=CENT))
            assert entries == sum(trade["entered"] <= session for trade in booked)
        last = rows.sort("session").row(-1, named=True)
        assert last["costs"] == pytest.approx(trades["commission"].sum() + trades["spread_cost"].sum(), abs=CENT)
        assert last["position"] == 0
        assert last["cash"] == pytest.approx(10_000 + trades["pnl"].sum(), abs=CENT)
        check_sizes(trades, rows, bars, scored, alone=account == "ticker")


def check_sizes(trades: pl.DataFrame, equity: pl.DataFrame, bars: pl.DataFrame, scored: pl.DataFrame, *, alone: bool) -> None:
    """Whole shares; each entry at most equity / names; the names held at one time never overlap with themselves."""
    worth = dict(equity.select("session", "equity").iter_rows())
    complete = bars.drop_nulls().select("ticker", "session").join(scored.drop_nulls(), on=["ticker", "session"])
    for trade in trades.iter_rows(named=True):
        shares, decided = trade["entry_shares"], trade["decided"]
        n_tradable = 1 if alone else complete.filter(pl.col("session") <= decided)["ticker"].n_unique()
        assert shares == int(shares) >= 1
        spent = shares * trade["entry_price"] + DEFAULT_COSTS.commission(shares)
        assert spent <= worth[decided] / n_tradable + CENT
        assert trade["entered"] == DAYS[DAYS.index(decided) + 1]
    for _, own in trades.sort("entered").group_by("ticker"):
        spells = own.sort("entered").select("session", "decided").rows()
        assert all(later[1] >= earlier[0] for earlier, later in pairwise(spells))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(budget=st.floats(0, 1e6), price=st.floats(0.01, 5_000))
def test_a_budget_buys_all_it_can_and_never_more(budget: float, price: float):
    costs = Costs()
    shares = costs.affordable_shares(budget, price)
    assert shares >= 0
    if shares:
        assert costs.cash_needed(shares, price) <= budget
    assert costs.cash_needed(shares + 1, price) > budget - CENT


def test_a_budget_one_rounding_short_of_a_share_does_not_buy_it():
    price = 1.0002
    budget = math.nextafter(333 * price + 333 * 0.005, 0)
    assert budget / (price + 0.005) == 333.0
    assert Costs().affordable_shares(budget, price) == 332
