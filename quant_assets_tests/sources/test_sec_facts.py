"""The SEC's company facts over real connections: every figure as filed, restatements beside the original, nothing before its filing."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_close, session_on_or_after, session_on_or_before, year_window
from quant_assets.errors import BadArgument, NoData, SourceError, SourceUnavailable
from quant_assets.point_in_time import known
from quant_assets.schemas import TABLES, UTC
from quant_assets.sources.sec_facts import SecFacts
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Answers, ReplayServer, Reply, replaying
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.sec_answers import FUND, company, listed, recorded_companies, sec
from quant_assets_tests.sources.wire.ways import MovingClock

D = dt.date
ALWAYS = Window(D(2009, 1, 1), D(2030, 1, 1))
CONTACT = "quant@example.com"
SEVEN = ("AAPL", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "TSLA")
FIGURE = ["taxonomy", "concept", "unit", "period_start", "period_end"]


def ask(folder: Path, server: ReplayServer, *tickers: str, window: Window = ALWAYS, contact: str | None = CONTACT) -> pl.DataFrame:
    wire = Wire(folder, base_urls={"sec": server.url}, clock=MovingClock())
    source = SecFacts(wire, contact=contact)
    try:
        return source.normalise(source.fetch(tickers, window), fetched_at=FETCHED_AT)
    finally:
        wire.store.close()


def delivered(folder: Path, answers: Answers, *tickers: str, window: Window = ALWAYS) -> pl.DataFrame:
    with replaying(answers) as server:
        return ask(folder, server, *tickers, window=window)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> pl.DataFrame:
    return delivered(tmp_path_factory.mktemp("wire"), recorded_companies(shared), "AAPL", "SNOW")


def facts(file: Path) -> Iterator[tuple[Any, ...]]:
    """Every fact of a file of the SEC, read by hand."""
    for taxonomy, concepts in json.loads(gzip.decompress(file.read_bytes()))["facts"].items():
        for concept, figure in concepts.items():
            for unit, rows in figure["units"].items():
                for row in rows:
                    days = [row.get("start") and D.fromisoformat(row["start"]), D.fromisoformat(row["end"]), D.fromisoformat(row["filed"])]
                    yield (taxonomy, concept, unit, *days, float(row["val"]), row["accn"], row["form"], row["fy"], row["fp"])


@pytest.mark.parametrize(("ticker", "name", "n_facts"), [("AAPL", "companyfacts/CIK0000320193", 24_579), ("SNOW", "snow_facts", 8_163)])
def test_every_fact_is_a_row(real: pl.DataFrame, shared: Path, ticker: str, name: str, n_facts: int):
    expected = set(facts(shared / f"data/fundamentals/sec/{name}.json.gz"))
    found = real.filter(ticker=ticker).select(*FIGURE, "filed", "value", "accession", "form", "fiscal_year", "fiscal_period")
    assert found.height == len(expected) == n_facts
    assert set(found.iter_rows()) == expected


def test_a_restated_year_has_both_values_each_in_its_time(real: pl.DataFrame):
    """Apple's net income of fiscal 2009: 5,704 million in the 10-K; 8,235 in the 10-K/A that applied the new rules of revenue."""
    year = real.filter(ticker="AAPL", concept="NetIncomeLoss", period_start=D(2008, 9, 28), period_end=D(2009, 9, 26))
    told = {
        D(2009, 10, 26): None,
        D(2009, 10, 27): None,  # the day of the 10-K: it may have come after the close
        D(2009, 10, 28): 5_704e6,
        D(2010, 1, 25): 5_704e6,
        D(2010, 1, 26): 8_235e6,
        D(2020, 1, 2): 8_235e6,
    }
    for session, value in told.items():
        assert known(year, session_close(session))["value"].to_list() == ([] if value is None else [value])
    assert set(year["value"]) == {5_704e6, 8_235e6}


def test_of_two_filings_of_a_day_the_later_one_counts(real: pl.DataFrame):
    """2015-01-28: 4,000 million, rounded, in a 10-Q; 4,033 in an 8-K that the same agent filed after it."""
    both = real.filter(concept="UnrecognizedTaxBenefits", period_end=D(2014, 9, 27), filed=D(2015, 1, 28), ticker="AAPL")
    assert both.sort("accession")["value"].to_list() == [4_000e6, 4_033e6]
    assert known(both, session_close(D(2015, 1, 29)))["value"].to_list() == [4_033e6]


