"""Whoever decides sees the past alone: the engine by construction, and strategies are caught that reach around it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from bokeh_sampledata import stocks

from quant_assets.backtest import engine
from quant_assets.backtest.blind import prove_blind
from quant_assets.backtest.costs import US_STOCKS
from quant_assets.backtest.engine import Limits, Result
from quant_assets.backtest.orders import Order
from quant_assets.backtest.strategy import Past, ReachedAhead, trade
from quant_assets.backtest.tape import Tape
from quant_assets.sources.corporate_actions import infer_actions

FIRST, LAST = dt.date(2004, 10, 1), dt.date(2005, 6, 30)
KINDS = ("market", "close", "limit", "stop", "stop_limit", "trail")


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """AAPL (split 2:1 on 2005-02-28), IBM and MSFT (special dividend on 2004-11-15)."""
    data = stocks.data[stocks.data["ticker"].isin(["AAPL", "IBM", "MSFT"])]
    raw = pl.from_pandas(data).with_columns(session=pl.col("date").dt.date()).sort("ticker", "session")
    columns = ("ticker", "session", "open", "high", "low", "close", "volume", "split_factor", "dividend")
    return infer_actions(raw).filter(pl.col("session").is_between(FIRST, LAST)).select(columns)


@pytest.fixture(scope="module")
def cuts(bars: pl.DataFrame) -> list[dt.date]:
    """Twelve sessions, those before a split and a dividend among them."""
    days = bars["session"].unique().sort()
    return [*days.gather_every(days.len() // 10)[:-1], dt.date(2004, 11, 12), dt.date(2005, 2, 25)]


def orders_of_every_kind(bars: pl.DataFrame) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    n = bars.height
    kind, side = rng.integers(0, len(KINDS), n), rng.choice([-1, 1], n)
    close = bars["close"].to_numpy()
    off = close * rng.uniform(0.002, 0.02, n)
    near = lambda *names: np.isin(kind, [KINDS.index(name) for name in names])  # noqa: E731
    given = lambda values, where: pl.Series(np.where(where, values, np.nan)).fill_nan(None)  # noqa: E731
    return bars.select("ticker", "session").with_columns(
        shares=pl.Series(side * rng.integers(1, 60, n).astype(float)),
        limit=given(close + side * np.where(near("stop_limit"), 2 * off, -off), near("limit", "stop_limit")),
        stop=given(close + side * off, near("stop", "stop_limit")),
        trail=given(off, near("trail")),
        at=pl.Series(np.where(near("close"), "close", "open")),
        stop_loss=given(2 * off, rng.random(n) < 0.5),
        take_profit=given(2 * off, rng.random(n) < 0.5),
        trailing_stop=given(3 * off, rng.random(n) < 0.3),
        exit_after=pl.Series(rng.integers(1, 8, n)),
        lasts=pl.Series(rng.integers(0, 4, n)),
    )


def test_the_engine_fills_every_kind_of_order_without_the_future(bars: pl.DataFrame, cuts: list[dt.date]):
    orders = orders_of_every_kind(bars)
    limits = Limits(participation=0.00001, initial_margin=0.5, credit_rate=0.02, debit_rate=0.05)

    def run(known: pl.DataFrame) -> Result:
        return engine.run(Tape.of(known), orders.filter(pl.col("session") <= known["session"].max()), costs=US_STOCKS, limits=limits)

    done = run(bars)
    assert {"order", "time", "gap", "stop", "target"} <= set(done.fills["reason"])
    assert {-1, 1} == set(done.trades["side"])
    prove_blind(run, bars, cuts)


def averages(past: Past) -> Iterator[Order]:
    for ticker in past.tickers:
        closes = past.total_return(ticker)
        above = closes[-5:].mean() > closes[-20:].mean()
        if above and past.shares(ticker) == 0:
            yield Order(ticker, equity=1 / 3, trailing_stop=0.05 * closes[-1])
        elif not above and past.shares(ticker):
            yield Order(ticker, close=True)


def test_an_honest_strategy_passes(bars: pl.DataFrame, cuts: list[dt.date]):
    run = lambda known: trade(Tape.of(known), averages)  # noqa: E731
    assert run(bars).trades.height > 10
    prove_blind(run, bars, cuts)


def test_a_strategy_that_kept_the_whole_table_is_caught_at_its_first_bar(bars: pl.DataFrame, cuts: list[dt.date]):
    def run(known: pl.DataFrame) -> Result:
        ahead = known.with_columns(next_close=pl.col("close").shift(-1).over("ticker"))
        rises = dict(ahead.filter(ticker="IBM").select("session", pl.col("next_close") > pl.col("close")).iter_rows())
        return trade(Tape.of(known), lambda past: [Order("IBM", weight=0.9 if rises[past.session] else 0.0)])

    with pytest.raises(ReachedAhead, match=r"of IBM on 2004-.* is .* from all history and") as caught:
        prove_blind(run, bars, cuts)
    assert str(cuts[0]) in str(caught.value)


def test_orders_from_a_signal_that_was_not_shifted_are_caught(bars: pl.DataFrame, cuts: list[dt.date]):
    def run(known: pl.DataFrame) -> Result:
        mean = pl.col("close").rolling_mean(5, center=True, min_samples=1).over("ticker")
        orders = known.filter(pl.col("close") < mean).select("ticker", "session", cash=pl.lit(1_000.0), exit_after=pl.lit(2))
        return engine.run(Tape.of(known), orders)

    with pytest.raises(ReachedAhead):
        prove_blind(run, bars, cuts)


def test_a_later_bar_is_refused_by_name(bars: pl.DataFrame):
    def peek(past: Past) -> list[Order]:
        days = bars["session"].unique().sort()
        past.bar("MSFT", days[5])
        return []

    with pytest.raises(ReachedAhead, match=r"at the close of 2004-10-01 the strategy asked for the bar of MSFT 2004-10-08"):
        trade(Tape.of(bars), peek)


def test_what_a_strategy_is_shown_holds_nothing_of_later_sessions(bars: pl.DataFrame):
    def look(past: Past) -> list[Order]:
        closes = past.bars("AAPL")
        assert closes.size == past.n_sessions
        assert not closes.flags.writeable
        everything = closes.base
        while everything.base is not None and isinstance(everything.base, np.ndarray):
            everything = everything.base
        assert np.isnan(everything["close"][:, past.n_sessions :]).all()
        return []

    assert trade(Tape.of(bars), look).fills.is_empty()


@pytest.mark.parametrize(
    "orders_of",
    [
        lambda rises: [Order("IBM", shares=10, at="close" if rises else "open")],
        lambda rises: [
            Order("IBM", shares=10 if rises else 20, limit=10.0),
            Order("IBM", shares=20 if rises else 10, limit=15.0 if rises else 12.5),
        ],
    ],
)
def test_whatever_of_an_order_depends_on_later_bars_is_caught(bars: pl.DataFrame, cuts: list[dt.date], orders_of):
    def run(known: pl.DataFrame) -> Result:
        closes = known.filter(ticker="IBM")["close"]
        return trade(Tape.of(known), lambda past: orders_of(closes[-1] > closes[0]))

    assert bars.filter(ticker="IBM")["close"][-1] < bars.filter(ticker="IBM")["close"][0]
    with pytest.raises(ReachedAhead, match=r"order_(at|shares|limit)"):
        prove_blind(run, bars, cuts)
