"""When it is worth deciding: sessions sampled from a name's bars by what its price did. What follows an event is a label's business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import polars as pl

from quant_assets.errors import BadArgument, require_columns
from quant_assets.labels.spans import known_bars, require_one_a_session


def cusum_events(prices: pl.LazyFrame, threshold: float | pl.DataFrame, *, as_of: dt.date) -> pl.DataFrame:
    """Sessions at whose close a name had risen or fallen by more than a threshold since the last such event in that direction.

    Parameters
    ----------
    prices : table `prices`, all history of each name: the sums start at its first bar. Rows after `as_of` are not read; a bar without a
        close is none.
    threshold : sum of log total returns, the same for all, or a frame of ticker, session, `threshold` (say, a multiple of the volatility
        known at that close). Where a bar has none, its return is added up and nothing happens.
    as_of : the day whose close is the last known.

    Returns
    -------
    ticker, session, `direction` (1 risen, -1 fallen), sorted by (ticker, session). An event depends on no later bar.

    Raises
    ------
    BadArgument : a threshold is not above 0, or a bar has more than one.
    QuantAssetsError : an impossible corporate action (see `adjustments.forward_adjusted`).

    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, snippet 2.4, on log returns instead of differences of prices.
    """
    bars = known_bars(prices, as_of, "adj_close").drop_nulls("adj_close")
    bars = _with_threshold(bars, threshold)
    change = (pl.col("adj_close") / pl.col("adj_close").shift(1)).log().over("ticker")
    names = bars.with_columns(change=change.fill_null(0.0)).partition_by("ticker", maintain_order=True)
    direction = [one for name in names for one in cusum(name["change"].to_list(), name["threshold"].to_list())]
    return bars.select("ticker", "session", pl.Series("direction", direction, dtype=pl.Int8)).filter(pl.col("direction") != 0)


def _with_threshold(bars: pl.DataFrame, threshold: float | pl.DataFrame) -> pl.DataFrame:
    if isinstance(threshold, pl.DataFrame):
        require_columns(threshold.columns, "ticker", "session", "threshold")
        told = threshold.select("ticker", "session", pl.col("threshold").cast(pl.Float64).fill_nan(None))
        require_one_a_session(told.join(bars, on=["ticker", "session"], how="semi"), "threshold")
        bars = bars.join(told, on=["ticker", "session"], how="left", maintain_order="left")
    else:
        bars = bars.with_columns(threshold=pl.lit(threshold, dtype=pl.Float64))
    impossible = ~(pl.col("threshold") > 0) | pl.col("threshold").is_nan()
    for ticker, session, limit in bars.filter(impossible).select("ticker", "session", "threshold").head(1).iter_rows():
        raise BadArgument(f"{ticker} {session}: threshold {limit:g} is not above 0", remedy="pass a log return above 0")
    return bars


def cusum(changes: Iterable[float], thresholds: Iterable[float | None]) -> Iterator[int]:
    """1 or -1 at each change that carries a sum beyond its threshold, else 0: the symmetric CUSUM filter, one name.

    The sums of rises and of falls are each kept from crossing 0; the one that crossed its threshold starts again, the other goes on.
    """
    risen = fallen = 0.0
    for change, threshold in zip(changes, thresholds, strict=True):
        risen, fallen = max(0.0, risen + change), min(0.0, fallen + change)
        if threshold is None:
            yield 0
        elif fallen < -threshold:
            fallen = 0.0
            yield -1
        elif risen > threshold:
            risen = 0.0
            yield 1
        else:
            yield 0
