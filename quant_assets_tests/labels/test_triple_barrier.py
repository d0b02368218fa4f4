from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import session_offset
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.labels.triple_barrier import OUTCOMES, triple_barrier_labels
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.tapes import CALENDAR, hand_made

LAST = SESSIONS[110]
HALTED = SESSIONS[60:63]
HOLES = SESSIONS[30], SESSIONS[45]
PRICES = pl.concat([bars("AAA", 120), bars("BBB", 120).filter(~pl.col("session").is_in(HALTED))]).with_columns(
    pl.when((pl.col("ticker") == "AAA") & pl.col("session").is_in(HOLES)).then(None).otherwise(pl.col("high")).alias("high")
)
EVENTS = PRICES.select(
    "ticker",
    "session",
    volatility=pl.when(pl.col("session").is_in(SESSIONS[:3])).then(None).otherwise(0.02 + 0.01 * (pl.int_range(pl.len()) % 3)),
    side=pl.when(pl.int_range(pl.len()) % 2 == 0).then(1).otherwise(-1),
)
DAY = SESSIONS[:6]


def labels(events: pl.DataFrame, prices: pl.DataFrame = PRICES, **options: object) -> pl.DataFrame:
    return triple_barrier_labels(events, prices.lazy(), CALENDAR, **{"horizon": 5, "profit": 1.5, "stop": 1.0, "as_of": LAST} | options)


def one_event(prices: pl.DataFrame, *, volatility: float | None = 0.1, side: int | None = None, **options: object) -> dict[str, object]:
    event = pl.DataFrame({"ticker": "AAA", "session": DAY[0], "volatility": volatility}, schema_overrides={"volatility": pl.Float64})
    event = event if side is None else event.with_columns(side=pl.lit(side))
    return labels(event, prices, **{"profit": 1.0, "horizon": 3, "as_of": DAY[-1]} | options).row(0, named=True)


def tape(*closes: float, **columns: dict[dt.date, float | None]) -> pl.DataFrame:
    return hand_made(dict(zip(DAY, closes, strict=False)), **columns)


def walk(events: pl.DataFrame, *, horizon: int, profit: float | None, stop: float | None, touch: str, as_of: dt.date):
    """One event, one bar, one price at a time: (label, ret, label_end, outcome)."""
    adjusted = forward_adjusted(PRICES.filter(pl.col("session") <= as_of).lazy()).collect()
    by_bar = {(row["ticker"], row["session"]): row for row in adjusted.to_dicts()}
    for event in events.filter(pl.col("session") <= as_of).sort("ticker", "session").to_dicts():
        if event["volatility"] is None:
            yield None, None, None, "no volatility"
            continue
        start = by_bar[event["ticker"], event["session"]]["adj_close"]
        ends = [session_offset(event["session"], step) for step in range(1, horizon + 1)]
        bars_ahead = [by_bar[event["ticker"], day] for day in ends if (event["ticker"], day) in by_bar]
        outcome, ret, end = "open" if ends[-1] > as_of else "missing bar", None, None
        upper, lower = (math.inf if times is None else times * event["volatility"] for times in (profit, stop))
        for bar in bars_ahead:
            names = ["adj_close"] * 4 if touch == "close" else ["adj_open", "adj_low", "adj_high", "adj_close"]
            if any(bar[name] is None for name in names):
                outcome = "incomplete bar"
                break
            opened, low, high, closed = (event.get("side", 1) * (bar[name] / start - 1) for name in names)
            for price, at_stop, at_profit in ((opened, opened, opened), (min(low, high), -lower, upper), (max(low, high), -lower, upper)):
                if price < -lower:
                    outcome, ret = "stop", at_stop
                    break
                if price > upper:
                    outcome, ret = "profit", at_profit
                    break
            if ret is None and bar["session"] == ends[-1]:
                outcome, ret = "vertical", closed
            if ret is not None:
                end = bar["session"]
                break
        label = {"profit": 1, "stop": -1, "vertical": 0}.get(outcome) if "side" not in event else None if ret is None else int(ret > 0)
        yield label, ret, end, outcome


