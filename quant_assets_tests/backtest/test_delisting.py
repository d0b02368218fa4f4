"""Names that die or leave while an account trades them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_assets.backtest.default_trade import DEFAULT_TRADE, HELD_FOR_EVER, Terms, simulate
from quant_assets.backtest.rules import candidates
from quant_assets.backtest.run import backtest_portfolio
from quant_assets.membership import SPANS
from quant_assets_tests.backtest.market import DAYS, QUIET, Row, column, decisions, prices

LAST = (100.0, 101.0, 79.0, 80.0)
WIDE = 30.0
SOLD_AT_80 = 80 * (1 - 0.0002)
"""An ATR far from any stop."""


def run(bars: dict[str, list[Row | None]], *decided, gone: dict[str, int], terms: Terms = DEFAULT_TRADE, until: int = 9):
    delisted = {ticker: DAYS[day] for ticker, day in gone.items()}
    return simulate(prices(bars), decisions(*decided), terms=terms, start=DAYS[0], as_of=DAYS[until], delisted=delisted)


@pytest.mark.parametrize("terms", [DEFAULT_TRADE, HELD_FOR_EVER])
def test_an_open_position_is_sold_at_the_last_close(terms: Terms):
    done = run({"AAA": [QUIET, QUIET, LAST]}, (0, "AAA", 0.9, WIDE, 1), gone={"AAA": 2}, terms=terms)
    [trade] = done.trades.iter_rows(named=True)
    assert (trade["session"], trade["exit_reason"]) == (DAYS[2], "delisted")
    assert trade["exit_price"] == SOLD_AT_80
    assert done.equity["position"][2:].to_list() == [0.0] * 8
    assert done.equity["exits"].to_list() == [0, 0] + [1] * 8
    assert done.equity["equity"][-1] == pytest.approx(10_000 + trade["pnl"])


def test_without_a_bar_on_the_last_session_the_close_before_it_counts():
    done = run({"AAA": [QUIET, LAST, None]}, (0, "AAA", 0.9, WIDE, 1), gone={"AAA": 2}, terms=HELD_FOR_EVER)
    [trade] = done.trades.iter_rows(named=True)
    assert (trade["session"], trade["exit_price"]) == (DAYS[2], SOLD_AT_80)


def test_what_ends_a_trade_before_the_last_close_goes_first():
    stopped = run({"AAA": [QUIET, QUIET, LAST]}, (0, "AAA", 0.9, 2.0, 1), gone={"AAA": 2})
    assert stopped.trades["exit_reason"].to_list() == ["stop"]
    due = run({"AAA": [QUIET] * 5}, (0, "AAA", 0.9, WIDE, 1), gone={"AAA": 4})
    assert due.trades["exit_reason"].to_list() == ["time"]


def test_an_order_of_the_last_session_is_never_filled():
    for terms in (DEFAULT_TRADE, HELD_FOR_EVER):
        done = run({"AAA": [QUIET] * 3}, (2, "AAA", 0.9, WIDE, 1), gone={"AAA": 2}, terms=terms)
        assert done.trades.is_empty()
        assert done.equity["entries"].max() == 0


def test_the_others_go_on():
    bars = {"AAA": [QUIET, QUIET, LAST], "BBB": [QUIET] * 10}
    done = run(bars, (0, "AAA", 0.9, WIDE, 2), (0, "BBB", 0.8, WIDE, 2), (5, "BBB", 0.8, WIDE, 1), gone={"AAA": 2})
    assert done.trades.select("ticker", "exit_reason").rows() == [("AAA", "delisted"), ("BBB", "time"), ("BBB", "time")]


def spans(*rows: tuple[str, int, int | None]) -> pl.DataFrame:
    told = [(name, DAYS[start], None if end is None else DAYS[end]) for name, start, end in rows]
    return pl.DataFrame(told, schema=SPANS, orient="row")


@given(
    st.lists(st.lists(st.sampled_from([None, 0.5]), min_size=12, max_size=12), min_size=1, max_size=4),
    st.lists(st.sets(st.integers(0, 11), max_size=4), min_size=4, max_size=4),
)
def test_candidates_are_the_eligible_ones_and_the_portfolio_is_cut_among_those(scores: list[list[float | None]], edges: list[set[int]]):
    """Against a loop: a name counts while it is eligible, from the first close at which it was a candidate."""
    names = {f"N{i}": values for i, values in enumerate(scores)}
    rows = []
    for name, days in zip(names, edges, strict=False):
        ends = sorted(days)
        rows += [(name, ends[i], ends[i + 1] if i + 1 < len(ends) else None) for i in range(0, len(ends), 2)]
    found = candidates(
        prices({name: [QUIET] * 12 for name in names}),
        column("score", names),
        column("atr_14", {name: [2.0] * 12 for name in names}),
        eligible=spans(*rows),
    )

    def eligible(name: str, day: int) -> bool:
        return any(key == name and start <= day and (end is None or day <= end) for key, start, end in rows)

    expected = []
    seen: set[str] = set()
    for day in range(12):
        among = [name for name in names if names[name][day] is not None and eligible(name, day)]
        seen |= set(among)
        expected += [(DAYS[day], name, sum(eligible(each, day) for each in seen)) for name in among]
    assert found.select("session", "ticker", "n_tradable").rows() == expected


def test_two_dead_names_make_another_record_than_the_survivors():
    """The best scores are of names that die: a list of survivors never bought them."""
    scores = {"AAA": [0.5] * 10, "BBB": [0.6] * 10, "DEAD": [0.9] * 4, "GONE": [0.8] * 6}
    bars: dict[str, list[Row | None]] = {
        "AAA": [QUIET] * 10,
        "BBB": [QUIET] * 10,
        "DEAD": [QUIET] * 3 + [LAST],
        "GONE": [QUIET] * 5 + [LAST],
    }
    market = (prices(bars), column("score", scores), column("atr_14", {name: [WIDE] * 10 for name in scores}))
    whole = backtest_portfolio(*market, as_of=DAYS[9], delisted={"DEAD": DAYS[3], "GONE": DAYS[5]})
    alive = backtest_portfolio(*(frame.filter(pl.col("ticker").is_in(["AAA", "BBB"])) for frame in market), as_of=DAYS[9])
    for strategy in ("top_fifth", "buy_and_hold"):
        ours, theirs = (tables.equity.filter(strategy=strategy)["equity"][-1] for tables in (whole, alive))
        assert ours < theirs - 100
    bought = whole.trades.filter(strategy="top_fifth").sort("decided").select("ticker", "exit_reason").rows()
    assert bought[:2] == [("DEAD", "delisted"), ("GONE", "delisted")]


def test_membership_after_a_session_changes_nothing_up_to_it():
    scores = {"AAA": [0.5] * 12, "BBB": [0.9] * 12, "CCC": [0.7] * 12}
    market = (
        prices({name: [QUIET] * 12 for name in scores}),
        column("score", scores),
        column("atr_14", {name: [2.0] * 12 for name in scores}),
    )
    one = spans(("AAA", 0, None), ("BBB", 3, 6), ("CCC", 0, 4))
    other = spans(("AAA", 0, 5), ("BBB", 3, 9), ("CCC", 0, 4), ("CCC", 7, None))
    mine, theirs = (backtest_portfolio(*market, as_of=DAYS[11], eligible=each, threshold=0.6) for each in (one, other))
    decided = [tables.trades.filter(pl.col("decided") <= DAYS[5]).sort("strategy", "decided", "ticker") for tables in (mine, theirs)]
    assert decided[0].equals(decided[1])
    assert not decided[0].is_empty()
    until = pl.col("session") <= DAYS[6]
    assert mine.equity.filter(until).equals(theirs.equity.filter(until))
    assert not mine.equity.equals(theirs.equity)
