"""Resampling of dependent series in blocks. What is measured on each resample is its caller's business."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def circular_blocks(n: int, *, block: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Places 0 .. n - 1 drawn in blocks of neighbours, the first following the last: (n,) each time, `resamples` times.

    Politis and Romano (1992), A circular block-resampling procedure for stationary data. The draws are those of arch's
    CircularBlockBootstrap of this seed; arch itself imports all its models and matplotlib, which takes longer than the resampling.
    How many blocks a figure needs is its caller's to say: a single one is the whole sample, begun elsewhere.
    """
    draw = np.random.default_rng(seed)
    for _ in range(resamples):
        starts = draw.integers(n, size=-(-n // block))
        yield ((starts[:, None] + np.arange(block)).ravel() % n)[:n]
