"""What a feature is, and the columns its expression may read. The list of features is `catalog.py`; families hold the mathematics."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

USD = "USD"
SPLITS_AND_DIVIDENDS = ("prices.split_factor", "prices.dividend")


@dataclass(frozen=True, eq=False)
class Feature:
    """One feature: how it is computed and everything a reader must know to trust it.

    `compute.py` evaluates the expression ticker by ticker on bars in session order, so a family never names the ticker and never sees
    another one. The expression reads `adj_open adj_high adj_low adj_close adj_volume growth` (see `adjustments.forward_adjusted`),
    `price_basis` and `index_close` (S&P 500 on the same session), and must not look ahead. NaN and infinities become null.

    Parameters
    ----------
    expression : one Float64 value a bar.
    inputs : "table.column" of every stored column that can change a value; a test holds them to it.
    lookback : sessions before t that a value needs: the first value stands on the ticker's bar number `lookback` (from 0).
    recursive : the value also depends on every earlier bar since the first stored one, with fading weight.
    unit : "USD" is reserved for price levels, which models do not read.
    missing : when the value is null although the look-back is complete.
    version : raise it whenever values change; it is part of the feature-set hash.
    """

    name: str
    family: str
    expression: pl.Expr
    inputs: tuple[str, ...]
    lookback: int
    recursive: bool
    unit: str
    meaning: str
    missing: str
    source: str
    version: int = 1
