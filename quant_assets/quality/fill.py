"""The last value carried forward where a later one is absent, never silently. What was known at an instant is `point_in_time.as_of`'s
business: carry what that returns, set beside the sessions it is wanted for.
"""

from __future__ import annotations

import polars as pl

from quant_assets.errors import BadArgument, require_columns


def carried_forward(rows: pl.DataFrame, column: str, *, by: str, stamp: str, max_age_days: int) -> pl.DataFrame:
    """The rows, in their order, with the last value of the same series where `column` is null or NaN, and two columns that say so.

    `<column>_filled` is true where the value is an earlier row's; `<column>_age_days` is how many days old the last value is, 0 where it is
    the row's own, null before the first. A value older than `max_age_days` is not carried: the column stays null, the age remains.

    Parameters
    ----------
    by : the column that names the series.
    stamp : Date or Datetime since which a value counts: when it could be known, where that differs from the day it is about.
    max_age_days : in calendar days; fractions of a day do not count.

    Raises
    ------
    BadArgument : a column is absent, a negative age, or a stamp that is null or occurs twice in a series, so that nobody knows which value
        is the last.
    """
    require_columns(rows.columns, column, by, stamp)
    if max_age_days < 0:
        raise BadArgument(f"max_age_days is {max_age_days}", remedy="give 0 or more")
    undated = rows.filter(pl.col(stamp).is_null() | pl.struct(by, stamp).is_duplicated())
    if undated.height:
        series, when = undated.select(by, stamp).row(0)
        told = f"{series} has no single row of {when} ({undated.height} such rows)"
        raise BadArgument(told, remedy="pick one of them first, see point_in_time.as_of")
    own = pl.col(column).fill_nan(None) if rows.schema[column].is_float() else pl.col(column)
    since = pl.when(own.is_not_null()).then(stamp)
    last, known = (value.forward_fill().over(by, order_by=stamp) for value in (own, since))
    age = (pl.col(stamp) - known).dt.total_days()
    fresh = age <= max_age_days
    return rows.with_columns(
        pl.when(fresh).then(last).alias(column),
        (own.is_null() & fresh).fill_null(False).alias(f"{column}_filled"),
        age.alias(f"{column}_age_days"),
    )
