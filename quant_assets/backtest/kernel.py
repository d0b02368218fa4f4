"""The account, bar by bar, compiled. What can be ordered is said in `orders.py`, what it costs in `costs.py`; `engine.py` joins them.

Within a session, in this order
1. interest on cash and the fee for borrowed shares, for the calendar days since the session before;
2. splits and dividends of held positions; working orders follow a split;
3. exits at the open: the rest of an exit that did not fill whole, a position that is due, one that opens beyond its stop or its target;
4. orders that fill at the open, those that reduce a position first, each group by priority;
5. stops and targets within the bar, entry bar included; where both are touched the stop is taken;
6. orders that fill within the bar, stops before limits; their own stop may be touched in the rest of it, their target only in the next;
7. orders on the close, those that reduce a position first;
8. the account is valued at the close; trailing stops follow; a name's last session sells it; an account below its margin is closed at the
   next opens.

Choices made here
- A bar that is not complete, or has a volume of zero, fills nothing and moves no stop.
- What opens beyond a stop fills at the open. A limit fills at the open where that is better, else at the limit, once bid or ask has
  reached it.
- Every fill pays the half-spread inside its price; a limit has it inside the limit. Impact is paid by who takes liquidity, not by limits.
- Nothing is filled beyond the share of the bar's volume that is allowed; what is left of an exit leaves at the next open.
- Interest and borrow fees are simple, over 360 days. Proceeds of short sales earn no interest.

All functions are in one file, as the cache of compiled functions does not notice that a function of another file was changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Records = NDArray[Any]
# No fastmath: the same bits for the same bars. Without references counted, since counting them takes ten times what a session does: what a
# function is given is kept alive by whoever calls it, and only `allocating` ones make anything new.
compiled: Callable[[F], F] = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
# A call costs more than what most of these do: each array it is given is counted in and out.
allocating: Callable[[F], F] = numba.njit(cache=True, nogil=True, error_model="numpy")
inlined: Callable[[F], F] = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always", _nrt=False)

DAYS_A_YEAR = 360.0
ROWS_A_SESSION = 4
"""The most that a name or an order adds to a journal in a session: two fills that turn a position round, its stop, its last day."""
ROOM = 1e-9
"""Part of a share or a dollar that is rounding."""


def codes(n: int) -> Iterator[int]:
    """0 .. n - 1. Python's own integers would be types of their own to the compiler, and each function compiled for each of them."""
    return map(np.int64, range(n))  # type: ignore[arg-type]


MARKET, ON_CLOSE, LIMIT, STOP, STOP_LIMIT, TRAILING = codes(6)
SHARES, CASH, EQUITY, TARGET_WEIGHT, CLOSE_OUT = codes(5)
AT_OPEN, WITHIN, AT_CLOSE = codes(3)
TAKING: bool = np.bool_(False)  # type: ignore[assignment]
PASSIVE: bool = np.bool_(True)  # type: ignore[assignment]
"""Whether an order takes liquidity: a limit does not."""
HOUR_FACTORS = (1.5, 1.0, 1.3)
"""Of linear impact: at the open, at an unknown time within the bar, at the close."""
NO_IMPACT, LINEAR, SQUARE_ROOT, ALMGREN = codes(4)
REASONS = ("order", "time", "gap", "stop", "target", "margin", "delisted")
BY_ORDER, TIME, GAP, STOPPED, TARGET, MARGIN, DELISTED = codes(7)
REFUSALS = (
    "held",
    "no bar",
    "no cash",
    "not borrowable",
    "expired",
    "delisted",
    "nothing to close",
    "margin",
    "less than a share",
    "no volume known",
    "its position was left",
    "the bars end",
)
HELD, NO_BAR, NO_CASH, NOT_BORROWABLE, EXPIRED, GONE, NOTHING, CALLED, TOO_SMALL, NO_HISTORY, LEFT, ENDED = codes(12)
OVER = -1
"""What `armed` of an order is once the position it opened was left by stop, target, time or margin: the rest of it opens no other."""


def record(places: str, quantities: str) -> np.dtype[np.void]:
    """Fields that count or say a place, int64, and fields that are quantities, float64."""
    return np.dtype([*((name, np.int64) for name in places.split()), *((name, np.float64) for name in quantities.split())])


