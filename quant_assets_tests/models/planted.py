"""Panels with a known signal, and what the best possible scores of them are worth."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from quant_assets.calendars import Window, sessions

FEATURES = ("ret_1", "noise_a", "noise_b", "noise_c")
DAYS = sessions(Window(dt.date(2006, 1, 1), dt.date(2012, 1, 1)))
HORIZON = 3


def planted(n_sessions: int, n_names: int = 10, *, signal: float | Sequence[float] = 0.3, seed: int = 1) -> pl.DataFrame:
    """Rows whose `ret` correlates with the first feature by `signal` (one number, or one a session), and with no other; 1 in 50 is null.

    `label` is whether `ret` is above 0, `grade` its quintile within the session, 4 the highest.
    """
    rng = np.random.default_rng(seed)
    n_rows = n_sessions * n_names
    values = rng.normal(size=(n_rows, len(FEATURES)))
    rho = np.broadcast_to(signal, n_sessions).repeat(n_names)
    ret = rho * values[:, 0] + np.sqrt(1 - rho**2) * rng.normal(size=n_rows)
    values[:, 1:][rng.random((n_rows, len(FEATURES) - 1)) < 0.02] = np.nan
    return (
        pl.DataFrame(values, schema=list(FEATURES), nan_to_null=True)
        .with_columns(
            ticker=pl.Series([f"N{name:02d}" for name in range(n_names)] * n_sessions),
            label_start=pl.Series(np.repeat(DAYS[:n_sessions], n_names).tolist()),
            label_end=pl.Series(np.repeat(DAYS[HORIZON : n_sessions + HORIZON], n_names).tolist()),
            ret=pl.Series(ret),
            label=pl.Series((ret > 0).astype(np.int8)),
        )
        .with_columns(grade=((pl.col("ret").rank().over("label_start") - 1) * 5 // n_names).cast(pl.Int8))
    )


def best_auc(signal: float) -> float:
    """ROC AUC of a normal score that correlates with a normal outcome by `signal`, split at 0.

    P(x > x' | z > 0 > z') by the orthant probability of three normal variables (Sheppard 1899): 1/2 + 2 asin(rho / sqrt 2) / pi.
    """
    return 0.5 + 2 * math.asin(signal / math.sqrt(2)) / math.pi
