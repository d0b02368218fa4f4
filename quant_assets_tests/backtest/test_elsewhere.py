"""The engine beside vectorbt and backtesting.py, without costs, on what they can express: the same trades, or why not.

Bars are AAPL's, IBM's and MSFT's as they were traded, splits unknown to all three programs.

vectorbt sees a stop from the session after the entry on, and lets it precede an exit at the open of the same session. Whoever wants a time
exit there knows beforehand when it is, so the decisions of that test are so far apart that no position meets the next one.

backtesting.py wants stop and target as prices, before the fill is known, and looks at the stop first, also where a bar opens beyond the
target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from bokeh_sampledata import stocks
from polars.testing import assert_frame_equal

from quant_assets.backtest import engine
from quant_assets.backtest.costs import Costs
from quant_assets.backtest.engine import Limits
from quant_assets.backtest.tape import Tape

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of imports and of pandas

NAMES = ("AAPL", "IBM", "MSFT")
PRICES = ("open", "high", "low", "close")
FREE = Costs(commission_per_share=0, commission_minimum=0, half_spread=0)
CASH = 10_000.0
Bars = dict[str, np.ndarray]
HOLD = 3
SAME = 1e-9
"""Relative; the programs multiply in another order."""


@pytest.fixture(scope="module")
def bars() -> Bars:
    """(n_sessions, n_names) by price, and of `range`, the width of a bar over 14 sessions; (n_sessions,) `session`."""
    raw = [getattr(stocks, name) for name in NAMES]
    prices = {price: np.stack([one[price] for one in raw], axis=1) for price in PRICES}
    return {**prices, "range": _average(prices["high"] - prices["low"], 14), "session": np.array(raw[0]["date"], dtype="M8[D]")}


def _average(values: np.ndarray, n: int) -> np.ndarray:
    """Of the last n sessions; NaN where there are fewer."""
    found = np.full_like(values, np.nan)
    found[n - 1 :] = np.lib.stride_tricks.sliding_window_view(values, n, axis=0).mean(axis=-1)
    return found


@pytest.fixture(scope="module")
def tape(bars: Bars) -> Tape:
    keys = {"ticker": np.repeat(NAMES, len(bars["session"])), "session": np.tile(bars["session"], len(NAMES))}
    return Tape.of(pl.DataFrame({**keys, **{price: bars[price].T.ravel() for price in PRICES}}))


def orders(bars: Bars, wanted: np.ndarray, **fields: Any) -> pl.DataFrame:
    """One for each (session, name) that is wanted; fields of such a shape, or one for all."""
    day, name = np.nonzero(wanted)
    told = {key: value[wanted] if isinstance(value, np.ndarray) else [value] * day.size for key, value in fields.items()}
    return pl.DataFrame({"session": bars["session"][day], "ticker": [NAMES[k] for k in name], **told})


def vectorbt_orders(bars: Bars, entries: np.ndarray, exits: np.ndarray, stop: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Its records, by name: entries and exits at the opens of their sessions; `stop` is a fraction of the fill."""
    import pandas as pd
    from vectorbt import Portfolio

    opened, high, low, close = (pd.DataFrame(bars[price], columns=list(NAMES)) for price in PRICES)
    done = Portfolio.from_signals(
        close,
        entries,
        exits,
        price=opened,
        open=opened,
        high=high,
        low=low,
        sl_stop=stop,
        stop_entry_price="fillprice",
        stop_exit_price="stoplimit",
        init_cash=CASH,
        **options,
    )
    return [done.order_records[done.order_records["col"] == k] for k in range(len(NAMES))]