def test_the_same_name_in_two_taxonomies_is_two_figures(real: pl.DataFrame):
    rows = known(real.filter(ticker="SNOW", concept="StockRepurchaseProgramAuthorizedAmount1"), session_close(D(2025, 6, 3)))
    assert sorted(rows["taxonomy"]) == ["srt", "us-gaap"]


@pytest.mark.parametrize("session", [D(2010, 1, 25), D(2015, 1, 28), D(2018, 11, 5), D(2023, 6, 2)])
def test_known_agrees_with_a_naive_loop_and_does_not_see_the_future(real: pl.DataFrame, session: dt.date):
    instant = session_close(session)
    latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in real.select("ticker", *FIGURE, "known_at", "accession", "value").iter_rows():
        key, version = row[:6], row[6:]
        if version[0] <= instant and (key not in latest or version > latest[key]):
            latest[key] = version
    found = known(real, instant)
    assert {row[:6]: row[6] for row in found.select("ticker", *FIGURE, "value").iter_rows()} == {k: v[-1] for k, v in latest.items()}
    assert (found["filed"] < session).all()
    corrupted = real.with_columns(value=pl.when(pl.col("known_at") > instant).then(-1.0).otherwise("value"))
    assert_frame_equal(known(corrupted, instant), found)


def test_a_filing_is_known_at_the_end_of_its_day(real: pl.DataFrame):
    """In summer as in winter; after that day's close and before the next one."""
    for filed, known_at in real.select("filed", "known_at").unique().iter_rows():
        next_day = filed + dt.timedelta(days=1)
        assert known_at == dt.datetime.combine(next_day, dt.time(), ZoneInfo("America/New_York"))
        assert session_close(session_on_or_before(filed)) < known_at < session_close(session_on_or_after(next_day))


def test_a_window_holds_what_was_filed_in_it(tmp_path: Path, shared: Path, real: pl.DataFrame):
    with replaying(recorded_companies(shared)) as server:
        part = ask(tmp_path, server, "AAPL", window=year_window(2015))
        again = ask(tmp_path, server, "AAPL", window=year_window(2016))
        assert len(server.asked) == 2  # tickers and Apple, once
        assert {asked.headers["user-agent"] for asked in server.asked} == {f"quant-assets {CONTACT}"}
    for rows, year in ((part, 2015), (again, 2016)):
        expected = real.filter(pl.col("filed").dt.year() == year, ticker="AAPL")
        assert_frame_equal(rows, expected)


def test_joining_on_the_period_reads_what_nobody_had_filed_and_known_does_not(shared: Path):
    """The first of each month, five years, seven names: which is the last fiscal year's revenue?"""
    filed = pl.read_csv(shared / "data/fundamentals/point_in_time/pit_fundamentals_history.csv", try_parse_dates=True)
    revenue = filed.filter(pl.col("ticker").is_in(SEVEN), concept="Revenue").select(
        "ticker",
        "period_end",
        taxonomy=pl.lit("us-gaap"),
        concept="xbrl_tag",
        unit=pl.lit("USD"),
        period_start=pl.lit(None, dtype=pl.Date),
        value=pl.col("original_value").cast(pl.Float64),
        accession=pl.lit("-"),
        form=pl.lit("10-K"),
        fiscal_year=pl.col("fiscal_year").cast(pl.Int64),
        fiscal_period=pl.lit("FY"),
        filed="first_filed",
        source=pl.lit("sec"),
        fetched_at=pl.lit(FETCHED_AT, dtype=UTC),
        known_at=(pl.col("first_filed").cast(pl.Datetime("us")) + dt.timedelta(days=1))
        .dt.replace_time_zone("America/New_York")
        .dt.convert_time_zone("UTC"),
    )
    rows = TABLES["fundamentals"].conform(revenue)
    months = pl.date_range(D(2020, 2, 1), D(2024, 12, 1), "1mo", eager=True).to_list()
    n_months = {"joined": 0, "ours": 0}
    unpublished = {"joined": 0, "ours": 0}
    for month in months:
        instant = session_close(session_on_or_after(month))
        joined = rows.filter(pl.col("period_end") <= month).sort("period_end").group_by("ticker").last()
        ours = known(rows, instant).sort("period_end").group_by("ticker").last()
        for name, found in (("joined", joined), ("ours", ours)):
            n_months[name] += found.height
            unpublished[name] += found.filter(pl.col("filed") > month if name == "joined" else pl.col("known_at") > instant).height
        newest = {
            ticker: max(r["period_end"] for r in rows.filter(ticker=ticker).iter_rows(named=True) if r["known_at"] <= instant)
            for ticker in SEVEN
        }
        assert dict(ours.select("ticker", "period_end").iter_rows()) == newest
    assert n_months == {"joined": 413, "ours": 413}
    assert unpublished == {"joined": 47, "ours": 0}


