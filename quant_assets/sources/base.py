"""What a data source is: an offer, `fetch` (the vendor's own frame) and `normalise` (a table of `schemas/`).

Two calls, so that whoever orchestrates can check the vendor's frame between them. Which source wins is `reconcile.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.quality.repair import Repaired
from quant_assets.sources.wire.policy import Policy


class Source(Protocol):
    """A vendor of one table. One that is asked over the network is given its `Wire` when it is made."""

    name: str
    table: str

    @property
    def policy(self) -> Policy | None:
        """How its vendor wants to be asked; None: the data ship inside a package."""
        ...

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Of these keys (tickers or series; None: of all it can name by itself) those it may have, each with the dates it covers.

        Asks nobody: whether a vendor has a key shows when it is fetched.
        """
        ...

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The vendor's rows for the window, as delivered; of `prices` also the bar before it, against which its first change shows.

        Keys and dates it does not offer give no rows. Raises SourceError when the vendor does not deliver.
        """
        ...

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """The same rows as `table` declares them."""
        ...


LEFT = "left as delivered: "
"""Begins the method of a row of `quality_log` whose value looks wrong and is not proven to be."""


@runtime_checkable
class Repairing(Protocol):
    """A source whose vendor contradicts itself in its own frame, and where that proves what was meant."""

    def repaired(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> Repaired:
        """`normalise` with what is proven wrong put right, and each such value as a row of `quality_log`."""
        ...


def among(offered: dict[str, Window], keys: Sequence[str] | None) -> dict[str, Window]:
    """The offer of a source that can name all its keys, narrowed to those asked for."""
    return offered if keys is None else {key: offered[key] for key in keys if key in offered}


def known_at_close(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `known_at`: a daily bar is public at the close of its session; a date that is no session at that midnight UTC.

    A bar dated outside the exchange's sessions is an error that the quality gate names, so it must survive until there.
    """
    closes = session_table(Window(dt.date.min, dt.date.max)).select("session", known_at="close_at")
    midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return frame.join(closes, on="session", how="left", maintain_order="left").with_columns(pl.col("known_at").fill_null(midnight))
