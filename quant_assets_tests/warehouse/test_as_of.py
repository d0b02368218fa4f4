"""What the as-of views show at each close, against loops over every row of made-up tables, and against cases worked out by hand.

The made-up rows have restatements, periods filed late, versions of one moment, projections, moved and withdrawn announcements, and vendors
that differ. `LOOPED` names hold them at random; `BY_HAND` is a series, and a company, whose few rows stand in this file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from quant_assets.calendars import TIMEZONE, Window, session_table
from quant_assets.point_in_time import as_of, known
from quant_assets.schemas import TABLES
from quant_assets.warehouse import open_warehouse
from quant_assets.workspace import Workspace
from quant_assets_tests.conftest import CHECKOUT
from quant_assets_tests.small import FETCHED_AT, workspace
from quant_assets_tests.warehouse.homes import build

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
D = dt.date
Row = dict[str, Any]
LOOPED, BY_HAND = ("ABC", "XYZ"), "HAND"
YEARS = ("2011", "2012", "2013")
STORED = Window(D(2000, 1, 1), D(2030, 1, 1))
SEED = 7
VARIABLES = yaml.safe_load((CHECKOUT / "dbt_features" / "dbt_project.yml").read_text())["vars"]
VENDORS = [*VARIABLES["earnings_sources"], "acme"]
ONE_ANNOUNCEMENT = dt.timedelta(days=VARIABLES["one_announcement_days"])
FIGURE = ["ticker", "taxonomy", "concept", "unit", "months"]


def at(day: dt.date, hour: int = 10) -> dt.datetime:
    """An hour of a day in New York, as an instant."""
    return dt.datetime.combine(day, dt.time(hour), ZoneInfo(TIMEZONE)).astimezone(dt.UTC)


def rows_of(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    schema = TABLES[table].schema
    common = {**dict.fromkeys(schema), "source": "made up", "fetched_at": FETCHED_AT}
    return pl.DataFrame([{**common, **row} for row in rows], schema=schema)


def macro(series: str, period: dt.date, value: float, known_at: dt.datetime) -> Row:
    return {"series": series, "session": period, "published": known_at.date(), "value": value, "known_at": known_at}


def filed(ticker: str, concept: str, start: dt.date | None, end: dt.date, value: float, day: dt.date, accession: str, **more: Any) -> Row:
    names = {"ticker": ticker, "taxonomy": "us-gaap", "concept": concept, "unit": "USD", "accession": accession, "form": "10-Q"}
    times = {"period_start": start, "period_end": end, "filed": day, "known_at": at(day + dt.timedelta(days=1), 0)}
    return {**names, **times, "value": value, **more}


def told(ticker: str, announced: dt.date, source: str, known_at: dt.datetime, **figures: float) -> Row:
    return {"ticker": ticker, "announced": announced, "source": source, "known_at": known_at, **figures}


def bar(ticker: str, session: dt.date, close_at: dt.datetime, *, split: float = 1.0, dividend: float = 0.0) -> Row:
    made_up = {"close": 100.0, "price_basis": "raw", "split_factor": split, "dividend": dividend, "inferred": False}
    return {"ticker": ticker, "session": session, "known_at": close_at, **made_up}


def some_macro(rng: np.random.Generator) -> Iterator[Row]:
    """Months with up to five versions over a year, so that older months are revised after newer ones; every seventh is a projection."""
    for series in LOOPED:
        for month in range(30):
            period = D(2011 + month // 12, month % 12 + 1, 1)
            first = period - dt.timedelta(days=90) if month % 7 == 3 else period + dt.timedelta(days=int(rng.integers(10, 80)))
            for late in {0, *rng.integers(1, 400, int(rng.integers(0, 5))).tolist()}:
                yield macro(series, period, float(rng.normal()), at(first + dt.timedelta(days=late), int(rng.choice([10, 16, 18]))))


def some_filings(rng: np.random.Generator) -> Iterator[Row]:
    """Three concepts, one of them not asked for; filings repeat, restate and come late, two of them on one day."""
    number = 0
    for ticker in LOOPED:
        for quarter in range(9):
            for _ in range(int(rng.integers(1, 4))):
                end = D(2011 + quarter // 4, 3 * (quarter % 4) + 1, 28) + dt.timedelta(days=int(rng.integers(0, 2)))
                day = end + dt.timedelta(days=int(rng.choice([20, 20, 35, 200, -5])))
                number += 1
                for concept in ("NetIncomeLoss", "Assets", "AccruedLiabilitiesCurrent"):
                    lengths = (None,) if concept == "Assets" else (90, 97, 91 * (quarter % 4 + 1))
                    for length in dict.fromkeys(lengths):
                        start = end - dt.timedelta(days=length) if length else None
                        yield filed(ticker, concept, start, end, float(rng.normal()), day, f"{rng.integers(10)}-{number:03}")


def some_announcements(rng: np.random.Generator) -> Iterator[Row]:
    """Four vendors a day apart or not; days planned, moved and estimated anew; figures corrected, withdrawn, or of revenue alone."""
    for ticker in LOOPED:
        for quarter in range(9):
            real = D(2011, 2, 1) + dt.timedelta(days=91 * quarter + int(rng.integers(0, 9)))
            for vendor in VENDORS:
                day = real + dt.timedelta(days=int(rng.choice([0, 0, 1])))
                for planned in {day, day + dt.timedelta(days=int(rng.choice([0, -20, 12, 60])))}:
                    for before in set(rng.integers(2, 140, 3).tolist()):
                        yield told(ticker, planned, vendor, at(planned - dt.timedelta(days=before)), eps_estimate=float(rng.normal()))
                figures = {"eps_estimate": float(rng.choice([0.0, 1.0, -2.0])), "revenue_actual": 1e9}
                if rng.random() < 0.8:
                    figures["eps_actual"] = float(rng.normal())
                hour = int(rng.choice([9, 23]))
                yield told(ticker, day, vendor, at(day, hour), **figures)
                if rng.random() < 0.3:
                    yield told(ticker, day, vendor, at(day + dt.timedelta(days=9)), **{**figures, "eps_actual": 7.0})
                if rng.random() < 0.2:
                    yield told(ticker, day, vendor, at(day + dt.timedelta(days=15)))


BY_HAND_MACRO = [
    macro(BY_HAND, D(2012, 1, 1), 1.0, at(D(2012, 2, 10))),
    macro(BY_HAND, D(2012, 2, 1), 2.0, at(D(2012, 3, 9))),
    macro(BY_HAND, D(2012, 1, 1), 1.1, at(D(2012, 3, 12))),  # an older month revised
    macro(BY_HAND, D(2012, 2, 1), 2.1, at(D(2012, 3, 13), 17)),  # the newest revised, after the close
    macro(BY_HAND, D(2012, 7, 2), 9.0, at(D(2012, 3, 9))),  # a projection
]
Q1, Q2 = (D(2012, 1, 1), D(2012, 3, 31)), (D(2012, 4, 1), D(2012, 6, 30))
BY_HAND_FILINGS = [
    filed(BY_HAND, "Revenues", *Q1, 10.0, D(2012, 5, 1), "a-1"),
    filed(BY_HAND, "Revenues", *Q2, 20.0, D(2012, 8, 1), "a-2"),
    filed(BY_HAND, "Revenues", Q1[0], Q2[1], 30.0, D(2012, 8, 1), "a-2"),
    filed(BY_HAND, "Revenues", *Q1, 11.0, D(2012, 8, 2), "a-3"),  # an older quarter restated
    filed(BY_HAND, "Revenues", *Q2, 21.0, D(2012, 8, 6), "a-4"),
    filed(BY_HAND, "Revenues", *Q2, 22.0, D(2012, 8, 6), "a-5", form="10-Q/A"),  # two of one day
]
BY_HAND_EARNINGS = [
    told(BY_HAND, D(2012, 2, 1), "yahoo", at(D(2012, 1, 4)), eps_estimate=1.0),
    told(BY_HAND, D(2012, 2, 9), "yahoo", at(D(2012, 1, 11)), eps_estimate=1.0),  # moved
    told(BY_HAND, D(2012, 5, 2), "yahoo", at(D(2012, 1, 18)), eps_estimate=1.2),  # of another quarter
    told(BY_HAND, D(2012, 2, 9), "yahoo", at(D(2012, 2, 10), 0), eps_estimate=-1.0, eps_actual=-0.9),
    told(BY_HAND, D(2012, 2, 15), "finnhub", at(D(2012, 2, 7)), eps_estimate=1.0),  # of the one that was made on the 9th
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = workspace(tmp_path_factory.mktemp("as_of"), history_start=D(2011, 1, 1))
    rng = np.random.default_rng(SEED)
    days = session_table(work.history)
    kept = {ticker: days.filter(pl.Series(rng.random(days.height) > 0.1)) for ticker in LOOPED} | {BY_HAND: days}
    actions = {"split": [1.0, 1.0, 2.0, 0.1], "dividend": [0.0, 0.0, 0.2, 0.35]}
    bars = [
        bar(
            ticker, *day, **({name: float(rng.choice(of)) for name, of in actions.items()} if place % 20 == 9 and ticker != BY_HAND else {})
        )
        for ticker, its in kept.items()
        for place, day in enumerate(its.rows())
    ]
    tables = {
        "prices": bars,
        "macro": [*some_macro(rng), *BY_HAND_MACRO],
        "fundamentals": [*some_filings(rng), *BY_HAND_FILINGS],
        "earnings": [*some_announcements(rng), *BY_HAND_EARNINGS],
    }
    for table, rows in tables.items():
        work.lake.replace(
            table, rows_of(table, rows).unique(TABLES[table].key, keep="first", maintain_order=True), keys=None, window=STORED
        )
    result = build(work, YEARS)
    assert result.success
    assert not [check.check_name for check in result.get_asset_check_evaluations() if not check.passed and "asof" in check.check_name]
    return work


@pytest.fixture
def warehouse(built: Workspace) -> duckdb.DuckDBPyConnection:
    return open_warehouse(built.settings)


def stored(work: Workspace, table: str) -> list[Row]:
    return work.lake.scan(table).collect().to_dicts()


def closes(work: Workspace) -> dict[dt.date, dt.datetime]:
    return dict(session_table(work.history).rows())


def agree(found: pl.DataFrame, expected: Sequence[Row], key: Sequence[str]) -> None:
    as_found = pl.DataFrame(expected, schema=found.schema, orient="row")
    assert_frame_equal(found.sort(key), as_found.sort(key), check_exact=True)


def test_macro_is_the_newest_month_known_at_each_close(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    rows, expected = stored(built, "macro"), []
    for session, close_at in closes(built).items():
        for series in (*LOOPED, BY_HAND):
            seen = [row for row in rows if row["series"] == series and row["known_at"] <= close_at and row["session"] <= session]
            if seen:
                last = max(seen, key=lambda row: (row["session"], row["known_at"]))
                told = {"period": last["session"], "value": last["value"], "known_at": last["known_at"]}
                expected.append({"series": series, "session": session, **told, "age_days": (session - last["session"]).days})
    agree(warehouse.sql("FROM macro_asof").pl(), expected, ["series", "session"])


def test_macro_is_the_last_row_of_the_library(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    """`point_in_time.as_of` gives all months as they stood; the last of them that has come is what is shown."""
    rows = built.lake.scan("macro").collect()
    found = warehouse.sql("FROM macro_asof").pl()
    for session, close_at in list(closes(built).items())[::40]:
        standing = as_of(rows, close_at).filter(pl.col("session") <= session).sort("session").group_by("series").last()
        shown = found.filter(session=session).select("series", session="period", value="value")
        assert_frame_equal(shown, standing.select("series", "session", "value"), check_row_order=False)


def test_macro_by_hand(warehouse: duckdb.DuckDBPyConnection):
    asked = f"SELECT session, period, value, age_days FROM macro_asof WHERE series = '{BY_HAND}'"
    days = {session: row for session, *row in warehouse.sql(asked).fetchall()}
    assert min(days) == D(2012, 2, 10)
    assert days[D(2012, 3, 8)] == [D(2012, 1, 1), 1.0, 67]
    assert days[D(2012, 3, 9)] == [D(2012, 2, 1), 2.0, 37]
    assert days[D(2012, 3, 12)] == [D(2012, 2, 1), 2.0, 40]  # the older month was revised
    assert days[D(2012, 3, 13)][1] == 2.0
    assert days[D(2012, 3, 14)][1] == 2.1
    assert [days[day][1] for day in (D(2012, 6, 29), D(2012, 7, 2))] == [2.1, 9.0]


def months(row: Row) -> int:
    if row["period_start"] is None:
        return 0
    return max(round(((row["period_end"] - row["period_start"]).days + 1) / 30.4375), 1)


def test_fundamentals_are_the_newest_period_known_at_each_close(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    shown = ("period_start", "period_end", "value", "form", "filed", "known_at")
    rows = [{**row, "months": months(row)} for row in stored(built, "fundamentals") if row["concept"] in VARIABLES["concepts"]]
    expected, at_close = [], closes(built)
    for ticker, session in built.lake.scan("prices").select("ticker", "session").collect().rows():
        latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for row in rows:
            if row["ticker"] == ticker and row["known_at"] <= at_close[session] and row["period_end"] <= session:
                figure = tuple(row[name] for name in FIGURE)
                place = (row["period_end"], row["known_at"], row["accession"], row["period_start"] or D.min)
                latest[figure] = max(latest.get(figure, ()), (place, tuple(row[name] for name in shown)))
        expected += [
            {**dict(zip(FIGURE, figure, strict=True)), "session": session, **dict(zip(shown, values, strict=True))}
            for figure, (_, values) in latest.items()
        ]
    found = warehouse.sql("FROM fundamentals_asof").pl()
    assert {3, 12, 0} <= set(found["months"])
    agree(found, expected, [*FIGURE, "session"])


def test_fundamentals_are_versions_of_the_library(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    """Every row shown is one that `point_in_time.known` holds at that close."""
    rows = built.lake.scan("fundamentals").collect()
    found = warehouse.sql("FROM fundamentals_asof").pl()
    for session, close_at in list(closes(built).items())[::40]:
        shown = found.filter(session=session)
        columns = [name for name in shown.columns if name not in ("session", "months")]
        assert shown.join(known(rows, close_at), on=columns, how="anti", nulls_equal=True).is_empty()


def test_fundamentals_by_hand(warehouse: duckdb.DuckDBPyConnection):
    asked = f"SELECT session, months, period_end, value, form FROM fundamentals_asof WHERE ticker = '{BY_HAND}' ORDER BY ALL"
    days: dict[dt.date, list[tuple[Any, ...]]] = {}
    for session, *row in warehouse.sql(asked).fetchall():
        days.setdefault(session, []).append(tuple(row))
    assert min(days) == D(2012, 5, 2)  # filed the day before, at an hour nobody knows
    assert days[D(2012, 8, 1)] == [(3, Q1[1], 10.0, "10-Q")]
    for session in (D(2012, 8, 2), D(2012, 8, 3), D(2012, 8, 6)):
        assert days[session] == [(3, Q2[1], 20.0, "10-Q"), (6, Q2[1], 30.0, "10-Q")]
    assert days[D(2012, 8, 7)] == [(3, Q2[1], 22.0, "10-Q/A"), (6, Q2[1], 30.0, "10-Q")]


def is_made(row: Row) -> bool:
    return row["eps_actual"] is not None or row["revenue_actual"] is not None


def announcements(rows: Sequence[Row], session: dt.date, close_at: dt.datetime) -> Row:
    """The columns about earnings at one close, from the rows of the name in the order of known_at."""
    standing = list({(row["announced"], row["source"]): row for row in rows if row["known_at"] <= close_at}.values())
    made = [row for row in standing if is_made(row)]
    last = max(made, key=lambda row: (row["announced"], row["eps_actual"] is not None, -VENDORS.index(row["source"])), default=None)
    coming = [row for row in standing if not is_made(row) and row["announced"] >= session]
    shown: Row = {}
    if last:
        coming = [row for row in coming if row["announced"] > last["announced"] + ONE_ANNOUNCEMENT]
        expected, actual = last["eps_estimate"], last["eps_actual"]
        shown |= {"last_announced": last["announced"], "days_since_announced": (session - last["announced"]).days}
        shown |= {"eps_estimate": expected, "eps_actual": actual, "eps_source": last["source"], "last_known_at": last["known_at"]}
        shown["eps_surprise"] = (actual - expected) / abs(expected) if expected and actual is not None else None
    if coming:
        soonest = min(row["announced"] for row in coming)
        days = [row for row in coming if row["announced"] <= soonest + ONE_ANNOUNCEMENT]
        newest = max(row["known_at"] for row in days)
        day = min(row["announced"] for row in days if row["known_at"] == newest)
        shown |= {"next_announced": day, "days_to_announced": (day - session).days, "next_known_at": newest}
    return shown


def test_events_are_those_known_at_each_close(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    earnings = sorted(stored(built, "earnings"), key=lambda row: row["known_at"])
    found = warehouse.sql("FROM events_asof").pl()
    expected, at_close = [], closes(built)
    for ticker in (*LOOPED, BY_HAND):
        own = [row for row in earnings if row["ticker"] == ticker]
        actions: Row = {}
        for row in built.lake.scan("prices", keys=[ticker]).sort("session").collect().to_dicts():
            session = row["session"]
            if row["dividend"] > 0:
                actions |= {"last_ex_dividend": session, "dividend": row["dividend"]}
            if row["split_factor"] != 1:
                actions |= {"last_split": session, "split_factor": row["split_factor"]}
            since = {"days_since_ex_dividend": (session - actions["last_ex_dividend"]).days} if "dividend" in actions else {}
            of_earnings = announcements(own, session, at_close[session])
            expected.append({**dict.fromkeys(found.columns), "ticker": ticker, "session": session, **of_earnings, **actions, **since})
    assert {"next_announced", "eps_surprise", "last_split"} <= {
        name for name in found.columns if 0 < found[name].null_count() < found.height
    }
    agree(found, expected, ["ticker", "session"])


def test_events_by_hand(warehouse: duckdb.DuckDBPyConnection):
    names = "session, last_announced, days_since_announced, eps_surprise, next_announced, days_to_announced"
    days = {session: row for session, *row in warehouse.sql(f"SELECT {names} FROM events_asof WHERE ticker = '{BY_HAND}'").fetchall()}
    assert days[D(2012, 1, 3)] == [None, None, None, None, None]
    assert days[D(2012, 1, 4)] == [None, None, None, D(2012, 2, 1), 28]
    assert days[D(2012, 1, 11)][3:] == [D(2012, 2, 9), 29]  # moved
    assert days[D(2012, 1, 18)][3:] == [D(2012, 2, 9), 22]  # known later, but of the next quarter
    assert days[D(2012, 2, 7)][3:] == [D(2012, 2, 15), 8]  # another vendor's later word
    assert days[D(2012, 2, 9)][:3] == [None, None, None]  # after the close
    assert days[D(2012, 2, 10)] == [D(2012, 2, 9), 1, pytest.approx(0.1), D(2012, 5, 2), 82]
    assert days[D(2012, 5, 2)][3:] == [D(2012, 5, 2), 0]
    assert days[D(2012, 5, 3)][3:] == [None, None]


def test_what_becomes_known_later_changes_no_earlier_row(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    """Views show the lake as it is: with every row from a day on taken away, the closes before it are as they were."""
    day = D(2012, 9, 4)
    views = ("macro_asof", "fundamentals_asof", "events_asof")
    asked = [f"FROM {view} WHERE session < DATE '{day}' ORDER BY ALL" for view in views]
    before = [warehouse.sql(query).pl() for query in asked]
    warehouse.close()
    for table in ("macro", "fundamentals", "earnings"):
        whole = built.lake.scan(table).collect()
        kept = whole.filter(pl.col("known_at") < at(day, 0))
        assert kept.height < whole.height
        built.lake.replace(table, kept, keys=None, window=STORED)
    with open_warehouse(built.settings) as now:
        for query, rows in zip(asked, before, strict=True):
            assert rows.height
            assert_frame_equal(now.sql(query).pl(), rows, check_exact=True)
