"""Momentum: how far and how one-sidedly a price has moved. Distance from an average lives in `trend.py`.

Oscillators made of highs, lows or volume have a file of their own: `oscillators.py`.
"""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features import oscillators
from quant_assets.features.crossing import crossing
from quant_assets.features.feature import CLOSES, FLAG, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import highest, moved, total

FAMILY = "momentum"
CLOSE = pl.col("adj_close")


def total_return(sessions: int) -> pl.Expr:
    """Simple total return over the last `sessions` bars, fraction."""
    return CLOSE / CLOSE.shift(sessions) - 1


def relative_strength_index(sessions: int) -> pl.Expr:
    """Wilder's RSI, 0..100; null where the close has not moved for `sessions` sessions (TA-Lib would say 0: as weak as can be)."""
    return pl.when(moved(CLOSE, sessions)).then(shared(f"rsi_{sessions}", talib.rsi(CLOSE, sessions)))


def rsi_flag(beyond: pl.Expr) -> pl.Expr:
    """1 where a comparison of the RSI holds, 0 where not, null where there is no RSI."""
    return beyond.cast(pl.Float64)


RSI_14 = relative_strength_index(14).fill_nan(None)
"""Without NaN, which would be greater than any limit."""


def macd_over_close(field: str) -> pl.Expr:
    """One output (`macd`, `macdsignal`, `macdhist`) of TA-Lib's MACD(12, 26, 9), divided by the close."""
    outputs = shared("macd", talib.macd(CLOSE, 12, 26, 9))
    return outputs.struct.field(field) / CLOSE


def rate_of_change(sessions: int) -> pl.Expr:
    """Total return over the last `sessions` bars, percent."""
    return 100 * total_return(sessions)


def true_strength_index(slow: int, fast: int) -> pl.Expr:
    """Blau's TSI, -100..100; null where the close has not moved for `slow` sessions.

    Both averages are TA-Lib's EMA, each seeded with the simple average of its first values: the changes of the first `slow` sessions,
    then the first `fast` values of that average.
    """
    change = CLOSE.diff()
    smooth, whole = (talib.ema(talib.ema(values, slow), fast) for values in (change, change.abs()))
    return pl.when(moved(CLOSE, slow)).then(100 * smooth / whole)


def momentum_skipping_a_month() -> pl.Expr:
    """Total return from 252 to 21 bars ago, fraction."""
    return CLOSE.shift(21) / CLOSE.shift(252) - 1


def volume_weighted_return(sessions: int) -> pl.Expr:
    """Mean of the last `sessions` daily total returns, weighted with the split-adjusted volume of their day; null without volume."""
    volume = pl.col("adj_volume")
    return total(total_return(1) * volume, sessions) / total(volume, sessions)


RSI_SOURCE = "Wilder (1978), New Concepts in Technical Trading Systems, ch. 6; TA-Lib RSI(14)"
MACD_SOURCE = "Appel (2005), Technical Analysis: Power Tools for Active Investors; TA-Lib MACD(12, 26, 9), averages seeded with the SMA"

RETURNS = (
    *(
        Feature(
            name=f"ret_{sessions}",
            family=FAMILY,
            expression=total_return(sessions),
            inputs=CLOSES,
            lookback=sessions,
            recursive=False,
            unit="fraction",
            low=-1.0,
            formula=f"close[t] / close[t-{sessions}] - 1",
            meaning=f"what a holder gained over the last {sessions} session{'s' if sessions > 1 else ''}, splits and dividends included",
            missing="never",
            source="simple total return, dividends reinvested at the ex-date close",
        )
        for sessions in (1, 5, 20)
    ),
    *(
        Feature(
            name=f"roc_{sessions}",
            family=FAMILY,
            expression=rate_of_change(sessions),
            inputs=CLOSES,
            lookback=sessions,
            recursive=False,
            unit="percent",
            low=-100.0,
            formula=f"100 * (close[t] / close[t-{sessions}] - 1)",
            meaning=f"rate of change: percent gained over the last {sessions} sessions, splits and dividends included",
            missing="never",
            source=f"TA-Lib ROC({sessions}), in percent as it is quoted",
        )
        for sessions in (10, 20)
    ),
    Feature(
        name="roc_10_acceleration",
        family=FAMILY,
        expression=rate_of_change(10) - rate_of_change(10).shift(5),
        inputs=CLOSES,
        lookback=15,
        recursive=False,
        unit="percentage points",
        formula="roc_10[t] - roc_10[t-5]",
        meaning="whether the rate of change is rising (+) or falling (-) against a week ago",
        missing="never",
        source="difference of TA-Lib ROC(10) over 5 sessions",
    ),
    Feature(
        name="momentum_12_1",
        family=FAMILY,
        expression=momentum_skipping_a_month(),
        inputs=CLOSES,
        lookback=252,
        recursive=False,
        unit="fraction",
        low=-1.0,
        formula="close[t-21] / close[t-252] - 1",
        meaning="return of the year without its last month, which tends to reverse: the momentum that persists",
        missing="never",
        source="Jegadeesh (1990); Jegadeesh and Titman (1993); a year taken as 252 sessions and a month as 21",
    ),
    Feature(
        name="volume_weighted_momentum_20",
        family=FAMILY,
        expression=volume_weighted_return(20),
        inputs=(*CLOSES, "prices.volume"),
        lookback=20,
        recursive=False,
        unit="fraction a session",
        low=-1.0,
        formula="sum(ret_1 * volume, 20) / sum(volume, 20), volume adjusted for splits",
        meaning="average daily return of the last 20 sessions, busy days weighing more",
        missing="no volume on one of the 20 bars, or zero on all",
        source="volume-weighted mean of simple total returns",
    ),
    Feature(
        name="high_252_distance",
        family=FAMILY,
        expression=CLOSE / highest(CLOSE, 252) - 1,
        inputs=CLOSES,
        lookback=251,
        recursive=False,
        unit="fraction",
        low=-1.0,
        high=0.0,
        formula="close / max(close, 252) - 1",
        meaning="how far the close is below its highest of a year, today's included: 0 on a new high",
        missing="never",
        source="George and Hwang (2004); the highest close and not the highest trade, of total-return closes, a year of 252 sessions",
    ),
)

