"""What the pooled model is called, forecasts and needs. How it learns is in `pooled.py`, which takes a second to import."""

MODEL_NAME = "signal-xgboost"
HORIZON_SESSIONS = 3
MIN_HISTORY_SESSIONS = 252
MEMBERS = 100
"""Bootstrap members of the current cut-off's model."""
