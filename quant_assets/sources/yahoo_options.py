"""Option chains of US shares from Yahoo Finance, as they are quoted now; no other session can be asked for.

Quotes are 15 minutes late. From the evening on Yahoo takes them away until the next open: zero stands for none.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, is_session, last_closed_session
from quant_assets.errors import SourceError, SourceUnavailable
from quant_assets.sources.vendor_rows import UNREADABLE, Record, new_york_day, number, raw_frame, rows_of, text
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo_vendor import ADAPT, OverYahoo, delivered, yahoo_symbol

if TYPE_CHECKING:
    from quant_assets.sources.yahoo_client import Chain

KEY = ("ticker", "session", "expiry", "strike", "right")
FIELDS = (
    *("session", "expiry", "right", "underlying"),
    *(
        "contractSymbol",
        "contractSize",
        "strike",
        "bid",
        "ask",
        "lastPrice",
        "lastTradeDate",
        "volume",
        "openInterest",
        "impliedVolatility",
    ),
)
OCC_SYMBOL = re.compile(r"([A-Z]+[0-9]?)(\d{6})([CP])\d{8}")
"""Root, expiry, right and strike; the root of an adjusted contract ends in a digit."""
NO_VOLATILITY = 1.1e-5
"""Yahoo's search for the implied volatility ends at 0.00001 where there is no quote to find it from."""


class YahooOptions(OverYahoo):
    """Contracts of every expiry in reach, quoted in one answer with their share.

    Parameters
    ----------
    days : calendar days from today to the first and to the last expiry that is fetched. An expiry is a request, of which Yahoo shuts out
        who sends too many, and a liquid name has 25 to 40 of them. Setups need 14 to 45 days; a week before them and a month after them
        are there to interpolate a volatility of 30 days between expiries.
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
        covered, rows = self._covered, list[Record]()
        if window.start < covered.end and covered.start < window.end:
            first, last = (self._today + dt.timedelta(days=days) for days in self._days)
            for key in sorted(keys):
                chains = self._client.chains(yahoo_symbol(key), first=first, last=last)
                session = _session(key, chains)
                if session and session in covered and session in window:
                    _check_session(key, session)
                    rows += [row | {"session": session} for chain in chains for row in _contracts(key, chain)]
        return raw_frame(rows, FIELDS)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Where two contracts share expiry, strike and right, only the one named after its share stays (AAPL, not AAPL1 or SPXW).

        A zero bid or offer is none, and the volatility that Yahoo then gives is none either. Crossed and negative quotes stay as they are.
        """

        def row(contract: Record) -> Record:
            root = _root(contract)
            ordinary = text(contract["contractSize"]) == "REGULAR" and not root[-1].isdigit()
            volatility = number(contract["impliedVolatility"])
            return {
                **{name: contract[name] for name in KEY},
                "strike": number(contract["strike"]),
                "contract": contract["contractSymbol"],
                "multiplier": 100.0 if ordinary else None,
                "bid": number(contract["bid"]) or None,
                "ask": number(contract["ask"]) or None,
                "last": number(contract["lastPrice"]),
                "last_at": contract["lastTradeDate"],
                "volume": number(contract["volume"]),
                "open_interest": number(contract["openInterest"]),
                "underlying": number(contract["underlying"]),
                "vendor_implied_volatility": volatility if volatility and volatility > NO_VOLATILITY else None,
                "source": self.name,
                "fetched_at": fetched_at,
                "known_at": fetched_at,
            }

        return rows_of(self.table, _named_after_their_share(raw), row, policy=self.policy, what="option chain")


def _session(key: str, chains: Sequence[Chain]) -> dt.date | None:
    """The day of the share's last trade, by which all its chains are dated; None without a chain."""
    moments: list[Any] = [chain.underlying.get("regularMarketTime") for chain in chains]
    try:
        days = sorted({new_york_day(dt.datetime.fromtimestamp(moment, dt.UTC)) for moment in moments})
    except (OSError, *UNREADABLE):
        raise SourceError(f"yahoo's option chain of {key} does not say when {key} was traded ({moments})", remedy=ADAPT) from None
    if len(days) > 1:
        message = f"yahoo's option chain of {key}: a part is of {days[0]}, another of {days[-1]}, as a session opened meanwhile"
        raise SourceUnavailable(message, remedy="fetch it again")
    return days[0] if days else None


def _check_session(key: str, day: dt.date) -> None:
    if not is_session(day):
        raise SourceError(f"yahoo's option chain of {key} is of {day}, which is no session", remedy="leave it out: it is no US share")


def _contracts(key: str, chain: Chain) -> Iterator[dict[str, object]]:
    price = chain.underlying.get("regularMarketPrice")
    for right, contracts in (("call", chain.calls), ("put", chain.puts)):
        for name in ("bid", "ask"):  # yfinance fills in what an answer lacks
            if len(contracts) and contracts[name].isna().all():
                message = f"yahoo's option chain of {key}, expiry {chain.expiry}, has no {name} in {len(contracts)} {right}s"
                raise SourceError(message, remedy=ADAPT)
        for contract in delivered(contracts):
            yield contract | {"ticker": key, "expiry": chain.expiry, "right": right, "underlying": price}


def _root(contract: Record) -> str:
    """The root of its name, which must be of the expiry and right under which it stands."""
    named = OCC_SYMBOL.fullmatch(text(contract["contractSymbol"]) or "")
    if named and named[2] == f"{contract['expiry']:%y%m%d}" and named[3] == contract["right"][0].upper():
        return named[1]
    raise ValueError(f"{contract['contractSymbol']} among the {contract['right']}s of {contract['expiry']}")


def _named_after_their_share(raw: pd.DataFrame) -> pd.DataFrame:
    """Without the contracts of other roots, where one of the share's own has the same expiry, strike and right."""
    share = raw["ticker"].str.replace("[^A-Z0-9]", "", regex=True)
    own = raw["contractSymbol"].astype(str).str.extract(OCC_SYMBOL)[0] == share
    return raw[own | ~own.groupby([raw[name] for name in KEY], dropna=False).transform("any")]
