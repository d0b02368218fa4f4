"""Data of the interactive charts: plain JSON that the page's own script hands to plotly when a chart comes into view."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
from markupsafe import Markup

CANDLE_SESSIONS = 252
DAILY_POINTS = 520
OVERLAYS = ("ema_9", "ema_21", "ema_200", "bollinger_upper", "bollinger_middle", "bollinger_lower")
SIGNIFICANT_DIGITS = 6


def price_chart(prices: pl.DataFrame) -> dict[str, Any] | None:
    """The last 252 sessions of one name: candles, or a line of closes where a bar lacks its open, high or low; None without prices.

    prices : rows of one ticker as `ReportInputs.prices` describes them.
    """
    shown = prices.drop_nulls("close").sort("session").tail(CANDLE_SESSIONS)
    if shown.is_empty():
        return None
    traded = shown.select(pl.col("open", "high", "low").is_not_null()).min_horizontal().all() and (shown["price_basis"] == "raw").all()
    columns = (*(("open", "high", "low") if traded else ()), "close", *OVERLAYS)
    return {"candles": traded, "session": _days(shown), **{name: _values(shown[name]) for name in columns if shown[name].count()}}


def equity_chart(equity: pl.DataFrame, strategies: list[str], *, thin: bool = False) -> dict[str, Any] | None:
    """Equity of one account by strategy, in USD at each close; None when none of the strategies has any.

    equity : `equity` rows of one account and ticker.
    thin : keep each week's last close once there are more than 520 sessions, so that a page of 500 names stays light.
    """
    kept = equity.filter(pl.col("strategy").is_in(strategies))
    if kept.is_empty():
        return None
    wide = kept.pivot(on="strategy", index="session", values="equity").sort("session")
    weekly = thin and wide.height > DAILY_POINTS
    if weekly:
        wide = wide.group_by(pl.col("session").dt.truncate("1w").alias("week")).last().sort("session").drop("week")
    lines = {name: _values(wide[name]) for name in strategies if name in wide.columns}
    return {"session": _days(wide), "weekly": weekly, "lines": lines}


def embedded(chart: dict[str, Any]) -> Markup:
    """JSON that is safe inside a script element, whatever its strings hold."""
    text = json.dumps(chart, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _days(frame: pl.DataFrame) -> list[str]:
    return frame["session"].dt.to_string("%Y-%m-%d").to_list()


def _values(column: pl.Series) -> list[float | None]:
    """NaN and infinities become null, which plotly draws as a gap."""
    finite = (
        column.alias("value")
        .to_frame()
        .select(pl.when(pl.col("value").is_finite()).then(pl.col("value").round_sig_figs(SIGNIFICANT_DIGITS)))
    )
    return finite["value"].to_list()
