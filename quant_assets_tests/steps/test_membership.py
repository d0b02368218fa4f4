"""Whole nights over an index with dead names: only members are decided on, and what is written of later members changes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.backtest.costs import DEFAULT_COSTS
from quant_assets.demand import demand
from quant_assets.inventory import inventory
from quant_assets.membership import inside
from quant_assets.models.pooled import training_rows
from quant_assets.models.terms import MODEL_NAME
from quant_assets.steps.records import skill_of
from quant_assets.workspace import Workspace
from quant_assets_tests.steps.dying_market import DEAD, NIGHT, STAYS, fill_history, moved, opened, stored, universe, whole_night

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # MLflow's, of itself

D = dt.date
EARLIER = D(2013, 1, 31)
"""A decided session after both deaths, before F comes back."""


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """History alone, which no membership touches. Not to be written to."""
    work = opened(tmp_path_factory.mktemp("market") / "home")
    fill_history(work)
    return work


@pytest.fixture(scope="module")
def index(bars: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night of the index. Not to be written to."""
    return whole_night(opened(moved(bars, tmp_path_factory.mktemp("index") / "home")), further=(EARLIER,))


def stays(work: Workspace) -> pl.DataFrame:
    assert work.membership is not None
    return work.membership.spans


def lacking(work: Workspace, table: str) -> list[tuple[str, str]]:
    return demand(table, work, work.universe.tickers).holes.select("key", "window").rows()


def test_nothing_is_missing_after_a_delisting(index: Workspace):
    cells = inventory(index, index.universe.tickers).cells
    assert cells.filter(pl.col("status") != "complete").is_empty()
    after = cells.filter(pl.col("table").is_in(["oos_predictions", "signal"]), ticker="G")
    assert after["window"].to_list() == ["2012-10"]


def test_every_entry_is_a_members_and_survivors_do_not_enter_before_they_are(index: Workspace):
    trades = stored(index, "trades").with_columns(session="decided")
    assert inside(trades, stays(index)).height == trades.height > 50
    first = dict(trades.filter(strategy="buy_and_hold", account="ticker").select("ticker", "decided").rows())
    assert first == dict.fromkeys("GH", D(2012, 10, 1))
    for name, since in (("E", D(2013, 1, 2)), ("F", D(2013, 2, 1))):
        decided = trades.filter(ticker=name)["decided"].to_list()
        assert decided
        assert min(decided) >= since


def test_a_dead_name_is_sold_at_its_last_close(index: Workspace):
    sold = stored(index, "trades").filter(exit_reason="delisted", strategy="buy_and_hold")
    owners = sold.select("account", "ticker", "session").sort("account", "ticker").rows()
    assert owners == [(account, name, DEAD[name]) for account in ("portfolio", "ticker") for name in "GH"]
    closes = stored(index, "prices").select("ticker", "session", "close")
    for row in sold.join(closes, on=["ticker", "session"]).iter_rows(named=True):
        assert row["exit_price"] == pytest.approx(row["close"] * (1 - DEFAULT_COSTS.half_spread), rel=1e-12)
    after = stored(index, "equity").filter(pl.col("session") >= DEAD["G"], account="ticker", ticker="G")
    assert after["session"].max() == NIGHT
    assert after["position"].max() == 0
    assert after.group_by("strategy").agg(pl.col("equity").n_unique())["equity"].to_list() == [1, 1, 1]


def test_dead_names_change_what_was_earned(index: Workspace, bars: Workspace, tmp_path: Path):
    """Survivors only, as one would choose them today: another record."""
    alive = opened(moved(bars, tmp_path / "home"), listings=universe({}, without="GH"), stays=None)
    whole_night(alive)
    for strategy in ("top_fifth", "buy_and_hold"):
        ours, theirs = (stored(work, "equity").filter(strategy=strategy, account="portfolio")["equity"] for work in (index, alive))
        assert len(ours) == len(theirs)
        assert abs(ours[-1] - theirs[-1]) > 1
    assert set(stored(alive, "trades")["ticker"]) == set("ABCDEF")


