"""Yahoo on loopback: charts made of real bars as traded, in Yahoo's form; its cookie and crumb pages. For `replay.replaying`."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl

from quant_assets_tests.replay import Answers, Asked, Reply

CHART = "/v8/finance/chart/"
CRUMB, LATER_CRUMB = "Xy.Z1/abc", "Qr.7/later"
WITH_CRUMB = ("/v7/", "/v10/")
"""Addresses that Yahoo answers to nobody without one."""
NEW_YORK = ZoneInfo("America/New_York")
INDICES = {"^GSPC": "sp500", "^IXIC": "nasdaq"}


@dataclass(frozen=True)
class History:
    """What was traded and paid: bars session, open, high, low, close, volume; splits and dividends by session, as of that day.

    `unlisted`: splits that prices are divided by and that are not told.
    """

    bars: pl.DataFrame
    splits: dict[dt.date, float] = field(default_factory=dict)
    dividends: dict[dt.date, float] = field(default_factory=dict)
    kind: str = "EQUITY"
    unlisted: frozenset[dt.date] = frozenset()

    def chart(self, symbol: str, *, since: dt.date, until: dt.date, as_at: dt.date) -> dict[str, Any] | None:
        """Yahoo's JSON seen from the day `as_at`; None when it holds no bar."""
        split_days = [day for day in self.splits if day <= as_at]
        bars = self.bars.filter(pl.col("session").is_between(since, min(until, as_at + dt.timedelta(days=1)), closed="left"))
        if bars.is_empty():
            return None

        def later(day: dt.date) -> float:
            product = 1.0
            for split in split_days:
                product *= self.splits[split] if split > day else 1.0
            return product

        days = bars["session"].to_list()
        shares = pl.Series([later(day) for day in days])
        prices = {name: _single((bars[name] / shares).to_list()) for name in ("open", "high", "low", "close")}
        quote = prices | {"volume": (bars["volume"] * shares).round().cast(pl.Int64).to_list()}
        paid = {day: round(amount / later(day), 6) for day, amount in self.dividends.items() if since <= day < until and day <= as_at}
        splits = {day: self.splits[day] for day in split_days if since <= day < until and day not in self.unlisted}
        events = {
            "dividends": {str(opening(day)): {"amount": amount, "date": opening(day)} for day, amount in paid.items()},
            "splits": {str(opening(day)): {"date": opening(day), **_ratio(split)} for day, split in splits.items()},
        }
        meta = {
            "currency": "USD",
            "symbol": symbol,
            "exchangeName": "NMS",
            "instrumentType": self.kind,
            "firstTradeDate": opening(self.bars["session"][0]),
            "regularMarketTime": opening(self.bars.filter(pl.col("session") <= as_at)["session"][-1]) + 23_400,
            "gmtoffset": -18_000,
            "timezone": "EST",
            "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": prices["close"][-1],
            "priceHint": 2,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }
        return {
            "meta": meta,
            "timestamp": [opening(day) for day in days],
            "events": {name: found for name, found in events.items() if found},
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": prices["close"]}]},
        }


@dataclass
class Yahoo:
    """Answers requests for charts, and for `pages` by their path.

    `wrong`: what it does instead of a chart, by symbol; `wants_crumb`: it refuses who asks for a chart without a crumb; `expires_after`: so
    many requests for pages it grants, then the crumb is worth nothing.
    """

    histories: dict[str, History] = field(default_factory=dict)
    as_at: dt.date = dt.date(2021, 3, 31)
    wants_crumb: bool = False
    wrong: dict[str, Answers] = field(default_factory=dict)
    pages: dict[str, Answers] = field(default_factory=dict)
    expires_after: int | None = None
    granted: int = 0

    @property
    def crumb(self) -> str:
        return CRUMB if self.expires_after is None or self.granted < self.expires_after else LATER_CRUMB

    def __call__(self, asked: Asked) -> Reply:
        path = unquote(asked.path)
        if path == "/":  # the cookie comes with an error page
            return Reply("<html>not found</html>", 404, "text/html", headers={"Set-Cookie": "A3=d=anonymous; Path=/; Max-Age=31536000"})
        if path == "/v1/test/getcrumb":
            return Reply(self.crumb, content_type="text/plain") if "A3=" in asked.headers.get("cookie", "") else refusal("Invalid Cookie")
        if path in self.pages:
            if path.startswith(WITH_CRUMB) and asked.params.get("crumb") != self.crumb:
                return refusal("Invalid Crumb")
            self.granted += 1
            return self.pages[path](asked)
        if not path.startswith(CHART):
            return Reply("<html></html>", 404, "text/html")
        symbol = path.removeprefix(CHART)
        if symbol in self.wrong:
            return self.wrong[symbol](asked)
        if self.wants_crumb and asked.params.get("crumb") != CRUMB:
            return refusal("Invalid Crumb")
        since, until = (dt.datetime.fromtimestamp(int(asked.params[name]), NEW_YORK).date() for name in ("period1", "period2"))
        known = self.histories.get(symbol)
        chart = known.chart(symbol, since=since, until=until, as_at=self.as_at) if known else None
        return Reply(json.dumps({"chart": {"result": [chart], "error": None}}), gzip=True) if chart else absent(asked)


