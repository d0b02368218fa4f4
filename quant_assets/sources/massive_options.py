"""Option chains of US listings as they are quoted now, from Massive. Its limits and errors: `massive.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from urllib.parse import quote

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, day_window, last_opened_session
from quant_assets.errors import SourceError
from quant_assets.schemas import TABLES, UTC, Dtype
from quant_assets.sources.massive import CHANGED, above_zero, fields, moment, new_york_day, opened, policy_of, reading, table
from quant_assets.sources.wire.wire import Wire

CONTRACTS_A_PAGE = 250
COLUMNS: dict[str, Dtype] = {
    **dict.fromkeys((f"details.{name}" for name in ("ticker", "contract_type", "expiration_date")), pl.String),
    **dict.fromkeys((f"details.{name}" for name in ("strike_price", "shares_per_contract")), pl.Float64),
    **dict.fromkeys((f"last_quote.{name}" for name in ("bid", "ask", "bid_size", "ask_size")), pl.Float64),
    "last_quote.last_updated": pl.Int64,
    "last_trade.price": pl.Float64,
    "last_trade.sip_timestamp": pl.Int64,
    "day.volume": pl.Float64,
    "day.last_updated": pl.Int64,
    "open_interest": pl.Float64,
    "underlying_asset.ticker": pl.String,
    "underlying_asset.price": pl.Float64,
    "underlying_asset.last_updated": pl.Int64,
    "implied_volatility": pl.Float64,
    **dict.fromkeys((f"greeks.{name}" for name in ("delta", "gamma", "theta", "vega")), pl.Float64),
}
CLOCKS_DIFFER = dt.timedelta(minutes=1)
AFTER_ROOT = 15  # characters of an OCC symbol: six of the expiry, C or P, eight of the strike


class MassiveOptions:
    """One snapshot of all contracts of a name. Its session is the last one that opened before it was fetched.

    What is stamped with another day is not of that session: such a quote or price of the share is null, and such a daily bar means that
    the contract has not traded in it. Contracts that are neither call nor put are left out, and so is one that a merger or a special
    dividend changed where the name's own contract has the same expiry, strike and right.
    """

    name = "massive"
    table = "option_chain"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.policy = policy_of(wire.clock)

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Any name may be there, and only as it is now."""
        return dict.fromkeys(keys or (), day_window(self._session()))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The client's fields, named `parent.child`, with `ticker` and `session`; none when the window does not hold the current session.

        Raises
        ------
        SourceError : no key is set, or a contract cannot be read; else as of the wire.
        """
        rows: list[list[object]] = []
        session = self._session()
        for ticker in sorted(keys) if session in window else ():
            with opened(self._wire, self.policy, about=ticker) as client, reading("a contract", ticker):
                asked = {"limit": CONTRACTS_A_PAGE, "sort": "ticker", "order": "asc"}
                found = client.list_snapshot_options_chain(quote(ticker, safe=""), params=asked)
                rows += [[ticker, session, *fields(contract, COLUMNS)] for contract in found]
        return pd.DataFrame(rows, columns=["ticker", "session", *COLUMNS], dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        told = table(raw, {"ticker": pl.String, "session": pl.Date, **COLUMNS}, "a contract").unique(maintain_order=True)
        _refuse_what_cannot_be(told, fetched_at)
        quoted, priced = _of_session("last_quote.last_updated"), _of_session("underlying_asset.last_updated")
        contracts = told.filter(pl.col("details.contract_type") != "other").select(
            "ticker",
            "session",
            expiry=pl.col("details.expiration_date").str.to_date("%Y-%m-%d", strict=False),
            strike="details.strike_price",
            right="details.contract_type",
            contract=pl.col("details.ticker").str.strip_prefix("O:"),
            multiplier="details.shares_per_contract",
            bid=pl.when(quoted).then(above_zero("last_quote.bid")),
            ask=pl.when(quoted).then(above_zero("last_quote.ask")),
            bid_size=pl.when(quoted).then("last_quote.bid_size"),
            ask_size=pl.when(quoted).then("last_quote.ask_size"),
            last=above_zero("last_trade.price"),
            last_at=moment("last_trade.sip_timestamp"),
            volume=pl.when(_of_session("day.last_updated")).then("day.volume").otherwise(0.0),
            open_interest="open_interest",
            underlying=pl.when(priced).then(above_zero("underlying_asset.price")),
            vendor_implied_volatility="implied_volatility",
            **{f"vendor_{name}": f"greeks.{name}" for name in ("delta", "gamma", "theta", "vega")},
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=UTC),
            known_at=pl.lit(fetched_at, dtype=UTC),
        )
        return TABLES["option_chain"].conform(_one_of_each(contracts))

    def _session(self) -> dt.date:
        return last_opened_session(self._wire.clock.now())


def _of_session(stamp: str) -> pl.Expr:
    """Whether it is of the row's session; what has no stamp counts as what Massive calls it, the most recent."""
    return pl.coalesce(new_york_day(moment(stamp)) == pl.col("session"), pl.lit(True))


def _refuse_what_cannot_be(told: pl.DataFrame, fetched_at: dt.datetime) -> None:
    for ticker, owner in (
        told.select("ticker", "underlying_asset.ticker").filter(pl.col("underlying_asset.ticker") != pl.col("ticker")).rows()
    ):
        raise SourceError(f"massive: asked for options of {ticker}, it told some of {owner}", remedy=CHANGED)
    stamps = pl.max_horizontal(moment("last_quote.last_updated"), moment("day.last_updated"), moment("underlying_asset.last_updated"))
    for ticker, newest in told.select("ticker", newest=stamps).filter(pl.col("newest") > fetched_at + CLOCKS_DIFFER).rows():
        message = f"massive: options of {ticker} are stamped {newest:%Y-%m-%d %H:%M} UTC, when it is {fetched_at:%Y-%m-%d %H:%M} here"
        raise SourceError(message, remedy="set this machine's clock")
    known = pl.col("details.contract_type").is_in(["call", "put", "other"]) & pl.col("details.strike_price").is_not_null()
    dated = pl.col("details.expiration_date").str.to_date("%Y-%m-%d", strict=False).is_not_null()
    for ticker, contract in told.filter(~(known & dated).fill_null(False)).select("ticker", "details.ticker").rows():
        raise SourceError(f"massive: contract {contract} of {ticker} has no right, expiry or strike that is known", remedy=CHANGED)


def _one_of_each(contracts: pl.DataFrame) -> pl.DataFrame:
    key = TABLES["option_chain"].key
    root = pl.col("contract").str.head(-AFTER_ROOT)
    own = (root == pl.col("ticker").str.replace_all(".", "", literal=True)).fill_null(False)
    rivals = contracts.with_columns(own=own, rivals=pl.len().over(key), owned=own.sum().over(key))
    for row in rivals.filter(pl.col("rivals") > 1, pl.col("owned") != 1).head(1).iter_rows(named=True):
        what = f"{row['ticker']} {row['expiry']} {row['strike']:g} {row['right']}"
        raise SourceError(f"massive: {row['rivals']} different contracts {what}, {row['contract']} among them", remedy="try again later")
    return rivals.filter((pl.col("rivals") == 1) | pl.col("own")).drop("own", "rivals", "owned")