ORDER = record(
    "account decided name kind sizing lasts only_flat exit_after armed kth left",
    "size limit trigger trail stop_distance target_distance trail_distance done",
)
"""(n_orders,); `orders.Order` says what is asked. `armed` is 1 when its trigger was reached, `done` is what of it is filled, in shares or,
where it is sized in money, in USD."""
POSITION = record(
    "order decided entered within due leaving used_day last_day place kth",
    "shares stop target trail best last_close bought bought_value sold sold_value paid flow entry_stop"
    " commission fees spread_cost impact_cost dividends borrow used",
)
"""(n_names,), empty where `shares` is 0. `within` is 1 when it was entered after its bar's open, `leaving` the reason of an exit that goes
on at the next open or -1, `best` the best price a trailing stop has seen; `paid` is what entering took and `flow` all cash in and out,
USD; `used` shares were traded on `used_day`; a name is delisted on `last_day`, never when that is -1."""
COSTS = " commission fees spread_cost impact_cost"
FILL = record("account order name day reason", "shares quoted price" + COSTS)
TRADE = record(
    "account order name side decided entered exited reason",
    "entry_shares exit_shares entry_price exit_price stop_price" + COSTS + " dividends borrow pnl ret",
)
REFUSAL = record("account order name day reason", "")
BAR = record("", "open high low close volume split_factor dividend fillable")
"""(n_names, n_sessions); NaN where there is no bar. `fillable` is 1 where the bar can fill an order, else 0."""
DAY = record("", "days sec_rate taf_rate taf_cap vix")
"""(n_sessions,); `days` are calendar days since the session before."""
RATE = record("", "half_spread adv sigma borrow_rate borrowable")
"""(n_names, n_sessions), or 1 in the place of either where one holds for all."""
TERMS = record(
    "impact_kind whole_shares",
    "commission_per_share commission_minimum exchange_per_share impact_a impact_b impact_c impact_d"
    " participation initial_margin maintenance_margin credit_rate debit_rate",
)
"""One record: what an order costs, as `Costs` says it, and what the account may do, as `Limits` says it."""
ACCOUNT = record(
    "number n_held n_working n_entries n_fills n_trades n_refusals called_in trades_before following lacking",
    "cash equity_before costs carry",
)
"""One record. The journals' lengths go on from account to account."""
CLOSE = record("entries exits", "equity cash position gross costs carry")
"""(n_accounts, n_sessions): what an account is worth at every close."""


class Market(NamedTuple):
    """What happens and what holds, whatever the account does."""

    bars: Records
    days: Records
    rates: Records
    terms: Records


class Book(NamedTuple):
    """The account between two sessions; the arrays are written in place.

    `positions` has a record for each name; its `kth` lists the names that are held, `kth` and `left` of `orders` those at work.
    """

    account: Records
    positions: Records
    orders: Records
    fills: Records
    trades: Records
    refusals: Records


@inlined
def rates_of(market: Market, name: int, day: int) -> Any:
    """The record of a table that may hold one for all names, or for all sessions."""
    return market.rates[name if market.rates.shape[0] > 1 else 0, day if market.rates.shape[1] > 1 else 0]


@compiled
def commission_of(shares: float, terms: Any) -> float:
    """USD for one fill of (unsigned) shares."""
    return max(terms.commission_minimum, terms.commission_per_share * shares)


@compiled
def impact_of(shares: float, terms: Any, adv: float, sigma: float, vix: float, hour_factor: float) -> float:
    """Fraction of the price by which (unsigned) shares move it; NaN where volume or volatility are not known."""
    kind = terms.impact_kind
    if kind == NO_IMPACT:
        return 0.0
    part = shares / adv
    if kind == LINEAR:
        bps = terms.impact_a + terms.impact_b * part * 100.0
        # Not `min`, for which NaN would be the cap.
        if bps > terms.impact_c:
            bps = terms.impact_c
        return bps * hour_factor * (2.0 if vix > 30.0 else 1.0) * 1e-4
    if kind == SQUARE_ROOT:
        return terms.impact_a * sigma * math.sqrt(part)
    permanent = terms.impact_a * sigma * part * terms.impact_c**0.25
    return permanent / 2 + terms.impact_b * sigma * (part / terms.impact_d) ** 0.6


@compiled
def moved_by(market: Market, name: int, day: int, shares: float, moment: int) -> float:
    """`impact_of` an order of this name and session."""
    terms = market.terms[0]
    if terms.impact_kind == NO_IMPACT:
        return 0.0
    rate = rates_of(market, name, day)
    return impact_of(shares, terms, rate.adv, rate.sigma, market.days[day].vix, HOUR_FACTORS[moment])


@compiled
def sale_fees(shares: float, notional: float, sec_rate: float, taf_rate: float, taf_cap: float) -> float:
    """SEC and TAF on shares sold, USD; the notional is at the quoted price."""
    return notional * sec_rate + min(taf_cap, taf_rate * shares)


@compiled
def affordable(budget: float, price: float, terms: Any, whole: bool) -> float:
    """The most shares whose price, commission and exchange fee do not exceed the budget, USD."""
    each = price + terms.exchange_per_share
    shares = min(budget / (each + terms.commission_per_share), (budget - terms.commission_minimum) / each)
    if not whole:
        return max(shares, 0.0)
    shares = np.floor(shares)
    # A quotient that rounded up to a whole number would overdraw by a fraction of a cent.
    if shares * each + max(terms.commission_minimum, terms.commission_per_share * shares) > budget:
        shares -= 1
    return max(shares, 0.0)


