"""Yahoo's errors: real ones against the same frames put right, planted ones in clean real frames; and clean frames stay as they are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.quality import vendor_dividends as dividends
from quant_assets.quality.vendor_repair import AS_RECORDED, VendorRepaired, repair_each, repair_vendor
from quant_assets.quality.vendor_splits import TWICE, UNDIVIDED
from quant_assets.quality.vendor_units import BOUNDED, LEVEL, PRICE
from quant_assets_tests.quality.price_pairs import Pair, pair_names, read_pair, yahoo_frame
from quant_assets_tests.quality.test_repair import native
from quant_assets_tests.replay_yahoo import lean_history

D = dt.date
BARS = ["Open", "High", "Low", "Close", "Adj Close"]
LABELS = Path(__file__).resolve().parent.parent / "golden/dirty_cells.csv"
PAIRS = {
    "4063-T-1d-bad-stock-split": (54, {UNDIVIDED}),
    "8TRA-DE-1d-missing-div-adjust": (2, {dividends.UNSTEPPED}),
    "AET-L-1d-100x-error": (70, {LEVEL}),
    "ALPHA-PA-1d-bad-stock-split": (6, {UNDIVIDED}),
    "ASAI-L-1h-bad-unit": (3, {PRICE, BOUNDED}),
    "AV-L-1wk-bad-stock-split": (6, {UNDIVIDED}),
    "CLC-L-1d-bad-div": (654, {dividends.OF_PRICE}),
    "DODFX-1d-cg-double-count": (487, {dividends.COUNTED_TWICE}),
    "KME-MI-1d-bad-div": (354, {dividends.BOTH}),
    "SAND-1d-bad-div": (1, {dividends.AGAIN}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_real_error_is_repaired_whole_and_nothing_else_moves(shared: Path, name: str):
    pair = read_pair(shared, name)
    found = repair_vendor(pair.bad, stamp=pair.stamp)
    tally = pair.tally(found.rows)
    n_bad, methods = PAIRS[name]
    assert tally.whole
    assert (tally.bad, tally.repaired) == (n_bad, n_bad)
    assert set(found.log["method"]) == methods
    assert_every_change_is_logged(pair.bad, found)


def test_the_pairs_are_all_there_are(shared: Path):
    assert pair_names(shared) == list(PAIRS)


def assert_every_change_is_logged(delivered: pl.DataFrame, found: VendorRepaired) -> None:
    """And nothing else, with the value that was delivered, the one that stands, and why."""
    for told, into in ((found.log, found.rows), (found.refused, delivered)):
        for row, field, original, repaired in told.select("row", "field", "original", "repaired").iter_rows():
            assert delivered[field][row] == original != repaired
            assert into[field][row] == pytest.approx(repaired if told is found.log else original, rel=1e-12, abs=0.5 * (field == "Volume"))
    changed = {
        (row, name)
        for name in delivered.columns[1:]
        for row in np.flatnonzero((delivered[name].cast(float) != found.rows[name].cast(float)).fill_null(False))
    }
    assert changed == set(found.log.select("row", "field").rows())
    assert all(found.log["evidence"]) and all(found.refused["evidence"])  # noqa: PT018


def refused(pair: Pair) -> set[tuple[str, str]]:
    return set(repair_vendor(pair.bad, stamp=pair.stamp).refused.select("field", "evidence").rows())


def test_what_looks_wrong_and_is_not_proven_is_told_and_left(shared: Path):
    """CLC stands at a hundredth for six bars, but all its bars with trades have a high below their open. SAND's one step holds its dividend
    twice: was it paid twice, or adjusted for twice?"""
    told = {name: refused(read_pair(shared, name)) for name in PAIRS}
    assert {name for name, rows in told.items() if rows} == {"CLC-L-1d-bad-div", "SAND-1d-bad-div"}
    assert {field for field, _ in told["CLC-L-1d-bad-div"]} == set(BARS)
    assert {why.rpartition("; ")[2] for _, why in told["CLC-L-1d-bad-div"]} == {"no sound bar with trades at either level"}
    [(field, why)] = told["SAND-1d-bad-div"]
    assert field == "Adj Close"
    assert "2024-01-16 05:00: dividend 0.015, adjusted by 0.02996" in why


def apple(shared: Path) -> pl.DataFrame:
    """Four years of AAPL with a split 7:1 on 2014-06-09 and sixteen dividends."""
    return yahoo_frame(lean_history(shared, "AAPL")).filter(pl.col("Date").is_between(D(2012, 7, 2), D(2016, 7, 1)))


@pytest.mark.parametrize("name", ["AAPL", "BAC", "IBM", "SPY"])
def test_a_clean_history_of_23_years_stays(shared: Path, name: str):
    """With the 52 % that AAPL lost on 2000-09-29, which is the ratio of its later splits, and the banks' 2008."""
    frame = yahoo_frame(lean_history(shared, name))
    found = repair_vendor(frame, stamp="Date")
    assert_frame_equal(found.rows, frame)
    assert found.log.is_empty()
    assert found.refused.is_empty()


