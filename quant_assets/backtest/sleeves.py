"""A portfolio of strategies: each trades a sleeve of the capital by itself. What happens within a sleeve is `engine.py`'s business.

Nothing is moved between sleeves afterwards: one that gains comes to weigh more, and one that loses everything takes no other with it.
An account is brought to its sleeve's size as a whole, so shares become fractions and a minimum commission is scaled too; to have it to
the cent, run each account with the cash of its sleeve, and its weight changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl

from quant_assets.errors import BadArgument, require_columns

USD = ("equity", "cash", "position", "costs")
COUNTS = ("entries", "exits")


def together(accounts: Mapping[str, pl.DataFrame], weights: Mapping[str, float]) -> pl.DataFrame:
    """One account out of several, with the capital that they began with together.

    Parameters
    ----------
    accounts : by strategy, rows as of table `equity`: session, equity, cash, position, entries, exits, costs. All of the same sessions.
    weights : by strategy, share of the capital at the first session; above 0, 1 together.

    Returns
    -------
    session, equity, cash, position, entries, exits, costs (since the accounts began), in the order of sessions.

    Raises
    ------
    BadArgument : weights of other strategies or that are not shares, an account without rows or capital, or sessions that differ.
    """
    _check_weights(accounts, weights)
    ordered = {name: _ordered(name, rows) for name, rows in accounts.items()}
    _check_sessions(ordered)
    capital = sum(rows["equity"][0] for rows in ordered.values())
    sleeves = [rows.with_columns(pl.col(USD) * (weights[name] * capital / rows["equity"][0])) for name, rows in ordered.items()]
    summed = pl.concat(sleeves).group_by("session").agg(pl.col(*USD, *COUNTS).sum()).sort("session")
    return summed.select("session", "equity", "cash", "position", "entries", "exits", "costs")


def _ordered(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    require_columns(rows.columns, "session", *USD, *COUNTS)
    days = rows["session"]
    if rows.is_empty():
        raise BadArgument(f"{name} has 0 sessions (limit: at least 1)", remedy="run it over the sessions of the others")
    if days.is_duplicated().any():
        raise BadArgument(f"{name} has {days.filter(days.is_duplicated())[0]} more than once", remedy="pass the rows of one account")
    ordered = rows.select("session", *USD, *COUNTS).sort("session")
    if ordered["equity"][0] <= 0:
        raise BadArgument(f"{name} begins with {ordered['equity'][0]:.2f} USD (limit: above 0)", remedy="start it with cash")
    return ordered


def _check_weights(accounts: Mapping[str, pl.DataFrame], weights: Mapping[str, float]) -> None:
    if set(accounts) != set(weights):
        raise BadArgument(f"weights are of {', '.join(weights)}, accounts of {', '.join(accounts)}", remedy="pass one weight an account")
    total = sum(weights.values())
    if min(weights.values(), default=0.0) <= 0 or not math.isclose(total, 1, abs_tol=1e-9):
        raise BadArgument(
            f"weights {dict(weights)} are {total:g} together (limits: each above 0, 1 together)", remedy="divide them by their sum"
        )


def _check_sessions(accounts: Mapping[str, pl.DataFrame]) -> None:
    """Raises BadArgument naming the first session that two accounts do not share."""
    (first, of_first), *others = ((name, rows["session"]) for name, rows in accounts.items())
    for name, days in others:
        if differing := set(days) ^ set(of_first):
            raise BadArgument(
                f"{first} and {name} differ in sessions, first in {min(differing)}", remedy="run all strategies over the same sessions"
            )
