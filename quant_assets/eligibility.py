"""What an account's rule says of the names it could choose among: which were dead by then, and which were members when.

Accounts that chose among others are others, and are booked again. Who may be decided on tonight is `Workspace.decidable`.
"""

from __future__ import annotations

import polars as pl

from quant_assets.membership import versions
from quant_assets.workspace import Workspace


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
