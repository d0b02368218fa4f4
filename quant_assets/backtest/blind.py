"""Whether a strategy is blind to the future: it is run again without the bars after a session, and beside others, and must decide the same.

How a future is withheld and corrupted is `quality/withheld.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl

from quant_assets.backtest.engine import Result
from quant_assets.backtest.strategy import ReachedAhead
from quant_assets.quality.lookahead import leaks, sentence

KNOWN_AT_ITS_CLOSE = "features"
"""A table of the lake whose rows, one a ticker and session, are known at the close of their session, as bars and decisions are."""


def prove_blind(trade: Callable[[pl.DataFrame], Result], prices: pl.DataFrame, cuts: Sequence[dt.date], *, seed: int = 0) -> None:
    """Runs a strategy over several futures after each of these sessions.

    Parameters
    ----------
    trade : from bars to a result: whatever decides must be in it, `lambda bars: trade(Tape.of(bars), strategy)`.
    prices : as `Tape.of` reads them. cuts : sessions, at least one.

    Raises
    ------
    ReachedAhead : orders, fills or equity up to a cut differ; the message names the ticker and the session.
    """
    found = leaks(
        lambda tables: _done(trade(tables[KNOWN_AT_ITS_CLOSE])), {KNOWN_AT_ITS_CLOSE: prices}, cuts, output=KNOWN_AT_ITS_CLOSE, seed=seed
    )
    if found.height:
        raise ReachedAhead(sentence(found.sort("session", "key").row(0, named=True)), remedy="decide on what had closed by then")


def _done(result: Result) -> pl.DataFrame:
    """ticker, session and, of that session, each order, what was filled and what the account was worth; several orders of one name and
    close are told apart by a number behind the name."""
    key = ["ticker", "session"]
    nth = pl.int_range(pl.len()).over(key)
    named = pl.when(nth > 0).then(pl.format("{} ({})", "ticker", nth + 1)).otherwise("ticker")
    ordered = result.orders.with_columns(ticker=named).rename(lambda name: name if name in key else f"order_{name}")
    filled = result.fills.group_by(key).agg(filled_shares=pl.col("shares").sum(), paid=(pl.col("shares") * pl.col("price")).sum())
    worth = result.equity.select("session", "equity", ticker="account")
    return ordered.join(filled, on=key, how="full", coalesce=True).join(worth, on=key, how="full", coalesce=True)
