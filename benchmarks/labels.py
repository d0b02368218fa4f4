"""Labels and sample weights of 277 real histories, 2003 to 2012, beside the published snippets as a user would run them with pandas.

Run `python benchmarks/labels.py`. The snippets take one event at a time; they run on a sample, and their time for all is that of the sample
times its share, which flatters them where the sample is short. Nothing here is split or paid: the file's prices are adjusted already.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
from features import BARS, DECADE, bars, best
from rich.console import Console
from rich.table import Table

from quant_assets.calendars import Window, session_table
from quant_assets.labels.concurrency import average_uniqueness
from quant_assets.labels.cross_section import quintile_labels
from quant_assets.labels.events import cusum_events
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.labels.forward_volatility import forward_volatility_labels
from quant_assets.labels.sequential_bootstrap import sequential_bootstrap
from quant_assets.labels.trend_scanning import LONGEST, SHORTEST, trend_scanning_labels
from quant_assets.labels.triple_barrier import triple_barrier_labels
from quant_assets.labels.weights import return_attribution

AS_OF = DECADE.last_day
SESSIONS = session_table(Window(DECADE.start, dt.date(2014, 1, 1)))
HORIZON, TIMES, THRESHOLD = 20, 2.0, 0.05
OVERLAPPING = 100_000
SAMPLE = 1_000
"""Events that a snippet labels."""
DRAWN, DRAWN_BY_SNIPPET = 5_000, 100


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def touches(close: pd.Series, volatility: pd.Series, events: pd.DatetimeIndex) -> list[object]:
    """Lopez de Prado (2018), snippet 3.2: closes alone."""
    found = []
    for start in events:
        place = close.index.get_loc(start)
        path = close.iloc[place : place + HORIZON + 1] / close.loc[start] - 1
        limit = TIMES * volatility.loc[start]
        found.append(pd.Series([path[path < -limit].index.min(), path[path > limit].index.min()]).min())
    return found


def trends(close: pd.Series, events: pd.DatetimeIndex) -> list[float]:
    """Lopez de Prado (2020), snippets 5.1 and 5.2, its regression by matrices instead of statsmodels, which takes several times longer."""
    found = []
    for start in events:
        place, t = close.index.get_loc(start), 0.0
        for ahead in range(SHORTEST, LONGEST + 1):
            y = close.iloc[place : place + ahead + 1].to_numpy()
            x = np.column_stack((np.ones(y.size), np.arange(y.size)))
            inverse = np.linalg.inv(x.T @ x)
            beta = inverse @ x.T @ y
            now = beta[1] / np.sqrt(((y - x @ beta) ** 2).sum() / (y.size - 2) * inverse[1, 1])
            t = now if abs(now) > abs(t) else t
        found.append(t)
    return found


def uniqueness(index: pd.DatetimeIndex, ends: pd.Series) -> pd.Series:
    """Lopez de Prado (2018), snippets 4.1 and 4.2: labels of one name."""
    count = pd.Series(0.0, index=index)
    for start, end in ends.items():
        count.loc[start:end] += 1
    return pd.Series({start: (1 / count.loc[start:end]).mean() for start, end in ends.items()})


def drawn(indicators: np.ndarray, seed: int) -> list[int]:
    """Lopez de Prado (2018), snippet 4.5: all labels weighed anew at every draw."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(indicators.shape[1]):
        weights = np.empty(indicators.shape[1])
        for column in range(indicators.shape[1]):
            joined = indicators[:, [*found, column]]
            own = joined[:, -1] / np.maximum(joined.sum(axis=1), 1)
            weights[column] = own[own > 0].mean()
        found.append(int(rng.choice(weights.size, p=weights / weights.sum())))
    return found


