"""Daily bars as traded, splits and cash dividends of US listings, from Massive. Its limits and errors: `massive.py`.

Splits and dividends are those of `/stocks/v1`, for Massive deprecated the ones of `/v3/reference` in February 2026, and these had given
some dividends divided by later splits (github.com/polygon-io/issues/issues/188 and 230: AAPL 0.205 on 2020-08-07, declared 0.82). Each
answer about them is of all time, so that one that is listed late still reaches the year it belongs to.

A ticker here is a symbol, not a company: under META there may be no bars from before 2022-06-09, when it was FB.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, last_settled_session, session_offset, session_on_or_after
from quant_assets.errors import SourceError
from quant_assets.sources.base import known_at_close
from quant_assets.sources.massive import new_york, opened, policy_of, reading
from quant_assets.sources.wire.wire import Wire

if TYPE_CHECKING:
    from massive import RESTClient

FIRST_OFFERED = dt.date(2003, 9, 10)
"""The day of its first daily file. A free key gets the last two years."""
BARS_A_PAGE = 50_000
ACTIONS_A_PAGE = 5_000
PRICES = ("open", "high", "low", "close", "volume")
ACTIONS = ("split_from", "split_to", "cash_amount")
Action = TypeVar("Action")


class MassivePrices:
    """Bars with the splits and dividends that take effect at their open. `dividend` holds whatever is paid in cash, special ones too.

    A bar is made of the trades that the exchanges' rules let count, those before and after hours among them.
    """

    name = "massive"
    table = "prices"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.policy = policy_of(wire.clock)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Any name may be there. Share classes are written BRK.B."""
        last = last_settled_session(self._wire.clock.now())
        return dict.fromkeys(keys or (), Window(FIRST_OFFERED, last + dt.timedelta(days=1)))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """Columns ticker, date (of the session), open, high, low, close, volume, split_from, split_to, cash_amount (NaN: no such action).

        An action of a day without a bar stands at the next one. The bar of a session that still runs, or has just closed, is left out.

        Raises
        ------
        SourceError : no key is set, or what Massive tells contradicts itself; else as of the wire.
        """
        return pd.concat([_frame([]), *(self._one(key, window) for key in sorted(keys))], ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """A dividend is taken as per share after a split of the same day, as its shares trade that day: Massive does not say."""
        bars = pl.from_pandas(raw).select(
            pl.col("ticker").cast(pl.String),
            pl.col(PRICES).cast(pl.Float64),
            session=pl.col("date").dt.date(),
            split_factor=(pl.col("split_to") / pl.col("split_from")).fill_null(1.0),
            dividend=pl.col("cash_amount").cast(pl.Float64).fill_null(0.0),
            inferred=pl.lit(False),
            price_basis=pl.lit("raw"),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(bars)

    def _one(self, ticker: str, window: Window) -> pd.DataFrame:
        first = session_offset(session_on_or_after(window.start), -1) if window.start > FIRST_OFFERED else window.start
        last = min(window.last_day, last_settled_session(self._wire.clock.now()))
        if last < first:
            return _frame([])
        asked = Window(first, last + dt.timedelta(days=1))
        with opened(self._wire, self.policy, about=ticker) as client:
            bars = [bar for bar in _bars(client, ticker, asked) if bar[0] in asked]
            splits, dividends = _splits(client, ticker, asked), _dividends(client, ticker, asked)
        days = sorted({day for day, _ in bars})
        split_on, paid_on = _by_bar(days, splits), _by_bar(days, dividends)
        for day, several in split_on.items():
            if len(several) > 1 or min(several[0]) <= 0:
                told = " and ".join(f"{old:g} into {new:g}" for old, new in several)
                raise SourceError(f"massive: {ticker} {day}: a split of {told}", remedy="name another source for it")
        rows = [
            (ticker, day, *prices, *split_on.get(day, [(None, None)])[0], sum(paid_on[day]) if day in paid_on else None)
            for day, prices in sorted(bars, key=lambda bar: bar[0])
        ]
        return _frame(rows)


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["ticker", "date", *PRICES, *ACTIONS], dtype=object)
    numbers = [*PRICES, *ACTIONS]
    frame[numbers] = frame[numbers].astype(float)
    return frame.assign(date=frame["date"].astype("datetime64[ns]"))


def _bars(client: RESTClient, ticker: str, window: Window) -> list[tuple[dt.date, tuple[float | None, ...]]]:
    """(session, its prices and volume), each once; two that differ on one session are both there, for the gate to see."""
    days = (window.start, window.last_day)
    asked = client.list_aggs(quote(ticker, safe=""), 1, "day", *days, adjusted=False, sort="asc", limit=BARS_A_PAGE)
    with reading("a bar", ticker):
        return list(dict.fromkeys((_session(bar.timestamp), tuple(_number(getattr(bar, name)) for name in PRICES)) for bar in asked))


def _splits(client: RESTClient, ticker: str, window: Window) -> list[tuple[dt.date, tuple[float, float]]]:
    """(day, (old shares, new shares)) of those in the window; one that is listed twice is one."""
    asked = client.list_stocks_splits(ticker=ticker, limit=ACTIONS_A_PAGE, sort="execution_date.asc")
    with reading("a split", ticker):
        found = [
            (day, (_amount(split.split_from), _amount(split.split_to)))
            for split in asked
            if (day := _day(ticker, split.ticker, split.execution_date)) in window
        ]
    return list(dict.fromkeys(found))


def _dividends(client: RESTClient, ticker: str, window: Window) -> list[tuple[dt.date, float]]:
    """(ex-date, USD a share) of those in the window; two that differ in nothing but their number are one: Massive lists some twice."""
    asked = client.list_stocks_dividends(ticker=ticker, limit=ACTIONS_A_PAGE, sort="ex_dividend_date.asc")
    others = ("declaration_date", "record_date", "pay_date", "frequency", "distribution_type", "currency")
    with reading("a dividend", ticker):
        found = [
            (day, _amount(paid.cash_amount), *(getattr(paid, name) for name in others))
            for paid in asked
            if (day := _day(ticker, paid.ticker, paid.ex_dividend_date)) in window
        ]
    for day, amount, *_, currency in found:
        if currency not in (None, "USD"):
            told = f"massive: {ticker} {day}: a dividend of {amount:g} {currency}, and prices are US dollars"
            raise SourceError(told, remedy="name another source for it")
    return [(day, amount) for day, amount, *_ in dict.fromkeys(found)]


def _by_bar(days: list[dt.date], actions: list[tuple[dt.date, Action]]) -> dict[dt.date, list[Action]]:
    """The actions by the session of the first bar that shows them."""
    found: dict[dt.date, list[Action]] = {}
    for day, action in actions:
        if (place := bisect.bisect_left(days, day)) < len(days):
            found.setdefault(days[place], []).append(action)
    return found


def _session(milliseconds: Any) -> dt.date:
    """The session that began at this midnight of New York."""
    at = new_york(milliseconds)
    if at.time() != dt.time():
        raise ValueError(f"it begins at {at:%H:%M} in New York, a daily one does at midnight")
    return at.date()


def _day(ticker: str, owner: Any, text: Any) -> dt.date:
    if owner != ticker:
        raise ValueError(f"it is of {owner}")
    return dt.date.fromisoformat(text)


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number is promised")
    return float(value)


def _number(value: Any) -> float | None:
    """None is left to the gate, which says which bar lacks which price."""
    return None if value is None else _amount(value)