def fact(**changes: Any) -> dict[str, Any]:
    told = {"start": "2023-01-01", "end": "2023-12-31", "val": 5, "accn": "0000000001-24-000001", "fy": 2023, "fp": "FY", "form": "10-K"}
    return {**told, "filed": "2024-02-01", **changes}


def one(reply: Reply) -> Answers:
    return sec({1: reply}, tickers=listed(ONE=1, SPY=FUND))


def test_a_fact_told_twice_is_one_row_and_two_values_in_one_filing_are_an_error(tmp_path: Path):
    assert delivered(tmp_path / "a", one(company(1, fact(), fact(frame="CY2023"))), "ONE").height == 1
    with pytest.raises(Exception, match="occurs more than once"):
        delivered(tmp_path / "b", one(company(1, fact(), fact(val=6))), "ONE")


def test_whom_the_sec_has_nothing_of(tmp_path: Path):
    with pytest.raises(NoData, match="files no XBRL"):
        delivered(tmp_path, one(company(1)), "SPY")
    with pytest.raises(NoData, match="ZZZ is not among the 2 tickers"):
        delivered(tmp_path, one(company(1)), "ZZZ")
    assert delivered(tmp_path, one(company(1)), "ONE").is_empty()


FAULTS: dict[str, tuple[Reply, type[SourceError], str]] = {
    "nobody": (
        Reply(
            "<html><title>SEC.gov | Your Request Originates from an Undeclared Automated Tool</title>", status=403, content_type="text/html"
        ),
        SourceError,
        "does not say whom to contact",
    ),
    "too fast": (
        Reply("<html><title>SEC.gov | Request Rate Threshold Exceeded</title>", status=403, content_type="text/html"),
        SourceUnavailable,
        "Request Rate Threshold Exceeded",
    ),
    "page": (Reply("<html>Maintenance</html>", content_type="text/html"), SourceError, "something other than JSON"),
    "no facts": (Reply('{"cik": 1}'), SourceError, "are not built as they were"),
    "other facts": (Reply('{"facts": {"us-gaap": []}}'), SourceError, "are not built as they were"),
    "no filing date": (company(1, {"end": "2023-12-31", "val": 5}), SourceError, "are not built as they were"),
    "NaN": (company(1, fact(val=float("nan"))), SourceError, "holds NaN"),
    "text": (company(1, fact(val="5,000")), SourceError, "cannot be read"),
    "no date": (company(1, fact(end="2023-02-30")), SourceError, "cannot be read"),
}


@pytest.mark.parametrize(("reply", "expected", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_what_the_sec_refuses_or_changes_is_said(tmp_path: Path, reply: Reply, expected: type[SourceError], words: str):
    with pytest.raises(SourceError) as caught:
        delivered(tmp_path, one(reply), "ONE")
    assert type(caught.value) is expected
    assert words in str(caught.value)


def test_without_a_contact_nobody_is_asked(tmp_path: Path):
    with replaying(one(company(1))) as server, pytest.raises(BadArgument, match=r"set sources\.sec\.contact"):
        ask(tmp_path, server, "ONE", contact=None)
    assert server.asked == []


def test_it_is_never_asked_faster_than_it_allows(tmp_path: Path):
    companies = {cik: company(cik, fact()) for cik in range(1, 21)}
    tickers = {f"T{cik}": cik for cik in companies}
    with replaying(sec(companies, tickers=listed(**tickers))) as server:
        wire = Wire(tmp_path, base_urls={"sec": server.url})
        SecFacts(wire, contact=CONTACT).fetch(list(tickers), ALWAYS)
        wire.store.close()
        times = [asked.at for asked in server.asked]
    assert len(times) == 21
    assert max(sum(begin <= at < begin + 1 for at in times) for begin in times) <= 10
