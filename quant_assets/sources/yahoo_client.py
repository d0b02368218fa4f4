"""yfinance's own client, over the wire: it asks and reads. What the numbers mean is the business of the files of each table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from yfinance import Ticker
from yfinance.data import YfData
from yfinance.scrapers.history import PriceHistory
from yfinance.scrapers.holders import Holders
from yfinance.scrapers.quote import Quote

from quant_assets.calendars import TIMEZONE
from quant_assets.errors import QuantAssetsError, SourceError
from quant_assets.sources.wire.over_curl import Session
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.secrecy import hide
from quant_assets.sources.wire.wire import SHOWN_CHARACTERS, Wire
from quant_assets.sources.yahoo_vendor import REFUSALS


class _Refused(Exception):
    """Yahoo refuses a request with a new crumb, too."""


class _Data(YfData):  # type: ignore[misc]  # yfinance has no types
    """Asks without cookie and crumb, which charts do without, until Yahoo refuses. Both then stay in memory: yfinance would write the
    cookie into a file that all programs of the user share."""

    _refused = False

    def _make_request(self, url: str, *args: Any, **options: Any) -> Any:
        """After a refusal yfinance gets cookie and crumb anew and asks once more; a second refusal it hands on as if it were data."""
        response = super()._make_request(url, *args, **options)
        if response.status_code in REFUSALS:
            words = " ".join(hide(response.text, (self._crumb,) if self._crumb else ()).split())
            raise _Refused(f"{urlsplit(url).path} refused the request: answered {response.status_code} {words[:SHOWN_CHARACTERS]}")
        return response

    def _get_cookie_and_crumb(self, timeout: int = 30) -> Any:
        return super()._get_cookie_and_crumb(timeout) if self._refused else (None, "none yet")

    def _set_cookie_strategy(self, strategy: str, have_lock: bool = False) -> None:
        """What yfinance does after a refusal, before it asks once more."""
        self._refused = True
        super()._set_cookie_strategy(strategy, have_lock)

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802
        return False

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802
        self._cookie = True  # it is in the session
        return True

    def cache_get(self, *args: Any, **kwargs: Any) -> Any:
        """The wire keeps answers, and knows for how long."""
        return self.get(*args, **kwargs)


class _Ticker(Ticker):  # type: ignore[misc]
    """yfinance's own would set the session of the one YfData that all of a process share."""

    def __init__(self, data: _Data, symbol: str) -> None:
        self.ticker, self._data = symbol, data
        self._expirations: dict[str, int] = {}
        self._earnings_dates: dict[int, pd.DataFrame] = {}


@dataclass(frozen=True)
class Chain:
    """The contracts of one expiry in yfinance's columns, and Yahoo's quote of the share in the same answer."""

    expiry: dt.date
    calls: pd.DataFrame
    puts: pd.DataFrame
    underlying: dict[str, Any]


class Client:
    """Any symbol that Yahoo lists, by Yahoo's name of it.

    All methods raise SourceError: what `Wire.exchange` raises, a refusal, or the answer is not what yfinance can read.
    """

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._session = Session(wire, policy)
        self._data = type.__call__(_Data, self._session)  # by itself YfData is one object for the whole process, whatever its session

    def daily(self, symbol: str, *, since: dt.date, until: dt.date) -> pd.DataFrame:
        """Bars from `since` up to before `until`, indexed by New York midnight."""
        history = PriceHistory(self._data, symbol, TIMEZONE, self._session)
        with _reading("chart", symbol):
            # raise_errors: deprecated in favour of a switch for the whole process, which is not ours to turn
            frame: pd.DataFrame = history.history(start=since, end=until, interval="1d", auto_adjust=False, raise_errors=True)
        return frame

    def chains(self, symbol: str, *, first: dt.date, last: dt.date) -> list[Chain]:
        """The chains that expire from `first` to `last`, both included; one request each, and one for the list."""
        ticker = _Ticker(self._data, symbol)
        found = []
        with _reading("option chain", symbol):
            for name in ticker.options:
                expiry = dt.date.fromisoformat(name)
                if first <= expiry <= last:
                    chain = ticker.option_chain(name)
                    found.append(Chain(expiry, chain.calls, chain.puts, chain.underlying))
        return found

    def earnings(self, symbol: str, *, limit: int, offset: int) -> pd.DataFrame:
        """A page of the earnings calendar, newest first: EPS Estimate, Reported EPS, Surprise(%), indexed by the announcement."""
        with _reading("earnings calendar", symbol):
            frame: pd.DataFrame = _Ticker(self._data, symbol).get_earnings_dates(limit=limit, offset=offset)
            if frame.index.hasnans:
                raise ValueError("a row has no date, and yfinance would give the rows after it wrong ones")
        return frame

    def holders(self, symbol: str) -> dict[str, pd.DataFrame]:
        """The largest institutions and funds that hold the share, in yfinance's columns."""
        holders = Holders(self._data, symbol)
        with _reading("holders", symbol):
            return {"institution": holders.institutional, "fund": holders.mutualfund}

    def info(self, symbol: str) -> dict[str, Any]:
        """What Yahoo says of the company, by field; three requests."""
        with _reading("company information", symbol):
            info: dict[str, Any] = Quote(self._data, symbol).info
        return info


@contextmanager
def _reading(what: str, symbol: str) -> Iterator[None]:
    try:
        yield
    except QuantAssetsError:
        raise
    except _Refused as refused:
        path, _, said = str(refused).partition(" ")
        remedy = "see whether Yahoo still answers a browser at this address, and whether a newer yfinance is let in"
        raise SourceError(f"yahoo {path} for {symbol} {said}", remedy=remedy) from None
    except Exception as error:  # a parser that is not ours may raise anything about what is not ours either
        message = f"yahoo's {what} of {symbol} cannot be read ({type(error).__name__}: {error})"
        raise SourceError(message, remedy="see whether a newer yfinance reads it") from error
