"""The vendors' official clients on the wire: recorded answers, no retries of their own, a second call from the cache, faults named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import finnhub
import massive
import pytest
import yfinance
from newsapi import NewsApiClient

from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.sources.wire import over_curl, over_fredapi, over_requests, over_urllib3
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import NOW, Complaint, Policy, Trouble, text
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Asked, ReplayServer, Reply, in_turn, recorded, replaying
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import KEY, POLICY, MovingClock

Call = Callable[[Wire], Any]

NEWS = '{"status": "ok", "totalResults": 1, "articles": [{"title": "Apple"}]}'
QUOTE = '{"c": 261.74, "h": 263.31, "l": 260.68, "o": 261.07, "pc": 259.45, "t": 1582641000}'
CHART = (
    '{"chart": {"result": [{"meta": {"currency": "USD", "symbol": "AAPL", "exchangeName": "NMS", "instrumentType": "EQUITY",'
    '"firstTradeDate": 345479400, "gmtoffset": -18000, "timezone": "EST", "exchangeTimezoneName": "America/New_York",'
    '"priceHint": 2, "dataGranularity": "1d", "range": "", "validRanges": ["1d", "max"]}, "timestamp": [1357137000, 1357223400],'
    '"indicators": {"quote": [{"open": [19.78, 19.57], "high": [19.82, 19.63], "low": [19.34, 19.32], "close": [19.61, 19.36],'
    '"volume": [560518000, 352965200]}], "adjclose": [{"adjclose": [16.6, 16.4]}]}}], "error": null}}'
)


def quote(wire: Wire) -> Any:
    client = finnhub.Client(api_key=KEY)
    over_requests.mount(client._session, wire, POLICY)
    with client:
        return client.quote("AAPL")


def headlines(wire: Wire) -> Any:
    import requests

    with over_requests.mount(requests.Session(), wire, POLICY) as session:
        return NewsApiClient(api_key=KEY, session=session).get_everything(q="apple")


def bars(wire: Wire) -> Any:
    client = massive.RESTClient(api_key=KEY, base="https://api.massive.com")
    client.client = client.vx.client = over_urllib3.Pool(wire, POLICY)  # type: ignore[assignment]
    try:
        return [bar.close for bar in client.list_aggs("AAPL", 1, "day", "2005-04-01", "2005-04-04")]
    finally:
        client.client.close()  # type: ignore[attr-defined]


def history(wire: Wire) -> Any:
    """As the vendor's file will: the client hides errors unless it is told not to."""
    yahoo = replace(
        POLICY,
        lasts=lambda request: NOW if request.endpoint.endswith(("/", "/getcrumb")) else POLICY.lasts(request),
        passes=lambda request, answer: (answer.status == 404 and request.endpoint == "/") or request.endpoint.endswith("/getcrumb"),
    )
    yfinance.config.debug.hide_exceptions = False
    with over_curl.Session(wire, yahoo) as session:
        return list(yfinance.Ticker("AAPL", session=session).history(start="2013-01-02", end="2013-01-04", auto_adjust=False)["Close"])


def yields(wire: Wire) -> Any:
    client = over_fredapi.Fred(wire, replace(POLICY, promises="xml"), KEY)
    try:
        return list(client.get_series("SP500").dropna())
    finally:
        client.close()


CALLS: dict[str, Call] = {"finnhub": quote, "newsapi": headlines, "massive": bars, "yfinance": history, "fredapi": yields}


def crumb(asked: Asked) -> Reply | None:
    """What yfinance wants before anything else; the page that sets the cookie is a 404."""
    match asked.path:
        case "/":
            return Reply("no page", status=404, content_type="text/html")
        case "/v1/test/getcrumb":
            return Reply("cRuMb", content_type="text/plain")
    return None


def good(shared: Path) -> Callable[[Asked], Reply]:
    massive_recorded = recorded(shared / "data/vendor_api/polygon_massive")
    observations = (shared / "data/vendor_api/fredapi/sp500_obs_call.xml").read_bytes()

    def answers(asked: Asked) -> Reply:
        match asked.path:
            case "/api/v1/quote" | "/api/v1//quote":
                return Reply(QUOTE)
            case "/v2/everything":
                return Reply(NEWS)
            case path if path.startswith("/v8/finance/chart/"):
                return Reply(CHART)
            case "/fred/series/observations":
                return Reply(observations, content_type="text/xml")
        return crumb(asked) or massive_recorded(asked)

    return answers