def main() -> None:
    if not BARS.exists():
        sys.exit(f"{BARS} is not there: set QUANT_ASSETS_SHARED to the folder with shared data")
    rows = bars(DECADE)
    prices = rows.lazy()
    change = pl.col("close") / pl.col("close").shift(1) - 1
    events = rows.select("ticker", "session", volatility=change.rolling_std(HORIZON).over("ticker"))
    barriers = triple_barrier_labels(events, prices, SESSIONS, horizon=HORIZON, profit=TIMES, stop=TIMES, as_of=AS_OF).drop_nulls("label")
    returns = forward_return_labels(prices, SESSIONS, horizon=HORIZON, as_of=AS_OF)
    overlapping = returns.drop_nulls("label").head(OVERLAPPING)

    one = rows.filter(ticker=rows["ticker"][0])
    close = pd.Series(one["close"].to_numpy(), index=pd.DatetimeIndex(one["session"].to_numpy()))
    volatility = close.pct_change().rolling(HORIZON).std()
    sample = close.index[HORIZON + 1 : HORIZON + 1 + SAMPLE]
    ends = pd.Series(close.index[2 * HORIZON + 1 : 2 * HORIZON + 1 + SAMPLE], index=sample)
    share, overlap_share = rows.height / SAMPLE, OVERLAPPING / SAMPLE

    table = Table(box=None, title=f"{rows.height:,} bars of {rows['ticker'].n_unique()} names, 2003 to 2012", title_justify="left")
    for title in ("", "rows", "seconds", "the snippet, seconds"):
        table.add_column(title, justify="left" if not title else "right")

    def row(title: str, n: int, work: Callable[[], object], snippet: float | None = None) -> None:
        table.add_row(title, f"{n:,}", f"{best(work):.2f}", "" if snippet is None else f"{snippet:,.1f}")

    n = rows.height
    barrier = {"horizon": HORIZON, "profit": TIMES, "stop": TIMES, "as_of": AS_OF}
    row("direction, 3 sessions", n, lambda: forward_return_labels(prices, SESSIONS, as_of=AS_OF))
    row(f"direction, {HORIZON} sessions", n, lambda: forward_return_labels(prices, SESSIONS, horizon=HORIZON, as_of=AS_OF))
    row(f"volatility, {HORIZON} sessions", n, lambda: forward_volatility_labels(prices, SESSIONS, horizon=HORIZON, as_of=AS_OF))
    row(f"triple barrier within {HORIZON}, open, high and low", n, lambda: triple_barrier_labels(events, prices, SESSIONS, **barrier))
    by_snippet = seconds(lambda: touches(close, volatility, sample)) * share
    row("the same by closes", n, lambda: triple_barrier_labels(events, prices, SESSIONS, **barrier, touch="close"), by_snippet)
    by_snippet = seconds(lambda: trends(close, sample)) * share
    row(f"trend scanning, {SHORTEST} to {LONGEST}", n, lambda: trend_scanning_labels(prices, SESSIONS, as_of=AS_OF), by_snippet)
    row("quintile of the return", n, lambda: quintile_labels(returns, as_of=AS_OF))
    row(f"CUSUM events, {THRESHOLD}", n, lambda: cusum_events(prices, THRESHOLD, as_of=AS_OF))
    by_snippet = seconds(lambda: uniqueness(close.index, ends)) * overlap_share
    row(f"uniqueness of {HORIZON}-session labels", OVERLAPPING, lambda: average_uniqueness(overlapping, SESSIONS), by_snippet)
    row("uniqueness of triple barriers", barriers.height, lambda: average_uniqueness(barriers, SESSIONS))
    row("return attribution", OVERLAPPING, lambda: return_attribution(overlapping, prices, SESSIONS))
    row("sequential bootstrap", DRAWN, lambda: sequential_bootstrap(overlapping.head(DRAWN), SESSIONS, seed=1))
    indicators = np.array(
        [[start <= day <= start + HORIZON for start in range(DRAWN_BY_SNIPPET)] for day in range(DRAWN_BY_SNIPPET + HORIZON)]
    )
    few = overlapping.head(DRAWN_BY_SNIPPET)
    by_snippet = seconds(lambda: drawn(indicators.astype(float), 1))
    row("the same of few, whose time the snippet cubes", few.height, lambda: sequential_bootstrap(few, SESSIONS, seed=1), by_snippet)
    Console(width=130).print(table)
    taken = best(lambda: average_uniqueness(overlapping, SESSIONS))
    print(f"Uniqueness of {OVERLAPPING:,} overlapping labels: {taken:.2f} s (target: 1).")
    print(
        f"Snippets ran on {SAMPLE:,} events or labels of one name, and their time is scaled up to the rows; bootstrap draws are not scaled."
    )


if __name__ == "__main__":
    main()
