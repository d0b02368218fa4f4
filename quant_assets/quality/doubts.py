"""Rows that are possible and unlikely: worth a look, and no reason to keep them out. What is impossible is `gate.py`'s and `suites.py`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quant_assets.quality.findings import Findings
from quant_assets.quality.identities import back_as_another, sudden_change
from quant_assets.schemas import TABLES

FLAT_SESSIONS = 5
"""The same bar this many sessions in a row: a feed that stands still. None of a million real bars of 277 US stocks ends such a run."""
WIDE_BAR = 1.5
"""High over low."""
VOLUME_UNITS = 100
"""Volume this many times the median of the 20 sessions before, or that part of it: thousands for shares, or a contract for a share."""
MACRO_STEPS = 20
"""A change this many times the series' median change until then: 2020 has some, and so has a unit that changed."""
BEFORE = 20
STANDING = 3
"""Sessions in a row with one price of the share: of 23,396 closes of four US names from 1998 to 2021 five end such a run."""
FAR_STRIKE = 4.0
"""A strike this many times the share's price, or that part of it: one of before a split, or listed ahead of it. Few names move so far
within the life of an option."""
RECOUNTED = 0.95
"""Open interest is counted anew each night: of a chain that trades, half of the contracts change theirs. Above this share none was."""
CHAIN = 20
"""Contracts from which on a share of them says something."""

Doubt = Callable[[pl.DataFrame], pl.DataFrame]
"""The doubtful rows, with a column `doubt` that says why."""


def doubts(table: str, rows: pl.DataFrame) -> Findings:
    """One finding on rows of the table: those that are possible and unlikely, each with the doubt. Tables without doubts pass."""
    found = [doubtful for doubt in DOUBTS.get(table, ()) if (doubtful := doubt(rows)).height]
    if not found:
        return Findings("plausible", True, f"{rows.height:,} rows, none unlikely")
    spec = TABLES[table]
    every = pl.concat([rows.select("doubt", *dict.fromkeys((*spec.key, spec.event_time))) for rows in found])
    counts = every.group_by("doubt").len().sort("len", "doubt", descending=[True, False])
    told = "; ".join(f"{doubt}: {n:,}" for doubt, n in counts.iter_rows())
    return Findings("plausible", False, told, rows=every.sort(spec.sort_order))


def _where(rows: pl.DataFrame, doubt: str, condition: pl.Expr) -> pl.DataFrame:
    return rows.filter(condition.fill_null(False)).with_columns(doubt=pl.lit(doubt))


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """The bar and the FLAT_SESSIONS - 1 before it are the same, volume too; where only a close is known, twice as many."""
    ordered = rows.sort("ticker", "session")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in ("open", "high", "low", "close", "volume"))
    run = same.over("ticker").cast(pl.UInt32)
    bare = pl.col("open").is_null()
    alike = pl.when(bare).then(_last(run, 2 * FLAT_SESSIONS - 1)).otherwise(_last(run, FLAT_SESSIONS - 1))
    return _where(ordered, f"the same bar {FLAT_SESSIONS} sessions in a row", alike)


def _last(run: pl.Expr, n: int) -> pl.Expr:
    return run.rolling_sum(n).over("ticker") == n


def _no_volume(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "no volume", pl.col("volume") == 0)


def _wide(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, f"high above {WIDE_BAR} times low", pl.col("high") > WIDE_BAR * pl.col("low"))


