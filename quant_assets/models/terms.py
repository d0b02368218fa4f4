"""What the pooled model is called, forecasts and needs. How it learns is in `pooled.py`, which takes a second to import."""

import datetime as dt
import math

from quant_assets.validation.purged import EMBARGO_SESSIONS

MODEL_NAME = "signal-xgboost"
EXPERIMENT = "pooled_model"
"""The asset that trains it, which names the experiment in MLflow."""
PERSISTENCE, RIDGE = "baseline-persistence", "baseline-ridge"
BASELINES = (PERSISTENCE, RIDGE)
"""What the pooled model must beat, beside the base rate: taught by the same rows at the same cut-off, scored on the same sessions."""
HORIZON_SESSIONS = 3
MIN_HISTORY_SESSIONS = 252
VALIDATION_SESSIONS = 252
MIN_TRAINING_SESSIONS = 2 * VALIDATION_SESSIONS
LAST_MOVE = "ret_1"
"""The feature whose direction persistence says goes on."""
MEMBERS = 100
"""Bootstrap members of the current cut-off's model."""
MIN_CHILD_WEIGHT = 100
"""Least sum of curvature in a leaf: 400 rows of a classification, so that no leaf stands on one session."""
SUBSAMPLE = 0.8
"""Share of the rows that a tree sees."""
CURVATURE = 0.25
"""Most that a row of a classification weighs against `MIN_CHILD_WEIGHT`: p(1 - p)."""


MLFLOW_VIEW = "?workflowType=machine_learning"
"""At the end of an address in MLflow 3, which otherwise opens its view of language models."""


def rows_to_split(min_child_weight: float, subsample: float = 1.0, *, curvature: float = CURVATURE) -> int:
    """Rows without which no tree has two leaves, so that whatever is learned is a constant.

    Parameters
    ----------
    subsample : share of the rows that a tree sees.
    curvature : most that a row weighs.
    """
    return math.ceil(2 * min_child_weight / curvature / subsample)


_PURGED_SESSIONS = HORIZON_SESSIONS + EMBARGO_SESSIONS
OWN_MODEL_SESSIONS = (
    (MIN_HISTORY_SESSIONS - 1)
    + rows_to_split(MIN_CHILD_WEIGHT, SUBSAMPLE)
    + _PURGED_SESSIONS  # before the held year
    + VALIDATION_SESSIONS
    + _PURGED_SESSIONS  # before the cut-off
)
"""Stored sessions of one name before the first cut-off of a model of its own: with fewer, no tree would split."""


def own_model(ticker: str) -> str:
    """The name of the model that learns from this ticker alone."""
    return f"{MODEL_NAME}-{ticker}"


def retrain(model: str, cutoff: dt.date) -> str:
    """The remedy where a model is missing, damaged or of other features: the command that trains its cut-off.

    Parameters
    ----------
    model : MODEL_NAME, one of the BASELINES, which are taught with it, or from `own_model`.
    """
    from quant_assets.calendars import session_on_or_after  # pandas: only where something is wrong

    day = session_on_or_after(cutoff)  # a cut-off is the first day of a quarter, and the command wants a window with a session
    ticker = model.partition(own_model(""))[2]
    alone = f" --each --tickers {ticker}" if ticker else ""
    return f"`quant-assets train --start {day} --end {day}{alone}` trains it"
