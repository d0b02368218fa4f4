"""Stamped bars: a year of EURUSD by the minute, ticks, and clocks that go forward and back."""

from __future__ import annotations

import datetime as dt
import gzip
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.errors import BadArgument
from quant_assets.quality.stamped import FX_WEEKEND, PRICES, Closed, judge_stamped

NEW_YORK = "America/New_York"
MINUTE = dt.timedelta(minutes=1)
PAYROLLS = [(1, 5), (2, 2), (3, 9), (4, 6), (5, 4), (6, 1), (7, 6), (8, 3), (9, 7), (10, 5), (11, 2), (12, 7)]


@pytest.fixture(scope="module")
def content(shared: Path) -> bytes:
    with zipfile.ZipFile(shared / "data/fx/HISTDATA_COM_ASCII_EURUSD_M12018.zip") as archive:
        return archive.read(archive.namelist()[0])


@pytest.fixture(scope="module")
def minutes(content: bytes) -> pl.DataFrame:
    rows = pl.read_csv(content, has_header=False, separator=";", new_columns=["stamp", *PRICES, "volume"])
    return rows.with_columns(pl.col("stamp").str.to_datetime("%Y%m%d %H%M%S"))


def test_a_year_of_minutes(content: bytes, minutes: pl.DataFrame):
    """No row lost, and no stamp twice: the clock's second hour of 2018-11-04 lies in the weekend, when nothing trades."""
    judged = judge_stamped(minutes, zone=NEW_YORK, cadence=MINUTE, closed=FX_WEEKEND)
    assert judged.accepted.height + judged.quarantined.height == minutes.height == len(content.splitlines()) == 372_607
    assert judged.quarantined.is_empty()
    assert (judged.gaps.height, judged.gaps["n"].sum()) == (798, 1_793)
    christmas = judged.gaps.sort("n").tail(1)
    assert christmas.rows() == [(dt.datetime(2018, 12, 25, 7, 58, tzinfo=dt.UTC), dt.datetime(2018, 12, 25, 22, 1, tzinfo=dt.UTC), 842)]
    assert judged.gaps["n"].sort()[-2] == 9


def test_the_clock_is_new_yorks(minutes: pl.DataFrame):
    """Each weekend of the year begins and ends at 17:00 on the file's clock, also between the changes of Europe's and America's. Read as
    standard time all year, 34 Fridays would trade an hour too long. Of the days of the US payrolls, published at 8:30 in New York, the
    largest minute is 8:30 in nine of twelve months.
    """
    stamp = pl.col("stamp")
    weekends = minutes.select(last=stamp.shift(1), first=stamp).filter(pl.col("first") - pl.col("last") > dt.timedelta(days=1))
    assert weekends.height == 52
    assert weekends.select(pl.col("last").dt.time().unique(), pl.col("first").dt.time().unique()).rows() == [(dt.time(16, 59), dt.time(17))]
    days = minutes.filter(stamp.dt.date().is_in([dt.date(2018, *day) for day in PAYROLLS]))
    largest = days.sort(pl.col("high") - pl.col("low")).group_by(day=stamp.dt.date()).last()
    assert largest.filter(stamp.dt.time() == dt.time(8, 30)).height == 9
    wrong = judge_stamped(minutes, zone="Etc/GMT+5", cadence=MINUTE, closed=FX_WEEKEND)
    assert wrong.accepted.height + wrong.quarantined.height == minutes.height
    assert set(wrong.quarantined["check"]) == {"closed_hours"}
    assert set(wrong.quarantined["stamp"].dt.weekday()) == {5}
    assert wrong.quarantined["stamp"].dt.date().n_unique() == 34


def test_ticks(shared: Path):
    text = gzip.decompress((shared / "data/fx/histdata_tick/DAT_ASCII_EURUSD_T_20200101_sample.csv.gz").read_bytes())
    read = pl.read_csv(text, has_header=False, new_columns=["stamp", "bid", "ask", "volume"])
    ticks = read.with_columns(pl.col("stamp").str.to_datetime("%Y%m%d %H%M%S%3f"))
    judged = judge_stamped(ticks, zone=NEW_YORK, closed=FX_WEEKEND, prices=("bid", "ask"))
    assert judged.accepted.height == len(text.splitlines()) == 9_500
    assert judged.quarantined.is_empty()
    assert judged.gaps.is_empty()


def at(wall: str) -> dt.datetime:
    return dt.datetime.fromisoformat(wall)


