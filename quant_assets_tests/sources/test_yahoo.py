"""Yahoo's bars by the real yfinance over real sockets: what was traded comes back, whatever day it is asked on."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, sessions, year_window
from quant_assets.defs.vendor_types import check_vendor_frames
from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo import YahooIndices, YahooPrices
from quant_assets.steps.history import RawPrices, span, store_prices
from quant_assets.universe import Universe
from quant_assets.workspace import Workspace
from quant_assets_tests.replay import Asked, ReplayServer, Reply, in_turn, replaying
from quant_assets_tests.replay_yahoo import CHART, CRUMB, NEW_YORK, History, Yahoo, index_history, lean_history
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.wire.ways import At

D = dt.date
SPRING = Window(D(2014, 4, 1), D(2014, 7, 1))
"""AAPL paid 3.29 on 8 May and split 7:1 on 9 June."""


@pytest.fixture(scope="module")
def apple(shared: Path) -> History:
    return lean_history(shared, "AAPL")


@pytest.fixture(scope="module")
def quandl(shared: Path) -> dict[str, History]:
    """A year of names as Quandl has them: traded, paid and split."""
    with zipfile.ZipFile(shared / "data/corporate_actions/quandl_wiki_sample/QUANDL_ARCHIVE.zip") as archive:
        rows = pl.read_csv(io.BytesIO(archive.read(archive.namelist()[0])), try_parse_dates=True)
    found = {}
    for (ticker,), own in rows.group_by("ticker"):
        acted = own.select("date", "split_ratio", "ex-dividend").rows()
        splits = {day: split for day, split, _ in acted if split != 1}
        paid = {day: amount for day, _, amount in acted if amount}
        found[str(ticker)] = History(own.rename({"date": "session"}).sort("session"), splits, paid)
    return found


@contextmanager
def yahoo(folder: Path, clock: At, **options: Any) -> Iterator[tuple[YahooPrices, Wire, ReplayServer, Yahoo]]:
    answers = Yahoo(**{"as_at": clock.now().astimezone(NEW_YORK).date(), **options})
    with replaying(answers) as server:
        wire = Wire(folder, base_urls={"yahoo": server.url}, clock=clock)
        yield YahooPrices(wire), wire, server, answers
        wire.store.close()


def rows(source: YahooPrices | YahooIndices, keys: list[str], window: Window) -> pl.DataFrame:
    found = source.normalise(source.fetch(keys, window), fetched_at=FETCHED_AT)
    return TABLES[source.table].conform(found.select(list(TABLES[source.table].schema)))


def assert_as_traded(found: pl.DataFrame, history: History, window: Window, *, shares: float = 0.5) -> None:
    """To a hundredth of a cent, or a ten-millionth, which single precision does not hold either; volumes to so many shares."""
    traded = history.bars.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    inside = found.filter(pl.col("session") >= window.start)
    assert inside["session"].equals(traded["session"])
    for name in ("open", "high", "low", "close"):
        assert (inside[name] - traded[name]).abs().max() <= 1e-4 + 1e-7 * traded[name].max()  # type: ignore[operator]
    assert (inside["volume"] - traded["volume"]).abs().max() < shares  # type: ignore[operator]
    assert dict(inside.filter(pl.col("split_factor") != 1).select("session", "split_factor").iter_rows()) == pytest.approx(
        {day: split for day, split in history.splits.items() if day in window}
    )
    paid = {day: amount for day, amount in history.dividends.items() if day in window}
    assert dict(inside.filter(pl.col("dividend") != 0).select("session", "dividend").iter_rows()) == pytest.approx(paid, abs=1.1e-4)


@pytest.mark.parametrize("name", ["AAPL", "MSFT", "BRK_A", "ZEN"])
def test_what_was_traded_comes_back(tmp_path: Path, quandl: dict[str, History], name: str):
    year = Window(D(2014, 1, 1), D(2015, 1, 1))
    with yahoo(tmp_path, At("2015-03-02T18:00"), histories={name: quandl[name]}) as (source, *_):
        assert_as_traded(rows(source, [name], year), quandl[name], year)


def test_what_was_traded_comes_back_over_four_splits(tmp_path: Path, apple: History):
    """1998 to 2021, seen from 2021: 7:1 and 4:1 lie behind every bar before 2014, 2:1 and 2:1 more behind those before 2005 and 2000."""
    window = Window(D(1998, 1, 2), D(2021, 4, 1))
    assert list(apple.splits.values()) == [2.0, 2.0, 7.0, 4.0]
    with yahoo(tmp_path, At("2021-03-31T18:00"), histories={"AAPL": apple}) as (source, _, server, _):
        found = rows(source, ["AAPL"], window)
        assert_as_traded(found, apple, window)
        assert len(server.asked) == 1  # neither cookie nor crumb nor time zone
    one = {row["session"]: row for row in found.iter_rows(named=True)}
    assert (one[D(2014, 6, 6)]["close"], one[D(2014, 6, 9)]["close"], one[D(2014, 6, 9)]["split_factor"]) == (645.57, 93.7, 7.0)
    assert (one[D(2012, 8, 9)]["dividend"], one[D(2014, 5, 8)]["dividend"]) == pytest.approx((2.65, 3.29), abs=5e-4)  # 7-digit factors


def test_a_split_between_two_nights_changes_no_stored_value(tmp_path: Path, apple: History):
    """From the eve of the split to years later, on the morning before there is a bar too: the same rows."""
    eve = Window(SPRING.start, D(2014, 6, 7))
    seen = []
    nights = {
        "2014-06-06T17:00": apple,
        "2014-06-09T08:00": replace(apple, bars=apple.bars.filter(pl.col("session") < D(2014, 6, 9))),
        "2014-06-09T11:00": apple,
        "2014-06-09T17:00": apple,
        "2021-03-31T17:00": apple,
    }
    for night, history in nights.items():
        as_at = D.fromisoformat(night[:10])
        with yahoo(tmp_path / night, At(night), histories={"AAPL": history}, as_at=as_at) as (source, *_):
            seen.append(rows(source, ["AAPL"], SPRING).filter(pl.col("session") < eve.end))
    assert seen[0]["session"].to_list()[1:] == sessions(eve)  # the first is the bar before, for the first change
    for later in seen[1:]:
        assert_frame_equal(later, seen[0], check_exact=True)


def test_a_split_that_yahoo_lists_a_day_late_does_not_reach_the_lake(tmp_path: Path, apple: History):
    """Prices are divided by it already: the name is withheld and keeps what was traded, until the split is listed."""
    universe = tmp_path / "universe.csv"
    universe.write_text("ticker,source,listed\nAAPL,yahoo,2013-01-02\n")
    grids = Grids(history_start=D(2013, 1, 1), first_cutoff=D(2014, 1, 1), first_decision=D(2014, 1, 2))
    late = replace(apple, unlisted=frozenset({D(2014, 6, 9)}))
    told = {}
    for night, history in (("2014-06-06", apple), ("2014-06-09", late), ("2014-06-10", apple)):
        answers = Yahoo({"AAPL": history}, as_at=D.fromisoformat(night))
        clock = At(f"{night}T17:00")
        with replaying(answers) as server:
            # A process of a night makes its sources from the settings; here its clock is another one.
            source = YahooPrices(Wire(tmp_path / night, base_urls={"yahoo": server.url}, clock=clock))
            settings = Settings(home=tmp_path, profile="live", universe=universe, grids=grids)
            work = Workspace.open(settings, as_of=D.fromisoformat(night), clock=clock.now)
            windows = {"2014": year_window(2014)} if told else work.year_windows()
            raw = RawPrices({"yahoo": source.fetch(["AAPL"], work.known(span(windows)))})
            told[night] = store_prices(work, ["AAPL"], windows, raw, run_id=None).withheld
            kept = work.lake.scan("prices").collect()
        last = D(2014, 6, 6) if night != "2014-06-10" else D(2014, 6, 10)
        assert_as_traded(kept.select(pl.exclude("fetched_at")), apple, Window(D(2013, 1, 2), last + dt.timedelta(days=1)))
    assert (told["2014-06-06"], told["2014-06-10"]) == ({}, {})
    [(cell, reason)] = told["2014-06-09"].items()
    assert cell == ("AAPL", "2014")
    assert "AAPL: 109 of 109 stored closes since 2013-12-31 came back from yahoo more than 1% different, at the median 0.1429" in reason


def test_a_running_session_has_no_bar_and_its_answer_does_not_outlive_it(tmp_path: Path, apple: History):
    clock = At("2014-06-10T11:00")
    with yahoo(tmp_path, clock, histories={"AAPL": apple}, as_at=D(2014, 6, 10)) as (source, _, server, _):
        assert rows(source, ["AAPL"], SPRING)["session"].max() == D(2014, 6, 9)
        for moment, last, asked in (
            ("2014-06-10T15:59", D(2014, 6, 9), 1),  # from the cache
            ("2014-06-10T16:14", D(2014, 6, 9), 1),  # closed, but the auction is not booked
            ("2014-06-10T16:15", D(2014, 6, 10), 2),
            ("2014-06-10T23:59", D(2014, 6, 10), 2),
        ):
            clock.moment = At(moment).moment
            assert (rows(source, ["AAPL"], SPRING)["session"].max(), len(server.asked)) == (last, asked)


def test_a_class_of_shares_goes_by_yahoos_name(tmp_path: Path, quandl: dict[str, History]):
    year = Window(D(2014, 1, 1), D(2015, 1, 1))
    with yahoo(tmp_path, At("2015-03-02T18:00"), histories={"BRK-A": quandl["BRK_A"]}) as (source, *_):
        found = rows(source, ["BRK.A", "BRK/A"], year)
    assert found["ticker"].unique().sort().to_list() == ["BRK.A", "BRK/A"]
    for (_,), own in found.group_by("ticker"):
        assert_as_traded(own, quandl["BRK_A"], year)


def test_a_refusal_brings_cookie_and_crumb_which_stay_in_memory(tmp_path: Path, apple: History):
    with yahoo(tmp_path, At("2014-07-01T18:00"), histories={"AAPL": apple}, wants_crumb=True) as (source, wire, server, _):
        assert_as_traded(rows(source, ["AAPL"], SPRING), apple, SPRING)
        assert [asked.path for asked in server.asked] == [f"{CHART}AAPL", "/", "/v1/test/getcrumb", f"{CHART}AAPL"]
        assert server.asked[-1].params["crumb"] == CRUMB
        assert [row.outcome for row in wire.store.audit("yahoo")] == ["passed on", "passed on", "passed on", "ok"]
        rows(source, ["AAPL"], SPRING)
        assert len(server.asked) == 4  # the answer was kept, though it was asked for with a crumb
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CRUMB.encode() not in written
    assert b"anonymous" not in written


def test_a_crumb_that_is_refused_too_is_an_error(tmp_path: Path, apple: History):
    def never(asked: Asked) -> Reply:
        return Reply('{"finance": {"error": {"description": "Invalid Crumb"}}}', 401)

    with yahoo(tmp_path, At("2014-07-01T18:00"), histories={}, wrong={"AAPL": never}) as (source, *_):
        with pytest.raises(SourceError, match=r"AAPL refused the request: .*Invalid Crumb") as refused:
            source.fetch(["AAPL"], SPRING)
        assert CRUMB not in str(refused.value)


def test_a_clock_that_is_behind_is_told(tmp_path: Path, apple: History):
    """It would not ask for the splits that the prices are adjusted by."""
    with (
        yahoo(tmp_path, At("2014-06-06T17:00"), histories={"AAPL": apple}, as_at=D(2014, 6, 9)) as (source, *_),
        pytest.raises(SourceError, match="this machine's clock is behind"),
    ):
        source.fetch(["AAPL"], SPRING)


def chart_error(status: int, code: str, words: str) -> Reply:
    return Reply(json.dumps({"chart": {"result": None, "error": {"code": code, "description": words}}}), status)


@pytest.mark.parametrize(
    ("reply", "kind", "said", "asked"),
    [
        (chart_error(404, "Not Found", "No data found, symbol may be delisted"), NoData, "for AAPL: Not Found: No data found", 1),
        (chart_error(400, "Bad Request", "Data doesn't exist for startDate = 1"), NoData, "Data doesn't exist", 1),
        (chart_error(422, "Unprocessable Entity", "Invalid interval"), SourceError, "Unprocessable Entity: Invalid interval", 1),
        (Reply('{"chart": {"result": [{"meta": {"currency": "JPY"}, "timestamp": [1]}]}}'), SourceError, "is quoted in JPY", 1),
        (Reply('{"chart": {"result": [], "error": null}}'), NoData, "AAPL: the chart holds no bar", 1),
        (Reply('{"chart": {"result": [{"meta": {}, "indicators": {}}], "error": null}}'), NoData, "holds no bar", 1),
        (Reply("Edge: Too Many Requests", 429, "text/plain"), SourceUnavailable, "answered 429 Edge: Too Many Requests", 4),
        (chart_error(500, "internal-error", "try again"), SourceUnavailable, "answered 500", 4),
        (Reply("<html>Will be right back</html>", content_type="text/html"), SourceError, "other than JSON", 1),
        (Reply('{"chart": {"result": [{"timestamp": [1396359000]', cut=None), SourceUnavailable, "breaks off", 4),
        (Reply('{"chart": {"result": [{"timestamp": [1396359000]}], "error": null}}'), SourceError, "cannot be read", 1),
    ],
)
def test_what_is_no_chart_is_told_with_the_name(tmp_path: Path, reply: Reply, kind: type[SourceError], said: str, asked: int):
    with yahoo(tmp_path, At("2014-07-01T18:00"), histories={}, wrong={"AAPL": in_turn(reply)}) as (source, _, server, _):
        with pytest.raises(kind) as failure:
            source.fetch(["AAPL"], SPRING)
        assert type(failure.value) is kind
        assert said in str(failure.value)
        assert "AAPL" in str(failure.value)
        assert len(server.asked) == asked


def test_a_bar_without_a_price_reaches_the_gate(tmp_path: Path, apple: History):
    """Yahoo sends nulls for sessions it lost: neither filled nor dropped."""
    lost = D(2014, 5, 15)
    holes = apple.bars.with_columns(pl.when(pl.col("session") != lost).then(pl.col("open", "high", "low", "close")).name.keep())
    with yahoo(tmp_path, At("2014-07-01T18:00"), histories={"AAPL": replace(apple, bars=holes)}) as (source, *_):
        found = source.normalise(source.fetch(["AAPL"], SPRING), fetched_at=FETCHED_AT)
    [row] = found.filter(session=lost).iter_rows(named=True)
    assert (row["open"], row["high"], row["low"], row["close"]) == (None,) * 4
    assert found["close"].null_count() == 1


def test_the_indices_are_the_series_of_the_schema(tmp_path: Path):
    window = Window(D(2012, 1, 1), D(2012, 12, 31))
    histories = {symbol: index_history(symbol) for symbol in ("^GSPC", "^IXIC")}
    with yahoo(tmp_path, At("2013-01-02T18:00"), histories=histories) as (_, wire, *_):
        source = YahooIndices(wire)
        found = rows(source, sorted(source.offers()), window)
    for series, symbol in (("sp500", "^GSPC"), ("nasdaq", "^IXIC")):
        mine = found.filter(series=series)
        assert mine["session"].to_list() == sessions(window)
        own = histories[symbol].bars.filter(pl.col("session").is_in(mine["session"].implode()))
        assert (mine["close"] / own["close"] - 1).abs().max() < 1e-7  # type: ignore[operator]


def test_the_frame_is_of_the_type_that_the_asset_asks_for(tmp_path: Path, apple: History, shared: Path):
    """With a name from after the window, too, and with one that splits by less than a share for one."""
    listed = lean_history(shared, "IBM")
    late = History(listed.bars.filter(pl.col("session") >= D(2014, 6, 20)), splits={D(2014, 6, 25): 0.1})
    with yahoo(tmp_path, At("2014-07-01T18:00"), histories={"AAPL": apple, "LATE": late}) as (source, *_):
        frame = source.fetch(["LATE", "AAPL"], SPRING)
        check_vendor_frames({"yahoo": frame})
        check_vendor_frames({"yahoo": source.fetch(["LATE"], Window(D(2014, 5, 1), D(2014, 6, 1)))})  # no rows, the same columns
        assert_as_traded(rows(source, ["LATE"], SPRING), late, SPRING, shares=5.5)  # Yahoo rounds tenths of them


def test_the_live_universe_asks_yahoo_for_names_it_may_have():
    universe = Universe.read(Settings(profile="live").universe_file)
    assert set(universe.tickers) == {"NVDA", "QQQ", "SPY", "AAPL", "MSFT", "TSLA", "AMD", "META", "AMZN", "GOOGL"}
    assert {known.source for known in universe.listings} == {"yahoo"}
    assert universe["TSLA"].listed == D(2010, 6, 29)
