"""Which names each rule decides on."""

from __future__ import annotations

import pytest

from quant_assets.backtest.rules import buy_and_hold_rule, candidates, threshold_rule, top_fifth_rule
from quant_assets_tests.backtest.market import DAYS, QUIET, Row, column, prices


def among(scores: dict[str, list[float | None]], bars: dict[str, list[Row | None]] | None = None, **prices_kwargs):
    n = max(len(values) for values in scores.values())
    bars = {ticker: [QUIET] * n for ticker in scores} | (bars or {})
    return candidates(prices(bars, **prices_kwargs), column("score", scores), column("atr_14", {ticker: [2.0] * n for ticker in scores}))


def chosen(frame) -> list[tuple]:
    return frame.sort("session", "ticker").select("session", "ticker").rows()


def test_threshold_is_strict():
    assert chosen(threshold_rule(among({"AAA": [0.65, 0.6500001, None, 0.64]}), 0.65)) == [(DAYS[1], "AAA")]


@pytest.mark.parametrize(("n_names", "n_chosen"), [(1, 1), (4, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_top_fifth_is_rounded_down_but_never_to_nothing(n_names: int, n_chosen: int):
    scores = {f"N{i:02d}": [0.01 * i] for i in range(n_names)}
    assert [ticker for _, ticker in chosen(top_fifth_rule(among(scores)))] == sorted(scores)[-n_chosen:]


def test_top_fifth_ties_go_by_ticker_and_each_session_stands_alone():
    frame = top_fifth_rule(among({"BBB": [0.5, 0.9], "AAA": [0.5, 0.1]}))
    assert chosen(frame) == [(DAYS[0], "AAA"), (DAYS[1], "BBB")]


def test_top_fifth_ranks_only_names_that_can_be_bought():
    scores = {"ADJ": [0.9, 0.9], "HALF": [0.8, 0.8], "GONE": [0.7, 0.7], "AAA": [0.2, 0.1]}
    frame = among(scores, {"HALF": [(100.0, None, 99.0, 100.0)] * 2, "GONE": [QUIET]}, basis={"ADJ": "adjusted"})
    assert chosen(top_fifth_rule(frame)) == [(DAYS[0], "GONE"), (DAYS[1], "AAA")]


def test_a_name_needs_score_and_atr():
    bars, scores = {"AAA": [QUIET] * 3}, {"AAA": [0.5, float("nan"), 0.5]}
    frame = candidates(prices(bars), column("score", scores), column("atr_14", {"AAA": [None, 2.0, 2.0]}))
    assert chosen(frame) == [(DAYS[2], "AAA")]


def test_tradable_names_are_counted_from_their_first_session_and_stay_counted():
    frame = among({"AAA": [0.5, 0.5, 0.5, None], "BBB": [None, 0.5, None, 0.5], "CCC": [None, 0.5, None, None]})
    assert dict(frame.select("session", "n_tradable").unique().rows()) == {DAYS[0]: 1, DAYS[1]: 3, DAYS[2]: 3, DAYS[3]: 3}


def test_buy_and_hold_takes_every_name_of_the_first_session_only():
    frame = among({"AAA": [None, 0.1, 0.9], "BBB": [None, 0.5, 0.9], "NEW": [None, None, 0.9]})
    assert chosen(buy_and_hold_rule(frame)) == [(DAYS[1], "AAA"), (DAYS[1], "BBB")]
