"""Features of 277 real histories, 2003 to 2012: by the catalogue, by one polars frame, and by what users of other packages write.

Run `python benchmarks/features.py`; `--elsewhere PYTHON` names an interpreter with ta and pyqlib (they do not fit this environment), whose
figures are otherwise left out. Each way runs in a process of its own, so that its peak memory is its own.
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
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from quant_assets.calendars import Window, session_table, year_window
from quant_assets.features.catalog import OF_BARS
from quant_assets.features.compute import compute

SHARED = Path(os.environ.get("QUANT_ASSETS_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
BARS = SHARED / "data/equities/us_daily_1990_2012.parquet"
DECADE, TWENTY_YEARS = Window(dt.date(2003, 1, 1), dt.date(2013, 1, 1)), Window(dt.date(1993, 1, 1), dt.date(2013, 1, 1))
NAMES_AT_SCALE = 500
REPETITIONS = 3


def bars(window: Window) -> pl.DataFrame:
    """Rows of `prices`; a price that cannot be is left out of its bar, and the bar where it is the close."""
    fields = ("open", "high", "low", "close")
    native = pl.read_parquet(BARS).select(
        ticker=pl.col("Ticker").cast(pl.String),
        session=pl.col("Date").cast(pl.Date),
        **{name: pl.col(name.title()).cast(pl.Float64) for name in (*fields, "volume")},
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
        inferred=pl.lit(False),
        source=pl.lit("kaggle"),
    )
    inside = native.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    positive = inside.with_columns(pl.when(pl.col(name) > 0).then(pl.col(name)) for name in fields).drop_nulls("close")
    crossed = (pl.col("high") < pl.col("low")).fill_null(False)
    possible = positive.with_columns(pl.when(~crossed).then(pl.col(name)).alias(name) for name in ("high", "low"))
    closes = session_table(window).rename({"close_at": "known_at"})
    return possible.join(closes, on="session").with_columns(fetched_at="known_at").sort("ticker", "session")


def at_scale() -> pl.DataFrame:
    """500 names of twenty years: the longest histories, some of them twice under two names."""
    whole = bars(TWENTY_YEARS)
    longest = whole.group_by("ticker").len().sort("len", "ticker", descending=[True, False])["ticker"].to_list()
    names = pl.DataFrame({"ticker": longest * 2, "copy": [""] * len(longest) + ["_2"] * len(longest)}).head(NAMES_AT_SCALE)
    twice = whole.join(names, on="ticker").with_columns(ticker=pl.col("ticker") + pl.col("copy"))
    return twice.drop("copy").sort("ticker", "session")


def best(work: Callable[[], object]) -> float:
    """Median of the repetitions, after one that is not counted."""
    work()
    taken = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def catalogue() -> dict[str, float]:
    prices = {"prices": bars(DECADE)}
    return {"seconds": best(lambda: compute(prices, names=tuple(plain()))), "columns": len(plain())}


def plain() -> dict[str, pl.Expr]:
    """Sixty features as a user of polars and polars-talib writes them, for bars that are adjusted, whole and in order."""
    import polars_talib as talib

    high, low, close, volume = (pl.col(name) for name in ("high", "low", "close", "volume"))
    change = close / close.shift(1) - 1
    typical, traded = (high + low + close) / 3, close * volume
    macd, stoch, aroon = talib.macd(close, 12, 26, 9), talib.stoch(high, low, close, 14, 3, 0, 3, 0), talib.aroon(high, low, 25)
    middle, width = close.rolling_mean(20), 2 * close.rolling_std(20, ddof=0)
    flow = ((close - low) - (high - close)) / (high - low) * volume
    found = {f"ema_{n}_distance": close / talib.ema(close, n) - 1 for n in (9, 21, 50, 200)}
    found |= {f"sma_{n}_distance": close / close.rolling_mean(n) - 1 for n in (20, 50)}
    found |= {f"ret_{n}": close / close.shift(n) - 1 for n in (1, 5, 20)}
    found |= {f"roc_{n}": 100 * (close / close.shift(n) - 1) for n in (10, 20)}
    found |= {"momentum_12_1": close.shift(21) / close.shift(252) - 1, "high_252_distance": close / close.rolling_max(252) - 1}
    found |= {"rsi_14": talib.rsi(close, 14), "cci_20": talib.cci(high, low, close, 20), "mfi_14": talib.mfi(high, low, close, volume, 14)}
    found |= {"macd": macd.struct.field("macd") / close, "macd_hist": macd.struct.field("macdhist") / close}
    found |= {"macd_signal": macd.struct.field("macdsignal") / close, "williams_r_14": talib.willr(high, low, close, 14)}
    found |= {"stochastic_k_14": stoch.struct.field("slowk"), "stochastic_d_14": stoch.struct.field("slowd")}
    found |= {"ultimate_oscillator": talib.ultosc(high, low, close, 7, 14, 28), "adx_14": talib.adx(high, low, close, 14)}
    found |= {"plus_di_14": talib.plus_di(high, low, close, 14), "minus_di_14": talib.minus_di(high, low, close, 14)}
    found |= {"aroon_up_25": aroon.struct.field("aroonup"), "aroon_down_25": aroon.struct.field("aroondown")}
    found |= {"aroon_oscillator_25": talib.aroonosc(high, low, 25), "parabolic_sar_distance": close / talib.sar(high, low, 0.02, 0.2) - 1}
    found |= {f"regression_slope_{n}": talib.linearreg_slope(close.log(), n) for n in (20, 60)}
    found |= {"atr_14_pct": talib.atr(high, low, close, 14) / close, "bollinger_width": 2 * width / middle}
    found |= {"bollinger_position": (close - middle + width) / (2 * width)}
    found |= {f"volatility_{n}": change.rolling_std(n) * 252**0.5 for n in (20, 60)}
    found |= {"volatility_ratio": change.rolling_std(20) / change.rolling_std(60)}
    found |= {"realised_skew_60": change.rolling_skew(60), "realised_kurtosis_60": change.rolling_kurtosis(60)}
    found |= {"parkinson_20": ((high / low).log() ** 2).rolling_mean(20).sqrt()}
    found |= {"donchian_20_width": (high.shift(1).rolling_max(20) - low.shift(1).rolling_min(20)) / close}
    found |= {"volume_ratio_20": volume / volume.shift(1).rolling_mean(20), "dollar_volume_20": traded.rolling_mean(20)}
    found |= {"volume_z_20": (volume - volume.rolling_mean(20)) / volume.rolling_std(20)}
    found |= {"cmf_20": flow.rolling_sum(20) / volume.rolling_sum(20), "amihud_20": (change.abs() / traded).rolling_mean(20) * 1e6}
    found |= {"vwap_20_distance": close / ((typical * volume).rolling_sum(20) / volume.rolling_sum(20)) - 1}
    found |= {"obv_slope_10": talib.linearreg_slope(talib.obv(close, volume), 10)}
    found |= {f"close_zscore_{n}": (close - close.rolling_mean(n)) / close.rolling_std(n) for n in (20, 60)}
    found |= {f"ret_1_zscore_{n}": (change - change.rolling_mean(n)) / change.rolling_std(n) for n in (20, 60)}
    found |= {f"alpha_max_{n}": high.rolling_max(n) / close for n in (5, 20, 60)}
    found |= {f"alpha_min_{n}": low.rolling_min(n) / close for n in (5, 20, 60)}
    found |= {f"alpha_vma_{n}": volume.rolling_mean(n) / volume for n in (5, 20, 60)}
    return found


def one_frame() -> dict[str, float]:
    """As window functions over one frame: nothing is adjusted, checked or protected from holes."""
    frame = bars(DECADE).lazy()
    told = [value.over("ticker").alias(name) for name, value in plain().items()]
    return {"seconds": best(lambda: frame.select("ticker", "session", *told).collect()), "columns": len(told)}


def everything() -> dict[str, float]:
    prices = {"prices": bars(DECADE)}
    compute(prices, names=("garch_volatility",))  # compiled once a machine
    begun = time.perf_counter()
    compute(prices)
    return {"seconds": time.perf_counter() - begun, "columns": len(OF_BARS)}


def alpha158() -> dict[str, float]:
    from quant_assets.features.sets import SETS

    prices = {"prices": bars(DECADE)}
    return {"seconds": best(lambda: compute(prices, names=SETS["alpha158"])), "columns": len(SETS["alpha158"])}


def through_the_step() -> dict[str, float]:
    """The whole catalogue through the step, look-back guard, reasons and files of the lake included; twice, as the first finds none."""
    from quant_assets.settings import Grids, Settings
    from quant_assets.steps.features import build_features
    from quant_assets.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        rows, home = bars(DECADE), Path(folder)
        first = rows.group_by("ticker").agg(pl.col("session").min()).sort("ticker")
        listed = [f"{ticker},bokeh,{day}" for ticker, day in first.iter_rows()]
        (home / "universe.csv").write_text("\n".join(["ticker,source,listed", *listed]) + "\n")
        grids = Grids(history_start=DECADE.start, first_cutoff=dt.date(2008, 1, 1), first_decision=dt.date(2012, 12, 31))
        settings = Settings(home=home, universe=home / "universe.csv", grids=grids, warehouse=False)
        work = Workspace.open(settings, as_of=dt.date(2012, 12, 31))
        from quant_assets.sources import sources

        [indices] = sources(settings, "index_prices")
        index = indices.normalise(indices.fetch(["sp500"], DECADE), fetched_at=dt.datetime.now(dt.UTC))
        work.lake.replace("index_prices", index.select(list(work.lake.scan("index_prices").collect_schema())), keys=None, window=DECADE)
        whole = _without_gaps(rows, first)
        work.lake.replace("prices", whole, keys=None, window=DECADE)
        windows = {str(year): year_window(year) for year in DECADE.years}
        names = whole["ticker"].unique().sort().to_list()
        given = {name: work.lake.scan(name, window=DECADE) for name in ("prices", "index_prices")}
        compute(given, names=("garch_volatility",))
        begun = time.perf_counter()
        compute(given)
        library = time.perf_counter() - begun
        begun = time.perf_counter()
        build_features(work, names, windows, run_id=None)
        return {"seconds": time.perf_counter() - begun, "library": library, "columns": len(OF_BARS)}


def _without_gaps(rows: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """The step refuses names with missing sessions: those are given the bar before, for this measurement of time only."""
    from quant_assets.schemas import TABLES

    days = session_table(DECADE)
    grid = first.rename({"session": "since"}).join(days, how="cross").filter(pl.col("session") >= pl.col("since")).sort("ticker", "session")
    filled = grid.join(rows.drop("known_at"), on=["ticker", "session"], how="left").with_columns(
        pl.all().exclude("ticker", "session", "since", "close_at").forward_fill().over("ticker")
    )
    return TABLES["prices"].conform(filled.rename({"close_at": "known_at"}).with_columns(fetched_at="known_at").drop("since"))


def scale() -> dict[str, float]:
    """The whole catalogue of 500 names and twenty years, by blocks of names as a step does it."""
    from quant_assets.steps.features import SESSIONS_A_YEAR, VALUES_AT_ONCE

    rows = at_scale()
    names = rows["ticker"].unique().sort()
    n = int(VALUES_AT_ONCE / (len(TWENTY_YEARS.years) * SESSIONS_A_YEAR * len(OF_BARS)))
    compute({"prices": rows.filter(pl.col("ticker") == names[0])}, names=("garch_volatility",))
    begun = time.perf_counter()
    for place in range(0, len(names), n):
        compute({"prices": rows.filter(pl.col("ticker").is_in(names[place : place + n].implode()))})
    return {"seconds": time.perf_counter() - begun, "columns": len(OF_BARS), "rows": rows.height}


def scale_sixty() -> dict[str, float]:
    prices = {"prices": at_scale()}
    return {"seconds": best(lambda: compute(prices, names=tuple(plain()))), "columns": len(plain()), "rows": prices["prices"].height}


def one_session() -> dict[str, float]:
    prices = {"prices": at_scale()}
    last = prices["prices"]["session"].max()
    window = Window(last, last + dt.timedelta(days=1))  # type: ignore[operator]
    return {"seconds": best(lambda: compute(prices, window=window)), "columns": len(OF_BARS)}


def growth() -> dict[str, float]:
    """Seconds for a quarter, a half and all of the names."""
    whole = bars(DECADE)
    names = whole["ticker"].unique().sort()
    parts = {share: {"prices": whole.filter(pl.col("ticker").is_in(names.gather_every(4 // share).implode()))} for share in (1, 2, 4)}
    found = {f"{share}x": best(lambda given=given: compute(given, names=tuple(plain()))) for share, given in parts.items()}  # type: ignore[misc]
    return found | {f"rows {share}x": given["prices"].height for share, given in parts.items()}


WAYS = {
    "catalogue": catalogue,
    "one frame": one_frame,
    "alpha158": alpha158,
    "everything": everything,
    "step": through_the_step,
    "scale": scale,
    "scale sixty": scale_sixty,
    "one session": one_session,
    "growth": growth,
}


def measured(way: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--way", way], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def elsewhere(python: str, way: str, file: Path) -> dict[str, float]:
    done = subprocess.run([python, Path(__file__).parent / "features_elsewhere.py", way, file], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(python: str | None) -> None:
    if not BARS.exists():
        sys.exit(f"{BARS} is not there: set QUANT_ASSETS_SHARED to the folder with shared data")
    rows = bars(DECADE)
    found = {way: measured(way) for way in WAYS}
    others: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.parquet"
        rows.select("ticker", "session", "open", "high", "low", "close", "volume").drop_nulls().write_parquet(file)
        others["pandas and TA-Lib, name by name"] = elsewhere(sys.executable, "talib", file)
        if python:
            others["pandas and ta, name by name"] = elsewhere(python, "ta", file)
            others["qlib, Alpha158 without vwap"] = elsewhere(python, "qlib", file)
    table = Table(box=None, title=f"{rows.height:,} bars of {rows['ticker'].n_unique()} names, 2003 to 2012", title_justify="left")
    for title in ("", "features", "seconds", "peak GB", "million values a second"):
        table.add_column(title, justify="left" if not title else "right")

    def row(title: str, told: dict[str, float], n_rows: int = rows.height) -> None:
        gb = f"{told['gb']:.2f}" if "gb" in told else ""
        rate = told["columns"] * n_rows / told["seconds"] / 1e6
        table.add_row(title, f"{told['columns']:.0f}", f"{told['seconds']:.2f}", gb, f"{rate:.1f}")

    row("catalogue, sixty of it", found["catalogue"])
    row("the same by hand, one polars frame with .over", found["one frame"])
    row("catalogue, Alpha158-style set", found["alpha158"])
    row("catalogue, all of it", found["everything"])
    row("the same through the step, lake included", found["step"])
    for title, told in others.items():
        row(title, told)
    row(f"{NAMES_AT_SCALE} names x 20 years, all of it by blocks of names", found["scale"], int(found["scale"]["rows"]))
    row(f"{NAMES_AT_SCALE} names x 20 years, sixty at once", found["scale sixty"], int(found["scale sixty"]["rows"]))
    Console(width=130).print(table)
    ratio = found["catalogue"]["seconds"] / found["one frame"]["seconds"]
    step = found["step"]["seconds"] / found["step"]["library"]
    print(f"Sixty features against one frame: {ratio:.2f} of its time (target: 1, aim: 0.5). Step against library: {step:.2f} (target: 2).")
    print(f"One new session of {NAMES_AT_SCALE} names with twenty years before it: {found['one session']['seconds']:.2f} s (target: 3).")
    growing = found["growth"]
    told = ", ".join(f"{growing[f'rows {n}x']:,.0f} rows {growing[f'{n}x']:.2f} s" for n in (1, 2, 4))
    print(f"Growth with the rows: {told}.")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS, help="one way alone, as JSON")
    parser.add_argument("--elsewhere", metavar="PYTHON", help="an interpreter with ta and pyqlib")
    chosen = parser.parse_args()
    if chosen.way:
        told = WAYS[chosen.way]()
        print(json.dumps({**told, "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))
    else:
        main(chosen.elsewhere)
