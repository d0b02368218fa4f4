"""The default trade on 277 real histories, 2003 to 2012, by the engine and by what a user would pick instead; a sweep, a million orders.

Run `python benchmarks/backtest.py`; `--elsewhere PYTHON` names an interpreter with pandas and backtrader (it does not belong to this
environment), whose figures are otherwise left out. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from quant_assets.backtest import engine, kernel
from quant_assets.backtest.costs import DEFAULT_COSTS
from quant_assets.backtest.orders import of_frame
from quant_assets.backtest.tape import Tape

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
BARS = SHARED / "data/equities/us_daily_1990_2012.parquet"
PRICES = ("open", "high", "low", "close")
DECADE = dt.date(2003, 1, 1)
HOLD, STOP_ATRS = 3, 2.0
REPETITIONS = 5


def bars(since: dt.date | None = None) -> pl.DataFrame:
    """Rows of `prices`, those left out whose four prices cannot be those of one bar."""
    rows = pl.read_parquet(BARS).select(
        ticker=pl.col("Ticker").cast(pl.String),
        session=pl.col("Date").cast(pl.Date),
        **{name: pl.col(name.title()).cast(pl.Float64) for name in (*PRICES, "volume")},
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
    )
    whole = (pl.col("low") > 0) & (pl.col("low") <= pl.min_horizontal(PRICES)) & (pl.col("high") >= pl.max_horizontal(PRICES))
    return rows.filter(whole, pl.lit(True) if since is None else pl.col("session") >= since).sort("ticker", "session")


def wilder_atr(rows: pl.DataFrame) -> pl.DataFrame:
    """ticker, session, atr_14 of every bar, as a user of polars-talib writes it."""
    import polars_talib as talib

    return rows.select("ticker", "session", atr_14=talib.atr(*(pl.col(name) for name in PRICES[1:]), 14).fill_nan(None).over("ticker"))


def decided(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `decided`: at random, 4 to 60 bars apart, since vectorbt has to know beforehand when a position ends."""
    draw, found = np.random.default_rng(1), np.zeros(rows.height, dtype=bool)
    at = 0
    while at < rows.height:
        found[at] = True
        at += int(draw.integers(HOLD + 1, 60, endpoint=True))
    first = pl.int_range(pl.len()).over("ticker") > 20
    last = pl.int_range(pl.len()).reverse().over("ticker") > HOLD
    return rows.with_columns(decided=pl.Series(found) & first & last)


def orders(rows: pl.DataFrame, atr: pl.DataFrame) -> pl.DataFrame:
    """Those of the default trade."""
    return rows.select(
        "session",
        "ticker",
        equity=pl.lit(1.0),
        stop_loss=STOP_ATRS * atr["atr_14"],
        exit_after=pl.lit(HOLD, dtype=pl.Int64),
        only_flat=pl.lit(True),
    ).filter(rows["decided"])


def timed(work: Callable[..., object], prepare: Callable[[], tuple[Any, ...]] = tuple) -> float:
    """Median of the repetitions, after one that is not counted; what each is given is prepared before its clock starts."""
    taken = []
    for _ in range(REPETITIONS + 1):
        given = prepare()
        begun = time.perf_counter()
        work(*given)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def kernel_alone(tape: Tape, asked: pl.DataFrame) -> float:
    """Seconds of the compiled account on inputs that are ready and in memory that was written before."""
    told, _ = of_frame(asked, tape, by_name=True)
    told["account"] = told["name"]
    bounds, starts = np.searchsorted(told["account"], np.arange(len(tape.tickers) + 1)), np.zeros(len(tape.tickers), np.int64)
    market = engine.market(tape, DEFAULT_COSTS, engine.CASH_ACCOUNT, engine.NOTHING_SPECIAL)
    closes = np.empty((len(tape.tickers), len(tape.sessions)), kernel.CLOSE)
    book = engine.empty_book(tape, told)

    def prepare() -> tuple[Any, ...]:
        book.account[["n_fills", "n_trades", "n_refusals"]] = (0, 0, 0)
        return book._replace(orders=told.copy()), market, bounds, starts, 10_000.0, closes

    return timed(kernel.run, prepare)


def default_trade() -> dict[str, float]:
    rows = decided(bars(DECADE))
    tape, atr = Tape.of(rows), wilder_atr(rows)
    asked = orders(rows, atr)

    def from_bars() -> None:
        engine.run(Tape.of(rows), orders(rows, wilder_atr(rows)), by_name=True, costs=DEFAULT_COSTS)

    def with_indicators() -> None:
        engine.run(tape, orders(rows, wilder_atr(rows)), by_name=True, costs=DEFAULT_COSTS)

    def to_tables() -> engine.Result:
        return engine.run(tape, asked, by_name=True, costs=DEFAULT_COSTS)

    return {
        "kernel": kernel_alone(tape, asked),
        "tables": timed(to_tables),
        "with indicators": timed(with_indicators),
        "from bars": timed(from_bars),
        "catalogue's ATR": _catalogue_atr(rows),
        "trades": to_tables().trades.height,
        "decided": asked.height,
        "bars": rows.height,
    }


