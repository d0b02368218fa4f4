"""Evaluates catalogue features on tables. What each one means is said in its family file; where the rows go is the lake's business."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from quant_assets.adjustments import PRICES, forward_adjusted, in_order
from quant_assets.calendars import Window, session_table
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.features.catalog import BESIDE, CATALOG, OF_BARS, package_of, select
from quant_assets.features.feature import ADJUSTED, Beside, Feature, Tables
from quant_assets.features.registration import refuse_unknown_inputs
from quant_assets.features.shared import evaluate, first_bars, root_names
from quant_assets.schemas import TABLES

INDEX_SERIES = "sp500"
EVER = Window(dt.date.min, dt.date.max)
ROW = ["ticker", "session"]
INSIDE = "inside"
"""Of bars, where a window is given: whether this one is asked for, and not one that it looks back on."""
READ = tuple(dict.fromkeys(["prices", "index_prices", *(table for beside in BESIDE for table in beside.tables)]))
"""The tables that features read."""
ROWS_AT_ONCE = 150_000
"""Bars: what features share of them is 1 MB a column, and stays near the processor."""
LOOKBACK_STEPS = (64, 260)
"""Sessions: where the groups of `_alike` end."""
NUMBERS = (*PRICES, "volume", "split_factor", "dividend")
WITHOUT = {"open": None, "high": None, "low": None, "volume": None, "split_factor": 1.0, "dividend": 0.0, "price_basis": "raw"}
"""What is taken of each bar where prices have no such column: prices as traded, of a name without corporate actions."""

# here and not in the catalogue, whose names are columns of those tables
refuse_unknown_inputs(((one, package_of(one)) for one in CATALOG.values()), {name: table.schema for name, table in TABLES.items()})


def compute(
    tables: Mapping[str, pl.LazyFrame | pl.DataFrame], *, window: Window | None = None, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Features of every bar, as known at its close.

    Parameters
    ----------
    tables : polars frames with rows of tables of the lake, by name. `prices` is needed, with all history of each ticker from its first
        stored bar (recursive features start there); bars after the window are ignored. It has `ticker`, `session` (Date) and `close`
        (USD), and may lack the others: without `open`, `high`, `low` or `volume` the features that read them are null; without
        `split_factor` (new shares for an old one) and `dividend` (USD a share, on the ex-day) there was none; without `price_basis` the
        prices are as traded. Prices that a vendor has adjusted are told by a column `price_basis` of "adjusted": features that need a
        raw level are then null. Of the other tables in READ one that is not given counts as empty, and the features that need it are null.
    window : sessions to return; all when None.
    names : features of bars, in this order; all of them when None.

    Returns
    -------
    (n_bars, 2 + n_features): `ticker`, `session` and one Float64 column a feature, sorted by (ticker, session). Null: not enough
    history, or the feature's `missing` rule; never NaN or infinite. A row reads bars with session <= its own, of its own ticker, and
    of other tables what was known at its close.

    Raises
    ------
    BadArgument : an unknown feature name, one that is read across names (`cross_section.py`), no prices, prices without a needed column or
        with one of another type.
    QuantAssetsError : a price or volume that cannot be, a high below its low, two bars of one session, an impossible corporate action; a
        feature whose expression fails, by name.
    """
    return compute_each([tables], None if window is None else [window], names=names)[0]


