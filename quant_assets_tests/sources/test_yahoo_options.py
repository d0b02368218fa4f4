"""Option chains by the real yfinance over real sockets: what is quoted arrives, of the session that it is quoted in."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window, day_window
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.wire.exchange import Limits
from quant_assets.sources.yahoo_options import YahooOptions
from quant_assets_tests.replay import Answers, Asked, Reply, in_turn
from quant_assets_tests.replay_yahoo import CRUMB, LATER_CRUMB, NEW_YORK
from quant_assets_tests.sources.yahoo_answers import OPTIONS, asking, chain, contract, told

D = dt.date
FRIDAY = D(2014, 6, 6)
CLOSED = dt.datetime(2014, 6, 6, 16, 0, 1, tzinfo=NEW_YORK)
JULY = D(2014, 7, 18)
EXPIRIES = [D(2014, 6, 13), D(2014, 6, 20), JULY]
PAGE = f"{OPTIONS}AAPL"


def quoted(*contracts: dict[str, Any], symbol: str = "AAPL", at: dt.datetime = CLOSED, **quote: Any) -> dict[str, Answers]:
    return {f"{OPTIONS}{symbol}": chain(symbol, contracts, traded_at=at, **quote)}


def one(strike: float = 100.0, right: str = "call", root: str = "AAPL", expiry: D = JULY, **figures: Any) -> dict[str, Any]:
    return contract(root, expiry, right, strike, **figures)


@pytest.fixture(scope="module")
def apple(shared: Path) -> pl.DataFrame:
    """Apple's chain of 6 June 2014, as a vendor of quotes has it: prices above 600, a split on the next session."""
    rows = pl.read_parquet(shared / "data/options/aapl_chain_2014.parquet").filter(pl.col("date") == "20140606")
    right = pl.col("right").replace_strict({"C": "call", "P": "put"})
    return rows.with_columns(right=right, expiry=pl.col("expiry").str.to_date("%Y%m%d")).sort("expiry", "strike", "right")


def test_a_real_chain_comes_back(tmp_path: Path, apple: pl.DataFrame):
    written = [
        contract("AAPL", row["expiry"], row["right"], row["strike"], bid=row["bid"], ask=row["ask"], openInterest=row["open_interest"])
        for row in apple.iter_rows(named=True)
    ]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*written, spot=645.57)) as yahoo:
        found = yahoo.rows("AAPL").sort("expiry", "strike", "right")
        near = apple.filter(pl.col("expiry").is_between(D(2014, 6, 13), D(2014, 8, 20)))
        expiries = near["expiry"].unique().sort()
        assert 1 < expiries.len() < apple["expiry"].n_unique()
        assert yahoo.paths == [PAGE, "/", "/v1/test/getcrumb", PAGE, *[PAGE] * expiries.len()]
    for name in ("expiry", "strike", "right", "bid", "ask", "open_interest"):
        expected = near[name].replace(0.0, None) if name in ("bid", "ask") else near[name]
        assert found[name].to_list() == expected.to_list()
    assert found.select("ticker", "session", "underlying", "multiplier", "known_at", "fetched_at").unique().rows() == [
        ("AAPL", FRIDAY, 645.57, 100.0, yahoo.clock.now(), yahoo.clock.now())
    ]


def test_a_contract_in_full(tmp_path: Path):
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(one(92.5, "put"), spot=93.1)) as yahoo:
        [row] = yahoo.rows("AAPL").iter_rows(named=True)
    told = {name: value for name, value in row.items() if value is not None and name not in ("known_at", "fetched_at")}
    assert told == {
        "ticker": "AAPL",
        "session": FRIDAY,
        "expiry": JULY,
        "strike": 92.5,
        "right": "put",
        "contract": "AAPL140718P00092500",
        "multiplier": 100.0,
        "bid": 4.1,
        "ask": 4.3,
        "last": 4.2,
        "last_at": dt.datetime(2014, 6, 5, 16, tzinfo=dt.UTC),
        "volume": 12.0,
        "open_interest": 340.0,
        "underlying": 93.1,
        "vendor_implied_volatility": 0.23,
        "source": "yahoo",
    }


