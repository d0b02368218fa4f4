"""What the pooled model is called, forecasts and needs. How it learns is in `pooled.py`, which takes a second to import."""

MODEL_NAME = "signal-xgboost"
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


def own_model(ticker: str) -> str:
    """The name of the model that learns from this ticker alone."""
    return f"{MODEL_NAME}-{ticker}"