@inlined
def exposures(book: Book) -> tuple[float, float]:
    """(long, short) market value at the last closes, both positive."""
    positions = book.positions
    account = book.account[0]
    long = short = 0.0
    for k in range(account.n_held):
        held = positions[positions[k].kth]
        value = held.shares * held.last_close
        if value > 0:
            long += value
        else:
            short -= value
    return long, short


@compiled
def buying_power(book: Book, market: Market) -> float:
    """USD of further exposure that the margin allows; with a margin of 1 and no shorts it is the cash."""
    account = book.account[0]
    terms = market.terms[0]
    long, short = exposures(book)
    m = terms.initial_margin
    return account.cash / m + (1 / m - 1) * long - (1 / m + 1) * short


@compiled
def refuse(book: Book, order: int, name: int, day: int, reason: int) -> None:
    account = book.account[0]
    row = book.refusals[account.n_refusals]
    row.account = account.number
    row.order = order
    row.name = name
    row.day = day
    row.reason = reason
    account.n_refusals += 1


@compiled
def allowed_shares(book: Book, market: Market, name: int, day: int, shares: float) -> float:
    """As many of (unsigned) shares as the bar's volume leaves room for; none where it is not known."""
    terms = market.terms[0]
    if math.isinf(terms.participation):
        return shares
    held = book.positions[name]
    used = held.used if held.used_day == day else 0.0
    room = terms.participation * market.bars[name, day].volume - used
    # False for a volume that is not known too.
    if not room > ROOM:
        return 0.0
    return min(shares, np.floor(room + ROOM) if terms.whole_shares == 1 else room)


@compiled
def clear_position(held: Any) -> None:
    """An empty place: nothing of the position before it stays."""
    held.shares = 0.0
    held.within = 0
    held.due = -1
    held.leaving = -1
    held.stop = math.nan
    held.target = math.nan
    held.trail = math.nan
    held.best = math.nan
    held.entry_stop = math.nan
    held.bought = 0.0
    held.bought_value = 0.0
    held.sold = 0.0
    held.sold_value = 0.0
    held.paid = 0.0
    held.flow = 0.0
    held.commission = 0.0
    held.fees = 0.0
    held.spread_cost = 0.0
    held.impact_cost = 0.0
    held.dividends = 0.0
    held.borrow = 0.0


@compiled
def write_trade(book: Book, name: int, day: int, reason: int, side: int) -> None:
    """The position's row of the journal."""
    account = book.account[0]
    held = book.positions[name]
    row = book.trades[account.n_trades]
    row.account = account.number
    row.order = held.order
    row.name = name
    row.side = side
    row.decided = held.decided
    row.entered = held.entered
    row.exited = day
    row.reason = reason
    row.entry_shares = held.bought
    row.exit_shares = held.sold
    row.entry_price = held.bought_value / held.bought
    row.exit_price = held.sold_value / held.sold
    row.stop_price = held.entry_stop
    row.commission = held.commission
    row.fees = held.fees
    row.spread_cost = held.spread_cost
    row.impact_cost = held.impact_cost
    row.dividends = held.dividends
    row.borrow = held.borrow
    row.pnl = held.flow
    row.ret = held.flow / held.paid
    account.n_trades += 1


@compiled
def fill(
    book: Book,
    market: Market,
    name: int,
    day: int,
    shares: float,
    quoted: float,
    passive: bool,
    moment: int,
    order: int,
    decided: int,
    reason: int,
) -> None:
    """Books signed shares at a quoted price. The caller has seen to it that they do not cross zero."""
    positions, days = book.positions, market.days
    account = book.account[0]
    terms = market.terms[0]
    held = positions[name]
    side = 1.0 if shares > 0 else -1.0
    size = abs(shares)
    spread = rates_of(market, name, day).half_spread
    taking = 0.0 if passive else moved_by(market, name, day, size, moment)
    price = quoted * (1.0 + side * spread)
    spread_cost = size * abs(price - quoted)
    moved = quoted * taking
    price += side * moved
    commission = commission_of(size, terms)
    fees = terms.exchange_per_share * size
    if side < 0:
        fees += sale_fees(size, size * quoted, days[day].sec_rate, days[day].taf_rate, days[day].taf_cap)
    cash = -shares * price - commission - fees
    account.cash += cash
    account.costs += commission + fees + spread_cost + size * moved
    opening = held.shares == 0.0 or (held.shares > 0) == (shares > 0)
    if held.shares == 0.0:
        clear_position(held)
        held.order = order
        held.decided = decided
        held.entered = day
        held.last_close = quoted
        held.place = account.n_held
        positions[account.n_held].kth = name
        account.n_held += 1
        account.n_entries += 1
    held.commission += commission
    held.fees += fees
    held.spread_cost += spread_cost
    held.impact_cost += size * moved
    held.flow += cash
    if held.used_day != day:
        held.used_day = day
        held.used = 0.0
    held.used += size
    if opening:
        held.bought += size
        held.bought_value += size * price
        held.paid += size * price + commission + fees
    else:
        held.sold += size
        held.sold_value += size * price
    row = book.fills[account.n_fills]
    row.account = account.number
    row.order = order
    row.name = name
    row.day = day
    row.reason = reason
    row.shares = shares
    row.quoted = quoted
    row.price = price
    row.commission = commission
    row.fees = fees
    row.spread_cost = spread_cost
    row.impact_cost = size * moved
    account.n_fills += 1
    was = 1 if held.shares > 0 else -1
    held.shares += shares
    if not opening and abs(held.shares) < ROOM:
        write_trade(book, name, day, reason, was)
        last = positions[account.n_held - 1].kth
        positions[held.place].kth = last
        positions[last].place = held.place
        account.n_held -= 1
        held.shares = 0.0


