"""yfinance's own client for daily charts, over the wire. What its numbers mean is `yahoo.py`'s business."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
from yfinance.data import YfData
from yfinance.exceptions import YFException
from yfinance.scrapers.history import PriceHistory

from quant_assets.calendars import TIMEZONE
from quant_assets.errors import SourceError
from quant_assets.sources.wire.over_curl import Session
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire


class _Client(YfData):  # type: ignore[misc]  # yfinance has no types
    """Asks without cookie and crumb, which charts do without, until Yahoo refuses. Both then stay in memory: yfinance would write the
    cookie into a file that all programs of the user share."""

    _refused = False

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


class Charts:
    """Daily charts of any symbol that Yahoo lists."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._session = Session(wire, policy)
        self._client = type.__call__(_Client, self._session)  # by itself YfData is one object for the whole process, whatever its session

    def daily(self, symbol: str, *, since: dt.date, until: dt.date) -> pd.DataFrame:
        """Bars from `since` up to before `until` in yfinance's columns, indexed by New York midnight.

        Raises
        ------
        SourceError : what `Wire.exchange` raises, or the answer is not what yfinance can read.
        """
        history = PriceHistory(self._client, symbol, TIMEZONE, self._session)
        try:
            # raise_errors: deprecated in favour of a switch for the whole process, which is not ours to turn
            frame: pd.DataFrame = history.history(start=since, end=until, interval="1d", auto_adjust=False, raise_errors=True)
        except (YFException, LookupError, TypeError, ValueError, AttributeError) as error:
            message = f"yahoo's chart of {symbol} cannot be read ({type(error).__name__}: {error})"
            raise SourceError(message, remedy="see whether a newer yfinance reads it") from error
        return frame
