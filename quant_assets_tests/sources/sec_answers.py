"""The SEC's answers: real companies' facts from the shared folder, or a company made of a few facts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from quant_assets_tests.replay import Answers, Asked, Reply

TICKERS = "/files/company_tickers.json"
FACTS = "/api/xbrl/companyfacts/"
ABSENT = Reply("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", status=404, content_type="application/xml")
FUND, APPLE, SNOWFLAKE = 884394, 320193, 1640147  # SPY's trust files no XBRL


def listed(**companies: int) -> Reply:
    rows = {str(place): {"cik_str": cik, "ticker": ticker, "title": ticker} for place, (ticker, cik) in enumerate(companies.items())}
    return Reply(json.dumps(rows))


def company(cik: int, *facts: dict[str, Any]) -> Reply:
    """A company of one figure, NetIncomeLoss in USD."""
    figure = {"label": "Net Income", "description": "", "units": {"USD": list(facts)}}
    return Reply(json.dumps({"cik": cik, "entityName": "A company", "facts": {"us-gaap": {"NetIncomeLoss": figure}}}))


def sec(companies: dict[int, Reply], *, tickers: Reply) -> Answers:
    def answers(asked: Asked) -> Reply:
        if asked.path == TICKERS:
            return tickers
        return companies.get(int(asked.path.removeprefix(f"{FACTS}CIK").removesuffix(".json")), ABSENT)

    return answers


def recorded_companies(shared: Path) -> Answers:
    """Apple's and Snowflake's facts, and everybody's tickers, as the SEC gave them."""
    folder = shared / "data/fundamentals/sec"

    def unpacked(name: str) -> Reply:
        return Reply(gzip.decompress((folder / name).read_bytes()), gzip=True)

    companies = {APPLE: unpacked("companyfacts/CIK0000320193.json.gz"), SNOWFLAKE: unpacked("snow_facts.json.gz")}
    return sec(companies, tickers=unpacked("company_tickers.json.gz"))