def test_a_zero_quote_is_none_and_a_wrong_one_stays(tmp_path: Path):
    contracts = [
        one(90, bid=0, ask=0, impliedVolatility=0.000010000000000000003, volume=None),
        one(95, bid=0, ask=0.05),
        one(100, bid=5.2, ask=5.1),
        one(105, bid=-0.1, ask=0.2),
    ]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts)) as yahoo:
        raw = yahoo.source.fetch(["AAPL"], day_window(FRIDAY))
        assert raw["bid"].to_list() == [0, 0, 5.2, -0.1]  # as delivered
        found = yahoo.rows("AAPL")
    assert found.select("bid", "ask").rows() == [(None, None), (None, 0.05), (5.2, 5.1), (-0.1, 0.2)]
    assert found["vendor_implied_volatility"].to_list() == [None, 0.23, 0.23, 0.23]
    assert found["volume"].to_list() == [None, 12, 12, 12]


def test_an_adjusted_contract_gives_way_to_the_ordinary_one_and_is_not_of_100_shares(tmp_path: Path):
    contracts = [one(100, root="AAPL7", bid=1.0), one(100, bid=2.0), one(105, root="AAPL7", bid=3.0), one(110, contractSize="MINI")]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts)) as yahoo:
        found = yahoo.rows("AAPL")
    assert found.select("contract", "bid", "multiplier").rows() == [
        ("AAPL140718C00100000", 2.0, 100.0),
        ("AAPL7140718C00105000", 3.0, None),
        ("AAPL140718C00110000", 4.1, None),
    ]


def test_repeated_and_unordered_contracts_are_one_row_each(tmp_path: Path):
    contracts = [one(strike, right) for strike in (110, 90, 100, 90) for right in ("put", "call")]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts)) as yahoo:
        assert sorted(yahoo.rows("AAPL").select("strike", "right").rows()) == [(k, r) for k in (90, 100, 110) for r in ("call", "put")]


def test_the_session_is_that_of_the_last_trade(tmp_path: Path):
    """Before the open of Monday the quotes are Friday's, whatever the clock says."""
    for moment, traded, session in (
        ("2014-06-06T18:00", CLOSED, FRIDAY),
        ("2014-06-09T09:00", CLOSED, FRIDAY),
        ("2014-06-09T10:00", dt.datetime(2014, 6, 9, 9, 45, tzinfo=NEW_YORK), D(2014, 6, 9)),
    ):
        with asking(YahooOptions, tmp_path / moment, moment, quoted(one(), at=traded)) as yahoo:
            assert yahoo.source.offers(["AAPL"])["AAPL"].start == FRIDAY
            assert yahoo.rows("AAPL")["session"].to_list() == [session]


def test_another_session_cannot_be_had_and_is_not_asked_for(tmp_path: Path):
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(one())) as yahoo:
        found = yahoo.rows("AAPL", window=Window(D(2014, 1, 1), FRIDAY))
        assert (found.height, yahoo.server.asked) == (0, [])
        stale = quoted(one(), at=dt.datetime(2014, 6, 3, 11, tzinfo=NEW_YORK))  # a halted share
        yahoo.server.answers.pages = stale  # type: ignore[attr-defined]
        assert yahoo.rows("AAPL").height == 0


def test_quotes_of_a_saturday_are_of_no_session(tmp_path: Path):
    pages = quoted(one(), at=CLOSED + dt.timedelta(days=1))
    with (
        asking(YahooOptions, tmp_path, "2014-06-07T18:00", pages) as yahoo,
        pytest.raises(SourceError, match="AAPL is of 2014-06-07, which"),
    ):
        yahoo.rows("AAPL")


def test_a_chain_that_a_session_opened_in_is_fetched_again(tmp_path: Path):
    contracts = [one(expiry=expiry) for expiry in EXPIRIES]
    before, after = (chain("AAPL", contracts, traded_at=CLOSED + dt.timedelta(days=days)) for days in (0, 3))

    def opens(asked: Asked) -> Reply:
        return (after if asked.params.get("date") == str(contracts[-1]["expiration"]) else before)(asked)

    with (
        asking(YahooOptions, tmp_path, "2014-06-09T09:29", {PAGE: opens}) as yahoo,
        pytest.raises(SourceUnavailable, match="AAPL: a part is of 2014-06-06, another of 2014-06-09"),
    ):
        yahoo.rows("AAPL")


