"""Two sources for one name: how far they agree, and where they do not. The universe file says which one wins."""

from __future__ import annotations

import polars as pl

from quant_assets.sources.skfolio_prices import PRICE_STEP_USD

MAX_DIFFERENCE = 0.01


def compare_returns(primary: pl.DataFrame, second: pl.DataFrame, *, max_difference: float = MAX_DIFFERENCE) -> pl.DataFrame:
    """Daily total returns (see `adjustments.py`) of the sessions that both sources have.

    Rows need not have passed the gate: a wrong one spoils its own return and the next only; what is no number is left out.

    Parameters
    ----------
    primary, second : `prices` rows, of one source a ticker.
    max_difference : a larger absolute difference of returns (fraction), beyond the second price's rounding, is a finding.

    Returns
    -------
    ticker, session, primary_return, second_return (fractions), difference, finding (Boolean).
    """

    def returns(prices: pl.DataFrame, name: str) -> pl.DataFrame:
        held = pl.col("split_factor") * (pl.col("close") + pl.col("dividend"))
        ret = held / pl.col("close").shift().over("ticker") - 1
        bars = prices.unique(["ticker", "session"], keep="first", maintain_order=True).sort("ticker", "session")
        return bars.select("ticker", "session", ret.alias(name), pl.col("close").alias(f"{name}_level")).filter(pl.col(name).is_finite())

    both = returns(primary, "primary_return").join(returns(second, "second_return"), on=["ticker", "session"])
    rounding = PRICE_STEP_USD / pl.col("second_return_level")
    difference = (pl.col("primary_return") - pl.col("second_return")).abs()
    return both.with_columns(difference=difference, finding=difference > max_difference + rounding).select(
        "ticker", "session", "primary_return", "second_return", "difference", "finding"
    )


def findings_log(compared: pl.DataFrame, *, primary: str, second: str) -> pl.DataFrame:
    """The findings as rows of `quality_log`: the primary's value is kept and both are recorded."""
    evidence = pl.format(
        "total return {} from {} and {} from {}: kept the first",
        pl.col("primary_return").round(5),
        pl.lit(primary),
        pl.col("second_return").round(5),
        pl.lit(second),
    )
    return compared.filter("finding").select(
        pl.lit("prices").alias("table"),
        "ticker",
        "session",
        pl.lit("total_return").alias("field"),
        pl.col("second_return").alias("original"),
        pl.col("primary_return").alias("repaired"),
        pl.lit("two sources disagree").alias("method"),
        evidence.alias("evidence"),
    )
