"""The user's rule at other thresholds: which ones, and that each row is the account's own figures by that session."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.backtest.metrics import performance
from quant_assets.backtest.run import backtest_portfolio
from quant_assets.backtest.thresholds import FIGURES, GRID, STRATEGY, figures_at, swept
from quant_assets_tests.backtest.market import DAYS
from quant_assets_tests.backtest.test_run import random_market


def test_the_users_own_threshold_is_among_them_once():
    assert swept(0.65) == GRID
    assert swept(0.62) == tuple(sorted((*GRID, 0.62)))
    assert list(GRID) == pytest.approx([0.5 + 0.025 * place for place in range(11)])


@pytest.mark.parametrize("strategy", [STRATEGY, "top_fifth"])
def test_a_row_is_the_account_by_then(strategy: str):
    ends = [DAYS[20], DAYS[59]]
    tables = backtest_portfolio(*random_market(), as_of=DAYS[59], threshold=0.6)
    rows = figures_at(tables, strategy, ends)
    assert rows["session"].to_list() == ends
    for end, row in zip(ends, rows.iter_rows(named=True), strict=True):
        alone = backtest_portfolio(*random_market(), as_of=end, threshold=0.6)
        done = performance(alone.equity.filter(strategy=strategy), alone.trades.filter(strategy=strategy))
        assert row["n_trades"] == done.n_trades > 0
        assert row["first"] == DAYS[0]
        assert {name: row[name] for name in (*FIGURES, "n_entries")} == {name: getattr(done, name) for name in (*FIGURES, "n_entries")}


def test_later_sessions_change_no_row():
    early, late = (
        figures_at(backtest_portfolio(*random_market(), as_of=as_of), STRATEGY, [DAYS[20], DAYS[30]]) for as_of in (DAYS[30], DAYS[59])
    )
    assert_frame_equal(early, late, check_exact=True)


def test_nothing_bought_has_counts_and_no_figures():
    tables = backtest_portfolio(*random_market(), as_of=DAYS[59], threshold=0.95)
    [row] = figures_at(tables, STRATEGY, [DAYS[59]]).to_dicts()
    assert (row["n_trades"], row["n_entries"]) == (0, 0)
    assert {row[name] for name in FIGURES} == {None}


def test_no_account_yet_is_no_row():
    prices, scores, atr = random_market()
    late = scores.filter(pl.col("session") >= DAYS[30])
    tables = backtest_portfolio(prices, late, atr, as_of=DAYS[59])
    assert figures_at(tables, STRATEGY, [DAYS[10], DAYS[40]])["session"].to_list() == [DAYS[40]]
    nothing = backtest_portfolio(prices, scores.clear(), atr, as_of=DAYS[59])
    assert figures_at(nothing, STRATEGY, [DAYS[40]]).is_empty()
