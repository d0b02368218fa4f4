"""Direction from highs and lows: Wilder's ADX and parabolic SAR, Aroon. Part of the family `trend.py`."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import polars_talib as talib

from quant_assets.features.complete import over_complete
from quant_assets.features.feature import CLOSES, FLAG, RANGES, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import every, moved, place_of_highest, place_of_lowest

FAMILY = "trend"
HIGH, LOW, CLOSE = pl.col("adj_high"), pl.col("adj_low"), pl.col("adj_close")
HOLE = "the bar has no high or low"
NOT_WHOLE = f"{HOLE}, or a close outside them"


def wilder_directional(kernel: Callable[..., pl.Expr], sessions: int) -> pl.Expr:
    """Wilder's +DI, -DI or ADX (TA-Lib's `kernel`), 0..100; bars that are not whole are passed over.

    Counted from the first bar that moves, and null where nothing has moved for `sessions` sessions: TA-Lib gives 0 for a ratio of two
    zeros, and seeds the ADX with it.
    """
    # Nothing has moved where every close of the window is the one before it, and no high or low is beyond it.
    stands = (CLOSE.shift(1) == CLOSE) & ~((HIGH > CLOSE).fill_null(False) | (LOW < CLOSE).fill_null(False))
    some_moved = ~every(stands, sessions)
    counts = (CLOSE.is_between(LOW, HIGH) & (HIGH.cum_max() > LOW.cum_min())).fill_null(False)
    complete = shared("bar_since_move", counts)
    value = over_complete(lambda high, low, close: kernel(high, low, close, sessions), HIGH, LOW, CLOSE, complete=complete)
    return pl.when(some_moved).then(value)


def average_directional_index(sessions: int) -> pl.Expr:
    """Wilder's ADX, 0..100; null also where it is exactly 0, as no bar since the first has passed a high or undercut a low."""
    return wilder_directional(talib.adx, sessions).replace(0.0, None)


def aroon(side: str, sessions: int) -> pl.Expr:
    """Aroon `up` or `down`, 0..100: 100 * (sessions - bars since the extreme of `sessions` + 1 bars) / sessions.

    Of two equal extremes the later counts. Null where the high (low) is one and the same on all of them, or missing on one.
    """
    extreme, place_of = (HIGH, place_of_highest) if side == "up" else (LOW, place_of_lowest)
    place = place_of(extreme, sessions + 1, latest=True)
    return pl.when(moved(extreme, sessions)).then(100 * (place - 1) / sessions)


def parabolic_sar(acceleration: float, maximum: float) -> pl.Expr:
    """Wilder's stop-and-reverse level in adjusted prices; bars without high or low are passed over."""
    level = over_complete(lambda high, low: talib.sar(high, low, acceleration, maximum), HIGH, LOW)
    return shared(f"parabolic_sar_{acceleration}_{maximum}", level)


def above_parabolic_sar(acceleration: float, maximum: float) -> pl.Expr:
    """1 while the level is below the bar (long), 0 while above (short); null where it is all there is of the bar.

    Against the middle of the bar and not the close: on the bar of a reversal the level may be the very high or low, and so the close.
    """
    level, middle = parabolic_sar(acceleration, maximum).fill_nan(None), (HIGH + LOW) / 2
    return pl.when((HIGH > LOW) | (level != HIGH)).then((middle > level).cast(pl.Float64))


ADX_SOURCE = "Wilder (1978), New Concepts in Technical Trading Systems, ch. 4; TA-Lib, which starts its sums with the first 13 bars"
AROON_SOURCE = "Chande (1995), Technical Analysis of Stocks & Commodities 13(9); TA-Lib AROON(25), of equal extremes the later"
SAR_SOURCE = "Wilder (1978), New Concepts in Technical Trading Systems, ch. 2; TA-Lib SAR(0.02, 0.2), first side by the first two bars"

FEATURES = (
    Feature(
        name="adx_14",
        family=FAMILY,
        expression=average_directional_index(14),
        inputs=RANGES,
        lookback=27,
        recursive=True,
        unit="0..100",
        low=0.0,
        high=100.0,
        formula="Wilder average over 14 of 100 * |+DI - -DI| / (+DI + -DI)",
        meaning="strength of the trend whichever its direction: above 25 one is said to trend, below 20 to drift",
        missing=f"{NOT_WHOLE}, nothing has moved for 14 sessions, or no high was passed and no low undercut since the first bar",
        source=ADX_SOURCE,
    ),
    *(
        Feature(
            name=f"{side}_di_14",
            family=FAMILY,
            expression=wilder_directional(kernel, 14),
            inputs=RANGES,
            lookback=14,
            recursive=True,
            unit="0..100",
            low=0.0,
            high=100.0,
            formula=f"100 * Wilder sum over 14 of {moves} where that is the larger move, / that of the true range",
            meaning=f"share of the distance travelled that pushed the range {way}",
            missing=f"{NOT_WHOLE}, or nothing has moved for 14 sessions",
            source=ADX_SOURCE,
        )
        for side, kernel, moves, way in (
            ("plus", talib.plus_di, "max(high - high before, 0)", "upwards"),
            ("minus", talib.minus_di, "max(low before - low, 0)", "downwards"),
        )
    ),
    *(
        Feature(
            name=f"aroon_{side}_25",
            family=FAMILY,
            expression=aroon(side, 25),
            inputs=(f"prices.{extreme}", *CLOSES),
            lookback=25,
            recursive=False,
            unit="0..100 in steps of 4",
            low=0.0,
            high=100.0,
            formula=f"100 * (25 - sessions since the {kind} of 26) / 25",
            meaning=f"how fresh the {kind} of the last 25 sessions is: 100 today, 0 at their very start",
            missing=f"a bar of the window has no {extreme}, or all of them have the same",
            source=AROON_SOURCE,
        )
        for side, extreme, kind in (("up", "high", "highest high"), ("down", "low", "lowest low"))
    ),
    Feature(
        name="aroon_oscillator_25",
        family=FAMILY,
        expression=aroon("up", 25) - aroon("down", 25),
        inputs=RANGES,
        lookback=25,
        recursive=False,
        unit="-100..100 in steps of 4",
        low=-100.0,
        high=100.0,
        formula="Aroon up (25) - Aroon down (25)",
        meaning="which extreme is fresher: positive while the last new high is younger than the last new low",
        missing="a bar of the window has no high or low, or all highs or all lows are the same",
        source=AROON_SOURCE,
    ),
    Feature(
        name="parabolic_sar_distance",
        family=FAMILY,
        expression=(CLOSE - parabolic_sar(0.02, 0.2)) / CLOSE,
        inputs=RANGES,
        lookback=1,
        recursive=True,
        unit="fraction of close",
        formula="(close - SAR(0.02, 0.2)) / close",
        meaning="room between the close and the trailing stop: above 0 a rising trend, below 0 a falling one",
        missing=HOLE,
        source=SAR_SOURCE,
    ),
    Feature(
        name="above_parabolic_sar",
        family=FAMILY,
        expression=above_parabolic_sar(0.02, 0.2),
        inputs=RANGES,
        lookback=1,
        recursive=True,
        unit=FLAG,
        low=0.0,
        high=1.0,
        formula="1 if SAR(0.02, 0.2) < (high + low) / 2, else 0",
        meaning="side of the trailing stop: 1 the trend counts as rising, 0 as falling",
        missing=f"{HOLE}, or high, low and the stop are one",
        source=SAR_SOURCE,
    ),
)
