"""Bad input: one sentence saying what, where and what to do, the settled exit code, and nothing stored harmed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from quant_assets_tests.night.homes import UNIVERSE, Home, new_home


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
        (("run", "--tickers", "AAPL,ZZZ"), ("unknown ticker ZZZ", "universe add ZZZ")),
        (("run", "--as-of", "2013-02-18"), ("2013-02-18 is not a session", "2013-02-15 or 2013-02-19")),
        (("run", "--as-of", "2012-10-29"), ("not a session", "2012-10-26 or 2012-10-31")),
        (("run", "--as-of", "2005-01-03"), ("before the first decision 2012-10-01",)),
        (("run", "--as-of", "2013-03-04"), ("after the last known session 2013-03-01",)),
        (("run", "--as-of", "2013-13-01"), ("not a date", "YYYY-MM-DD")),
        (("run", "--profile", "paper"), ("'paper'", "'offline' or 'live'")),
        (("backtest", "--start", "2012-12-24", "--end", "2012-12-01"), ("no session",)),
        (("universe", "add", "TSLA"), ("no source", "TSLA")),
        (("universe", "remove", "ZZZ"), ("unknown ticker ZZZ",)),
    ],
)
def test_impossible_arguments(finished: Home, arguments: tuple[str, ...], words: tuple[str, ...]):
    before = finished.files()
    assert_refused(finished.run(*arguments), 2, *words)
    assert finished.files() == before


def test_failures_are_one_json_document_too(finished: Home):
    code, told = finished.json("run", "--tickers", "ZZZ")
    assert code == 2
    assert set(told["error"]) == {"code", "message", "remedy"}
    assert told["error"]["code"] == "bad_argument"


def test_a_wrong_settings_key_is_named_with_the_nearest(tmp_path: Path):
    home = new_home(tmp_path / "home")
    settings = home.folder / "quant_assets.toml"
    settings.write_text(settings.read_text() + "\n[signal]\nscore_treshold = 0.6\n")
    assert_refused(home.run("run"), 2, "signal.score_treshold", "did you mean 'score_threshold'?")
    assert not (home.folder / "data").exists()


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