def test_of_277_real_names_only_cells_labelled_bad_are_touched(shared: Path):
    rows = native(shared).rename({name: name.title() for name in ("open", "high", "low", "close")}).drop("split_factor")
    found = repair_each(rows, key="ticker", stamp="session")
    bad = pl.read_csv(LABELS, try_parse_dates=True).filter(label="bad").select("ticker", "session", "field").rows()
    touched = [(*rows.row(row)[:2], field.lower()) for row, field in found.log.select("row", "field").iter_rows()]
    assert touched
    assert set(touched) <= set(bad)
    assert found.refused.is_empty()


def planted(frame: pl.DataFrame, where: pl.Expr, **times: float) -> pl.DataFrame:
    """Those columns of those rows multiplied, volume in whole shares."""
    changed = [pl.when(where).then(pl.col(name) * factor).otherwise(name).alias(name) for name, factor in times.items()]
    return frame.with_columns(changed).with_columns(pl.col("Volume").round().cast(pl.Int64))


def of_split(factor: float) -> dict[str, float]:
    return {**dict.fromkeys(BARS, factor), "Volume": 1 / factor}


def between(first: dt.date, last: dt.date) -> pl.Expr:
    return pl.col("Date").is_between(first, last)


def assert_put_right(found: pl.DataFrame, clean: pl.DataFrame) -> None:
    assert_frame_equal(found.drop("Volume"), clean.drop("Volume"), rel_tol=1e-5)
    assert (found["Volume"] - clean["Volume"]).abs().max() <= 7  # type: ignore[operator]  # rounded to shares before the split


@pytest.mark.parametrize(
    ("where", "times", "method"),
    [
        (between(D(2012, 7, 2), D(2014, 6, 6)), 7, UNDIVIDED),
        (between(D(2012, 7, 2), D(2014, 5, 27)), 7, UNDIVIDED),
        (between(D(2014, 6, 5), D(2014, 6, 5)), 7, UNDIVIDED),
        (between(D(2014, 6, 2), D(2014, 6, 4)), 1 / 7, TWICE),
        (between(D(2012, 7, 2), D(2014, 6, 6)), 1 / 7, TWICE),
        (between(D(2014, 6, 4), D(2014, 6, 5)) | between(D(2014, 5, 23), D(2014, 5, 28)) | (pl.col("Date") < D(2014, 5, 8)), 7, UNDIVIDED),
    ],
)
def test_bars_that_a_split_on_record_missed_or_met_twice(shared: Path, where: pl.Expr, times: float, method: str):
    clean = apple(shared)
    bad = planted(clean, where, **of_split(times))
    for rules in ({}, {"rules": AS_RECORDED}):
        found = repair_vendor(bad, stamp="Date", **rules)
        assert_put_right(found.rows, clean)
        assert set(found.log["method"]) == {method}
        assert "split 7 on 2014-06-09" in found.log["evidence"][0]
        assert_every_change_is_logged(bad, found)


def test_dividends_on_the_basis_of_the_bars_that_a_split_missed(shared: Path):
    clean, before = apple(shared), pl.col("Date") < D(2014, 6, 9)
    bad = planted(clean, before, **of_split(7), Dividends=7)
    assert_put_right(repair_vendor(bad, stamp="Date", rules=AS_RECORDED).rows, clean)


