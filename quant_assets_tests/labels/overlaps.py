"""Overlapping labels for tests, and how a loop counts what they share."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import strategies as st

from quant_assets_tests.features.panels import SESSIONS


def spanning(spans: list[tuple[int, int]], tickers: list[str] | str = "AAA") -> pl.DataFrame:
    """Labels that depend on the returns of the sessions first .. last: they start at the close before."""
    starts, ends = ([SESSIONS[place] for place in places] for places in ([first - 1 for first, _ in spans], [last for _, last in spans]))
    schema = {"ticker": pl.String, "label_start": pl.Date, "label_end": pl.Date}
    names = [tickers] * len(spans) if isinstance(tickers, str) else tickers
    return pl.DataFrame({"ticker": names, "label_start": starts, "label_end": ends}, schema=schema)


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[str]]:
    """Spans (first, last) of returns, and their names, in any order."""
    spans = st.tuples(st.integers(1, 40), st.integers(0, 9)).map(lambda told: (told[0], told[0] + told[1]))
    told = draw(st.lists(st.tuples(spans, st.sampled_from(["AAA", "BBB", "CCC"])), min_size=1, max_size=25))
    return [span for span, _ in told], [ticker for _, ticker in told]


def depends(spans: list[tuple[int, int]], tickers: list[str]) -> np.ndarray:
    """(n_labels, n_names, n_sessions) 1 where a label depends on the return (the indicator matrix of Lopez de Prado's snippet 4.3)."""
    names = sorted(set(tickers))
    matrix = np.zeros((len(spans), len(names), 60))
    for row, ((first, last), ticker) in enumerate(zip(spans, tickers, strict=True)):
        matrix[row, names.index(ticker), first : last + 1] = 1
    return matrix
