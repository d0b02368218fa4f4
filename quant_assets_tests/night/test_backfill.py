"""`quant-assets backfill`: the plan, the order, what is skipped, what is left after a failure or a kill."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quant_assets.calendars import Window, year_window
from quant_assets_tests.night.homes import UNIVERSE, Home, new_home, read_until
from quant_assets_tests.night.test_restoring import assert_same_rows

HISTORY = ("index_prices", "prices", "features", "labels")


def test_the_plan_runs_nothing(finished: Home):
    before = finished.files()
    code, told = finished.json("backfill", "--start", "2012-06-01", "--end", "2012-07-01", "--plan")
    assert code == 0
    lines = {line["phase"]: line for line in told["items"]}
    assert list(lines) == ["indices", "prices", "features", "cross_section", "train", "predict", "backtest", "portfolio"]
    assert (lines["prices"]["windows"], lines["prices"]["names"], lines["prices"]["cells"]) == ("2012", 6, 6)
    assert lines["train"]["windows"] == "2012-04"
    assert all(line["seconds"] > 0 for line in lines.values())
    assert finished.files() == before


def test_the_plan_counts_what_data_coverage_counts(finished: Home):
    """FB was listed in 2012: its years before belong to the one rectangle that is run, and hold nothing."""
    _, plan = finished.json("backfill", "--plan", "--tables", "prices,oos_predictions")
    _, coverage = finished.json("data", "coverage")
    for line, table in zip(plan["items"], ("prices", "oos_predictions"), strict=True):
        assert line["runs"] <= 2
        assert line["cells"] == sum(1 for cell in coverage["items"] if cell["table"] == table)


def test_everything_again_changes_no_row(finished: Home, copy: Callable[[], Home]):
    home = copy()
    done = home.run("backfill", "--start", "2011-01-01", "--tables", "prices,features,labels,equity")
    assert done.returncode == 0, done.stderr
    assert "about" in done.stderr
    assert_same_rows(home, finished)


def test_the_past_again_knows_what_is_known_today(finished: Home, copy: Callable[[], Home]):
    """An end in the middle of a quarter: known labels stay known, old models get no members."""
    home = copy()
    done = home.run("backfill", "--start", "2012-07-02", "--end", "2012-11-15", "--tables", "prices,features,labels,model_runs,equity")
    assert done.returncode == 0, done.stderr
    assert "What follows from it is not up to date: features" in done.stdout  # those of the year after, made from the older bars
    assert_same_rows(home, finished)


def test_only_what_is_missing_of_what_is_named(finished: Home, copy: Callable[[], Home]):
    home = copy()
    for table in ("prices", "features"):
        nothing = home.lake.scan(table, keys=[], window=year_window(2012)).collect()
        home.lake.replace(table, nothing, keys=["IBM", "MSFT"], window=Window(year_window(2011).start, year_window(2012).end))
    _, told = home.json("backfill", "--only-missing", "--plan")
    assert [(line["phase"], line["names"], line["cells"]) for line in told["items"]] == [("prices", 2, 4), ("features", 2, 4)]
    assert home.run("backfill", "--only-missing", "--tickers", "IBM").returncode == 0
    _, told = home.json("backfill", "--only-missing", "--plan")
    assert [(line["phase"], line["names"], line["cells"]) for line in told["items"]] == [("prices", 1, 2), ("features", 1, 2)]
    assert home.run("backfill", "--only-missing").returncode == 0
    assert home.run("backfill", "--only-missing", "--plan").stdout.startswith("Nothing to do")
    assert_same_rows(home, finished)


def test_a_failure_leaves_exactly_its_cells_missing(tmp_path: Path):
    """A name that its source does not have; without it the same command completes."""
    home = new_home(tmp_path / "home", universe=UNIVERSE + "ZZZ,bokeh,2012-01-03\n")
    tables = ("--tables", "index_prices,prices,features,labels")
    code, told = home.json("backfill", *tables)
    assert code == 3
    assert told["status"] == "partial"
    assert {error["phase"] for error in told["errors"]} == {"prices", "features"}
    _, coverage = home.json("data", "coverage")
    missing = [cell for cell in coverage["items"] if cell["table"] in HISTORY and cell["status"] != "complete"]
    assert {(cell["table"], cell["ticker"]) for cell in missing} == {("prices", "ZZZ"), ("features", "ZZZ"), ("labels", "ZZZ")}
    assert all("no bar" in cell["reason"] or "prices incomplete" in cell["reason"] for cell in missing)
    (home.folder / "universe.csv").write_text(UNIVERSE)
    assert home.run("backfill", "--only-missing", *tables, "--plan").stdout.startswith("Nothing to do")


def test_it_goes_on_where_it_was_killed(finished: Home, copy: Callable[[], Home]):
    home = copy()
    command = home.command("backfill", "--start", "2011-01-01", "--tables", "prices,features,labels,model_runs")
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        read_until(running.stderr, "[train 2/")
        os.killpg(running.pid, signal.SIGKILL)
    code, told = home.json("backfill", "--start", "2011-01-01", "--tables", "prices,features,labels,model_runs")
    assert code == 0
    assert told["skipped"] >= 3  # one more where the signal came when the second was done
    assert told["skipped"] + told["runs"] == 5
    assert_same_rows(home, finished)
    _, again = home.json("backfill", "--start", "2011-01-01", "--tables", "prices")
    assert (again["skipped"], again["runs"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tables", "price"), ("no such table price", "prices")),
        (("--tables", ""), ("choose from",)),
        (("--start", "2013-01-01", "--end", "2012-01-01"), ("--start 2013-01-01 is after --end 2012-01-01",)),
        (("--start", "1990-01-01", "--end", "1999-01-01"), ("no session of the record",)),
        (("--tickers", "ZZZ"), ("'ZZZ' is not in the universe",)),
    ],
)
def test_impossible_requests(finished: Home, arguments: tuple[str, ...], words: tuple[str, ...]):
    done = finished.run("backfill", *arguments)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


def test_past_decisions_are_made_when_they_are_named(finished: Home, copy: Callable[[], Home]):
    home = copy()
    done = home.run("backfill", "--start", "2013-02-25", "--end", "2013-03-01", "--tables", "signal,trade_synthesis,daily_report")
    assert done.returncode == 0, done.stderr
    assert home.table("signal")["session"].n_unique() == 5
    assert (home.folder / "outputs" / "signals" / "daily_report_2013-02-26.html").is_file()
    last = home.table("signal").filter(session=finished.table("signal")["session"].max())
    assert last.equals(finished.table("signal"))