@pytest.fixture(params=CALLS.values(), ids=CALLS.keys())
def call(request: pytest.FixtureRequest) -> Call:
    return request.param


@pytest.fixture(autouse=True)
def nothing_left_of_yahoo(tmp_path: Path) -> Iterator[None]:
    """Its client keeps one session, cookie and crumb a process, and caches of its own on disk."""
    yfinance.set_tz_cache_location(str(tmp_path / "yahoo"))
    yfinance.data.SingletonMeta._instances.clear()
    yield
    yfinance.data.SingletonMeta._instances.clear()


@pytest.fixture
def redirected(tmp_path: Path, clock: MovingClock) -> Iterator[Callable[[ReplayServer], Wire]]:
    opened: list[Wire] = []

    def make(server: ReplayServer) -> Wire:
        opened.append(Wire(tmp_path, base_urls={"acme": server.url}, clock=clock))
        return opened[-1]

    yield make
    for wire in opened:
        wire.store.close()


def vendor_requests(server: ReplayServer) -> list[Asked]:
    """Without those for a cookie and a crumb."""
    return [asked for asked in server.asked if crumb(asked) is None]


def test_a_client_gets_what_it_wants_and_the_second_time_without_a_request(call, redirected, shared):
    with replaying(good(shared)) as server:
        first = call(redirected(server))
        assert first
        sent = len(vendor_requests(server))
        assert sent >= 1
        assert call(redirected(server)) == first
        assert len(vendor_requests(server)) == sent


def test_the_values_are_the_recorded_ones(redirected, shared):
    with replaying(good(shared)) as server:
        assert quote(redirected(server))["c"] == 261.74
        assert headlines(redirected(server))["articles"] == [{"title": "Apple"}]
        assert history(redirected(server)) == pytest.approx([19.61, 19.36])
        assert len(bars(redirected(server))) == 2
        assert 1000 < yields(redirected(server))[0] < 3000


@pytest.mark.parametrize(
    "fault", [Reply(status=500), Reply(status=429), Reply(reset=True), Reply('{"a": [1,', cut=5)], ids=("500", "429", "reset", "cut")
)
def test_a_client_repeats_nothing_itself_and_lets_the_error_through(call, redirected, fault):
    def answers(asked: Asked) -> Reply:
        return crumb(asked) or fault

    with replaying(answers) as server, pytest.raises(SourceUnavailable) as caught:
        call(redirected(server))
    # curl itself tries once more, on a new connection, when one it kept open turns out to be dead.
    assert len(vendor_requests(server)) == POLICY.attempts + (fault.reset and call is history)
    assert KEY not in told(caught.value)


def test_a_client_whose_key_is_refused_says_which(call, redirected):
    def answers(asked: Asked) -> Reply:
        return crumb(asked) or Reply(f'{{"error": "{KEY} is no key"}}', status=401)

    with replaying(answers) as server, pytest.raises(SourceError, match="the key in ACME_KEY was refused") as caught:
        call(redirected(server))
    assert len(vendor_requests(server)) == 1
    assert KEY not in told(caught.value)


def said_inside_a_200(request: Request, answer: Answer) -> Complaint | None:
    """Alpha Vantage's way, and Finnhub's of having nothing."""
    words = text(answer)
    if '"Note"' in words:
        return Complaint(Trouble.TRANSIENT, words)
    return Complaint(Trouble.NO_DATA, words) if words == "{}" else None


@pytest.mark.parametrize(
    ("body", "expected"),
    [('{"Note": "Thank you for using us! Five calls a minute."}', SourceUnavailable), ("{}", NoData)],
)
def test_an_error_told_inside_a_200_is_an_error(redirected, body, expected):
    complaining = Policy(vendor="acme", complaint=said_inside_a_200)
    with replaying(in_turn(Reply(body))) as server:
        client = finnhub.Client(api_key=KEY)
        over_requests.mount(client._session, redirected(server), complaining)
        with client, pytest.raises(SourceError) as caught:
            client.quote("AAPL")
    assert type(caught.value) is expected
    assert len(server.asked) == (1 if expected is NoData else 4)
