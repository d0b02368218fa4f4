"""Drawdowns against the published case, a naive loop and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_assets.backtest.drawdowns import Drawdown, average_drawdown, deepest, drawdowns, longest_drawdown, max_drawdown, underwater
from quant_assets_tests.backtest.records import published


def test_published_dates(shared: Path):
    cases = json.loads((shared / "reference/09_performance.json").read_text())["cases"]
    expected = next(case["expected"] for case in cases if case["id"] == "drawdown_dates")
    wealth = published(shared).wealth
    spell = deepest(wealth)
    assert (spell.peak, spell.trough, spell.recovered) == (expected["peak_idx"], expected["trough_idx"], False)
    assert spell.trough - spell.peak == expected["peak_to_trough_periods"]
    assert longest_drawdown(wealth) == expected["longest_underwater_periods"]
    assert (underwater(wealth) < 0).sum() == expected["n_underwater"]


def test_spells_by_hand():
    wealth = np.array([100.0, 90.0, 95.0, 100.0, 100.0, 80.0, 120.0, 119.0])
    first, second, third = drawdowns(wealth)
    assert first == Drawdown(peak=0, trough=1, last=2, recovered=True, depth=pytest.approx(-0.1))
    assert second == Drawdown(peak=4, trough=5, last=5, recovered=True, depth=pytest.approx(-0.2))
    assert third == Drawdown(peak=6, trough=7, last=7, recovered=False, depth=pytest.approx(-1 / 120))
    assert average_drawdown(wealth) == pytest.approx((-0.1 - 0.2 - 1 / 120) / 3)
    assert deepest(wealth) == second


def naive(wealth: list[float]) -> list[list[int]]:
    """Places of the closes below an earlier peak, by spell."""
    spells: list[list[int]] = []
    for place, worth in enumerate(wealth):
        if worth < max(wealth[: place + 1]):
            if spells and spells[-1][-1] == place - 1:
                spells[-1].append(place)
            else:
                spells.append([place])
    return spells


@settings(max_examples=200, deadline=None, derandomize=True)
@given(wealth=st.lists(st.integers(1, 12), min_size=1, max_size=30))
def test_spells_are_those_of_a_loop(wealth: list[int]):
    spells = drawdowns(np.array(wealth, dtype=float))
    assert [list(range(spell.peak + 1, spell.last + 1)) for spell in spells] == naive(wealth)
    for spell in spells:
        inside = wealth[spell.peak + 1 : spell.last + 1]
        assert spell.trough == spell.peak + 1 + inside.index(min(inside))
        assert spell.depth == pytest.approx(min(inside) / wealth[spell.peak] - 1)
        assert spell.recovered == (spell.last < len(wealth) - 1)
    assert max_drawdown(np.array(wealth, dtype=float)) == min((spell.depth for spell in spells), default=0.0)
