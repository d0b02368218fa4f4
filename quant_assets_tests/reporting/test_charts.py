from __future__ import annotations

import datetime as dt
import json
import math

import polars as pl
import pytest

from quant_assets.reporting.charts import DAILY_POINTS, embedded, equity_chart, price_chart
from quant_assets.reporting.geometry import Axis, bar_around_zero, gauge, track
from quant_assets.settings import Signal
from quant_assets_tests.reporting.samples import sample


def prices_of(ticker: str) -> pl.DataFrame:
    return sample().prices.filter(pl.col("ticker") == ticker)


def test_candles_of_the_last_252_sessions() -> None:
    chart = price_chart(prices_of("AAPL"))
    assert chart is not None
    assert chart["candles"]
    assert {len(chart[name]) for name in ("session", "open", "high", "low", "close", "ema_200", "bollinger_upper")} == {252}
    assert chart["session"][-1] == "2013-03-01"
    assert chart["close"][-1] == 430.47


def test_a_name_without_traded_bars_is_a_line() -> None:
    chart = price_chart(prices_of("KO"))
    assert chart is not None
    assert not chart["candles"]
    assert "open" not in chart


def test_one_bar_without_its_low_makes_the_chart_a_line() -> None:
    holed = prices_of("AAPL").with_columns(low=pl.when(pl.col("session") != dt.date(2013, 1, 2)).then("low"))
    chart = price_chart(holed)
    assert chart is not None
    assert not chart["candles"]


def test_overlays_not_yet_defined_are_left_out_and_nan_is_null() -> None:
    short = prices_of("FB").with_columns(ema_9=pl.when(pl.col("session") == dt.date(2013, 3, 1)).then(float("nan")).otherwise("ema_9"))
    chart = price_chart(short)
    assert chart is not None
    assert "ema_200" not in chart
    assert chart["ema_9"][-1] is None
    assert chart["ema_9"][-2] is not None


def test_no_price_no_chart() -> None:
    assert price_chart(prices_of("AAPL").clear()) is None


def test_weekly_equity_is_each_weeks_last_close() -> None:
    account = sample().equity.filter((pl.col("account") == "ticker") & (pl.col("ticker") == "AAPL"))
    chart = equity_chart(account, ["buy_and_hold"], thin=True)
    assert chart is not None
    assert chart["weekly"]
    daily = dict(account.filter(pl.col("strategy") == "buy_and_hold").select("session", "equity").iter_rows())
    assert len(daily) > DAILY_POINTS
    last_of_week = {session.isocalendar()[:2]: session for session in sorted(daily)}
    assert chart["session"] == [str(session) for session in last_of_week.values()]
    assert chart["lines"]["buy_and_hold"] == pytest.approx([daily[session] for session in last_of_week.values()], rel=1e-5)


def test_portfolio_equity_keeps_every_session_and_only_the_named_rules() -> None:
    portfolio = sample().equity.filter(pl.col("account") == "portfolio")
    chart = equity_chart(portfolio, ["top_fifth"])
    assert chart is not None
    assert list(chart["lines"]) == ["top_fifth"]
    assert len(chart["session"]) == portfolio["session"].n_unique()
    assert equity_chart(portfolio, []) is None


def test_embedded_json_cannot_close_its_script_element() -> None:
    hostile = {"note": "</script><!--<script>&\u2028"}
    text = str(embedded(hostile))
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == hostile


def test_an_axis_reaches_every_value_and_stays_symmetrical() -> None:
    axis = Axis.around(0.5, [0.47, 0.72, None, math.nan], 0.1)
    assert (axis.low, axis.high) == pytest.approx((0.2, 0.8))
    assert Axis.around(0.5, [], 0.1) == Axis(0.4, 0.6)
    assert axis.at(0.5) == "50.00"
    assert axis.at(0.95) == "100.00"


def test_marks_stand_where_the_numbers_say() -> None:
    drawn = track(Axis(0.4, 0.6), mark=0.5, point=0.55, low=0.45, high=0.58)
    assert (drawn.mark, drawn.dot, drawn.left, drawn.width) == ("50.00", "75.00", "25.00", "65.00")
    assert track(Axis(0.4, 0.6), mark=0.5, point=None, low=None, high=None).width is None
    assert bar_around_zero(Axis(-0.1, 0.1), -0.05) == ("25.00", "25.00")
    assert bar_around_zero(Axis(-0.1, 0.1), 0.05) == ("50.00", "25.00")


def test_the_gauges_needle_points_at_the_score() -> None:
    drawn = gauge(0.75, 0.5, 0.7, 0.8, Signal())
    x, y = map(float, drawn.needle.split("L ")[1].split())
    assert math.degrees(math.atan2(108 - y, x - 110)) == pytest.approx(45, abs=0.05)
    assert drawn.base is not None
    assert float(drawn.base.split()[1]) == pytest.approx(110)
    assert [name for name, _ in drawn.bands] == ["STRONG_BEAR", "BEAR", "NEUTRAL", "BULL", "STRONG_BULL"]
