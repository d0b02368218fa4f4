"""Alpha Vantage's RSI and MACD beside ours: a check of `features/`, not a source of any table. Each indicator is one request of 25 a day.

MACD is premium: with a free key only the RSI can be compared.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.features.compute import compute
from quant_assets.sources.alpha_vantage import POLICY, ask
from quant_assets.sources.vendor_rows import UNREADABLE, number, unreadable

if TYPE_CHECKING:
    from quant_assets.sources.wire.wire import Wire

Indicator = Literal["RSI", "MACD"]
FEATURES: dict[Indicator, dict[str, str]] = {"RSI": {"RSI": "rsi_14"}, "MACD": {"MACD": "macd", "MACD_Hist": "macd_hist"}}
"""Its fields and the features of ours that they are."""
SCHEMA = {"session": pl.Date(), "feature": pl.String(), "theirs": pl.Float64()}
DECIMALS = 4
"""Its values are rounded to so many."""
WARM_UP_SESSIONS = 250
"""Until the first bar, which is another one in its history, no longer shows in the fourth decimal: (13/14)^250 of the RSI is 1e-8."""


def fetch(wire: Wire, indicator: Indicator, ticker: str) -> pl.DataFrame:
    """Columns session, feature, theirs: daily RSI(14) or MACD(12, 26, 9) of the adjusted close. Raises as `alpha_vantage.ask`."""
    own = {"RSI": {"time_period": "14"}, "MACD": {}}[indicator]
    answer = ask(wire, indicator, ticker, interval="daily", series_type="close", **own)
    try:
        found = [
            (dt.date.fromisoformat(day), feature, number(values[field]))
            for day, values in answer[f"Technical Analysis: {indicator}"].items()
            for field, feature in FEATURES[indicator].items()
        ]
    except UNREADABLE as error:
        raise unreadable(POLICY, indicator, ticker, repr(error)) from None
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def compare_indicators(prices: pl.LazyFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Our features beside its values, on the sessions that both have.

    Parameters
    ----------
    prices : table `prices` of one ticker, from its first stored bar to the day of the fetch: its prices are adjusted as of that day.
    theirs : of `fetch`.

    Returns
    -------
    session, feature, ours, theirs, difference, `agrees` (equal to its rounding); ours is in its unit: MACD in USD of today's share, not
    as a fraction of the close. The first `WARM_UP_SESSIONS` are left out.
    """
    names = sorted(theirs["feature"].unique())
    bars = forward_adjusted(prices).select("session", todays_close=pl.col("close") * pl.col("growth") / pl.col("growth").last())
    values = compute({"prices": prices}, names=names)
    unit = pl.when(pl.col("feature") == "rsi_14").then(1.0).otherwise("todays_close")
    ours = (
        values.slice(WARM_UP_SESSIONS)
        .join(bars.collect(), on="session")
        .unpivot(names, index=["session", "todays_close"], variable_name="feature", value_name="value")
        .select("session", "feature", ours=pl.col("value") * unit)
    )
    half_a_unit = 0.5 * 10**-DECIMALS + 1e-9
    return (
        theirs.join(ours, on=["session", "feature"])
        .sort("feature", "session")
        .select("session", "feature", "ours", "theirs", difference=pl.col("ours") - pl.col("theirs"))
        .with_columns(agrees=pl.col("difference").abs() <= half_a_unit)
    )
