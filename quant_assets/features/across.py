"""Evaluates features that need all names of a session at once. What each one means is said in `cross_section.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.errors import BadArgument
from quant_assets.features.catalog import ACROSS, BESIDE, OF_BARS, select
from quant_assets.features.compute import EVER, which_fails
from quant_assets.features.compute import READ as TABLES_READ
from quant_assets.features.feature import ELIGIBLE, Feature
from quant_assets.membership import within_span
from quant_assets.schemas import TABLES

READ = tuple(dict.fromkeys(name for feature in ACROSS.values() for name in feature.expression.meta.root_names() if name in OF_BARS))
"""The features of bars that they are read from."""
LOOKBACK = max((feature.lookback for feature in ACROSS.values()), default=0)
BEFORE = dt.timedelta(days=2 * LOOKBACK)
"""Days that hold as many sessions: so much before a window must be given."""
KEY = ["ticker", "session"]


def compute(
    values: pl.DataFrame,
    tables: Mapping[str, pl.LazyFrame | pl.DataFrame],
    eligible: pl.DataFrame | None = None,
    *,
    window: Window | None = None,
    names: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Features across the names of each session, as known at its close.

    Parameters
    ----------
    values : rows of table `features` with at least the columns READ, of every name at once, LOOKBACK sessions before the window included.
    tables : as for `compute.compute`; of the bars only what the features across names themselves join.
    eligible : key, start, end of the days on which each name is one of those that are ranked; every row when None.
    window : sessions to return; all when None.
    names : features across names, in this order; all of them when None.

    Returns
    -------
    (n, 2 + n_features) sorted by (ticker, session): a row for each of `values` in the window, null for one that is not eligible.

    Raises
    ------
    BadArgument : an unknown feature name, or one of a single name.
    QuantAssetsError : a feature whose expression fails, by name.
    """
    features = select(tuple(ACROSS) if names is None else names)
    if alone := [feature.name for feature in features if not feature.across]:
        raise BadArgument(f"{', '.join(alone)} is not read across names", remedy="use compute.compute")
    rows = values.sort(KEY).lazy()
    if eligible is None:
        rows = rows.with_columns(pl.lit(True).alias(ELIGIBLE))
    else:
        spans = eligible.lazy()
        days = rows.select(KEY).join(spans, left_on="ticker", right_on="key").filter(within_span())
        flagged = rows.join(days.select(*KEY, pl.lit(True).alias(ELIGIBLE)), on=KEY, how="left", maintain_order="left")
        rows = flagged.with_columns(pl.col(ELIGIBLE).fill_null(False))
    given = {name: tables[name].lazy() if name in tables else pl.LazyFrame(schema=TABLES[name].schema) for name in TABLES_READ}
    rows = rows.join(session_table(EVER).lazy(), on="session", how="left", maintain_order="left")
    reads = {name for feature in features for name in feature.expression.meta.root_names()}
    for beside in BESIDE:
        if reads & set(beside.columns):
            rows = beside.join(rows, given)
    if window is not None:
        rows = rows.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    whole = rows.collect()
    among = whole.filter(ELIGIBLE)
    try:
        finite = _finite(among, features)
    except pl.exceptions.PolarsError as error:
        raise which_fails(features, lambda one: _finite(among, [one]), error) from error
    return whole.select(KEY).join(finite, on=KEY, how="left", maintain_order="left")


def _finite(rows: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """The features of these rows, null where they are NaN or infinite."""
    values = rows.select(*KEY, *(feature.expression.alias(feature.name) for feature in features))
    return values.with_columns(pl.when(pl.col(feature.name).is_finite()).then(pl.col(feature.name)) for feature in features)
