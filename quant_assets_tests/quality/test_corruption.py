"""Whatever arrives, no row is lost and nothing breaks: two hundred damaged frames here, ten thousand in `benchmarks/corrupted.py`."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from quant_assets_tests.quality.corruption import NAMES, Blow, assert_balanced, damaged, damages, sound


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sound()


def test_sound_rows_all_get_in(rows: pl.DataFrame):
    verdict = assert_balanced(rows)
    assert verdict.withheld == {}
    assert set(verdict.accepted["ticker"]) == set(NAMES)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=damages)
def test_no_row_is_lost(rows: pl.DataFrame, told: list[Blow]):
    assert_balanced(damaged(rows, told))


def test_nothing_arrives(rows: pl.DataFrame):
    verdict = assert_balanced(rows.clear())
    assert verdict.accepted.is_empty()
    assert {ticker for ticker, _ in verdict.withheld} == set(NAMES)
