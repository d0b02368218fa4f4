"""Purging and embargo against a naive loop over the exchange's sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl
import pytest

from quant_assets.calendars import Window, exchange, sessions
from quant_assets.errors import BadArgument
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.purged import EMBARGO_SESSIONS, embargoed, embargoed_until, learnable, recent_slice
from quant_assets.validation.splitter import PurgedSplitter
from quant_assets.validation.walk_forward import WalkForward
from quant_assets_tests.small import labelled

D = dt.date
DAYS = sessions(Window(D(2012, 7, 1), D(2013, 3, 2)))


def rows(horizon: int) -> pl.DataFrame:
    """Every session with a label that ends `horizon` sessions later; some are unknown."""
    n = len(DAYS) - horizon
    label = [None if day.day == 17 else day.day % 2 for day in DAYS[:n]]
    return pl.DataFrame({"session": DAYS[:n], "label_end": DAYS[horizon:], "label": pl.Series(label, dtype=pl.Int8)})


def naive(frame: pl.DataFrame, boundary: dt.date) -> Iterator[dt.date]:
    for session, label_end, label in frame.iter_rows():
        between = [day for day in DAYS if label_end < day < boundary]
        if label is not None and label_end < boundary and len(between) >= 5:
            yield session


@pytest.mark.parametrize("horizon", [1, 3, 10])
@pytest.mark.parametrize("boundary", [D(2012, 10, 1), D(2012, 10, 29), D(2012, 11, 3), D(2013, 1, 1), D(2012, 7, 5), D(2013, 2, 28)])
def test_learnable(horizon: int, boundary: dt.date):
    """On quarter starts, on a holiday, on a Saturday, before anything can be learned."""
    frame = rows(horizon)
    assert learnable(frame, boundary)["session"].to_list() == list(naive(frame, boundary))


def test_the_embargo_is_five_sessions():
    """Before 2013 began: a label that ended on 20 December is learned from, one of the 21st is not."""
    assert EMBARGO_SESSIONS == 5
    assert embargoed(D(2013, 1, 1)) == D(2012, 12, 24)
    ends = learnable(rows(3), D(2013, 1, 1))["label_end"]
    assert ends.max() == D(2012, 12, 21)
    assert [day for day in DAYS if D(2012, 12, 21) < day < D(2013, 1, 1)] == [D(2012, 12, day) for day in (24, 26, 27, 28, 31)]


@pytest.mark.parametrize("last", [D(2012, 10, 26), D(2012, 11, 3), D(2012, 12, 24)])
@pytest.mark.parametrize("embargo", [0, 1, 5])
def test_an_embargo_after_a_block_ends_so_many_sessions_later(last: dt.date, embargo: int):
    """Before two sessions on which the exchange did not open; from a Saturday; over Christmas."""
    until = embargoed_until(last, embargo_sessions=embargo)
    assert until == [last, *(day for day in DAYS if day > last)][embargo]


LAST_KNOWN = exchange().last_session.date()


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (
            lambda: embargoed(D(1990, 1, 5)),
            "the embargo of 5 sessions before 1990-01-05 leaves the exchange's calendar .limits: 1990-01-02 to",
        ),
        (lambda: embargoed(D(1985, 1, 2)), "the embargo of 5 sessions before 1985-01-02 leaves"),
        (lambda: embargoed_until(LAST_KNOWN), f"the embargo of 5 sessions after {LAST_KNOWN} leaves .* to {LAST_KNOWN}.; leave out labels"),
        (lambda: embargoed_until(D(2100, 1, 4), embargo_sessions=0), "the embargo of 0 sessions after 2100-01-04 leaves"),
    ],
)
def test_an_embargo_beyond_the_calendar_is_refused(cut: Callable[[], dt.date], message: str):
    with pytest.raises(BadArgument, match=message):
        cut()


def test_an_embargo_may_end_with_the_calendar():
    assert embargoed(D(1990, 1, 9)) == D(1990, 1, 2)
    assert embargoed_until(LAST_KNOWN, embargo_sessions=0) == LAST_KNOWN


@pytest.mark.parametrize("first", ["1985-01-01", "2100-01-01"])
@pytest.mark.parametrize("splitter", [PurgedKFold, partial(WalkForward, 2, train_sessions=20)])
def test_no_splitter_counts_sessions_beyond_the_calendar(splitter: Callable[..., PurgedSplitter], first: str):
    days = np.datetime64(first) + np.arange(60)
    spans = np.column_stack((days, days + 3))
    with pytest.raises(BadArgument, match="leaves the exchange's calendar"):
        list(splitter(label_span=spans).split(days))


def test_recent_slice_purges_what_reaches_into_it():
    frame = labelled(120)
    days = frame["session"].unique().sort().to_list()
    fit, validation = recent_slice(frame, 40)
    assert validation["session"].unique().sort().to_list() == days[-40:]
    start = days[-40]
    assert fit["session"].unique().sort().to_list() == days[: 80 - 5 - 3]
    assert all(len([day for day in days if end < day < start]) >= 5 for end in fit["label_end"].unique())
    fit, validation = recent_slice(frame, 1_000)
    assert fit.is_empty()
    assert validation.equals(frame)