def absent(_: Asked) -> Reply:
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    return Reply(json.dumps({"chart": {"result": None, "error": error}}), 404)


def refusal(words: str) -> Reply:
    return Reply(json.dumps({"finance": {"result": None, "error": {"code": "Unauthorized", "description": words}}}), 401)


def opening(day: dt.date) -> int:
    """09:30 in New York, which stamps Yahoo's daily bars."""
    return int(dt.datetime.combine(day, dt.time(9, 30), NEW_YORK).timestamp())


def lean_history(shared: Path, symbol: str, *, kind: str = "EQUITY") -> History:
    """A name of `lean_daily`: its factor file gives the last session before each action, its price there and the factors up to it."""
    with zipfile.ZipFile(shared / f"data/equities/lean_daily/{symbol.lower()}.zip") as archive:
        rows = archive.read(archive.namelist()[0])
    names = ["stamp", "open", "high", "low", "close", "volume"]
    read = pl.read_csv(io.BytesIO(rows), has_header=False, new_columns=names, schema_overrides={"stamp": pl.String})
    bars = read.select(
        pl.col("stamp").str.slice(0, 8).str.to_date("%Y%m%d").alias("session"),
        *(pl.col(name).cast(pl.Float64) / 10_000 for name in names[1:5]),
        pl.col("volume").cast(pl.Float64),
    )
    sessions = bars["session"].to_list()
    splits, dividends = {}, {}
    lines = (shared / f"data/corporate_actions/lean_factor_files/{symbol.lower()}.csv").read_text().split()
    known = [line.split(",") for line in lines]
    for (stamp, price, split, reference), (_, next_price, next_split, _) in pairwise(known):
        last = dt.datetime.strptime(stamp, "%Y%m%d").date()  # noqa: DTZ007 - a date
        later = [day for day in sessions if day > last]
        if not later:
            continue
        if (ratio := float(next_split) / float(split)) != 1:
            splits[later[0]] = round(ratio, 4)
        if (share := 1 - float(price) / float(next_price)) > 1e-9:
            dividends[later[0]] = round(share * float(reference) / splits.get(later[0], 1.0), 4)
    return History(bars, splits, dividends, kind)


def index_history(symbol: str) -> History:
    """An index, from the bars inside `arch`."""
    from arch.data import nasdaq, sp500

    bars = {"sp500": sp500, "nasdaq": nasdaq}[INDICES[symbol]].load()
    columns = [pl.Series(name.lower(), bars[name].to_numpy().astype(float)) for name in ("Open", "High", "Low", "Close", "Volume")]
    return History(pl.DataFrame([pl.Series("session", [day.date() for day in bars.index]), *columns]), kind="INDEX")


def _single(values: list[float]) -> list[float]:
    """As Yahoo prints them: the nearest single-precision number."""
    return pl.Series(values).cast(pl.Float32).cast(pl.Float64).to_list()


def _ratio(split: float) -> dict[str, Any]:
    numerator, denominator = (split, 1.0) if split >= 1 else (1.0, 1 / split)
    return {"numerator": numerator, "denominator": denominator, "splitRatio": f"{numerator:g}:{denominator:g}"}
