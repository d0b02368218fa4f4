"""The engine against a second implementation on real bars: first when trades happen, vectorised, then what they do to the money.

Timing does not depend on money as long as every entry can afford a share, which these accounts can; so the oracle finds each name's
trades by array arithmetic and replays the cash afterwards, where the engine walks bar by bar. AAPL splits 2:1 on 2005-02-28 and MSFT
pays its special dividend on 2004-11-15 within the window.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from bokeh_sampledata import stocks

from quant_assets.backtest.run import backtest
from quant_assets.sources.corporate_actions import infer_actions

NAMES = ("AAPL", "IBM", "MSFT")
FIRST, LAST = dt.date(2003, 6, 2), dt.date(2006, 6, 30)
CENT = 1e-4  # hundreds of compounded trades on up to 50,000 USD: rounding stays far below a cent


@pytest.fixture(scope="module")
def market() -> dict[str, pl.DataFrame]:
    data = stocks.data[stocks.data["ticker"].isin(NAMES)]
    raw = pl.from_pandas(data).with_columns(session=pl.col("date").dt.date()).sort("ticker", "session")
    prices = infer_actions(raw).with_columns(price_basis=pl.lit("raw")).filter(pl.col("session").is_between(FIRST, LAST))
    # Any positive width serves here, and both sides read the same one.
    atr = prices.select("ticker", "session", atr_14=(pl.col("high") - pl.col("low")).rolling_mean(5, min_samples=1).over("ticker") * 0.7)
    scores = prices.select("ticker", "session").with_columns(score=pl.Series(np.random.default_rng(5).uniform(0.3, 0.9, prices.height)))
    return {"prices": prices, "scores": scores, "atr": atr}


def grid(frame: pl.DataFrame, name: str) -> np.ndarray:
    """(n_sessions, n_names) of one column."""
    return frame.sort("session").pivot(on="ticker", index="session", values=name).select(NAMES).to_numpy()


def find_trades(wanted: np.ndarray, opens: np.ndarray, lows: np.ndarray, splits: np.ndarray, atr: np.ndarray) -> list[dict]:
    """One name's trades as session numbers and quoted prices; `wanted` are the sessions at whose close it is to be bought."""
    n, found, free_from = len(opens), [], 0
    shares_per_old = np.cumprod(splits)
    for decided in np.flatnonzero(wanted):
        entry, due = decided + 1, decided + 4
        if decided < free_from or entry >= n:
            continue
        life = np.arange(entry, min(due, n))
        stop0 = opens[entry] * 1.0002 - 2 * atr[decided] / splits[entry]
        stop = stop0 * shares_per_old[entry] / shares_per_old[life]
        gap, hit = (opens[life] <= stop) & (life > entry), lows[life] <= stop
        if (gap | hit).any():
            k = int(np.argmax(gap | hit))
            exit_, quoted, reason = int(life[k]), opens[life[k]] if gap[k] else stop[k], "gap" if gap[k] else "stop"
        elif due < n:
            exit_, quoted, reason = due, opens[due], "time"
        else:
            exit_, quoted, reason = n, np.nan, "open"
        found.append({"decided": decided, "entry": entry, "exit": exit_, "quoted": quoted, "reason": reason})
        free_from = exit_
    return found


