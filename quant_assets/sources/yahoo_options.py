"""Option chains of US shares from Yahoo Finance, as they are quoted now; no other session can be asked for.

Quotes are 15 minutes late. From the evening on Yahoo takes them away until the next open: zero stands for none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, is_session, last_closed_session
from quant_assets.errors import SourceError, SourceUnavailable
from quant_assets.schemas import UTC, Dtype
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo_vendor import ADAPT, NEW_YORK, OverYahoo, yahoo_symbol

if TYPE_CHECKING:
    from quant_assets.sources.yahoo_client import Chain

RAW_COLUMNS: dict[str, Dtype] = {
    "ticker": pl.String,
    "session": pl.Date,
    "expiry": pl.Date,
    "right": pl.String,
    "underlying": pl.Float64,
    "contractSymbol": pl.String,
    "lastTradeDate": UTC,
    **dict.fromkeys(("strike", "lastPrice", "bid", "ask", "volume", "openInterest", "impliedVolatility"), pl.Float64),
    "contractSize": pl.String,
}
OCC_SYMBOL = r"^(?<root>[A-Z]+[0-9]?)(?<expiry>\d{6})(?<right>[CP])\d{8}$"
NO_VOLATILITY = 1.1e-5
"""Yahoo's search for the implied volatility ends at 0.00001 where there is no quote to find it from."""


class YahooOptions(OverYahoo):
    """Contracts of every expiry in reach, quoted in one answer with their share.

    Parameters
    ----------
    days : calendar days from today to the first and to the last expiry that is fetched. An expiry is a request, of which Yahoo grants no
        more than a few thousand a day, and a liquid name has 25 to 40 of them. Setups need 14 to 45 days; a week before them and a month
        after them are there to interpolate a volatility of 30 days between expiries.
    """

    table = "option_chain"

    def __init__(self, wire: Wire, *, days: tuple[int, int] = (7, 75)) -> None:
        super().__init__(wire)
        self._days = days

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """The session that is running, or the last one: which of them the quotes are of, the answer says."""
        return dict.fromkeys(keys or (), self._covered)

    @property
    def _covered(self) -> Window:
        return Window(last_closed_session(self._wire.clock.now()), self._today + dt.timedelta(days=1))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """yfinance's columns, and ticker, session, expiry, right and the share's price; no rows unless the quotes are of the window.

        Raises
        ------
        NoData : no options are listed. SourceError : an answer is not what was promised. SourceUnavailable : as of the wire, and when a
        session opened while its chain was read.
        """
        covered, rows = self._covered, []
        if window.start < covered.end and covered.start < window.end:
            first, last = (self._today + dt.timedelta(days=days) for days in self._days)
            for key in sorted(keys):
                chains = self._client.chains(yahoo_symbol(key), first=first, last=last)
                session = _session(key, chains)
                if session and session in covered and session in window:
                    _check_session(key, session)
                    rows += [row | {"ticker": key, "session": session} for chain in chains for row in _contracts(key, chain)]
        return pd.DataFrame(rows, columns=list(RAW_COLUMNS), dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Where two contracts share expiry, strike and right, the one named after its share stays (AAPL, not AAPL1 or SPXW).

        A zero bid or offer is none, and the volatility that Yahoo then gives is none either. Crossed and negative quotes stay as they are.
        """
        chain = self._read(raw, RAW_COLUMNS).unique(maintain_order=True)
        chain = chain.with_columns(pl.col("contractSymbol").str.extract_groups(OCC_SYMBOL).alias("occ"))
        _check_contracts(chain)
        root = pl.col("occ").struct.field("root")
        own = root == pl.col("ticker").str.replace_all(r"[^A-Z0-9]", "")
        volatility = pl.col("impliedVolatility")
        return self._conformed(
            chain.filter(own | ~own.any().over("ticker", "expiry", "strike", "right")).select(
                "ticker",
                "session",
                "expiry",
                "strike",
                "right",
                "volume",
                "underlying",
                contract="contractSymbol",
                multiplier=pl.when(contractSize="REGULAR").then(pl.when(~root.str.contains(r"\d$")).then(100.0)),
                bid=_of_zero_none("bid"),
                ask=_of_zero_none("ask"),
                bid_size=pl.lit(None, dtype=pl.Float64),
                ask_size=pl.lit(None, dtype=pl.Float64),
                last="lastPrice",
                last_at="lastTradeDate",
                open_interest="openInterest",
                vendor_implied_volatility=pl.when(volatility > NO_VOLATILITY).then(volatility),
                **{f"vendor_{greek}": pl.lit(None, dtype=pl.Float64) for greek in ("delta", "gamma", "theta", "vega")},
                source=pl.lit(self.name),
                fetched_at=pl.lit(fetched_at, dtype=UTC),
                known_at=pl.lit(fetched_at, dtype=UTC),
            )
        )


def _session(key: str, chains: Sequence[Chain]) -> dt.date | None:
    """The day of the share's last trade, by which all its chains are dated; None without a chain."""
    moments = [chain.underlying.get("regularMarketTime") for chain in chains]
    if not all(isinstance(moment, int) for moment in moments):
        raise SourceError(f"yahoo's option chain of {key} does not say when {key} was traded ({moments})", remedy=ADAPT)
    days = sorted({dt.datetime.fromtimestamp(moment, NEW_YORK).date() for moment in moments if moment is not None})
    if len(days) > 1:
        message = f"yahoo's option chain of {key}: a part is of {days[0]}, another of {days[-1]}, as a session opened meanwhile"
        raise SourceUnavailable(message, remedy="fetch it again")
    return days[0] if days else None


def _check_session(key: str, day: dt.date) -> None:
    if not is_session(day):
        raise SourceError(f"yahoo's option chain of {key} is of {day}, which is no session", remedy="leave it out: it is no US share")


def _contracts(key: str, chain: Chain) -> list[dict[str, object]]:
    rows = [
        row | {"expiry": chain.expiry, "right": right, "underlying": chain.underlying.get("regularMarketPrice")}
        for right, side in (("call", chain.calls), ("put", chain.puts))
        for row in side.to_dict("records")
    ]
    for name in ("bid", "ask"):  # yfinance fills in what an answer lacks
        if rows and all(pd.isna(row[name]) for row in rows):
            raise SourceError(f"yahoo's option chain of {key}, expiry {chain.expiry}, has no {name} in {len(rows)} contracts", remedy=ADAPT)
    return rows


def _check_contracts(chain: pl.DataFrame) -> None:
    """That each contract is of the expiry and the right that it stands under, as its name tells."""
    occ = pl.col("occ").struct
    named = pl.concat_str(pl.col("expiry").dt.strftime("%y%m%d"), pl.col("right").str.head(1).str.to_uppercase())
    wrong = chain.filter(~pl.concat_str(occ.field("expiry"), occ.field("right")).eq_missing(named))
    for row in wrong.head(1).iter_rows(named=True):
        message = f"yahoo gave {row['contractSymbol']} as a {row['right']} of {row['ticker']} that expires on {row['expiry']}"
        raise SourceError(f"{message} ({wrong.height} such contracts)", remedy=ADAPT)


def _of_zero_none(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != 0).then(name)
