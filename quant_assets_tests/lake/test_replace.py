"""What a write changes and what it must leave alone."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument, OutsideWindow, SchemaMismatch
from quant_assets.lake import Lake
from quant_assets.schemas import TABLES
from quant_assets_tests.lake.frames import SORT_ORDER, TABLE, YEAR_2012, day, file_of, fingerprint, predictions

TWO_YEARS = Window(day("2012-01-01"), day("2014-01-01"))
STORED = predictions(
    ("AAPL", "2012-06-01", 0.51), ("AAPL", "2012-06-04", None), ("IBM", "2012-06-01", 0.49), ("IBM", "2013-01-02", float("nan"))
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.replace(TABLE, STORED, keys=None, window=TWO_YEARS)
    return lake


def test_nothing_is_created_before_the_first_write(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert lake.scan(TABLE).collect().is_empty()
    assert lake.tables() == []
    assert lake.sweep() == []
    lake.replace(TABLE, STORED.clear(), keys=None, window=TWO_YEARS)
    assert not lake.root.exists()


def test_rows_come_back_as_they_went_in(lake: Lake) -> None:
    assert_frame_equal(lake.scan(TABLE).collect(), STORED.sort(pl.col("session").dt.year(), *SORT_ORDER))
    assert lake.tables() == [TABLE]
    assert file_of(lake.root, 2012).exists()
    assert file_of(lake.root, 2013).exists()


def test_lists_instants_and_small_integers_survive(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    synthesis = pl.DataFrame(
        [("AAPL", day("2012-06-01"), "WATCH", "LOW", "thesis", ["gap", "news"], "rules")],
        schema=TABLES["trade_synthesis"].schema,
        orient="row",
    )
    labels = pl.DataFrame(
        [("AAPL", *[day("2012-06-01")] * 2, 1, 0.1)], schema=["ticker", "label_start", "label_end", "label", "ret"], orient="row"
    )
    labels = labels.with_columns(pl.col("label").cast(pl.Int8), session=pl.col("label_start")).select(list(TABLES["labels"].schema))
    index = pl.DataFrame(
        [("sp500", day("2012-06-01"), *[1.0] * 5, "arch", *[dt.datetime(2012, 6, 1, 20, tzinfo=dt.UTC)] * 2)],
        schema=TABLES["index_prices"].schema,
        orient="row",
    )
    for table, rows in {"trade_synthesis": synthesis, "labels": labels, "index_prices": index}.items():
        lake.replace(table, rows, keys=None, window=YEAR_2012)
        assert_frame_equal(lake.scan(table).collect(), rows)


def test_repeating_a_write_touches_no_file(lake: Lake) -> None:
    before = fingerprint(lake.root)
    lake.replace(TABLE, STORED.sample(fraction=1, shuffle=True, seed=1), keys=None, window=TWO_YEARS)
    lake.replace(TABLE, STORED.filter(ticker="IBM"), keys=["IBM"], window=TWO_YEARS)
    assert fingerprint(lake.root) == before


def test_only_the_rectangle_changes(lake: Lake) -> None:
    before = fingerprint(lake.root)
    lake.replace(TABLE, predictions(("AAPL", "2012-06-05", 0.6)), keys=["AAPL"], window=Window(day("2012-06-04"), day("2012-06-06")))
    expected = predictions(
        ("AAPL", "2012-06-01", 0.51), ("AAPL", "2012-06-05", 0.6), ("IBM", "2012-06-01", 0.49), ("IBM", "2013-01-02", float("nan"))
    )
    assert_frame_equal(lake.scan(TABLE).collect(), expected)
    assert fingerprint(lake.root)[file_of(lake.root, 2013)] == before[file_of(lake.root, 2013)]


def test_the_end_of_a_window_is_not_replaced(lake: Lake) -> None:
    lake.replace(TABLE, STORED.clear(), keys=None, window=Window(day("2012-06-01"), day("2012-06-04")))
    assert lake.scan(TABLE).collect()["session"].to_list() == [day("2012-06-04"), day("2013-01-02")]


def test_scope_separates_models(lake: Lake) -> None:
    deep = predictions(("AAPL", "2012-06-01", 0.7), model="deep")
    lake.replace(TABLE, deep, keys=None, window=TWO_YEARS, scope={"model": "deep"})
    assert_frame_equal(lake.scan(TABLE, scope={"model": "deep"}).collect(), deep)
    assert lake.scan(TABLE, scope={"model": "pooled"}).collect().height == STORED.height
    lake.replace(TABLE, STORED.clear(), keys=None, window=TWO_YEARS, scope={"model": "pooled"})
    assert_frame_equal(lake.scan(TABLE).collect(), deep)


def test_a_year_without_rows_loses_its_file(lake: Lake) -> None:
    lake.replace(TABLE, STORED.clear(), keys=None, window=YEAR_2012)
    assert not file_of(lake.root, 2012).exists()
    assert lake.scan(TABLE).collect().height == 1
    lake.replace(TABLE, STORED.clear(), keys=None, window=TWO_YEARS)
    assert lake.tables() == []


@pytest.mark.parametrize(
    ("stranger", "named"),
    [
        (predictions(("AAPL", "2013-01-01", 0.9)), "session=2013-01-01"),
        (predictions(("AAPL", "2011-12-31", 0.9)), "session=2011-12-31"),
        (predictions(("MSFT", "2012-06-01", 0.9)), "ticker=MSFT"),
        (predictions(("AAPL", "2012-06-01", 0.9), model="deep"), "model=deep"),
    ],
)
def test_rows_outside_the_rectangle_are_refused(lake: Lake, stranger: pl.DataFrame, named: str) -> None:
    before = fingerprint(lake.root)
    rows = pl.concat([predictions(("AAPL", "2012-06-04", 0.6)), stranger])
    with pytest.raises(OutsideWindow, match="1 of 2 rows") as refusal:
        lake.replace(TABLE, rows, keys=["AAPL"], window=YEAR_2012, scope={"model": "pooled"})
    assert named in refusal.value.message
    assert "2012-01-01..2012-12-31" in refusal.value.message
    assert fingerprint(lake.root) == before


def test_no_key_is_not_all_keys(lake: Lake) -> None:
    before = fingerprint(lake.root)
    lake.replace(TABLE, STORED.clear(), keys=[], window=TWO_YEARS)
    assert fingerprint(lake.root) == before
    assert lake.scan(TABLE, keys=[]).collect().is_empty()
    with pytest.raises(OutsideWindow):
        lake.replace(TABLE, STORED, keys=[], window=TWO_YEARS)


def test_rows_that_break_the_declaration_are_refused(lake: Lake) -> None:
    before = fingerprint(lake.root)
    broken = [STORED.drop("score"), pl.concat([STORED, STORED]), STORED.with_columns(score=pl.lit("high"))]
    for rows in broken:
        with pytest.raises(SchemaMismatch):
            lake.replace(TABLE, rows, keys=None, window=TWO_YEARS)
    assert fingerprint(lake.root) == before


def test_impossible_requests_name_what_is_possible(lake: Lake) -> None:
    with pytest.raises(BadArgument, match="did you mean 'oos_predictions'"):
        lake.replace("oos_prediction", STORED, keys=None, window=TWO_YEARS)
    with pytest.raises(BadArgument, match=r"not a list; pass \['AAPL'\]"):
        lake.replace(TABLE, STORED, keys="AAPL", window=TWO_YEARS)
    with pytest.raises(BadArgument, match="known: model"):
        lake.replace(TABLE, STORED, keys=None, window=TWO_YEARS, scope={"score": "0.5"})
    with pytest.raises(BadArgument, match="leave keys out"):
        lake.replace("model_runs", STORED, keys=["AAPL"], window=TWO_YEARS)


DAYS = [day("2011-12-29") + dt.timedelta(days=n) for n in range(6)]
TICKERS, MODELS = ["AAPL", "IBM", "MSFT"], ["pooled", "deep"]
CELLS = [(model, ticker, session) for model in MODELS for ticker in TICKERS for session in DAYS]


@st.composite
def replacements(draw: st.DrawFn):
    """A rectangle over two years of a small lake, and cells inside it with their scores."""
    keys = draw(st.none() | st.lists(st.sampled_from(TICKERS), unique=True))
    start, end = sorted(draw(st.lists(st.sampled_from([*DAYS, DAYS[-1] + dt.timedelta(days=1)]), min_size=2, max_size=2)))
    scope = draw(st.sampled_from([None, {"model": "pooled"}, {"model": "deep"}]))
    inside = [
        cell
        for cell in CELLS
        if (keys is None or cell[1] in keys) and start <= cell[2] < end and (scope is None or cell[0] == scope["model"])
    ]
    scores = st.none() | st.floats(0, 1)
    cells = draw(st.dictionaries(st.sampled_from(inside), scores)) if inside else {}
    return keys, Window(start, end), scope, inside, cells


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(replacements(), min_size=1, max_size=6))
def test_any_sequence_of_writes_equals_a_dictionary(steps) -> None:
    expected: dict[tuple[str, str, dt.date], float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        for keys, window, scope, inside, cells in steps:
            rows = [predictions((ticker, session, score), model=model) for (model, ticker, session), score in cells.items()]
            lake.replace(TABLE, pl.concat(rows) if rows else STORED.clear(), keys=keys, window=window, scope=scope)
            expected = {cell: score for cell, score in expected.items() if cell not in inside} | cells
            found = lake.scan(TABLE, columns=["model", "ticker", "session", "score"]).collect().rows()
            assert {row[:3]: row[3] for row in found} == expected
            assert len(found) == len(expected)
