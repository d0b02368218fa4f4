"""Whatever is deleted or damaged, the next run brings back identical rows; whatever comes later changes nothing before it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, year_window
from quant_assets_tests.night.homes import Home, new_home, read_until

ALL_TABLES = (
    *("index_prices", "prices", "features", "labels", "model_runs", "oos_predictions"),
    *("trades", "equity", "signal_quality", "threshold_sweep", "signal", "trade_synthesis", "daily_report"),
    *("quality_log", "coverage"),
)


def assert_same_rows(home: Home, reference: Home, tables: tuple[str, ...] = ALL_TABLES) -> None:
    for table in tables:
        assert_frame_equal(home.table(table), reference.table(table), check_exact=True)


def assert_same_but_for_model_names(home: Home, reference: Home) -> None:
    """For homes that trained their models each for itself."""
    named = {"model_runs": "model_run_id", "oos_predictions": "model_run_id", "signal": "model_run_id"}
    named |= dict.fromkeys(("equity", "signal_quality", "threshold_sweep"), "scores")
    assert_same_rows(home, reference, tuple(table for table in ALL_TABLES if table not in named))
    for table, column in named.items():
        assert_frame_equal(home.table(table).drop(column), reference.table(table).drop(column), check_exact=True)


def test_deleted_years_come_back(finished: Home, copy: Callable[[], Home]):
    """The last year of every table at once, an earlier one of the history grid, accounts from before a listing (FB's, of 2012), which chose
    among the same names, and the page of the report."""
    home = copy()
    page = home.folder / "outputs" / "signals" / "daily_report_2013-03-01.html"
    before = page.read_bytes()
    page.unlink()
    for table in ALL_TABLES:
        newest = max((home.folder / "data" / "lake" / table).glob("year=*"))
        (newest / "part.parquet").unlink()
    for table in ("prices", "features", "labels"):
        (home.folder / "data" / "lake" / table / "year=2010" / "part.parquet").unlink()
    (home.folder / "data" / "lake" / "equity" / "year=2011" / "part.parquet").unlink()
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert_same_rows(home, finished)
    assert page.read_bytes() == before


def test_one_deleted_partition_comes_back_alone(finished: Home, copy: Callable[[], Home]):
    """The bars of one ticker in one year: only its own cells are written again, and what follows bars that came anew."""
    home = copy()
    nothing = home.lake.scan("prices", keys=[], window=year_window(2012)).collect()
    home.lake.replace("prices", nothing, keys=["IBM"], window=year_window(2012))
    assert home.table("prices").height < finished.table("prices").height
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert "1 name ..." in done.stderr
    # features, those across names, the running quarter's scores, the proof and the scorecard
    assert done.stderr.count("nothing to do") == 5
    assert_same_rows(home, finished)


def test_what_is_written_beside_a_table_comes_back(finished: Home, copy: Callable[[], Home]):
    """The journal of accounts, the log, the reasons of nulls and the coverage of steps: deleted while the tables they belong to stay."""
    home = copy()
    for table, year in {"trades": 2012, "quality_log": 2011, "feature_gaps": 2010, "coverage": 2009}.items():
        (home.folder / "data" / "lake" / table / f"year={year}" / "part.parquet").unlink()
        assert home.table(table).height < finished.table(table).height
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert_same_rows(home, finished)
    assert home.run("run").stderr.count("nothing to do") == 12


def test_bars_fetched_again_are_followed_by_what_was_computed_from_them(finished: Home, copy: Callable[[], Home]):
    """Until then a decision says that it rests on something older."""
    home = copy()
    assert home.run("backfill", "--tables", "prices", "--tickers", "IBM", "--start", "2013-01-01").returncode == 0
    assert home.run("backfill", "--tables", "signal,trade_synthesis,daily_report", "--start", "2013-03-01").returncode == 0
    caveats = {row["ticker"]: row["reason"] for row in home.table("daily_report").iter_rows(named=True) if row["ticker"] != "FB"}
    assert caveats.pop("IBM") == "stale input: its features are older than the prices they were computed from; run again"
    assert set(caveats.values()) == {None}
    done = home.run("run")
    assert "features and labels: 2012..2013, 1 name" in done.stderr
    assert_same_rows(home, finished)
    assert home.run("run").stderr.count("nothing to do") == 12


def test_another_pool_is_another_model_and_everything_after_it(finished: Home, copy: Callable[[], Home]):
    """Models go, the universe is another: scores, accounts and decisions of the old models stand no longer."""
    home = copy()
    home.run("universe", "remove", "XOM")
    for year in (home.folder / "data" / "lake" / "model_runs").glob("year=*"):
        (year / "part.parquet").unlink()
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    models = set(home.table("model_runs")["model_run_id"])
    assert not models & set(finished.table("model_runs")["model_run_id"])
    kept = home.table("oos_predictions").filter(pl.col("ticker") != "XOM")
    assert set(kept["model_run_id"]) == models
    assert not set(home.table("equity")["scores"]) & set(finished.table("equity")["scores"])
    assert home.run("run").stderr.count("nothing to do") == 12


def test_changed_prices_of_the_last_day_change_no_earlier_prediction(finished: Home, copy: Callable[[], Home]):
    home = copy()
    last = dt.date(2013, 3, 1)
    day = Window(last, last + dt.timedelta(days=1))
    changed = home.lake.scan("prices", keys=["AAPL", "KO"], window=day).collect().with_columns(pl.col("open", "high", "low", "close") * 1.2)
    home.lake.replace("prices", changed, keys=["AAPL", "KO"], window=day)
    for table in ("features", "labels", "model_runs", "oos_predictions", "equity", "signal", "trade_synthesis", "daily_report"):
        for year in ("year=2012", "year=2013"):
            (home.folder / "data" / "lake" / table / year / "part.parquet").unlink(missing_ok=True)
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    before = pl.col("session") < last
    assert_frame_equal(home.table("oos_predictions").filter(before), finished.table("oos_predictions").filter(before), check_exact=True)
    assert_frame_equal(home.table("model_runs"), finished.table("model_runs"), check_exact=True)
    assert not home.table("signal").equals(finished.table("signal"))


def test_an_earlier_night_sees_no_more_than_it_could(finished: Home, copy: Callable[[], Home], tmp_path: Path):
    """Asked for after the later one, or first of all in an empty home: the same decisions, and the later rows stay."""
    home = copy()
    session = "2012-11-15"
    code, after = home.json("run", "--as-of", session)
    assert code == 0
    assert_same_rows(home, finished, ("prices", "features", "labels", "oos_predictions", "equity", "trades"))
    fresh = new_home(tmp_path / "fresh")
    code, before = fresh.json("run", "--as-of", session)
    assert code == 0
    assert before["signals"] == after["signals"]
    page = f"outputs/signals/daily_report_{session}.html"
    shown = [each.files()[page] for each in (home, fresh)]
    for run_id in {row for each in (home, fresh) for row in each.table("model_runs")["model_run_id"]}:
        shown = [text.replace(run_id.encode(), b"run") for text in shown]
    assert shown[0] == shown[1]
    assert fresh.table("prices")["session"].max() == dt.date(2012, 11, 15)


def test_a_killed_run_is_completed_by_the_next(finished: Home, tmp_path: Path):
    home = new_home(tmp_path / "killed")
    with subprocess.Popen(home.command("run"), env=home.environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        read_until(running.stderr, "[5/12]")  # the models are next: everything before is stored
        os.killpg(running.pid, signal.SIGKILL)
    assert "features" in home.lake.tables()
    done = home.run("run")
    assert done.returncode == 0, done.stderr
    assert_same_but_for_model_names(home, finished)


def test_another_threshold_is_another_account_and_another_verdict(finished: Home, copy: Callable[[], Home]):
    """Nothing booked or decided by an old rule may stand under a new one; models and scores are not touched."""
    home = copy()
    settings = home.folder / "quant_assets.toml"
    settings.write_text(settings.read_text() + "\n[signal]\nscore_threshold = 0.5\nbull = 0.505\n")
    code, told = home.json("run")
    assert code == 0
    assert_same_rows(home, finished, ("prices", "features", "labels", "model_runs", "oos_predictions"))
    bought = {signal["ticker"] for signal in told["signals"] if signal["verdict"] == "BUY"}
    assert bought == {signal["ticker"] for signal in told["signals"] if signal["score"] is not None and signal["score"] > 0.5}
    assert bought
    threshold = pl.col("strategy") == "threshold"
    assert finished.table("trades").filter(threshold).is_empty()
    assert not home.table("trades").filter(threshold).is_empty()
    assert set(home.table("equity").filter(threshold, account="ticker")["rule"]) == {"score > 0.5"}
    assert home.run("run").stderr.count("nothing to do") == 12


def test_a_name_that_leaves_the_universe_leaves_the_portfolio(finished: Home, copy: Callable[[], Home]):
    home = copy()
    home.run("universe", "remove", "IBM")
    code, told = home.json("run")
    assert code == 0
    assert "IBM" not in {signal["ticker"] for signal in told["signals"]}
    assert set(home.table("equity").filter(account="portfolio", strategy="threshold")["rule"]) == {
        "score > 0.65 among AAPL, FB, KO, MSFT, XOM"
    }