def bars(first: dt.datetime, n: int, *, by: dt.timedelta = MINUTE) -> pl.DataFrame:
    stamps = [first + place * by for place in range(n)]
    price = [1.2 + (7 * place % 11) / 1000 for place in range(n)]
    return pl.DataFrame(
        {"stamp": stamps, "open": price, "high": [p + 0.002 for p in price], "low": [p - 0.002 for p in price], "close": price}
    )


def on_the_wall(rows: pl.DataFrame) -> pl.DataFrame:
    """Stamps as a clock in New York shows them, by the standard library."""
    shown = [stamp.astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None) for stamp in rows["stamp"]]
    return rows.with_columns(pl.Series("stamp", shown))


AUTUMN = bars(dt.datetime(2018, 11, 4, 4, tzinfo=dt.UTC), 240)
SPRING = bars(dt.datetime(2018, 3, 11, 5, tzinfo=dt.UTC), 240)


@pytest.mark.parametrize("night", [AUTUMN, SPRING])
def test_a_night_in_which_the_clock_changes(night: pl.DataFrame):
    judged = judge_stamped(on_the_wall(night), zone=NEW_YORK, cadence=MINUTE)
    assert judged.accepted["at"].to_list() == night["stamp"].to_list()
    assert judged.gaps.is_empty()
    assert_frame_equal(judge_stamped(night, cadence=MINUTE).accepted.select("at"), judged.accepted.select("at"))


