"""How much each labelled row counts when a model learns: one function a reason, and `combine`. All give (n_labels,) in the order of the
rows, of labels that are known. The weight of what a label shares with others is `concurrency.average_uniqueness`.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from quant_assets.errors import BadArgument
from quant_assets.labels.concurrency import SpannedReturns, totals
from quant_assets.labels.spans import Floats, known_bars


def return_attribution(labels: pl.DataFrame, prices: pl.LazyFrame, sessions: pl.DataFrame) -> Floats:
    """The absolute log total return of the span, each session's return shared equally among the labels that depend on it.

    Parameters
    ----------
    labels, sessions : as `concurrency.concurrency`.
    prices : table `prices`, the bars of the spans at least; those after the last `label_end` are not read. The return over sessions without
        a bar is that of the session of the next one.

    Returns
    -------
    (n_labels,) not negative: 0 where rises and falls cancel.

    Raises
    ------
    BadArgument, QuantAssetsError : as `concurrency.concurrency` and `adjustments.forward_adjusted`.

    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, snippet 4.10.
    """
    returns = SpannedReturns.of(labels, sessions)
    bars = known_bars(prices, labels["label_end"].max(), "adj_close").drop_nulls("adj_close")  # type: ignore[arg-type]
    change = (pl.col("adj_close") / pl.col("adj_close").shift(1)).log().over("ticker").fill_null(0.0)
    shared = returns.at(bars.select("ticker", "session", value=change)) / np.maximum(returns.counts(), 1)
    return np.abs(totals(shared, returns.first, returns.last))


def time_decay(labels: pl.DataFrame, sessions: pl.DataFrame, *, half_life: float, as_of: dt.date) -> Floats:
    """0.5 to the power of age / `half_life`: 1 for what became known at the close of `as_of`, in (0, 1].

    Parameters
    ----------
    labels : `label_end`.
    sessions : exchange sessions (column `session`), at least from the first `label_end` to `as_of`, or to the one after it where `as_of`
        is none.
    half_life : exchange sessions in which a weight halves; the age of a label is the number of sessions after its `label_end`.
    as_of : the day from which ages are counted.

    Raises
    ------
    BadArgument : `half_life` is not above 0, a `label_end` is null, after `as_of` or not among `sessions`, or `sessions` end before
        `as_of`.
    """
    if not half_life > 0:
        raise BadArgument(f"half-life {half_life:g} is not above 0 sessions", remedy="pass after how many sessions a label counts half")
    for ended in labels.filter((pl.col("label_end") <= as_of).fill_null(False).not_())["label_end"].head(1):
        raise BadArgument(f"a label that ends {ended} is not known on {as_of}", remedy="leave out labels that end later")
    days = sessions["session"].unique().sort()
    _refuse_uncovered(labels["label_end"], days, as_of)
    age = days.search_sorted(as_of, side="right") - days.search_sorted(labels["label_end"], side="right").to_numpy()
    return np.power(0.5, age / half_life)


def _refuse_uncovered(label_end: pl.Series, days: pl.Series, as_of: dt.date) -> None:
    """Sessions that are not given would not be counted, and labels seem younger than they are."""
    remedy = "give every exchange session from the first label_end to as_of"
    for ended in label_end.filter(~label_end.is_in(days.implode())).head(1):
        raise BadArgument(f"a label ends {ended}, which is none of the {len(days)} sessions given", remedy=remedy)
    if days.is_empty() or days[-1] < as_of:
        raise BadArgument(f"the {len(days)} sessions given end before {as_of}", remedy=remedy)


def class_balance(label: pl.Series) -> Floats:
    """n_labels / (n_classes x labels of the class): every class counts as much as any other, with mean 1 (scikit-learn's "balanced").

    Raises
    ------
    BadArgument : a label is null, or there are fewer than two classes.
    """
    n_classes = label.n_unique()
    if label.null_count() or n_classes < 2:
        raise BadArgument(
            f"{label.null_count()} of {len(label)} labels are null and {n_classes} classes differ (limits: 0 and 2)",
            remedy="leave out labels that are not known yet, and widen the span until both classes occur",
        )
    frame = pl.DataFrame({"label": label})
    return frame.select(pl.len() / (n_classes * pl.len().over("label"))).to_series().to_numpy()


def combine(*weights: Floats) -> Floats:
    """The product of the weights of each label over its mean: mean 1, so that a model's penalties keep their meaning.

    Raises
    ------
    BadArgument : no weights, weights of different labels, a weight that is negative or not finite, no product above 0.
    """
    sizes = sorted({one.size for one in weights})
    if len(sizes) != 1:
        raise BadArgument(f"weights of {sizes or 'no'} labels cannot be multiplied (limit: one number)", remedy="weigh the same rows")
    product = np.prod(weights, axis=0)
    impossible = ~(np.isfinite(weights) & (np.asarray(weights) >= 0))
    if impossible.any():
        raise BadArgument(f"{impossible.sum()} weights are negative or not finite (limit 0)", remedy="leave out those labels")
    if not product.sum() > 0:
        raise BadArgument(f"no product of the weights of {sizes[0]} labels is above 0", remedy="leave out a reason that weighs all with 0")
    return np.asarray(product / product.mean())
