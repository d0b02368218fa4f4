"""Prices that the rest of their bar proves wrong, put right where it also proves what was meant. The rest is the gate's to judge.

Only the bar itself and the close before it are evidence: a repair that read a later bar would change what was known.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quant_assets.schemas import TABLES

PRICES = ("open", "high", "low", "close")
SHIFTS = (10.0, 100.0, 0.1, 0.01)
"""Powers of ten: a slipped decimal point, zeros lost from a round price, cents for dollars."""
OUT_OF_LINE = 2.0
"""More than this factor outside the rest of its bar, a price is suspect. Of the prices labelled by hand in a million bars of US
stocks, those held for genuine come to 2.00 (SIRI, 2008-12-04, the least certain) and 1.6 (JAZZ, 2009-06-10); those held for bad begin at
2.06."""
NEAR = 1.05
"""A price times a power of ten is what was meant when it lies within this factor of the rest of its bar."""
ROUNDING = 1.001
SHIFTED, BOUNDED = "times a power of ten", "bounded by open and close"


@dataclass(frozen=True)
class Repaired:
    """rows : those that came in, in their order. log : rows of `quality_log`, one a price that was changed."""

    rows: pl.DataFrame
    log: pl.DataFrame


def repair_bars(rows: pl.DataFrame) -> Repaired:
    """Bars with a price that is off by a power of ten, or a high or low that sticks out of its bar.

    In this order: an open that the close and the close before agree against; a close outside its bar; a high or low more than a factor of 2
    outside open, close and the close before. Each is put right by the power of ten that brings it back. A high or low that none brings back
    is bounded by open and close, which understates the range of the bar and invents no price; an open or close is then left as it is.

    Parameters
    ----------
    rows : `prices` rows, each ticker's sessions in order; bars without all four prices are left as they are.
    """
    before = (pl.col("close").shift(1).over("ticker") / pl.col("split_factor")).alias("_before")
    whole = pl.all_horizontal(pl.col(name).is_finite() for name in PRICES).fill_null(False)
    fixed = rows.with_columns(before, _whole=whole).with_columns(pl.col(name).alias(f"_{name}") for name in PRICES)
    for name, told in (("_open", _open()), ("_close", _close()), ("_high", _high()), ("_low", _low())):
        fixed = fixed.with_columns(pl.when("_whole").then(told).otherwise(name).alias(name))
    log = pl.concat([_log(fixed, name) for name in PRICES]).sort("ticker", "session", "field")
    repaired = fixed.with_columns(pl.col(f"_{name}").alias(name) for name in PRICES)
    return Repaired(repaired.select(rows.columns), log)


def _apart(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    return (one > OUT_OF_LINE * other) | (other > OUT_OF_LINE * one)


def _shifted(price: pl.Expr, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """The price times the first power of ten that brings it between the limits; null when none does."""
    return pl.coalesce(pl.when((price * shift).is_between(low, high)).then(price * shift) for shift in SHIFTS)


def _open() -> pl.Expr:
    price, close, before = pl.col("_open"), pl.col("_close"), pl.col("_before")
    suspect = _apart(price, close) & _apart(price, before) & ~_apart(close, before)
    meant = _shifted(price, pl.min_horizontal(close, before) / NEAR, pl.max_horizontal(close, before) * NEAR)
    return pl.when(suspect).then(pl.coalesce(meant, price)).otherwise(price)


def _close() -> pl.Expr:
    price, low, high = pl.col("_close"), pl.col("_low"), pl.col("_high")
    suspect = ((price < low) | (price > high)) & _apart(price, pl.col("_open"))
    return pl.when(suspect).then(pl.coalesce(_shifted(price, low / ROUNDING, high * ROUNDING), price)).otherwise(price)


def _sound_body() -> pl.Expr:
    """Open and close bear each other out: only then do they say anything of high and low."""
    return (pl.min_horizontal("_open", "_close") > 0) & ~_apart(pl.col("_open"), pl.col("_close"))


def _high() -> pl.Expr:
    price, body, before = pl.col("_high"), pl.max_horizontal("_open", "_close"), pl.col("_before")
    far = price > OUT_OF_LINE * pl.max_horizontal(body, before)
    suspect = _sound_body() & (far | (OUT_OF_LINE * price < body))
    meant = _shifted(price, body / ROUNDING, body * NEAR)
    return pl.when(suspect).then(pl.max_horizontal(pl.coalesce(meant, body), body)).otherwise(price)


def _low() -> pl.Expr:
    price, body, before = pl.col("_low"), pl.min_horizontal("_open", "_close"), pl.col("_before")
    far = OUT_OF_LINE * price < pl.min_horizontal(body, before)
    suspect = _sound_body() & (far | (price > OUT_OF_LINE * body))
    meant = _shifted(price, body / NEAR, body * ROUNDING)
    return pl.when(suspect).then(pl.min_horizontal(pl.coalesce(meant, body), body)).otherwise(price)


def _log(fixed: pl.DataFrame, name: str) -> pl.DataFrame:
    """Rows of `quality_log` of the prices of this name that were changed."""
    original, repaired = pl.col(name), pl.col(f"_{name}")
    ratio = repaired / original
    shifted = pl.any_horizontal((ratio / shift - 1).abs() < ROUNDING - 1 for shift in SHIFTS)
    rest = ", ".join(f"{other} {{}}" for other in PRICES if other != name)
    before = pl.col("_before").cast(pl.String).fill_null("unknown")
    told = [*(pl.col(other) for other in PRICES if other != name), before]
    changed = fixed.filter(original != repaired).rechunk()
    return changed.select(
        pl.lit("prices").alias("table"),
        "ticker",
        "session",
        pl.lit(name).alias("field"),
        original.alias("original"),
        repaired.alias("repaired"),
        pl.when(shifted).then(pl.lit(SHIFTED)).otherwise(pl.lit(BOUNDED)).alias("method"),
        pl.format(f"as delivered: {rest}, close before {{}}", *told).alias("evidence"),
    ).select(list(TABLES["quality_log"].schema))