@pytest.mark.parametrize(
    "told",
    [
        {"Stock Splits": 0.0},  # none on record
        {"Stock Splits": 6.0},  # another one
        {"Stock Splits": 1.1},  # a bar moves as much by itself
    ],
)
def test_a_jump_that_no_split_explains_is_the_price_s_own(shared: Path, told: dict[str, float]):
    frame = apple(shared).with_columns(pl.when(pl.col("Stock Splits") != 0).then(told["Stock Splits"]).otherwise(0.0).alias("Stock Splits"))
    bad = planted(frame, pl.col("Date") < D(2014, 6, 9), **of_split(7))
    found = repair_vendor(bad, stamp="Date", rules=AS_RECORDED)
    assert_frame_equal(found.rows, bad)


def test_a_jump_long_before_the_split_is_the_price_s_own(shared: Path):
    bad = planted(apple(shared), pl.col("Date") < D(2014, 5, 1), **of_split(7))
    assert_frame_equal(repair_vendor(bad, stamp="Date", rules=AS_RECORDED).rows, bad)


def test_two_jumps_in_one_direction_are_refused(shared: Path):
    bad = planted(planted(apple(shared), pl.col("Date") < D(2014, 6, 9), **of_split(7)), pl.col("Date") < D(2014, 6, 4), **of_split(7))
    found = repair_vendor(bad, stamp="Date", rules=AS_RECORDED)
    assert_frame_equal(found.rows.filter(pl.col("Date") < D(2014, 6, 4)), bad.filter(pl.col("Date") < D(2014, 6, 4)))
    assert set(found.refused["evidence"].str.split("; ").list.last()) == {"2 jumps in one direction, and one split"}


def test_what_was_traded_before_a_split_is_the_same_whatever_follows(shared: Path):
    """Cut on any day after it, or followed by other prices: the bars before the split come back the same."""
    bad = planted(apple(shared), between(D(2014, 5, 20), D(2014, 6, 5)), **of_split(7))
    until = pl.col("Date") <= D(2014, 6, 9)
    whole = repair_vendor(bad, stamp="Date", rules=AS_RECORDED).rows.filter(until)
    for cut in (D(2014, 6, 9), D(2014, 6, 10), D(2014, 9, 1), D(2015, 3, 3)):
        assert_frame_equal(repair_vendor(bad.filter(pl.col("Date") <= cut), stamp="Date", rules=AS_RECORDED).rows.filter(until), whole)
    rng = np.random.default_rng(3)
    drift = pl.Series(np.where(bad["Date"] > D(2014, 6, 9), np.exp(rng.normal(0, 0.05, bad.height).cumsum()), 1.0))
    other = bad.with_columns(pl.col(BARS) * drift)
    assert_frame_equal(repair_vendor(other, stamp="Date", rules=AS_RECORDED).rows.filter(until), whole)


def test_splits_on_record_in_real_names(shared: Path):
    """At a random day of every third name: bars that are divided stay, bars up to two weeks before that are not come back, or are left."""
    rng, whole, left = np.random.default_rng(1), 0, 0
    for own in native(shared).partition_by("ticker", maintain_order=True)[::3]:
        for ratio in (4 / 3, 1.5, 2.0, 0.1) if own.height > 700 else ():
            split, missed = (int(one) for one in (rng.integers(600, own.height - 5), rng.integers(0, 10)))
            clean = own.rename({"session": "Date", **{name.lower(): name for name in BARS[:4]}}).with_columns(
                pl.when(pl.int_range(pl.len()) == split).then(ratio).otherwise(0.0).alias("Stock Splits")
            )[split - 400 : split + 20]
            assert repair_vendor(clean, stamp="Date", rules=AS_RECORDED).log.is_empty()
            undivided = pl.int_range(pl.len()) < 400 - missed
            bad = clean.with_columns(pl.when(undivided).then(pl.col(BARS[:4]) * ratio).otherwise(pl.col(BARS[:4])))
            found = repair_vendor(bad, stamp="Date", rules=AS_RECORDED).rows
            back = np.allclose(found["Close"], clean["Close"], rtol=1e-9)
            assert back or found.equals(bad)
            whole, left = whole + back, left + (ratio != 4 / 3 and not back)
    assert (whole, left) == (261, 3)