def _catalogue_atr(rows: pl.DataFrame) -> float:
    from quant_assets.features.compute import compute

    return timed(lambda: compute({"prices": rows}, names=("atr_14",)))


def sweep() -> dict[str, float]:
    """Thresholds x stops x sessions held, each name an account of its own."""
    from quant_assets.backtest.sweep import grid
    from quant_assets.backtest.sweep import sweep as over

    rows = bars(DECADE).with_columns(decided=pl.lit(True))
    tape, score = Tape.of(rows), np.random.default_rng(2).random(rows.height)
    asked = orders(rows, wilder_atr(rows)).with_columns(priority=pl.Series(score)).filter(pl.col("priority") > 0.95)
    asked = asked.drop_nulls("stop_loss")
    settings = grid(threshold=np.linspace(0.95, 0.99, 10).tolist(), stop=np.linspace(0.5, 2, 10).tolist(), hold=range(1, 11))
    over(tape, asked, settings[:1], by_name=True, costs=DEFAULT_COSTS)
    begun = time.perf_counter()
    found = over(tape, asked, settings, by_name=True, costs=DEFAULT_COSTS)
    return {"seconds": time.perf_counter() - begun, "settings": len(settings), "trades": int(found.figures["n_trades"].sum())}


def million() -> dict[str, float]:
    """One order for every bar of 23 years: ten shares bought, sold, bought."""
    rows = bars()
    tape, odd = Tape.of(rows), pl.int_range(pl.len()).over("ticker") % 2
    asked = rows.select("session", "ticker", shares=pl.when(odd == 0).then(10.0).otherwise(-10.0))
    seconds = timed(lambda: engine.run(tape, asked, by_name=True, costs=DEFAULT_COSTS))
    fills = engine.run(tape, asked, by_name=True, costs=DEFAULT_COSTS).fills.height
    return {"kernel": kernel_alone(tape, asked), "tables": seconds, "orders": asked.height, "fills": fills}


def monte_carlo() -> dict[str, float]:
    from quant_assets.backtest.monte_carlo import N_PATHS, bootstrap_figures, fan

    returns = np.random.default_rng(3).normal(0.0004, 0.012, 2_516)
    return {
        "fan": timed(lambda: fan(returns, seed=0)),
        "figures": timed(lambda: bootstrap_figures(returns, seed=0)),
        "paths": N_PATHS,
        "steps": returns.size,
    }


def tear_sheet() -> dict[str, float]:
    """Three portfolios of all names over ten years, beside the mean of their closes."""
    from quant_assets.backtest.track import Track
    from quant_assets.reporting.tear_sheet import Market, Strategy, TearSheet, render

    rows = decided(bars(DECADE))
    tape, asked = Tape.of(rows), orders(rows, wilder_atr(rows))
    level = rows.group_by("session").agg(wealth=pl.col("close").mean()).sort("session")

    def strategy(name: str, part: int) -> Strategy:
        told = asked.gather_every(part).with_columns(equity=pl.lit(0.02 * part))
        done = engine.run(tape, told, costs=DEFAULT_COSTS)
        return Strategy(name, name.title(), f"every decision out of {part}", Track.of(done.equity, done.trades, level))

    strategies = [strategy(name, part) for name, part in (("all", 1), ("half", 2), ("fifth", 5))]
    sheet = TearSheet("277 names", "one account of $10,000", strategies, market=Market("Mean", "no index", level), prices=rows)
    page: list[str] = []
    seconds = timed(lambda: page.append(render(sheet)))
    return {"seconds": seconds, "mb": len(page[0].encode()) / 1e6, "trades": sum(one.track.trades.height for one in strategies)}


def copies(n: int) -> Callable[[], dict[str, float]]:
    """One run of as many panels, under other names."""

    def way() -> dict[str, float]:
        once = decided(bars(DECADE))
        rows = pl.concat([once.with_columns(ticker=pl.col("ticker") + f"_{k}") for k in range(n)]).sort("ticker", "session")
        asked = orders(rows, wilder_atr(rows))
        begun = time.perf_counter()
        engine.run(Tape.of(rows), asked, by_name=True, costs=DEFAULT_COSTS)
        return {"seconds": time.perf_counter() - begun, "bars": rows.height}

    return way


def first_run() -> dict[str, float]:
    """What the first run of a process takes, on one name."""
    rows = decided(bars(DECADE).filter(pl.col("ticker") == "IBM"))
    tape, asked = Tape.of(rows), orders(rows, wilder_atr(rows))
    begun = time.perf_counter()
    engine.run(tape, asked, by_name=True, costs=DEFAULT_COSTS)
    return {"seconds": time.perf_counter() - begun}


WAYS = {
    "default trade": default_trade,
    "sweep": sweep,
    "million orders": million,
    "monte carlo": monte_carlo,
    "tear sheet": tear_sheet,
    "1x": copies(1),
    "2x": copies(2),
    "4x": copies(4),
    "first run": first_run,
}


