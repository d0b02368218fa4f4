"""Price panels for tests: made up on real exchange sessions, every column under control, and one vendor's with real actions."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from quant_assets.calendars import Window, sessions
from quant_assets.features.shared import evaluate
from quant_assets_tests.features import told
from quant_assets_tests.features.reported import reported

SESSIONS = sessions(Window(dt.date(2010, 1, 1), dt.date(2013, 1, 1)))
N = 600
"""Bars of a panel: more than the longest look-back."""
GATHERED = reported() | {"macro": told.macro(), "earnings": told.earnings()}


def bars(ticker: str, n: int = N, seed: int = 0, *, actions: bool = True) -> pl.DataFrame:
    """A random walk of `n` bars with a split in the middle and a dividend every 63 bars."""
    rng = np.random.default_rng([seed, *ticker.encode()])
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    split, dividend = np.ones(n), np.zeros(n)
    if actions:
        split[n // 2] = 3.0
        close[n // 2 :] /= 3.0
        dividend[63::63] = 0.2
    return pl.DataFrame(
        {
            "ticker": ticker,
            "session": SESSIONS[:n],
            "open": close * (1 + rng.normal(0, 0.005, n)),
            "high": close * (1 + np.abs(rng.normal(0, 0.01, n))),
            "low": close * (1 - np.abs(rng.normal(0, 0.01, n))),
            "close": close,
            "volume": rng.lognormal(12, 0.5, n),
            "price_basis": "raw",
            "split_factor": split,
            "dividend": dividend,
        }
    )


def evaluated(frame: pl.DataFrame, *expressions: pl.Expr, **named: pl.Expr) -> pl.DataFrame:
    """The expressions on the bars of one name, as `compute` evaluates them."""
    columns = [*expressions, *(one.alias(name) for name, one in named.items())]
    return evaluate(frame.with_columns(ticker=pl.lit("AAA")), columns).drop("ticker")


def index_bars(n: int = N, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    return pl.DataFrame({"series": "sp500", "session": SESSIONS[:n], "close": close})


def tables(n: int = N) -> dict[str, pl.DataFrame]:
    """One name's bars and every other table that features read, from before the first bar on."""
    return {"prices": bars("AAA", n), "index_prices": index_bars(n), **GATHERED}


def adjusted_only(frame: pl.DataFrame) -> pl.DataFrame:
    """What a source of adjusted closes delivers: nothing but the close."""
    blank = [pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low", "volume")]
    return frame.with_columns(*blank, price_basis=pl.lit("adjusted"), split_factor=pl.lit(1.0), dividend=pl.lit(0.0))


def quandl_sample(shared: Path) -> pl.DataFrame:
    """AAPL, BRK_A, MSFT, ZEN in 2014 as Quandl WIKI delivered them: raw bars and actions, and its own adjusted values as `vendor_*`."""
    archive = zipfile.ZipFile(shared / "data/corporate_actions/quandl_wiki_sample/QUANDL_ARCHIVE.zip")
    frame = pl.read_csv(io.BytesIO(archive.read("QUANDL_SAMPLE_TABLE.csv")), try_parse_dates=True)
    named = frame.rename({"date": "session", "ex-dividend": "dividend", "split_ratio": "split_factor"})
    vendor = [name for name in frame.columns if name.startswith("adj_")]
    return named.rename({name: f"vendor_{name}" for name in vendor}).with_columns(price_basis=pl.lit("raw"))