@pytest.mark.parametrize("touch", ["intraday", "close"])
@pytest.mark.parametrize("sided", [True, False])
@pytest.mark.parametrize(("profit", "stop"), [(1.5, 1.0), (None, 0.8), (0.5, None)])
def test_against_a_walk_from_bar_to_bar(touch: str, sided: bool, profit: float | None, stop: float | None):
    events = EVENTS if sided else EVENTS.drop("side")
    out = labels(events.sample(fraction=1.0, shuffle=True, seed=1), touch=touch, profit=profit, stop=stop)
    expected = list(walk(events, horizon=5, profit=profit, stop=stop, touch=touch, as_of=LAST))
    assert out.select("label", "label_end", "outcome").rows() == [(label, end, outcome) for label, _, end, outcome in expected]
    assert out["ret"].to_list() == [None if ret is None else pytest.approx(ret, rel=1e-9, abs=1e-12) for _, ret, _, _ in expected]
    assert {"open", "vertical", "no volatility"} < set(out["outcome"])


def test_of_made_up_events_every_outcome_occurs():
    assert set(labels(EVENTS.with_columns(pl.col("volatility") * 2))["outcome"]) == set(OUTCOMES)


def test_the_published_case(shared: Path):
    """Barriers touched by closes; the label at the vertical barrier is 0, its other convention the sign of the return."""
    cases = json.loads((shared / "reference/03_labels_sampling_fracdiff.json").read_text())["cases"]
    case = next(one for one in cases if one["id"] == "triple_barrier_pt2_sl1")
    given_, expected = case["inputs"], case["expected"]
    prices = hand_made(dict(zip(SESSIONS, given_["prices"], strict=False)))
    events = pl.DataFrame({"ticker": "AAA", "session": [SESSIONS[place] for place in given_["t0"]], "volatility": given_["trgt"]})
    barriers = {"horizon": given_["vertical_bars"], "profit": given_["pt"], "stop": given_["sl"], "touch": "close"}
    out = labels(events, prices, **barriers, as_of=SESSIONS[19])
    assert out["label_end"].to_list() == [SESSIONS[one["t_touch"]] for one in expected]
    assert out["label"].to_list() == [one["label_vertical0"] for one in expected]
    assert out["ret"].sign().to_list() == [one["label_sign"] for one in expected]
    assert out["ret"].to_list() == pytest.approx([one["ret"] for one in expected], abs=1e-12)
    long = labels(events.with_columns(side=pl.lit(1)), prices, **barriers, as_of=SESSIONS[19])
    assert long["label"].to_list() == [int(one["label_sign"] > 0) for one in expected]


def test_of_two_barriers_in_one_bar_the_stop_came_first():
    wide = tape(100.0, 100.0, 100.0, 100.0, high={DAY[2]: 120.0}, low={DAY[2]: 80.0})
    assert one_event(wide) == {
        "ticker": "AAA", "session": DAY[0], "label": -1, "ret": -0.1, "label_start": DAY[0], "label_end": DAY[2], "outcome": "stop",
    }  # fmt: skip
    assert one_event(wide, side=-1)["ret"] == -0.1
    assert one_event(wide, touch="close")["outcome"] == "vertical"


@pytest.mark.parametrize(("side", "opened", "ret", "label"), [(None, 70.0, -0.3, -1), (None, 125.0, 0.25, 1), (-1, 125.0, -0.25, 0)])
def test_an_open_beyond_a_barrier_is_what_the_touch_got(side: int | None, opened: float, ret: float, label: int):
    """Whatever the rest of the bar did."""
    found = one_event(tape(100.0, 100.0, open={DAY[1]: opened}, high={DAY[1]: 130.0}, low={DAY[1]: 60.0}), side=side)
    assert (found["ret"], found["label"], found["label_end"]) == (pytest.approx(ret), label, DAY[1])


def test_a_barrier_is_crossed_not_met():
    met = tape(100.0, 100.0, 100.0, 100.0, low={DAY[1]: 50.0}, high={DAY[2]: 150.0})
    assert one_event(met, volatility=0.5)["outcome"] == "vertical"
    assert one_event(met, volatility=0.4999)["label_end"] == DAY[1]