@compiled
def leave(book: Book, market: Market, name: int, day: int, quoted: float, passive: bool, moment: int, reason: int) -> None:
    """Closes a position; what the volume does not allow is left for the next open."""
    held = book.positions[name]
    book.orders[held.order].armed = OVER
    size = allowed_shares(book, market, name, day, abs(held.shares))
    if size > 0:
        fill(book, market, name, day, -size if held.shares > 0 else size, quoted, passive, moment, held.order, held.decided, reason)
    if held.shares != 0.0:
        held.leaving = reason


@compiled
def protect(book: Book, order: int, name: int, day: int, within: bool) -> None:
    """Stop, target and last session of a position that this order has just opened; distances are from its fill.

    `within` is whether that was after the bar's open: of its high and low it is then not known which were still to come.
    """
    held, asked = book.positions[name], book.orders[order]
    side = 1.0 if held.shares > 0 else -1.0
    price = held.bought_value / held.bought
    held.within = 1 if within else 0
    held.due = held.entered + asked.exit_after if asked.exit_after >= 0 else -1
    held.stop = price - side * asked.stop_distance
    held.target = price + side * asked.target_distance
    held.trail = asked.trail_distance
    held.best = price
    if not math.isnan(held.trail):
        trailed = price - side * held.trail
        held.stop = trailed if math.isnan(held.stop) else (max(held.stop, trailed) if side > 0 else min(held.stop, trailed))
    held.entry_stop = held.stop


@inlined
def buys(book: Book, order: int) -> bool:
    """Which way an order goes; one that leaves a position goes against the position there is."""
    asked = book.orders[order]
    return book.positions[asked.name].shares < 0 if asked.sizing == CLOSE_OUT else asked.size > 0


@compiled
def desired(book: Book, order: int, name: int, price: float) -> float:
    """Signed shares an order asks for at this price, before cash and volume limit them; what is left of one that was partly filled."""
    account = book.account[0]
    asked, held = book.orders[order], book.positions[name]
    if asked.sizing == SHARES:
        return asked.size - asked.done
    if asked.sizing == CLOSE_OUT:
        return -held.shares
    if asked.sizing == CASH:
        return (asked.size - asked.done) / price
    return (asked.size * account.equity_before - asked.done) / price


