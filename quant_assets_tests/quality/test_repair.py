"""Repairs of bars: on 277 real names against labels set by hand, and cell by cell."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.quality.repair import BOUNDED, SHIFTED, repair_bars
from quant_assets_tests.replay_yahoo import lean_history

D = dt.date
CELL = ["ticker", "session", "field"]
LABELS = Path(__file__).resolve().parent.parent / "golden/dirty_cells.csv"


def native(shared: Path) -> pl.DataFrame:
    """277 names, a million bars, as `prices` rows without their provenance."""
    rows = pl.read_parquet(shared / "data/equities/us_daily_1990_2012.parquet")
    return rows.select(
        ticker=pl.col("Ticker").cast(pl.String),
        session=pl.col("Date").cast(pl.Date),
        **{name: pl.col(name.title()).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")},
        split_factor=pl.lit(1.0),
    ).sort("ticker", "session")


def test_exactly_the_cells_labelled_bad_are_repaired_and_genuine_extremes_survive(shared: Path):
    rows = native(shared)
    repaired = repair_bars(rows)
    labels = pl.read_csv(LABELS, try_parse_dates=True)
    listed = pl.read_csv(shared / "data/equities/known_dirty_cells.csv", try_parse_dates=True)
    assert set(labels.select(CELL).rows()) == {(t, d, f.lower()) for t, d, f in listed.select("ticker", "date", "field").rows()}
    assert set(repaired.log.select(CELL).rows()) == set(labels.filter(label="bad").select(CELL).rows())
    assert repaired.rows.height == rows.height == 1_040_619
    assert labels["evidence"].null_count() == 0


def test_the_log_keeps_what_was_delivered_and_why(shared: Path):
    repaired = repair_bars(native(shared).filter(pl.col("ticker").is_in(["HUM", "XLF"])))
    shifted, bounded = repaired.log.sort("ticker").iter_rows(named=True)
    assert (shifted["session"], shifted["original"], shifted["repaired"], shifted["method"]) == (D(2008, 1, 8), 7.8093, 78.093, SHIFTED)
    assert shifted["evidence"] == "as delivered: open 77.125, low 76.591, close 77.013, close before 76.673"
    assert (bounded["session"], bounded["original"], bounded["repaired"], bounded["method"]) == (D(2011, 6, 16), 52.667, 10.727, BOUNDED)


def bars(*told: tuple[float | None, float | None, float | None, float], splits: tuple[float, ...] = ()) -> pl.DataFrame:
    schema = dict.fromkeys(("open", "high", "low", "close"), pl.Float64)
    days = [D(2012, 3, 1) + dt.timedelta(days=n) for n in range(len(told))]
    return pl.DataFrame(told, schema=schema, orient="row").select(
        pl.lit("A").alias("ticker"), pl.Series("session", days), pl.all(), split_factor=pl.Series(splits or (1.0,) * len(told))
    )


CALM = (50.0, 51.0, 49.0, 50.5)


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((5.02, 51.0, 49.0, 50.0), (50.2, 51.0, 49.0, 50.0)),
        ((50.0, 51.0, 49.0, 0.5), (50.0, 51.0, 49.0, 50.0)),
        ((50.0, 5.1, 49.0, 50.5), (50.0, 51.0, 49.0, 50.5)),
        ((50.0, 5100.0, 49.0, 50.5), (50.0, 51.0, 49.0, 50.5)),
        ((50.0, 51.0, 0.49, 50.5), (50.0, 51.0, 49.0, 50.5)),
        ((5.0, 51.0, 5.0, 50.5), (50.0, 51.0, 50.0, 50.5)),
        ((50.0, 160.0, 49.0, 50.5), (50.0, 50.5, 49.0, 50.5)),
        ((50.0, 51.0, 0.0, 50.5), (50.0, 51.0, 50.0, 50.5)),
        ((50.0, 51.0, -3.0, 50.5), (50.0, 51.0, 50.0, 50.5)),
    ],
)
def test_a_price_that_its_bar_proves_wrong(bar: tuple[float, ...], expected: tuple[float, ...]):
    found = repair_bars(bars(CALM, bar, CALM)).rows.select("open", "high", "low", "close").row(1)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "bar",
    [
        (50.0, 510.0, 50.0, 505.0),  # ten times in a day, and it stays
        (20.0, 30.0, 18.0, 25.0),  # opens at 40 % and recovers a little
        (5.05, 5.1, 4.9, 5.0),  # all of the bar a tenth: an action or a unit, the gate's to judge
        (50.0, 101.0, 49.0, 52.0),  # twice the body, and no more
        (50.0, 51.0, 49.0, 300.0),  # a close that no power of ten explains: the gate's to judge, its high with it
        (50.0, 51.0, 49.0, -50.0),
        (None, None, None, 5.0),  # only a close
    ],
)
def test_what_nothing_in_the_bar_disproves_stays(bar: tuple[float | None, float | None, float | None, float]):
    rows = bars(CALM, bar, CALM)
    repaired = repair_bars(rows)
    assert_frame_equal(repaired.rows, rows)
    assert repaired.log.is_empty()


def test_a_split_on_record_moves_the_close_before():
    rows = bars(CALM, (7.1, 7.3, 7.0, 7.2), (7.2, 7.3, 7.1, 7.25), splits=(1.0, 7.0, 1.0))
    assert repair_bars(rows).log.is_empty()
    rows = bars(CALM, (71.0, 7.3, 7.0, 7.2), splits=(1.0, 7.0))
    assert repair_bars(rows).rows["open"][1] == pytest.approx(7.1)


def test_a_repair_reads_no_later_bar(shared: Path):
    """Cut right after each repaired bar, the repair is the same."""
    rows = native(shared).filter(pl.col("ticker").is_in(["PCG", "BEN"]))
    whole = repair_bars(rows).log
    for ticker, session in whole.select("ticker", "session").unique().iter_rows():
        cut = repair_bars(rows.filter(pl.col("ticker") == ticker, pl.col("session") <= session)).log
        assert_frame_equal(cut, whole.filter(pl.col("ticker") == ticker, pl.col("session") <= session))


def test_on_bars_that_had_no_part_in_the_rule(shared: Path):
    """LEAN's raw bars, 1998 to 2021: three lows of AAPL far below their bar, in none of the other names anything."""
    found = {}
    for name in ("AAPL", "BAC", "IBM", "SPY"):
        history = lean_history(shared, name)
        splits = pl.col("session").replace_strict(history.splits, default=1.0, return_dtype=pl.Float64) if history.splits else pl.lit(1.0)
        log = repair_bars(history.bars.with_columns(ticker=pl.lit(name), split_factor=splits)).log
        found[name] = log.select("session", "field", "original").rows()
    bad = [(D(2009, 9, 21), "low", 10.59), (D(2010, 8, 31), "low", 25.3), (D(2011, 1, 3), "low", 32.65)]
    assert found == {"AAPL": bad, "BAC": [], "IBM": [], "SPY": []}
