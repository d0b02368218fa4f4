"""What a strategy can ask for, and how the compiled account is told. When an order fills is said in `kernel.py`.

An order is decided at the close of a session and works from the next one on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import reduce
from numbers import Integral, Real
from typing import Any, Literal, NoReturn

import numpy as np
import polars as pl

from quant_assets.backtest import kernel
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument

SIZES = {"shares": kernel.SHARES, "cash": kernel.CASH, "equity": kernel.EQUITY, "weight": kernel.TARGET_WEIGHT}
NUMBERS = ("limit", "stop", "trail", "stop_loss", "take_profit", "trailing_stop")
FIELDS = {
    "limit": "limit",
    "trigger": "stop",
    "trail": "trail",
    "stop_distance": "stop_loss",
    "target_distance": "take_profit",
    "trail_distance": "trailing_stop",
    "exit_after": "exit_after",
    "lasts": "lasts",
    "only_flat": "only_flat",
}
"""What the compiled account calls what an order calls otherwise."""


@dataclass(frozen=True)
class Order:
    """One wish about one name. Exactly one of shares, cash, equity, weight and close says how much.

    Parameters
    ----------
    shares : to buy, or to sell when negative.
    cash : USD to buy for, costs included, at most what cash and margin allow; negative: to sell short for. Against a position the other way
        round it closes that much of it, costs not included, and never goes beyond.
    equity : the same as a fraction of the account at the close before the fill.
    weight : the fraction of the account that the name shall be, counted in shares at the close of the decision; 0 sells all.
    close : leave the position there is when it fills.
    limit, stop, trail : USD a share: worst price; price from which on it works; distance at which such a price follows the bars. Limit
        and stop together are a stop-limit order; none of them, an order at the market, at the open.
    at : "close" for an order at the market, at the close.
    stop_loss, take_profit, trailing_stop : USD a share, distances from the fill, of what then protects the position that this order opens.
    exit_after : sessions from the fill to the open at which that position is left.
    lasts : sessions the order works; 0: until it is filled.
    only_flat : not while the name is held at the close of the decision.
    priority : orders of one close that fill at one time do so in descending priority, then by ticker.
    """

    ticker: str
    shares: float | None = None
    cash: float | None = None
    equity: float | None = None
    weight: float | None = None
    close: bool = False
    limit: float | None = None
    stop: float | None = None
    trail: float | None = None
    at: Literal["open", "close"] = "open"
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    exit_after: int | None = None
    lasts: int = 1
    only_flat: bool = False
    priority: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.ticker, str):
            raise BadArgument(f"an order of {self.ticker!r}", remedy="a ticker is a text")
        for name in (*SIZES, *NUMBERS, "priority"):
            if (value := getattr(self, name)) is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or value != value:
                raise BadArgument(f"an order of {self.ticker} has {name}={value!r}", remedy="give a number, or leave it out")
        for name in ("lasts", "exit_after"):
            if not isinstance(value := getattr(self, name), Integral) and not (name == "exit_after" and value is None):
                raise BadArgument(f"an order of {self.ticker} has {name}={value!r}", remedy="count whole sessions")
        for name in ("close", "only_flat"):
            if not isinstance(value := getattr(self, name), bool | np.bool_):
                raise BadArgument(f"an order of {self.ticker} has {name}={value!r}", remedy="it is True or False")


SCHEMA = {
    "session": pl.Date,
    "ticker": pl.String,
    **dict.fromkeys(("shares", "cash", "equity", "weight"), pl.Float64),
    "close": pl.Boolean,
    **dict.fromkeys(("limit", "stop", "trail"), pl.Float64),
    "at": pl.String,
    **dict.fromkeys(("stop_loss", "take_profit", "trailing_stop"), pl.Float64),
    "exit_after": pl.Int64,
    "lasts": pl.Int64,
    "only_flat": pl.Boolean,
    "priority": pl.Float64,
}
DEFAULTS = {field.name: field.default for field in fields(Order) if field.name != "ticker"}
NEVER_EXITS = -(1 << 62)

Columns = dict[str, np.ndarray[Any, Any]]
"""`name` and `day`, (n,) places on the tape or -1, and the fields of `Order`: (n,), or (1,) of what all have; NaN: a number left out."""


def of_frame(orders: pl.DataFrame, tape: Tape, *, by_name: bool) -> tuple[np.ndarray[Any, Any], pl.DataFrame]:
    """(n,) records of `kernel.ORDER` in the order in which they are worked, and the rows of the table in that order.

    Parameters
    ----------
    orders : `session`, the close they were decided at, `ticker`, and any fields of `Order`; what is left out or null has its default.
    by_name : each name is an account of its own.

    Raises
    ------
    BadArgument : a column that no order has, or an order that cannot be, named by ticker and session.
    """
    if not isinstance(orders, pl.DataFrame):
        raise BadArgument(f"the orders are a {type(orders).__name__}", remedy="give a polars DataFrame, as of pl.from_pandas or .collect()")
    unknown = [name for name in orders.columns if name not in SCHEMA]
    if unknown or not {"session", "ticker"} <= set(orders.columns):
        what = f"a column {unknown[0]}" if unknown else "no column session or ticker"
        raise BadArgument(f"the orders have {what}", remedy=f"they have session, ticker and any of {', '.join(DEFAULTS)}")
    if orders.schema["session"] != pl.Date:
        raise BadArgument(f"orders are decided on sessions of type {orders.schema['session']}", remedy="give a Date each")
    rest = [pl.lit(DEFAULTS[name], dtype=dtype).alias(name) for name, dtype in SCHEMA.items() if name not in orders.columns]
    try:
        rows = orders.with_columns(pl.col(name).cast(SCHEMA[name]) for name in orders.columns).with_columns(rest)
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0]
        raise BadArgument(
            f"a column of the orders is of another type ({why})", remedy="numbers are Float64, counts Int64, see orders.SCHEMA"
        ) from None
    rows = rows.with_columns(pl.col(name).fill_null(DEFAULTS[name]) for name in ("close", "at", "lasts", "only_flat", "priority"))
    rows = _ordered(rows, ("ticker", "session", "priority") if by_name else ("session", "priority", "ticker"))
    for name in (*SIZES, *NUMBERS, "priority"):
        if name in orders.columns and (wrong := rows[name].is_nan().fill_null(False)).any():
            _refuse(rows.filter(wrong).row(0, named=True), f"has a {name} that is no number")

    def told(name: str, empty: float | None = None) -> np.ndarray[Any, Any]:
        values = rows[name] if name in orders.columns else rows[name].head(1)
        return (values if empty is None else values.fill_null(empty)).to_numpy()

    days = np.array(tape.sessions, dtype="M8[D]")
    decided = rows["session"].to_numpy().astype("M8[D]")
    place = np.minimum(np.searchsorted(days, decided), max(days.size - 1, 0))
    names = rows["ticker"].cast(pl.Enum(list(tape.tickers)), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    columns = {
        "name": names.to_numpy(),
        "day": np.where(days[place] == decided, place, -1) if days.size else np.full(rows.height, -1),
        **{name: told(name, np.nan) for name in (*SIZES, *NUMBERS, "priority")},
        **{name: told(name) for name in ("close", "lasts", "only_flat")},
        "at_open": told("at") == "open",
        "at_close": told("at") == "close",
        "exit_after": told("exit_after", NEVER_EXITS),
    }
    return _packed(columns, lambda place: rows.row(place, named=True)), rows


def _ordered(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows by these keys, priority falling, without sorting what is sorted; raises BadArgument for an order that is there twice."""
    later, alike = pl.lit(False), pl.lit(True)
    for name in keys:
        here, before = pl.col(name), pl.col(name).shift(1)
        later = later | (alike & (here < before if name == "priority" else here > before))
        alike = alike & (here == before)
    if not rows.select((later | alike).all()).item():
        rows = rows.sort(keys, descending=[name == "priority" for name in keys], maintain_order=True)
    follows = rows.select(alike.fill_null(False)).to_series()
    among = rows.filter(follows | follows.shift(-1, fill_value=False))
    if (repeated := among.is_duplicated()).any():
        _refuse(among.filter(repeated).row(0, named=True), "is there twice")
    return rows


