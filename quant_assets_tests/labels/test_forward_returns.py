from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_offset
from quant_assets.errors import BadArgument
from quant_assets.labels.forward_returns import forward_magnitude_labels, forward_return_labels
from quant_assets.schemas import TABLES
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import CALENDAR, hand_made

HALTED = SESSIONS[100:108]
PRICES = pl.concat([bars("AAA"), bars("BBB").filter(~pl.col("session").is_in(HALTED)), bars("CCC").sample(fraction=0.8, seed=5)])
LAST = SESSIONS[259]


def labels(prices: pl.DataFrame = PRICES, **options: object) -> pl.DataFrame:
    return forward_return_labels(prices.lazy(), CALENDAR, **{"as_of": LAST} | options)


def naive_labels(prices: pl.DataFrame, horizon: int, as_of: dt.date) -> list[tuple[object, ...]]:
    """One loop a bar: hold from its close to the close of label_end, reinvest what is paid, know nothing after as_of."""
    expected = []
    for (ticker,), frame in prices.sort("ticker", "session").group_by("ticker", maintain_order=True):
        by_day = {row["session"]: row for row in frame.to_dicts() if row["session"] <= as_of}
        for start, bar in by_day.items():
            end = session_offset(start, horizon)
            value, before = 1.0, bar["close"]
            for day in sorted(d for d in by_day if start < d <= end):
                now = by_day[day]
                value *= (now["close"] + now["dividend"]) * now["split_factor"] / before
                before = now["close"]
            ret = value - 1 if end in by_day else None
            expected.append((ticker, start, None if ret is None else int(ret > 0), ret, start, end))
    return expected


@pytest.mark.parametrize(("horizon", "as_of"), [(3, LAST), (1, SESSIONS[150]), (10, SESSIONS[259])])
def test_against_a_loop(horizon: int, as_of: dt.date):
    expected = pl.DataFrame(naive_labels(PRICES, horizon, as_of), schema=TABLES["labels"].schema, orient="row")
    assert_frame_equal(labels(horizon=horizon, as_of=as_of), expected, rel_tol=1e-9, abs_tol=1e-12)
    assert expected["label"].null_count() > horizon


def test_a_magnitude_is_the_return_itself():
    magnitudes = forward_magnitude_labels(PRICES.lazy(), CALENDAR, horizon=5, as_of=LAST)
    directions = labels(horizon=5)
    assert_frame_equal(magnitudes.with_columns(label=pl.col("ret").gt(0).cast(pl.Int8)), directions, check_exact=True)
    assert magnitudes["label"].equals(directions["ret"], null_equal=True)


def test_the_frame_is_the_declared_table():
    assert_frame_equal(TABLES["labels"].conform(labels()), labels())


def test_label_end_follows_the_exchange_not_the_week():
    """The exchange stayed shut on 2012-10-29 and 30 (hurricane Sandy): three sessions after Friday 26 comes Friday 2 November."""
    friday, end = dt.date(2012, 10, 26), dt.date(2012, 11, 2)
    out = labels(hand_made({friday: 10.0, dt.date(2012, 10, 31): 9.0, dt.date(2012, 11, 1): 9.0, end: 11.0}), as_of=end)
    assert out.row(0) == ("AAA", friday, 1, pytest.approx(0.1), friday, end)
    assert out["label"].to_list() == [1, None, None, None]


def test_dividends_and_splits_count():
    days = SESSIONS[:4]
    closes = dict(zip(days, [10.0, 10.0, 10.0, 4.9], strict=True))
    plain = labels(hand_made(closes), as_of=days[3])
    assert plain["ret"][0] == pytest.approx(-0.51)
    whole = labels(hand_made(closes, split_factor={days[3]: 2.0}, dividend={days[3]: 0.25}), as_of=days[3])
    assert whole["ret"][0] == pytest.approx(2 * (4.9 + 0.25) / 10 - 1)
    assert (plain["label"][0], whole["label"][0]) == (0, 1)


def test_an_unchanged_price_is_exactly_zero_and_no_gain_whatever_came_before():
    days = SESSIONS[:12]
    paid = dict.fromkeys(days[1:8], 0.1)
    out = labels(hand_made(dict.fromkeys(days, 3.3), dividend=paid), as_of=days[-1])
    assert out["ret"][8] == 0.0
    assert out["label"][8] == 0


def test_a_halt_at_label_end_gives_null_and_no_neighbour():
    out = labels(bars("BBB").filter(~pl.col("session").is_in(HALTED)))
    lost = out.filter(pl.col("label_end").is_in(HALTED))
    assert lost["session"].to_list() == SESSIONS[97:100]
    assert lost["ret"].null_count() == lost["label"].null_count() == 3
    assert out.filter(pl.col("label_end").is_between(SESSIONS[0], LAST) & ~pl.col("label_end").is_in(HALTED))["ret"].null_count() == 0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(t=st.integers(0, 258), seed=st.integers(0, 2**16))
def test_nothing_after_as_of_is_read(t: int, seed: int):
    """The future is nonsense that would be refused if anybody looked at it (negative splits), or is not there."""
    as_of = SESSIONS[t]
    future = pl.col("session") > as_of
    nonsense = PRICES.with_columns(pl.when(future).then(-1.0).otherwise(pl.col("split_factor")).alias("split_factor"))
    nonsense = nonsense.sample(fraction=1.0, shuffle=True, seed=seed)
    known = labels(PRICES.filter(~future), as_of=as_of)
    assert_frame_equal(labels(nonsense, as_of=as_of), known, check_exact=True)
    assert known["session"].max() <= as_of
    assert known.filter(pl.col("label_end") > as_of)["label"].null_count() == known.filter(pl.col("label_end") > as_of).height


def test_a_label_is_constant_once_it_is_known():
    early, late = labels(as_of=SESSIONS[150]).drop_nulls("ret"), labels()
    assert_frame_equal(late.join(early.select("ticker", "session"), on=["ticker", "session"], how="semi"), early, check_exact=True)


def test_a_window_equals_its_part_of_the_whole_and_needs_no_earlier_bar():
    window = Window(SESSIONS[50], SESSIONS[80])
    inside = pl.col("session").is_between(window.start, window.end, closed="left")
    assert_frame_equal(labels(window=window), labels().filter(inside), check_exact=True)
    cut = PRICES.filter(pl.col("session") >= window.start)
    assert_frame_equal(labels(cut, window=window), labels().filter(inside), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("last_session", "horizon", "message"),
    [
        (
            SESSIONS[261],
            3,
            r"AAA 2011-01-12: not a session with 3 more after it among the 262 given \(2010-01-04..2011-01-14\); give every",
        ),
        (SESSIONS[-1], 0, "horizon 0 is below 1 session"),
    ],
)
def test_impossible_requests_are_refused(last_session: dt.date, horizon: int, message: str):
    calendar = CALENDAR.filter(pl.col("session") <= last_session)
    with pytest.raises(BadArgument, match=message):
        forward_return_labels(PRICES.lazy(), calendar, horizon=horizon, as_of=LAST)


def test_a_bar_on_a_holiday_is_refused():
    with pytest.raises(BadArgument, match="AAA 2010-07-05: not a session"):
        labels(hand_made({dt.date(2010, 7, 2): 1.0, dt.date(2010, 7, 5): 1.0}))