def test_quotes_are_kept_while_they_rest_and_never_while_they_move(tmp_path: Path):
    with asking(YahooOptions, tmp_path, "2014-06-06T15:59", quoted(one())) as yahoo:
        asked = []
        for moment in ("06T15:59", "06T16:14", "06T16:15", "06T23:00", "09T09:29", "09T09:30", "09T12:00"):
            yahoo.clock.moment = dt.datetime.fromisoformat(f"2014-06-{moment}").replace(tzinfo=NEW_YORK)
            yahoo.rows("AAPL")
            asked.append(yahoo.paths.count(PAGE))
    assert [later - sooner for sooner, later in pairwise(asked)] == [2, 2, 0, 0, 2, 2]


def test_a_crumb_that_expires_half_way_is_fetched_once_more(tmp_path: Path):
    contracts = [one(expiry=expiry) for expiry in EXPIRIES]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts), expires_after=2) as yahoo:
        assert yahoo.rows("AAPL")["expiry"].to_list() == EXPIRIES
        again = [PAGE, "/consent", "/", "/v1/test/getcrumb", PAGE]  # yfinance tries its other way to a crumb first
        assert yahoo.paths == [PAGE, "/", "/v1/test/getcrumb", PAGE, PAGE, *again, PAGE]
        assert [asked.params.get("crumb") for asked in yahoo.server.asked[-2:]] == [LATER_CRUMB, LATER_CRUMB]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CRUMB.encode() not in written
    assert LATER_CRUMB.encode() not in written


def test_a_crumb_that_is_worth_nothing_from_the_start_is_an_error_with_the_name(tmp_path: Path):
    def never(asked: Asked) -> Reply:
        return Reply(json.dumps({"finance": {"error": {"description": f"Invalid Crumb {asked.params.get('crumb')}"}}}), 401)

    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", {PAGE: never}) as yahoo:
        with pytest.raises(SourceError, match=r"yahoo /v7/finance/options/AAPL for AAPL refused the request: answered 401") as refused:
            yahoo.rows("AAPL")
        assert CRUMB not in str(refused.value)


def test_no_crumb_is_an_error_and_no_empty_chain(tmp_path: Path):
    """Without one yfinance would go on, and take the refusal for a chain without options."""
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(one())) as yahoo:
        answers = yahoo.server.answers
        yahoo.server.answers = lambda asked: Reply("Too Many Requests", 429) if "getcrumb" in asked.path else answers(asked)
        with pytest.raises(SourceUnavailable, match="yahoo /v1/test/getcrumb: answered 429 Too Many Requests"):
            yahoo.rows("AAPL")
        yahoo.server.answers = lambda asked: Reply("Too Many Requests") if "getcrumb" in asked.path else answers(asked)
        with pytest.raises(SourceError, match="/v7/finance/options/AAPL for AAPL refused the request"):
            yahoo.rows("AAPL")


def of(**changes: Any) -> Reply:
    """An answer about July with something else in it."""
    answer = json.loads(chain("AAPL", [one()], traded_at=CLOSED)(Asked(0.0, "GET", "", {}, {}, b"")).body)
    answer["optionChain"]["result"][0] |= changes
    return Reply(json.dumps(answer))


