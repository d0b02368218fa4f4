"""Series of the tear sheet's charts, from tracks and bars. Drawing is `templates/tear_sheet.js`, tables are `tear_sheet_tables.py`.

Every series of one sheet lies on the same sessions; a bar or a trade names its session by its place among them. NaN is what is not
defined, which the page draws as a gap.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.backtest.drawdowns import underwater
from quant_assets.backtest.ratios import STILL, sharpe_ratio
from quant_assets.backtest.track import Track

Floats = npt.NDArray[np.float64]

ROLLING_SESSIONS = 126
CANDLE_NAMES, MARKED_TRADES = 30, 20_000
"""With plotly and ten years of bars, a page of about 4 MB."""
FAN_POINTS = 250
FEWEST_BINS, MOST_BINS = 15, 80
SIGNIFICANT_DIGITS = 6
BAR_FIELDS = ("open", "high", "low", "close")


def rolling_sharpe(returns: Floats, window: int = ROLLING_SESSIONS) -> Floats:
    """(n,) `sharpe_ratio` of the last `window` returns; NaN before, and where they do not vary."""
    return _padded(sharpe_ratio(_spans(returns, window)), returns.size)


def rolling_beta(returns: Floats, market: Floats, window: int = ROLLING_SESSIONS) -> Floats:
    """(n,) covariance with the market's returns / their variance, over the last `window`; NaN before, and where the market is flat."""
    ours, theirs = _spans(returns, window), _spans(market, window)
    off = theirs - theirs.mean(axis=1, keepdims=True)
    varies = theirs.std(axis=1, ddof=1) > STILL
    measured = np.divide((off * ours).sum(axis=1), (off**2).sum(axis=1), out=np.full(len(ours), np.nan), where=varies)
    return _padded(measured, returns.size)


def distribution(returns: Floats) -> dict[str, Any] | None:
    """Counts of daily returns in bins of equal width (Freedman and Diaconis, 1981; 15 to 80 of them); None when every one is zero.

    Returns of exactly zero are counted as `flat` and stand in no bin: of a rule that is rarely invested they would hide the others.
    """
    moved = returns[returns != 0]
    if moved.size == 0:
        return None
    bins = int(np.clip(np.histogram_bin_edges(moved, bins="fd").size - 1, FEWEST_BINS, MOST_BINS)) if moved.size > 1 else 1
    counts, edges = np.histogram(moved, bins=bins)
    return {"start": float(edges[0]), "width": float(edges[1] - edges[0]), "count": counts.tolist(), "flat": int(returns.size - moved.size)}


def fan_chart(fan: pl.DataFrame, wealth: Floats) -> dict[str, Any]:
    """The bands of resampled paths and the path that happened, USD, at no more than 250 of the steps, the last included.

    fan : step, p05, p25, p50, p75, p95, multiples of the starting wealth.
    """
    places = np.unique(np.linspace(0, fan.height - 1, min(fan.height, FAN_POINTS)).round().astype(int))
    kept = fan[places]
    bands = kept.select("step", pl.exclude("step") * float(wealth[0]))
    return compact(bands.with_columns(actual=pl.Series(wealth[kept["step"].to_numpy()])))


def candles(prices: pl.DataFrame, sessions: Sequence[dt.date], tickers: Sequence[str]) -> dict[str, Any]:
    """Bars as traded of each name, and its splits as (place, factor); a name without one complete bar is left out.

    prices : table `prices`; bars without open, high or low and bars of other sessions are not drawn.
    """
    places = _places(sessions)
    as_traded = (pl.col("price_basis") == "raw") & pl.all_horizontal(pl.col(BAR_FIELDS).is_not_null())
    bars = prices.filter(as_traded & pl.col("ticker").is_in(tickers)).join(places, on="session").sort("ticker", "at")
    drawn = {}
    for (ticker,), own in bars.partition_by("ticker", as_dict=True).items():
        splits = own.filter(pl.col("split_factor") != 1).select("at", "split_factor").rows()
        drawn[str(ticker)] = {**compact(own.select("at", *BAR_FIELDS)), "splits": splits}
    return drawn


def trade_marks(trades: pl.DataFrame, sessions: Sequence[dt.date], tickers: Sequence[str]) -> dict[str, Any]:
    """Entries, exits and stops of each name's trades, USD as traded; a trade entered before the first session is left out."""
    places = _places(sessions)
    marks = (
        trades.filter(pl.col("ticker").is_in(tickers))
        .join(places.rename({"session": "entered", "at": "in"}), on="entered")
        .join(places.rename({"at": "out"}), on="session")
        .sort("ticker", "in")
    )
    columns = ("in", "out", "side", "entry_price", "exit_price", "stop_price", "exit_reason", "pnl")
    return {str(ticker): compact(own.select(columns)) for (ticker,), own in marks.partition_by("ticker", as_dict=True).items()}


def candle_names(tracks: Sequence[Track], names: Sequence[str]) -> list[str]:
    """Names worth a picture, in alphabetical order: those with the most closed trades over all strategies, then the others.

    As many as 30, and fewer where that would be more than 20,000 trades; the first is always there.
    """
    trades = pl.concat([track.trades.select("ticker") for track in tracks])
    counts = dict(trades.group_by("ticker").len().iter_rows())
    ordered = sorted({*names, *counts}, key=lambda name: (-counts.get(name, 0), name))[:CANDLE_NAMES]
    so_far = itertools.accumulate(counts.get(name, 0) for name in ordered)
    return sorted(name for place, (name, n) in enumerate(zip(ordered, so_far, strict=True)) if n <= MARKED_TRADES or place == 0)


def line_of(track: Track) -> dict[str, Any]:
    """Wealth, drawdown, rolling Sharpe and (beside a benchmark) rolling beta at each close; the first close has no return."""
    columns = {
        "wealth": track.wealth,
        "drawdown": underwater(track.wealth),
        "sharpe": _padded(rolling_sharpe(track.returns), track.wealth.size),
    }
    if track.benchmark_returns is not None:
        columns["beta"] = _padded(rolling_beta(track.returns, track.benchmark_returns), track.wealth.size)
    return compact(pl.DataFrame(columns))


def by_close(track: Track) -> dict[str, Any]:
    """Exposure and costs so far at each close."""
    return compact(pl.DataFrame({"exposure": track.exposure, "costs": track.costs - track.costs[0]}))


def sweep_chart(rows: pl.DataFrame, current: float) -> dict[str, Any]:
    """Sharpe and entries at each threshold, and the one in the settings."""
    return {**compact(rows.select("threshold", "sharpe", entries="n_entries")), "current": current}


def compact(frame: pl.DataFrame) -> dict[str, list[Any]]:
    """Columns as JSON: six significant digits, null for what is not finite."""
    floats = pl.col(pl.Float64)
    return frame.with_columns(pl.when(floats.is_finite()).then(floats.round_sig_figs(SIGNIFICANT_DIGITS))).to_dict(as_series=False)


def _places(sessions: Sequence[dt.date]) -> pl.DataFrame:
    return pl.DataFrame({"session": sessions}, schema={"session": pl.Date}).with_row_index("at")


def _spans(returns: Floats, window: int) -> Floats:
    if returns.size < window:
        return np.empty((0, window))
    return np.lib.stride_tricks.sliding_window_view(returns, window)


def _padded(measured: Floats, n: int) -> Floats:
    """(n,) NaN up to the first full span."""
    return np.concatenate([np.full(n - measured.size, np.nan), measured])
