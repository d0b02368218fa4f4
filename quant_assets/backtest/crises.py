"""What an account went through in known falls of the market. Which they are stands in `crises.csv`, with where each is documented.

A fall runs from the close of `start` to the close of `end`: the highest and the lowest close of the S&P 500 in between. For the crash of
2010 and the devaluation of 2015, `start` is the last close before the day of the event.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from quant_assets.backtest.drawdowns import max_drawdown
from quant_assets.backtest.ratios import total_return
from quant_assets.backtest.track import Track

PACKAGED = Path(__file__).parent / "crises.csv"
FIGURES = ("ret", "benchmark_ret", "max_drawdown")


@cache
def crises() -> pl.DataFrame:
    """name, start, end, source, in the order of time."""
    return pl.read_csv(PACKAGED, try_parse_dates=True)


def through(track: Track) -> pl.DataFrame:
    """Each crisis as the account met it.

    Returns
    -------
    name, start, end, reached (whether the account knows both closes), ret, benchmark_ret (null without a benchmark), max_drawdown (zero
    or negative; the close of `start` counts as a peak), all fractions and null where not reached, and reason: why not.
    """
    first, last = track.sessions[0], track.sessions[-1]
    rows: list[tuple[Any, ...]] = []
    for name, start, end in crises().select("name", "start", "end").iter_rows():
        if first <= start and end <= last:
            during = slice(bisect_right(track.sessions, start) - 1, bisect_right(track.sessions, end))
            wealth = track.wealth[during]
            benchmark = None if track.benchmark is None else total_return(track.benchmark[during])
            rows.append((name, start, end, True, total_return(wealth), benchmark, max_drawdown(wealth), None))
        else:
            rows.append((name, start, end, False, None, None, None, f"the account runs from {first} to {last}"))
    figures = dict.fromkeys(FIGURES, pl.Float64)
    schema = {"name": pl.String, "start": pl.Date, "end": pl.Date, "reached": pl.Boolean, **figures, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
