"""Corporate actions applied to raw prices, seen from any day. What the raw tables hold is declared in `schemas/`.

The lake stores prices as traded. Adjusting *backwards* from today, as vendors do, rewrites yesterday with every new split;
growing *forwards* from a ticker's first stored bar does not, so a value computed at t is final at t.

    growth of session s   g_s = split_s * (1 + dividend_s / close_s)
    forward factor        F_t = product of g_s over the ticker's sessions s <= t, the first bar having g = 1

The dividend is per share *after* the day's split and is reinvested at the ex-date's close, so `close_t * F_t / (close_s * F_s) - 1`
is the total return from s to t that a holder had (CRSP's holding-period return), and level differences from a vendor's series are
one constant a ticker. `S_t` is the same product over splits alone; volume is divided by it.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.errors import QuantAssetsError

PRICES = ("open", "high", "low", "close")


def forward_adjusted(prices: pl.LazyFrame) -> pl.LazyFrame:
    """Prices with their growth since the ticker's first bar.

    Parameters
    ----------
    prices : table `prices`, all history of each ticker from its first stored bar; any order.

    Returns
    -------
    The rows sorted by (ticker, session) with the columns `growth` (F_t), `split_growth` (S_t), `adj_open adj_high adj_low adj_close`
    (price x F_t, USD of the first bar's share with dividends reinvested) and `adj_volume` (volume / S_t, shares of the first bar).
    Null where the raw value is null. A row depends on no later row.

    Raises
    ------
    QuantAssetsError : a split factor is not positive, a dividend is not below the close before it, a ticker mixes price bases.
    """
    bars = in_order(prices)
    previous_close = pl.col("close").shift(1).over("ticker")
    paid = pl.col("dividend") * pl.col("split_factor")
    bars = bars.with_columns(_previous_close=previous_close, _paid=paid)
    _refuse_impossible_actions(bars)
    gain = pl.col("split_factor") * (1 + pl.col("dividend") / pl.col("close"))
    growth = pl.when(pl.col("_previous_close").is_null()).then(1.0).otherwise(gain)
    split_growth = pl.when(pl.col("_previous_close").is_null()).then(1.0).otherwise(pl.col("split_factor"))
    return (
        bars.lazy()
        .with_columns(growth=growth.cum_prod().over("ticker"), split_growth=split_growth.cum_prod().over("ticker"))
        .with_columns(
            *((pl.col(name) * pl.col("growth")).alias(f"adj_{name}") for name in PRICES),
            (pl.col("volume") / pl.col("split_growth")).alias("adj_volume"),
        )
        .drop("_previous_close", "_paid")
    )


def in_order(prices: pl.LazyFrame) -> pl.DataFrame:
    """The rows by ticker and session: looking whether they are takes a tenth of the time of sorting them again."""
    rows = prices.collect()
    ticker, session = pl.col("ticker"), pl.col("session")
    back = (ticker < ticker.shift(1)) | ((ticker == ticker.shift(1)) & (session < session.shift(1)))
    return rows.sort("ticker", "session") if rows.select(back.any()).item() else rows


def adjust(prices: pl.LazyFrame, as_of: dt.date) -> pl.LazyFrame:
    """Prices adjusted for splits and dividends as a chart drawn after the close of `as_of` shows them.

    Parameters
    ----------
    prices : table `prices`, history up to `as_of` or beyond; rows after `as_of` are not read.
    as_of : the day of the view; each ticker's last bar up to it keeps its raw values.

    Returns
    -------
    `ticker session open high low close` (USD of the last bar's share, dividends reinvested) and `volume` (shares of the last bar),
    sorted by (ticker, session).

    Raises
    ------
    QuantAssetsError : as `forward_adjusted`.
    """
    to_last = pl.col("growth") / pl.col("growth").last().over("ticker")
    split_to_last = pl.col("split_growth").last().over("ticker") / pl.col("split_growth")
    return forward_adjusted(prices.filter(pl.col("session") <= as_of)).select(
        "ticker", "session", *(pl.col(name) * to_last for name in PRICES), pl.col("volume") * split_to_last
    )


def _refuse_impossible_actions(bars: pl.DataFrame) -> None:
    actions, closes = ~(pl.col("split_factor") > 0), ~(pl.col("_previous_close") > 0)
    paid = pl.col("_paid") >= pl.col("_previous_close")
    mixed_basis = (pl.col("price_basis") != pl.col("price_basis").shift(1)) & (pl.col("ticker") == pl.col("ticker").shift(1))
    if not any(bars.select(one.any().alias(str(place)) for place, one in enumerate((actions, closes, paid, mixed_basis))).row(0)):
        return
    where = "correct the action in table prices or quarantine the row"
    for row in bars.filter(actions).head(1).iter_rows(named=True):
        message = f"{row['ticker']} {row['session']}: split factor {row['split_factor']} is not positive"
        raise QuantAssetsError(message, remedy=where)
    for row in bars.filter(closes).head(1).iter_rows(named=True):
        message = f"{row['ticker']}: the close before {row['session']} is {row['_previous_close']:g}, and a price is above 0"
        raise QuantAssetsError(message, remedy=f"fetch it again with `quant-assets backfill --tables prices --tickers {row['ticker']}`")
    for row in bars.filter(paid).head(1).iter_rows(named=True):
        raise QuantAssetsError(
            f"{row['ticker']} {row['session']}: dividend {row['dividend']:g} x split {row['split_factor']:g} is not below "
            f"the close before it, {row['_previous_close']:g}",
            remedy=where,
        )
    bases = bars.group_by("ticker", maintain_order=True).agg(pl.col("price_basis").unique().sort())
    for ticker, mixed in bases.filter(pl.col("price_basis").list.len() > 1).head(1).iter_rows():
        raise QuantAssetsError(
            f"{ticker}: bars of {len(mixed)} price bases ({', '.join(mixed)}) where 1 is allowed: the return across the seam is not real",
            remedy="store one basis a ticker",
        )
