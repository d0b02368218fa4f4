"""Daily returns of many parameter sets over the same sessions, as one matrix without gaps. What is chosen from it is others' business."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_assets.errors import BadArgument

Floats = npt.NDArray[np.float64]


def matrix_of_sets(returns: Floats) -> Floats:
    """Raises BadArgument unless the returns are a matrix (n_sets, n_sessions) without gaps."""
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise BadArgument(f"returns have the shape {matrix.shape}, not (sets, sessions)", remedy="pass one row of daily returns a set")
    missing = np.argwhere(~np.isfinite(matrix))
    if len(missing):
        row, place = missing[0]
        raise BadArgument(
            f"set {row} has no return at place {place} ({len(missing)} in all, limit 0)", remedy="run every set over the same sessions"
        )
    return matrix
