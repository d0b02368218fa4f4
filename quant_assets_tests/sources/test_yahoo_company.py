"""Holders and company fields by the real yfinance over real sockets."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.yahoo_company import YahooCompanyInfo, YahooHolders
from quant_assets_tests.replay import Answers, Reply, in_turn
from quant_assets_tests.sources.yahoo_answers import (
    QUOTE,
    SERIES,
    SUMMARY,
    asking,
    company,
    holder,
    holders,
    not_found,
    told,
)

D = dt.date
NIGHT = "2026-10-02T18:00"
PAGE = f"{SUMMARY}AAPL"
JUNE, AUGUST = D(2026, 6, 30), D(2026, 8, 31)


def held(institutions: list[dict[str, Any]], funds: list[dict[str, Any]] | None = None, symbol: str = "AAPL") -> dict[str, Answers]:
    return {f"{SUMMARY}{symbol}": holders(institutions, funds or [])}


def test_institutions_and_funds(tmp_path: Path):
    pages = held([holder("Vanguard Group Inc", JUNE, 1_400_000)], [holder("Invesco QQQ Trust, Series 1", AUGUST, 114_000)])
    with asking(YahooHolders, tmp_path, NIGHT, pages) as yahoo:
        found = yahoo.rows("AAPL")
        now = yahoo.clock.now()
        assert yahoo.paths == [PAGE, "/", "/v1/test/getcrumb", PAGE]
        assert found.select("kind", "holder", "reported", "shares", "fraction", "value").rows() == [
            ("institution", "Vanguard Group Inc", JUNE, 1_400_000, 0.0319, 466_200_000),
            ("fund", "Invesco QQQ Trust, Series 1", AUGUST, 114_000, 0.0319, 37_962_000),
        ]
        assert found.select("ticker", "source", "fetched_at", "known_at").unique().rows() == [("AAPL", "yahoo", now, now)]
        assert yahoo.rows("AAPL", window=Window(AUGUST, dt.date.max))["kind"].to_list() == ["fund"]


def test_plain_numbers_are_read_like_formatted_ones(tmp_path: Path):
    """Yahoo writes both, and not as it is asked to."""
    day = int(dt.datetime(2026, 6, 30, tzinfo=dt.UTC).timestamp())
    plain = holder("Vanguard", JUNE, 0, position=1_400_000, reportDate=day, pctHeld=0.09, value=5)
    with asking(YahooHolders, tmp_path, NIGHT, held([plain])) as yahoo:
        assert yahoo.rows("AAPL").select("reported", "shares", "fraction", "value").rows() == [(JUNE, 1_400_000, 0.09, 5)]


def test_a_field_that_one_holder_lacks_is_null_and_further_fields_are_left_out(tmp_path: Path):
    pages = held([holder("A", JUNE, 10, pctHeld=None, rating="buy"), holder("B", JUNE, 20)])
    with asking(YahooHolders, tmp_path, NIGHT, pages) as yahoo:
        assert yahoo.rows("AAPL").select("holder", "fraction").rows() == [("A", None), ("B", 0.0319)]


def test_repeated_holders_are_one_row_each(tmp_path: Path):
    pages = held([holder("B", JUNE, 20), holder("A", JUNE, 10), holder("B", JUNE, 20), holder("B", AUGUST, 20)])
    with asking(YahooHolders, tmp_path, NIGHT, pages) as yahoo:
        assert yahoo.rows("AAPL").select("holder", "reported").rows() == [("B", JUNE), ("A", JUNE), ("B", AUGUST)]


def test_no_holders_are_no_rows(tmp_path: Path):
    with asking(YahooHolders, tmp_path, NIGHT, held([])) as yahoo:
        assert yahoo.rows("AAPL").height == 0


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([holder("A", JUNE, 10), holder("A", JUNE, 11)], "occurs more than once"),
        ([holder("A", JUNE, 10, position=None)], "institution holders of AAPL cannot be read .no Shares but"),
        ([holder("A", JUNE, 10, position="many")], "yahoo: holders of AAPL cannot be read"),
        ([holder("A", JUNE, 10, organization=7)], "yahoo: holders of AAPL cannot be read"),
        ([holder("A", JUNE, 10, reportDate="June")], "holders of AAPL cannot be read"),
        ([holder("A", JUNE, 10, reportDate=None), holder("B", JUNE, 10)], "institution holders of AAPL cannot be read .one has no date"),
        ([holder("A", JUNE, 10, position=None), holder("B", JUNE, 10)], "holders.shares: 1 nulls"),
        ([holder("A", JUNE, 10, maxAge=None)], "holders of AAPL cannot be read"),
    ],
)
def test_a_holder_that_is_none_is_told(tmp_path: Path, listed: list[dict[str, Any]], said: str):
    with asking(YahooHolders, tmp_path, NIGHT, held(listed)) as yahoo, pytest.raises(SourceError, match=said):
        yahoo.rows("AAPL")


NOBODY = "No fundamentals data found for symbol: AAPL"


@pytest.mark.parametrize("table", [YahooHolders, YahooCompanyInfo])
@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (not_found("quoteSummary", NOBODY), NoData, f"Not Found: {NOBODY}"),
        (told("quoteSummary", []), NoData, "the summary is empty"),
        (told("quoteSummary", [{}]), NoData, "the summary is empty"),
        (told("quoteSummary", None, {"code": "internal-error", "description": "oops"}), SourceError, "internal-error: oops"),
        (told("quoteSummary", [{"quoteType": {"symbol": "MSFT"}}]), SourceError, "is about MSFT"),
        (Reply("[]"), SourceError, "is not built as it was"),
        (Reply('{"quoteSummary": 7}'), SourceError, "is not built as it was"),
        (Reply('{"quoteSummary": {"result": [{"a": NaN}], "error": null}}'), SourceError, "holds NaN"),
    ],
)
def test_what_is_no_summary_is_told_with_the_name(tmp_path: Path, table: type, reply: Reply, kind: type[SourceError], said: str):
    with asking(table, tmp_path, NIGHT, {PAGE: in_turn(reply)}) as yahoo:
        with pytest.raises(kind) as failure:
            yahoo.rows("AAPL")
        assert type(failure.value) is kind
        assert f"yahoo {PAGE} for AAPL: " in str(failure.value)
        assert said in str(failure.value)


OFFICERS = [{"maxAge": 1, "name": "Ms. Zoë\u00a0Q", "totalPay": {"raw": 5, "fmt": "5"}}]
MODULES = {
    "assetProfile": {"sector": "Technology", "zip": "95014", "fullTimeEmployees": 150000, "companyOfficers": OFFICERS, "maxAge": 86400},
    "summaryDetail": {
        "bid": 330.02,
        "askSize": 5,
        "open": 333.2,
        "volume": 31878433,
        "trailingPE": 37.9,
        "category": None,
        "tradeable": False,
    },
    "defaultKeyStatistics": {"52WeekChange": 0.28, "sharesOutstanding": 14594180000, "lastSplitFactor": "4:1", "beta": 1.085},
    "financialData": {"currentPrice": 333.69, "recommendationKey": "buy", "totalCash": 0},
}
NOW = {"regularMarketPrice": 333.69, "fiftyTwoWeekLowChangePercent": 0.37, "marketState": "CLOSED", "preMarketTime": 1, "fulldayPrice": 3.0}
FIELDS = {
    "sector": ("Technology", None),
    "zip": ("95014", None),
    "fullTimeEmployees": ("150000", 150_000.0),
    "companyOfficers": ('[{"maxAge": 1, "name": "Ms. Zoë Q", "totalPay": 5}]', None),
    "trailingPE": ("37.9", 37.9),
    "tradeable": ("false", None),
    "sharesOutstanding": ("14594180000", 14_594_180_000.0),
    "lastSplitFactor": ("4:1", None),
    "beta": ("1.085", 1.085),
    "recommendationKey": ("buy", None),
    "totalCash": ("0", 0.0),
    "symbol": ("AAPL", None),
    "longName": ("Apple Inc.", None),
    "trailingPegRatio": ("2.64", 2.64),
}


def test_every_field_but_quotes(tmp_path: Path):
    pages = company("AAPL", MODULES, {"longName": "Apple Inc.", **NOW}, peg=2.64)
    with asking(YahooCompanyInfo, tmp_path, NIGHT, pages) as yahoo:
        found = yahoo.rows("AAPL")
        now = yahoo.clock.now()
        assert yahoo.paths[-3:] == [PAGE, QUOTE, f"{SERIES}AAPL"]
    assert {field: (text, number) for field, text, number in found.select("field", "text", "number").iter_rows()} == FIELDS
    assert found.select("ticker", "observed", "source", "fetched_at", "known_at").unique().rows() == [
        ("AAPL", D(2026, 10, 2), "yahoo", now, now)
    ]


def test_a_fund_has_fewer_modules_and_no_ratio(tmp_path: Path):
    pages = company("SPY", {"assetProfile": {"phone": "617-786-3000"}}, {"longName": "SPDR"})
    with asking(YahooCompanyInfo, tmp_path, NIGHT, pages) as yahoo:
        assert sorted(yahoo.rows("SPY")["field"]) == ["longName", "phone", "symbol"]


def test_the_day_is_new_yorks_and_no_other_can_be_asked_for(tmp_path: Path):
    with asking(YahooCompanyInfo, tmp_path, "2026-10-02T23:30", company("AAPL", MODULES, NOW)) as yahoo:  # the 3rd in UTC
        assert yahoo.rows("AAPL", window=Window(D(2026, 1, 1), D(2026, 10, 2))).height == 0
        assert yahoo.server.asked == []
        assert yahoo.rows("AAPL")["observed"].unique().to_list() == [D(2026, 10, 2)]


@pytest.mark.parametrize(
    ("path", "reply", "kind", "said"),
    [
        (QUOTE, told("quoteResponse", []), NoData, f"{QUOTE} for AAPL: there is no such quote"),
        (QUOTE, told("quoteResponse", [{"symbol": "MSFT", "sector": "x"}]), SourceError, f"{QUOTE} for AAPL: is about MSFT"),
        (QUOTE, Reply("{}"), SourceError, f"{QUOTE} for AAPL: answered JSON that is not built as it was"),
        (QUOTE, Reply("Too Many Requests", 429, "text/plain"), SourceUnavailable, f"{QUOTE} for AAPL: answered 429"),
        (f"{SERIES}AAPL", told("timeseries", None, {"code": "x", "description": "y"}), SourceError, "for AAPL: x: y"),
        (f"{SERIES}AAPL", told("timeseries", [{"trailingPegRatio": [7]}]), SourceError, "company information of AAPL cannot be read"),
    ],
)
def test_a_part_that_fails_leaves_no_half_company(tmp_path: Path, path: str, reply: Reply, kind: type[SourceError], said: str):
    """yfinance itself would go on with the fields of the other parts."""
    pages = company("AAPL", MODULES, NOW) | {path: in_turn(reply)}
    with asking(YahooCompanyInfo, tmp_path, NIGHT, pages) as yahoo:
        with pytest.raises(kind) as failure:
            yahoo.rows("AAPL")
        assert said in str(failure.value)


def test_a_time_out_of_a_part_leaves_no_half_company(tmp_path: Path):
    pages = company("AAPL", MODULES, NOW)
    slow = replace(told("quoteResponse", [{"symbol": "AAPL"}]), sleep=3.0)
    with asking(YahooCompanyInfo, tmp_path, NIGHT, pages | {QUOTE: in_turn(slow)}) as yahoo:
        yahoo.source.policy = replace(yahoo.source.policy, limits=Limits(connect=0.5, read=1.0, total=1.0), attempts=1)
        with pytest.raises(SourceUnavailable, match="for AAPL: did not answer in time"):
            yahoo.rows("AAPL")


@pytest.mark.parametrize(("table", "path"), [(YahooHolders, PAGE), (YahooCompanyInfo, PAGE), (YahooCompanyInfo, QUOTE)])
def test_a_refusal_for_good_is_an_error_and_no_company_without_holders(tmp_path: Path, table: type, path: str):
    """yfinance writes it into its log and goes on."""
    refused = Reply('{"finance": {"result": null, "error": {"code": "Unauthorized", "description": "No"}}}', 401)
    with (
        asking(table, tmp_path, NIGHT, company("AAPL", MODULES, NOW) | {path: in_turn(refused)}) as yahoo,
        pytest.raises(SourceError, match=f"yahoo {path} for AAPL refused the request: answered 401 .*Unauthorized"),
    ):
        yahoo.rows("AAPL")


def test_a_crumb_that_expires_between_two_parts_is_fetched_once_more(tmp_path: Path):
    with asking(YahooCompanyInfo, tmp_path, NIGHT, company("AAPL", MODULES, NOW), expires_after=1) as yahoo:
        assert "sector" in yahoo.rows("AAPL")["field"]
        assert yahoo.paths.count("/v1/test/getcrumb") == 2


def test_the_same_night_asks_once_and_the_next_again(tmp_path: Path):
    with asking(YahooHolders, tmp_path, NIGHT, held([holder("A", JUNE, 10)])) as yahoo:
        yahoo.rows("AAPL")
        asked = len(yahoo.paths)
        yahoo.clock.moment += dt.timedelta(hours=5)
        yahoo.rows("AAPL")
        assert len(yahoo.paths) == asked
        yahoo.clock.moment += dt.timedelta(days=3)
        yahoo.rows("AAPL")
        assert len(yahoo.paths) == asked + 1


@pytest.mark.parametrize(("ticker", "symbol"), [("BRK.B", "BRK-B"), ("BRK/B", "BRK-B"), ("^GSPC", "^GSPC")])
def test_names_are_yahoos_on_the_way_and_ours_in_the_rows(tmp_path: Path, ticker: str, symbol: str):
    with asking(YahooHolders, tmp_path, NIGHT, held([holder("A", JUNE, 10)], symbol=symbol)) as yahoo:
        assert yahoo.rows(ticker)["ticker"].to_list() == [ticker]
    with asking(YahooCompanyInfo, tmp_path / "info", NIGHT, company(symbol, MODULES, NOW)) as yahoo:
        assert yahoo.rows(ticker)["ticker"].unique().to_list() == [ticker]
        assert {row.symbol for row in yahoo.wire.store.audit("yahoo")} == {symbol, None}


def test_ten_thousand_holders_and_fields(tmp_path: Path):
    many = [holder(f"Fund {number}", JUNE, number) for number in range(10_000)]
    with asking(YahooHolders, tmp_path, NIGHT, held([], many)) as yahoo:
        assert yahoo.rows("AAPL")["shares"].sum() == sum(range(10_000))
    fields = {f"field{number}": number for number in range(10_000)}
    with asking(YahooCompanyInfo, tmp_path / "info", NIGHT, company("AAPL", {"assetProfile": fields}, {})) as yahoo:
        assert yahoo.rows("AAPL")["number"].sum() == sum(range(10_000))
