"""dagster-pandas types of the frames that vendors' packages return: a changed vendor schema fails at the door with the column named.

Only names and kinds of values are settled here. A price that cannot be true is the gate's business, which withholds its cell and no other,
and one odd value among others that of `normalise`, which loses its name and no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from numbers import Real
from typing import cast

import dagster as dg
import pandas as pd
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type
from dagster_pandas.constraints import (
    ColumnConstraint,
    ColumnConstraintViolationException,
    ColumnDTypeInSetConstraint,
    StrictColumnsConstraint,
)

from quant_assets.sources.base import Source

Columns = list[PandasColumn]
TEXT, NUMBER, DAY, MOMENT = (str,), (Real,), (dt.date,), (dt.datetime,)
FIGURES = (Real, str)
"""What `vendor_rows.number` reads."""
ANYTHING = (object,)


class SomeOfKind(ColumnConstraint):  # type: ignore[misc]
    """For columns of objects: some value is of these kinds, whose sort dagster-pandas' own columns do not look at.

    Without rows any column passes; `optional`: also one that holds no value.
    """

    def __init__(self, kinds: tuple[type, ...], *, optional: bool) -> None:
        words = f"Some value must be of type {' or '.join(kind.__name__ for kind in kinds)}"
        super().__init__(error_description=words, markdown_description=words)
        self._kinds, self._optional = kinds, optional

    def validate(self, dataframe: pd.DataFrame, column_name: str) -> None:
        values = dataframe[column_name].dropna()
        fine = (self._optional or dataframe.empty) if values.empty else any(isinstance(value, self._kinds) for value in values)
        if not fine:
            held = "no value" if values.empty else type(values.iloc[0]).__name__  # not the value: answers may repeat a key
            raise ColumnConstraintViolationException(self.name, f"{self.error_description}; it holds {held}", column_name)


def some(kinds: tuple[type, ...], *names: str) -> Columns:
    return [PandasColumn(name, [SomeOfKind(kinds, optional=False)]) for name in names]


def perhaps(kinds: tuple[type, ...], *names: str) -> Columns:
    """Such columns that may hold no value at all."""
    return [PandasColumn(name, [SomeOfKind(kinds, optional=True)]) for name in names]


def days(*names: str) -> Columns:
    return [PandasColumn.datetime_column(name, non_nullable=True) for name in names]


def floats(*names: str) -> Columns:
    return [PandasColumn.float_column(name, ignore_missing_vals=True) for name in names]


def integers(*names: str) -> Columns:
    return [PandasColumn.integer_column(name) for name in names]


def _microseconds(*names: str) -> Columns:
    """Null where there is none; dagster-pandas' own column of datetimes takes nanoseconds alone."""
    return [PandasColumn(name, [ColumnDTypeInSetConstraint({"datetime64[us]"})]) for name in names]


def _type(table: str, vendor: str, columns: Columns) -> dg.DagsterType:
    made: dg.DagsterType = create_dagster_pandas_dataframe_type(
        name="".join(word.title() for word in f"{vendor}_{table}".split("_")) + "Frame",
        description=f"What {vendor} delivers of `{table}`.",
        columns=columns,
        dataframe_constraints=[StrictColumnsConstraint([column.name for column in columns])],
    )
    return made