def compute_each(
    several: Sequence[Mapping[str, pl.LazyFrame | pl.DataFrame]],
    windows: Sequence[Window] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> list[pl.DataFrame]:
    """As `compute` of each in the window of its place, in the time that small ones take together: hundreds of expressions are planned
    once."""
    features = select(tuple(OF_BARS) if names is None else names)
    if across := [feature.name for feature in features if feature.across]:
        raise BadArgument(f"{', '.join(across)} cannot be computed name by name", remedy="use across.compute")
    each = [None] * len(several) if windows is None else windows
    given = [_given(tables, window) for tables, window in zip(several, each, strict=True)]
    keys = [(bars if windows is None else bars.filter(INSIDE)).select(ROW) for _, bars in given]
    groups = [list(features)] if windows is None else _alike(features)
    parts = []
    for alike in filter(None, groups):
        rows = [_with_beside(bars if windows is None else _near(bars, alike), tables, alike) for tables, bars in given]
        parts.append(_finite(_values(_below(rows), alike)))
    whole = pl.concat(parts, how="horizontal").select(feature.name for feature in features) if parts else pl.DataFrame()
    begins = itertools.accumulate((rows.height for rows in keys), initial=0)
    return [rows.hstack(whole.slice(begin, rows.height)) for begin, rows in zip(begins, keys, strict=False)]


def _given(tables: Mapping[str, pl.LazyFrame | pl.DataFrame], window: Window | None) -> tuple[Tables, pl.DataFrame]:
    """Every table that features read, the adjusted bars among them, and these bars, with INSIDE where there is a window."""
    if "prices" not in tables:
        raise BadArgument("no table prices among the tables given", remedy="give its rows, a frame without any if there are none")
    for name in tables.keys() & set(READ):
        _refuse_other_frame(name, tables[name])
    given = {name: tables[name].lazy() if name in tables else pl.LazyFrame(schema=TABLES[name].schema) for name in READ}
    given["prices"] = _whole_bars(given["prices"])
    prices = given["prices"] if window is None else given["prices"].filter(pl.col("session") < window.end)
    bars = forward_adjusted(_possible(prices).lazy()).collect()
    asked = bars if window is None else bars.with_columns((pl.col("session") >= window.start).alias(INSIDE))
    return given | {ADJUSTED: bars.lazy()}, asked


def _refuse_other_frame(name: str, frame: object) -> None:
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        kind = f"{type(frame).__module__.partition('.')[0]} {type(frame).__name__}"
        remedy = "make one of it, as pl.from_pandas(frame.reset_index())"
        raise BadArgument(f"table {name} is a {kind}, and a table is a polars frame", remedy=remedy)


def _whole_bars(prices: pl.LazyFrame) -> pl.LazyFrame:
    """The bars with every column that features read, as WITHOUT says where there is none."""
    schema = prices.collect_schema()
    if lacking := [name for name in (*ROW, "close") if name not in schema]:
        remedy = f"it needs ticker, session (a Date) and close (USD), and may have {', '.join(WITHOUT)}"
        raise BadArgument(f"table prices has no column {', '.join(lacking)}, only {', '.join(schema) or 'none'}", remedy=remedy)
    if schema["session"] != pl.Date:
        remedy = 'make it one, as pl.col("session").str.to_date()' if schema["session"] == pl.String else 'take pl.col("session").dt.date()'
        raise BadArgument(f"column session of prices is {schema['session']}, and it must be a Date", remedy=remedy)
    types = {name: schema[name] for name in NUMBERS if name in schema and schema[name] != pl.Float64}
    if wrong := [name for name, dtype in types.items() if not (dtype.is_numeric() or dtype == pl.Null)]:
        raise BadArgument(f"column {wrong[0]} of prices is {types[wrong[0]]}, and it must be a number", remedy="cast it to pl.Float64")
    added = [
        pl.lit(value, dtype=pl.String if name == "price_basis" else pl.Float64).alias(name)
        for name, value in WITHOUT.items()
        if name not in schema
    ]
    return prices.with_columns(*added, *(pl.col(name).cast(pl.Float64) for name in types))


def _below(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames one below the other; where there are several, each with tickers of its own."""
    if len(frames) == 1:
        return frames[0]
    named = [rows.with_columns(ticker=pl.format("{} {}", pl.lit(place), "ticker")) for place, rows in enumerate(frames)]
    return pl.concat(named, how="vertical_relaxed")


def _near(bars: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """The bars that are asked for and of each name as many before them as the features look back; all that are there for recursive ones."""
    if features[0].recursive:
        return bars
    inside, starts = bars[INSIDE].to_numpy(), first_bars(bars)
    place, lookback = np.arange(bars.height), max(feature.lookback for feature in features)
    first = np.minimum.reduceat(np.where(inside, place, bars.height), starts) if bars.height else starts
    since = np.repeat(first - lookback, np.diff(starts, append=bars.height))
    return bars.filter(pl.Series(place >= since))


def _with_beside(bars: pl.DataFrame, tables: Tables, features: Sequence[Feature]) -> pl.DataFrame:
    """The columns that the features read, of the bars and of what was known beside them."""
    reads = root_names(feature.expression for feature in features)
    rows = bars.lazy()
    if "index_close" in reads:
        index = tables["index_prices"].filter(pl.col("series") == INDEX_SERIES).select("session", index_close="close")
        rows = rows.join(index, on="session", how="left", maintain_order="left")
    if needed := [beside for beside in BESIDE if reads & set(beside.columns)]:
        rows = rows.join(session_table(EVER).lazy(), on="session", how="left", maintain_order="left")
        for beside in needed:
            if _is_silent(beside, tables):
                rows = rows.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in _types(beside).items())
            else:
                rows = beside.join(rows, tables)
    read = [name for name in rows.collect_schema().names() if name in reads or name == INSIDE]
    return rows.select(*ROW, *(name for name in read if name not in ROW)).collect()


def _is_silent(beside: Beside, tables: Tables) -> bool:
    """Whether none of its tables has a row: nothing was known then, and to plan the joins that say so takes longer than a small night."""
    return bool(beside.tables) and all(tables[name].select(pl.first()).head(1).collect().is_empty() for name in beside.tables)


@cache
def _types(beside: Beside) -> dict[str, pl.DataType]:
    """The columns that it adds, with their types."""
    tables, bars = _given({"prices": TABLES["prices"].empty}, None)
    rows = bars.lazy().join(session_table(EVER).lazy(), on="session", how="left")
    added = beside.join(rows, tables).collect_schema()
    return {name: added[name] for name in beside.columns}


def _alike(features: Sequence[Feature]) -> list[list[Feature]]:
    """The features in groups that need about as much of the past: whoever asks for a session does not pay for a year of every feature."""
    reach = [math.inf if feature.recursive else feature.lookback for feature in features]
    bounds = [-1, *LOOKBACK_STEPS, math.inf]
    groups = [[f for f, far in zip(features, reach, strict=True) if near < far <= end] for near, end in itertools.pairwise(bounds)]
    recursive = [feature for feature in groups[-1] if feature.recursive]
    groups[-1:] = [[feature for feature in groups[-1] if not feature.recursive], recursive]
    return groups


def _values(bars: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """One column a feature for the bars that are asked for, from these bars."""
    inside = INSIDE if INSIDE in bars.columns else None
    columns = [feature.expression.alias(feature.name) for feature in features]

    def evaluated(some: pl.DataFrame) -> pl.DataFrame:
        try:
            values = evaluate(some, columns, inside=inside)
        except pl.exceptions.PolarsError as error:
            # beside a session, since one that gives too few values fails only beside a column of another length
            raise which_fails(features, lambda one: evaluate(some, [one.expression.alias(one.name), pl.col("session")]), error) from error
        return values.drop("ticker").with_columns(_numbers(values, features))

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return pl.concat(pool.map(evaluated, _by_names(bars)))


def which_fails(features: Sequence[Feature], evaluated: Callable[[Feature], object], error: pl.exceptions.PolarsError) -> QuantAssetsError:
    """What went wrong as an error that names the feature: the first that fails when it is evaluated alone."""
    for feature in features:
        try:
            evaluated(feature)
        except pl.exceptions.PolarsError as alone:
            return _failing(feature, f"{type(alone).__name__}: {str(alone).splitlines()[0]}")
    return QuantAssetsError(f"features cannot be computed together: {error}", remedy="name fewer of them, to see which")


def _failing(feature: Feature, why: str) -> QuantAssetsError:
    told = f"feature {feature.name} of {package_of(feature)} cannot be computed: {why}"
    return QuantAssetsError(told, remedy="mend its expression, one number a bar, or uninstall that package")


def _numbers(values: pl.DataFrame, features: Sequence[Feature]) -> list[pl.Expr]:
    """Casts of what is no Float64 yet."""
    types = values.schema
    other = [feature for feature in features if types[feature.name] != pl.Float64]
    for feature in other:
        dtype = types[feature.name]
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            raise _failing(feature, f"its values are {dtype}")
    return [pl.col(feature.name).cast(pl.Float64) for feature in other]


def _by_names(bars: pl.DataFrame) -> list[pl.DataFrame]:
    """The bars in parts of whole names, about ROWS_AT_ONCE each."""
    n_parts = max(1, round(bars.height / ROWS_AT_ONCE))
    first = first_bars(bars)
    ends = np.linspace(0, bars.height, n_parts + 1)[1:-1]
    cuts = np.unique([0, *first[np.minimum(np.searchsorted(first, ends), len(first) - 1)], bars.height])
    return [bars.slice(begin, end - begin) for begin, end in itertools.pairwise(cuts)] or [bars]


def _finite(found: pl.DataFrame) -> pl.DataFrame:
    """The columns, null where they are NaN or infinite."""
    # A sum tells whether there is anything to make null, for less than writing every column again.
    suspect = [name for name, total in found.sum().row(0, named=True).items() if not math.isfinite(total or 0.0)]
    return found.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in suspect)


def _possible(prices: pl.LazyFrame) -> pl.DataFrame:
    """The bars by ticker and session, refused where one cannot be: a wrong number in gives a wrong number out, for ever where a feature is
    recursive."""
    bars = in_order(prices)
    twice = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in ROW)
    wrong = {name: ~(pl.col(name).is_finite() & (pl.col(name) > 0)) for name in PRICES}
    wrong |= {"volume": ~(pl.col("volume").is_finite() & (pl.col("volume") >= 0)), "session": twice}
    wrong |= {"range": pl.col("high") < pl.col("low")}
    for name, found in bars.select(is_wrong.any().alias(name) for name, is_wrong in wrong.items()).row(0, named=True).items():
        if found:
            _refuse(bars.filter(wrong[name]).row(0, named=True), name)
    return bars


def _refuse(row: Mapping[str, Any], name: str) -> None:
    where = f"{row['ticker']} {row['session']}"
    if name == "session":
        raise QuantAssetsError(f"{where}: two bars of one session", remedy="keep one of them")
    if name == "range":
        remedy = "leave both null, or put them right"
        raise QuantAssetsError(f"{where}: high {row['high']:g} is below low {row['low']:g} of its own bar", remedy=remedy)
    limit = "a finite number, 0 or more" if name == "volume" else "a finite number above 0"
    remedy = "leave the bar out, or its field null; `quant-assets data quarantine` shows what the lake keeps out"
    raise QuantAssetsError(f"{where}: {name} is {row[name]}, and it must be {limit}", remedy=remedy)
