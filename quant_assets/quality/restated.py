"""Bars that a vendor delivers again, and otherwise than they are stored. What a bar must be by itself is `gate.py`'s business."""

from __future__ import annotations

import polars as pl

from quant_assets.calendars import Window

MAX_DIFFERENCE = 0.01
MAX_SHARE = 0.5
MAX_RELEVEL = 2e-4
"""Two printings of one price in five significant digits differ by less, a dividend by more."""


def restated(rows: pl.DataFrame, stored: pl.DataFrame) -> dict[str, str]:
    """Names of which more than half the stored raw closes came back more than 1 % different from the same source, with the reason.

    One bar that a vendor corrects is no such thing. A whole history is when prices are already divided by a split that is not listed yet:
    within the answer nothing jumps, and beside the years that are stored everything does.

    Parameters
    ----------
    rows, stored : `prices` rows.
    """
    raw = rows.filter(pl.col("price_basis") == "raw").unique(["ticker", "session"], keep="first", maintain_order=True)
    as_traded = stored.filter(pl.col("price_basis") == "raw").select("ticker", "session", "source", stored="close")
    both = raw.join(as_traded, on=["ticker", "session", "source"])
    ratio = pl.col("close") / pl.col("stored")
    seen = both.group_by("ticker", "source", maintain_order=True).agg(
        n=pl.len(), off=((ratio - 1).abs() > MAX_DIFFERENCE).sum(), ratio=ratio.median(), first=pl.col("session").min()
    )
    return {
        ticker: f"{ticker}: {off} of {n} stored closes since {first} came back from {source} more than {MAX_DIFFERENCE:.0%} different, "
        f"at the median {median:.4g} times: restated, or a split not listed yet; the stored ones are kept, run again tomorrow, or delete "
        "them from lake/prices to take the new ones"
        for ticker, source, n, off, median, first in seen.filter(pl.col("off") > MAX_SHARE * pl.col("n")).iter_rows()
    }


def relevelled(rows: pl.DataFrame, stored: pl.DataFrame, window: Window) -> dict[str, str]:
    """Names whose adjusted prices came at another level than bars that stay stored outside the window, with the reason.

    A vendor adjusts all of a history anew with each dividend: bars of two such files beside each other have a return that nobody had.

    Parameters
    ----------
    rows : `prices` rows of the window, and the bar before it.
    stored : `prices` rows of these names, whatever their session.
    """
    before = stored.filter(pl.col("price_basis") == "adjusted")
    staying = before.filter(~pl.col("session").is_between(window.start, window.end, closed="left"))
    again = rows.filter(pl.col("price_basis") == "adjusted").join(staying, on="ticker", how="semi")
    both = again.unique(["ticker", "session"], keep="first", maintain_order=True).join(
        before.select("ticker", "session", "source", stored="close"), on=["ticker", "session", "source"]
    )
    levels = both.group_by("ticker", "source", maintain_order=True).agg(
        ratio=(pl.col("close") / pl.col("stored")).median(), first=pl.col("session").min()
    )
    return {
        ticker: f"{ticker}: closes since {first} came from {source} at {ratio:.6g} times what is stored, and bars outside {window} "
        f"stay: the history was adjusted anew; fetch all of it, `quant-assets backfill --tables prices --tickers {ticker}`"
        for ticker, source, ratio, first in levels.filter((pl.col("ratio") - 1).abs() > MAX_RELEVEL).iter_rows()
    }