OTHER_EXPIRY = [{"expirationDate": 1_402_617_600, "calls": [], "puts": []}]


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (told("optionChain", []), NoData, "no options are listed"),
        (of(expirationDates=[], options=[]), NoData, "no options are listed"),
        (told("optionChain", None, {"code": "Not Found", "description": "No data found"}), NoData, "Not Found: No data found"),
        (told("optionChain", None, {"code": "Bad Request", "description": "Missing"}), SourceError, "Bad Request: Missing"),
        (told("finance", None, {"code": "internal-error", "description": "oops"}), SourceError, "internal-error: oops"),
        (Reply("{}"), SourceError, "is not built as it was"),
        (Reply('{"optionChain": {"result": [{}], "error": null}}'), SourceError, "is not built as it was"),
        (of(underlyingSymbol="MSFT"), SourceError, "is about MSFT"),
        (of(options=[]), SourceError, "holds no expiry"),
        (of(options=OTHER_EXPIRY), SourceError, "gave the expiry 1402617600 where 1405641600 was asked for"),
        (of(quote={"currency": "EUR", "regularMarketTime": 1}), SourceError, "quoted in EUR"),
        (of(quote={}), SourceError, "does not say when AAPL was traded"),
        (of(quote={"regularMarketTime": 1.4e12}), SourceError, "does not say when AAPL was traded"),  # thousandths of seconds
        (of(quote={"regularMarketTime": "16:00"}), SourceError, "does not say when AAPL was traded"),
        (Reply("<html>Will be right back</html>", content_type="text/html"), SourceError, "other than JSON"),
    ],
)
def test_what_is_no_chain_is_told_with_the_name(tmp_path: Path, reply: Reply, kind: type[SourceError], said: str):
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", {PAGE: in_turn(reply)}) as yahoo:
        with pytest.raises(kind) as failure:
            yahoo.rows("AAPL")
        assert type(failure.value) is kind
        assert said in str(failure.value)
        assert "AAPL" in str(failure.value)


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        ([one(bid=None), one(105, bid=None)], "AAPL, expiry 2014-07-18, has no bid in 2 calls"),
        ([{name: value for name, value in one().items() if name != "strike"}], "option_chain.strike: 1 nulls"),
        ([one(bid="four")], "yahoo: option chain of AAPL cannot be read"),
        ([one(contractSize=100)], "yahoo: option chain of AAPL cannot be read"),
        ([one(lastTradeDate="noon")], "option chain of AAPL cannot be read"),
        ([one(contractSymbol="AAPL140620C00100000")], "AAPL140620C00100000 among the calls of 2014-07-18"),
        ([one(contractSymbol="no symbol C00100000")], "no symbol C00100000 among the calls of 2014-07-18"),
        ([one(bid=1.0), one(bid=2.0)], "occurs more than once"),
    ],
)
def test_a_contract_that_is_none_is_told_with_the_name(tmp_path: Path, contracts: list[dict[str, Any]], said: str):
    with (
        asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts)) as yahoo,
        pytest.raises(SourceError, match=said) as failure,
    ):
        yahoo.rows("AAPL")
    assert "AAPL" in str(failure.value)


def test_a_time_out_in_the_middle_gives_no_half_chain(tmp_path: Path):
    contracts = [one(expiry=expiry) for expiry in EXPIRIES]
    answers = chain("AAPL", contracts, traded_at=CLOSED)

    def slow(asked: Asked) -> Reply:
        return replace(answers(asked), sleep=3.0 if asked.params.get("date") == str(contracts[1]["expiration"]) else 0.0)

    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", {PAGE: slow}) as yahoo:
        yahoo.source.policy = replace(yahoo.source.policy, limits=Limits(connect=0.5, read=1.0, total=1.0), attempts=1)
        with pytest.raises(SourceUnavailable, match="AAPL: did not answer in time"):
            yahoo.rows("AAPL")


@pytest.mark.parametrize(("ticker", "symbol", "root"), [("BRK.B", "BRK-B", "BRKB"), ("BRK/B", "BRK-B", "BRKB"), ("^SPX", "^SPX", "SPX")])
def test_names_are_yahoos_on_the_way_and_ours_in_the_rows(tmp_path: Path, ticker: str, symbol: str, root: str):
    pages = quoted(one(root=root), one(root=f"{root}W", bid=9.0), symbol=symbol)
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", pages) as yahoo:
        assert yahoo.rows(ticker).select("ticker", "contract", "bid").rows() == [(ticker, f"{root}140718C00100000", 4.1)]
        assert {row.symbol for row in yahoo.wire.store.audit("yahoo")} == {symbol, None}


def test_ten_thousand_contracts(tmp_path: Path):
    contracts = [one(strike / 10, right) for strike in range(1, 5001) for right in ("call", "put")]
    with asking(YahooOptions, tmp_path, "2014-06-06T18:00", quoted(*contracts)) as yahoo:
        found = yahoo.rows("AAPL")
    assert found.height == 10_000
    assert found["strike"].sum() == pytest.approx(2 * sum(range(1, 5001)) / 10)