STRENGTH = (
    Feature(
        name="rsi_14",
        family=FAMILY,
        expression=relative_strength_index(14),
        inputs=CLOSES,
        lookback=14,
        recursive=True,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="100 * up / (up + down), Wilder averages over 14 of the rises and of the falls of the close",
        meaning="share of recent movement that was upwards: near 100 only rises, near 0 only falls",
        missing="the close has not moved for 14 sessions",
        source=RSI_SOURCE,
    ),
    *(
        Feature(
            name=f"rsi_14_{side}",
            family=FAMILY,
            expression=rsi_flag(beyond),
            inputs=CLOSES,
            lookback=14,
            recursive=True,
            unit=FLAG,
            low=0.0,
            high=1.0,
            formula=f"1 if rsi_14 {limit}, else 0",
            meaning=meaning,
            missing="the close has not moved for 14 sessions",
            source=f"{RSI_SOURCE}; limit {limit}",
        )
        for side, beyond, limit, meaning in (
            ("oversold", RSI_14 < 35, "< 35", "whether the last sessions fell so one-sidedly that a rebound is looked for"),
            ("overbought", RSI_14 > 70, "> 70", "whether the last sessions rose so one-sidedly that a pause is looked for"),
        )
    ),
    Feature(
        name="tsi_25_13",
        family=FAMILY,
        expression=true_strength_index(25, 13),
        inputs=CLOSES,
        lookback=37,
        recursive=True,
        unit="-100..100",
        low=-100.0,
        high=100.0,
        formula="100 * EMA(EMA(change, 25), 13) / EMA(EMA(|change|, 25), 13), change = close[t] - close[t-1]",
        meaning="twice smoothed net movement over all movement: 100 only rises, -100 only falls",
        missing="the close has not moved for 25 sessions",
        source="Blau (1995), Momentum, Direction, and Divergence; each EMA seeded with the simple average of its first values",
    ),
    Feature(
        name="macd",
        family=FAMILY,
        expression=macd_over_close("macd"),
        formula="(EMA(close, 12) - EMA(close, 26)) / close",
        inputs=CLOSES,
        lookback=33,
        recursive=True,
        unit="fraction of close",
        meaning="12-session less 26-session average price, over the close: positive while the recent past is above the older past",
        missing="never",
        source=MACD_SOURCE,
    ),
    Feature(
        name="macd_hist",
        family=FAMILY,
        expression=macd_over_close("macdhist"),
        formula="(MACD - EMA(MACD, 9)) / close, MACD = EMA(close, 12) - EMA(close, 26)",
        inputs=CLOSES,
        lookback=33,
        recursive=True,
        unit="fraction of close",
        meaning="MACD less its own 9-session average, over the close: positive while the trend is gaining speed",
        missing="never",
        source=MACD_SOURCE,
    ),
    Feature(
        name="macd_signal",
        family=FAMILY,
        expression=macd_over_close("macdsignal"),
        formula="EMA(MACD, 9) / close, MACD = EMA(close, 12) - EMA(close, 26)",
        inputs=CLOSES,
        lookback=33,
        recursive=True,
        unit="fraction of close",
        meaning="9-session average of the MACD, over the close: the line that the MACD crosses",
        missing="never",
        source=MACD_SOURCE,
    ),
    Feature(
        name="macd_cross",
        family=FAMILY,
        expression=crossing(macd_over_close("macdhist")),
        formula="1 if MACD > signal and was not on the bar before, -1 if < and was not, else 0",
        inputs=CLOSES,
        lookback=34,
        recursive=True,
        unit="-1, 0 or 1",
        low=-1.0,
        high=1.0,
        meaning="the bar on which the MACD passes its signal line: 1 upwards, -1 downwards",
        missing="never",
        source=f"{MACD_SOURCE}; a crossing as in `crossing.py`",
    ),
)

FEATURES = (*RETURNS, *STRENGTH, *oscillators.FEATURES)
