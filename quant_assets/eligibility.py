"""Which names a backtest may buy, and what an account's rule says of those it could choose among: who was dead by then, who a member when.

Accounts that chose among others are others, and are booked again. Who may be decided on tonight is `Workspace.decidable`.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import Window
from quant_assets.membership import versions
from quant_assets.workspace import Workspace


def tradable_tickers(work: Workspace) -> list[str]:
    """Names of the universe with bars as traded: the only ones a backtest may buy."""
    last_year = Window(dt.date(work.as_of.year - 1, 1, 1), work.after_as_of)
    dead = [known.ticker for known in work.universe.listings if known.delisted and known.delisted < last_year.start]
    alive = [ticker for ticker in work.universe.tickers if ticker not in set(dead)]
    columns = ["ticker", "price_basis"]
    basis = work.lake.scan("prices", keys=alive, window=last_year, columns=columns)
    if dead:
        basis = pl.concat([basis, work.lake.scan("prices", keys=dead, window=work.history, columns=columns)])
    raw: list[str] = basis.filter(pl.col("price_basis") == "raw").select("ticker").unique().sort("ticker").collect()["ticker"].to_list()
    return raw


def eligibility_versions(work: Workspace) -> pl.DataFrame:
    """session (of a change), version: a hash of who was delisted, and of who was a member when, up to that session.

    Nothing before the first delisting where there is no membership.
    """
    gone = [(known.delisted, f"{known.ticker} delisted") for known in work.universe.listings if known.delisted]
    return versions([*gone, *(work.membership.changes() if work.membership else ())])


def with_rule_suffix(rows: pl.DataFrame, work: Workspace) -> pl.DataFrame:
    """The rows (session, ...) with `suffix`: what an account's rule says at a session of those it could choose among until then."""
    known = eligibility_versions(work)
    told = rows.sort("session").join_asof(known, on="session", check_sortedness=False)
    return told.with_columns(suffix=pl.format("; members {}", "version").fill_null("")).drop("version")