def test_a_split_and_a_dividend_are_no_loss():
    paid = tape(100.0, 50.0, 45.0, 45.0, split_factor={DAY[1]: 2.0}, dividend={DAY[2]: 5.0})
    found = one_event(paid)
    assert (found["outcome"], found["ret"]) == ("vertical", pytest.approx(0.0, abs=1e-12))


def test_what_is_not_known_is_null_and_says_why():
    flat = tape(*[100.0] * 6)
    unknown = {"label": None, "ret": None, "label_end": None}
    for found, outcome in (
        (one_event(flat, as_of=DAY[2]), "open"),
        (one_event(flat.filter(pl.col("session") != DAY[3])), "missing bar"),
        (one_event(flat.filter(pl.col("session") < DAY[3]), as_of=DAY[3]), "missing bar"),
        (one_event(flat.filter(pl.col("session") < DAY[3]), as_of=DAY[2]), "open"),
        (one_event(tape(*[100.0] * 6, low={DAY[1]: None})), "incomplete bar"),
        *((one_event(flat, volatility=one), "no volatility") for one in (None, 0.0, -0.1, float("nan"), float("inf"))),
    ):
        assert {name: found[name] for name in unknown} | {"outcome": found["outcome"]} == unknown | {"outcome": outcome}


def test_a_barrier_touched_before_as_of_is_known_however_far_the_vertical_one():
    fallen = tape(100.0, 80.0, 100.0)
    assert one_event(fallen, horizon=100, as_of=DAY[1])["label_end"] == DAY[1]
    assert one_event(fallen, horizon=100, as_of=DAY[0])["outcome"] == "open"


@settings(max_examples=12, derandomize=True)
@given(t=st.integers(3, 118), horizon=st.integers(1, 12))
def test_nothing_after_as_of_is_read_and_what_is_known_stays(t: int, horizon: int):
    as_of = SESSIONS[t]
    future = pl.col("session") > as_of
    nonsense = PRICES.with_columns(pl.when(future).then(-1.0).otherwise(pl.col(name)).alias(name) for name in ("split_factor", "high"))
    early, late = labels(EVENTS, nonsense, horizon=horizon, as_of=as_of), labels(EVENTS, horizon=horizon, as_of=SESSIONS[119])
    settled = early.filter(pl.col("outcome") != "open")
    assert_frame_equal(late.join(settled, on=["ticker", "session"], how="semi"), settled, check_exact=True)
    known = early.drop_nulls("label")
    assert ((known["label_end"] > known["label_start"]) & (known["label_end"] <= as_of)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon 0 is below 1 session"),
        ({"profit": 0.0}, "profit 0 is not above 0 times the volatility"),
        ({"stop": -1.0}, "stop -1 is not above 0 times the volatility"),
        ({"touch": "closes"}, "touch 'closes' is none of intraday, close"),
        ({"side": 0}, "AAA 2010-01-04: side 0 is neither 1"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str):
    with pytest.raises(BadArgument, match=message):
        one_event(tape(*[100.0] * 6), **options)


def test_impossible_events_are_refused():
    event = EVENTS.filter(ticker="BBB").head(1)
    with pytest.raises(BadArgument, match="BBB 2010-01-04: more than one event"):
        labels(pl.concat([event, event]))
    with pytest.raises(BadArgument, match="BBB 2010-03-31: an event without a bar"):
        labels(event.with_columns(session=pl.lit(HALTED[0])))
    with pytest.raises(BadArgument, match="no column volatility"):
        labels(event.drop("volatility"))


def test_impossible_bars_are_refused():
    with pytest.raises(QuantAssetsError, match="AAA 2010-01-05: the high is below the low"):
        one_event(tape(100.0, 100.0, high={DAY[1]: 99.0}))
    closes_only = tape(100.0, 80.0).with_columns(high=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(BadArgument, match=r'AAA: none of its 2 bars has open, high and low .* pass touch="close"'):
        one_event(closes_only)
    assert one_event(closes_only, touch="close")["ret"] == pytest.approx(-0.2)
