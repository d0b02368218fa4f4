"""Tables that accumulate: what is fetched again adds nothing, what has changed is known from its fetch on, and nothing goes away."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_assets.point_in_time import as_of, with_changes
from quant_assets.schemas import TABLES, UTC

D = dt.date
EARNINGS = TABLES["earnings"]
ANNOUNCED = D(2026, 11, 19)
NEXT = D(2027, 2, 18)


def at(day: int, hour: int = 22) -> dt.datetime:
    return dt.datetime(2026, 11, day, hour, tzinfo=dt.UTC)


def row(announced: dt.date, *, fetched_at: dt.datetime, known_at: dt.datetime | None = None, **told: float) -> pl.DataFrame:
    values = {"ticker": "AAPL", "announced": announced, "source": "acme", "fetched_at": fetched_at, "known_at": known_at or fetched_at}
    return pl.DataFrame([{**dict.fromkeys(EARNINGS.schema), **values, **told}], schema=EARNINGS.schema)


NOTHING = pl.DataFrame(schema=EARNINGS.schema)


def versions(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    return EARNINGS.conform(rows).sort("announced", "known_at").select("announced", "eps_estimate", "eps_actual", "known_at").rows()


def test_the_same_again_adds_nothing():
    first = with_changes(NOTHING, row(NEXT, fetched_at=at(2), eps_estimate=2.5), EARNINGS)
    again = with_changes(first, row(NEXT, fetched_at=at(3), eps_estimate=2.5), EARNINGS)
    assert again.equals(first)


def test_a_changed_estimate_is_a_further_version_known_when_it_was_fetched():
    first = with_changes(NOTHING, row(NEXT, fetched_at=at(2), eps_estimate=2.5), EARNINGS)
    both = with_changes(first, row(NEXT, fetched_at=at(5), eps_estimate=2.6), EARNINGS)
    assert versions(both) == [(NEXT, 2.5, None, at(2)), (NEXT, 2.6, None, at(5))]
    back = with_changes(both, row(NEXT, fetched_at=at(9), eps_estimate=2.5), EARNINGS)
    assert versions(back)[-1] == (NEXT, 2.5, None, at(9))


def test_what_was_announced_is_known_from_then_and_a_later_correction_only_from_its_fetch():
    planned = with_changes(NOTHING, row(ANNOUNCED, fetched_at=at(2), eps_estimate=2.5), EARNINGS)
    told = with_changes(planned, row(ANNOUNCED, fetched_at=at(25), known_at=at(20, 5), eps_estimate=2.5, eps_actual=2.7), EARNINGS)
    corrected = with_changes(told, row(ANNOUNCED, fetched_at=at(28), known_at=at(20, 5), eps_estimate=2.5, eps_actual=2.65), EARNINGS)
    assert versions(corrected) == [
        (ANNOUNCED, 2.5, None, at(2)),
        (ANNOUNCED, 2.5, 2.7, at(20, 5)),
        (ANNOUNCED, 2.5, 2.65, at(28)),
    ]


def test_a_field_that_is_the_same_on_another_day_adds_nothing():
    info = TABLES["company_info"]
    told = {"ticker": "AAPL", "field": "sector", "text": "Technology", "source": "acme"}
    days = [
        pl.DataFrame(
            [{**dict.fromkeys(info.schema), **told, "observed": at(day).date(), "fetched_at": at(day), "known_at": at(day)}],
            schema=info.schema,
        )
        for day in (2, 3)
    ]
    assert with_changes(days[0], days[1], info).equals(days[0])


def test_at_each_instant_the_version_stands_that_was_known_by_then():
    rows = with_changes(NOTHING, row(NEXT, fetched_at=at(2), eps_estimate=2.5), EARNINGS)
    rows = with_changes(rows, row(NEXT, fetched_at=at(5), eps_estimate=2.6), EARNINGS)
    told = [as_of(rows, at(day, 21), table="earnings")["eps_estimate"].to_list() for day in (2, 3, 5, 6)]
    assert told == [[], [2.5], [2.5], [2.6]]


@pytest.mark.parametrize("fetched", [NOTHING, row(NEXT, fetched_at=at(9), eps_estimate=1.0)])
def test_what_a_vendor_no_longer_tells_stays(fetched: pl.DataFrame):
    stored = row(ANNOUNCED, fetched_at=at(2), eps_estimate=2.5)
    assert stored.join(with_changes(stored, fetched, EARNINGS), on=EARNINGS.key, how="anti").is_empty()


def test_the_tables_that_accumulate_have_the_moment_in_their_key():
    for table in TABLES.values():
        assert table.schema["known_at"] == UTC if table.accumulates else True
        assert not table.accumulates or ("known_at" in table.key and table.known_time == "known_at")
