"""The suites on real rows, on planted faults, and when an expectation itself breaks."""

from __future__ import annotations

import datetime as dt

import great_expectations.expectations as gxe
import polars as pl
import pytest

from quant_assets.calendars import year_window
from quant_assets.errors import QuantAssetsError
from quant_assets.quality import suites
from quant_assets.quality.suites import judge_table
from quant_assets.schemas import TABLES
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets_tests.small import FETCHED_AT, delivered


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    window = year_window(2012)
    return pl.concat([delivered("bokeh", "IBM", window=window), delivered("skfolio", "KO", window=window)])


def test_real_rows_hold(prices: pl.DataFrame):
    [verdict] = judge_table("prices", prices)
    assert verdict.passed
    assert verdict.description == "32 expectations hold on 502 rows"
    source = ArchIndices()
    index = source.normalise(source.fetch(["sp500"], year_window(2012)), fetched_at=FETCHED_AT)
    assert judge_table("index_prices", index.select(list(TABLES["index_prices"].schema)))[0].passed


def test_sound_rows_are_asked_at_once_and_others_one_by_one(prices: pl.DataFrame, monkeypatch: pytest.MonkeyPatch):
    asked, ask = [], suites._failures
    monkeypatch.setattr(suites, "_failures", lambda expected, rows: asked.append(len(expected)) or ask(expected, rows))
    [verdict] = judge_table("prices", prices)
    assert asked == [3]
    assert verdict.description.startswith(f"{len(suites.expectations('prices'))} expectations hold")
    judge_table("prices", prices.with_columns(close=0.0))
    assert asked == [3, 3, 32]


def test_a_nan_is_no_null(prices: pl.DataFrame):
    """Great Expectations takes it for one, and reads a column that may be null over it."""
    day = dt.date(2012, 1, 3)
    label = {"ticker": "IBM", "session": day, "label": None, "ret": None, "label_start": day, "label_end": day}
    rows = pl.DataFrame(label, schema=TABLES["labels"].schema)
    assert judge_table("labels", rows)[0].passed
    told = judge_table("labels", rows.with_columns(ret=float("nan")))[0].description
    assert told == f"expect_column_values_to_be_in_set fails on {suites.KEPT}: 1 rows, e.g. [False]"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("close", 0.0, "expect_column_values_to_be_between fails on close: 1 rows, e.g. [0.0]"),
        ("low", -1.0, "expect_column_values_to_be_between fails on low: 1 rows"),
        ("close", None, "expect_column_values_to_not_be_null fails on close: 1 rows"),
        ("source", None, "expect_column_values_to_not_be_null fails on source: 1 rows"),
        ("known_at", FETCHED_AT + dt.timedelta(days=1), "expect_column_pair_values_a_to_be_greater_than_b fails on"),
    ],
)
def test_planted_faults_fail(prices: pl.DataFrame, column: str, value: object, said: str):
    rows = prices.with_row_index("at").with_columns(
        pl.when(pl.col("at") == 7).then(pl.lit(value)).otherwise(column).cast(prices.schema[column]).alias(column)
    )
    [verdict] = judge_table("prices", rows.drop("at"))
    assert not verdict.passed
    assert said in verdict.description


def test_a_repeated_key_and_an_unknown_column_fail(prices: pl.DataFrame):
    [verdict] = judge_table("prices", pl.concat([prices, prices.head(1)]))
    assert "expect_compound_columns_to_be_unique fails on ['ticker', 'session']: 2 rows" in verdict.description
    [verdict] = judge_table("prices", prices.with_columns(vwap=1.0))
    assert not verdict.passed
    assert "expect_table_columns_to_match_set" in verdict.description


def test_no_rows_is_no_success(prices: pl.DataFrame):
    [verdict] = judge_table("prices", prices.clear())
    assert not verdict.passed


def test_an_expectation_that_raises_is_no_verdict(prices: pl.DataFrame, monkeypatch: pytest.MonkeyPatch):
    """Great Expectations reports it as a failure of the data; here it is an error of ours."""
    with pytest.raises(QuantAssetsError, match=r"raised: .*close.*; report it, this is not a verdict on the data"):
        judge_table("prices", prices.drop("close"))
    broken = gxe.ExpectColumnValuesToMatchRegex(column="close", regex="[")
    monkeypatch.setattr(suites, "expectations", lambda table: [broken])
    with pytest.raises(QuantAssetsError, match="expectation expect_column_values_to_match_regex raised"):
        judge_table("prices", prices)
