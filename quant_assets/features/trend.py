"""Trend: where the price stands against its own averages and lines. Speed of movement lives in `momentum.py`.

Lines made of highs and lows have files of their own: `directional.py` (ADX, Aroon, parabolic SAR) and `ichimoku.py`.
"""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features import directional, ichimoku
from quant_assets.features.averages import exponential_average
from quant_assets.features.crossing import ROUNDING, crossing
from quant_assets.features.feature import CLOSES, FLAG, USD, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import deviation, mean, moved, still

FAMILY = "trend"
SPANS = (9, 21, 50, 200)
SIMPLE_SPANS = (20, 50)
CLOSE = pl.col("adj_close")
SOURCE = "exponential moving average, weight 2/(span + 1), seeded with the simple average of the first span closes: TA-Lib EMA"


def in_usd(level: pl.Expr) -> pl.Expr:
    """A level of adjusted prices in USD of the session's own share: it can be drawn beside that day's raw close."""
    return pl.when(pl.col("price_basis") == "raw").then(level / pl.col("growth"))


def ema_level(span: int) -> pl.Expr:
    """Exponential average of the total-return close in USD of the session's own share."""
    return in_usd(exponential_average(span))


def ema_distance(span: int) -> pl.Expr:
    """Close over its exponential average, less 1."""
    average = exponential_average(span)
    return CLOSE / average - 1


def sma_distance(span: int) -> pl.Expr:
    """Close over its simple average, less 1."""
    return CLOSE / mean(CLOSE, span) - 1


def ema_gap(fast: int, slow: int) -> pl.Expr:
    """Fast exponential average over the slow one, less 1."""
    averages = [exponential_average(span) for span in (fast, slow)]
    return shared(f"ema_gap_{fast}_{slow}", averages[0] / averages[1] - 1)


def ema_slope(span: int, sessions: int) -> pl.Expr:
    """Relative change of the exponential average over the last `sessions` bars."""
    average = exponential_average(span)
    return average / average.shift(sessions) - 1


