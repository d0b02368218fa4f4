"""News API's answers in the form its documentation shows (newsapi.org/docs), made of a few articles."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from quant_assets_tests.replay import Answers, Asked, Reply
from quant_assets_tests.sources.wire.ways import KEY

Article = dict[str, Any]


def article(number: int, appeared: str = "2024-11-19T15:00:00Z", **changes: Any) -> Article:
    row = {"source": {"id": None, "name": "Reuters"}, "author": None, "title": f"Headline {number}", "description": "What happened"}
    return {**row, "url": f"https://example.com/{number}", "urlToImage": None, "publishedAt": appeared, "content": "...", **changes}


WITHDRAWN = {
    **article(0),
    "source": {"id": None, "name": "[Removed]"},
    **dict.fromkeys(("title", "description", "content"), "[Removed]"),
    "url": "https://removed.com",
    "publishedAt": "1970-01-01T00:00:00Z",
}


def found(articles: Sequence[Any], *, total: int | None = None) -> Reply:
    return Reply(json.dumps({"status": "ok", "totalResults": len(articles) if total is None else total, "articles": list(articles)}))


def error(code: str, message: str, status: int = 200) -> Reply:
    return Reply(json.dumps({"status": "error", "code": code, "message": message}), status=status)


def searched(articles: Sequence[Article]) -> Answers:
    """The newest hundred up to `to`, as a Developer key is given them; it is refused any further page."""

    def answers(asked: Asked) -> Reply:
        assert asked.headers["authorization"] == KEY
        if asked.params.get("page", "1") != "1":
            return error("maximumResultsReached", "You have requested too many results.", 426)
        until = asked.params.get("to", "9999")
        matching = sorted((a for a in articles if a["publishedAt"].rstrip("Z") <= until), key=lambda a: a["publishedAt"], reverse=True)
        return found(matching[: int(asked.params["pageSize"])], total=len(matching))

    return answers


def every_minute(n: int, last: dt.datetime) -> list[Article]:
    return [article(number, f"{last - dt.timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}") for number in range(n)]