def _volume_units(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("ticker", "session")
    usual = pl.col("volume").rolling_median(BEFORE, min_samples=BEFORE).shift(1).over("ticker")
    volume = pl.col("volume") / pl.col("split_factor")
    changed = (usual > 0) & (volume > 0) & ((volume > VOLUME_UNITS * usual) | (VOLUME_UNITS * volume < usual))
    return _where(ordered, f"volume {VOLUME_UNITS} times that of the 20 sessions before, or that part of it", changed)


def _crossed(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "bid above ask", pl.col("bid") > pl.col("ask"))


def _outside_the_session(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "last trade outside high and low", (pl.col("last") > pl.col("high")) | (pl.col("last") < pl.col("low")))


def _expired(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "quoted after its expiry", pl.col("expiry") < pl.col("session"))


def _below_exercise(rows: pl.DataFrame) -> pl.DataFrame:
    """An American option is worth what exercising it brings (Merton 1973, theorem 1): the offer cannot be below that for long."""
    call = pl.col("right") == "call"
    gain = pl.when(call).then(pl.col("underlying") - pl.col("strike")).otherwise(pl.col("strike") - pl.col("underlying"))
    return _where(rows, "ask below the value of exercising", pl.col("ask") < gain)


def _above_bound(rows: pl.DataFrame) -> pl.DataFrame:
    """A call is worth no more than the share, a put no more than its strike (Merton 1973, theorem 2)."""
    most = pl.when(pl.col("right") == "call").then("underlying").otherwise("strike")
    return _where(rows, "bid above the most it can be worth", pl.col("bid") > most)


def _strikes_out_of_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Of two neighbouring strikes the one that is worth no more can be sold above what the other costs."""
    series = ["ticker", "session", "expiry", "right"]
    ordered = rows.sort(*series, "strike")
    lower_ask, higher_bid = pl.col("ask").shift(1).over(series), pl.col("bid")
    higher_ask, lower_bid = pl.col("ask"), pl.col("bid").shift(1).over(series)
    free = pl.when(pl.col("right") == "call").then(higher_bid > lower_ask).otherwise(lower_bid > higher_ask)
    return _where(ordered, "strikes out of order: the dearer one costs less than the cheaper one brings", free)


def _no_implied_volatility(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "vendor's implied volatility is 0", pl.col("vendor_implied_volatility") == 0)


def _without_any_price(rows: pl.DataFrame) -> pl.DataFrame:
    none = pl.all_horizontal(pl.col(name).fill_null(0) == 0 for name in ("bid", "ask", "last")).all().over("ticker", "session")
    return _where(rows, "no contract of the chain has a price", none)


def _far_strike(rows: pl.DataFrame) -> pl.DataFrame:
    apart = pl.max_horizontal(pl.col("strike") / pl.col("underlying"), pl.col("underlying") / pl.col("strike"))
    return _where(rows, f"strike {FAR_STRIKE:g} times the share's price, or that part of it", apart > FAR_STRIKE)


def _standing_contract(rows: pl.DataFrame) -> pl.DataFrame:
    """Its quote, last trade and open interest are those of the FLAT_SESSIONS - 1 sessions before: nobody keeps it up to date."""
    contract, told = ["ticker", "expiry", "strike", "right"], ("bid", "ask", "last", "open_interest")
    ordered = rows.sort(*contract, "session")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in told)
    alive = pl.max_horizontal(pl.col(name).fill_null(0) for name in told) > 0
    run = (same & alive).over(contract).cast(pl.UInt32)
    stands = run.rolling_sum(FLAT_SESSIONS - 1).over(contract) == FLAT_SESSIONS - 1
    return _where(ordered, f"the same quote, trade and open interest {FLAT_SESSIONS} sessions in a row", stands)


def _standing_share(rows: pl.DataFrame) -> pl.DataFrame:
    by_session = rows.group_by("ticker", "session").agg(pl.col("underlying").first()).sort("ticker", "session")
    run = (pl.col("underlying") == pl.col("underlying").shift(1)).over("ticker").cast(pl.UInt32)
    standing = by_session.filter(run.rolling_sum(STANDING - 1).over("ticker") == STANDING - 1)
    stands = rows.join(standing, on=["ticker", "session"], how="semi", maintain_order="left")
    return stands.with_columns(doubt=pl.lit(f"the share's price the same {STANDING} sessions in a row"))


def _open_interest_not_counted(rows: pl.DataFrame) -> pl.DataFrame:
    contract = ["ticker", "expiry", "strike", "right"]
    interest, before = pl.col("open_interest"), pl.col("_before")
    beside = rows.sort(*contract, "session").with_columns(_before=interest.shift(1).over(contract))
    told = ((interest > 0) | (before > 0)).fill_null(False)
    same = (told & (interest == before)).sum().over("ticker", "session")
    counted = told.sum().over("ticker", "session")
    stands = told & (counted >= CHAIN) & (same > RECOUNTED * counted)
    return _where(beside, "open interest of the whole chain as the session before", stands)


def _told_twice(rows: pl.DataFrame) -> pl.DataFrame:
    """The same headline about the same name on the same day under another number or from another vendor."""
    headline = pl.col("headline").str.to_lowercase().str.strip_chars()
    once = rows.sort("known_at").unique(["ticker", "source", "article"], keep="first", maintain_order=True)
    repeated = pl.struct("ticker", "published", headline).is_first_distinct().not_()
    return _where(once, "the same headline again that day", repeated)


def _announced_too_early(rows: pl.DataFrame) -> pl.DataFrame:
    return _where(rows, "announced before its quarter ended", pl.col("announced") < pl.col("period_end"))


def _traded_after_filing(rows: pl.DataFrame) -> pl.DataFrame:
    """Whoever fills in a Form 4 types its dates."""
    return _where(rows, "traded after it was filed", pl.col("traded") > pl.col("filed"))


def _outside_its_history(rows: pl.DataFrame) -> pl.DataFrame:
    first = rows.sort("series", "session", "known_at").unique(["series", "session"], keep="first", maintain_order=True)
    change = pl.col("value").diff().abs()
    steps = first.with_columns(change=change.over("series"))
    usual = pl.col("change").cum_sum().shift(1) / (pl.col("change").cum_count().shift(1))
    enough = pl.col("change").cum_count().shift(1) >= BEFORE
    far = (enough & (pl.col("change") > MACRO_STEPS * usual)).over("series")
    return _where(steps, f"moved {MACRO_STEPS} times as far as it used to", far)


DOUBTS: dict[str, tuple[Doubt, ...]] = {
    "prices": (_flat, _no_volume, _wide, _volume_units, back_as_another, sudden_change),
    "quotes": (_crossed, _outside_the_session),
    "option_chain": (
        _crossed,
        _expired,
        _below_exercise,
        _above_bound,
        _strikes_out_of_order,
        _no_implied_volatility,
        _without_any_price,
        _far_strike,
        _standing_contract,
        _standing_share,
        _open_interest_not_counted,
    ),
    "earnings": (_announced_too_early,),
    "articles": (_told_twice,),
    "insider_transactions": (_traded_after_filing,),
    "macro": (_outside_its_history,),
}
