"""The assets of facts through Dagster, from settings to lake: they reach the vendor that settings name, and no key gets out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from quant_assets.definitions import build_defs
from quant_assets.defs.partitions import range_tags
from quant_assets.lake import Lake
from quant_assets.planning import PHASES
from quant_assets.settings import Vendor
from quant_assets.sources.fred import KEY_VARIABLE, SERIES
from quant_assets_tests.defs.small import small_settings
from quant_assets_tests.replay import Answers, Asked, replaying
from quant_assets_tests.sources.fred_answers import error, fred
from quant_assets_tests.sources.sec_answers import FUND, company, listed, sec

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
KEY = "0123456789abcdef0123456789abcdef"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
D = dt.date
EVERY_SERIES = fred(
    {**dict.fromkeys(SERIES, ()), "UNRATE": [("2012-12-01", "2013-01-04", "7.8")], "NROU": [("2012-07-01", "2012-08-01", "5.5")]}
)


def run(home: Path, asset: str, tickers: tuple[str, ...], answers: Answers, vendor: str, **told: Any) -> tuple[Any, list[Asked]]:
    """The result of a run of one asset over both years, and what the vendor was asked."""
    with replaying(answers) as server:
        settings = small_settings(home).model_copy(update={"sources": {vendor: Vendor(base_url=server.url, **told)}})
        definitions = build_defs(settings)
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
        return result, server.asked


def rows(home: Path, table: str) -> pl.DataFrame:
    return Lake(home / "data" / "lake").scan(table).collect()


def sentence(result: Any) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


@pytest.fixture(autouse=True)
def no_key_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    yield
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in files)


def test_macro_with_a_further_series_of_the_settings(tmp_path: Path):
    result, asked = run(tmp_path, "macro", (), EVERY_SERIES, "fred", series=("UNRATE", "NROU"))
    assert result.success
    assert sorted(one.params["series_id"] for one in asked) == sorted((*SERIES, "NROU"))
    assert rows(tmp_path, "macro").select("series", "published").rows() == [("NROU", D(2012, 8, 1)), ("UNRATE", D(2013, 1, 4))]


def test_fundamentals(tmp_path: Path):
    filing = {"end": "2012-09-29", "val": 7, "accn": "1", "fy": 2012, "fp": "FY", "form": "10-K", "filed": "2012-10-31"}
    answers = sec({1: company(1, filing)}, tickers=listed(AAPL=1, IBM=FUND))
    result, _ = run(tmp_path, "fundamentals", ("AAPL", "IBM"), answers, "sec", contact="quant@example.com")
    assert result.success
    assert rows(tmp_path, "fundamentals").select("ticker", "period_start", "period_end", "value").rows() == [
        ("AAPL", None, D(2012, 9, 29), 7.0)
    ]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused, _ = run(tmp_path, "macro", (), fred(dict.fromkeys(SERIES, error("The value for variable api_key is not registered."))), "fred")
    assert "the key in FRED_API_KEY was refused" in sentence(refused)
    monkeypatch.delenv(KEY_VARIABLE)
    nobody, asked = run(tmp_path, "macro", (), EVERY_SERIES, "fred")
    assert "no key in FRED_API_KEY" in sentence(nobody)
    anonymous, _ = run(tmp_path, "fundamentals", ("AAPL", "IBM"), EVERY_SERIES, "sec")
    assert "set sources.sec.contact to your e-mail address" in sentence(anonymous)
    assert asked == []


def test_no_phase_of_the_night_runs_them(tmp_path: Path):
    definitions = build_defs(small_settings(tmp_path))
    (tmp_path / "any.db").touch()  # for the fixture: nothing ran
    run_by_night = {
        key for job in definitions.resolve_all_job_defs() if job.name.endswith("_phase") for key in job.asset_layer.executable_asset_keys
    }
    assert len(run_by_night) > len(PHASES)
    assert not {dg.AssetKey("macro"), dg.AssetKey("fundamentals")} & run_by_night
