"""All strategies on both kinds of account, as the tables `trades` and `equity`. One account's day is `default_trade.py`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.costs import DEFAULT_COSTS, Costs
from quant_assets.backtest.default_trade import DEFAULT_TRADE, HELD_FOR_EVER, Simulation, Terms, simulate_on, tape_of
from quant_assets.backtest.rules import (
    RANKED,
    STRATEGIES,
    buy_and_hold_rule,
    candidates,
    first_candidates,
    rule_of,
    threshold_rule,
    top_fifth_rule,
)
from quant_assets.backtest.tape import NEVER
from quant_assets.errors import SchemaMismatch
from quant_assets.schemas import TABLES


@dataclass(frozen=True)
class BacktestTables:
    """Rows of the lake's tables `trades` and `equity`, sorted by their keys."""

    trades: pl.DataFrame
    equity: pl.DataFrame


@dataclass(frozen=True)
class _Past:
    """What is known at the close of `as_of`: bars, candidates, and per name the first session that carries a score of it."""

    prices: pl.DataFrame
    candidates: pl.DataFrame
    starts: dict[str, dt.date]


def backtest(
    prices: pl.DataFrame,
    scores: pl.DataFrame,
    atr: pl.DataFrame,
    *,
    as_of: dt.date,
    threshold: float = 0.65,
    costs: Costs = DEFAULT_COSTS,
) -> BacktestTables:
    """Both kinds of account: `backtest_tickers` of every name and `backtest_portfolio`, which say what the parameters are."""
    names = backtest_tickers(
        prices, scores, atr, tickers=prices["ticker"].unique().to_list(), as_of=as_of, threshold=threshold, costs=costs
    )
    portfolio = backtest_portfolio(prices, scores, atr, as_of=as_of, threshold=threshold, costs=costs)
    return _tables([(names.trades, names.equity), (portfolio.trades, portfolio.equity)])


def backtest_tickers(
    prices: pl.DataFrame,
    scores: pl.DataFrame,
    atr: pl.DataFrame,
    *,
    tickers: Sequence[str],
    as_of: dt.date,
    strategies: Sequence[str] = STRATEGIES,
    threshold: float = 0.65,
    costs: Costs = DEFAULT_COSTS,
    among: Sequence[str] = (),
    eligible: pl.DataFrame | None = None,
    delisted: Mapping[str, dt.date] = NEVER,
) -> BacktestTables:
    """$10,000 for each of `tickers` and each of `strategies`.

    Parameters
    ----------
    prices : table `prices` of **all** names, also of those outside `tickers`: the top fifth is a rank among all of them.
    scores : ticker, session, score (probability; null: no decision), one model's, of all names.
    atr : ticker, session, atr_14 (ATR14 of that close, raw USD of that session), of all names.
    tickers : the accounts wanted. A name without bars as traded, or without any score, gets no account and no row.
    as_of : the last session; nothing after it is read, and the rows up to a session do not depend on what follows it.
    threshold : the user's rule enters above this score.
    among : the names the rules may choose among, as the rows say it; those with prices when empty.
    eligible : key, start, end (null: none) of the days on which a name may be decided on; None: always. It says who is *entered*: what is
        held is kept by its own terms, so that buy-and-hold keeps a name that leaves an index.
    delisted : the last session of each name that has one, at whose close its position is sold.

    Returns
    -------
    Equity at every session from the name's first scored one to `as_of`; trades closed by then.

    Raises
    ------
    SchemaMismatch : two scores, bars or ATRs of one name in one session.
    """
    past = _past(prices, scores, atr, as_of, eligible)
    names = among or prices["ticker"].unique().to_list()
    starts = {ticker: past.starts[ticker] for ticker in sorted(set(tickers) & set(past.starts))}
    if not starts:
        return _tables([])
    own = past.candidates.filter(pl.col("ticker").is_in(list(starts)))
    chosen = {**_decisions(past.candidates, threshold), "buy_and_hold": first_candidates(own)}
    bars = past.prices.filter(pl.col("ticker").is_in(list(starts)))
    tape = tape_of(bars, start=min(starts.values()), as_of=as_of, delisted=delisted)
    booked = []
    for strategy in strategies:
        alone = chosen[strategy].filter(pl.col("ticker").is_in(list(starts))).with_columns(n_tradable=pl.lit(1, dtype=pl.Int64))
        result = simulate_on(tape, alone, terms=_terms(strategy), starts=starts, costs=costs)
        rule = rule_of(strategy, threshold=threshold, among=names if strategy in RANKED else ())
        booked.append(_named(result, strategy, "ticker", pl.col("account"), rule))
    return _tables(booked)


