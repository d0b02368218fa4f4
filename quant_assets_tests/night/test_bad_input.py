"""Bad input: one sentence saying what, where and what to do, the settled exit code, and nothing stored harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from quant_assets_tests.night.homes import UNIVERSE, Home, new_home, read_until


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert said.endswith((".", "?"))
    for word in words:
        assert word in said
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--tickers", "AAPL,ZZZ"), ("'ZZZ' is not in the universe", "universe list")),
        (("run", "--tickers", "APPL"), ("'APPL' is not in the universe", "did you mean AAPL?")),
        (("run", "--tickers", " , "), ("names none", "AAPL,IBM")),
        (("run", "--asof", "2013-03-01"), ("No such option: --asof",)),
        (("run", "--as-of", "2013-02-18"), ("2013-02-18 is not a session", "2013-02-15 or 2013-02-19")),
        (("run", "--as-of", "2012-10-29"), ("not a session", "2012-10-26 or 2012-10-31")),
        (("run", "--as-of", "2005-01-03"), ("before the first decision 2012-10-01",)),
        (("run", "--as-of", "2013-03-04"), ("after the last known session 2013-03-01",)),
        (("run", "--as-of", "2013-13-01"), ("not a date", "YYYY-MM-DD")),
        (("run", "--profile", "paper"), ("--profile 'paper' is unknown", "offline, live")),
        (("backtest", "--start", "2012-12-24", "--end", "2012-12-01"), ("--start 2012-12-24 is after --end 2012-12-01",)),
        (("backtest", "--start", "2012-10-29", "--end", "2012-10-30"), ("no session of the record",)),
        (("universe", "add", "TSLA"), ("no source", "TSLA")),
        (("universe", "add", ""), ("no source", "''")),
        (("universe", "remove", "ZZZ"), ("'ZZZ' is not in the universe",)),
    ],
)
def test_impossible_arguments(finished: Home, arguments: tuple[str, ...], words: tuple[str, ...]):
    before = finished.files()
    assert_refused(finished.run(*arguments), 2, *words)
    assert finished.files() == before


@pytest.mark.parametrize("arguments", [("run", "--tickers", "ZZZ"), ("run", "--asof", "2013-03-01"), ("rnu",)])
def test_failures_are_one_json_document_too(finished: Home, arguments: tuple[str, ...]):
    code, told = finished.json(*arguments)
    assert code == 2
    assert set(told["error"]) == {"code", "message", "remedy"}
    assert told["error"]["code"] == "bad_argument"


def test_a_wrong_settings_key_is_named_with_the_nearest(tmp_path: Path):
    home = new_home(tmp_path / "home")
    settings = home.folder / "quant_assets.toml"
    settings.write_text(settings.read_text() + "\n[signal]\nscore_treshold = 0.6\n")
    assert_refused(home.run("run"), 2, "signal.score_treshold", "did you mean 'score_threshold'?")
    assert not (home.folder / "data").exists()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("QUANT_ASSETS__SIGNAL__BULL", "0.9", ("bull 0.9", "bands must fall from strong_bull to strong_bear")),
        ("QUANT_ASSETS__GRIDS__FIRST_DECISION", "2014-01-02", ("grids.first_decision = 2014-01-02", "2013-03-01")),
        ("QUANT_ASSETS__UNIVERSE", "quant_assets.toml", ("is not a CSV with the columns ticker,source,listed",)),
        ("QUANT_ASSETS_HOME", "/nowhere", ("QUANT_ASSETS_HOME=/nowhere is no folder",)),
        ("QUANT_ASSETS__UNIVERSE", "nowhere.csv", ("nowhere.csv cannot be read (No such file or directory)",)),
    ],
)
def test_impossible_settings(finished: Home, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: tuple[str, ...]):
    monkeypatch.setattr(Home, "environment", {**finished.environment, variable: value})
    assert_refused(finished.run("run"), 2, *words)


def test_nothing_stored_yet_is_a_failure_and_not_a_wrong_argument(tmp_path: Path):
    home = new_home(tmp_path / "home")
    for verb in ("report", "backtest"):
        assert_refused(home.run(verb), 1, "`quant-assets run` first")


def test_a_folder_without_settings_is_named_before_it_becomes_a_home(tmp_path: Path):
    home = new_home(tmp_path / "home")
    (home.folder / "quant_assets.toml").unlink()
    (home.folder / "data").mkdir()
    (home.folder / "data" / "lake").write_text("stops the run before it does anything")
    assert f"Home {home.folder}: no quant_assets.toml" in home.run("run").stderr


def test_a_run_that_is_interrupted_says_so_and_can_go_on(tmp_path: Path):
    """Ctrl-C in a terminal tells the whole process group; while a model is trained it arrives in the middle of a C library."""
    home = new_home(tmp_path / "home")
    with subprocess.Popen(home.command("run"), env=home.environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        read_until(running.stderr, "pooled model")
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 1
    assert rest.strip().splitlines()[-1] == "error: interrupted; what was finished is stored: run again to go on."
    assert "not finished" in rest
    assert "Traceback" not in rest
    assert home.run("run").returncode == 0


def test_a_second_run_while_one_runs(finished: Home):
    before = finished.files()
    with FileLock(finished.folder / "data" / "night.lock"):
        assert_refused(finished.run("run"), 1, "another run", "wait for it")
    assert finished.files() == before


def test_a_truncated_file_is_named(copy: Callable[[], Home]):
    home = copy()
    file = home.folder / "data" / "lake" / "features" / "year=2011" / "part.parquet"
    file.write_bytes(file.read_bytes()[:1000])
    before = home.files()
    assert_refused(home.run("run"), 1, str(file), "delete the file")
    other = home.folder / "data" / "lake" / "signal" / "year=2013" / "part.parquet"
    whole = other.read_bytes()
    other.write_bytes(b"")
    assert_refused(home.run("run"), 1, str(file), str(other), "2 files are damaged", "delete them")
    other.write_bytes(whole)
    assert home.files() == before
    file.unlink()
    assert home.run("run").returncode == 0


def test_a_left_over_temporary_file_is_cleared(copy: Callable[[], Home]):
    home = copy()
    leftover = home.folder / "data" / "lake" / "prices" / "year=2012" / "part.parquet.tmp"
    leftover.write_bytes(b"half a file")
    done = home.run("run")
    assert done.returncode == 0
    assert "cleared part.parquet.tmp in year=2012" in done.stderr
    assert not leftover.exists()


def test_unwritable_logs_and_reports(finished: Home, copy: Callable[[], Home], monkeypatch: pytest.MonkeyPatch):
    home = copy()
    (home.folder / "file").write_text("not a folder")
    for folder in ("logs", "outputs"):
        monkeypatch.setattr(Home, "environment", {**finished.environment, "QUANT_ASSETS_HOME": str(home.folder)})
        monkeypatch.setitem(home.environment, f"QUANT_ASSETS__PATHS__{folder.upper()}", "file")
        done = home.run("run")
        assert done.returncode == 1
        assert f"{home.folder / 'file'}" in done.stderr
        assert "Traceback" not in done.stderr


def test_flipped_bits_are_found_by_the_doctor(copy: Callable[[], Home]):
    home = copy()
    file = home.folder / "data" / "lake" / "features" / "year=2011" / "part.parquet"
    content = bytearray(file.read_bytes())
    for place in range(1000, 1200):
        content[place] ^= 0xFF
    file.write_bytes(bytes(content))
    code, told = home.json("doctor")
    assert code == 1
    [lake] = [item for item in told["items"] if item["name"] == "lake"]
    assert lake["state"] == "fault"
    assert str(file) in lake["detail"]


def test_an_unwritable_lake(tmp_path: Path):
    """A file stands where the folder should be: permissions do not stop root, this does."""
    home = new_home(tmp_path / "home")
    (home.folder / "data").write_text("not a folder")
    assert_refused(home.run("run"), 1, str(home.folder / "data"), "cannot be written")


def test_one_bad_name_does_not_stop_the_others(tmp_path: Path):
    """The universe names a ticker that its source does not have: its cells are withheld, the rest of the night goes on."""
    home = new_home(tmp_path / "home", universe=UNIVERSE + "ZZZ,bokeh,2012-01-03\n")
    code, told = home.json("run")
    assert code == 3
    assert told["status"] == "partial"
    assert [error["ticker"] for error in told["errors"]] == ["ZZZ"]
    assert "no bar" in told["errors"][0]["message"]
    assert sum(signal["rank"] is not None for signal in told["signals"]) == 5
    bad = told["signals"][-1]
    assert (bad["ticker"], bad["status"]) == ("ZZZ", "failed")
    assert "ZZZ 2013-01-02: no bar" in bad["reason"]
    quarantined = home.lake.scan("quarantine", window=home.workspace().history).collect()
    assert set(quarantined["ticker"]) == {"ZZZ"}
    assert "ZZZ" not in set(home.table("prices")["ticker"])
    withheld = home.lake.scan("coverage", window=home.workspace().history).filter(pl.col("status") == "withheld").collect()
    assert set(withheld["ticker"]) == {"ZZZ"}


def test_a_damaged_file_hides_no_other_table(copy: Callable[[], Home]):
    home = copy()
    _, whole = home.json("data", "coverage")
    torn = home.folder / "data" / "lake" / "signal" / "year=2013" / "part.parquet"
    torn.write_bytes(torn.read_bytes()[:-20])
    shown = home.run("data", "coverage")
    assert shown.returncode == 1
    assert f"signal: damaged: {torn} is not a readable parquet file (" in shown.stdout
    assert "delete the file and run again: the run restores it." in shown.stdout
    assert "Traceback" not in shown.stderr
    code, told = home.json("data", "coverage")
    assert code == 1
    assert told["items"] == [cell for cell in whole["items"] if cell["table"] != "signal"]
    assert [error["table"] for error in told["errors"]] == ["signal"]
    assert whole["errors"] == []


def test_what_follows_from_a_damaged_file_is_not_known(copy: Callable[[], Home]):
    home = copy()
    torn = home.folder / "data" / "lake" / "prices" / "year=2007" / "part.parquet"
    torn.write_bytes(b"")
    shown = home.run("data", "coverage")
    assert shown.returncode == 1
    assert f"prices: damaged: {torn} is not a readable parquet file (" in shown.stdout
    assert f"features, labels: not known: {torn} is not a readable parquet file (" in shown.stdout
    assert "Nothing is missing" not in shown.stdout