def told_by(command: list[str | Path], **environment: str) -> dict[str, float]:
    """The JSON that a program prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def measured(way: str, **environment: str) -> dict[str, float]:
    return told_by([sys.executable, __file__, "--way", way], **environment)


def contenders(python: str | None) -> dict[str, dict[str, float]]:
    rows = decided(bars(DECADE))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.parquet"
        given = rows.select("ticker", "session", *PRICES, "decided", distance=STOP_ATRS * wilder_atr(rows)["atr_14"])
        given.write_parquet(file)
        script = Path(__file__).parent / "backtest_elsewhere.py"
        found = {way: told_by([sys.executable, script, way, file]) for way in ("vectorbt", "backtesting")}
        if python:
            found["backtrader"] = told_by([python, script, "backtrader", file])
    return found


def print_default_trade(others: dict[str, dict[str, float]]) -> None:
    own, vectorbt = measured("default trade"), others["vectorbt"]
    title = f"The default trade, {own['decided']:,.0f} decisions on {own['bars']:,.0f} bars of 277 names"
    table = Table(box=None, title=title, title_justify="left")
    for name in ("", "trades", "seconds", "of vectorbt's run"):
        table.add_column(name, justify="left" if not name else "right")

    def row(name: str, seconds: float, trades: float | None = None) -> None:
        ratio = seconds / vectorbt["seconds"]
        table.add_row(name, f"{trades:,.0f}" if trades else "", f"{seconds:.3f}", f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}")

    row("the compiled account alone", own["kernel"], own["trades"])
    row("engine.run, to tables of trades, fills and equity", own["tables"])
    row("the same with ATR14 by polars-talib", own["with indicators"])
    row("the same from rows of bars", own["from bars"])
    row("ATR14 by the catalogue, bars checked", own["catalogue's ATR"])
    row("vectorbt, Portfolio.from_signals", vectorbt["seconds"], vectorbt["trades"])
    row("the same to tables of orders, trades and equity", vectorbt["tables"])
    row("its inputs from rows of bars", vectorbt["preparing"])
    for way, name in (("backtesting", "backtesting.py, name by name"), ("backtrader", "backtrader, name by name")):
        if way in others:
            share = 277 / others[way]["names"]
            scaled = f", {others[way]['names']:.0f} names x {share:.2f}" if share > 1 else ""
            row(name + scaled, others[way]["seconds"] * share, others[way]["trades"] * share)
    Console(width=130).print(table)


def print_the_rest(compiling_vectorbt: float) -> None:
    swept, asked, drawn, sheet = (measured(way) for way in ("sweep", "million orders", "monte carlo", "tear sheet"))
    table = Table(box=None)
    for name in ("", "seconds", "target"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row(f"sweep of {swept['settings']:,.0f} settings, {swept['trades']:,.0f} trades", f"{swept['seconds']:.1f}", "30")
    table.add_row(f"{asked['orders']:,.0f} orders, the compiled account", f"{asked['kernel']:.2f}", "0.5")
    table.add_row(f"the same to tables, {asked['fills']:,.0f} fills", f"{asked['tables']:.2f}", "")
    table.add_row(f"fan of {drawn['paths']:,.0f} paths of {drawn['steps']:,.0f} sessions", f"{drawn['fan']:.1f}", "10")
    table.add_row("their figures", f"{drawn['figures']:.1f}", "10")
    table.add_row(f"tear sheet of {sheet['trades']:,.0f} trades, {sheet['mb']:.1f} MB (target: 5)", f"{sheet['seconds']:.1f}", "5")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first run on a machine, compiled anew", "first run of a process, compiled before"):
            table.add_row(name, f"{measured('first run', NUMBA_CACHE_DIR=folder)['seconds']:.1f}", "")
    table.add_row("vectorbt's first run of a process", f"{compiling_vectorbt:.1f}", "")
    Console(width=130).print(table)


def print_memory() -> None:
    grown = [measured(way) for way in ("1x", "2x", "4x")]
    print("; ".join(f"{one['bars']:,.0f} bars: {one['seconds']:.2f} s, peak {one['gb']:.2f} GB" for one in grown), end=". ")
    more = [1e9 * (after["gb"] - before["gb"]) / (after["bars"] - before["bars"]) for before, after in pairwise(grown)]
    print(f"Bytes for each further bar: {more[0]:.0f}, then {more[1]:.0f} (linear: the same).")


def main(python: str | None) -> None:
    if not BARS.exists():
        sys.exit(f"{BARS} is not there: set QUANT_ASSETS_SHARED to the folder with shared data")
    others = contenders(python)
    print_default_trade(others)
    print_the_rest(others["vectorbt"]["compiling"])
    print_memory()
    print(f"Load of the machine in the last minutes: {' '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS, help="one way alone, as JSON")
    parser.add_argument("--elsewhere", metavar="PYTHON", help="an interpreter with pandas and backtrader")
    chosen = parser.parse_args()
    if chosen.way:
        told = WAYS[chosen.way]()
        print(json.dumps({**told, "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))
    else:
        main(chosen.elsewhere)
