"""What an operator says of quarantined values: let in, or seen and kept out. Why a value is in quarantine is `gate.py`'s business.

A ruling is about one value: when a source delivers another one, that is judged anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import polars as pl

from quant_assets.calendars import Window, day_window
from quant_assets.errors import BadArgument
from quant_assets.lake import Lake
from quant_assets.quality.gate import RELEASABLE
from quant_assets.schemas import TABLES

Ruling = Literal["released", "rejected"]
KEY = list(TABLES["rulings"].key)


def quarantined(lake: Lake, *, tickers: Sequence[str] | None = None, window: Window | None = None) -> pl.DataFrame:
    """Rows of `quarantine`, newest session first, with what was said of each value: `ruling`, `because`, `ruled_at`, null until then."""
    rows = lake.scan("quarantine", keys=tickers, window=window).collect()
    told = lake.scan("rulings", keys=tickers, window=window).collect()
    beside = rows.join(told, on=[*KEY, "value"], how="left", nulls_equal=True, maintain_order="left")
    return beside.sort("session", "ticker", "field", descending=[True, False, False])


def rule(lake: Lake, ticker: str, session: dt.date, *, field: str | None, ruling: Ruling, because: str, at: dt.datetime) -> pl.DataFrame:
    """Rules on what is in quarantine of the bar, or of one of its fields; returns the rows of `rulings`.

    Raises
    ------
    BadArgument : nothing of it is in quarantine; it is to be released, and its check is about what cannot be computed with; no reason.
    """
    if not because.strip():
        raise BadArgument("a ruling without a reason", remedy="say why with --because")
    day = day_window(session)
    held = lake.scan("quarantine", keys=[ticker], window=day).collect()
    mine = held if field is None else held.filter(field=field)
    if mine.is_empty():
        there = f", only its {', '.join(held['field'])}" if held.height else ""
        what = ticker if field is None else f"{field} of {ticker}"
        raise BadArgument(f"{what} on {session} is not in quarantine{there}", remedy="`quant-assets data quarantine list` says what is")
    for found, check, reason in mine.select("field", "check", "reason").iter_rows():
        if ruling == "released" and check not in RELEASABLE:
            raise BadArgument(
                f"{found} of {ticker} on {session} cannot be released ({check}: {reason})",
                remedy="correct it at the source; only what is unlikely can be let in, not what is impossible",
            )
    told = {"ruling": ruling, "because": because, "ruled_at": at}
    schema = TABLES["rulings"].schema
    rows = mine.with_columns(pl.lit(value, dtype=schema[name]).alias(name) for name, value in told.items()).select(list(schema))
    before = lake.scan("rulings", keys=[ticker], window=day).collect().join(rows, on=KEY, how="anti")
    lake.replace("rulings", pl.concat([before, rows]), keys=[ticker], window=day)
    return rows


def released(lake: Lake, tickers: Sequence[str], window: Window) -> pl.DataFrame:
    """ticker, session, field, value of prices that an operator lets in."""
    rows = lake.scan("rulings", keys=list(tickers), window=window, scope={"table": "prices"}).filter(ruling="released")
    return rows.select("ticker", "session", "field", "value").collect()
