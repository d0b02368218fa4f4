"""The proof before each decision: on a whole night, on one with a planted leak, and on a lake that somebody has changed."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Callable

import polars as pl
import pytest

from quant_assets.calendars import Window, day_window
from quant_assets.features.catalog import ACROSS, CATALOG
from quant_assets.steps.decisions import decide
from quant_assets.steps.proof import SUBJECTS, prove, prove_night
from quant_assets_tests.night.homes import Home

D = dt.date
NIGHT = D(2013, 3, 1)
DAY = D(2012, 6, 7)


def test_a_night_keeps_its_proof(finished: Home):
    rows = finished.table("leak_proof")
    assert set(rows["session"]) == {NIGHT}
    assert set(rows["subject"]) == set(SUBJECTS)
    assert set(rows.filter(subject="features")["name"]) == set(CATALOG)
    assert set(rows.filter(subject="inputs")["name"]) == {"prices", "index_prices", "labels", "oos_predictions"}
    assert rows["differing"].sum() == 0
    stored = finished.table("features").join(finished.table("cross_section_features"), on=["ticker", "session"])
    empty = {name for name in CATALOG if not stored[name].count()}
    assert "vix" in empty
    assert set(rows.filter(compared=0)["name"]) == empty


def test_it_is_not_made_again_for_the_same_night(finished: Home, copy: Callable[[], Home]):
    home = copy()
    again = home.run("run")
    assert "proof that nothing looks ahead: nothing to do" in again.stderr
    assert home.table("leak_proof").equals(finished.table("leak_proof"))


def test_nothing_is_decided_on_a_feature_that_looks_ahead(copy: Callable[[], Home]):
    home = copy()
    for table in ("leak_proof", "signal", "trade_synthesis", "daily_report"):
        shutil.rmtree(home.folder / "data" / "lake" / table)
    command = [sys.executable, "-m", "quant_assets_tests.night.leaky_features", "run"]
    done = subprocess.run(command, env=home.environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    leaking = home.table("leak_proof").filter(pl.col("differing") > 0)
    made_of_it = {name for name, feature in ACROSS.items() if "features.ret_1" in feature.inputs}
    assert set(leaking.filter(subject="features")["name"]) - made_of_it == {"ret_1"}
    told = leaking.filter(subject="features", name="ret_1")["example"].item()
    assert told.startswith("ret_1 of AAPL on 2")
    assert "from what was known at" in told
    assert home.table("signal").is_empty()
    assert set(home.table("daily_report").filter(session=NIGHT)["status"]) == {"failed"}
    assert "ret_1 of AAPL" in home.table("daily_report").filter(session=NIGHT)["reason"][0]
    assert "ret_1 of AAPL" in done.stderr + done.stdout


def test_a_decision_by_hand_asks_for_the_proof_too(copy: Callable[[], Home]):
    """Whoever materialises it, and whichever session: a sound proof of one session says nothing about another."""
    work = copy().workspace()
    names, before = work.universe.tickers, D(2013, 2, 28)
    days = {str(day): day_window(day) for day in (before, NIGHT)}
    result = decide(work, names, days, run_id="by hand")
    assert {window for _, window in result.withheld} == {str(before)}
    assert {reason.split(" has no proof")[0] for reason in result.withheld.values()} == {str(before)}
    assert set(result.rows["session"]) == {NIGHT}
    prove(work, days)
    assert decide(work, names, days, run_id="by hand").withheld == {}
    leak = work.lake.scan("leak_proof", window=day_window(before)).collect()
    found = leak.with_columns(differing=pl.lit(1, dtype=pl.Int64), example=pl.lit("ret_1 of AAPL moved"))
    work.lake.replace("leak_proof", found, keys=None, window=day_window(before))
    assert set(decide(work, names, days, run_id="by hand").withheld.values()) == {"ret_1 of AAPL moved"}


def test_a_backfill_decides_nothing_where_its_proof_finds_a_leak(copy: Callable[[], Home]):
    home = copy()
    work = home.workspace()
    bar = work.lake.scan("prices", keys=["IBM"], window=day_window(D(2013, 2, 27))).collect()
    late = bar.with_columns(known_at=pl.col("known_at") + pl.duration(hours=1))
    work.lake.replace("prices", late, keys=["IBM"], window=day_window(D(2013, 2, 27)))
    done = home.run("backfill", "--tables", "signal", "--start", "2013-02-26", "--end", "2013-02-28")
    assert done.returncode == 1, done.stderr
    assert set(home.table("signal")["session"]) == {D(2013, 2, 26), NIGHT}
    assert "public" in done.stdout + done.stderr


@pytest.fixture
def spoilt(copy: Callable[[], Home]) -> Home:
    """One stored feature, and the moment at which one bar was public, are not what they were."""
    home = copy()
    work = home.workspace()
    features = work.lake.scan("features", keys=["AAPL"], window=day_window(DAY)).collect()
    work.lake.replace("features", features.with_columns(rsi_14=pl.col("rsi_14") + 1e-6), keys=["AAPL"], window=day_window(DAY))
    bar = work.lake.scan("prices", keys=["IBM"], window=day_window(DAY)).collect()
    later = bar.with_columns(known_at=pl.col("known_at") + pl.duration(hours=1))
    work.lake.replace("prices", later, keys=["IBM"], window=day_window(DAY))
    return home


def test_a_proof_is_of_the_files_that_it_saw(finished: Home, copy: Callable[[], Home]):
    """Nothing is decided on what was changed since, and the command that the night names mends it."""
    home = copy()
    work = home.workspace()
    features = work.lake.scan("features", keys=["KO"], window=day_window(DAY)).collect()
    work.lake.replace("features", features.with_columns(rsi_14=99.0), keys=["KO"], window=day_window(DAY))
    shutil.rmtree(home.folder / "data" / "lake" / "signal")
    stopped = home.run("run")
    assert stopped.returncode == 1
    assert "no decision is taken on it, fill it again with `quant-assets backfill --tables features`" in stopped.stderr
    assert home.table("signal").is_empty()
    assert home.run("backfill", "--tables", "features").returncode == 0
    assert home.run("run").returncode == 0
    assert home.table("features").equals(finished.table("features"))
    assert home.table("signal").equals(finished.table("signal"))


def test_what_is_stored_and_does_not_follow_is_named(spoilt: Home):
    code, told = spoilt.json("data", "leakcheck")
    assert code == 1
    wrong = {(item["subject"], item["name"]): item for item in told["items"] if item["differing"]}
    assert set(wrong) >= {("stored", "features"), ("inputs", "prices")}
    assert wrong["stored", "features"]["differing"] == 1
    assert wrong["stored", "features"]["example"].startswith(f"rsi_14 of AAPL on {DAY} is ")
    late = wrong["inputs", "prices"]
    assert (late["differing"], "1 of" in late["example"]) == (1, True)
    shown = spoilt.run("data", "leakcheck", "--tickers", "AAPL", "--cuts", "1")
    assert shown.returncode == 1
    assert "Something looks ahead." in shown.stdout
    assert f"rsi_14 of AAPL on {DAY}" in shown.stdout


def test_each_session_asked_for_has_its_own_inputs(finished: Home, copy: Callable[[], Home]):
    work = copy().workspace()
    days = {str(day): day_window(day) for day in (D(2013, 2, 28), NIGHT)}
    result = prove(work, days)
    read = result.rows.filter(subject="inputs", name="prices").sort("session")
    assert read["session"].to_list() == [D(2013, 2, 28), NIGHT]
    assert read["compared"].diff().to_list()[1:] == [6]
    assert result.withheld == {}
    assert [check.passed for check in result.checks] == [True] * len(SUBJECTS)


def test_a_proof_does_not_read_what_came_after_its_night(finished: Home):
    work = finished.workspace()
    earlier = work.__class__(work.settings, work.universe, work.lake, D(2012, 11, 15), work.clock)
    proof = prove_night(earlier, ["AAPL", "KO"], n_cuts=1)
    assert not proof.failures
    assert max(proof.cuts) < D(2012, 11, 15)
    stored = proof.rows.filter(subject="stored", name="labels")["compared"].item()
    known = finished.lake.scan("labels", keys=["AAPL", "KO"], window=Window(D(2007, 1, 1), D(2012, 11, 16))).collect()
    assert stored == known.height * 2 + known.filter(pl.col("label_end") <= D(2012, 11, 15)).height * 2


def test_a_name_that_was_not_listed_at_a_cut(finished: Home):
    done = finished.run("data", "leakcheck", "--tickers", "FB")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Nothing looks ahead.\n")


def test_what_is_stored_of_a_name_after_its_death_is_not_looked_at(copy: Callable[[], Home]):
    """It was stored before anybody told of it."""
    home = copy()
    universe = home.folder / "universe.csv"
    lines = universe.read_text().splitlines()
    ended = [f"{line},2012-10-31" if line.startswith("XOM") else f"{line}," for line in lines[1:]]
    universe.write_text("\n".join([f"{lines[0]},delisted", *ended, ""]))
    day = day_window(D(2012, 12, 3))
    scores = home.lake.scan("oos_predictions", keys=["XOM"], window=day).collect()
    home.lake.replace("oos_predictions", scores.with_columns(pl.col("score") + 0.1), keys=["XOM"], window=day)
    code, told = home.json("data", "leakcheck", "--tickers", "XOM", "--cuts", "20")
    assert (code, told["leaks"]) == (0, [])
