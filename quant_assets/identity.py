"""Which security had a ticker on a day. A ticker is lent: it changes hands (FB was another company's until 2003) and names change theirs
(FB became META); a security is what its holder owned throughout.

Which files say so is a source's business (`sources/lean_files.py`). Names of the pipeline are tickers of `universe.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import pairwise

import polars as pl

from quant_assets.errors import BadArgument, SourceError

SECURITIES = {"security_id": pl.String, "ticker": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}
STILL = dt.date(2050, 12, 31)
"""The last day of a map file whose security is still listed."""

MapRows = Sequence[tuple[dt.date, str]]


def securities(map_files: Mapping[str, MapRows]) -> pl.DataFrame:
    """Each security's tickers with the dates they were its own.

    Parameters
    ----------
    map_files : by a name for messages, (last day, ticker) ascending; the first row's day is the first of the security, each ticker is its
        own from the day after the row before, and the last row's day is its last, unless that is 2050-12-31.

    Returns
    -------
    security_id (first ticker and first day, so that no later change of name touches it), ticker, valid_from, valid_to (both in; null:
    still), sorted by security_id, valid_from.

    Raises
    ------
    SourceError : a file has no row or its days do not ascend; two securities had one ticker on the same day.
    """
    rows = [row for name, given in map_files.items() for row in _ranges(name, given)]
    known = pl.DataFrame(rows, schema=SECURITIES, orient="row").sort("security_id", "valid_from")
    _refuse_shared(known)
    return known


def who(known: pl.DataFrame, ticker: str, on: dt.date) -> str:
    """The security_id of whoever had the ticker on that day.

    Parameters
    ----------
    known : as `securities` gives it.

    Raises
    ------
    BadArgument : nobody had it; who did, and when, is said.
    """
    found = known.filter(_valid(pl.lit(on)), ticker=ticker)["security_id"]
    if found.is_empty():
        had = [f"{one} from {since} to {to or 'now'}" for one, _, since, to in known.filter(ticker=ticker).sort("valid_from").iter_rows()]
        told = f"it was that of {', '.join(had)}" if had else "no security of these ever had it"
        raise BadArgument(f"nobody had the ticker {ticker} on {on}", remedy=told)
    security: str = found.item()
    return security


def ticker_of(known: pl.DataFrame, security_id: str, on: dt.date) -> str:
    """The ticker of a security on that day.

    Raises
    ------
    BadArgument : the security is unknown, or had none that day.
    """
    own = known.filter(security_id=security_id)
    found = own.filter(_valid(pl.lit(on)))["ticker"]
    if found.is_empty():
        had = [f"{ticker} from {since} to {to or 'now'}" for _, ticker, since, to in own.iter_rows()]
        raise BadArgument(
            f"security {security_id!r} had no ticker on {on}",
            remedy=f"it had {', '.join(had)}" if had else "see `securities` for the known",
        )
    ticker: str = found.item()
    return ticker


def own_rows(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows filed under a ticker on a day on which it was one of these securities', with their `security_id`.

    What another security left under the same ticker before `valid_from` or after `valid_to` is not among them.

    Parameters
    ----------
    rows : with ticker and session. known : rows of `securities`.
    """
    return rows.join(known, on="ticker").filter(_valid(pl.col("session"))).drop("valid_from", "valid_to")


def _valid(day: pl.Expr) -> pl.Expr:
    return (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (day <= pl.col("valid_to")))


def _ranges(name: str, rows: MapRows) -> list[tuple[str, str, dt.date, dt.date | None]]:
    days = [day for day, _ in rows]
    if not rows or any(later <= day for day, later in pairwise(days)):
        told = "has no row" if not rows else f"has days that do not ascend ({', '.join(map(str, days))})"
        raise SourceError(f"map file {name} {told}", remedy="fetch it again")
    (first, ticker), *_ = rows
    security = f"{ticker} {first}"
    found: list[tuple[str, str, dt.date, dt.date | None]] = []
    since = first
    for last, ticker in rows:
        if found and found[-1][1] == ticker:
            since = found.pop()[2]
        found.append((security, ticker, since, None if last >= STILL else last))
        since = last + dt.timedelta(days=1)
    return found


def _refuse_shared(known: pl.DataFrame) -> None:
    in_order = known.sort("ticker", "valid_from").with_columns(
        previous_id=pl.col("security_id").shift().over("ticker"),
        previous_to=pl.col("valid_to").fill_null(dt.date.max).shift().over("ticker"),
    )
    for row in in_order.filter(pl.col("previous_to") >= pl.col("valid_from")).head(1).iter_rows(named=True):
        until = min(row["previous_to"], row["valid_to"] or dt.date.max)
        raise SourceError(
            f"{row['ticker']} was that of two securities from {row['valid_from']} to {until}: "
            f"{row['previous_id']} and {row['security_id']}",
            remedy="keep the map file that is right about these days",
        )
