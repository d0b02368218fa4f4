"""Values carried forward: on the holes of real interest rates, against a loop, and without the future."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, sessions
from quant_assets.errors import BadArgument
from quant_assets.quality.fill import carried_forward
from quant_assets.quality.lookahead import leaks
from quant_assets.quality.withheld import Tables
from quant_assets.schemas import UTC
from quant_assets_tests.quality.real_files import treasury_curves

D = dt.date
WEEK = {"by": "series", "stamp": "session", "max_age_days": 7}


@pytest.fixture(scope="module")
def ten_years(shared: Path) -> pl.DataFrame:
    """DGS10 with FRED's blanks on holidays."""
    file = pl.read_csv(shared / "data/macro/fred_date_value/DGS10.csv", try_parse_dates=True)
    return file.select(series=pl.lit("DGS10"), session="date", value=pl.col("value").cast(pl.Float64))


@pytest.fixture(scope="module")
def curve(shared: Path) -> pl.DataFrame:
    return treasury_curves(shared)


def by_a_loop(rows: pl.DataFrame, max_age_days: int) -> list[tuple[float | None, bool, int | None]]:
    last: dict[str, tuple[D, float]] = {}
    told = []
    for series, day, value in rows.select("series", "session", "value").iter_rows():
        if value is not None:
            last[series] = day, value
        since, known = last.get(series, (None, None))
        age = (day - since).days if since else None
        fresh = age is not None and age <= max_age_days
        told.append((known if fresh else None, fresh and value is None, age))
    return told


@pytest.mark.parametrize("max_age_days", [0, 1, 7, 40])
def test_the_holes_of_the_curve_against_a_loop(curve: pl.DataFrame, max_age_days: int):
    carried = carried_forward(curve, "value", by="series", stamp="session", max_age_days=max_age_days)
    assert carried.select("value", "value_filled", "value_age_days").rows() == by_a_loop(curve, max_age_days)
    assert_frame_equal(carried.select("series", "session"), curve.select("series", "session"))


def test_years_without_a_tenor_stay_empty(curve: pl.DataFrame):
    """No 20-year bond until October 1993, no 30-year rate from 2002-02-19 to 2006-02-08: nothing is invented for either."""
    carried = carried_forward(curve, "value", **WEEK)
    thirty = carried.filter(pl.col("session").is_between(D(2002, 2, 19), D(2006, 2, 8)), series="30year")
    assert thirty.filter("value_filled")["value_age_days"].max() == 7
    assert thirty["value"].null_count() == thirty.height - thirty["value_filled"].sum() > 900
    assert thirty["value_age_days"].max() == (D(2006, 2, 8) - D(2002, 2, 15)).days
    twenty = carried.filter(pl.col("session") < D(1993, 10, 1), series="20year")
    assert twenty.select(pl.col("value").null_count(), pl.col("value_age_days").null_count()).row(0) == (twenty.height, twenty.height)


def test_a_holiday_has_the_rate_of_the_day_before(ten_years: pl.DataFrame):
    carried = carried_forward(ten_years, "value", **WEEK)
    assert carried.filter(pl.col("value").is_null())["session"].to_list() == [D(1980, 1, 1)]  # nothing before it
    assert carried["value_filled"].sum() == ten_years["value"].null_count() - 1 > 300
    assert carried.filter("value_filled")["value_age_days"].max() <= 5
    before, christmas = carried.filter(pl.col("session").is_in([D(2014, 12, 24), D(2014, 12, 25)])).rows()
    assert (before[2:], christmas[2:]) == ((before[2], False, 0), (before[2], True, 1))


def test_beside_sessions_that_the_series_does_not_have(ten_years: pl.DataFrame):
    """Columbus Day: the exchange is open, the bond market is not."""
    days = pl.DataFrame({"session": sessions(Window(D(2014, 10, 1), D(2014, 11, 1)))}).with_columns(series=pl.lit("DGS10"))
    beside = days.join(ten_years.drop_nulls(), on=["series", "session"], how="left", maintain_order="left")
    carried = carried_forward(beside, "value", **WEEK)
    assert carried.filter("value_filled").select("session", "value_age_days").rows() == [(D(2014, 10, 13), 3)]


def test_the_order_of_the_rows_means_nothing(curve: pl.DataFrame):
    shuffled = curve.sample(fraction=1, shuffle=True, seed=1)
    keys = ["series", "session"]
    assert_frame_equal(carried_forward(shuffled, "value", **WEEK).sort(keys), carried_forward(curve, "value", **WEEK).sort(keys))


def test_no_value_comes_from_the_future(curve: pl.DataFrame):
    rows = curve.filter(pl.col("session").is_between(D(2001, 6, 1), D(2002, 6, 1)))
    cuts = [D(2001, 7, 30), D(2001, 9, 10), D(2002, 2, 15), D(2002, 2, 19)]

    def carried(tables: Tables) -> pl.DataFrame:
        return carried_forward(tables["macro"], "value", **WEEK)

    def backward(tables: Tables) -> pl.DataFrame:
        return tables["macro"].with_columns(pl.col("value").backward_fill().over("series", order_by="session"))

    assert leaks(carried, {"macro": rows}, cuts, output="macro").is_empty()
    assert not leaks(backward, {"macro": rows}, cuts, output="macro").is_empty()


def test_instants_and_whole_numbers():
    at = [dt.datetime(2020, 1, day, 22, tzinfo=dt.UTC) for day in (1, 2, 4)]
    rows = pl.DataFrame({"series": ["A"] * 3, "known_at": at, "value": [5, None, None]}, schema_overrides={"known_at": UTC})
    carried = carried_forward(rows, "value", by="series", stamp="known_at", max_age_days=1)
    assert carried.select("value", "value_filled", "value_age_days").rows() == [(5, False, 0), (5, True, 1), (None, False, 3)]


def test_a_number_that_is_none_is_absent():
    rows = pl.DataFrame(
        {"series": ["A", "A", "B"], "session": [D(2020, 1, 1), D(2020, 1, 2), D(2020, 1, 3)], "value": [5.0, float("nan"), None]}
    )
    assert carried_forward(rows, "value", **WEEK)["value"].to_list() == [5.0, 5.0, None]


def test_what_cannot_be_carried():
    rows = pl.DataFrame({"series": ["A", "A"], "session": [D(2020, 1, 1)] * 2, "value": [5.0, None]})
    with pytest.raises(BadArgument, match="A has no single row of 2020-01-01"):
        carried_forward(rows, "value", **WEEK)
    with pytest.raises(BadArgument, match="max_age_days is -1"):
        carried_forward(rows, "value", by="series", stamp="session", max_age_days=-1)


def test_an_absent_column_is_named():
    with pytest.raises(BadArgument, match=r"the table has no column rate, day; it has series"):
        carried_forward(pl.DataFrame({"series": ["A"]}), "rate", by="series", stamp="day", max_age_days=3)