@compiled
def execute(
    book: Book,
    market: Market,
    order: int,
    day: int,
    quoted: float,
    passive: bool,
    moment: int,
) -> bool:
    """Fills an order as far as position, cash, borrowing and volume allow. True when nothing of it is left to do."""
    account = book.account[0]
    terms = market.terms[0]
    asked = book.orders[order]
    name = asked.name
    held = book.positions[name]
    spread = rates_of(market, name, day).half_spread
    shares = desired(book, order, name, quoted)
    if asked.sizing == CLOSE_OUT and held.shares == 0.0:
        refuse(book, order, name, day, NOTHING)
        return True
    by_budget = asked.sizing == CASH or asked.sizing == EQUITY
    if by_budget and (shares > 0) != (asked.size > 0):
        # Nothing is left of the budget, or the account is worth less than nothing.
        refuse(book, order, name, day, NO_CASH)
        return True
    least = 1.0 if terms.whole_shares == 1 else ROOM
    if held.shares != 0.0 and (held.shares > 0) != (shares > 0):
        size = min(abs(shares), abs(held.shares))
        if terms.whole_shares == 1 and size < abs(held.shares):
            size = np.floor(size + ROOM)
        if size < ROOM:
            refuse(book, order, name, day, TOO_SMALL)
            return True
        wanted = size
        size = allowed_shares(book, market, name, day, size)
        if size > 0:
            done, cash = size if shares > 0 else -size, account.cash
            fill(book, market, name, day, done, quoted, passive, moment, order, asked.decided, BY_ORDER)
            asked.done += cash - account.cash if by_budget else done
            shares -= done
        if size < wanted:
            return False
        if asked.sizing == CLOSE_OUT or abs(shares) < least or by_budget:
            return True
    # What is left opens or adds to a position.
    if account.called_in:
        refuse(book, order, name, day, CALLED)
        return True
    side = 1.0 if shares > 0 else -1.0
    if side < 0 and rates_of(market, name, day).borrowable == 0.0:
        refuse(book, order, name, day, NOT_BORROWABLE)
        return True
    price = quoted * (1.0 + side * spread)
    power = buying_power(book, market)
    moved = moved_by(market, name, day, abs(shares), moment)
    # Of limits too: what they open may have to leave at any price.
    if math.isnan(moved):
        refuse(book, order, name, day, NO_HISTORY)
        return True
    if not passive:
        price += side * quoted * moved
    if by_budget:
        budget = abs((asked.size if asked.sizing == CASH else asked.size * account.equity_before) - asked.done)
        wanted = affordable(budget, price, terms, terms.whole_shares == 1)
    else:
        wanted = np.floor(abs(shares) + ROOM) if terms.whole_shares == 1 else abs(shares)
    # What is sold short counts as exposure at what it is worth, which is more than it brought.
    size = min(wanted, affordable(power, max(price, quoted), terms, terms.whole_shares == 1))
    if size < least:
        refuse(book, order, name, day, TOO_SMALL if wanted < least else NO_CASH)
        return True
    short_of_cash = size < wanted
    offered = size
    size = allowed_shares(book, market, name, day, size)
    if size > 0:
        fresh = held.shares == 0.0
        done, cash = side * size, account.cash
        fill(book, market, name, day, done, quoted, passive, moment, order, asked.decided, BY_ORDER)
        asked.done += cash - account.cash if by_budget else done
        if fresh:
            protect(book, order, name, day, moment != AT_OPEN)
    if size < offered:
        return False
    if short_of_cash:
        refuse(book, order, name, day, NO_CASH)
    return True


@compiled
def order_price(book: Book, order: int, market: Market, day: int, moment: int) -> float:
    """The quoted price at which a working order fills now; NaN when it does not. Arms stops that are triggered."""
    bars = market.bars
    asked = book.orders[order]
    name = asked.name
    opened, high, low = bars[name, day].open, bars[name, day].high, bars[name, day].low
    buying = buys(book, order)
    spread = rates_of(market, name, day).half_spread
    kind = asked.kind
    if asked.armed == OVER:
        return math.nan
    # A stop that was reached is an order at the market: what the volume left of it fills at the next open.
    if kind == MARKET or (asked.armed == 1 and kind != STOP_LIMIT):
        return opened if moment == AT_OPEN else math.nan
    if kind == ON_CLOSE or (asked.sizing == CLOSE_OUT and book.positions[name].shares == 0.0):
        return math.nan
    if asked.armed == 0 and kind != LIMIT:
        reached = opened >= asked.trigger if buying else opened <= asked.trigger
        price = opened if reached else math.nan
        if moment != AT_OPEN and not reached and (high >= asked.trigger if buying else low <= asked.trigger):
            price = asked.trigger
        if math.isnan(price):
            return price
        asked.armed = 1
        if kind != STOP_LIMIT:
            return price
        # From the trigger on it is a limit order; within the bar only the trigger itself is sure to be quoted after it.
        quoted_limit = asked.limit / (1.0 + spread) if buying else asked.limit / (1.0 - spread)
        return price if (price <= quoted_limit if buying else price >= quoted_limit) else math.nan
    quoted_limit = asked.limit / (1.0 + spread) if buying else asked.limit / (1.0 - spread)
    if opened <= quoted_limit if buying else opened >= quoted_limit:
        return opened
    if moment != AT_OPEN and (low <= quoted_limit if buying else high >= quoted_limit):
        return quoted_limit
    return math.nan


@inlined
def exits_at_open(book: Book, market: Market, day: int) -> None:
    positions, bars = book.positions, market.bars
    account = book.account[0]
    for k in range(account.n_held - 1, -1, -1):
        name = positions[k].kth
        if bars[name, day].fillable == 0.0:
            continue
        held = positions[name]
        opened = bars[name, day].open
        side = 1.0 if held.shares > 0 else -1.0
        spread = rates_of(market, name, day).half_spread
        if held.leaving >= 0:
            leave(book, market, name, day, opened, TAKING, AT_OPEN, held.leaving)
        elif 0 <= held.due <= day:
            leave(book, market, name, day, opened, TAKING, AT_OPEN, TIME)
        elif side * (opened - held.stop) <= 0:
            leave(book, market, name, day, opened, TAKING, AT_OPEN, GAP)
        elif side * (opened * (1.0 - side * spread) - held.target) >= 0:
            leave(book, market, name, day, opened, PASSIVE, AT_OPEN, TARGET)


