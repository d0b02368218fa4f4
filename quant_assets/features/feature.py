"""What a feature is, and what its expression may read. The list of features is `catalog.py`; families hold the mathematics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

USD = "USD"
FLAG = "0 or 1"
LEVELS: Mapping[str, tuple[int, int] | None] = {
    USD: (1, 0),
    "USD a session": (1, 1),
    "log10 USD a session": None,
    "log10 USD": None,
    "1/million USD": (-1, -1),
}
"""Units that move when all prices or all volumes are multiplied, and with which power of each (None: otherwise); no other unit does."""
SPLITS_AND_DIVIDENDS = ("prices.split_factor", "prices.dividend")
CLOSES = ("prices.close", *SPLITS_AND_DIVIDENDS)
"""What the total-return close is made of."""
RANGES = ("prices.high", "prices.low", *CLOSES)
BARS = ("prices.open", *RANGES)
VOLUMES = ("prices.volume", "prices.split_factor")
COLUMNS = (
    "session", "open", "high", "low", "close", "volume", "price_basis", "split_factor", "dividend", "inferred",
    "adj_open", "adj_high", "adj_low", "adj_close", "adj_volume", "growth", "split_growth", "index_close",
)  # fmt: skip
"""What an expression may read of a bar."""
Tables = Mapping[str, pl.LazyFrame]
"""Rows of tables of the lake, every version of them, by the table's name."""
ELIGIBLE = "across_eligible"
"""Whether a row is one of those that are ranked: what features across names are computed among."""
ADJUSTED = "adjusted"
"""Beside those tables: every bar of the names from the first stored one on, adjusted."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One feature: how it is computed and everything a reader must know to trust it.

    `compute.py` evaluates the expression ticker by ticker on bars in session order, so a family never names the ticker and never sees
    another one. The expression reads COLUMNS (those of `prices` as stored, `adj_open adj_high adj_low adj_close adj_volume growth
    split_growth` of `adjustments.forward_adjusted`, `index_close`: the S&P 500 on the same session), the columns of its family's `Beside`
    and columns of `shared.py`, and must not look ahead. NaN and infinities become null.

    Parameters
    ----------
    name : of a-z, 0-9 and _, a letter first; it is a column of the table.
    expression : one Float64 value a bar.
    inputs : "table.column" of every stored column that can change a value, or "table.column:SERIES" of one series of it; a test holds
        them to it.
    lookback : sessions before t that a value needs: the first value stands on the ticker's bar number `lookback` (from 0).
    recursive : the value also depends on every earlier bar since the first stored one.
    unit : "USD" is reserved for price levels, which models do not read.
    formula : how it is computed, in one line.
    meaning : what it tells a trader.
    missing : when the value is null although the look-back is complete; "never" if never.
    low, high : no value lies outside; None is no bound.
    version : raise it whenever values change; it is part of the feature-set hash.
    across : read over all names of a session at once, from the other features (see `cross_section.py`).
    """

    name: str
    family: str
    expression: pl.Expr
    inputs: tuple[str, ...]
    lookback: int
    recursive: bool
    unit: str
    formula: str
    meaning: str
    missing: str
    source: str
    low: float | None = None
    high: float | None = None
    version: int = 1
    across: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables it reads, each once."""
        return tuple(dict.fromkeys(column.partition(".")[0] for column in self.inputs))


@dataclass(frozen=True, eq=False)
class Beside:
    """Columns that other tables give to each bar, as known at its close: what the expressions of a family may read beside the bar.

    Parameters
    ----------
    tables : the tables it reads; one that a profile does not have is given without rows.
    columns : the columns it adds, named so that no other family's have the same name.
    join : the bars (sorted by ticker and session, with `close_at`, the UTC instant of the close) and the tables to the same rows in the
        same order with the columns added, null where nothing was known; it is not asked where none of the tables has a row. `known.py` has
        the joins that keep to that. The bars may begin later than their names do: who reads earlier ones finds all of them under ADJUSTED.
    """

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    join: Callable[[pl.LazyFrame, Tables], pl.LazyFrame]
