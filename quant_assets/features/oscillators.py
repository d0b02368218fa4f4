"""Oscillators of whole bars: the close within its range, and flows of price and volume. Part of the family `momentum.py`.

All of them are null, and never 0 or 50, where a range or a flow is zero and the ratio means nothing.
"""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.averages import TYPICAL
from quant_assets.features.complete import over_complete
from quant_assets.features.feature import RANGES, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import highest, lowest, mean, moved, total

FAMILY = "momentum"
HIGH, LOW, CLOSE = pl.col("adj_high"), pl.col("adj_low"), pl.col("adj_close")


def place_in_range(sessions: int) -> pl.Expr:
    """Where the close lies between the lowest low and the highest high of `sessions` bars, 0..1.

    Null where low and high are one, where a bar has none, and where the close lies outside, as that of a wrong bar can.
    """
    top, bottom = highest(HIGH, sessions), lowest(LOW, sessions)
    return pl.when((top > bottom) & CLOSE.is_between(bottom, top)).then((CLOSE - bottom) / (top - bottom))


def stochastic(sessions: int, *smoothing: int) -> pl.Expr:
    """100 times the place in the range, averaged (simple) over as many bars as each number of `smoothing` says, one after the other."""
    value = 100 * place_in_range(sessions)
    for bars in smoothing:
        value = mean(value, bars)
    return value.clip(0.0, 100.0)  # a running mean may pass a bound by its last bit


def commodity_channel_index(sessions: int) -> pl.Expr:
    """Lambert's CCI of the typical price; null where that has not moved for `sessions` bars, or one of them has no high or low."""
    complete = shared("typical_told", TYPICAL.is_not_null())
    index = over_complete(lambda high, low, close: talib.cci(high, low, close, sessions), HIGH, LOW, CLOSE, complete=complete)
    return pl.when(moved(TYPICAL, sessions - 1)).then(index)


def money_flow_index(sessions: int) -> pl.Expr:
    """Share of the money flow (typical price x volume) of `sessions` bars that came on rises of the typical price, 0..100.

    Flow without a change of the typical price counts on neither side. Null where there is none on either; TA-Lib says 0 there, and
    wherever the flow of the window is below 1.
    """
    change, flow = TYPICAL.diff(), TYPICAL * pl.col("adj_volume")
    # By comparisons and not by `when` alone, so that a missing bar is null and no flow of zero.
    risen, fallen = (total(flow * (side > 0).cast(pl.Float64), sessions) for side in (change, -change))
    return (100 * risen / (risen + fallen)).clip(0.0, 100.0)


def ultimate_oscillator(short: int, medium: int, long: int) -> pl.Expr:
    """Williams' mean of three buying pressures over true ranges, weights 4, 2, 1; 0..100; null where the shortest has no range."""
    before = CLOSE.shift(1)
    # Null without high, low or close before; with a close outside high and low the pressure would leave its bounds.
    whole = CLOSE.is_between(LOW, HIGH) & before.is_not_null()
    true_low = pl.when(whole).then(pl.min_horizontal(LOW, before))
    true_range, pressure = pl.max_horizontal(HIGH, before) - true_low, CLOSE - true_low

    def ratio(bars: int) -> pl.Expr:
        return total(pressure, bars) / total(true_range, bars)

    return 100 * (4 * ratio(short) + 2 * ratio(medium) + ratio(long)) / 7


STOCHASTIC_SOURCE = "Lane (1984), Technical Analysis of Stocks & Commodities 2(3); slow version, simple averages: TA-Lib STOCH(14, 3, 3)"

FEATURES = (
    Feature(
        name="stochastic_k_14",
        family=FAMILY,
        expression=stochastic(14, 3),
        inputs=RANGES,
        lookback=15,
        recursive=False,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="SMA of 3 of 100 * (close - lowest low of 14) / (highest high of 14 - lowest low of 14)",
        meaning="where the close lies in the range of the last 14 sessions, averaged over 3: 100 at the top, 0 at the bottom",
        missing="a bar of the window has no high or low, 14 bars in a row have one single price, or a close lies outside its 14 bars",
        source=STOCHASTIC_SOURCE,
    ),
    Feature(
        name="stochastic_d_14",
        family=FAMILY,
        expression=stochastic(14, 3, 3),
        inputs=RANGES,
        lookback=17,
        recursive=False,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="SMA of 3 of stochastic_k_14",
        meaning="3-session average of the stochastic K, the line that it crosses",
        missing="a bar of the window has no high or low, 14 bars in a row have one single price, or a close lies outside its 14 bars",
        source=STOCHASTIC_SOURCE,
    ),
    Feature(
        name="williams_r_14",
        family=FAMILY,
        expression=100 * (place_in_range(14) - 1),
        inputs=RANGES,
        lookback=13,
        recursive=False,
        unit="-100..0",
        low=-100.0,
        high=0.0,
        formula="-100 * (highest high of 14 - close) / (highest high of 14 - lowest low of 14)",
        meaning="where the close lies in the range of the last 14 sessions: 0 at the top, -100 at the bottom",
        missing="a bar of the window has no high or low, all of them have one single price, or the close lies outside them",
        source="Williams (1973), How I Made One Million Dollars Last Year Trading Commodities; TA-Lib WILLR(14)",
    ),
    Feature(
        name="cci_20",
        family=FAMILY,
        expression=commodity_channel_index(20),
        inputs=RANGES,
        lookback=19,
        recursive=False,
        unit="ratio",
        formula="(typical - SMA(typical, 20)) / (0.015 * mean(|typical - SMA|, 20)), typical = (high + low + close) / 3",
        meaning="distance of the price from its average in units of its usual distance: beyond 100 either way it is unusual",
        missing="a bar of the window has no high or low, or the typical price has not moved for 20 sessions",
        source="Lambert (1980), Commodities 9(10); TA-Lib CCI(20)",
    ),
    Feature(
        name="mfi_14",
        family=FAMILY,
        expression=money_flow_index(14),
        inputs=(*RANGES, "prices.volume"),
        lookback=14,
        recursive=False,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="100 * flow on rises of 14 / flow on rises and falls of 14; flow = typical * volume, typical = (high + low + close) / 3",
        meaning="RSI with volume: share of the money traded that came on rising prices",
        missing="a bar of the window or the one before has no high, low or volume, or nothing traded at a moved price in 14 sessions",
        source="Quong and Soudack (1989), Technical Analysis of Stocks & Commodities 7(3); TA-Lib MFI(14)",
    ),
    Feature(
        name="ultimate_oscillator",
        family=FAMILY,
        expression=ultimate_oscillator(7, 14, 28),
        inputs=RANGES,
        lookback=28,
        recursive=False,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="100 * (4 * r(7) + 2 * r(14) + r(28)) / 7; r(n) = sum(close - min(low, close before), n) / sum(true range, n)",
        meaning="buying pressure over 7, 14 and 28 sessions in one number: high after closes near the highs",
        missing="a bar of the window has no high or low or a close outside them, or nothing has moved for 7 sessions",
        source="Williams (1985), Technical Analysis of Stocks & Commodities 3(4); TA-Lib ULTOSC(7, 14, 28)",
    ),
)
