"""Macro: rates, inflation, credit and fear, as published by the close of the session. One value a session, the same for every name."""

from __future__ import annotations

import polars as pl

from quant_assets.features.economy import ECONOMY
from quant_assets.features.feature import Feature
from quant_assets.features.recession import RECESSION

FAMILY = "macro"
BESIDE = (ECONOMY, RECESSION)
VIX = pl.col("macro_vix")
ABSENT = "not published yet by the close, or the newest value is about a day more than 14 days back"
ABSENT_MONTH = "not published yet by the close, or the newest month began more than 150 days before"
RATES = ("macro.value:DGS10", "macro.value:DGS2")
CPI = "macro.value:CPIAUCSL"
H15 = "Federal Reserve, H.15, published after the close of the next business day"


def vix_regime() -> pl.Expr:
    """0 below 15, 1 from 15 to below 25, 2 from 25 to 35 (both in), 3 above 35."""
    return (VIX >= 15).cast(pl.Float64) + (VIX >= 25).cast(pl.Float64) + (VIX > 35).cast(pl.Float64)


def _macro(
    name: str, expression: pl.Expr, inputs: tuple[str, ...], unit: str, formula: str, meaning: str, source: str, **more: object
) -> Feature:
    further: dict[str, object] = {"missing": ABSENT, **more}
    return Feature(
        name=name,
        family=FAMILY,
        expression=expression.cast(pl.Float64),
        inputs=inputs,
        lookback=0,
        recursive=False,
        unit=unit,
        formula=formula,
        meaning=meaning,
        source=source,
        **further,  # type: ignore[arg-type]
    )


FEATURES = (
    _macro(
        "vix",
        VIX,
        ("macro.value:VIXCLS",),
        "percent a year",
        "the last VIX close published by the close of the session: that of the business day before",
        "how much movement of the S&P 500 over the next month option prices pay for: high in fear",
        "Cboe VIX, FRED VIXCLS, on FRED the morning after",
        low=0.0,
    ),
    _macro(
        "vix_regime",
        vix_regime(),
        ("macro.value:VIXCLS",),
        "0 to 3",
        "0: VIX < 15; 1: 15 <= VIX < 25; 2: 25 <= VIX <= 35; 3: VIX > 35",
        "calm, usual, nervous or panicking options market",
        "levels in common use; of the boundaries 15 and 25 belong above, 35 below",
        low=0.0,
        high=3.0,
    ),
    _macro(
        "slope_10y_2y",
        pl.col("macro_slope"),
        RATES,
        "percentage points",
        "ten-year less two-year Treasury rate, of the last day of which both are published",
        "what lending for long pays above lending for short: negative before most recessions",
        H15 + ", FRED DGS10 and DGS2",
    ),
    _macro(
        "policy_rate_change_30d",
        pl.col("macro_policy_rate") - pl.col("macro_policy_rate_before"),
        ("macro.value:DFF",),
        "percentage points",
        "federal funds rate known at the close, less the one known 30 calendar days before that moment",
        "whether money has become dearer (+) or cheaper (-) over the last month",
        H15 + ", effective federal funds rate, FRED DFF",
    ),
    _macro(
        "inflation",
        pl.col("macro_inflation"),
        (CPI,),
        "percent",
        "100 * (CPI of the last published month / CPI of the same month a year before - 1), both in the version known at the close",
        "how much dearer consumers' goods have become in a year",
        "Bureau of Labor Statistics, CPI-U seasonally adjusted, FRED CPIAUCSL with the versions of ALFRED",
        missing=ABSENT_MONTH,
    ),
    _macro(
        "inflation_change_3m",
        pl.col("macro_inflation_change"),
        (CPI,),
        "percentage points",
        "inflation of the last published month less inflation of the month three months before it, all in the versions known at the close",
        "whether inflation is rising (+) or falling (-)",
        "as inflation; the last published month is the last one of which all four index values are known",
        missing=ABSENT_MONTH,
    ),
    _macro(
        "real_rate",
        pl.col("macro_ten_year") - pl.col("macro_inflation"),
        ("macro.value:DGS10", CPI),
        "percentage points",
        "ten-year Treasury rate less inflation, both as known at the close",
        "what ten years of lending to the state pay above last year's inflation",
        H15 + ", FRED DGS10; inflation of the past year, not the expected one: ex post",
        missing=f"{ABSENT}; or no inflation",
    ),
    _macro(
        "credit_spread",
        pl.col("macro_credit_spread"),
        ("macro.value:BAA10Y",),
        "percentage points",
        "Moody's Baa corporate bond yield less the ten-year Treasury rate, last published day",
        "what weaker borrowers pay above the state: wide when defaults are feared",
        "Moody's seasoned Baa yield relative to the ten-year rate, FRED BAA10Y",
    ),
    _macro(
        "recession_probability",
        pl.col("macro_recession_probability"),
        (*RATES, "macro.value:USREC"),
        "fraction",
        "Phi(a + b * average 10y-2y slope of last month), a and b by probit of the NBER's state 12 months later on slopes, each month anew",
        "how probable a recession is in twelve months, as the yield curve of last month tells by the recessions known so far",
        "Estrella and Mishkin (1998), Review of Economics and Statistics 80(1); 10y-2y in place of 10y-3m; states count when 24 months old",
        low=0.0,
        high=1.0,
        missing="fewer than 120 settled months or 2 settled recessions to learn from, no slope of last month, or no estimate for 75 days",
    ),
)