def test_a_copy_inside_the_repeated_hour_is_none_of_its_passes():
    wall = on_the_wall(AUTUMN)
    copied = pl.concat([wall[:71], wall[70:131], wall[130:]])  # 01:10 of either pass, twice
    judged = judge_stamped(copied, zone=NEW_YORK, cadence=MINUTE)
    assert judged.accepted["at"].to_list() == AUTUMN["stamp"].to_list()
    assert judged.quarantined.select("row", "check", "reason").rows() == [
        (71, "duplicate", "2018-11-04 01:10:00: row 70 again; quarantined, the first one stays"),
        (132, "duplicate", "2018-11-04 01:10:00: row 131 again; quarantined, the first one stays"),
    ]


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_bars_of_any_length_up_to_the_hour(minutes: int):
    by = dt.timedelta(minutes=minutes)
    night = bars(AUTUMN["stamp"][0], 300 // minutes, by=by)
    judged = judge_stamped(on_the_wall(night), zone=NEW_YORK, cadence=by)
    assert judged.accepted["at"].to_list() == night["stamp"].to_list()
    twice = judge_stamped(on_the_wall(night[[0, 1, 1, *range(2, night.height)]]), zone=NEW_YORK, cadence=by)
    assert twice.accepted["at"].to_list() == night["stamp"].to_list()
    assert twice.quarantined.select("row", "check").rows() == [(2, "duplicate")]


def test_the_repeated_hour_told_once_is_nobodys():
    once = on_the_wall(pl.concat([AUTUMN[:120], AUTUMN[180:]]))
    judged = judge_stamped(once, zone=NEW_YORK, cadence=MINUTE)
    assert (judged.accepted.height, judged.quarantined.height) == (120, 60)
    assert set(judged.quarantined["check"]) == {"repeated_hour"}
    assert judged.gaps["n"].to_list() == [120]
    told = "2018-11-04 01:00:00: clocks of America/New_York showed that hour twice and the rows show it once; quarantined, "
    assert judged.quarantined["reason"][0] == told + "ask the source for UTC"


DAY = bars(at("2018-06-06 09:00"), 30)


def changed(row: int, **values: float | dt.datetime | None) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return DAY.with_columns(
        pl.when(here).then(pl.lit(value, dtype=DAY.schema[name])).otherwise(name).alias(name) for name, value in values.items()
    )


@pytest.mark.parametrize(
    ("rows", "bad", "check", "reason"),
    [
        (changed(4, stamp=None), [4], "stamp", "row 4 has no stamp; quarantined, correct it at the source"),
        (changed(4, stamp=at("2018-03-11 02:30")), [4], "skipped_hour", "02:30:00: clocks of America/New_York skipped that hour"),
        (changed(4, stamp=at("2018-06-02 12:00")), [4], "closed_hours", "America/New_York is shut from Friday 17:00 to Sunday 17:00"),
        (pl.concat([DAY[:5], DAY[4:]]), [5], "duplicate", "row 4 again"),
        (changed(4, stamp=at("2018-06-06 09:03")), [3, 4], "unique_key", "2 rows of that instant differ (limit 1)"),
        (changed(4, stamp=at("2018-06-06 08:00")), [4], "stamp_order", "row 4, between 2018-06-06 13:03:00 UTC and 2018-06-06 13"),
        (changed(4, stamp=at("2021-06-09 00:00")), [4], "stamp_order", "row 4, between 2018-06-06 13:03:00 UTC and 2018-06-06 13"),
        (changed(4, close=0.0), [4], "positive_price", "close is 0.0, a price is above 0"),
        (changed(4, low=float("nan")), [4], "positive_price", "low is NaN, a price is above 0"),
        (changed(4, open=None), [4], "positive_price", "open is missing, a price is above 0"),
        (changed(4, high=1.0), [4], "ohlc_order", "high 1.0 is below 1.206 of its own bar"),
        (changed(4, low=1.3), [4], "ohlc_order", "low 1.3 is above 1.206 of its own bar"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_others_get_in(rows: pl.DataFrame, bad: list[int], check: str, reason: str):
    judged = judge_stamped(rows, zone=NEW_YORK, cadence=MINUTE, closed=FX_WEEKEND)
    assert judged.quarantined["row"].to_list() == bad
    assert set(judged.quarantined["check"]) == {check}
    assert reason in judged.quarantined["reason"][0]
    assert judged.accepted.height + judged.quarantined.height == rows.height
    assert judged.accepted["at"].is_sorted()


places = st.integers(0, 239)
blows = st.one_of(
    st.tuples(st.just("move"), places, st.integers(-10_000, 10_000)),
    st.tuples(st.just("repeat"), places, places),
    st.tuples(st.just("lose"), places, places),
    st.tuples(st.sampled_from(PRICES), places, st.sampled_from([None, 0.0, -1.0, 5.0, float("nan")])),
    st.tuples(st.just("stamp"), places, st.none()),
)


@settings(max_examples=100, deadline=None)
@given(night=st.sampled_from([AUTUMN, SPRING]), told=st.lists(blows, max_size=8))
def test_no_row_is_lost(night: pl.DataFrame, told: list[tuple[str, int, float | None]]):
    rows = on_the_wall(night)
    for kind, place, by in told:
        row, other = rows.slice(place, 1), int(by) if kind in ("move", "repeat", "lose") and by is not None else 0
        if kind == "move":
            row = row.with_columns(pl.col("stamp") + dt.timedelta(minutes=other))
        elif kind != "repeat":
            row = row.clear() if kind == "lose" else row.with_columns(pl.lit(by).cast(row.schema[kind]).alias(kind))
        keeps = rows if kind == "repeat" else pl.concat([rows[:place], rows[place + 1 :]])
        at_place = other if kind == "repeat" else place
        rows = pl.concat([keeps[:at_place], row, keeps[at_place:]])
    judged = judge_stamped(rows, zone=NEW_YORK, cadence=MINUTE)
    assert judged.accepted.height >= 120 - 2 * len(told)  # at most one of the night's hours is lost with its second pass
    numbered = rows.with_row_index("row")
    kept = numbered.join(judged.quarantined, on="row", how="anti")
    assert_frame_equal(kept.drop("row"), judged.accepted.drop("at"))
    assert judged.quarantined["reason"].null_count() == judged.accepted["at"].null_count() == 0
    assert judged.accepted["at"].is_sorted()
    assert not judged.accepted["at"].is_duplicated().any()


def test_gaps_count_open_minutes_only():
    friday, sunday = bars(at("2018-03-09 16:50"), 8), bars(at("2018-03-11 17:03"), 5)
    judged = judge_stamped(pl.concat([friday, sunday]), zone=NEW_YORK, cadence=MINUTE, closed=FX_WEEKEND)
    assert judged.gaps["n"].to_list() == [5]  # 16:58, 16:59, 17:00 to 17:02


def test_nothing_arrives():
    judged = judge_stamped(DAY.clear(), zone=NEW_YORK, cadence=MINUTE, closed=FX_WEEKEND)
    assert (judged.accepted.height, judged.quarantined.height, judged.gaps.height) == (0, 0, 0)


def test_a_clock_that_nobody_names_or_two_do():
    with pytest.raises(BadArgument, match="zone is given as None"):
        judge_stamped(DAY)
    with pytest.raises(BadArgument, match="zone is given as America/New_York"):
        judge_stamped(AUTUMN, zone=NEW_YORK)
    with pytest.raises(BadArgument, match="from Sunday 17:00 to Friday 17:00"):
        judge_stamped(AUTUMN, closed=Closed(NEW_YORK, (7, dt.time(17)), (5, dt.time(17))))
