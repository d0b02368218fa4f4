"""Choices made by the past alone, against a naive walk."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest.walk_forward import best_set, choose, record
from quant_assets.calendars import Window, sessions
from quant_assets.errors import BadArgument

DAYS = sessions(Window(dt.date(2010, 1, 1), dt.date(2013, 1, 1)))
N = len(DAYS)
RETURNS = np.random.default_rng(8).normal(0.0003, 0.01, (6, N))
SETTINGS = {"n_steps": 7, "train_sessions": 200, "embargo": 5}


def sharpe(returns: np.ndarray) -> float:
    return returns.mean() / returns.std(ddof=1) * np.sqrt(252)


@pytest.mark.parametrize("anchored", [True, False])
def test_choices_are_those_of_a_naive_walk(anchored: bool):
    found = choose(RETURNS, DAYS, anchored=anchored, **SETTINGS)
    assert found["step"].to_list() == [1, 2, 3, 4, 5, 6, 7]
    next_day = DAYS[205]
    for row in found.iter_rows(named=True):
        assert row["test_start"] == next_day
        start, end = DAYS.index(row["test_start"]), DAYS.index(row["test_end"]) + 1
        past = [DAYS.index(row["train_start"]), DAYS.index(row["train_end"]) + 1]
        assert past == [0 if anchored else start - 205, start - 5]
        ratios = [sharpe(each[past[0] : past[1]]) for each in RETURNS]
        assert row["chosen"] == int(np.argmax(ratios))
        assert row["train_sharpe"] == pytest.approx(max(ratios))
        assert row["test_sharpe"] == pytest.approx(sharpe(RETURNS[row["chosen"], start:end]))
        next_day = DAYS[end] if end < N else None
    assert next_day is None
    lengths = [DAYS.index(row[4]) - DAYS.index(row[3]) + 1 for row in found.iter_rows()]
    assert max(lengths) - min(lengths) <= 1


def test_twelve_steps_after_two_years_by_default():
    found = choose(RETURNS, DAYS)
    assert found.height == 12
    assert found["test_start"][0] == DAYS[504 + 5]


def test_the_record_is_what_the_chosen_sets_earned():
    choices = choose(RETURNS, DAYS, **SETTINGS)
    assert choices["chosen"].n_unique() > 1
    found = record(RETURNS, DAYS, choices)
    assert found["session"].to_list() == DAYS[205:]
    for session, chosen, ret in found.iter_rows():
        step = choices.filter(pl.col("test_start") <= session, pl.col("test_end") >= session)
        assert chosen == step["chosen"].item()
        assert ret == RETURNS[chosen, DAYS.index(session)]


@settings(max_examples=25, deadline=None)
@given(step=st.integers(0, 6), anchored=st.booleans(), seed=st.integers(0, 100))
def test_no_choice_depends_on_what_came_after_its_training(step: int, anchored: bool, seed: int):
    before = choose(RETURNS, DAYS, anchored=anchored, **SETTINGS)
    changed = RETURNS.copy()
    after = DAYS.index(before["train_end"][step]) + 1
    changed[:, after:] = np.random.default_rng(seed).normal(0.01, 0.05, (6, N - after))
    known = ["train_start", "train_end", "test_start", "test_end", "chosen", "train_sharpe"]
    again = choose(changed, DAYS, anchored=anchored, **SETTINGS)
    assert again.select(known).head(step + 1).equals(before.select(known).head(step + 1))


def test_the_last_session_of_the_training_counts():
    before = choose(RETURNS, DAYS, **SETTINGS)
    place = DAYS.index(before["train_end"][3])
    other = (before["chosen"][3] + 1) % 6
    changed = RETURNS.copy()
    changed[other, place - 20 : place + 1] = 0.2
    assert choose(changed, DAYS, **SETTINGS)["chosen"][3] == other


def test_of_equal_sets_the_first_is_chosen_and_of_those_that_stand_still_none():
    rising = np.random.default_rng(2).normal(0.01, 0.01, 50)
    assert best_set(np.stack([np.zeros(50), rising, rising])) == (1, pytest.approx(sharpe(rising)))
    falling = -rising
    assert best_set(np.stack([np.zeros(50), falling]))[0] == 1
    with pytest.raises(BadArgument, match="none of 2 sets has returns that vary in 50 sessions"):
        best_set(np.zeros((2, 50)))


def test_a_chosen_set_that_then_stands_still_has_no_test_sharpe():
    returns = RETURNS[:1].copy()
    returns[:, 205:] = 0.0
    found = choose(returns, DAYS, **SETTINGS)
    assert found["test_sharpe"].null_count() == 7
    assert found["train_sharpe"].null_count() == 0


@pytest.mark.parametrize(
    ("returns", "days", "options", "message"),
    [
        (RETURNS[:, :211], DAYS[:211], {}, "211 sessions are too few to learn from 200, leave out 5 and take 7 steps"),
        (RETURNS, DAYS[1:], {}, f"there are {N} returns a set and {N - 1} sessions"),
        (RETURNS[0], DAYS, {}, "returns have the shape"),
        (np.where(np.arange(N) == 9, np.nan, RETURNS), DAYS, {}, r"set 0 has no return at place 9 \(6 in all"),
        (RETURNS, DAYS, {"embargo": -1}, "an embargo of -1"),
        (RETURNS, DAYS, {"n_steps": 0}, "0 steps after"),
    ],
)
def test_what_cannot_be_walked(returns: np.ndarray, days: list[dt.date], options: dict[str, int], message: str):
    with pytest.raises(BadArgument, match=message):
        choose(returns, days, **(SETTINGS | options))
