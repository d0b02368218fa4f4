"""The assets of facts through Dagster, from settings to lake: they reach the vendor that settings name, and no key gets out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from quant_assets.definitions import build_defs
from quant_assets.defs.partitions import range_tags
from quant_assets.lake import Lake
from quant_assets.settings import Settings, Vendor
from quant_assets.sources.fred import KEY_VARIABLE, SERIES
from quant_assets_tests.defs.small import GRIDS
from quant_assets_tests.replay import Answers, Asked, Reply, replaying
from quant_assets_tests.sources.finnhub_answers import insider, insiders
from quant_assets_tests.sources.fred_answers import error, fred
from quant_assets_tests.sources.sec_answers import FUND, company, listed, sec

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
KEY = "0123456789abcdef0123456789abcdef"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
UNIVERSE = "ticker,source,listed\nAAPL,yahoo,2012-01-03\nIBM,yahoo,2012-01-03\n"
D = dt.date
EVERY_SERIES = fred(
    {**dict.fromkeys(SERIES, ()), "UNRATE": [("2012-12-01", "2013-01-04", "7.8")], "NROU": [("2012-07-01", "2012-08-01", "5.5")]}
)
FILING = {"end": "2012-09-29", "val": 7, "accn": "1", "fy": 2012, "fp": "FY", "form": "10-K", "filed": "2012-10-31"}


def settings(home: Path, **vendors: Vendor) -> Settings:
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    file = home / "universe.csv"
    file.write_text(UNIVERSE)
    return Settings(home=home, profile="live", universe=file, grids=GRIDS, sources=vendors, warehouse=False)


@dataclass
class Ran:
    """A run of one asset over two years: its result, what the vendor was asked, which partitions are materialised."""

    result: Any
    asked: list[Asked]
    recorded: list[str]


def run(home: Path, asset: str, tickers: tuple[str, ...], answers: Answers, vendor: str, **told: Any) -> Ran:
    with replaying(answers) as server:
        definitions = build_defs(settings(home, **{vendor: Vendor(base_url=server.url, **told)}))
        with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
            result = dg.materialize(
                list(definitions.assets or []),
                selection=dg.AssetSelection.assets(asset),
                instance=instance,
                resources=definitions.resources,
                tags=dict(range_tags(tickers, ("2012", "2013"))),
                run_config=QUIET,
                raise_on_error=False,
            )
            recorded = sorted(instance.get_materialized_partitions(dg.AssetKey(asset)))
        return Ran(result, server.asked, recorded)


def rows(home: Path, table: str) -> pl.DataFrame:
    return Lake(home / "data" / "lake").scan(table).collect()


def sentence(ran: Ran) -> str:
    (failure,) = [event for event in ran.result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


@pytest.fixture(autouse=True)
def no_key_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    yield
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in files)


def test_macro_with_a_further_series_of_the_settings(tmp_path: Path):
    ran = run(tmp_path, "macro", (), EVERY_SERIES, "fred", series=("UNRATE", "NROU"))
    assert ran.result.success
    assert sorted(one.params["series_id"] for one in ran.asked) == sorted((*SERIES, "NROU"))
    assert rows(tmp_path, "macro").select("series", "published").rows() == [("NROU", D(2012, 8, 1)), ("UNRATE", D(2013, 1, 4))]
    assert ran.recorded == ["2012", "2013"]


def test_a_series_that_fails_is_named_and_the_others_are_stored(tmp_path: Path):
    ran = run(tmp_path, "macro", (), lambda asked: EVERY_SERIES(asked) if asked.params["series_id"] != "DFF" else BROKEN, "fred")
    assert sentence(ran).startswith("withheld DFF 2012..2013: fred /fred/series/observations for DFF: Bad Request.")
    assert rows(tmp_path, "macro")["series"].to_list() == ["UNRATE"]
    assert ran.recorded == []


BROKEN = error("Bad Request.  The value for variable limit is not between 1 and 100000.")


def test_a_name_that_fails_is_left_unmaterialised_and_the_others_are_materialised(tmp_path: Path):
    companies = sec({1: company(1, FILING), 2: Reply("<html>", status=418)}, tickers=listed(AAPL=1, IBM=2))
    ran = run(tmp_path, "fundamentals", ("AAPL", "IBM"), companies, "sec", contact="quant@example.com")
    assert "withheld IBM 2012..2013: sec /api/xbrl/companyfacts/CIK0000000002.json" in sentence(ran)
    assert ran.recorded == ["2012|AAPL", "2013|AAPL"]
    assert rows(tmp_path, "fundamentals")["ticker"].to_list() == ["AAPL"]


def test_a_vendor_that_renames_a_field_stops_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINNHUB_API_KEY", KEY)
    filed = insider("2012-12-13", transactionDate="2012-12-12")
    ran = run(tmp_path, "insider_transactions", ("AAPL", "IBM"), lambda asked: insiders(filed), "finnhub")
    assert ran.result.success
    before = rows(tmp_path, "insider_transactions")
    assert before.select("ticker", "price").rows() == [("AAPL", 170.03), ("IBM", 170.03)]
    asked = len(ran.asked)
    ran = run(tmp_path / "again", "insider_transactions", ("AAPL", "IBM"), lambda asked: insiders(renamed(filed)), "finnhub")
    assert sentence(ran).startswith("finnhub: Required column transactionPrice not in dataframe with columns Index(['ticker', 'id', ")
    assert sentence(ran).endswith("; the vendor's frame has changed, adapt its source")
    assert len(ran.asked) == asked / 2  # it is so for every name: the second is not asked for, and nothing is tried again
    assert (ran.recorded, [event for event in ran.result.all_events if event.is_step_up_for_retry]) == ([], [])
    assert not (tmp_path / "again/data/lake/insider_transactions").exists()


def renamed(filed: dict[str, Any]) -> dict[str, Any]:
    return {{"transactionPrice": "price"}.get(name, name): value for name, value in filed.items()}


def test_a_field_of_another_type_stops_at_the_door(tmp_path: Path):
    answers = sec({1: company(1, FILING | {"accn": {"number": "1"}}), 2: company(2, FILING)}, tickers=listed(AAPL=1, IBM=2))
    ran = run(tmp_path, "fundamentals", ("AAPL", "IBM"), answers, "sec", contact="quant@example.com")
    assert sentence(ran).startswith('sec: Violated "SomeOfKind" for column "accn" - Some value must be of type str; it holds dict; ')
    assert (ran.recorded, sum("companyfacts" in one.path for one in ran.asked)) == ([], 1)


def test_fundamentals_of_a_company_and_of_a_fund_that_files_none(tmp_path: Path):
    answers = sec({1: company(1, FILING)}, tickers=listed(AAPL=1, IBM=FUND))
    ran = run(tmp_path, "fundamentals", ("AAPL", "IBM"), answers, "sec", contact="quant@example.com")
    assert ran.result.success
    assert rows(tmp_path, "fundamentals").select("ticker", "period_start", "period_end", "value").rows() == [
        ("AAPL", None, D(2012, 9, 29), 7.0)
    ]
    assert ran.recorded == ["2012|AAPL", "2012|IBM", "2013|AAPL", "2013|IBM"]
    told = rows(tmp_path, "coverage").filter(table="fundamentals")
    assert set(told["status"]) == {"complete"}
    assert set(told["version"]) == {"sec"}


def test_a_vendor_without_its_key_or_contact_is_not_asked_and_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY_VARIABLE)
    for asset, tickers, vendor in (("macro", (), "fred"), ("fundamentals", ("AAPL", "IBM"), "sec")):
        ran = run(tmp_path, asset, tickers, EVERY_SERIES, vendor)
        assert ran.result.success
        assert (ran.asked, ran.recorded) == ([], [])
    (tmp_path / "any.db").touch()  # for the fixture: nobody was asked


def test_a_key_that_is_refused_is_told(tmp_path: Path):
    ran = run(tmp_path, "macro", (), fred(dict.fromkeys(SERIES, error("The value for variable api_key is not registered."))), "fred")
    assert "the key in FRED_API_KEY was refused" in sentence(ran)


def test_the_night_asks_for_them_where_the_profile_has_vendors(tmp_path: Path):
    (tmp_path / "any.db").touch()  # for the fixture: nothing ran
    live = settings(tmp_path)
    offline = live.model_copy(update={"profile": "offline", "universe": None})
    jobs = [{job.name for job in build_defs(each).resolve_all_job_defs()} for each in (live, offline)]
    assert {"macro_phase", "companies_phase"} <= jobs[0] - jobs[1]