OHLC = ("open", "high", "low", "close")
YAHOO_BARS = [
    *days("date"),
    *floats("Open", "High", "Low", "Close", "Adj Close", "Dividends", "Stock Splits", "Later Splits"),
    *integers("Volume"),
]
PRICES = {
    "bokeh": [*some(TEXT, "ticker"), *days("date"), *floats(*OHLC, "adj_close"), *integers("volume")],
    "kaggle": [*some(TEXT, "ticker"), *days("date"), *floats("Open", "High", "Low", "Close", "Volume", "OpenInt")],
    "lean": [
        *some(TEXT, "ticker", "security_id"),
        *days("date"),
        *floats(*OHLC, "volume", "price_factor", "split_factor", "reference"),
    ],
    # of a day without an action NaN
    "massive": [*some(TEXT, "ticker"), *days("date"), *floats(*OHLC, "volume", "split_from", "split_to", "cash_amount")],
    "skfolio": [*some(TEXT, "ticker"), *days("date"), *floats("adj_close")],
    "yahoo": [*some(TEXT, "ticker"), *YAHOO_BARS],
}
INDEX_PRICES = {
    "arch": [*some(TEXT, "series"), *days("date"), *floats("Open", "High", "Low", "Close", "Adj Close"), *integers("Volume")],
    "yahoo": [*some(TEXT, "series"), *YAHOO_BARS],
}
MACRO = {"fred": [*some(TEXT, "series"), *_microseconds("date", "realtime_start"), *floats("value")]}
FUNDAMENTALS = {
    "sec": [
        *some(TEXT, "ticker", "taxonomy", "concept", "unit", "end", "accn", "form", "filed"),
        *some(NUMBER, "val"),
        *perhaps(TEXT, "start", "fp"),  # an instant has no start
        *perhaps(NUMBER, "fy"),
    ]
}
OPTION_CHAIN = {
    "massive": [
        *some(TEXT, "ticker", "details.ticker", "details.contract_type", "details.expiration_date"),
        *some(DAY, "session"),
        *some(NUMBER, "details.strike_price"),
        *perhaps(TEXT, "underlying_asset.ticker"),
        # what a plan without quotes or trades lacks, or a contract that was never traded
        *perhaps(NUMBER, "details.shares_per_contract", "open_interest", "implied_volatility", "day.volume", "day.last_updated"),
        *perhaps(NUMBER, *(f"last_quote.{name}" for name in ("bid", "ask", "bid_size", "ask_size", "last_updated"))),
        *perhaps(NUMBER, "last_trade.price", "last_trade.sip_timestamp", "underlying_asset.price", "underlying_asset.last_updated"),
        *perhaps(NUMBER, *(f"greeks.{name}" for name in ("delta", "gamma", "theta", "vega"))),
    ],
    "yahoo": [
        *some(TEXT, "ticker", "right", "contractSymbol", "contractSize"),
        *some(DAY, "session", "expiry"),
        *some(NUMBER, "strike"),
        *perhaps(MOMENT, "lastTradeDate"),
        *perhaps(NUMBER, "underlying", "bid", "ask", "lastPrice", "volume", "openInterest", "impliedVolatility"),
    ],
}
QUOTES = {
    "massive": [
        *some(TEXT, "ticker"),
        *some(DAY, "session"),
        *perhaps(NUMBER, "updated", *(f"last_trade.{name}" for name in ("sip_timestamp", "price", "size"))),
        *perhaps(NUMBER, *(f"last_quote.{name}" for name in ("sip_timestamp", "bid_price", "bid_size", "ask_price", "ask_size"))),
        *perhaps(NUMBER, *(f"day.{name}" for name in (*OHLC, "volume", "vwap")), "prev_day.close"),
    ]
}
EARNINGS = {
    "alpha_vantage": [
        *some(TEXT, "ticker", "fiscalDateEnding", "reportedDate"),
        *perhaps(TEXT, "reportTime"),
        *perhaps(FIGURES, "reportedEPS", "estimatedEPS"),
    ],
    "finnhub": [
        *some(TEXT, "ticker", "date"),
        *perhaps(TEXT, "hour"),
        *perhaps(FIGURES, "year", "quarter", "epsEstimate", "epsActual", "revenueEstimate", "revenueActual"),
    ],
    "yahoo": [*some(TEXT, "ticker"), *some(MOMENT, "Earnings Date"), *perhaps(FIGURES, "EPS Estimate", "Reported EPS")],
}
ARTICLES = {
    "finnhub": [*some(TEXT, "ticker"), *some(FIGURES, "id", "datetime"), *perhaps(TEXT, "headline", "summary", "source", "url")],
    "news_api": [*some(TEXT, "ticker", "url", "publishedAt"), *perhaps(TEXT, "title", "description", "publisher")],
}
SENTIMENT = {
    "finnhub": [
        *some(TEXT, "ticker"),
        *perhaps(FIGURES, "articlesInLastWeek", "buzz", "companyNewsScore", "sectorAverageNewsScore", "bullishPercent", "bearishPercent"),
    ]
}
INSIDERS = {
    "finnhub": [
        *some(TEXT, "ticker", "filingDate"),
        *perhaps(TEXT, "name", "transactionDate", "transactionCode"),
        *perhaps(ANYTHING, "id"),
        *perhaps((bool,), "isDerivative"),
        *perhaps(FIGURES, "change", "share", "transactionPrice"),
    ]
}
RECOMMENDATIONS = {"finnhub": [*some(TEXT, "ticker", "period"), *some(FIGURES, "strongBuy", "buy", "hold", "sell", "strongSell")]}
HOLDERS = {
    "yahoo": [
        *some(TEXT, "ticker", "kind", "Holder"),
        *some(MOMENT, "Date Reported"),
        *perhaps(FIGURES, "Shares", "pctHeld", "Value"),
    ]
}
COMPANY_INFO = {
    "alpha_vantage": [*some(TEXT, "ticker", "field", "text")],
    "yahoo": [*some(TEXT, "ticker", "field"), *perhaps(ANYTHING, "value")],
}
COLUMNS = {
    "prices": PRICES,
    "index_prices": INDEX_PRICES,
    "macro": MACRO,
    "fundamentals": FUNDAMENTALS,
    "option_chain": OPTION_CHAIN,
    "quotes": QUOTES,
    "earnings": EARNINGS,
    "articles": ARTICLES,
    "news_sentiment": SENTIMENT,
    "insider_transactions": INSIDERS,
    "recommendations": RECOMMENDATIONS,
    "holders": HOLDERS,
    "company_info": COMPANY_INFO,
}
VENDOR_TYPES = {(table, vendor): _type(table, vendor, columns) for table, vendors in COLUMNS.items() for vendor, columns in vendors.items()}


def check_vendor_frame(source: Source, frame: pd.DataFrame) -> None:
    """As `_check`, of what a source fetched: the door that steps are given."""
    _check(source.table, source.name, frame)


def check_vendor_frames(frames: Mapping[str, pd.DataFrame]) -> None:
    """As `_check`, of the frames of `prices` by vendor."""
    for vendor, frame in frames.items():
        _check("prices", vendor, frame)


def _check(table: str, vendor: str, frame: pd.DataFrame) -> None:
    """Raises Failure naming the vendor and the column that is not what it used to be: it is so for every name, so that the step stops."""
    if (table, vendor) not in VENDOR_TYPES:
        raise dg.Failure(f"{vendor}: no columns are declared for its {table}; declare them in vendor_types.py", allow_retries=False)
    # `dagster.check_dagster_type` makes an instance with a database each time, for a context that these types do not read: 55 ms a frame
    verdict = VENDOR_TYPES[table, vendor].type_check(cast(dg.TypeCheckContext, None), frame)
    if not verdict.success:
        told = " ".join((verdict.description or "").split())
        raise dg.Failure(f"{vendor}: {told}; the vendor's frame has changed, adapt its source", allow_retries=False)
