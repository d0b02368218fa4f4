"""Shape of one bar: body, shadows and prices over the close. The part of the family `alpha158.py` that looks back at nothing."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from quant_assets.features.feature import Feature

FAMILY = "alpha158"
SOURCE = "Yang et al. (2020), Qlib: an AI-oriented quantitative investment platform, arXiv:2009.11189; Alpha158"

# Growth is the same in all its prices, so they are read as they were traded.
OPEN_0, HIGH_0, LOW_0, CLOSE_0 = (pl.col(name) for name in ("open", "high", "low", "close"))
RANGE_0 = HIGH_0 - LOW_0
TOP = pl.when(OPEN_0.is_not_null()).then(pl.max_horizontal(OPEN_0, CLOSE_0))
BOTTOM = pl.when(OPEN_0.is_not_null()).then(pl.min_horizontal(OPEN_0, CLOSE_0))


class Shape(NamedTuple):
    """One statistic of the bar itself; inputs are columns of prices."""

    name: str
    expression: pl.Expr
    inputs: str
    unit: str
    formula: str
    meaning: str
    missing: str = "the bar lacks a price"


NO_RANGE = "the bar lacks a price or has no range"
SHAPES = (
    Shape(
        "kmid", (CLOSE_0 - OPEN_0) / OPEN_0, "open close", "fraction of open",
        "(close - open) / open", "what the session itself gained, without the gap at its open",
    ),
    Shape(
        "klen", RANGE_0 / OPEN_0, "open high low", "fraction of open",
        "(high - low) / open", "how far the price travelled within the session",
    ),
    Shape(
        "kmid2", (CLOSE_0 - OPEN_0) / RANGE_0, "open high low close", "fraction of range",
        "(close - open) / (high - low)", "how much of the session's range the body filled: near 1 or -1 one side held it all day",
        NO_RANGE,
    ),
    Shape(
        "kup", (HIGH_0 - TOP) / OPEN_0, "open high close", "fraction of open",
        "(high - max(open, close)) / open", "length of the upper shadow: how far a rise was given back",
    ),
    Shape(
        "kup2", (HIGH_0 - TOP) / RANGE_0, "open high low close", "fraction of range",
        "(high - max(open, close)) / (high - low)", "share of the session's range that is upper shadow: near 1 buyers were turned back",
        NO_RANGE,
    ),
    Shape(
        "klow", (BOTTOM - LOW_0) / OPEN_0, "open low close", "fraction of open",
        "(min(open, close) - low) / open", "length of the lower shadow: how far a fall was bought back",
    ),
    Shape(
        "klow2", (BOTTOM - LOW_0) / RANGE_0, "open high low close", "fraction of range",
        "(min(open, close) - low) / (high - low)", "share of the session's range that is lower shadow: near 1 sellers were turned back",
        NO_RANGE,
    ),
    Shape(
        "ksft", (2 * CLOSE_0 - HIGH_0 - LOW_0) / OPEN_0, "open high low close", "fraction of open",
        "(2 * close - high - low) / open",
        "twice the distance of the close from the middle of the bar: positive where buyers had the last word",
    ),
    Shape(
        "ksft2", (2 * CLOSE_0 - HIGH_0 - LOW_0) / RANGE_0, "high low close", "fraction of half range",
        "(2 * close - high - low) / (high - low)", "where the close lies in the bar: 1 at its high, -1 at its low", NO_RANGE,
    ),
    Shape(
        "open_0", OPEN_0 / CLOSE_0, "open close", "ratio",
        "open / close", "the open against the close: below 1 after a session that rose",
    ),
    Shape(
        "high_0", HIGH_0 / CLOSE_0, "high close", "ratio",
        "high / close", "how far above the close the session's high was",
    ),
    Shape(
        "low_0", LOW_0 / CLOSE_0, "low close", "ratio",
        "low / close", "how far below the close the session's low was",
    ),
    Shape(
        "typical_0", (HIGH_0 + LOW_0 + CLOSE_0) / 3 / CLOSE_0, "high low close", "ratio",
        "(high + low + close) / 3 / close, in the place of VWAP / close",
        "a usual price of the session against the close: below 1 where it closed near its high",
    ),
)  # fmt: skip
FEATURES = tuple(
    Feature(
        name=f"alpha_{shape.name}",
        family=FAMILY,
        expression=shape.expression,
        inputs=tuple(f"prices.{column}" for column in shape.inputs.split()),
        lookback=0,
        recursive=False,
        unit=shape.unit,
        formula=shape.formula,
        meaning=shape.meaning,
        missing=shape.missing,
        source=SOURCE,
    )
    for shape in SHAPES
)
