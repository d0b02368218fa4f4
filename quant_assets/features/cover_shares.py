"""How many shares of a company are outstanding, as known at each close: the cover pages of its filings, carried over splits."""

from __future__ import annotations

import polars as pl

from quant_assets.features.feature import ADJUSTED, Tables
from quant_assets.features.known import last_known

CONCEPT = "EntityCommonStockSharesOutstanding"
STALE = pl.duration(days=400)
"""A year and the time that an annual report may take: who has not counted for longer has stopped filing."""


def cover_shares(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Beside each bar `cover_shares`: shares outstanding by the latest count known at its close, in shares of the session's own basis.

    A cover page counts the shares on a day before the filing (`period_end`). Each split that went ex after that day multiplies them:
    shares x split_growth[t] / split_growth[last session on or before the day]. An amendment that repeats an older count does not replace a
    newer one. A count before the first stored bar is taken to be in that bar's shares, because splits before it are not stored.

    Null where nothing was filed by then, or the count is more than 400 days old. Companies with several classes of shares count each
    class apart, which the SEC's company facts leave out: they have none.
    """
    counts = tables["fundamentals"].filter(
        pl.col("taxonomy") == "dei",
        pl.col("concept") == CONCEPT,
        pl.col("unit") == "shares",
        pl.col("value") > 0,
        pl.col("period_end") <= pl.col("known_at").dt.date(),  # a day to come is a misprint
    )
    counts = counts.sort("ticker", "known_at", "period_end", "accession")
    counts = counts.filter(pl.col("period_end") >= pl.col("period_end").cum_max().over("ticker"))
    growths = tables[ADJUSTED].select("ticker", "session", _split_growth="split_growth")
    counts = counts.join_asof(growths, left_on="period_end", right_on="session", by="ticker", check_sortedness=False)
    of_first_bar = pl.col("value") / pl.col("_split_growth").fill_null(1.0)
    told = counts.select("ticker", "known_at", _counted="period_end", _shares=of_first_bar)
    beside = last_known(bars, told, ["_counted", "_shares"])
    fresh = pl.col("session") - pl.col("_counted") <= STALE
    shares = pl.when(fresh).then(pl.col("_shares") * pl.col("split_growth"))
    return beside.with_columns(cover_shares=shares).drop("_counted", "_shares")
