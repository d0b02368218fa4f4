"""Drawing labels with replacement so that a draw avoids what has been drawn. Weights for models that take them are in `weights.py`."""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_assets.errors import BadArgument
from quant_assets.labels.concurrency import SpannedReturns, means
from quant_assets.labels.spans import Floats, Places


def sequential_bootstrap(labels: pl.DataFrame, sessions: pl.DataFrame, *, n_draws: int | None = None, seed: int) -> Places:
    """Rows of the labels, drawn one after the other, each with a probability in proportion to `uniqueness_beside` those drawn before.

    A draw changes the uniqueness of labels that overlap it alone: the time grows with draws x labels, by a cumulative sum each.

    Parameters
    ----------
    labels, sessions : as `concurrency.concurrency`.
    n_draws : as many as there are labels when None.

    Returns
    -------
    (n_draws,) row numbers of `labels`.

    Raises
    ------
    BadArgument : there is no label; as `concurrency.concurrency`.

    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, sections 4.5.1 to 4.5.3.
    """
    if labels.is_empty():
        raise BadArgument("0 labels to draw from (limit 1)", remedy="pass labels that are known")
    returns = SpannedReturns.of(labels, sessions)
    order = np.argsort(returns.first, kind="stable")
    first, last = returns.first[order], returns.last[order]
    longest = int((last - first).max())
    drawn_over = np.zeros(int(last.max()) + 1)
    uniqueness = np.ones(order.size)
    rng = np.random.default_rng(seed)
    draws = np.empty(order.size if n_draws is None else n_draws, dtype=np.int64)
    for place in range(draws.size):
        draw = draws[place] = rng.choice(order.size, p=uniqueness / uniqueness.sum())
        drawn_over[first[draw] : last[draw] + 1] += 1
        near = slice(np.searchsorted(first, first[draw] - longest), np.searchsorted(first, last[draw], side="right"))
        uniqueness[near] = _beside(drawn_over, first[near], last[near])
    return order[draws]


def uniqueness_beside(labels: pl.DataFrame, sessions: pl.DataFrame, drawn: Places) -> Floats:
    """(n_labels,) average uniqueness each label would have as the next one beside those drawn (row numbers, repeated where drawn again):
    mean over its returns of 1 / (1 + the drawn labels that depend on the return). Other parameters and errors as `sequential_bootstrap`."""
    returns = SpannedReturns.of(labels, sessions)
    drawn_over = SpannedReturns(returns.first[drawn], returns.last[drawn], returns.tickers, returns.sessions).counts()
    return _beside(drawn_over.astype(np.float64), returns.first, returns.last)


def _beside(drawn_over: Floats, first: Places, last: Places) -> Floats:
    start = int(first.min())
    return means(1 / (1 + drawn_over[start : int(last.max()) + 1]), first - start, last - start)
