"""Quantities made of macroeconomic series, each as it was known at a moment: every version of every value counts from its publication on.

The features made of them are in `macro.py`, the model of recessions in `recession.py`.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.features.feature import Beside, Tables
from quant_assets.features.known import last_known

DAILY = dt.timedelta(days=14)
MONTHLY = dt.timedelta(days=150)
"""How old the day (or the first day of the month) that a value is about may be: beyond, the series has stopped and says nothing of today.
The longest that came of itself: the CPI of September 2025 stood for 108 days after the first of that month, through a shutdown."""
BACK = dt.timedelta(days=30)


def versions(tables: Tables, series: str) -> pl.LazyFrame:
    """session, known_at and value of every version of a series."""
    return tables["macro"].filter(pl.col("series") == series).select("session", "known_at", "value")


def together(**parts: pl.LazyFrame) -> pl.LazyFrame:
    """Values that are about one session, as known at each moment at which any of them was published.

    Parameters
    ----------
    parts : session, known_at, value, by the name that its column gets.

    Returns
    -------
    session, known_at and a column a part: one row for each session and moment at which all of them were known.
    """
    moments = pl.concat([part.select("session", "known_at") for part in parts.values()]).unique().sort("known_at", "session")
    for name, part in parts.items():
        told = part.select("session", "known_at", pl.col("value").alias(name)).sort("known_at")
        moments = moments.join_asof(told, on="known_at", by="session", check_sortedness=False)
    return moments.drop_nulls()


def newest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Those rows that were about the newest session when published, in the order of publication: what `last_known` may take."""
    ordered = rows.sort("known_at", "session")
    return ordered.filter(pl.col("session") == pl.col("session").cum_max())


def months_later(rows: pl.LazyFrame, months: int) -> pl.LazyFrame:
    """The rows as if about the month that many months later, to stand beside that one's."""
    return rows.with_columns(pl.col("session").dt.offset_by(f"{months}mo"))


def slope(tables: Tables) -> pl.LazyFrame:
    """session, known_at and the ten-year less the two-year Treasury rate, percentage points, of days of which both are known."""
    rates = together(ten=versions(tables, "DGS10"), two=versions(tables, "DGS2"))
    return rates.select("session", "known_at", value=pl.col("ten") - pl.col("two"))


def inflation(tables: Tables) -> pl.LazyFrame:
    """session (a month), known_at and its CPI over that of twelve months before, less 1, percent: both as known at that moment."""
    index = versions(tables, "CPIAUCSL")
    pairs = together(now=index, year_ago=months_later(index, 12))
    return pairs.select("session", "known_at", value=100 * (pl.col("now") / pl.col("year_ago") - 1))


def inflation_change(tables: Tables) -> pl.LazyFrame:
    """session (a month), known_at and its inflation less that of the month three months before, percentage points."""
    rates = inflation(tables)
    pairs = together(now=rates, before=months_later(rates, 3))
    return pairs.select("session", "known_at", value=pl.col("now") - pl.col("before"))


def later(rows: pl.LazyFrame, lag: dt.timedelta) -> pl.LazyFrame:
    """The rows as if published that much later: what was known that long ago is known of them now."""
    return rows.with_columns(pl.col("known_at") + lag)


def beside(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """The bars with COLUMNS, each as known at the close; null before its first publication and when the series has stopped."""
    policy_rate = versions(tables, "DFF")
    told = {
        "macro_vix": (versions(tables, "VIXCLS"), DAILY),
        "macro_ten_year": (versions(tables, "DGS10"), DAILY),
        "macro_slope": (slope(tables), DAILY),
        "macro_policy_rate": (policy_rate, DAILY),
        "macro_policy_rate_before": (later(policy_rate, BACK), DAILY + BACK),
        "macro_credit_spread": (versions(tables, "BAA10Y"), DAILY),
        "macro_inflation": (inflation(tables), MONTHLY),
        "macro_inflation_change": (inflation_change(tables), MONTHLY),
    }
    named = [newest(rows).select("known_at", about="session", **{column: "value"}) for column, (rows, _) in told.items()]
    days, *known = pl.collect_all([bars.select("session", "close_at").unique(), *named])  # one long plan takes a second to optimise
    for rows, (column, (_, oldest)) in zip(known, told.items(), strict=True):
        days = known_not_older(days.lazy(), rows.lazy(), column, oldest).collect()
    return bars.join(days.lazy().drop("close_at"), on="session", how="left", maintain_order="left")


def known_not_older(days: pl.LazyFrame, told: pl.LazyFrame, column: str, oldest: dt.timedelta) -> pl.LazyFrame:
    """The days with the column as last known at their close, null where `about` lies further back than `oldest`."""
    fresh = pl.col("session") - pl.col("about") <= oldest
    return last_known(days, told, ["about", column]).with_columns(pl.when(fresh).then(column).alias(column)).drop("about")


COLUMNS = (
    "macro_vix",
    "macro_ten_year",
    "macro_slope",
    "macro_policy_rate",
    "macro_policy_rate_before",
    "macro_credit_spread",
    "macro_inflation",
    "macro_inflation_change",
)
ECONOMY = Beside(tables=("macro",), columns=COLUMNS, join=beside)
