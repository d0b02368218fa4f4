"""When the label of each row began and when it was known: what purging needs, and when two spans overlap.

Which spans a splitter holds against which is said in its own file: `combinatorial.py`, `k_fold.py`, `walk_forward.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import BadArgument, require_columns

COLUMNS = ("label_start", "label_end")
Days: TypeAlias = npt.NDArray[np.datetime64]
Mask: TypeAlias = npt.NDArray[np.bool_]
LabelSpan: TypeAlias = pl.DataFrame | Days


@dataclass(frozen=True)
class LabelSpans:
    """Closed intervals of dates, one a row, in any order; many names may share a session.

    Parameters
    ----------
    start, end : (n_rows,) datetime64[D], the session at whose close the label begins, and that at whose close it is known.
    """

    start: Days
    end: Days

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def of(cls, label_span: LabelSpan) -> LabelSpans:
        """Spans as a user passes them.

        Parameters
        ----------
        label_span : frame with `label_start` and `label_end` (Date), as every table of labels has, or (n_rows, 2) datetime64[D].

        Raises
        ------
        BadArgument : no row, another shape or type, a span that is unknown, or one that ends before it starts.
        """
        start, end = _columns(label_span)
        if not len(start):
            raise BadArgument("there is no label span (limit: at least one row)", remedy="pass the span of each row")
        unknown = int((np.isnat(start) | np.isnat(end)).sum())
        if unknown:
            raise BadArgument(
                f"{unknown} of {len(start)} label spans are unknown (limit 0)", remedy="leave out rows whose label is not known"
            )
        backward = np.flatnonzero(end < start)
        if backward.size:
            row = backward[0]
            raise BadArgument(
                f"the label of row {row} starts on {start[row]} and ends on {end[row]} ({backward.size} such rows, limit 0)",
                remedy="pass label_start before label_end",
            )
        return cls(start, end)

    def sessions(self) -> Days:
        """(n_sessions,) the days on which labels start, ascending."""
        # A mark a calendar day: rows outnumber days so much that sorting them would be most of a splitter's time.
        first = self.start.min()
        day = (self.start - first).astype(np.int64)
        days: Days = first + np.flatnonzero(np.bincount(day))
        return days


def overlaps(start: npt.NDArray[Any], end: npt.NDArray[Any], first: npt.NDArray[Any], last: npt.NDArray[Any]) -> Mask:
    """Whether the closed intervals [start, end] and [first, last] have a day in common; one that ends as the other starts does.

    Lopez de Prado (2018), Advances in Financial Machine Learning, snippet 7.1; snippet 7.3 of the same chapter is half-open.
    """
    return (start <= last) & (end >= first)


def _columns(label_span: LabelSpan) -> tuple[Days, Days]:
    if isinstance(label_span, pl.DataFrame):
        require_columns(label_span.columns, *COLUMNS)
        types = label_span.select(COLUMNS).dtypes
        if set(types) != {pl.Date}:
            raise BadArgument(f"label_start and label_end are {types[0]} and {types[1]}, not Date", remedy="cast them to Date")
        return label_span["label_start"].to_numpy(), label_span["label_end"].to_numpy()
    spans = np.asarray(label_span)
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype != np.dtype("datetime64[D]"):
        raise BadArgument(
            f"label spans have the shape {spans.shape} and type {spans.dtype}, not (rows, 2) of datetime64[D]",
            remedy="pass label_start and label_end as two columns of dates",
        )
    return np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1])