def backtest_portfolio(
    prices: pl.DataFrame,
    scores: pl.DataFrame,
    atr: pl.DataFrame,
    *,
    as_of: dt.date,
    strategies: Sequence[str] = STRATEGIES,
    threshold: float = 0.65,
    costs: Costs = DEFAULT_COSTS,
    among: Sequence[str] = (),
    eligible: pl.DataFrame | None = None,
    delisted: Mapping[str, dt.date] = NEVER,
) -> BacktestTables:
    """One $10,000 for each strategy over all names with bars as traded; parameters and errors as `backtest_tickers`.

    An entry gets the equity of the previous close / the names tradable so far, at most the cash left. Equity runs from the first session
    that carries a score of any of them.
    """
    past = _past(prices, scores, atr, as_of, eligible)
    if not past.starts:
        return _tables([])
    chosen = {**_decisions(past.candidates, threshold), "buy_and_hold": buy_and_hold_rule(past.candidates)}
    tape = tape_of(past.prices, start=min(past.starts.values()), as_of=as_of, delisted=delisted)
    names = among or prices["ticker"].unique().to_list()
    booked = []
    for strategy in strategies:
        result = simulate_on(tape, chosen[strategy], terms=_terms(strategy), costs=costs)
        rule = rule_of(strategy, threshold=threshold, among=names)
        booked.append(_named(result, strategy, "portfolio", pl.lit(PORTFOLIO), rule))
    return _tables(booked)


def _decisions(among: pl.DataFrame, threshold: float) -> dict[str, pl.DataFrame]:
    return {"threshold": threshold_rule(among, threshold), "top_fifth": top_fifth_rule(among)}


def _terms(strategy: str) -> Terms:
    return HELD_FOR_EVER if strategy == "buy_and_hold" else DEFAULT_TRADE


def _past(prices: pl.DataFrame, scores: pl.DataFrame, atr: pl.DataFrame, as_of: dt.date, eligible: pl.DataFrame | None) -> _Past:
    frames = {"prices": prices, "scores": scores, "atr": atr}
    bars, scored, ranges = (_until(as_of, frame, name) for name, frame in frames.items())
    as_traded = bars.filter(pl.col("price_basis") == "raw").group_by("ticker").agg(first_bar=pl.col("session").min())
    starts = (
        scored.filter(pl.col("score").fill_nan(None).is_not_null())
        .join(as_traded, on="ticker")
        .filter(pl.col("session") >= pl.col("first_bar"))
        .group_by("ticker")
        .agg(pl.col("session").min())
    )
    return _Past(bars, candidates(bars, scored, ranges, eligible=eligible), dict(starts.iter_rows()))


def _until(as_of: dt.date, frame: pl.DataFrame, name: str) -> pl.DataFrame:
    past = frame.filter(pl.col("session") <= as_of)
    repeated = past.select("ticker", "session").is_duplicated()
    if repeated.any():
        ticker, session = past.filter(repeated).select("ticker", "session").row(0)
        raise SchemaMismatch(f"{name}: {ticker} {session} occurs more than once", remedy="pass one model's scores and each bar once")
    return past


def _named(result: Simulation, strategy: str, account: str, ticker: pl.Expr, rule: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    owner = (pl.lit(strategy).alias("strategy"), pl.lit(account).alias("account"))
    equity = result.equity.with_columns(ticker=ticker, rule=pl.lit(rule), scores=pl.lit(None, dtype=pl.String))
    return result.trades.with_columns(*owner), equity.with_columns(*owner)


def _tables(booked: Sequence[tuple[pl.DataFrame, pl.DataFrame]]) -> BacktestTables:
    trades, equity = TABLES["trades"], TABLES["equity"]
    all_trades = pl.concat([pl.DataFrame(schema=trades.schema), *(rows.select(list(trades.schema)) for rows, _ in booked)])
    all_equity = pl.concat([pl.DataFrame(schema=equity.schema), *(rows.select(list(equity.schema)) for _, rows in booked)])
    return BacktestTables(trades.conform(all_trades.sort(trades.key)), equity.conform(all_equity.sort(equity.key)))