@inlined
def exits_within(book: Book, market: Market, name: int, day: int) -> None:
    bars = market.bars
    held = book.positions[name]
    if held.shares == 0.0 or held.leaving >= 0:
        return
    high, low = bars[name, day].high, bars[name, day].low
    long = held.shares > 0
    inside = held.within == 1 and held.entered == day
    if low <= held.stop if long else high >= held.stop:
        worst = held.stop
        # A stop that lies beyond what its own entry was quoted at is hit at once.
        if held.entered == day:
            worst = min(worst, held.last_close) if long else max(worst, held.last_close)
        leave(book, market, name, day, worst, TAKING, WITHIN, STOPPED)
        return
    if inside:
        return
    spread = rates_of(market, name, day).half_spread
    quoted = held.target / (1.0 - spread) if long else held.target / (1.0 + spread)
    if high >= quoted if long else low <= quoted:
        leave(book, market, name, day, quoted, PASSIVE, WITHIN, TARGET)


@inlined
def reduces(book: Book, order: int) -> bool:
    asked = book.orders[order]
    shares = book.positions[asked.name].shares
    return asked.sizing == CLOSE_OUT or (shares != 0.0 and (shares > 0) != (asked.size > 0))


@inlined
def accept(book: Book, market: Market, first: int, last: int, day: int) -> None:
    """Orders decided at the close before join those at work; a target weight becomes shares at that close, where it was decided."""
    positions, orders, bars = book.positions, book.orders, market.bars
    account = book.account[0]
    terms = market.terms[0]
    for order in range(first, last):
        asked = orders[order]
        held = positions[asked.name]
        if asked.only_flat == 1 and held.shares != 0.0:
            refuse(book, order, asked.name, day, HELD)
            continue
        if positions[asked.name].last_day >= 0 and day > positions[asked.name].last_day:
            refuse(book, order, asked.name, day, GONE)
            continue
        if asked.sizing == TARGET_WEIGHT:
            close = bars[asked.name, asked.decided].close
            if math.isnan(close):
                refuse(book, order, asked.name, day, NO_BAR)
                continue
            aimed = asked.size * account.equity_before / close
            if terms.whole_shares == 1:
                aimed = np.floor(aimed + ROOM) if aimed > 0 else np.ceil(aimed - ROOM)
            asked.size = aimed - held.shares
            asked.sizing = SHARES
            if abs(asked.size) < ROOM:
                continue
        if asked.kind == TRAILING:
            close = bars[asked.name, asked.decided].close
            if math.isnan(close) or (asked.sizing == CLOSE_OUT and held.shares == 0.0):
                refuse(book, order, asked.name, day, NO_BAR if math.isnan(close) else NOTHING)
                continue
            asked.trigger = close + (asked.trail if buys(book, order) else -asked.trail)
        orders[account.n_working].kth = order
        account.n_working += 1


@inlined
def follow_actions(book: Book, market: Market, day: int) -> None:
    """Splits and dividends of this open."""
    positions, orders, bars = book.positions, book.orders, market.bars
    account = book.account[0]
    for k in range(account.n_held):
        name = positions[k].kth
        factor, dividend = bars[name, day].split_factor, bars[name, day].dividend
        held = positions[name]
        if factor != 1.0:
            held.shares *= factor
            held.stop /= factor
            held.target /= factor
            held.trail /= factor
            held.best /= factor
            held.last_close /= factor
        if dividend != 0.0:
            paid = held.shares * dividend
            held.dividends += paid
            held.flow += paid
            account.cash += paid
    for k in range(account.n_working):
        asked = orders[orders[k].kth]
        factor = bars[asked.name, day].split_factor
        if factor != 1.0:
            if asked.sizing == SHARES:
                asked.size *= factor
                asked.done *= factor
            asked.limit /= factor
            asked.trigger /= factor
            asked.trail /= factor
            asked.stop_distance /= factor
            asked.target_distance /= factor
            asked.trail_distance /= factor


@inlined
def carry_over(book: Book, market: Market, day: int) -> None:
    """Interest and borrow fees since the session before."""
    positions = book.positions
    account = book.account[0]
    terms = market.terms[0]
    years = market.days[day].days / DAYS_A_YEAR
    short = 0.0
    for k in range(account.n_held):
        name = positions[k].kth
        held = positions[name]
        if held.shares < 0:
            owed = -held.shares * held.last_close
            short += owed
            fee = owed * rates_of(market, name, day).borrow_rate * years
            held.borrow += fee
            held.flow -= fee
            account.cash -= fee
            account.carry -= fee
    cash = account.cash
    earned = (max(cash - short, 0.0) * terms.credit_rate - max(-cash, 0.0) * terms.debit_rate) * years
    account.cash += earned
    account.carry += earned


