"""Alpha Vantage's answers in the form its documentation and users of its interface show, made of a few rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quant_assets_tests.replay import Answers, Asked, Reply
from quant_assets_tests.sources.wire.ways import KEY

PREMIUM = "https://www.alphavantage.co/premium/"
SPENT = (
    f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day. Please subscribe to any of the "
    f"premium plans at {PREMIUM} to instantly remove all daily rate limits."
)
TOO_FAST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per second). "
    f"You may subscribe to any of the premium plans at {PREMIUM} to lift the free key rate limit (25 requests per day), raise the "
    "per-second burst limit, and instantly unlock all premium endpoints"
)
TOO_SMALL = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    f"{PREMIUM} to instantly unlock all premium endpoints"
)
REFUSED = (
    f"the parameter apikey is invalid or missing ({KEY}). Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
UNKNOWN = "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for EARNINGS."


def told(kind: str, words: str) -> Reply:
    return Reply(json.dumps({kind: words}))


def quarter(period_end: str = "2024-06-30", reported: str | None = "2024-07-24", eps: Any = "2.43", **changes: Any) -> dict[str, Any]:
    row = {"fiscalDateEnding": period_end, "reportedDate": reported, "reportedEPS": eps, "estimatedEPS": "2.2", "surprise": "0.23"}
    return {**row, "surprisePercentage": "10.4545", "reportTime": "post-market", **changes}


def earnings(*quarters: Any, symbol: str = "IBM") -> Reply:
    return Reply(json.dumps({"symbol": symbol, "annualEarnings": [], "quarterlyEarnings": list(quarters)}))


def overview(symbol: str = "IBM", **fields: Any) -> Reply:
    return Reply(json.dumps({"Symbol": symbol, "AssetType": "Common Stock", **fields}))


def indicator(name: str, values: Mapping[str, Mapping[str, str]]) -> Reply:
    """Newest first, as it answers."""
    meta = {
        "1: Symbol": "IBM",
        "2: Indicator": name,
        "3: Last Refreshed": max(values),
        "4: Interval": "daily",
        "7: Time Zone": "US/Eastern",
    }
    return Reply(json.dumps({"Meta Data": meta, f"Technical Analysis: {name}": dict(sorted(values.items(), reverse=True))}))


def alpha_vantage(found: Mapping[tuple[str, str], Reply]) -> Answers:
    """Answers by (function, symbol); `{}` to what is not among them."""

    def answers(asked: Asked) -> Reply:
        assert asked.params["apikey"] == KEY
        return found.get((asked.params["function"], asked.params["symbol"]), Reply("{}"))

    return answers
