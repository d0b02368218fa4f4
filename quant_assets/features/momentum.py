"""Momentum: how far and how one-sidedly a price has moved. Distance from an average lives in `trend.py`."""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.feature import SPLITS_AND_DIVIDENDS, Feature

FAMILY = "momentum"
CLOSE = pl.col("adj_close")
INPUTS = ("prices.close", *SPLITS_AND_DIVIDENDS)


def total_return(sessions: int) -> pl.Expr:
    """Simple total return over the last `sessions` bars, fraction."""
    return CLOSE / CLOSE.shift(sessions) - 1


def relative_strength_index(sessions: int) -> pl.Expr:
    """Wilder's RSI, 0..100; null where the close has not moved for `sessions` sessions (TA-Lib would say 0: as weak as can be)."""
    moved = CLOSE.rolling_max(sessions + 1) > CLOSE.rolling_min(sessions + 1)
    return pl.when(moved).then(talib.rsi(CLOSE, sessions))


def macd_over_close(field: str) -> pl.Expr:
    """One output (`macd`, `macdhist`) of TA-Lib's MACD(12, 26, 9), divided by the close."""
    outputs: pl.Expr = talib.macd(CLOSE, 12, 26, 9)
    return outputs.struct.field(field) / CLOSE


MACD_SOURCE = "Appel (2005), Technical Analysis: Power Tools for Active Investors; TA-Lib MACD(12, 26, 9), averages seeded with the SMA"

FEATURES = (
    *(
        Feature(
            name=f"ret_{sessions}",
            family=FAMILY,
            expression=total_return(sessions),
            inputs=INPUTS,
            lookback=sessions,
            recursive=False,
            unit="fraction",
            meaning=f"what a holder gained over the last {sessions} session{'s' if sessions > 1 else ''}, splits and dividends included",
            missing="never",
            source="simple total return, dividends reinvested at the ex-date close",
        )
        for sessions in (1, 5, 20)
    ),
    Feature(
        name="rsi_14",
        family=FAMILY,
        expression=relative_strength_index(14),
        inputs=INPUTS,
        lookback=14,
        recursive=True,
        unit="0..100",
        meaning="share of recent movement that was upwards: near 100 only rises, near 0 only falls",
        missing="the close has not moved for 14 sessions",
        source="Wilder (1978), New Concepts in Technical Trading Systems, ch. 6; TA-Lib RSI(14)",
    ),
    Feature(
        name="macd",
        family=FAMILY,
        expression=macd_over_close("macd"),
        inputs=INPUTS,
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
        inputs=INPUTS,
        lookback=33,
        recursive=True,
        unit="fraction of close",
        meaning="MACD less its own 9-session average, over the close: positive while the trend is gaining speed",
        missing="never",
        source=MACD_SOURCE,
    ),
)