def with_backtesting(bars: Bars, k: int, decide: Any) -> tuple[pl.DataFrame, float]:
    """(closed trades, final equity) of a strategy that `decide`s at each close, given itself and the number of the session."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    class Decided(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            decide(self, len(self.data) - 1)

    frame = pd.DataFrame({price.title(): bars[price][:, k] for price in PRICES}, index=pd.DatetimeIndex(bars["session"]))
    told = Backtest(frame, Decided, cash=CASH, commission=0, trade_on_close=False).run()
    trades = told["_trades"][["EntryTime", "ExitTime", "EntryPrice", "ExitPrice", "Size"]]
    trades.columns = ["entered", "session", "entry_price", "exit_price", "shares"]
    return pl.from_pandas(trades).with_columns(pl.col("entered", "session").dt.date()), told["Equity Final [$]"]


@pytest.fixture(scope="module")
def apart(bars: Bars) -> np.ndarray:
    """(n_sessions, n_names) decisions at random, so far apart that a position is left before the next decision."""
    wanted, draw = np.zeros(bars["open"].shape, dtype=bool), np.random.default_rng(7)
    for k in range(len(NAMES)):
        days = 20 + np.cumsum(draw.integers(HOLD + 1, 12, size=len(wanted)))
        wanted[days[days < len(wanted) - HOLD - 1], k] = True
    return wanted


def test_vectorbt_differs_by_the_stop_of_the_entry_bar_and_of_the_last_open(bars: Bars, tape: Tape, apart: np.ndarray):
    asked = orders(bars, apart, equity=1.0, stop_loss=bars["range"], exit_after=HOLD)
    mine = engine.run(tape, asked, by_name=True, cash=CASH, costs=FREE, limits=Limits(whole_shares=False))
    entries, exits = (np.roll(apart, sessions, axis=0) for sessions in (1, 1 + HOLD))
    theirs = vectorbt_orders(bars, entries, exits, np.roll(bars["range"], 1, axis=0) / bars["open"])
    counted = np.zeros(2, dtype=int)
    for k, name in enumerate(NAMES):
        trades = mine.trades.filter(pl.col("account") == name).sort("entered")
        entered, session, reason, entry, exit_, stop = (
            trades[column].to_numpy() for column in ("entered", "session", "exit_reason", "entry_price", "exit_price", "stop_price")
        )
        bought, sold = theirs[k][::2], theirs[k][1::2]
        left, left_there = session.astype("M8[D]"), bars["session"][sold["idx"]]
        assert np.array_equal(entered.astype("M8[D]"), bars["session"][bought["idx"]])
        assert np.allclose(entry, bought["price"], rtol=SAME, atol=0)
        agree = (left == left_there) & np.isclose(exit_, sold["price"], rtol=SAME, atol=0)

        opened, low = (bars[price][np.searchsorted(bars["session"], left), k] for price in ("open", "low"))
        at_entry = (reason == "stop") & (entered == session)
        at_last_open = (reason == "time") & (low <= stop) & (stop < opened)
        assert np.array_equal(~agree, at_entry | at_last_open)
        assert (left_there[at_entry] > left[at_entry]).all()
        assert (left_there[at_last_open] == left[at_last_open]).all()
        assert np.allclose(sold["price"][at_last_open], stop[at_last_open], rtol=SAME, atol=0)
        counted += at_entry.sum(), at_last_open.sum()

        # With their exits where they differ our money is theirs.
        final = mine.equity.filter(pl.col("account") == name)["equity"][-1]
        assert final == pytest.approx(CASH * (exit_ / entry).prod(), rel=SAME)
        growth = np.where(agree, exit_, sold["price"]) / entry
        assert CASH * growth.prod() == pytest.approx(sold["size"][-1] * sold["price"][-1], rel=SAME)
    assert set(mine.trades["exit_reason"]) == {"gap", "stop", "time"}
    assert counted.tolist() == [162, 75]


def test_backtesting_makes_the_same_trades(bars: Bars, tape: Tape):
    stop, target = bars["close"] - bars["range"], bars["close"] + 1.5 * bars["range"]
    filled = np.roll(bars["open"], -1, axis=0)
    wanted = (np.random.default_rng(3).random(stop.shape) < 0.3) & (stop < filled) & (filled < target)
    wanted[-1] = False
    asked = orders(bars, wanted, equity=1.0, stop_loss=filled - stop, take_profit=target - filled, exit_after=HOLD, only_flat=True)
    mine = engine.run(tape, asked, by_name=True, cash=CASH, costs=FREE)
    for k, name in enumerate(NAMES):

        def decide(strategy: Any, day: int, k: int = k) -> None:
            if not strategy.position:
                if wanted[day, k]:
                    strategy.buy(sl=stop[day, k], tp=target[day, k])
            elif day == strategy.trades[0].entry_bar + HOLD - 1:
                strategy.position.close()

        theirs, final = with_backtesting(bars, k, decide)
        trades = mine.trades.filter(pl.col("account") == name).sort("entered")
        exits = trades.select("entered", "session", "exit_price", shares=pl.col("entry_shares").cast(pl.Int64))
        assert_frame_equal(exits, theirs.select(exits.columns), rel_tol=SAME, abs_tol=0)
        assert mine.equity.filter(pl.col("account") == name)["equity"][-1] == pytest.approx(final, rel=SAME)
    assert {"gap", "stop", "target", "time"} == set(mine.trades["exit_reason"])
    at_entry = mine.trades.filter(pl.col("session") == pl.col("entered"))
    assert {"stop", "target"} == set(at_entry["exit_reason"])


def test_backtesting_sells_at_the_stop_what_opened_beyond_its_target():
    moves = {"open": [10.0, 10, 12.5], "high": [10.0, 11, 13], "low": [10.0, 9.5, 8], "close": [10.0, 10, 9]}
    days = np.arange("2012-01-03", "2012-01-06", dtype="M8[D]")
    bars = {"session": days, **{price: np.array(values)[:, None] for price, values in moves.items()}}
    tape = Tape.of(pl.DataFrame({"ticker": "AAPL", "session": pl.Series(days), **moves}))
    asked = pl.DataFrame({"session": [tape.sessions[0]], "ticker": ["AAPL"], "shares": [1.0], "stop_loss": [1.0], "take_profit": [2.0]})
    [mine] = engine.run(tape, asked, costs=FREE).trades["exit_price"]

    def decide(strategy: Any, day: int) -> None:
        if day == 1:  # it cannot decide at the first close
            strategy.buy(size=1, sl=9.0, tp=12.0)

    longer = {key: np.concatenate([values[:1], values]) for key, values in bars.items()}
    longer["session"] = np.arange("2012-01-02", "2012-01-06", dtype="M8[D]")
    theirs, _ = with_backtesting(longer, 0, decide)
    assert (mine, theirs["exit_price"].item()) == (12.5, 9.0)


def test_a_crossing_of_averages_ends_with_the_same_money_in_all_three(bars: Bars, tape: Tape):
    above = _average(bars["close"], 20) > _average(bars["close"], 50)
    up, down = above.copy(), ~above
    up[1:] &= ~above[:-1]
    down[1:] &= above[:-1]
    up[:51] = down[:51] = False
    asked = pl.concat([orders(bars, up, equity=1.0), orders(bars, down, close=True)], how="diagonal").sort("session")
    mine = engine.run(tape, asked, by_name=True, cash=CASH, costs=FREE)
    entries, exits = (np.roll(one, 1, axis=0) for one in (up, down))
    with_vectorbt = vectorbt_orders(bars, entries, exits, np.full(up.shape, np.nan), size_granularity=1.0)
    for k, name in enumerate(NAMES):
        records = with_vectorbt[k]
        signed = np.where(records["side"] == 0, records["size"], -records["size"])
        worth = CASH - (signed * records["price"]).sum() + signed.sum() * bars["close"][-1, k]

        def decide(strategy: Any, day: int, k: int = k) -> None:
            if up[day, k]:
                strategy.buy()
            elif down[day, k]:
                strategy.position.close()

        _, final = with_backtesting(bars, k, decide)
        ours = mine.equity.filter(pl.col("account") == name)["equity"][-1]
        assert (worth, final) == (pytest.approx(ours, rel=SAME), pytest.approx(ours, rel=SAME))
        assert records.size == mine.fills.filter(pl.col("account") == name).height > 50