def test_models_learn_from_members_of_the_day(index: Workspace):
    features, labels = stored(index, "features"), stored(index, "labels")
    for row in stored(index, "model_runs").iter_rows(named=True):
        every = training_rows(features, labels, row["cutoff"])
        learnt = inside(every, stays(index))
        assert (row["n_rows"], row["n_tickers"]) == (learnt.height, learnt["ticker"].n_unique())
        assert learnt.height < every.height
        assert row["membership"] == index.membership.version(row["cutoff"])
    assert "G" in set(learnt["ticker"])
    assert "E" not in set(learnt["ticker"])


def test_the_record_is_of_members_only(index: Workspace):
    scored = stored(index, "oos_predictions").filter(model=MODEL_NAME)
    scores = scored.join(stored(index, "labels").drop_nulls("label"), on=["ticker", "session"])
    assert skill_of(index).n_rows == inside(scores, stays(index)).height < scores.height


def test_the_report_says_who_was_no_member(index: Workspace):
    rows = {ticker: tuple(rest) for ticker, *rest in stored(index, "daily_report").filter(session=EARLIER).select(
        "ticker", "status", "reason").iter_rows()}  # fmt: skip
    assert {ticker for ticker, (status, _) in rows.items() if status == "ok"} == set("ABCE")
    assert rows["D"] == rows["F"] == ("not a member", "not a member on this session")
    assert rows["G"] == ("delisted", "last session 2012-11-14")
    tonight = stored(index, "daily_report").filter(session=NIGHT)
    assert tonight.drop_nulls("rank")["ticker"].sort().to_list() == list("ABCEF")
    assert stored(index, "signal").filter(session=NIGHT)["ticker"].to_list() == list("ABCEF")


def test_what_is_written_of_later_members_changes_no_earlier_decision(index: Workspace, bars: Workspace, tmp_path: Path):
    """From 2013-02-01 on everything is another: who enters, who leaves, who comes back."""
    other = STAYS.replace("A,2008-01-02,\n", "A,2008-01-02,2013-02-14\n").replace("F,2013-02-01,\n", "D,2013-02-01,\n")
    future = whole_night(opened(moved(bars, tmp_path / "home"), stays=other), further=(EARLIER,))
    for table in ("signal", "trade_synthesis", "daily_report", "equity", "model_runs", "oos_predictions"):
        assert_frame_equal(*(stored(work, table, EARLIER).drop("model_run_id", "scores", strict=False) for work in (index, future)))
    decided = [stored(work, "trades").filter(pl.col("decided") < EARLIER) for work in (index, future)]
    assert_frame_equal(*decided)
    assert not stored(index, "trades").equals(stored(future, "trades"))


def test_only_what_follows_from_a_change_stands_no_longer(index: Workspace, tmp_path: Path):
    home = moved(index, tmp_path / "home")
    later = opened(home, stays=STAYS.replace("F,2013-02-01,\n", "F,2013-02-15,\n"))
    assert lacking(later, "model_runs") == []
    assert {window for _, window in lacking(later, "equity")} == {"2013-01"}
    assert {window for _, window in lacking(later, "portfolio")} == {"2013-01"}
    before = opened(home, stays=STAYS.replace("D,2008-01-02,2012-12-31", "D,2008-01-02,2012-10-31"))
    assert lacking(before, "model_runs") == [("ALL", "2013-01")]
    assert {window for _, window in lacking(before, "portfolio")} == {"2012-10", "2013-01"}
    none = opened(home, stays=None)
    assert {window for _, window in lacking(none, "model_runs")} == {"2012-10", "2013-01"}
    assert {ticker for ticker, _ in lacking(none, "signal")} == {"D"}


def test_a_death_that_is_told_later_books_the_accounts_from_that_day_again(index: Workspace, tmp_path: Path):
    home = moved(index, tmp_path / "home")
    told = opened(home, listings=universe(DEAD | {"C": D(2013, 2, 15)}))
    assert {window for _, window in lacking(told, "equity")} == {"2013-01"}
    assert lacking(told, "model_runs") == lacking(told, "oos_predictions") == lacking(told, "labels") == []
