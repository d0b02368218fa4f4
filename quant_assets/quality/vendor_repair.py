"""Yahoo's own errors, put right where its own frame proves what was meant: splits, units, dividends, capital gains. What lives in one bar
as traded is `repair.py`'s; what looks wrong and is not proven is left as delivered and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from quant_assets.errors import require_columns
from quant_assets.quality import vendor_dividends as dividends
from quant_assets.quality.vendor_bars import BODY, PRICES, Bars, Floats, Found, Rule
from quant_assets.quality.vendor_splits import split_levels
from quant_assets.quality.vendor_units import unit_levels, unit_prices

EVERY_RULE: tuple[Rule, ...] = (
    split_levels,
    unit_prices,
    unit_levels,
    dividends.repeated_dividends,
    dividends.dividend_units,
    dividends.large_dividends,
    dividends.missing_steps,
    dividends.gains_twice,
    dividends.unexplained_steps,
)
AS_RECORDED: tuple[Rule, ...] = (split_levels,)
"""What the lake is given: it reads no bar after the split that is listed. The others weigh later bars or later dividends, or change
adjusted closes alone."""
READ = (*PRICES, "Volume", "Dividends", "Stock Splits", "Capital Gains")
LOG = {
    "row": pl.Int64,
    "field": pl.String,
    "original": pl.Float64,
    "repaired": pl.Float64,
    "method": pl.String,
    "evidence": pl.String,
}


@dataclass(frozen=True)
class VendorRepaired:
    """rows : those that came in, in their order.

    log, refused : row (its position), field, original, repaired, method, evidence; one a cell. What was refused is in `rows` as delivered:
    its `repaired` is what it would have become, its evidence ends with the reason.
    """

    rows: pl.DataFrame
    log: pl.DataFrame
    refused: pl.DataFrame


def repair_vendor(rows: pl.DataFrame, *, stamp: str, rules: Sequence[Rule] = EVERY_RULE) -> VendorRepaired:
    """One symbol's bars with what the rules prove wrong put right, a log of what was changed, and what looks wrong and is left.

    Parameters
    ----------
    rows : Open, High, Low, Close as Yahoo gives them, in time order, and what there is of Adj Close, Volume, Dividends, Stock Splits and
        Capital Gains: where one is absent, the rules that read it find nothing. stamp : name of the column of dates or instants.
    rules : in the order in which they are applied, each to what the one before left.

    Raises
    ------
    BadArgument : a column is absent.
    """
    require_columns(rows.columns, stamp, *BODY)
    columns: dict[str, Floats] = {
        name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy(writable=True) for name in READ if name in rows.columns
    }
    delivered = bars = Bars(columns, _shown(rows[stamp]), _days(rows[stamp]))
    log, refused = [pl.DataFrame(schema=LOG)], [pl.DataFrame(schema=LOG)]
    for rule in rules:
        for found in rule(bars):
            if found.refused:
                refused.append(_cells(bars, bars.repaired(found), found))
            else:
                bars = bars.repaired(found)
                log.append(_cells(delivered, bars, found))
    changed = [_column(rows[name], bars[name]) for name in columns if bars[name] is not delivered[name]]
    return VendorRepaired(rows.with_columns(changed), _one_a_cell(pl.concat(log)), _one_a_cell(pl.concat(refused)))


def repair_each(rows: pl.DataFrame, *, key: str, stamp: str, rules: Sequence[Rule] = EVERY_RULE) -> VendorRepaired:
    """`repair_vendor` of every name in the column `key`; positions are those in `rows`."""
    placed = rows.with_row_index("_at")
    parts, log, refused = [placed.clear()], [pl.DataFrame(schema=LOG)], [pl.DataFrame(schema=LOG)]
    for own in placed.partition_by(key, maintain_order=True):
        one = repair_vendor(own, stamp=stamp, rules=rules)
        parts.append(one.rows)
        for told, into in ((one.log, log), (one.refused, refused)):
            into.append(told.with_columns(row=own["_at"].gather(told["row"]).cast(pl.Int64)))
    return VendorRepaired(pl.concat(parts).sort("_at").drop("_at"), pl.concat(log), pl.concat(refused))


def _days(stamps: pl.Series) -> float:
    """The distance of two bars, in days: the lower quartile, since weekends lie between daily ones and a running week is short."""
    between = stamps.cast(pl.Datetime("us")).diff().drop_nulls().dt.total_seconds()
    return float(between.quantile(0.25, "lower") or 0) / 86_400 if between.len() else 1.0


def _shown(stamps: pl.Series) -> tuple[str, ...]:
    """The hour only where there is one."""
    return tuple(stamps.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M").str.strip_suffix(" 00:00"))


def _column(delivered: pl.Series, repaired: Floats) -> pl.Series:
    """The repaired values, null where the vendor had none; volume in whole shares where it was."""
    shares = delivered.name == "Volume" and delivered.dtype.is_integer()
    values = pl.Series(delivered.name, repaired, nan_to_null=True)
    return values.round().cast(delivered.dtype) if shares else values


def _cells(before: Bars, after: Bars, found: Found) -> pl.DataFrame:
    evidence = f"{found.evidence}; {found.refused}" if found.refused else found.evidence
    parts = [
        pl.DataFrame(
            {
                "row": found.rows,
                "field": name,
                "original": before[name][found.rows],
                "repaired": after[name][found.rows],
                "method": found.method,
                "evidence": evidence,
            },
            schema=LOG,
        )
        for name in found.times
    ]
    return pl.concat(parts).filter(pl.col("original") != pl.col("repaired"), pl.col("original").is_finite())


def _one_a_cell(told: pl.DataFrame) -> pl.DataFrame:
    """As first found and as last left, with everything that was said of it."""
    return (
        told.group_by("row", "field", maintain_order=True)
        .agg(
            pl.col("original").first(),
            pl.col("repaired").last(),
            pl.col("method").unique(maintain_order=True).str.join("; "),
            pl.col("evidence").unique(maintain_order=True).str.join("; "),
        )
        .sort("row", "field")
    )
