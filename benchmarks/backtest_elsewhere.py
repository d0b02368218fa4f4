"""The default trade of `backtest.py` as users of other packages write it, on the same bars and decisions. Started by it.

Run by hand as `python benchmarks/backtest_elsewhere.py vectorbt BARS.parquet` in an environment with pandas and vectorbt (or backtesting,
or backtrader). The file has ticker, session, open, high, low, close, `decided` (whether to buy at the next open) and `distance` (of the
stop below the fill, USD). Prints one JSON document: seconds, trades, and what the way took apart from them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

CASH, COMMISSION, HALF_SPREAD, HOLD = 10_000.0, 1.0, 0.0002, 3
REPETITIONS = 5
SOME = 30
"""Names that are run by who takes minutes for all."""


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def with_vectorbt(bars: pd.DataFrame) -> dict[str, float]:
    """All names at once. The time exit has to be known beforehand, so decisions are farther apart than a position lasts."""
    from vectorbt import Portfolio

    def prepared() -> dict[str, Any]:
        wide = {name: bars.pivot(columns="ticker", values=name) for name in ("open", "high", "low", "close")}
        decided = bars.pivot(columns="ticker", values="decided").fillna(False).astype(bool)
        distance = bars.pivot(columns="ticker", values="distance")
        return {
            **wide,
            "price": wide["open"],
            "entries": decided.shift(1, fill_value=False),
            "exits": decided.shift(1 + HOLD, fill_value=False),
            "sl_stop": distance.shift(1) / wide["open"],
        }

    given = prepared()
    rest = {"stop_entry_price": "fillprice", "stop_exit_price": "stopmarket", "init_cash": CASH, "size_granularity": 1.0}
    rest |= {"fixed_fees": COMMISSION, "slippage": HALF_SPREAD}

    def tables() -> tuple[Any, ...]:
        done = Portfolio.from_signals(**given, **rest)
        return done.orders.records_readable, done.trades.records_readable, done.value(), done.cash(), done.asset_value()

    compiling = timed(tables)
    return {
        "preparing": statistics.median(timed(prepared) for _ in range(3)),
        "seconds": statistics.median(timed(lambda: Portfolio.from_signals(**given, **rest)) for _ in range(REPETITIONS)),
        "tables": statistics.median(timed(tables) for _ in range(REPETITIONS)),
        "compiling": compiling,
        "trades": len(Portfolio.from_signals(**given, **rest).order_records) // 2,
    }


def with_backtesting(bars: pd.DataFrame) -> dict[str, float]:
    """Name by name; the stop is a price and stands below the close of the decision instead of the fill."""
    from backtesting import Backtest, Strategy

    class Decided(Strategy):
        def init(self) -> None:
            self.decided, self.stop = self.data.df["decided"].to_numpy(), self.data.df["stop"].to_numpy()

        def next(self) -> None:
            day = len(self.data) - 1
            if not self.position:
                if self.decided[day]:
                    self.buy(sl=self.stop[day])
            elif day == self.trades[0].entry_bar + HOLD - 1:
                self.position.close()

    frames = [
        one.assign(stop=one["close"] - one["distance"]).rename(columns=str.title).rename(columns={"Decided": "decided", "Stop": "stop"})
        for _, one in bars.groupby("ticker")
    ]

    def commission(size: float, price: float) -> float:
        return COMMISSION

    begun = time.perf_counter()
    done = [Backtest(frame, Decided, cash=CASH, spread=HALF_SPREAD, commission=commission).run() for frame in frames]
    return {"seconds": time.perf_counter() - begun, "trades": sum(len(one["_trades"]) for one in done), "names": len(frames)}


def with_backtrader(bars: pd.DataFrame) -> dict[str, float]:
    """Name by name, some of them; the stop is an order of its own, given when the entry is filled, and works from the next bar on."""
    import backtrader

    class Decided(backtrader.Strategy):
        params = (("decided", None), ("distance", None))

        def __init__(self) -> None:
            self.entered, self.stop_order, self.n_trades = 0, None, 0

        def next(self) -> None:
            day = len(self) - 1
            if not self.position:
                if self.p.decided[day]:
                    self.buy()
            elif day == self.entered + HOLD - 1:
                self.cancel(self.stop_order)
                self.close()

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed and order.isbuy():
                self.entered, self.n_trades = len(self) - 1, self.n_trades + 1
                price = order.executed.price - self.p.distance[self.entered - 1]
                self.stop_order = self.sell(exectype=backtrader.Order.Stop, price=price)

    frames = [one for _, one in bars.groupby("ticker")][:SOME]
    trades, begun = 0, time.perf_counter()
    for one in frames:
        cerebro = backtrader.Cerebro(stdstats=False)
        cerebro.adddata(backtrader.feeds.PandasData(dataname=one[["open", "high", "low", "close"]], volume=None, openinterest=None))
        cerebro.addstrategy(Decided, decided=one["decided"].to_numpy(), distance=one["distance"].to_numpy())
        cerebro.addsizer(backtrader.sizers.AllInSizerInt, percents=90)  # refused where the open is dearer than the cash
        cerebro.broker.setcash(CASH)
        trades += cerebro.run()[0].n_trades
    return {"seconds": time.perf_counter() - begun, "trades": trades, "names": len(frames)}


WAYS = {"vectorbt": with_vectorbt, "backtesting": with_backtesting, "backtrader": with_backtrader}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    way, file = sys.argv[1:]
    frame = pd.read_parquet(file)
    frame = frame.set_index(pd.to_datetime(frame.pop("session")))
    print(json.dumps({name: float(np.round(value, 6)) for name, value in WAYS[way](frame).items()}))
