"""Several sources for one name: how far they agree, and where they do not. Which one wins is `splice.py`'s business."""

from __future__ import annotations

import polars as pl

from quant_assets.sources.skfolio_prices import PRICE_STEP_USD

MAX_DIFFERENCE = 0.01
KEY = ["ticker", "session"]
DISAGREE = "two sources disagree"
"""The `method` of what `quality_log` says of it."""
FIELDS = {"close": "close", "total_return": "total return"}


def is_price(name: str) -> pl.Expr:
    """True where there is a price at all."""
    return (pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(False)


def compare_sources(rows: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
    """The stored bars beside those of every other source.

    Parameters
    ----------
    rows : `prices` rows, one source a session, as they would be stored.
    delivered : `prices` rows of all sources; a bar of the source that won its session is not compared.

    Returns
    -------
    ticker, session, field (close: both as traded; total_return), source, second_source, primary, second (USD, or fractions), difference
    (fraction), finding (Boolean), n_sources (that have the bar, and, for a close, as traded).
    """
    others = delivered.join(rows.select("ticker").unique(), on="ticker", how="semi").join(rows, on=[*KEY, "source"], how="anti")
    beside = rows.join(others.select("ticker").unique(), on="ticker", how="semi")
    won = beside.unique(KEY, keep="first", maintain_order=True).select(*KEY, "source")
    parts = [_compare_closes(beside, others)]
    for second in others["source"].unique().sort():
        theirs = delivered.filter(source=second).join(others.filter(source=second).select("ticker").unique(), on="ticker", how="semi")
        found = compare_returns(beside, theirs).join(won, on=KEY).filter(pl.col("source") != second)
        parts.append(
            found.select(
                *KEY,
                "source",
                pl.lit("total_return").alias("field"),
                pl.lit(second).alias("second_source"),
                pl.col("primary_return").alias("primary"),
                pl.col("second_return").alias("second"),
                "difference",
                "finding",
            )
        )
    together = pl.concat([part.select(parts[0].columns) for part in parts])
    return together.with_columns(n_sources=pl.len().over(*KEY, "field") + 1).sort(*KEY, "field", "second_source")


def compare_returns(primary: pl.DataFrame, second: pl.DataFrame, *, max_difference: float = MAX_DIFFERENCE) -> pl.DataFrame:
    """Daily total returns (see `adjustments.py`) of the sessions that both sources have, since the same session before.

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
        bars = prices.unique(KEY, keep="first", maintain_order=True).sort(KEY)
        before = pl.col("session").shift().over("ticker")
        found = bars.select(*KEY, before.alias("since"), ret.alias(name), pl.col("close").alias(f"{name}_level"))
        return found.filter(pl.col(name).is_finite())

    both = returns(primary, "primary_return").join(returns(second, "second_return"), on=[*KEY, "since"])
    rounding = PRICE_STEP_USD / pl.col("second_return_level")
    difference = (pl.col("primary_return") - pl.col("second_return")).abs()
    return both.with_columns(difference=difference, finding=difference > max_difference + rounding).select(
        *KEY, "primary_return", "second_return", "difference", "finding"
    )


def findings_log(compared: pl.DataFrame) -> pl.DataFrame:
    """The findings as rows of `quality_log`: the first source's value is kept, and that of every other one is told.

    Parameters
    ----------
    compared : of `compare_sources`.
    """
    name = pl.col("field").replace_strict(FIELDS, return_dtype=pl.String)
    other = pl.format("{} from {}", pl.col("second").round(5).cast(pl.String).fill_null("no price"), "second_source")
    told = pl.format("{} {} from {} and {}: kept the first", "name", pl.col("primary").round(5), "source", pl.col("others").list.join(", "))
    median = pl.when((pl.col("field") == "close") & (pl.col("n_sources") > 2)).then(pl.format(", the median of {}", "n_sources"))
    return (
        compared.filter("finding")
        .with_columns(name=name, other=other)
        .group_by(*KEY, "field", "name", "source", "n_sources", maintain_order=True)
        .agg(pl.col("primary", "second").first(), others=pl.col("other"))
        .select(
            pl.lit("prices").alias("table"),
            *KEY,
            "field",
            pl.col("second").fill_nan(None).alias("original"),
            pl.col("primary").alias("repaired"),
            pl.lit(DISAGREE).alias("method"),
            pl.concat_str(told, median.fill_null("")).alias("evidence"),
        )
    )


def _compare_closes(rows: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
    """Closes as traded, which two sources print alike; one without a price is a finding."""

    def closes(bars: pl.DataFrame, name: str, source: str) -> pl.DataFrame:
        raw = bars.filter(pl.col("price_basis") == "raw").unique([*KEY, "source"], keep="first", maintain_order=True)
        return raw.select(*KEY, pl.col("source").alias(source), pl.col("close").alias(name))

    both = closes(rows, "primary", "source").filter(is_price("primary")).join(closes(delivered, "second", "second_source"), on=KEY)
    difference = (pl.col("second") / pl.col("primary") - 1).abs()
    return (
        both.filter(pl.col("source") != pl.col("second_source"))
        .with_columns(difference=difference, finding=~is_price("second") | (difference > MAX_DIFFERENCE).fill_null(True))
        .select(*KEY, "source", pl.lit("close").alias("field"), "second_source", "primary", "second", "difference", "finding")
    )
