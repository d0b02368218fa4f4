"""What accounts are called and begin with, for whoever only reads them. What happens to them is `engine.py`'s business."""

from __future__ import annotations

PORTFOLIO = "PORTFOLIO"
"""The account over all names, where the others are called by theirs."""
STARTING_CASH = 10_000.0
"""USD."""