def in_priority(orders: Iterable[Order]) -> list[Order]:
    """In the order in which orders of one close are worked."""
    return sorted(orders, key=lambda order: (-order.priority, order.ticker))


def table_of(decided: Sequence[tuple[dt.date, Order]]) -> pl.DataFrame:
    """`session`, the close each was decided at, and the fields of `Order`."""
    rows = [(session, *(getattr(order, name) for name in SCHEMA if name != "session")) for session, order in decided]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def of_close(orders: Sequence[Order], tape: Tape, day: int) -> np.ndarray[Any, Any]:
    """(n,) records of what a strategy asked for at the close of a session, given `in_priority`; errors as `of_frame`."""

    def told(place: int) -> dict[str, Any]:
        return {"session": tape.sessions[day], **asdict(orders[place])}

    if len(set(orders)) < len(orders):
        _refuse(told(next(place for place, order in enumerate(orders) if order in orders[:place])), "is there twice")
    numbers = {name: np.array([getattr(order, name) for order in orders], dtype=float) for name in (*SIZES, *NUMBERS, "priority")}
    columns = {
        "name": np.array([tape.place_of(order.ticker) for order in orders], dtype=np.int64),
        "day": np.full(len(orders), day),
        **numbers,
        **{name: np.array([getattr(order, name) for order in orders]) for name in ("close", "lasts", "only_flat")},
        "at_open": np.array([order.at == "open" for order in orders]),
        "at_close": np.array([order.at == "close" for order in orders]),
        "exit_after": np.array([NEVER_EXITS if order.exit_after is None else order.exit_after for order in orders]),
    }
    return _packed(columns, told)


