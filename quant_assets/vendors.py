"""The vendors that can be named in the settings, as `sources.VENDOR`. How each is asked is in `sources/`."""

from __future__ import annotations

VENDORS = ("yahoo", "fred", "sec", "massive", "alpha_vantage", "finnhub", "news_api", "kaggle", "lean")
