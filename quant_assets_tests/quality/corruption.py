"""Bars damaged at random, and the balance that must hold whatever arrives: each row is accepted, or its cell is withheld and says why."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from quant_assets.calendars import Window
from quant_assets.quality.doubts import doubts
from quant_assets.quality.gate import Verdict, judge_prices
from quant_assets.quality.repair import PRICES, repair_bars
from quant_assets.universe import Listing, Universe
from quant_assets_tests.small import FETCHED_AT, delivered

D = dt.date
WINDOW = Window(D(2012, 11, 1), D(2013, 2, 1))
NAMES = ("AAPL", "MSFT")
UNIVERSE = Universe(tuple(Listing(name, "bokeh", D(2000, 3, 1)) for name in NAMES), Path("u"))
NUMBERS = (*PRICES, "volume", "split_factor", "dividend")
NAN, INF = float("nan"), float("inf")
WRONG = (None, NAN, INF, -INF, 0.0, -1.0, 1e-9, 1e300)
FACTORS = (10.0, 100.0, 0.1, 0.01, 7.0, 1 / 7, -1.0, 3.0)


def sound() -> pl.DataFrame:
    """Two real names of three months, and the bar before."""
    return delivered("bokeh", *NAMES, window=WINDOW).sort("ticker", "session")


places = st.integers(0, 10_000)
blows = st.one_of(
    st.tuples(st.just("value"), places, st.sampled_from(NUMBERS), st.sampled_from(WRONG)),
    st.tuples(st.just("factor"), places, st.sampled_from(NUMBERS), st.sampled_from(FACTORS)),
    st.tuples(st.just("bar"), places, st.just(""), st.sampled_from(FACTORS)),
    st.tuples(st.just("move"), places, st.just(""), st.integers(-400, 400)),
    st.tuples(st.sampled_from(("lose", "repeat", "swap")), places, st.just(""), st.just(0)),
)
damages = st.lists(blows, min_size=1, max_size=8)
Blow = tuple[str, int, str, float | int | None]


def damaged(rows: pl.DataFrame, told: list[Blow]) -> pl.DataFrame:
    for kind, place, column, by in told:
        at = place % max(rows.height, 1)
        here = pl.int_range(pl.len()) == at
        if kind == "value":
            rows = rows.with_columns(pl.when(here).then(pl.lit(by, dtype=pl.Float64)).otherwise(column).alias(column))
        elif kind in ("factor", "bar"):
            columns = [column] if kind == "factor" else list(PRICES)
            rows = rows.with_columns(pl.when(here).then(pl.col(name) * by).otherwise(name).alias(name) for name in columns)
        elif kind == "move":
            rows = rows.with_columns(session=pl.when(here).then(pl.col("session") + dt.timedelta(days=int(by or 0))).otherwise("session"))
        elif kind == "lose":
            rows = rows.filter(~here)
        elif kind == "repeat":
            rows = pl.concat([rows, rows.filter(here)])
        else:
            rows = rows.with_columns(
                pl.when(here).then("low").otherwise("high").alias("high"), pl.when(here).then("high").otherwise("low").alias("low")
            )
    return rows


def assert_balanced(arrived: pl.DataFrame) -> Verdict:
    """Nothing is lost, nothing is invented, and each withheld cell says why."""
    repaired = repair_bars(arrived.sort("ticker", "session", maintain_order=True))
    assert repaired.rows.height == arrived.height
    verdict = judge_prices(repaired.rows, UNIVERSE, WINDOW, fetched_at=FETCHED_AT)
    inside = repaired.rows.filter(pl.col("session").is_between(WINDOW.start, WINDOW.end, closed="left"))
    cells = pl.DataFrame(list(verdict.withheld), schema={"ticker": pl.String, "year": pl.Int32}, orient="row")
    kept_out = inside.with_columns(year=pl.col("session").dt.year()).join(cells, on=["ticker", "year"], how="semi")
    assert verdict.accepted.height + kept_out.height == inside.height
    assert verdict.accepted.height == 0 or verdict.accepted.join(inside, on=["ticker", "session"], how="anti").is_empty()
    why = {(ticker, session.year) for ticker, session in verdict.quarantined.select("ticker", "session").rows()}
    assert why == set(verdict.withheld)
    assert all(json.loads(row) is not None for row in verdict.quarantined["row"])
    prices = verdict.accepted.select(pl.col(PRICES).is_finite() & (pl.col(PRICES) > 0))
    assert all(prices[name].all() for name in PRICES)
    assert verdict.accepted.filter(pl.col("high") < pl.max_horizontal("open", "close")).is_empty()
    doubts("prices", verdict.accepted)
    return verdict
