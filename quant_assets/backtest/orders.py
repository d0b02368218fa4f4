"""What a strategy can ask for, and how the compiled account is told. When an order fills is said in `kernel.py`.

An order is decided at the close of a session and works from the next one on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import polars as pl

from quant_assets.backtest import kernel
from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument

SIZES = {"shares": kernel.SHARES, "cash": kernel.CASH, "equity": kernel.EQUITY, "weight": kernel.TARGET_WEIGHT}
NUMBERS = ("limit", "stop", "trail", "stop_loss", "take_profit", "trailing_stop")
UNTIL_FILLED = 0


@dataclass(frozen=True)
class Order:
    """One wish about one name. Exactly one of shares, cash, equity, weight and close says how much.

    Parameters
    ----------
    shares : to buy, or to sell when negative.
    cash : USD to buy for, costs included; negative: to sell short for.
    equity : the same as a fraction of the account at the close before the fill.
    weight : the fraction of the account that the name shall be, counted in shares at the close of the decision; 0 sells all.
    close : leave the position.
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
DEFAULTS = {field.name: field.default for field in fields(Order) if field.name not in ("ticker",)}


def frame_of(decided: Sequence[tuple[dt.date, Order]]) -> pl.DataFrame:
    """Orders as a table: `session`, the close they were decided at, and the fields of `Order`."""
    rows = [(session, *(getattr(order, name) for name in SCHEMA if name != "session")) for session, order in decided]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def whole(orders: pl.DataFrame) -> pl.DataFrame:
    """The table with every column of `Order`, those that were left out at their defaults.

    Raises
    ------
    BadArgument : a column that no order has.
    """
    unknown = [name for name in orders.columns if name not in SCHEMA]
    if unknown or not {"session", "ticker"} <= set(orders.columns):
        what = f"column {unknown[0]}" if unknown else "no column session or ticker"
        raise BadArgument(f"orders with {what}", remedy=f"they have session, ticker and any of {', '.join(DEFAULTS)}")
    rest = [pl.lit(DEFAULTS[name], dtype=dtype).alias(name) for name, dtype in SCHEMA.items() if name not in orders.columns]
    filled = [
        pl.col(name).fill_null(DEFAULTS[name]) for name in ("close", "at", "lasts", "only_flat", "priority") if name in orders.columns
    ]
    return orders.with_columns(*filled, *rest).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def records(orders: pl.DataFrame, tape: Tape, *, by_name: bool) -> tuple[np.ndarray[Any, Any], pl.DataFrame]:
    """(n,) records of `kernel.ORDER` in the order in which they are worked, and the same rows as a table.

    Parameters
    ----------
    orders : see `whole`. by_name : each name is an account of its own.

    Raises
    ------
    BadArgument : an order for what is not on the tape, two that are the same, a number that is not finite, a size that is none or several.
    """
    rows = whole(orders)
    key = ["ticker", "session"] if by_name else ["session"]
    rows = rows.sort([*key, "priority", "ticker"], descending=[*[False] * len(key), True, False], maintain_order=True)
    _check(rows, tape)
    n = rows.height
    told = np.zeros(n, kernel.ORDER)
    if n == 0:
        return told, rows
    told["name"] = rows["ticker"].cast(pl.Enum(list(tape.tickers))).to_physical().to_numpy()
    told["account"] = told["name"] if by_name else 0
    told["decided"] = np.searchsorted(np.array(tape.sessions, dtype="M8[D]"), rows["session"].to_numpy().astype("M8[D]"))
    sized = {name: rows[name].is_not_null().to_numpy() for name in SIZES}
    told["sizing"] = kernel.CLOSE_OUT
    for name, code in SIZES.items():
        told["sizing"][sized[name]] = code
        told["size"][sized[name]] = rows[name].drop_nulls().to_numpy()
    numbers = {name: rows[name].fill_null(np.nan).to_numpy() for name in NUMBERS}
    has = {name: rows[name].is_not_null().to_numpy() for name in NUMBERS}
    told["kind"] = np.select(
        [has["trail"], has["limit"] & has["stop"], has["limit"], has["stop"], (rows["at"] == "close").to_numpy()],
        [kernel.TRAILING, kernel.STOP_LIMIT, kernel.LIMIT, kernel.STOP, kernel.ON_CLOSE],
        kernel.MARKET,
    )
    for field, name in (("limit", "limit"), ("trigger", "stop"), ("trail", "trail")):
        told[field] = numbers[name]
    for field, name in (("stop_distance", "stop_loss"), ("target_distance", "take_profit"), ("trail_distance", "trailing_stop")):
        told[field] = numbers[name]
    told["exit_after"] = rows["exit_after"].fill_null(-1).to_numpy()
    told["lasts"] = rows["lasts"].to_numpy()
    told["only_flat"] = rows["only_flat"].to_numpy()
    return told, rows


def _check(rows: pl.DataFrame, tape: Tape) -> None:
    numbers = [*SIZES, *NUMBERS, "priority"]
    prices, distances = ("limit", "stop", "trail"), ("stop_loss", "take_profit", "trailing_stop")
    n_sizes = pl.sum_horizontal(*(pl.col(name).is_not_null() for name in SIZES), pl.col("close"))
    wrong = {
        "is for a name without bars": ~pl.col("ticker").is_in(tape.tickers),
        "is decided on a day that is no session of the bars": ~pl.col("session").is_in(tape.sessions),
        "occurs twice": pl.struct(pl.all()).is_duplicated(),
        "has a number that is not finite": pl.any_horizontal(~pl.col(name).is_finite() for name in numbers),
        "says its size not at all, or twice": n_sizes != 1,
        "asks for nothing": pl.any_horizontal(pl.col(name) == 0 for name in ("shares", "cash", "equity")),
        "has a price that is not positive, or a distance below zero": pl.any_horizontal(
            *(pl.col(name) <= 0 for name in prices), *(pl.col(name) < 0 for name in distances)
        ),
        "trails and has a limit or stop of its own": pl.col("trail").is_not_null()
        & (pl.col("limit").is_not_null() | pl.col("stop").is_not_null()),
        "is for the close and has a limit, stop or trail": (pl.col("at") == "close")
        & pl.any_horizontal(pl.col(name).is_not_null() for name in ("limit", "stop", "trail")),
        "is for neither open nor close": ~pl.col("at").is_in(["open", "close"]),
        "lasts or exits after a number of sessions below zero": (pl.col("lasts") < 0) | (pl.col("exit_after") < 1),
    }
    found = rows.select(**{what: broken.fill_null(False).arg_true().first() for what, broken in wrong.items()}).row(0, named=True)
    for what, place in found.items():
        if place is not None:
            row = rows.row(place, named=True)
            told = ", ".join(
                f"{name} {row[name]}" for name in ("shares", "cash", "equity", "weight", "limit", "stop") if row[name] is not None
            )
            raise BadArgument(
                f"the order of {row['ticker']} {row['session']}{f' ({told})' if told else ''} {what}",
                remedy="correct or leave out that row",
            )
