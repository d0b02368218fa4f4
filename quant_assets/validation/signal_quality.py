"""How scores have ranked what followed, session by session and horizon by horizon: information coefficients, quantile returns, turnover.

How good scores are as probabilities is `skill.py`'s business, what trading on them would have earned `backtest/`'s.

Choices made here
- IC: Pearson correlation across the names of one session of score and total return; rank IC: Spearman's, average ranks. Neither where
  fewer than five names have both, or where one of the two does not vary.
- Quantiles: five by the scores of one session alone, whatever followed, as pandas' `qcut` cuts: at the linearly interpolated quintiles, an
  equal value belongs below. Names with one score are never parted, so a quintile may be empty, and then it has no return.
- Returns are raw, not less the mean of their session. A name without a bar at the end of a horizon has no return there.
- ICIR: mean / standard deviation (ddof 1) of the sessions, not annualised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window, session_offset, session_table
from quant_assets.errors import BadArgument, SchemaMismatch
from quant_assets.validation.newey_west import lags, standard_error

HORIZONS = (1, 3, 5, 10, 20)
"""Sessions ahead."""
QUANTILES = 5
QUANTILE_COLUMNS = tuple(f"q{place}" for place in range(1, QUANTILES + 1))
MIN_NAMES = 5
ESTIMATES = ("ic", "rank_ic", "spread")


def rank_ic(score: str, ret: str) -> pl.Expr:
    """Spearman correlation of two columns over the rows that have both, ties ranked by their average; null where fewer than MIN_NAMES have,
    or where one of the two does not vary."""
    return pl.when(_vary(score, ret)).then(pl.corr(score, ret, method="spearman"))


def ic(score: str, ret: str) -> pl.Expr:
    """Pearson correlation of two columns over the rows that have both; null where `rank_ic` is."""
    return pl.when(_vary(score, ret)).then(pl.corr(score, ret))


def quantile_within_session(column: str) -> pl.Expr:
    """1 (lowest) to QUANTILES of the values of one `session`; equal values are never parted."""
    edges = np.linspace(0, 1, QUANTILES + 1)[1:-1]
    above = (pl.col(column) > pl.col(column).quantile(edge, "linear").over("session") for edge in edges)
    return 1 + pl.sum_horizontal(above)


def forward_returns(prices: pl.LazyFrame, *, as_of: dt.date, horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
    """Total returns from each close over the next exchange sessions, as table `labels` measures them over three.

    Parameters
    ----------
    prices : table `prices`; rows after `as_of` are not read.
    as_of : the day whose close is the last known.
    horizons : sessions from the bar to the end of the return.

    Returns
    -------
    ticker, session, and `ret_N` (fraction) for each horizon N: null while it ends after `as_of`, and for good when the name has no bar at
    its end. Sorted by (ticker, session).

    Raises
    ------
    BadArgument : a bar on a day that is no session.
    QuantAssetsError : an impossible corporate action (see `adjustments.forward_adjusted`).
    """
    bars = forward_adjusted(prices.filter(pl.col("session") <= as_of)).select("ticker", "session", "close", "growth").collect()
    if bars.is_empty():
        return bars.select("ticker", "session", *(pl.lit(None, dtype=pl.Float64).alias(f"ret_{n}") for n in horizons))
    calendar = session_table(Window(bars["session"].min(), as_of + dt.timedelta(days=1))).select("session").with_row_index("place")  # type: ignore[arg-type]
    placed = bars.join(calendar, on="session", how="left", maintain_order="left")
    for ticker, session in placed.filter(pl.col("place").is_null()).select("ticker", "session").head(1).iter_rows():
        raise BadArgument(f"{ticker} {session}: a bar on a day that is no session of the exchange", remedy="quarantine it")
    close, growth = bars["close"].to_numpy(), bars["growth"].to_numpy()
    stride = calendar.height + max(horizons)  # a horizon must not lead into the next ticker
    key = placed["ticker"].rle_id().to_numpy().astype(np.int64) * stride + placed["place"].to_numpy()
    found = {}
    for horizon in horizons:
        end = np.minimum(np.searchsorted(key, key + horizon), key.size - 1)
        ret = close[end] / close * (growth[end] / growth) - 1
        found[f"ret_{horizon}"] = np.where(key[end] == key + horizon, ret, np.nan)
    return bars.select("ticker", "session").with_columns(pl.Series(name, ret).fill_nan(None) for name, ret in found.items())


def by_session(scores: pl.DataFrame, returns: pl.DataFrame, *, horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
    """What each session's scores said of the returns that followed.

    Parameters
    ----------
    scores : ticker, session, score (null: none), one a name and session.
    returns : ticker, session, `ret_N` for each horizon, as of `forward_returns`.

    Returns
    -------
    A row a horizon and session with a score, sorted by both: `scored` (names with a score), `names` (those with a return too), `ic`,
    `rank_ic`, `q1` .. `q5` (mean return of the quintile of the lowest .. highest scores, fraction), `spread` (q5 - q1), `turnover` (share
    of the names of the highest quintile that were not in it `horizon` scored sessions before; null in the first ones). Each row depends on
    its session and those before it, and on the returns that begin in it.

    Raises
    ------
    SchemaMismatch : two scores or returns of one name in one session.
    """
    scored = scores.select("ticker", "session", pl.col("score").fill_nan(None)).drop_nulls("score")
    # not by ticker too, which takes three times as long: rows keep the order in which they came
    rows = scored.join(returns, on=["ticker", "session"], how="left", maintain_order="left").sort("session", maintain_order=True)
    _refuse_repeated(rows)
    rows = rows.with_columns(quantile=quantile_within_session("score"), place=pl.col("session").rle_id().cast(pl.Int64))
    figures = [figure.alias(f"{name}_{horizon}") for horizon in horizons for name, figure in _figures(f"ret_{horizon}").items()]
    days = rows.group_by("session", "place", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("scored"), *figures)
    top = rows.filter(quantile=QUANTILES).select("ticker", "place")
    parts = []
    for horizon in horizons:
        own = {name: pl.col(f"{name}_{horizon}") for name in _figures("")}
        part = days.select(horizon=pl.lit(horizon, dtype=pl.Int64), session="session", place="place", scored="scored", **own)
        part = part.with_columns(spread=pl.col(QUANTILE_COLUMNS[-1]) - pl.col(QUANTILE_COLUMNS[0]))
        parts.append(part.join(_turnover(top, horizon), on="place", how="left", maintain_order="left").drop("place"))
    return pl.concat(parts)


def measure(
    scores: pl.DataFrame, prices: pl.LazyFrame, *, since: dt.date, as_of: dt.date, horizons: Sequence[int] = HORIZONS
) -> pl.DataFrame:
    """`by_session` of what is known at the close of `as_of`, for each session of the exchange from `since` on.

    Returns
    -------
    The columns of `by_session` and `ends`, the session at whose close the horizon ends; while that lies after `as_of`, `names` is null as
    the figures are. A session without any score has 0 of them. Other parameters and errors as `forward_returns` and `by_session`.
    """
    known = scores.filter(pl.col("session").is_between(since, as_of))
    days = by_session(known, forward_returns(prices, as_of=as_of, horizons=horizons), horizons=horizons)
    calendar = session_table(Window(since, session_offset(as_of, max(horizons) + 1))).select("session")
    ends = pl.concat(
        calendar.select(horizon=pl.lit(n, dtype=pl.Int64), session="session", ends=pl.col("session").shift(-n)) for n in horizons
    )
    dated = ends.filter(pl.col("session") <= as_of).join(days, on=["horizon", "session"], how="left", maintain_order="left")
    return dated.with_columns(pl.col("scored", "names").fill_null(0)).with_columns(names=pl.when(pl.col("ends") <= as_of).then("names"))


def summary(days: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Means over sessions with Newey-West errors, for each horizon and further column.

    Parameters
    ----------
    days : as of `by_session`, of any stretch of time.
    by : further columns that tell groups apart, as a year.

    Returns
    -------
    horizon, `by`, `sessions` (with an IC), `names` (mean), `q1` .. `q5` and `turnover` (means), and of each of `ic`, `rank_ic` and `spread`
    the mean, `_std` (ddof 1), `_ir` (mean / std, not annualised), `_se` (Newey-West, `newey_west.lags` of the horizon; None where the
    sessions are too few for it) and `_t` (mean / se). None where nothing was measured. Sorted by horizon and `by`.
    """
    groups = days.sort("horizon", *by, "session").group_by("horizon", *by, maintain_order=True)
    rows = [dict(zip(("horizon", *by), key, strict=True)) | _summary_of(part, horizon=part["horizon"][0]) for key, part in groups]
    figures = _summary_of(days.clear(), horizon=1)
    schema = {name: days.schema[name] for name in ("horizon", *by)} | dict.fromkeys(figures, pl.Float64()) | {"sessions": pl.Int64()}
    return pl.DataFrame(rows, schema=schema)


