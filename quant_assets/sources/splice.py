"""Several vendors of one name: which bar is stored of each session, and how bars as traded continue an adjusted history.

The universe file lists the vendors of a name in order, joined by +. How far those that lost agree is `reconcile.py`'s business, whether a
bar may be stored at all the gate's.

Bars as traded: the first vendor that has a bar wins the session; of three or more the one with the median close does, for then a single
wrong one shows. A bar without a price is none.

An adjusted history and bars as traded: with the total-return index of the latter, G_t = close_t x F_t (`adjustments.py`), and a the last
session up to t that both have, close_t = close_a of the history x G_t / G_a. Open, high and low are scaled alike, volume is in shares of
the last common session. A bar depends on none after it, so that what is stored stands when new ones come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.errors import SourceError
from quant_assets.sources.native_files import rounding
from quant_assets.sources.reconcile import MAX_DIFFERENCE, is_price

ADJUSTED = frozenset({"kaggle", "skfolio"})
"""The vendors whose prices are adjusted for what came later; `choose` refuses one that should be here, or should not."""
MEDIAN_OF = 3
MIN_OVERLAP = 20
PRICES = ("open", "high", "low", "close")
KEY = ["ticker", "session"]


@dataclass(frozen=True)
class Chosen:
    """rows : `prices` rows, of one vendor a session. refused : names whose vendors cannot be joined, with the reason."""

    rows: pl.DataFrame
    refused: Mapping[str, str] = field(default_factory=dict)


def stored_basis(vendors: Sequence[str]) -> str:
    """The `price_basis` that bars of a name with these vendors are stored with."""
    return "adjusted" if ADJUSTED.intersection(vendors) else "raw"


def is_spliced(vendors: Sequence[str]) -> bool:
    """Whether bars as traded continue an adjusted history: all of both must be there, whatever window is asked for."""
    return len(vendors) > 1 and stored_basis(vendors) == "adjusted"


def choose(bars: pl.DataFrame, vendors: Mapping[str, Sequence[str]]) -> Chosen:
    """One vendor's bar a session.

    Parameters
    ----------
    bars : `prices` rows of the listed vendors, since each name's listing; of a name `is_spliced` says it of, all there are.
    vendors : the listed vendors of each ticker, best first.

    Raises
    ------
    SourceError : a vendor's bars are of another basis than `ADJUSTED` says.
    """
    for source, basis in bars.select("source", "price_basis").unique().sort("source").iter_rows():
        if (basis == "adjusted") != (source in ADJUSTED):
            raise SourceError(f"{source} delivers {basis} prices, which splice.ADJUSTED does not say of it", remedy="correct that set")
    places = [(ticker, vendor, place) for ticker, listed in vendors.items() for place, vendor in enumerate(listed)]
    ranked = bars.join(
        pl.DataFrame(places, schema={"ticker": pl.String, "source": pl.String, "place": pl.UInt32}, orient="row"), on=["ticker", "source"]
    )
    joined = [ticker for ticker, listed in vendors.items() if is_spliced(listed)]
    several = [ticker for ticker, listed in vendors.items() if len(listed) > 1 and ticker not in joined]
    single = bars.filter(~pl.col("ticker").is_in([*joined, *several]))
    history, rest = (ranked.filter(pl.col("ticker").is_in(joined), pl.col("price_basis") == basis) for basis in ("adjusted", "raw"))
    spliced = splice(history.drop("place"), best_bars(rest), joined)
    refused = {ticker: _misplaced(ticker, vendors[ticker]) for ticker in joined if not _in_order(vendors[ticker])}
    kept = spliced.rows.filter(~pl.col("ticker").is_in(list(refused)))
    rows = pl.concat([single, best_bars(ranked.filter(pl.col("ticker").is_in(several))), kept.select(bars.columns)])
    return Chosen(rows, {**spliced.refused, **refused})


def best_bars(ranked: pl.DataFrame) -> pl.DataFrame:
    """Of each session the bars of the vendor that wins it.

    Parameters
    ----------
    ranked : `prices` rows with `place`, that of the vendor in the list.
    """
    price = pl.when(is_price("close")).then("close")
    one = ranked.unique([*KEY, "source"], keep="first", maintain_order=True)
    n_vendors, middle = price.count().over(KEY), price.median().over(KEY)
    off = pl.when(n_vendors >= MEDIAN_OF).then((price - middle).abs()).otherwise(0.0)
    order = one.with_columns(none=~is_price("close"), off=off).sort(*KEY, "none", "off", "place", nulls_last=True, maintain_order=True)
    winners = order.unique(KEY, keep="first", maintain_order=True).select(*KEY, "source")
    return ranked.join(winners, on=[*KEY, "source"], how="semi", maintain_order="left").drop("place")


def splice(history: pl.DataFrame, traded: pl.DataFrame, tickers: Sequence[str]) -> Chosen:
    """The history, and where it has no bar, the bars as traded at its level.

    Parameters
    ----------
    history, traded : `prices` rows, adjusted and raw; either may hold wrong bars, which the gate will see.
    tickers : those that must come of it; one with too little in common, or a total return that differs, is refused by name.
    """
    grown = _grown(traded)
    closes = history.filter(is_price("close")).unique(KEY, keep="first", maintain_order=True)
    common = closes.select(*KEY, history_close="close", history_source="source").join(grown, on=KEY).filter(is_price("close")).sort(KEY)
    level = common.select(*KEY, level=pl.col("history_close") / (pl.col("close") * pl.col("growth")))
    shares = common.group_by("ticker").agg(shares=pl.col("split_growth").last())
    refused = {**_too_short(common, tickers), **_holes(grown, closes, common), **_unchainable(grown), **_unlike(common)}
    scale = (
        grown.join(level, on=KEY, how="left", maintain_order="left")
        .join(shares, on="ticker")
        .select(
            *KEY,
            scale=pl.col("level").forward_fill().over("ticker", order_by="session") * pl.col("growth"),
            shares=pl.col("shares") / pl.col("split_growth"),
        )
    )
    continued = (
        traded.join(closes, on=KEY, how="anti")
        .join(scale.drop_nulls("scale"), on=KEY)
        .with_columns(
            pl.col(PRICES) * pl.col("scale"),
            volume=pl.col("volume") * pl.col("shares"),
            price_basis=pl.lit("adjusted"),
            split_factor=pl.lit(1.0),
            dividend=pl.lit(0.0),
            inferred=pl.lit(False),
        )
        .select(history.columns)
    )
    sound = continued.filter(is_price("close"))
    without = continued.join(sound, on=KEY, how="anti").join(history, on=KEY, how="anti")
    rows = pl.concat([history.join(sound, on=KEY, how="anti"), sound, without])
    return Chosen(rows.filter(~pl.col("ticker").is_in(list(refused))), refused)


def _grown(traded: pl.DataFrame) -> pl.DataFrame:
    """One bar a session with `growth` and `split_growth` since the first, as `adjustments.py` defines them; no price, no growth."""
    bars = traded.unique(KEY, keep="first", maintain_order=True).sort(KEY)
    gain = pl.when(is_price("close")).then(pl.col("split_factor") * (1 + pl.col("dividend") / pl.col("close"))).otherwise(1.0)
    return bars.with_columns(growth=gain.cum_prod().over("ticker"), split_growth=pl.col("split_factor").cum_prod().over("ticker"))


def _too_short(common: pl.DataFrame, tickers: Sequence[str]) -> dict[str, str]:
    counts = dict(common.group_by("ticker").len().iter_rows())
    return {
        ticker: str(
            SourceError(
                f"{ticker}: {counts.get(ticker, 0)} sessions are both in the history and as traded, {MIN_OVERLAP} are needed to join them",
                remedy="list the name from an earlier session, or name one vendor",
            )
        )
        for ticker in tickers
        if counts.get(ticker, 0) < MIN_OVERLAP
    }


def _unlike(common: pl.DataFrame) -> dict[str, str]:
    """Names of which a total return from one common session to the next differs by more than rounding and 1 %."""
    index = pl.col("close") * pl.col("growth")
    off = rounding(pl.col("history_close"))
    seen = common.with_columns(
        theirs=pl.col("history_close") / pl.col("history_close").shift().over("ticker") - 1,
        ours=index / index.shift().over("ticker") - 1,
        off=off + off.shift().over("ticker"),
    )
    bad = seen.filter((pl.col("theirs") - pl.col("ours")).abs() > MAX_DIFFERENCE + pl.col("off"))
    totals = dict(common.group_by("ticker").len().iter_rows())
    first = bad.group_by("ticker", maintain_order=True).agg(
        pl.len(), pl.col("session", "theirs", "ours", "history_source", "source").first(), last=pl.col("session").last()
    )
    return {
        ticker: str(
            SourceError(
                f"{ticker} {session}: total return {theirs:.5f} from {history} and {ours:.5f} from {source} (limit {MAX_DIFFERENCE:.0%}; "
                f"{n} of {totals[ticker]} sessions differ, the last {last}): they are not joined",
                remedy="correct the history, or list the name from a later session",
            )
        )
        for ticker, n, session, theirs, ours, history, source, last in first.iter_rows()
    }


def _unchainable(grown: pl.DataFrame) -> dict[str, str]:
    """Names with a corporate action that is no number, or on a bar without a price."""
    split, dividend = pl.col("split_factor"), pl.col("dividend")
    acts = (split != 1) | (dividend != 0)
    sound = split.is_finite() & (split > 0) & dividend.is_finite() & (dividend >= 0)
    bad = grown.filter(~sound | (~is_price("close") & acts)).unique("ticker", keep="first", maintain_order=True)
    told = bad.select("ticker", "session", "source", "close", "split_factor", "dividend")
    return {
        ticker: str(
            SourceError(
                f"{ticker} {session}: close {close}, split factor {split} and dividend {dividend} from {source} give no return to chain",
                remedy="correct it at the source, or name another one",
            )
        )
        for ticker, session, source, close, split, dividend in told.iter_rows()
    }


def _holes(grown: pl.DataFrame, closes: pl.DataFrame, common: pl.DataFrame) -> dict[str, str]:
    """Names with a session after the last common one that neither has: what was paid then is not known."""
    ends = (
        common.group_by("ticker")
        .agg(since=pl.col("session").last())
        .join(grown.group_by("ticker").agg(pl.col("session").max()), on="ticker")
    )
    if ends.is_empty():
        return {}
    days = session_table(Window(ends["since"].min(), ends["session"].max()))  # type: ignore[arg-type]
    expected = ends.join(days.select(day="session"), how="cross").filter(pl.col("day") > pl.col("since"), pl.col("day") < pl.col("session"))
    there = pl.concat([grown.select(KEY), closes.select(KEY)])
    bad = expected.join(there, left_on=["ticker", "day"], right_on=KEY, how="anti").sort("ticker", "day")
    return {
        ticker: str(
            SourceError(
                f"{ticker} {day}: no bar since the last common session {since}, so that later ones cannot be chained",
                remedy="run again, or name a further vendor",
            )
        )
        for ticker, day, since in bad.unique("ticker", keep="first", maintain_order=True).select("ticker", "day", "since").iter_rows()
    }


def _in_order(listed: Sequence[str]) -> bool:
    return [vendor in ADJUSTED for vendor in listed] == [True] + [False] * (len(listed) - 1)


def _misplaced(ticker: str, listed: Sequence[str]) -> str:
    told = f"{ticker}: {'+'.join(listed)} cannot be joined, since one adjusted history comes first and bars as traded follow it"
    history = next(vendor for vendor in listed if vendor in ADJUSTED)
    example = "+".join([history, *(vendor for vendor in listed if vendor not in ADJUSTED)])
    return str(SourceError(told, remedy=f"write {example} in the universe file"))
