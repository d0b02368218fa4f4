"""Bars that a vendor delivers again, and otherwise than they are stored. What a bar must be by itself is `gate.py`'s business."""

from __future__ import annotations

import polars as pl

MAX_DIFFERENCE = 0.01
MAX_SHARE = 0.5


def restated(rows: pl.DataFrame, stored: pl.DataFrame) -> dict[str, str]:
    """Names of which more than half the stored raw closes came back more than 1 % different from the same source, with the reason.

    One bar that a vendor corrects is no such thing. A whole history is when prices are already divided by a split that is not listed yet:
    within the answer nothing jumps, and beside the years that are stored everything does.

    Parameters
    ----------
    rows, stored : `prices` rows.
    """
    raw = rows.filter(pl.col("price_basis") == "raw").unique(["ticker", "session"], keep="first", maintain_order=True)
    both = raw.join(stored.select("ticker", "session", "source", stored="close"), on=["ticker", "session", "source"])
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
