"""Made-up strategies on real bars (bokeh-sampledata), booked by a naive ledger: every dollar of a sheet can be counted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from bokeh_sampledata import stocks

from quant_assets.backtest.track import Track
from quant_assets.reporting.tear_sheet import Market, Strategy, Sweep, TearSheet
from quant_assets.schemas import TABLES

CASH, SHARES, COMMISSION = 10_000.0, 10, 1.0
NEVER, ONCE = 0, 10**6
"""Between two entries, in sessions."""
NAMES = ("AAPL", "IBM", "MSFT")


def bars(names: Sequence[str] = NAMES, *, n_sessions: int = 300) -> pl.DataFrame:
    """The last sessions as rows of table `prices`, as traded."""
    frames = []
    for ticker in names:
        raw = getattr(stocks, ticker)
        frame = pl.DataFrame({"session": raw["date"], **{name: raw[name] for name in ("open", "high", "low", "close")}}).tail(n_sessions)
        frames.append(frame.with_columns(pl.col("session").str.to_date(), ticker=pl.lit(ticker)))
    return pl.concat(frames).with_columns(split_factor=pl.lit(1.0), price_basis=pl.lit("raw")).sort("session", "ticker")


def booked(prices: pl.DataFrame, *, every: int, hold: int = 3) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(equity, trades): ten shares of each name bought at the open of every so manieth session, sold `hold` opens later."""
    cash, costs, entries, day = CASH, 0.0, 0, 0
    held: dict[str, dict[str, Any]] = {}
    rows, closed = [], []
    days = prices["session"].unique().sort().to_list()
    for day, (_, today) in enumerate(prices.group_by("session", maintain_order=True)):
        for bar in today.iter_rows(named=True):
            position = held.get(bar["ticker"])
            if position and day - position["day"] >= hold:
                del held[bar["ticker"]]
                cash, costs = cash + SHARES * bar["open"] - COMMISSION, costs + COMMISSION
                closed.append(_closed(position, bar))
            elif not position and every and day % every == 1:
                cash, costs, entries = cash - SHARES * bar["open"] - COMMISSION, costs + COMMISSION, entries + 1
                held[bar["ticker"]] = {"day": day, "decided": days[day - 1], **bar}
        value = sum(SHARES * bar["close"] for bar in today.iter_rows(named=True) if bar["ticker"] in held)
        rows.append((days[day], cash + value, cash, value, entries, len(closed), costs))
    columns = {"session": pl.Date, **dict.fromkeys(("equity", "cash", "position"), pl.Float64)}
    columns |= {"entries": pl.Int64, "exits": pl.Int64, "costs": pl.Float64}
    schema = {name: dtype for name, dtype in TABLES["trades"].schema.items() if name not in ("strategy", "account")}
    return pl.DataFrame(rows, schema=columns, orient="row"), pl.DataFrame(closed, schema=schema)


def _closed(position: dict[str, Any], bar: dict[str, Any]) -> dict[str, Any]:
    paid = SHARES * position["open"] + COMMISSION
    pnl = SHARES * bar["open"] - COMMISSION - paid
    return {
        "ticker": bar["ticker"],
        "session": bar["session"],
        "decided": position["decided"],
        "entered": position["session"],
        "entry_shares": float(SHARES),
        "exit_shares": float(SHARES),
        "entry_price": position["open"],
        "exit_price": bar["open"],
        "stop_price": 0.95 * position["open"],
        "exit_reason": "time",
        "commission": 2 * COMMISSION,
        "spread_cost": 0.0,
        "dividends": 0.0,
        "pnl": pnl,
        "ret": pnl / paid,
    }


def index_of(prices: pl.DataFrame) -> Market:
    return Market("Index", "the index pays no dividends", prices.group_by("session").agg(wealth=pl.col("close").mean()).sort("session"))


def strategy(key: str, name: str, prices: pl.DataFrame, market: Market | None, **rule: int) -> Strategy:
    return Strategy(key, name, f"{key} rule", Track.of(*booked(prices, **rule), market.wealth if market else None))


def sample(names: Sequence[str] = NAMES, *, n_sessions: int = 300) -> TearSheet:
    """An idle rule, one that trades every seventh session, and one that buys once and holds."""
    prices = bars(names, n_sessions=n_sessions)
    market = index_of(prices)
    rows = {"threshold": [0.5, 0.6], "sharpe": [0.4, None], "total_return": [0.1, None], "max_drawdown": [-0.2, None], "n_entries": [12, 0]}
    return TearSheet(
        "Sample",
        "one made-up account",
        [
            strategy("idle", "Idle", prices, market, every=NEVER),
            strategy("busy", "Busy", prices, market, every=7),
            strategy("holder", "Holder", prices, market, every=ONCE, hold=ONCE),
        ],
        market=market,
        prices=prices,
        sweep=Sweep(pl.DataFrame(rows), 0.6, "Made up"),
        notes=["every figure is made up"],
    )
