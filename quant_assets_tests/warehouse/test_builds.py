"""Builds over real processes: killed, read during the swap, by window, and with tests that fail."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import day_window, session_offset, year_window
from quant_assets.errors import LakeError, LockHeld
from quant_assets.warehouse import building, is_current, open_warehouse, stale_years
from quant_assets.workspace import Workspace
from quant_assets_tests.conftest import CHECKOUT
from quant_assets_tests.small import workspace
from quant_assets_tests.warehouse.homes import YEARS, build, new_home

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
MARTS = ("returns", "returns_wide", "liquidity", "liquidity_wide", "index_asof", "sessions")
VIEWS = ("macro_asof", "fundamentals_asof", "events_asof")
"""They show the lake as it is, whatever became of the last build."""
YEAR_END = dt.date(2011, 12, 30)
PATIENCE_SECONDS = 120
ABSOLUTE = 1e-12


def marts(work: Workspace) -> dict[str, pl.DataFrame]:
    with open_warehouse(work.settings) as connection:
        return {name: connection.sql(f"FROM {name} ORDER BY ALL").pl() for name in MARTS}


def triple_close(work: Workspace, session: dt.date) -> None:
    bar = work.lake.scan("prices", keys=["AAPL"], window=day_window(session)).collect()
    work.lake.replace("prices", bar.with_columns(pl.col("close") * 3), keys=["AAPL"], window=day_window(session))


def checks(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def sentence(result: Any) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.step_failure_data.user_failure_data.description)


def kill_in_the_middle(work: Workspace, year: str) -> None:
    """Starts a build in another process and kills it while dbt writes the new database."""
    command = [sys.executable, "-W", "ignore", "-m", "quant_assets_tests.warehouse.homes", str(work.settings.home), year]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        patience = time.monotonic() + PATIENCE_SECONDS
        while not list(leftovers(work, "*/target/compiled")):
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def leftovers(work: Workspace, inside: str = "") -> list[Path]:
    return list(work.settings.warehouse_file.parent.glob(f"warehouse.*.building{inside.removeprefix('*')}"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = new_home(tmp_path_factory.mktemp("warehouse"))
    with pytest.raises(LakeError, match=r"warehouse\.duckdb does not exist; `quant-assets run` builds it"):
        open_warehouse(work.settings)
    assert stale_years(work) == list(YEARS)
    assert build(work, YEARS).success
    assert is_current(work)
    return work


def test_a_killed_build_a_swap_under_a_reader_and_one_year_that_equals_all(work: Workspace):
    before = marts(work)
    reader = open_warehouse(work.settings)
    reader.execute("BEGIN")
    old = reader.sql("FROM returns ORDER BY ALL").pl()

    triple_close(work, YEAR_END)
    assert stale_years(work) == ["2011"]
    kill_in_the_middle(work, "2011")
    assert leftovers(work)
    assert stale_years(work) == ["2011"]
    for name, rows in marts(work).items():
        assert rows.equals(before[name]), name

    result = build(work, ["2011"])
    assert result.success
    assert not leftovers(work)
    assert is_current(work)
    assert reader.sql("FROM returns ORDER BY ALL").pl().equals(old)
    by_window = marts(work)
    assert not by_window["returns"].equals(old)
    changed = by_window["returns"].join(old, on=by_window["returns"].columns, how="anti", nulls_equal=True)
    assert set(changed["ticker"]) == {"AAPL"}
    assert changed["session"].min() == YEAR_END
    assert changed["session"].max() == session_offset(YEAR_END, 20)  # in the year that was not asked for

    plausible = checks(result)["return_1_is_plausible"]
    assert (plausible.passed, plausible.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert plausible.metadata["dagster_dbt/failed_row_count"].value == 2  # up by 200 %, then down by two thirds
    assert "2011-12-30" in plausible.metadata["rows"].value
    assert [name for name, check in checks(result).items() if not check.passed] == ["return_1_is_plausible"]

    work.settings.warehouse_file.unlink()
    result = build(work, ["2013"], only="returns")  # whatever is chosen, everything is built
    assert result.success
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {"returns"}
    for name, rows in marts(work).items():
        assert_frame_equal(rows, by_window[name], rel_tol=1e-9, abs_tol=ABSOLUTE)


def test_rows_that_break_the_declaration_keep_the_old_warehouse(work: Workspace):
    before = marts(work)
    file = work.lake.root / "prices" / "year=2012" / "part.parquet"
    sound = file.read_bytes()
    rows = pl.read_parquet(file)
    pl.concat([rows, rows.filter(ticker="MSFT").head(1)]).write_parquet(file)
    result = build(work, ["2012"])
    assert not result.success
    assert sentence(result).startswith("the warehouse stays as it was: prices_rows_are_as_declared: Got 1 result")
    broken = checks(result)["prices_rows_are_as_declared"]
    assert (broken.passed, broken.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not result.get_asset_materialization_events()
    assert not leftovers(work)
    assert stale_years(work) == ["2012"]
    for name, table in marts(work).items():
        assert table.equals(before[name]), name
    file.write_bytes(sound)


def test_a_column_of_another_type_breaks_the_contract(work: Workspace):
    file = work.lake.root / "index_prices" / "year=2012" / "part.parquet"
    sound = file.read_bytes()
    pl.read_parquet(file).with_columns(pl.col("volume").cast(pl.String)).write_parquet(file)
    result = build(work, ["2012"])
    assert not result.success
    assert "stg_index_prices: Compilation Error" in sentence(result)
    assert sentence(result).endswith("| volume | VARCHAR | DOUBLE | data type mismatch |")
    file.write_bytes(sound)


def test_a_wide_table_follows_the_names_of_the_lake(work: Workspace):
    newest = year_window(2013)
    twin = work.lake.scan("prices", keys=["MSFT"], window=newest).collect().with_columns(pl.lit("TWIN").alias("ticker"))
    work.lake.replace("prices", twin, keys=["TWIN"], window=newest)
    assert build(work, stale_years(work)).success
    wide = marts(work)["returns_wide"]
    listed = wide.filter(pl.col("TWIN").is_not_null(), measure="return_5")
    assert listed["session"].min() == twin["session"][5]
    assert listed["TWIN"].equals(listed["MSFT"].alias("TWIN"))
    work.lake.replace("prices", twin.head(0), keys=["TWIN"], window=newest)
    assert build(work, stale_years(work)).success
    assert "TWIN" not in marts(work)["returns_wide"].columns


def test_what_makes_a_warehouse_out_of_date(work: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if not is_current(work):
        assert build(work, stale_years(work)).success
    # an earlier night reads the same lake
    assert is_current(workspace(work.settings.home, as_of=dt.date(2012, 11, 15)))
    labels = work.lake.scan("quality_log").collect().head(1).with_columns(pl.lit("other").alias("method"))
    work.lake.replace("quality_log", labels, keys=labels["ticker"].to_list(), window=day_window(labels["session"][0]))
    assert stale_years(work) == ["2013"]
    monkeypatch.setattr("quant_assets.warehouse.project_fingerprint", lambda: "another")
    assert stale_years(work) == list(YEARS)
    monkeypatch.setattr("quant_assets.warehouse.PROJECT", tmp_path)
    assert is_current(work)  # nothing can be built without the project


def test_a_lake_that_was_never_written_builds_empty_tables(tmp_path: Path):
    work = workspace(tmp_path)
    assert build(work, ["2013"]).success
    tables = marts(work)
    assert {name for name, rows in tables.items() if rows.height} == {"sessions"}
    assert tables["returns_wide"].columns == ["measure", "session"]
    with open_warehouse(work.settings) as connection:
        assert connection.sql("FROM stg_prices").pl().columns[:3] == ["ticker", "session", "open"]
        assert [connection.sql(f"FROM {view}").pl().height for view in VIEWS] == [0, 0, 0]


def test_one_build_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quant_assets.warehouse.PATIENCE_SECONDS", 0)
    work = workspace(tmp_path)
    with building(work, [year_window(2013)]):
        [mine] = leftovers(work)
        with pytest.raises(LockHeld, match="another build of"), building(work, [year_window(2013)]):
            pass
        assert mine.is_dir()  # the refused one has not swept it away
    assert not leftovers(work)


def test_a_damaged_file_is_named_and_built_anew(tmp_path: Path):
    work = workspace(tmp_path)
    work.settings.warehouse_file.parent.mkdir(parents=True)
    work.settings.warehouse_file.write_bytes(b"x" * 5000)
    with pytest.raises(LakeError, match="cannot be opened"):
        open_warehouse(work.settings)
    assert stale_years(work) == list(YEARS)


def test_a_reader_of_the_plain_file_sees_the_new_one_after_opening_again(work: Workspace):
    """Other processes open the path without this package."""
    code = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql('SELECT count(*) FROM stg_prices').fetchall()[0][0])"
    done = subprocess.run([sys.executable, "-c", code, str(work.settings.warehouse_file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == work.lake.scan("prices").collect().height
