"""Assets through Dagster on a small universe: what a good run records, and what a bad one says and leaves behind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from quant_assets.calendars import Window, sessions, year_window
from quant_assets.definitions import build_defs
from quant_assets.defs.materialise import offending, preview
from quant_assets.defs.partitions import range_tags
from quant_assets.lake import Lake
from quant_assets.settings import Settings
from quant_assets_tests.defs.small import UNIVERSE, small_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:great_expectations"),
]
PRICES = dg.AssetKey("prices")
BOTH_YEARS = ("2012", "2013")
HISTORY = Window(dt.date(2012, 1, 1), dt.date(2013, 3, 2))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(settings: Settings, instance: dg.DagsterInstance, phase: str, tickers: tuple[str, ...], windows: tuple[str, ...]) -> Any:
    job = build_defs(settings).resolve_job_def(f"{phase}_phase")
    return job.execute_in_process(instance=instance, tags=range_tags(tickers, windows), raise_on_error=False, run_config=QUIET)


def sentence(result: Any) -> str:
    """What the failed step says, under Dagster's wrapping."""
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message)


def test_prices_of_two_names_and_years(tmp_path: Path, instance: dg.DagsterInstance):
    result = run(small_settings(tmp_path), instance, "prices", ("AAPL", "IBM"), BOTH_YEARS)
    assert result.success
    n_bars = 2 * len(sessions(HISTORY))
    assert Lake(tmp_path / "data" / "lake").scan("prices", window=HISTORY).collect().height == n_bars
    assert instance.get_materialized_partitions(PRICES) == {"2012|AAPL", "2013|AAPL", "2012|IBM", "2013|IBM"}
    told = [event.materialization for event in result.get_asset_materialization_events()]
    assert {one.partition for one in told} == instance.get_materialized_partitions(PRICES)
    metadata = told[0].metadata
    assert metadata["dagster/row_count"].value == n_bars
    assert metadata["window"].value == "2012-01-03 to 2013-03-01"
    assert metadata["quarantined_rows"].value == 0
    shown = metadata["preview"].value.splitlines()
    assert {"ticker", "close", "volume"} <= set(shown[3].split())
    assert shown[4].split()[:2] == ["AAPL", "2013-03-01"]
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "gate": True,
        "sources_agree": True,
        "suite": True,
        "plausible": True,
    }


def test_features_on_an_empty_lake_say_what_is_missing_and_store_nothing(tmp_path: Path, instance: dg.DagsterInstance):
    result = run(small_settings(tmp_path), instance, "features", ("AAPL",), ("2012",))
    assert not result.success
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    told = "\n".join(str(error.cause.message if error.cause else error.message) for error in failures)
    n_sessions = len(sessions(year_window(2012)))
    assert f"AAPL: prices incomplete: {n_sessions} sessions missing, 2012-01-03..2012-12-31" in told
    assert "materialise prices for 2012-01-01..2012-12-31 first" in told
    assert Lake(tmp_path / "data" / "lake").tables() == []
    for asset in ("features", "labels"):
        assert instance.get_materialized_partitions(dg.AssetKey(asset)) == set()


def test_a_name_that_no_source_has_is_withheld_and_the_others_are_kept(tmp_path: Path, instance: dg.DagsterInstance):
    settings = small_settings(tmp_path, universe=UNIVERSE + "ZZZ,bokeh,2007-01-03\n")
    result = run(settings, instance, "prices", ("AAPL", "IBM", "ZZZ"), BOTH_YEARS)
    assert not result.success
    assert sentence(result).startswith("withheld ZZZ 2012..2013: ZZZ 2012-01-03: no bar;")
    assert instance.get_materialized_partitions(PRICES) == {"2012|AAPL", "2013|AAPL", "2012|IBM", "2013|IBM"}
    lake = Lake(tmp_path / "data" / "lake")
    assert set(lake.scan("prices", window=HISTORY).collect()["ticker"]) == {"AAPL", "IBM"}
    gate = next(check for check in result.get_asset_check_evaluations() if check.check_name == "gate")
    assert not gate.passed
    assert gate.severity == dg.AssetCheckSeverity.ERROR
    assert gate.metadata["offending_rows"].value == len(sessions(HISTORY))
    assert "ZZZ" in gate.metadata["rows"].value
    assert "2012-01-03" in gate.metadata["rows"].value
    recorded = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(PRICES, "gate"), limit=5)
    assert [one.status.value for one in recorded] == ["FAILED"]


def test_running_the_bad_name_again_leaves_the_good_ones_as_they_are(tmp_path: Path, instance: dg.DagsterInstance):
    settings = small_settings(tmp_path, universe=UNIVERSE + "ZZZ,bokeh,2007-01-03\n")
    run(settings, instance, "prices", ("AAPL", "IBM", "ZZZ"), BOTH_YEARS)
    before = Lake(tmp_path / "data" / "lake").scan("prices", window=HISTORY).collect()
    assert not run(settings, instance, "prices", ("ZZZ",), BOTH_YEARS).success
    assert Lake(tmp_path / "data" / "lake").scan("prices", window=HISTORY).collect().equals(before)
    assert len(instance.get_materialized_partitions(PRICES)) == 4


def test_a_run_without_a_partition_is_refused_with_a_sentence(tmp_path: Path, instance: dg.DagsterInstance):
    job = build_defs(small_settings(tmp_path)).resolve_job_def("prices_phase")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    assert not result.success
    assert not Lake(tmp_path / "data" / "lake").tables()


def test_a_preview_says_once_what_every_row_says():
    rows = pl.DataFrame({"ticker": ["AAPL", "IBM"], "model": ["m", "m"], "score": [0.123456789, 0.5]})
    assert preview(rows).splitlines() == [
        "In each row: `model` m",
        "",
        "```",
        " ticker  score   ",
        " AAPL    0.12346 ",
        " IBM     0.5     ",
        "```",
    ]
    assert preview(rows, limit=1).splitlines() == ["```", "ticker  AAPL", "model   m", "score   0.12346", "```"]
    assert "shape" not in preview(rows.head(0))


def test_offending_rows_stand_below_what_to_do_about_them_whole_and_said_once():
    long = "AAPL: close moved -70.1 % with no split on record and no second source that shows it (limit 50 %)" + " or so" * 5
    reasons = [
        "IBM: low is above high; correct it; run again",
        f"{long}; let it in",
        "KO: low is above high; correct it; run again",
        "MSFT: odd",
    ]
    rows = pl.DataFrame({"session": ["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"], "reason": reasons})
    told = offending(rows)
    assert told.split("\n\n")[:2] == ["Remedy: correct it; run again", "Remedy: let it in"]
    shown = [line.strip() for line in told.splitlines()[6:-1]]
    assert shown == [f"{day}  {reason.split('; ')[0]}" for day, reason in rows.iter_rows()]
    assert offending(rows.drop("reason")) == preview(rows.drop("reason"), limit=50)