PAID = pl.col("Date") == D(2013, 2, 7)
"""AAPL paid 2.65, 0.0946 for a share of 2021, on a close of 16.33 the day before."""


def adjusted_by(frame: pl.DataFrame, amount: float) -> pl.DataFrame:
    """The step of the dividend of PAID is this amount."""
    row = frame.with_row_index().filter(PAID)["index"][0]
    ratio, close = (frame["Adj Close"] / frame["Close"]).to_list(), frame["Close"][row - 1]
    restep = (1 - amount / close) / (ratio[row - 1] / ratio[row])
    return frame.with_columns(pl.when(pl.col("Date") < D(2013, 2, 7)).then(pl.col("Adj Close") * restep).otherwise("Adj Close"))


def assert_repaired(bad: pl.DataFrame, clean: pl.DataFrame, method: str) -> None:
    found = repair_vendor(bad, stamp="Date")
    assert_put_right(found.rows, clean)
    assert set(found.log["method"]) == {method}
    assert_every_change_is_logged(bad, found)


def test_a_dividend_that_the_adjusted_close_lacks(shared: Path):
    clean = apple(shared)
    assert_repaired(adjusted_by(clean, 0.0), clean, dividends.UNSTEPPED)


def test_a_dividend_that_the_price_rules_out_is_not_believed(shared: Path):
    bad = planted(adjusted_by(apple(shared), 0.0), PAID, Dividends=50)
    found = repair_vendor(bad, stamp="Date")
    assert_frame_equal(found.rows, bad)
    assert set(found.refused["method"]) == {f"{dividends.UNSTEPPED}; {dividends.UNEXPLAINED}", dividends.UNSTEPPED}


def large(shared: Path) -> pl.DataFrame:
    """A special dividend of 1.00, 6 % of the price, which falls by as much."""
    clean = apple(shared)
    row = clean.with_row_index().filter(PAID)["index"][0]
    before = clean["Close"][row - 1]
    fall = (before - 1) / clean["Close"][row]
    after = pl.col("Date") >= D(2013, 2, 7)
    frame = planted(clean, after, **dict.fromkeys([*BARS, "Dividends"], fall))
    frame = frame.with_columns(pl.when(PAID).then(1.0).otherwise("Dividends").alias("Dividends"))
    return adjusted_by(frame, 1.0)


def test_a_dividend_and_its_step_that_differ_by_a_hundred(shared: Path):
    """The price decides: it fell by 6 %."""
    clean = large(shared)
    assert repair_vendor(clean, stamp="Date").log.is_empty()
    assert_repaired(adjusted_by(clean, 0.01), clean, dividends.OF_PRICE)
    assert_repaired(planted(clean, PAID, Dividends=0.01), clean, dividends.OF_PRICE)


def test_the_price_may_not_tell_which_of_the_two_it_was(shared: Path):
    """Half a per cent of a price that moves by two a day."""
    bad = planted(apple(shared), PAID, Dividends=0.01)
    found = repair_vendor(bad, stamp="Date", rules=(dividends.dividend_units,))
    assert_frame_equal(found.rows, bad)
    assert found.refused["evidence"][0].rpartition("; ")[2].startswith("the price does not tell which is right")


def test_a_dividend_and_a_step_a_hundred_times_too_large(shared: Path):
    clean = apple(shared)
    bad = adjusted_by(planted(clean, PAID, Dividends=100), 9.4643)
    assert_repaired(bad, clean, dividends.BOTH)
    assert repair_vendor(bad, stamp="Date", rules=AS_RECORDED).log.is_empty()  # against two records that agree only later prices speak


def test_the_same_dividend_on_two_days(shared: Path):
    clean = apple(shared)
    again, amount = pl.col("Date") == D(2013, 2, 5), clean.filter(PAID)["Dividends"][0]
    bad = clean.with_columns(pl.when(again).then(amount).otherwise("Dividends").alias("Dividends"))
    found = repair_vendor(bad, stamp="Date")
    assert_frame_equal(found.rows, clean)
    assert found.log["method"].to_list() == [dividends.AGAIN]
    assert_frame_equal(repair_vendor(bad, stamp="Date", rules=AS_RECORDED).rows, bad)  # the rhythm is that of later dividends too
    often = bad.with_columns(pl.when(pl.col("Date").dt.weekday() == 2).then(amount).otherwise("Dividends").alias("Dividends"))
    assert dividends.AGAIN not in set(repair_vendor(often, stamp="Date").log["method"])  # one that may pay every week


