"""Where a name's return came among those of its session: labels relative to the others. The returns are `forward_returns.py`'s business."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.errors import BadArgument, require_columns
from quant_assets.validation.signal_quality import quantile_within_session

FEWEST = 5
"""Names below which a place among them says nothing."""


def quintile_labels(labels: pl.DataFrame, *, as_of: dt.date, fewest: int = FEWEST) -> pl.DataFrame:
    """`label` 0 (the lowest fifth of the session's returns) .. 4, as `validation.signal_quality` cuts scores: at the linearly interpolated
    quintiles, an equal value belongs below, so equal returns are never parted.

    Parameters
    ----------
    labels : as of `forward_returns.forward_return_labels`, of every name to be ranked and no other: which names those were on the day is
        the caller's knowledge (`membership.inside`).
    as_of : the day whose close is the last known.
    fewest : names with a return below which the session has no labels, from 5 on.

    Returns
    -------
    The given rows in their order: ticker, session, `label`, `ret`, `label_start`, `label_end`. `label_end` is the latest of the session, as
    a place is known when the last of the returns is. `label` is null until then, and for good where the name has no return or fewer than
    `fewest` names have.

    Raises
    ------
    BadArgument : `fewest` is below 5; a row without `label_end`, whose return may still come and move the others.
    """
    return _placed(labels, (quantile_within_session("ret") - 1).cast(pl.Int8), as_of, fewest)


def rank_labels(labels: pl.DataFrame, *, as_of: dt.date, fewest: int = FEWEST) -> pl.DataFrame:
    """`label` is the rank of the return in its session over the number of names, in (0, 1], 1 the highest, equal returns at their average
    rank. All else as `quintile_labels`."""
    ret = pl.col("ret")
    return _placed(labels, (ret.rank("average") / ret.count()).over("session"), as_of, fewest)


def _placed(labels: pl.DataFrame, place: pl.Expr, as_of: dt.date, fewest: int) -> pl.DataFrame:
    require_columns(labels.columns, "ticker", "session", "ret", "label_start", "label_end")
    if fewest < FEWEST:
        raise BadArgument(f"a place among {fewest} names says nothing (limit {FEWEST})", remedy=f"pass fewest from {FEWEST} on")
    for ticker, session in labels.filter(pl.col("label_end").is_null()).select("ticker", "session").head(1).iter_rows():
        raise BadArgument(f"{ticker} {session}: no label_end", remedy="rank labels of a fixed horizon, or leave out those still open")
    ranked = labels.select("ticker", "session", "ret", "label_start", label_end=pl.col("label_end").max().over("session"))
    enough = pl.col("ret").count().over("session") >= fewest
    known = pl.col("ret").is_not_null() & enough & (pl.col("label_end") <= as_of)
    return ranked.select("ticker", "session", pl.when(known).then(place).alias("label"), "ret", "label_start", "label_end")