def detrended_price(sessions: int) -> pl.Expr:
    """Close over the simple average that stood `sessions`/2 + 1 bars ago, less 1.

    Charts draw the price of `sessions`/2 + 1 bars ago less today's average, set back to the bar of that price, where half of the
    average still lies ahead. Here nothing is set back: both the close and the average are known at the bar that has the value.
    """
    return CLOSE / mean(CLOSE, sessions).shift(sessions // 2 + 1) - 1


def regression_slope(sessions: int) -> pl.Expr:
    """Slope of the least-squares line through the log closes of `sessions` bars, log return a session; 0 where they do not move."""
    return pl.when(still(CLOSE, sessions - 1)).then(0.0).otherwise(talib.linearreg_slope(CLOSE.log(), sessions))


def regression_r2(sessions: int) -> pl.Expr:
    """Share of the variance of the log closes that the line explains, 0..1; null where they do not move."""
    explained = regression_slope(sessions) ** 2 * (sessions**2 - 1) / 12  # slope squared times the variance of 0 .. sessions - 1
    variance = deviation(CLOSE.log(), sessions, ddof=0) ** 2
    return pl.when(moved(CLOSE, sessions - 1)).then((explained / variance).clip(upper_bound=1.0))


AVERAGES = (
    *(
        Feature(
            name=f"ema_{span}",
            family=FAMILY,
            expression=ema_level(span),
            inputs=(*CLOSES, "prices.price_basis"),
            lookback=span - 1,
            recursive=True,
            unit=USD,
            low=0.0,
            formula=f"EMA(adjusted close, {span}) / growth",
            meaning=f"average close of about the last {span} sessions, recent ones weighing more, in prices of this session",
            missing="the name has adjusted prices only, whose level later actions shift",
            source=SOURCE,
        )
        for span in SPANS
    ),
    *(
        Feature(
            name=f"ema_{span}_distance",
            family=FAMILY,
            expression=ema_distance(span),
            inputs=CLOSES,
            lookback=span - 1,
            recursive=True,
            unit="fraction",
            low=-1.0,
            formula=f"close / EMA(close, {span}) - 1",
            meaning=f"how far the close stands above (+) or below (-) its {span}-session exponential average",
            missing="never",
            source=SOURCE,
        )
        for span in SPANS
    ),
    *(
        Feature(
            name=f"sma_{span}",
            family=FAMILY,
            expression=in_usd(mean(CLOSE, span)),
            inputs=(*CLOSES, "prices.price_basis"),
            lookback=span - 1,
            recursive=False,
            unit=USD,
            low=0.0,
            formula=f"SMA(adjusted close, {span}) / growth",
            meaning=f"plain average close of the last {span} sessions, in prices of this session",
            missing="the name has adjusted prices only, whose level later actions shift",
            source="simple moving average; TA-Lib SMA",
        )
        for span in SIMPLE_SPANS
    ),
    *(
        Feature(
            name=f"sma_{span}_distance",
            family=FAMILY,
            expression=sma_distance(span),
            inputs=CLOSES,
            lookback=span - 1,
            recursive=False,
            unit="fraction",
            low=-1.0,
            formula=f"close / SMA(close, {span}) - 1",
            meaning=f"how far the close stands above (+) or below (-) its plain {span}-session average",
            missing="never",
            source="simple moving average; TA-Lib SMA",
        )
        for span in SIMPLE_SPANS
    ),
    Feature(
        name="above_ema_200",
        family=FAMILY,
        expression=(ema_distance(200).fill_nan(None) > ROUNDING).cast(pl.Float64),
        inputs=CLOSES,
        lookback=199,
        recursive=True,
        unit=FLAG,
        low=0.0,
        high=1.0,
        formula="1 if close > EMA(close, 200), else 0",
        meaning="whether the long trend is up: the close stands above its 200-session exponential average",
        missing="never",
        source=f"{SOURCE}; 0 up to a relative distance of {ROUNDING:g}, which is rounding",
    ),
    Feature(
        name="ema_9_21_cross",
        family=FAMILY,
        expression=crossing(ema_gap(9, 21)),
        inputs=CLOSES,
        lookback=21,
        recursive=True,
        unit="-1, 0 or 1",
        low=-1.0,
        high=1.0,
        formula="1 if EMA(close, 9) > EMA(close, 21) and was not on the bar before, -1 if < and was not, else 0",
        meaning="the bar on which the fast average passes the slow one: 1 upwards, -1 downwards",
        missing="never",
        source=f"{SOURCE}; a crossing as in `crossing.py`",
    ),
    Feature(
        name="ema_9_slope_5",
        family=FAMILY,
        expression=ema_slope(9, 5),
        inputs=CLOSES,
        lookback=13,
        recursive=True,
        unit="fraction",
        low=-1.0,
        formula="EMA(close, 9)[t] / EMA(close, 9)[t-5] - 1",
        meaning="how far the fast average has risen or fallen over the last 5 sessions",
        missing="never",
        source=SOURCE,
    ),
    Feature(
        name="detrended_price_20",
        family=FAMILY,
        expression=detrended_price(20),
        inputs=CLOSES,
        lookback=30,
        recursive=False,
        unit="fraction",
        low=-1.0,
        formula="close[t] / SMA(close, 20)[t-11] - 1",
        meaning="where the close stands against its average of half a cycle ago: the swing without the trend",
        missing="never",
        source="detrended price oscillator (20) without its shift into the past, which looks ahead: today's close against the average "
        "of 11 sessions ago, where charts draw the close of 11 sessions ago against today's average",
    ),
)

REGRESSIONS = tuple(
    feature
    for sessions in (20, 60)
    for feature in (
        Feature(
            name=f"regression_slope_{sessions}",
            family=FAMILY,
            expression=regression_slope(sessions),
            inputs=CLOSES,
            lookback=sessions - 1,
            recursive=False,
            unit="fraction a session",
            formula=f"slope of the least-squares line through log(close) of {sessions} sessions",
            meaning=f"average drift a session of the last {sessions} sessions, every close counting and not only the first and last",
            missing="never",
            source="ordinary least squares of the log total-return close on 0, 1, 2 ...; TA-Lib LINEARREG_SLOPE",
        ),
        Feature(
            name=f"regression_r2_{sessions}",
            family=FAMILY,
            expression=regression_r2(sessions),
            inputs=CLOSES,
            lookback=sessions - 1,
            recursive=False,
            unit="0..1",
            low=0.0,
            high=1.0,
            formula=f"R^2 of the least-squares line through log(close) of {sessions} sessions",
            meaning="how straight the trend is: 1 every close on the line, 0 no trend at all",
            missing=f"the close has not moved for {sessions} sessions",
            source="coefficient of determination of that regression",
        ),
    )
)

FEATURES = (*AVERAGES, *REGRESSIONS, *directional.FEATURES, *ichimoku.FEATURES)
