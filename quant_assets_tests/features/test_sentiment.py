"""Sentiment against loops over made-up rows, and what each table may tell by when."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quant_assets.calendars import Window, session_close, session_table
from quant_assets.features import sentiment
from quant_assets.features.compute import compute
from quant_assets.features.opinions import analysts, article_counts, insider_trades, surprises
from quant_assets.quality.lookahead import informative_cuts, leaks
from quant_assets.quality.withheld import Tables
from quant_assets.schemas import TABLES
from quant_assets.sources.vendor_rows import end_of_day
from quant_assets_tests.features.panels import bars, tables
from quant_assets_tests.features.reported import reported

D = dt.date
DAY = dt.timedelta(days=1)
NAMES = tuple(feature.name for feature in sentiment.FEATURES)
READ = ("prices", "earnings", "insider_transactions", "recommendations", "news_sentiment", "articles")
Row = dict[str, Any]


def grade(month: Row) -> float:
    counts = [month[name] for name in ("strong_sell", "sell", "hold", "buy", "strong_buy")]
    return sum(place * n for place, n in enumerate(counts, start=1)) / sum(counts)


def expected(known: dict[str, list[Row]], session: dt.date, close_at: dt.datetime) -> dict[str, float | None]:
    """From the rows of AAA known at the close, in order of the moment."""
    relative = [(row["eps_actual"] - row["eps_estimate"]) / abs(row["eps_estimate"]) for row in known["earnings"]]
    traded = [
        row["change"] * row["price"]
        for row in known["insider_transactions"]
        if row["code"] in ("P", "S") and not row["derivative"] and 0 <= (session - row["filed"]).days < 90
    ]
    months = {row["period"]: row for row in known["recommendations"]}
    month = max(months)
    quarter_before = D(month.year - (month.month < 4), (month.month - 4) % 12 + 1, 1)
    last = known["news_sentiment"][-1]
    week_before = [row for row in known["news_sentiment"] if row["known_at"] <= close_at - 7 * DAY][-1]
    n_articles = sum(row["published_at"] > close_at - 7 * DAY for row in known["articles"])
    readings = [(last["bullish"], 1), (last["bearish"], -1), (1 - last["bullish"] - last["bearish"], 0)]
    mean = sum(share * value for share, value in readings)
    return {
        "eps_beat_rate_8": sum(row["eps_actual"] > row["eps_estimate"] for row in known["earnings"][-8:]) / 8,
        "eps_surprise": relative[-1],
        "eps_surprise_standardised": relative[-1] / statistics.stdev(relative[-9:-1]),
        "insider_net_buying_90": sum(traded) / sum(map(abs, traded)) if traded else 0.0,
        "analyst_score": grade(months[month]),
        "analyst_score_change_3m": grade(months[month]) - grade(months[quarter_before]),
        "analyst_age_days": (session - month).days,
        "news_score": last["score"],
        "news_score_change_7d": last["score"] - week_before["score"],
        "news_dispersion": math.sqrt(sum(share * (value - mean) ** 2 for share, value in readings)),
        "news_age_days": (session - last["observed"]).days,
        "news_articles_7d": n_articles,
    }


def test_every_feature_against_a_loop():
    panel = tables() | {"earnings": reported()["earnings"]}
    out = compute(panel, names=NAMES)
    rows = {name: panel[name].filter(pl.col("ticker") == "AAA").sort("known_at").to_dicts() for name in READ[1:]}
    for place in range(0, out.height, 12):
        found = out.row(place, named=True)
        close_at = session_close(found["session"])
        known = {name: [row for row in told if row["known_at"] <= close_at] for name, told in rows.items()}
        wanted = expected(known, found["session"], close_at)
        assert set(wanted) == set(NAMES)
        assert {name: found[name] for name in NAMES} == pytest.approx(wanted, rel=1e-9, abs=1e-12), found["session"]


def frame(table: str, *rows: Row) -> pl.LazyFrame:
    schema = TABLES[table].schema
    common = {"ticker": "AAA", "source": "x", "insider": "Jane", "headline": "x"}
    full = [{**dict.fromkeys(schema), **{k: v for k, v in common.items() if k in schema}, **row} for row in rows]
    filled = [{**row, "fetched_at": row["fetched_at"] or row["known_at"]} for row in full]
    return TABLES[table].conform(pl.DataFrame(filled, schema=schema)).lazy()


def states(told: pl.LazyFrame, column: str) -> list[tuple[dt.date, Any]]:
    """Each day (of New York) at which something was told or left, and the value after it."""
    rows = told.sort("known_at").select("known_at", column).collect().iter_rows()
    return [((moment - dt.timedelta(seconds=1)).astimezone(ZoneInfo("America/New_York")).date(), value) for moment, value in rows]


def announced(day: dt.date, actual: float | None, estimate: float | None, told: dt.date | None = None, source: str = "x") -> Row:
    return {"announced": day, "eps_actual": actual, "eps_estimate": estimate, "source": source, "known_at": end_of_day(told or day)}


QUARTERS = [D(2010 + place // 4, place % 4 * 3 + 1, 25) for place in range(9)]


def test_a_beat_rate_needs_eight_announcements():
    made = [announced(day, 1.1 if place % 2 else 0.9, 1.0) for place, day in enumerate(QUARTERS)]
    assert states(surprises(frame("earnings", *made)), "beat_rate") == [
        *((day, None) for day in QUARTERS[:7]), (QUARTERS[7], 4 / 8), (QUARTERS[8], 4 / 8)
    ]  # fmt: skip
    standardised = states(surprises(frame("earnings", *made)), "standardised")
    assert [value for _, value in standardised] == [None] * 8 + [pytest.approx(-0.1 / statistics.stdev([-0.1, 0.1] * 4))]


def test_an_announcement_without_both_figures_is_passed_over():
    made = [announced(day, 1.0, 1.0) for day in QUARTERS[:7]]  # ties: no beat
    told = frame("earnings", *made, announced(QUARTERS[7], 2.0, None), announced(QUARTERS[8], None, 1.0))
    assert states(surprises(told), "beat_rate")[-1] == (QUARTERS[6], None)
    later = announced(QUARTERS[8] + DAY, 2.0, 1.0)
    told = frame("earnings", *made, announced(QUARTERS[7], 2.0, None), announced(QUARTERS[8], None, 1.0), later)
    assert states(surprises(told), "beat_rate")[-1] == (QUARTERS[8] + DAY, 1 / 8)


def test_a_correction_and_a_second_vendor_take_the_place_of_what_was_told():
    first, second = QUARTERS[:2]
    told = frame(
        "earnings",
        announced(first, 1.1, 1.0),
        announced(second, 0.5, 1.0),
        announced(second, 0.8, 1.0, told=second + 3 * DAY),
        announced(second + DAY, 0.9, 1.0, told=second + 9 * DAY, source="y"),
        announced(first, 7.0, 1.0, told=second + 20 * DAY),
    )
    found = [(day, round(value, 9)) for day, value in states(surprises(told), "surprise")]
    assert found == [(first, 0.1), (second, -0.5), (second + 3 * DAY, -0.2), (second + 9 * DAY, -0.1), (second + 20 * DAY, -0.1)]


def test_a_day_between_two_vendors_makes_no_eighth_announcement():
    made = [announced(day, 1.1, 1.0) for day in QUARTERS[:7]]
    again = announced(QUARTERS[6] + DAY, 1.2, 1.0, source="y")
    assert states(surprises(frame("earnings", *made, again)), "beat_rate")[-1] == (QUARTERS[6] + DAY, None)


@pytest.mark.parametrize(("actual", "estimate", "surprise"), [(1.0, 0.0, None), (-0.5, -1.0, 0.5), (-2.0, -1.0, -1.0)])
def test_a_surprise_is_relative_to_the_size_of_the_estimate(actual: float, estimate: float, surprise: float | None):
    assert states(surprises(frame("earnings", announced(QUARTERS[0], actual, estimate))), "surprise") == [(QUARTERS[0], surprise)]


def test_surprises_that_are_all_alike_have_no_deviation():
    told = frame("earnings", *(announced(day, 1.1, 1.0) for day in QUARTERS))
    assert states(surprises(told), "standardised")[-1] == (QUARTERS[8], None)


def trade(filed: dt.date, code: str | None, change: float, price: float | None = 10.0, *, number: str = "", **other: Any) -> Row:
    named = {"transaction": number or f"{filed}{code}{change}", "filed": filed, "code": code, "change": change, "price": price}
    return {**named, "derivative": False, "known_at": end_of_day(filed), **other}


def test_trades_leave_after_ninety_days():
    first, second = D(2010, 1, 5), D(2010, 3, 1)
    told = frame("insider_transactions", trade(first, "P", 300.0), trade(second, "S", -100.0))
    assert states(insider_trades(told), "net_buying") == [
        (first, None), (second, None), (first + 89 * DAY, -1.0), (second + 89 * DAY, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        trade(D(2010, 3, 1), "A", 999.0),
        trade(D(2010, 3, 1), None, 999.0),
        trade(D(2010, 3, 1), "P", 999.0, derivative=True),
        trade(D(2010, 3, 1), "P", 999.0, price=None),
        trade(D(2010, 3, 1), "P", 999.0, price=0.0),
        trade(D(2010, 3, 1), "P", -999.0),
        trade(D(2010, 3, 1), "P", 999.0, known_at=end_of_day(D(2010, 8, 1))),
    ],
)
def test_only_purchases_and_sales_of_shares_in_time_count(row: Row):
    old = trade(D(2009, 11, 1), "A", 1.0)
    counted = [trade(D(2010, 3, 2), "P", 300.0), trade(D(2010, 3, 3), "S", -100.0)]
    at_third = dict(states(insider_trades(frame("insider_transactions", old, row, *counted)), "net_buying"))
    assert at_third[D(2010, 3, 3)] == 0.5


def test_a_corrected_transaction_counts_once():
    old = trade(D(2009, 11, 1), "A", 1.0)
    rows = [trade(D(2010, 3, 1), "P", 300.0, number="n"), trade(D(2010, 3, 1), "S", -100.0)]
    corrected = trade(D(2010, 3, 1), "P", 100.0, number="n", known_at=end_of_day(D(2010, 3, 9)))
    found = dict(states(insider_trades(frame("insider_transactions", old, *rows, corrected)), "net_buying"))
    assert (found[D(2010, 3, 1)], found[D(2010, 3, 9)]) == (0.5, 0.0)


def counted(period: dt.date, told: dt.date, *grades: int | None) -> Row:
    return {
        "period": period,
        "known_at": end_of_day(told),
        **dict(zip(("strong_buy", "buy", "hold", "sell", "strong_sell"), grades, strict=True)),
    }


def test_the_latest_month_counts_as_it_was_known():
    told = frame(
        "recommendations",
        counted(D(2010, 11, 1), D(2010, 11, 3), 1, 0, 0, 0, 0),
        counted(D(2011, 2, 1), D(2011, 2, 3), 0, 0, 2, 0, 0),
        counted(D(2010, 11, 1), D(2011, 2, 9), 0, 1, 0, 0, 0),  # of an older month: the score stays, the change does not
        counted(D(2011, 3, 1), D(2011, 3, 3), 0, None, 0, 0, 0),  # nobody says anything
    )
    found = analysts(told)
    days = [D(2010, 11, 3), D(2011, 2, 3), D(2011, 2, 9), D(2011, 3, 3)]
    assert states(found, "score") == list(zip(days, [5.0, 3.0, 3.0, None], strict=True))
    assert states(found, "change") == list(zip(days, [None, -2.0, -1.0, None], strict=True))
    assert states(found, "month") == list(zip(days, [D(2010, 11, 1), D(2011, 2, 1), D(2011, 2, 1), D(2011, 3, 1)], strict=True))


def article(number: str, appeared: dt.date, told: dt.date | None = None) -> Row:
    return {"article": number, "published": appeared, "published_at": end_of_day(appeared), "known_at": end_of_day(told or appeared)}


def test_articles_count_for_seven_days_from_the_moment_they_appeared():
    first, second = D(2010, 5, 3), D(2010, 5, 6)
    told = frame(
        "articles",
        article("a", first),
        article("b", second),
        article("b", second, told=second + DAY),  # shown with another headline: still one
        article("c", second, told=second + 2 * DAY),
        article("d", second, told=second + 30 * DAY),  # told of too late
    )
    found = states(article_counts(told), "articles")
    week = 7 * DAY
    assert dict(found) == {
        first: None, second: None, second + 2 * DAY: None, first + week: 2.0, second + week: 0.0, second + 30 * DAY: 0.0
    }  # fmt: skip


def test_nothing_told_is_not_nothing_happened():
    out = compute({**tables(), "prices": bars("ZZZ", 30)}, names=NAMES)
    assert out.select(NAMES).null_count().row(0) == (30,) * len(NAMES)
    assert compute({"prices": bars("AAA", 3)}, names=NAMES).select(NAMES).null_count().row(0) == (3,) * len(NAMES)


def features(tables: Tables) -> pl.DataFrame:
    return compute(tables, names=NAMES)


def joined_on_the_event(tables: Tables) -> pl.DataFrame:
    """The planted leak: each row counts from the day that it is about."""
    early = {"earnings": "period_end", "insider_transactions": "traded", "recommendations": "period", "news_sentiment": "observed"}
    moved = {
        name: tables[name].with_columns(known_at=pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        for name, column in early.items()
    }
    return features({**tables, **moved})


def test_no_word_is_heard_before_it_is_said():
    panel = {name: tables(150)[name] for name in READ}
    closes = session_table(Window(D(2009, 12, 1), D(2013, 12, 31)))
    panel["prices"] = panel["prices"].join(closes, on="session").rename({"close_at": "known_at"})
    panel |= {name: panel[name].filter(pl.col("ticker") == "AAA") for name in READ[1:]}
    span = Window(panel["prices"]["session"].min(), panel["prices"]["session"].max())
    cuts = [cut for cut in informative_cuts(panel, span, n=2, seed=2) if span.start < cut < span.end]
    assert leaks(features, panel, cuts).is_empty()
    found = set(leaks(joined_on_the_event, panel, cuts)["column"])
    assert {"eps_surprise", "insider_net_buying_90", "analyst_score", "news_score"} <= found