def test_capital_gains_in_the_dividend(shared: Path):
    clean = large(shared).with_columns(pl.when(PAID).then(0.9).otherwise(0.0).alias("Capital Gains"))
    assert_repaired(adjusted_by(clean, 1.9), clean, dividends.COUNTED_TWICE)
    few = clean.with_columns(pl.col("Capital Gains") / 3)  # 0.3 more or less in a price that moves by as much
    [why] = set(repair_vendor(adjusted_by(few, 1.3), stamp="Date").refused["evidence"])
    assert "the price does not tell whether the gains are in the dividend" in why


@pytest.mark.parametrize("times", [100, 0.01])
def test_whole_bars_in_another_unit(shared: Path, times: float):
    """Short, between bars that agree; longer ones only when no share was traded in them."""
    clean = apple(shared)
    slip = between(D(2015, 3, 3), D(2015, 3, 5))
    assert_repaired(planted(clean, slip, **dict.fromkeys(BARS, times)), clean, LEVEL)
    long = planted(clean, between(D(2015, 3, 3), D(2015, 4, 30)), **dict.fromkeys(BARS, times))
    found = repair_vendor(long, stamp="Date")
    assert_frame_equal(found.rows, long)
    assert set(found.refused["evidence"].str.split("; ").list.last()) == {"traded at both levels, for longer than a slip lasts"}
    silent = planted(long, between(D(2015, 3, 3), D(2015, 4, 30)), Volume=0)
    assert_repaired(silent, planted(clean, between(D(2015, 3, 3), D(2015, 4, 30)), Volume=0), LEVEL)


def test_a_price_that_falls_to_a_hundredth_and_stays_has_fallen(shared: Path):
    bad = planted(apple(shared), pl.col("Date") >= D(2015, 3, 3), **dict.fromkeys([*BARS, "Dividends"], 0.01))
    assert_frame_equal(repair_vendor(bad, stamp="Date").rows, bad)


@pytest.mark.parametrize("name", ["Open", "High", "Low"])
@pytest.mark.parametrize("times", [100, 0.01])
def test_one_price_in_another_unit(shared: Path, name: str, times: float):
    clean = apple(shared)
    bad = planted(clean, pl.col("Date") == D(2015, 3, 3), **{name: times})
    assert_repaired(bad, clean, PRICE)


def test_holes_and_odd_columns_pass_through(shared: Path):
    frame = apple(shared).with_columns(pl.lit("x").alias("Note"))
    hole = pl.col("Date").is_between(D(2014, 6, 2), D(2014, 6, 3))
    bad = frame.with_columns(pl.when(hole).then(None).otherwise(pl.col(*BARS, "Volume")).name.keep())
    found = repair_vendor(planted(bad, pl.col("Date") < D(2014, 6, 6), **of_split(7)), stamp="Date")
    assert found.rows.schema == bad.schema
    assert_put_right(found.rows.drop("Note"), bad.drop("Note"))
    for rows in (frame.clear(), frame.head(1), frame.head(2)):
        assert_frame_equal(repair_vendor(rows, stamp="Date").rows, rows)


def test_any_value_anywhere_passes_through(shared: Path):
    """Prices that are none, splits and dividends that cannot be: no exception, no bar lost."""
    clean, rng = apple(shared).head(600), np.random.default_rng(7)
    odd = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-300, 1e300, 100.0, 0.01]
    for _ in range(60):
        bad = clean.with_columns(pl.col("Volume").cast(pl.Float64), pl.lit(0.0).alias("Capital Gains"))
        for name in rng.choice(bad.columns[1:], 4):
            values = bad[name].to_numpy(writable=True)
            values[rng.integers(0, bad.height, 5)] = rng.choice(odd, 5)
            bad = bad.with_columns(pl.Series(name, values))
        found = repair_vendor(bad, stamp="Date")
        assert found.rows.schema == bad.schema
        assert_frame_equal(found.rows.select("Date"), bad.select("Date"))
