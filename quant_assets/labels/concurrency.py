"""How much of a label is its own: labels whose spans share returns tell the same thing more than once.

Labels of one name are concurrent in a session when both depend on its return: a span from the close of `label_start` to that of
`label_end` holds the returns of the sessions after the first up to the last (Lopez de Prado 2018, section 4.3; his snippet 4.1 counts the
first too, so that labels of one session each, one after the other, would share half of what they do not). Labels of two names share no
return, however alike the names are: that dependence is for splits by time and for blocks of sessions, not for weights.

What is made of it: sample weights in `weights.py`, draws in `sequential_bootstrap.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from quant_assets.errors import BadArgument, require_columns
from quant_assets.labels.spans import Floats, Places


def concurrency(labels: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """How many labels depend on the return of each session.

    Parameters
    ----------
    labels : `ticker`, `label_start`, `label_end`, of labels that are known, in any order.
    sessions : exchange sessions (column `session`), at least from the first `label_start` to the last `label_end`.

    Returns
    -------
    ticker, session, `labels`, where there is one, sorted by (ticker, session).

    Raises
    ------
    BadArgument : a start or end that is null or not among `sessions`, an end that is not after its start.
    """
    returns = SpannedReturns.of(labels, sessions)
    counts = returns.counts()
    covered = np.flatnonzero(counts)
    name, day = np.divmod(covered, len(returns.sessions))
    return pl.DataFrame({"ticker": returns.tickers.gather(name), "session": returns.sessions.gather(day), "labels": counts[covered]})


def average_uniqueness(labels: pl.DataFrame, sessions: pl.DataFrame) -> Floats:
    """(n_labels,) mean over a label's returns of 1 / the labels that depend on the return: 1 shares none, near 0 nearly all with many.

    Parameters and errors as `concurrency`. Source: Lopez de Prado (2018), Advances in Financial Machine Learning, snippet 4.2.
    """
    returns = SpannedReturns.of(labels, sessions)
    return means(1 / np.maximum(returns.counts(), 1), returns.first, returns.last)


@dataclass(frozen=True)
class SpannedReturns:
    """The returns that each label depends on, as places in one row: all sessions of the first name, then all of the second, and so on.

    Parameters
    ----------
    first, last : (n_labels,) places of each label's first and last return.
    tickers, sessions : ascending; the place of a return is number of the ticker x number of sessions + number of the session.
    """

    first: Places
    last: Places
    tickers: pl.Series
    sessions: pl.Series

    @classmethod
    def of(cls, labels: pl.DataFrame, sessions: pl.DataFrame) -> SpannedReturns:
        """Parameters and errors as `concurrency`."""
        require_columns(labels.columns, "ticker", "label_start", "label_end")
        tickers, days = labels["ticker"].unique().sort(), sessions["session"].unique().sort()
        start, end = (_number(labels[name], days) for name in ("label_start", "label_end"))
        wrong = ~(start < end).fill_null(False)
        for ticker, begun, ended in labels.filter(wrong).select("ticker", "label_start", "label_end").head(1).iter_rows():
            raise BadArgument(
                f"{ticker}: {begun} to {ended} does not lead from one of the {len(days)} sessions given to a later one",
                remedy="leave out labels that are not known yet, and give every exchange session from the first start to the last end",
            )
        name = _number(labels["ticker"], tickers) * len(days)
        return cls((name + start + 1).to_numpy(), (name + end).to_numpy(), tickers, days)

    def counts(self) -> Places:
        """(n_tickers x n_sessions,) labels that depend on each return: the ends of spans taken from their beginnings, added up."""
        n_places = len(self.tickers) * len(self.sessions)
        begun, ended = (np.bincount(places, minlength=n_places + 1) for places in (self.first, self.last + 1))
        return np.cumsum(begun - ended)[:n_places]

    def at(self, values: pl.DataFrame) -> Floats:
        """(n_tickers x n_sessions,) the `value` of each ticker and session, 0 where there is none; those of others are left out."""
        name, day = _number(values["ticker"], self.tickers), _number(values["session"], self.sessions)
        there = values.select("value", place=name * len(self.sessions) + day).drop_nulls("place")
        out = np.zeros(len(self.tickers) * len(self.sessions))
        out[there["place"].to_numpy()] = there["value"].to_numpy()
        return out


def totals(values: Floats, first: Places, last: Places) -> Floats:
    """(n_spans,) sum of values[first .. last] of each span. Each is added up by itself, so that no other span leaves a trace."""
    order = np.argsort(first, kind="stable")  # the stretches between spans, which reduceat adds up too, are then never long
    edges = np.column_stack((first[order], last[order] + 1)).ravel()
    out = np.empty(first.size)
    out[order] = np.add.reduceat(np.append(values, 0.0), edges)[::2] if first.size else 0.0
    return out


def means(values: Floats, first: Places, last: Places) -> Floats:
    """(n_spans,) mean of values[first .. last] of each span."""
    return totals(values, first, last) / (last - first + 1)


def _number(values: pl.Series, among: pl.Series) -> pl.Series:
    """The place of each value in a series of different ones; null where it is not there."""
    return values.replace_strict(among, pl.Series(range(len(among)), dtype=pl.Int64), default=None)