def _refuse_repeated(rows: pl.DataFrame) -> None:
    names = rows.group_by("session", maintain_order=True).agg(pl.len(), n_names=pl.col("ticker").n_unique())
    for session in names.filter(pl.col("len") > pl.col("n_names"))["session"].head(1):
        tickers = rows.filter(session=session)["ticker"]
        ticker = tickers.filter(tickers.is_duplicated())[0]
        raise SchemaMismatch(f"{ticker} {session}: more than one score or return", remedy="pass one model's scores and each bar once")


def _vary(score: str, ret: str) -> pl.Expr:
    """Asked of the values themselves: equal ones have a variance that is not exactly 0 where their mean is rounded."""
    both = pl.col(score).is_not_null() & pl.col(ret).is_not_null()
    spread = [pl.col(name).filter(both).max() > pl.col(name).filter(both).min() for name in (score, ret)]
    return pl.all_horizontal(both.sum() >= MIN_NAMES, *spread)


def _figures(ret: str) -> dict[str, pl.Expr]:
    return {
        "names": pl.col(ret).count().cast(pl.Int64),
        "ic": ic("score", ret),
        "rank_ic": rank_ic("score", ret),
        **{name: pl.col(ret).filter(quantile=place).mean() for place, name in enumerate(QUANTILE_COLUMNS, start=1)},
    }