@inlined
def after_close(book: Book, market: Market, day: int) -> None:
    """Values positions, moves trailing stops, sells what is delisted, calls in an account below its margin."""
    positions, bars = book.positions, market.bars
    account = book.account[0]
    terms = market.terms[0]
    for k in range(account.n_held - 1, -1, -1):
        name = positions[k].kth
        held = positions[name]
        if not math.isnan(bars[name, day].close):
            held.last_close = bars[name, day].close
        if bars[name, day].fillable == 1.0 and not math.isnan(held.trail):
            inside = held.within == 1 and held.entered == day
            if held.shares > 0:
                held.best = max(held.best, bars[name, day].close if inside else bars[name, day].high)
                held.stop = max(held.stop, held.best - held.trail)
            else:
                held.best = min(held.best, bars[name, day].close if inside else bars[name, day].low)
                held.stop = min(held.stop, held.best + held.trail)
        if positions[name].last_day >= 0 and day >= positions[name].last_day:
            size = -held.shares
            fill(book, market, name, day, size, held.last_close, TAKING, AT_CLOSE, held.order, held.decided, DELISTED)
    long, short = exposures(book)
    equity = account.cash + long - short
    if long + short > 0 and equity < terms.maintenance_margin * (long + short):
        for k in range(account.n_held):
            positions[positions[k].kth].leaving = MARGIN
        account.called_in = 1
    elif equity > 0:
        account.called_in = 0
    account.equity_before = equity


@inlined
def keep_working(book: Book, market: Market, day: int, n_left: int) -> None:
    """The orders that go on: those that last longer, or whose name has a last session ahead."""
    positions, orders, bars = book.positions, book.orders, market.bars
    account = book.account[0]
    n = 0
    for k in range(n_left):
        order = orders[k].left
        asked = orders[order]
        if positions[asked.name].last_day >= 0 and day >= positions[asked.name].last_day:
            refuse(book, order, asked.name, day, GONE)
        elif asked.armed == OVER:
            refuse(book, order, asked.name, day, LEFT)
        elif asked.sizing == CLOSE_OUT and positions[asked.name].shares == 0.0:
            refuse(book, order, asked.name, day, NOTHING)
        elif asked.lasts > 0 and day - asked.decided >= asked.lasts:
            refuse(book, order, asked.name, day, EXPIRED if bars[asked.name, day].fillable == 1.0 else NO_BAR)
        else:
            if asked.kind == TRAILING and bars[asked.name, day].fillable == 1.0:
                if buys(book, order):
                    asked.trigger = min(asked.trigger, bars[asked.name, day].low + asked.trail)
                else:
                    asked.trigger = max(asked.trigger, bars[asked.name, day].high - asked.trail)
            orders[n].kth = order
            n += 1
    account.n_working = n


@compiled
def session(book: Book, market: Market, first: int, last: int, day: int) -> None:
    """One session; orders first .. last were decided at the close before it."""
    positions, orders, bars = book.positions, book.orders, market.bars
    account = book.account[0]
    terms = market.terms[0]
    if account.n_held or terms.credit_rate != 0.0 or terms.debit_rate != 0.0:
        carry_over(book, market, day)
    accept(book, market, first, last, day)
    follow_actions(book, market, day)
    exits_at_open(book, market, day)
    n_left = account.n_working
    for k in range(n_left):
        orders[k].left = orders[k].kth
    for reducing in (True, False):
        n = 0
        for k in range(n_left):
            order = orders[k].left
            name = orders[order].name
            keep = True
            if bars[name, day].fillable == 1.0 and (reduces(book, order) or not reducing):
                quoted = order_price(book, order, market, day, AT_OPEN)
                if not math.isnan(quoted):
                    passive = orders[order].kind == LIMIT or orders[order].kind == STOP_LIMIT
                    keep = not execute(book, market, order, day, quoted, passive, AT_OPEN)
            if keep:
                orders[n].left = order
                n += 1
        n_left = n
    for k in range(account.n_held - 1, -1, -1):
        name = positions[k].kth
        if bars[name, day].fillable == 1.0:
            exits_within(book, market, name, day)
    # The worse first here too: what stops a loss before what takes a profit.
    for stopping in (True, False):
        n = 0
        for k in range(n_left):
            order = orders[k].left
            name, kind = orders[order].name, orders[order].kind
            keep = True
            passive = kind in (LIMIT, STOP_LIMIT)
            if bars[name, day].fillable == 1.0 and kind != MARKET and kind != ON_CLOSE and passive != stopping:
                quoted = order_price(book, order, market, day, WITHIN)
                if not math.isnan(quoted):
                    keep = not execute(book, market, order, day, quoted, passive, WITHIN)
                    exits_within(book, market, name, day)
            if keep:
                orders[n].left = order
                n += 1
        n_left = n
    for reducing in (True, False):
        n = 0
        for k in range(n_left):
            order = orders[k].left
            name = orders[order].name
            keep = True
            due = orders[order].kind == ON_CLOSE and orders[order].armed != OVER
            if due and bars[name, day].fillable == 1.0 and (reduces(book, order) or not reducing):
                keep = not execute(book, market, order, day, bars[name, day].close, TAKING, AT_CLOSE)
            if keep:
                orders[n].left = order
                n += 1
        n_left = n
    after_close(book, market, day)
    keep_working(book, market, day, n_left)


