"""Every figure of a tear sheet, recomputed from the journal that lies beside it and the prices, by a replay of its own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bokeh_sampledata import stocks

from quant_assets.backtest.costs import DEFAULT_COSTS
from quant_assets.backtest.metrics import METRICS, measure
from quant_assets.backtest.run import backtest_portfolio
from quant_assets.backtest.track import Track
from quant_assets.reporting.journal import journal, write_journal
from quant_assets.sources.corporate_actions import infer_actions

NAMES = ["AAPL", "IBM", "MSFT"]
FIRST, LAST = dt.date(2004, 6, 1), dt.date(2006, 6, 30)
QUIET_FROM = dt.date(2006, 6, 15)
"""No score from here on, so that every position is closed at the end: the journal tells of closed trades."""
STRATEGY = "top_fifth"


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """AAPL splits 2:1 on 2005-02-28, MSFT pays its special dividend on 2004-11-15."""
    raw = pl.from_pandas(stocks.data[stocks.data["ticker"].isin(NAMES)]).with_columns(session=pl.col("date").dt.date())
    prices = infer_actions(raw.sort("ticker", "session")).with_columns(price_basis=pl.lit("raw"))
    return prices.filter(pl.col("session").is_between(FIRST, LAST))


@pytest.fixture(scope="module")
def booked(bars: pl.DataFrame) -> Track:
    key = bars.select("ticker", "session")
    drawn = pl.Series(np.random.default_rng(8).uniform(0.3, 0.9, bars.height))
    scores = key.with_columns(score=pl.when(pl.col("session") < QUIET_FROM).then(drawn))
    tables = backtest_portfolio(bars, scores, key.with_columns(atr_14=bars["close"] * 0.02), as_of=LAST, strategies=[STRATEGY])
    index = bars.filter(ticker="IBM").select("session", wealth="close")
    return Track.of(tables.equity, tables.trades, index)


def replayed(trades: pl.DataFrame, bars: pl.DataFrame, days: list[dt.date]) -> dict[str, list[float]]:
    """Equity, position, costs and entries of each close, trade by trade and bar by bar."""
    by_name = {name: rows.rows_by_key("session", named=True, unique=True) for (name,), rows in bars.group_by("ticker")}
    out: dict[str, list[float]] = {"equity": [], "position": [], "costs": [], "entries": []}
    for today in days:
        cash, position, costs, entries = 10_000.0, 0.0, 0.0, 0
        for trade in trades.iter_rows(named=True):
            if trade["entered"] > today:
                continue
            entries += 1
            paid = DEFAULT_COSTS.commission(trade["entry_shares"])
            cash -= trade["entry_shares"] * trade["entry_price"] + paid
            costs += paid + trade["entry_shares"] * trade["entry_price"] * (1 - 1 / 1.0002)
            shares = trade["entry_shares"]
            until = min(today, trade["session"])
            for day in (day for day in days if trade["entered"] < day <= until):
                shares *= by_name[trade["ticker"]][day]["split_factor"]
                cash += shares * by_name[trade["ticker"]][day]["dividend"]
            if trade["session"] <= today:
                paid = DEFAULT_COSTS.commission(shares)
                cash += shares * trade["exit_price"] - paid
                costs += paid + shares * trade["exit_price"] * (1 / 0.9998 - 1)
            else:
                position += shares * by_name[trade["ticker"]][today]["close"]
        for name, value in (("equity", cash + position), ("position", position), ("costs", costs), ("entries", entries)):
            out[name].append(value)
    return out


def test_every_figure_follows_from_the_journal(booked: Track, bars: pl.DataFrame, tmp_path: Path):
    csv, parquet = write_journal(journal({STRATEGY: booked}), tmp_path / "sheet")
    kept = pl.read_csv(csv, try_parse_dates=True)
    assert kept.equals(pl.read_parquet(parquet).cast(kept.schema))
    assert kept.height == booked.trades.height > 200
    path = replayed(kept, bars, booked.sessions)
    equity = pl.DataFrame({"session": booked.sessions, **path})
    index = bars.filter(ticker="IBM").select("session", wealth="close")
    again = measure(Track.of(equity, kept.drop("strategy"), index))
    told = measure(booked)
    assert set(again) == set(METRICS)
    for name, value in told.items():
        assert again[name] == (None if value is None else pytest.approx(value, rel=1e-8, abs=1e-10)), name
    assert sum(value is not None for value in told.values()) > 50