def _turnover(top: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """place, turnover of each session that has a top quintile, and had one `horizon` sessions before.

    Parameters
    ----------
    top : ticker, place of the session.
    """
    before = top.with_columns(place=pl.col("place") + horizon)
    counts = top.group_by("place").agg(n=pl.len()).join(before.select(pl.col("place").unique()), on="place")
    kept = top.join(before, on=["ticker", "place"], how="semi").group_by("place").agg(kept=pl.len())
    return counts.join(kept, on="place", how="left").select("place", turnover=1 - pl.col("kept").fill_null(0) / pl.col("n"))


def _summary_of(days: pl.DataFrame, *, horizon: int) -> dict[str, Any]:
    """Of the sessions of one horizon, in order."""
    told: dict[str, Any] = {"sessions": days["ic"].count(), "names": days["names"].mean()}
    told |= {name: days[name].mean() for name in (*QUANTILE_COLUMNS, "turnover")}
    for name in ESTIMATES:
        series = days[name].drop_nulls().to_numpy()
        mean = float(series.mean()) if series.size else None
        deviation = float(series.std(ddof=1)) if series.size > 1 else None
        error = standard_error(series, lags(series.size, horizon=horizon))
        told |= {name: mean, f"{name}_std": deviation, f"{name}_ir": _ratio(mean, deviation)}
        told |= {f"{name}_se": error, f"{name}_t": _ratio(mean, error)}
    return told


def _ratio(mean: float | None, deviation: float | None) -> float | None:
    return mean / deviation if mean is not None and deviation else None