def replay(plans: list[list[dict]], score: np.ndarray, m: dict[str, np.ndarray], parts: int) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    """For given trades of each name: equity and costs paid so far at every close, (name, entry, exit, reason, shares) of closed trades."""
    n, width = m["open"].shape
    cash, shares, equity, closed, held = 10_000.0, np.zeros(width), np.full(n, 10_000.0), [], [None] * width
    paid = np.zeros(n)
    for day in range(1, n):
        shares *= m["split"][day]
        cash += shares @ m["dividend"][day]
        for when in (("time", "gap"), ("enter",), ("stop",)):
            if when == ("enter",):
                due = [(name, plan) for name in range(width) for plan in plans[name] if plan["entry"] == day]
                for name, plan in sorted(due, key=lambda pair: -score[day - 1, pair[0]]):
                    fill = m["open"][day, name] * 1.0002
                    budget = min(equity[day - 1] / parts, cash)
                    bought = int(budget // fill)
                    while bought * fill + max(1.0, 0.005 * bought) > budget:
                        bought -= 1
                    assert bought > 0, "the oracle needs accounts that can always afford a share"
                    cash -= bought * fill + max(1.0, 0.005 * bought)
                    paid[day] += bought * m["open"][day, name] * 0.0002 + max(1.0, 0.005 * bought)
                    shares[name], held[name] = bought, (plan, bought)
                continue
            for name in range(width):
                if held[name] and held[name][0]["exit"] == day and held[name][0]["reason"] in when:
                    plan, bought = held[name]
                    cash += shares[name] * plan["quoted"] * 0.9998 - max(1.0, 0.005 * shares[name])
                    paid[day] += shares[name] * plan["quoted"] * 0.0002 + max(1.0, 0.005 * shares[name])
                    shares[name], held[name] = 0.0, None
                    closed.append((name, plan["entry"], day, plan["reason"], bought))
        equity[day] = cash + shares @ m["close"][day]
    return equity, paid.cumsum(), closed


@pytest.mark.parametrize("strategy", ["threshold", "top_fifth"])
@pytest.mark.parametrize("account", [*NAMES, "PORTFOLIO"])
def test_engine_and_oracle_agree(market: dict[str, pl.DataFrame], strategy: str, account: str):
    prices, score, atr = market["prices"], grid(market["scores"], "score"), grid(market["atr"], "atr_14")
    m = {name: grid(prices, column) for name, column in [("open", "open"), ("low", "low"), ("close", "close"), ("dividend", "dividend")]}
    m["split"] = grid(prices, "split_factor")
    wanted = score > 0.65 if strategy == "threshold" else score == score.max(axis=1, keepdims=True)
    plans = [find_trades(wanted[:, i], m["open"][:, i], m["low"][:, i], m["split"][:, i], atr[:, i]) for i in range(len(NAMES))]
    if account != "PORTFOLIO":
        plans = [plan if name == account else [] for name, plan in zip(NAMES, plans, strict=True)]
    equity, costs, closed = replay(plans, score, m, parts=3 if account == "PORTFOLIO" else 1)

    tables = backtest(prices, market["scores"], market["atr"], as_of=LAST)
    mine = tables.equity.filter(pl.col("strategy") == strategy, pl.col("ticker") == account).sort("session")
    kind = pl.col("account") == ("portfolio" if account == "PORTFOLIO" else "ticker")
    own = pl.lit(True) if account == "PORTFOLIO" else pl.col("ticker") == account
    trades = tables.trades.filter(pl.col("strategy") == strategy, kind, own)
    days = mine["session"].to_list()
    expected = sorted((NAMES[name], days[entry], days[exit_], reason, bought) for name, entry, exit_, reason, bought in closed)
    assert sorted(trades.select("ticker", "entered", "session", "exit_reason", "entry_shares").rows()) == expected
    assert {"time", "stop", "gap"} <= {row[3] for row in expected}
    assert np.abs(mine["equity"].to_numpy() - equity).max() < CENT
    entered = np.bincount([trade["entry"] for plan in plans for trade in plan], minlength=len(days)).cumsum()
    assert mine["entries"].to_list() == entered.tolist()
    assert np.abs(mine["costs"].to_numpy() - costs).max() < CENT


def test_buy_and_hold_is_shares_times_splits_and_dividends(market: dict[str, pl.DataFrame]):
    bars = market["prices"].filter(pl.col("ticker") == "AAPL").sort("session")
    opening, close, split, dividend = (bars[name].to_numpy() for name in ("open", "close", "split_factor", "dividend"))
    assert split.prod() == 2
    fill = opening[1] * 1.0002
    bought = max(k for k in range(1_000) if k * fill + max(1, 0.005 * k) <= 10_000)
    cash = 10_000 - bought * fill - max(1, 0.005 * bought)
    shares = bought * np.concatenate([[0, 1], np.cumprod(split[2:])])
    paid = np.cumsum(shares * np.concatenate([[0, 0], dividend[2:]]))
    expected = shares * close + paid + np.concatenate([[10_000], np.full(len(close) - 1, cash)])
    mine = backtest(**market, as_of=LAST).equity.filter(pl.col("strategy") == "buy_and_hold", pl.col("ticker") == "AAPL").sort("session")
    assert np.abs(mine["equity"].to_numpy() - expected).max() < CENT
    assert mine["entries"].to_list() == [0] + [1] * (len(close) - 1)
    assert mine["costs"][-1] == pytest.approx(bought * opening[1] * 0.0002 + max(1, 0.005 * bought), abs=CENT)


def test_buy_and_hold_of_the_portfolio_enters_every_name_once(market: dict[str, pl.DataFrame]):
    mine = backtest(**market, as_of=LAST).equity.filter(pl.col("strategy") == "buy_and_hold", pl.col("account") == "portfolio")
    assert mine.sort("session")["entries"].to_list() == [0] + [3] * (mine.height - 1)
