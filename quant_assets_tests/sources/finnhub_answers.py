"""Finnhub's answers in the form its documentation shows (finnhub.io/static/swagger.json), made of a few rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quant_assets_tests.replay import Answers, Asked, Reply
from quant_assets_tests.sources.wire.ways import KEY

NEWS, SENTIMENT, INSIDERS = "company-news", "news-sentiment", "stock/insider-transactions"
TRENDS, CALENDAR = "stock/recommendation", "calendar/earnings"
NO_ACCESS = Reply('{"error": "You don\'t have access to this resource."}', status=403)
BAD_KEY = Reply(json.dumps({"error": f"Invalid API key {KEY}"}), status=401)


def article(number: int, appeared: int, **changes: Any) -> dict[str, Any]:
    row = {"category": "company", "datetime": appeared, "headline": f"Headline {number}", "id": number, "image": "", "related": "AAPL"}
    return {**row, "source": "Reuters", "summary": "", "url": f"https://finnhub.io/api/news?id={number}", **changes}


def insider(filed: str = "2024-04-03", **changes: Any) -> dict[str, Any]:
    row = {"name": "COOK TIMOTHY D", "share": 3_280_180, "change": -59_162, "filingDate": filed, "transactionDate": "2024-04-01"}
    more = {"transactionCode": "S", "transactionPrice": 170.03, "id": "0000320193-24-000051", "isDerivative": False, "symbol": "AAPL"}
    return {**row, **more, "currency": "", "source": "sec", **changes}


def trend(period: str = "2024-11-01", **changes: Any) -> dict[str, Any]:
    return {"buy": 24, "hold": 7, "period": period, "sell": 0, "strongBuy": 13, "strongSell": 1, "symbol": "AAPL", **changes}


def announcement(date: str = "2024-10-31", **changes: Any) -> dict[str, Any]:
    row = {"date": date, "epsActual": 1.64, "epsEstimate": 1.6, "hour": "amc", "quarter": 4, "revenueActual": 94_930_000_000}
    return {**row, "revenueEstimate": 94_580_000_000, "symbol": "AAPL", "year": 2024, **changes}


SENTIMENT_OF_AAPL = {
    "buzz": {"articlesInLastWeek": 20, "buzz": 0.8888, "weeklyAverage": 22.5},
    "companyNewsScore": 0.9166,
    "sectorAverageBullishPercent": 0.6482,
    "sectorAverageNewsScore": 0.5191,
    "sentiment": {"bearishPercent": 0.25, "bullishPercent": 0.75},
    "symbol": "AAPL",
}


def insiders(*rows: Any) -> Reply:
    return Reply(json.dumps({"data": list(rows), "symbol": "AAPL"}))


def calendar(*rows: Any) -> Reply:
    return Reply(json.dumps({"earningsCalendar": list(rows)}))


def a_list(*rows: Any) -> Reply:
    return Reply(json.dumps(list(rows)))


def endpoint(asked: Asked) -> str:
    """As the client writes it: with two slashes."""
    assert asked.headers["x-finnhub-token"] == KEY
    assert KEY not in asked.params.values()
    return asked.path.removeprefix("/api/v1/").strip("/")


def finnhub(found: Mapping[str, Reply]) -> Answers:
    return lambda asked: found[endpoint(asked)]


def dated(rows: Mapping[str, list[dict[str, Any]]], most: int) -> Answers:
    """Rows by day, newest first, at most so many in one answer: the older ones are cut off."""

    def answers(asked: Asked) -> Reply:
        kind, first, last = endpoint(asked), asked.params["from"], asked.params["to"]
        found = [row for day in sorted(rows, reverse=True) if first <= day <= last for row in rows[day]][:most]
        return a_list(*found) if kind == NEWS else insiders(*found)

    return answers