def _packed(columns: Columns, told: Callable[[int], dict[str, Any]]) -> np.ndarray[Any, Any]:
    sized = [*(~np.isnan(columns[name]) for name in SIZES), columns["close"]]
    has = {name: ~np.isnan(columns[name]) for name in NUMBERS}
    wrong = {
        "is for a name without bars": columns["name"] < 0,
        "is decided on a day that is no session of the bars": columns["day"] < 0,
        "has a number that is not finite": _any(np.isinf(columns[name]) for name in (*SIZES, *NUMBERS, "priority")),
        "says how much not at all, or twice": sum(one.astype(np.int64) for one in sized) != 1,
        "asks for nothing": _any(columns[name] == 0 for name in ("shares", "cash", "equity")),
        "has a price that is not positive": _any(columns[name] <= 0 for name in ("limit", "stop", "trail")),
        "has a distance below zero": _any(columns[name] < 0 for name in ("stop_loss", "take_profit", "trailing_stop")),
        "is for neither the open nor the close": ~(columns["at_open"] | columns["at_close"]),
        "trails and has a limit or stop of its own": has["trail"] & (has["limit"] | has["stop"]),
        "is for the close and has a limit, stop or trail": columns["at_close"] & (has["limit"] | has["stop"] | has["trail"]),
        "lasts a number of sessions below zero": columns["lasts"] < 0,
        "leaves before it has entered": (columns["exit_after"] != NEVER_EXITS) & (columns["exit_after"] < 1),
    }
    for what, rows in wrong.items():
        if rows.any():
            _refuse(told(int(np.argmax(rows))), what)
    records = np.zeros(columns["name"].size, kernel.ORDER)
    records["name"], records["decided"] = columns["name"], columns["day"]
    records["sizing"] = kernel.CLOSE_OUT
    for (name, code), here in zip(SIZES.items(), sized, strict=False):
        np.copyto(records["sizing"], code, where=here)
        np.copyto(records["size"], columns[name], where=here)
    records["kind"] = np.select(
        [has["trail"], has["limit"] & has["stop"], has["limit"], has["stop"], columns["at_close"]],
        [kernel.TRAILING, kernel.STOP_LIMIT, kernel.LIMIT, kernel.STOP, kernel.ON_CLOSE],
        kernel.MARKET,
    )
    for field, name in FIELDS.items():
        records[field] = columns[name]
    return records


def _any(masks: Iterable[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Where any of them holds; each is (n,) or (1,)."""
    return reduce(np.logical_or, masks)


def _refuse(row: dict[str, Any], what: str) -> NoReturn:
    told = ", ".join(f"{name} {row[name]:g}" for name in (*SIZES, *NUMBERS) if row[name] is not None)
    raise BadArgument(
        f"the order of {row['ticker']} {row['session']}{f' ({told})' if told else ''} {what}", remedy="correct it or leave it out"
    )
