"""What a first night leaves behind, and what a second one does not touch."""

from __future__ import annotations

import csv
import datetime as dt

import dagster as dg
import polars as pl
import pytest

from quant_assets.backtest.metrics import measure
from quant_assets.backtest.track import Track
from quant_assets.calendars import Window
from quant_assets.gathered import GATHERED
from quant_assets.models.account_log import EXPERIMENT
from quant_assets.models.registry import ModelRegistry
from quant_assets.schemas import TABLES
from quant_assets_tests.night.homes import Home

NIGHT = "2013-03-01"
SIGNAL_FIELDS = {
    *("ticker", "rank", "signal", "score", "base_rate", "ci_low", "ci_high", "iv_risk", "top_option"),
    *("verdict", "confidence", "status", "reason"),
}


def test_every_table_is_filled_and_declared(finished: Home):
    stored = set(finished.lake.tables())
    assert stored >= set(TABLES) - {"quarantine", "rulings", "trades", *GATHERED}
    assert not stored & set(GATHERED)  # nobody can be asked offline
    for table in stored:
        TABLES[table].conform(finished.lake.scan(table, window=finished.workspace().history).collect())


def test_run_json_has_the_settled_shape_and_the_report_is_there(finished: Home):
    code, told = finished.json("run")
    assert code == 0
    assert set(told) == {"as_of", "profile", "status", "signals", "report", "errors"}
    assert (told["as_of"], told["profile"], told["status"], told["errors"]) == (NIGHT, "offline", "done", [])
    assert all(set(signal) == SIGNAL_FIELDS for signal in told["signals"])
    ranks = [signal["rank"] for signal in told["signals"]]
    assert ranks[0] == 1
    assert ranks[:5] == sorted(ranks[:5])  # equal scores share a rank
    assert ranks[5:] == [None]
    young = told["signals"][-1]
    assert (young["ticker"], young["status"], young["signal"], young["score"]) == ("FB", "too little history", None, None)
    assert "196 sessions stored, 252 are needed" in young["reason"]
    scored = told["signals"][:-1]
    assert all(signal["ci_low"] <= signal["ci_high"] and 0 < signal["score"] < 1 for signal in scored)
    assert all(signal["top_option"].startswith("n/a (") for signal in told["signals"])
    with open(told["report"]["csv"]) as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Ticker", "Rank", "Signal", "Score", "Base rate", "CI", "IV risk", "Top option", "Verdict", "Confidence"]
    assert [row[0] for row in rows[1:]] == [signal["ticker"] for signal in told["signals"]]


def test_a_second_run_changes_no_file(finished: Home):
    before = finished.files()
    assert len(before) > 50
    done = finished.run("run")
    assert done.returncode == 0
    assert done.stderr.count("nothing to do") == 12
    assert finished.files() == before


def test_tickers_narrow_what_is_shown_not_what_is_kept(finished: Home):
    code, told = finished.json("run", "--symbols", "msft,aapl")
    assert code == 0
    assert {signal["ticker"] for signal in told["signals"]} == {"AAPL", "MSFT"}
    assert finished.table("daily_report").height == 6


def test_the_event_log_is_the_one_of_the_ui(finished: Home, monkeypatch):
    monkeypatch.setenv("QUANT_ASSETS_DAGSTER_STORAGE", str(finished.folder / "data" / "dagster"))
    with dg.DagsterInstance.from_config(str(finished.folder)) as instance:
        prices = instance.get_materialized_partitions(dg.AssetKey("prices"))
        signals = instance.get_materialized_partitions(dg.AssetKey("signal"))
        runs = instance.get_runs()
    assert {"2007|AAPL", "2013|XOM"} <= prices
    assert len(prices) == 7 * 6
    assert signals == {f"{NIGHT}|{ticker}" for ticker in ("AAPL", "FB", "IBM", "KO", "MSFT", "XOM")}
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}


def test_scores_are_of_models_trained_before_their_quarter(finished: Home):
    scores = finished.table("oos_predictions")
    models = finished.table("model_runs")
    assert (scores["cutoff"] <= scores["session"]).all()
    assert scores["session"].min() == dt.date(2011, 1, 3)
    joined = scores.join(models, on="model_run_id").filter(pl.col("train_end") >= pl.col("session"))
    assert joined.is_empty()
    assert models.filter(pl.col("members") > 0)["cutoff"].to_list() == [dt.date(2013, 1, 1)]


def test_signal_and_record_agree(finished: Home):
    scores = finished.table("oos_predictions").filter(pl.col("session") == dt.date(2013, 3, 1), model="signal-xgboost")
    signals = finished.table("signal")
    assert signals.select("ticker", "score", "model_run_id").equals(scores.sort("ticker").select("ticker", "score", "model_run_id"))


def test_names_with_an_adjusted_close_only_are_ranked_and_never_traded(finished: Home):
    report = finished.table("daily_report")
    assert report.filter(pl.col("ticker") == "KO")["rank"].item() is not None
    assert set(finished.table("equity")["ticker"]) == {"AAPL", "IBM", "MSFT", "PORTFOLIO"}
    assert finished.table("signal").filter(pl.col("ticker") == "KO")["close"].item() is None


def test_coverage_says_complete(finished: Home):
    cells = finished.lake.scan("coverage", window=Window(dt.date(2007, 1, 1), dt.date(2014, 1, 1))).collect()
    assert set(cells["status"]) == {"complete"}
    assert (cells["present"] == cells["expected"]).all()


def test_mlflow_keeps_the_accounts_of_the_last_quarter_that_ended(finished: Home):
    work = finished.workspace()
    registry = ModelRegistry(work.settings.mlflow_uri, work.settings.mlflow_artifacts)
    [run] = registry.client.search_runs([registry.tracking.experiment(EXPERIMENT)])
    assert run.data.tags["partition"] == "2012-10"
    account = pl.col("account") == "portfolio"
    span = Window(work.settings.grids.first_cutoff, dt.date(2013, 1, 1))
    equity, trades = (
        finished.lake.scan(table, window=span).filter(account, strategy="top_fifth").collect() for table in ("equity", "trades")
    )
    expected = measure(Track.of(equity, trades))
    kept = {name.removeprefix("top_fifth."): value for name, value in run.data.metrics.items() if name.startswith("top_fifth.")}
    assert kept["sharpe"] == pytest.approx(expected["sharpe"])
    assert kept["n_trades"] == trades.height
    files = {item.path for item in registry.client.list_artifacts(run.info.run_id)}
    tear_sheet = {"tear_sheet.html", "tear_sheet_trades.csv", "tear_sheet_trades.parquet"}
    assert files == tear_sheet | {"accounts.png", "auc_by_name.csv", "auc_by_year.csv"}
