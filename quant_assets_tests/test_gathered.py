"""What vendors still have to be asked for: late enough for the night, by every vendor that can be asked, and only where one can be."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from quant_assets import gathered
from quant_assets.demand import cells, demand
from quant_assets.planning import DECIDING, PHASES, losses, phases, plan
from quant_assets.settings import Settings, Vendor
from quant_assets.sources.fred import KEY_VARIABLE, SERIES
from quant_assets.workspace import Workspace
from quant_assets_tests.defs.small import GRIDS

NIGHT = dt.date(2013, 3, 1)
CONTACT = {"sec": Vendor(contact="quant@example.com")}
LISTINGS = "ticker,source,listed\nAAPL,yahoo,2012-01-03\nIBM,yahoo,2012-01-03\n"
COMPANIES = next(phase for phase in PHASES if phase.name == "companies")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (KEY_VARIABLE, "ALPHA_VANTAGE_KEY", "FINNHUB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def opened(
    folder: Path, *, sources: dict[str, Vendor] = CONTACT, night: dt.date = NIGHT, hour: int = 23, listings: str = LISTINGS
) -> Workspace:
    """The night as it is at that hour of 1 March 2013, UTC."""
    file = folder / "universe.csv"
    file.write_text(listings)
    settings = Settings(home=folder, profile="live", universe=file, grids=GRIDS, sources=sources)
    now = dt.datetime.combine(NIGHT, dt.time(hour), dt.UTC)
    return Workspace.open(settings, as_of=night, clock=lambda: now)


def lacking(work: Workspace, table: str) -> set[tuple[str, str]]:
    return cells(demand(table, work, work.universe.tickers).holes)


def fetched(
    work: Workspace, *tickers: str, table: str = "fundamentals", years: tuple[str, ...] = ("2012", "2013"), **withheld: str
) -> None:
    windows = {year: work.year_windows()[year] for year in years}
    reasons = {(ticker, year): reason for ticker, reason in withheld.items() for year in years}
    gathered.note(work, table, tickers, windows, withheld=reasons, run_id="night")


def test_each_name_and_year_is_asked_for_once(tmp_path: Path):
    work = opened(tmp_path)
    assert lacking(work, "fundamentals") == {("AAPL", "2012"), ("AAPL", "2013"), ("IBM", "2012"), ("IBM", "2013")}
    fetched(work, "AAPL", "IBM", IBM="answered 503")
    fetched(work, "AAPL", "IBM", table="earnings")
    assert lacking(work, "fundamentals") == {("IBM", "2012"), ("IBM", "2013")}
    assert [(run.tickers, run.windows) for run in plan(COMPANIES, work, tickers=work.universe.tickers)] == [(("IBM",), ("2012", "2013"))]
    assert losses(work, [COMPANIES], decide=work.universe.tickers).names == {"IBM": "companies"}


def test_the_running_year_is_asked_for_again_after_each_close_and_a_past_one_no_more(tmp_path: Path):
    fetched(opened(tmp_path, night=dt.date(2013, 2, 28), hour=20), "AAPL", "IBM")
    work = opened(tmp_path)
    assert lacking(work, "fundamentals") == {("AAPL", "2013"), ("IBM", "2013")}
    fetched(work, "AAPL", "IBM", years=("2013",))
    assert lacking(work, "fundamentals") == set()


def test_without_key_or_contact_nothing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = opened(tmp_path, sources={})
    assert not lacking(work, "fundamentals")
    assert not lacking(work, "macro")
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    assert lacking(work, "macro") == {(series, year) for series in SERIES for year in ("2012", "2013")}


def test_a_vendor_whose_key_is_set_later_is_asked_for_what_was_fetched_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = opened(tmp_path)
    fetched(work, "AAPL", "IBM", table="earnings")
    assert not lacking(work, "earnings")
    monkeypatch.setenv("ALPHA_VANTAGE_KEY", "k" * 16)
    assert len(lacking(work, "earnings")) == 4


def test_nobody_is_asked_about_a_name_after_its_last_session(tmp_path: Path):
    work = opened(tmp_path, listings="ticker,source,listed,delisted\nAAPL,yahoo,2012-01-03,\nIBM,yahoo,2012-01-03,2012-06-29\n")
    assert lacking(work, "fundamentals") == {("AAPL", "2012"), ("AAPL", "2013"), ("IBM", "2012")}


def test_the_offline_night_has_no_such_phase(tmp_path: Path):
    offline = Settings(home=tmp_path)
    assert [phase.name for phase in phases(offline)] == [*(phase.name for phase in DECIDING[:-1]), "scorecard", "report", "warehouse"]
    assert not demand("macro", Workspace.open(offline), []).expected.height
