"""Finds what looks ahead: a table is computed again with the future withheld and with another future, and nothing before may move.

What is computed is given as a function of tables, so that a feature can be tried from a notebook before it is in any catalogue. How a
future is withheld is `withheld.py`'s business, what of a night is proven `steps/proof.py`'s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from quant_assets.calendars import Window, sessions
from quant_assets.errors import BadArgument
from quant_assets.quality.withheld import Tables, known, other_futures, table_named, withheld

TOLERANCE = 1e-9
"""Relative. Two computations of one value from the same past differ by nothing at all; a sum in another order by 1e-15."""

WITHHELD = "withheld"
Build = Callable[[Tables], pl.DataFrame]
"""Rows of one table, from the tables it reads."""
Builds = Callable[[Sequence[Tables]], Sequence[pl.DataFrame]]

FUTURES = 3
"""Futures that a cut is tried with: none, multiplied, shuffled."""
LEAKS = {
    "column": pl.String,
    "cut": pl.Date,
    "future": pl.String,
    "differing": pl.Int64,
    "key": pl.String,
    "session": pl.Date,
    "full": pl.String,
    "seen": pl.String,
}


def leaks(build: Build, tables: Tables, cuts: Sequence[dt.date], *, output: str = "features", seed: int = 0) -> pl.DataFrame:
    """Values that depend on what was not known yet.

    For each cut the table is built three times over: from what was known at the close of the cut, and from everything with the numbers
    known later multiplied, then shuffled. Each value that was known at the cut must come out as from everything there is.

    Parameters
    ----------
    build : computes the table from others, and nothing else.
    tables : rows of the tables of the lake that it reads, by name.
    cuts : sessions, see `informative_cuts`.
    output : the table whose key and whose rule of what is known when the built rows have; its columns may be others.

    Returns
    -------
    (n, 8): one row a (column, cut, future) with a difference: how many values differ, and the first of them: key, session, the value from
    everything and the one from what was known. No row when nothing was found at these sessions of these tables; a
    build that draws at random is found too.

    Raises
    ------
    BadArgument : no cuts, or a table that the lake does not know.
    """
    if not cuts:
        raise BadArgument("no session to cut at", remedy="give at least one, see informative_cuts")
    _refuse_unknown(tables, output)
    full = build(tables)
    found = []
    for place, cut in enumerate(cuts):
        futures = _futures(tables, cut, seed + place)
        found += _leaks_at(cut, output, full, ((kind, build(other)) for kind, other in futures))
    return pl.concat(found)


def leaks_of_each(builds: Builds, tries: Sequence[tuple[Tables, dt.date]], *, output: str = "features", seed: int = 0) -> pl.DataFrame:
    """As `leaks`, each cut tried on tables of its own.

    `builds` is given all tables at once, cut by cut those themselves and then FUTURES others of them, and returns what it builds of each.
    """
    several: list[Tables] = []
    kinds = []
    for place, (tables, cut) in enumerate(tries):
        _refuse_unknown(tables, output)
        futures = dict(_futures(tables, cut, seed + place))
        several += [tables, *futures.values()]
        kinds.append(list(futures))
    built = iter(builds(several))
    found = []
    for (_, cut), futures_of_it in zip(tries, kinds, strict=True):
        found += _leaks_at(cut, output, next(built), zip(futures_of_it, built, strict=False))
    return pl.concat(found)


def _refuse_unknown(tables: Tables, output: str) -> None:
    for name in (*tables, output):
        table_named(name)


def _futures(tables: Tables, cut: dt.date, seed: int) -> Iterator[tuple[str, Tables]]:
    """FUTURES of them, each with its name."""
    yield WITHHELD, withheld(tables, cut)
    yield from other_futures(tables, cut, seed=seed)


def _leaks_at(cut: dt.date, output: str, full: pl.DataFrame, futures: Iterable[tuple[str, pl.DataFrame]]) -> list[pl.DataFrame]:
    expected = known(output, full, cut)
    return [differences(expected, rows if kind == WITHHELD else known(output, rows, cut), output, cut, kind) for kind, rows in futures]


def informative_cuts(tables: Tables, span: Window, *, n: int, seed: int) -> list[dt.date]:
    """Sessions of the span to withhold the future after: `n` at random, and up to `n` of each kind at which a leak has something to show.

    Those are the sessions before a corporate action, before a series begins, inside a gap of a column, and before something is published.
    """
    rng = np.random.default_rng(seed)
    days = sessions(span)[:-1]
    if not days:
        return []
    calendar = pl.DataFrame({"day": days}, schema={"day": pl.Date}, strict=True)
    chosen = set(_some(days, n, rng))
    for name, rows in tables.items():
        for moments in _telling(name, rows):
            seen = moments.drop_nulls().unique().sort("moment")
            before = seen.join_asof(calendar, left_on="moment", right_on="day", allow_exact_matches=False)
            candidates = before["day"].drop_nulls().unique().sort().to_list()
            chosen |= set(_some(candidates, n, rng))
    return sorted(chosen)


def _telling(name: str, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """moment (Date) after which something becomes known that a leak would know before."""
    table = table_named(name)
    day = pl.col(table.event_time)
    if table.entity:
        yield rows.group_by(table.entity).agg(moment=day.min()).select("moment")
    if "split_factor" in rows.columns:
        yield rows.filter((pl.col("split_factor") != 1) | (pl.col("dividend") != 0)).select(moment=day)
    if table.event_time != "session":
        yield rows.select(moment=pl.col(table.known_time).dt.date() if table.known_time else day)
    entity = [table.entity] if table.entity else []
    for column in rows.select(cs.float()).columns:
        filled = rows.sort(*entity, table.event_time).select(
            moment=day, ends=pl.col(column).is_not_null() & pl.col(column).shift(1).over(entity or pl.lit(0)).is_null()
        )
        yield filled.filter("ends").select("moment")


def sampled(days: Sequence[dt.date], n: int, *, seed: int) -> list[dt.date]:
    """At most `n` of the sessions, in order."""
    return sorted(_some(days, n, np.random.default_rng(seed)))


def _some(days: Sequence[dt.date], n: int, rng: np.random.Generator) -> list[dt.date]:
    return [days[place] for place in rng.choice(len(days), min(n, len(days)), replace=False)] if days else []


def differences(expected: pl.DataFrame, seen: pl.DataFrame, output: str, cut: dt.date, future: str) -> pl.DataFrame:
    """Rows of LEAKS: which columns of one frame are not as in the other, and by how many values."""
    if expected.equals(seen):  # as it should be: to say so costs a tenth of comparing row by row
        return pl.DataFrame(schema=LEAKS)
    table = table_named(output)
    key = [name for name in table.key if name in expected.columns]
    both = expected.join(seen, on=key, how="full", coalesce=True, suffix="_seen").sort(*key)
    entity, day = table.entity or key[0], table.event_time
    apart = {
        column: _differ(pl.col(column), pl.col(f"{column}_seen"), dtype.is_float())
        for column, dtype in expected.schema.items()
        if column not in key
    }
    counts = both.select(differ.sum().alias(column) for column, differ in apart.items()).row(0, named=True) if apart else {}
    rows = []
    for column, n in counts.items():
        if n:
            shown = pl.col(entity).cast(pl.String), day, pl.col(column).cast(pl.String), pl.col(f"{column}_seen").cast(pl.String)
            rows.append((column, cut, future, n, *both.filter(apart[column]).select(shown).row(0)))
    return pl.DataFrame(rows, schema=LEAKS, orient="row")


def sentence(leak: Mapping[str, Any]) -> str:
    """A row of LEAKS in words."""
    others = {WITHHELD: "from what was known at", "stored": "in the lake as of"}
    other = others.get(leak["future"], f"with the future {leak['future']} after")
    where = f"{leak['column']} of {leak['key']} on {leak['session']}"
    return f"{where} is {leak['full']} from all history and {leak['seen']} {other} {leak['cut']}; {leak['differing']:,} values differ"


def _differ(one: pl.Expr, other: pl.Expr, is_float: bool) -> pl.Expr:
    if not is_float:
        return one.ne_missing(other)
    apart = (one - other).abs() > TOLERANCE * pl.max_horizontal(one.abs(), other.abs())
    return (one.is_null() != other.is_null()) | apart.fill_null(False)
