"""The newest trade and quote of US listings with their session so far, from Massive. Its limits and errors: `massive.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl

from quant_assets.calendars import TIMEZONE, Window, last_opened_session, session_on_or_before
from quant_assets.errors import SourceError
from quant_assets.schemas import TABLES, UTC, Dtype
from quant_assets.sources.massive import above_zero, fields, moment, new_york, new_york_day, opened, policy_of, reading, table
from quant_assets.sources.wire.wire import Wire

STAMPS = ("updated", "last_trade.sip_timestamp", "last_quote.sip_timestamp")
COLUMNS: dict[str, Dtype] = {
    "ticker": pl.String,
    **dict.fromkeys(STAMPS, pl.Int64),
    **dict.fromkeys(("last_trade.price", "last_trade.size"), pl.Float64),
    **dict.fromkeys((f"last_quote.{name}" for name in ("bid_price", "bid_size", "ask_price", "ask_size")), pl.Float64),
    **dict.fromkeys((f"day.{name}" for name in ("open", "high", "low", "close", "volume", "vwap")), pl.Float64),
    "prev_day.close": pl.Float64,
}
SHARES_SINCE = dt.date(2025, 11, 3)
"""Sizes of quotes were in round lots before (massive.com/blog/change-stocks-quotes-round-lots-to-shares)."""
ROUND_LOT = 100
NEW_YORK = ZoneInfo(TIMEZONE)


class MassiveQuotes:
    """Snapshots, all names in one request.

    What there is depends on the plan: without trades there is no `last_at`, and `last` is the close of the session so far. Snapshots are
    emptied at 3:30 in New York and fill from 4:00 on; until the session begins its prices are null.
    """

    name = "massive"
    table = "quotes"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.policy = policy_of(wire.clock)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Any name may be there, and only as it is now."""
        return dict.fromkeys(keys or (), self._current())

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The client's fields, named `parent.child`, and `session`, which is that of a snapshot's newest stamp.

        A name without a snapshot in the window has no row; a window that does not hold the current session has none.

        Raises
        ------
        SourceError : no key is set, or a snapshot cannot be read; else as of the wire.
        """
        rows: list[list[object]] = []
        current, about = self._current(), ",".join(sorted(keys))
        if keys and window.start < current.end and current.start < window.end:  # without a name Massive tells of all there are
            with opened(self._wire, self.policy, about=about) as client, reading("a snapshot", about):
                found = client.get_snapshot_all("stocks", tickers=sorted(keys))
                placed = [_placed(snapshot) for snapshot in found if snapshot.ticker in keys]
            rows = [[*values, session] for values, session in placed if session in window]
            if any(session and session >= current.end for _, session in placed):
                message = f"massive: a snapshot of {about} is of a session after {current.last_day}, the last there has been here"
                raise SourceError(message, remedy="set this machine's clock")
        return pd.DataFrame(rows, columns=[*COLUMNS, "session"], dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        told = table(raw, {**COLUMNS, "session": pl.Date}, "a snapshot").unique(maintain_order=True)
        lot = pl.when(new_york_day(moment("last_quote.sip_timestamp")) < SHARES_SINCE).then(ROUND_LOT).otherwise(1)
        rows = told.select(
            "ticker",
            "session",
            last=pl.coalesce(above_zero("last_trade.price"), above_zero("day.close")),
            last_size="last_trade.size",
            last_at=moment("last_trade.sip_timestamp"),
            bid=above_zero("last_quote.bid_price"),
            ask=above_zero("last_quote.ask_price"),
            bid_size=pl.col("last_quote.bid_size") * lot,
            ask_size=pl.col("last_quote.ask_size") * lot,
            quoted_at=moment("last_quote.sip_timestamp"),
            open=above_zero("day.open"),
            high=above_zero("day.high"),
            low=above_zero("day.low"),
            volume="day.volume",
            vwap=above_zero("day.vwap"),
            previous_close=above_zero("prev_day.close"),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=UTC),
            known_at=pl.lit(fetched_at, dtype=UTC),
        )
        for ticker in rows.filter(pl.struct("ticker", "session").is_duplicated())["ticker"].head(1):
            raise SourceError(f"massive: two different snapshots of {ticker} in one answer", remedy="try again later")
        return TABLES["quotes"].conform(rows)

    def _current(self) -> Window:
        """From the last session that opened to today's, in which shares trade from four in the morning on."""
        now = self._wire.clock.now()
        today = session_on_or_before(now.astimezone(NEW_YORK).date())
        return Window(last_opened_session(now), today + dt.timedelta(days=1))


def _placed(snapshot: object) -> tuple[list[object], dt.date | None]:
    """The snapshot's fields and its session; None when it is empty."""
    values = fields(snapshot, COLUMNS)
    known = dict(zip(COLUMNS, values, strict=True))
    newest = max(known[stamp] or 0 for stamp in STAMPS)
    if newest:
        return values, session_on_or_before(new_york(newest / 1e6).date())
    if known["day.volume"]:
        raise ValueError(f"that of {known['ticker']} does not say when it is of")
    return values, None