@allocating
def longer(rows: Records, n: int, most: int) -> Records:
    """The same n records with room for `most` more, and as many again."""
    room = np.empty(2 * (n + most), rows.dtype)
    for k in range(n):
        room[k] = rows[k]
    return room


@allocating
def with_room(book: Book, most: int) -> Book:
    """The same book with room for so many more rows in each of its journals."""
    account = book.account[0]
    return Book(
        book.account,
        book.positions,
        book.orders,
        longer(book.fills, account.n_fills, most),
        longer(book.trades, account.n_trades, most),
        longer(book.refusals, account.n_refusals, most),
    )


@compiled
def open_account(book: Book, number: int, cash: float) -> None:
    """An empty account; the journals go on."""
    positions = book.positions
    account = book.account[0]
    for k in range(account.n_held):
        positions[positions[k].kth].shares = 0.0
    account.cash = cash
    account.equity_before = cash
    account.costs = 0.0
    account.carry = 0.0
    account.number = number
    account.n_held = 0
    account.n_working = 0
    account.n_entries = 0
    account.called_in = 0
    account.trades_before = account.n_trades


@inlined
def write_close(book: Book, row: Any) -> None:
    account = book.account[0]
    long, short = exposures(book)
    row.equity = account.equity_before
    row.cash = account.cash
    row.position = long - short
    row.gross = long + short
    row.costs = account.costs
    row.carry = account.carry
    row.entries = account.n_entries
    row.exits = account.n_trades - account.trades_before


@compiled
def advance(book: Book, market: Market, day: int, until: int, end: int, closes: Records) -> int:
    """Goes on with an account from a session until another, or until its journals may become too short: the session that is next.

    The account's orders end before `end`; `closes` has a row a session.
    """
    account, terms, orders = book.account[0], market.terms[0], book.orders
    room = min(book.fills.size - account.n_fills, book.trades.size - account.n_trades, book.refusals.size - account.n_refusals)
    # Without interest nothing happens to an account that holds and awaits nothing, until the session after its next decision.
    idles = terms.credit_rate == 0.0 and terms.debit_rate == 0.0
    while day < until:
        if idles and account.n_held == 0 and account.n_working == 0:
            ahead = min(orders[account.following].decided + 1, until) if account.following < end else until
            for idle in range(day, ahead):
                write_close(book, closes[idle])
            day = max(day, ahead)
            if day == until:
                break
        last = account.following
        while last < end and orders[last].decided < day:
            last += 1
        most = ROWS_A_SESSION * (account.n_held + account.n_working + last - account.following + 1)
        account.lacking = most
        if most > room:
            room = min(book.fills.size - account.n_fills, book.trades.size - account.n_trades, book.refusals.size - account.n_refusals)
            if most > room:
                return day
        room -= most
        session(book, market, account.following, last, day)
        account.following = last
        write_close(book, closes[day])
        day += 1
    return day


@compiled
def close_books(book: Book, end: int, day: int) -> None:
    """Refuses what is still at work, or was decided at the last close, when the bars end on this day."""
    account, orders = book.account[0], book.orders
    for k in range(account.n_working):
        order = orders[k].kth
        refuse(book, order, orders[order].name, day, ENDED)
    for order in range(account.following, end):
        refuse(book, order, orders[order].name, day, ENDED)


@allocating
def run(book: Book, market: Market, bounds: Places, starts: Places, cash: float, closes: Records) -> Book:
    """Accounts one after the other: a has the orders bounds[a] .. bounds[a + 1], by decision and priority, and opens at starts[a]."""
    account = book.account[0]
    for number in range(bounds.size - 1):
        open_account(book, number, cash)
        account.following = bounds[number]
        write_close(book, closes[number][starts[number]])
        day = starts[number] + 1
        while True:
            day = advance(book, market, day, market.days.size, bounds[number + 1], closes[number])
            if day == market.days.size:
                break
            book = with_room(book, account.lacking)
        left = account.n_working + bounds[number + 1] - account.following
        if account.n_refusals + left > book.refusals.size:
            book = with_room(book, left)
        close_books(book, bounds[number + 1], market.days.size - 1)
    return book
