"""Accounts, strategies and what the tables hold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.backtest.run import BacktestTables, backtest, backtest_portfolio, backtest_tickers
from quant_assets.errors import SchemaMismatch
from quant_assets.schemas import TABLES
from quant_assets_tests.backtest.market import DAYS, QUIET, column, prices

N = 60
NAMES = ("AAA", "BBB", "CCC", "ADJ")
STRATEGIES = ["buy_and_hold", "threshold", "top_fifth"]


def random_market(seed: int = 7) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Three names as traded and one adjusted, which always has the highest score."""
    rng = np.random.default_rng(seed)
    bars, scores = {}, {}
    for name in NAMES:
        close = 80 * np.exp(np.cumsum(rng.normal(0, 0.03, N)))
        opens = close * np.exp(rng.normal(0, 0.01, N))
        high, low = np.maximum(opens, close) * 1.01, np.minimum(opens, close) * 0.99
        bars[name] = [tuple(map(float, row)) for row in zip(opens, high, low, close, strict=True)]
        scores[name] = [0.99] * N if name == "ADJ" else rng.uniform(0.3, 0.9, N).tolist()
    scores["CCC"][:10] = [None] * 10
    atr = {name: [3.0] * N for name in NAMES}
    return prices(bars, basis={"ADJ": "adjusted"}), column("score", scores), column("atr_14", atr)


def owners(frame: pl.DataFrame) -> list[tuple]:
    return sorted(frame.select("strategy", "account", "ticker").unique().rows())


def test_every_strategy_has_an_account_for_each_name_and_one_portfolio():
    tables = backtest(*random_market(), as_of=DAYS[N - 1])
    expected = [
        (strategy, account, ticker)
        for strategy in STRATEGIES
        for account, ticker in [("portfolio", "PORTFOLIO"), ("ticker", "AAA"), ("ticker", "BBB"), ("ticker", "CCC")]
    ]
    assert owners(tables.equity) == expected
    for table, frame in (("trades", tables.trades), ("equity", tables.equity)):
        assert_frame_equal(TABLES[table].conform(frame).sort(TABLES[table].key), frame)


def test_equity_runs_from_the_first_scored_session_to_as_of():
    equity = backtest(*random_market(), as_of=DAYS[N - 1]).equity
    for (_, account, ticker), rows in equity.group_by("strategy", "account", "ticker"):
        first = 10 if (account, ticker) == ("ticker", "CCC") else 0
        assert rows.sort("session")["session"].to_list() == DAYS[first:N]
        assert rows.sort("session")["equity"][0] == 10_000.0


def test_adjusted_names_are_never_traded():
    trades = backtest(*random_market(), as_of=DAYS[N - 1]).trades
    assert trades.height > 50
    assert "ADJ" not in set(trades["ticker"])
    adjusted = [frame.filter(pl.col("ticker") == "ADJ") for frame in random_market()]
    tables = backtest(*adjusted, as_of=DAYS[N - 1])
    assert (tables.trades.height, tables.equity.height) == (0, 0)


def test_one_account_alone_is_what_it_is_among_all():
    market, as_of = random_market(), DAYS[N - 1]
    whole = backtest(*market, as_of=as_of)
    alone = backtest_tickers(*market, tickers=["BBB", "ADJ", "UNKNOWN"], as_of=as_of)
    portfolio = backtest_portfolio(*market, as_of=as_of)
    assert_frame_equal(alone.equity, whole.equity.filter(pl.col("ticker") == "BBB"))
    assert_frame_equal(alone.trades, whole.trades.filter(pl.col("account") == "ticker", pl.col("ticker") == "BBB"))
    assert_frame_equal(portfolio.equity, whole.equity.filter(pl.col("account") == "portfolio"))
    assert_frame_equal(portfolio.trades, whole.trades.filter(pl.col("account") == "portfolio"))


def test_a_tickers_top_fifth_is_a_rank_among_all_names():
    entered = backtest(*random_market(), as_of=DAYS[N - 1]).trades.filter(pl.col("account") == "ticker", pl.col("strategy") == "top_fifth")
    best = random_market()[1].filter(pl.col("ticker") != "ADJ").drop_nulls().sort("score").group_by("session").last()
    allowed = set(best.select("ticker", "session").rows())
    assert entered["ticker"].n_unique() == 3
    assert set(entered.select("ticker", "decided").rows()) <= allowed


@pytest.mark.parametrize("day", [1, 11, 30, 47])
def test_the_future_changes_nothing(day: int):
    market = random_market()
    honest = backtest(*market, as_of=DAYS[N - 1])
    rng = np.random.default_rng(day)
    later = pl.col("session") > DAYS[day]
    corrupted = [
        frame.with_columns(
            pl.when(later).then(pl.col(name) * pl.Series(rng.uniform(0.2, 3.0, frame.height))).otherwise(pl.col(name)).alias(name)
            for name, dtype in frame.schema.items()
            if dtype == pl.Float64
        )
        for frame in market
    ]
    sides = ("open", "high", "low", "close")
    bars = corrupted[0].with_columns(high=pl.max_horizontal(sides), low=pl.min_horizontal(sides))
    corrupted[0] = pl.concat([market[0].filter(~later), bars.filter(later & (pl.col("ticker") != "AAA")).select(market[0].columns)])
    for tables in (backtest(*corrupted, as_of=DAYS[N - 1]), backtest(*corrupted, as_of=DAYS[day])):
        assert_frame_equal(until(tables, day).trades, until(honest, day).trades, check_exact=True)
        assert_frame_equal(until(tables, day).equity, until(honest, day).equity, check_exact=True)


def until(tables: BacktestTables, day: int) -> BacktestTables:
    past = pl.col("session") <= DAYS[day]
    return BacktestTables(tables.trades.filter(past), tables.equity.filter(past))


def test_scores_that_never_pass_the_threshold_leave_the_money_alone():
    tables = backtest(*random_market(), as_of=DAYS[N - 1], threshold=0.95)
    rule = pl.col("strategy") == "threshold"
    assert tables.trades.filter(rule).is_empty()
    assert tables.equity.filter(rule)["equity"].unique().to_list() == [10_000.0]


def test_buy_and_hold_splits_the_portfolio_equally_and_never_sells():
    bars = {"AAA": [QUIET] * 4, "BBB": [QUIET] * 4, "NEW": [QUIET] * 4}
    scores = {"AAA": [0.1] * 4, "BBB": [0.2] * 4, "NEW": [None, 0.9, 0.9, 0.9]}
    tables = backtest(prices(bars), column("score", scores), column("atr_14", {name: [2.0] * 4 for name in bars}), as_of=DAYS[3])
    held = tables.equity.filter(pl.col("strategy") == "buy_and_hold")
    assert tables.trades.is_empty()
    # Two names at 49 shares each in the portfolio, 99 in a name's own account.
    assert held.filter(pl.col("account") == "portfolio")["position"].to_list() == [0, 9_800, 9_800, 9_800]
    assert held.filter(pl.col("ticker") == "NEW")["position"].to_list() == [0, 9_900, 9_900]


def test_two_scores_of_one_session_are_refused():
    market = random_market()
    with pytest.raises(SchemaMismatch, match=r"scores: AAA 2012-01-03 occurs more than once"):
        backtest(market[0], pl.concat([market[1], market[1].head(1)]), market[2], as_of=DAYS[5])


def test_without_any_score_there_are_no_rows():
    bars, scores, atr = random_market()
    tables = backtest(bars, scores.with_columns(score=pl.lit(None, dtype=pl.Float64)), atr, as_of=DAYS[5])
    assert (tables.trades.height, tables.equity.height) == (0, 0)
