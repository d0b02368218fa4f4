"""The scores as a signal in the lake: whole rows, null until a horizon has ended, found missing when anything they came from is another."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.backtest.metrics import performance
from quant_assets.backtest.thresholds import FIGURES, GRID
from quant_assets.calendars import Window, sessions
from quant_assets.demand import demand
from quant_assets.lake import coverage
from quant_assets.models.terms import MODEL_NAME
from quant_assets.planning import PHASES, missing_cells
from quant_assets.quality.rules import broken, rules
from quant_assets.schemas import TABLES
from quant_assets.settings import Signal
from quant_assets.sources.base import known_at_close
from quant_assets.steps import backtests, signals
from quant_assets.steps.guard import note
from quant_assets.validation.signal_quality import HORIZONS, measure
from quant_assets.workspace import Workspace
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.steps.dying_market import at, opened, stored

D = dt.date
NIGHT = D(2013, 3, 1)
EARLIER = D(2013, 1, 18)
"""A session on which horizons of the quarter before have not ended."""
JUDGED = ("signal_quality", "threshold_sweep")
[PHASE] = (phase for phase in PHASES if phase.name == "portfolio")


def scored_market(work: Workspace) -> None:
    """Bars, features, models and scores of six names in two quarters, written as their steps do; scores know half of the next return."""
    names, span = work.universe.tickers, Window(D(2012, 9, 4), D(2013, 3, 2))
    rng = np.random.default_rng(4)
    rows = coverage.every_session(names, span).rename({"key": "ticker"}).sort("ticker", "session")
    step = pl.Series("step", rng.normal(0, 0.02, rows.height))
    rows = rows.with_columns(step).with_columns(close=100 * pl.col("step").cum_sum().over("ticker").exp())
    bars = rows.with_columns(
        *(pl.col("close").alias(name) for name in ("open", "high", "low")),
        volume=pl.lit(1e6),
        price_basis=pl.lit("raw"),
        split_factor=pl.lit(1.0),
        dividend=pl.lit(0.0),
        inferred=pl.lit(False),
        source=pl.lit("bokeh"),
        fetched_at=pl.lit(FETCHED_AT, dtype=pl.Datetime("us", "UTC")),
    )
    work.lake.replace("prices", known_at_close(bars).select(list(TABLES["prices"].schema)), keys=None, window=span)
    blank = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in TABLES["features"].schema.items() if name not in rows.columns]
    features = rows.with_columns(*blank).with_columns(atr_14=pl.lit(2.0)).select(list(TABLES["features"].schema))
    work.lake.replace("features", features, keys=None, window=span)
    write_models(work, "first", "second")
    noise = pl.Series("noise", rng.normal(0, 0.02, rows.height))
    ahead = pl.col("step").shift(-1).over("ticker").fill_null(0)
    scores = rows.with_columns(noise).with_columns(score=(0.55 + 2 * (ahead + pl.col("noise"))).clip(0.3, 0.9).round(2))
    scores = scores.filter(pl.col("session") >= work.settings.grids.first_cutoff).select(
        pl.lit(MODEL_NAME).alias("model"),
        "ticker",
        "session",
        "score",
        base_rate=pl.lit(0.52),
        cutoff=pl.col("session").dt.truncate("1q"),
        model_run_id=pl.when(pl.col("session") < D(2013, 1, 1)).then(pl.lit("first")).otherwise(pl.lit("second")),
    )
    work.lake.replace("oos_predictions", scores, keys=None, window=work.out_of_sample)
    note(work, "oos_predictions", names, work.quarter_windows(), run_id="night", withheld={})


def write_models(work: Workspace, *runs: str) -> None:
    """A model of each quarter, of these runs."""
    schema = TABLES["model_runs"].schema
    values = {name: 0.5 if dtype == pl.Float64 else 1 if dtype == pl.Int64 else D(2012, 1, 3) for name, dtype in schema.items()}
    words = {"model": MODEL_NAME, "feature_set": "same", "lake_version": "same", "membership": None}
    cutoffs = [window.start for window in work.quarter_windows().values()]
    rows = [{**values, **words, "cutoff": cutoff, "model_run_id": run} for cutoff, run in zip(cutoffs, runs, strict=True)]
    work.lake.replace("model_runs", pl.DataFrame(rows, schema=schema), keys=None, window=work.out_of_sample)


def judge(work: Workspace) -> Workspace:
    signals.judge_scores(work, work.quarter_windows())
    signals.sweep_thresholds(work, work.quarter_windows())
    return work


def lacking(work: Workspace, table: str) -> list[str]:
    return demand(table, work, work.universe.tickers).holes["window"].to_list()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Scores and nothing made of them. Not to be written to."""
    listings = "ticker,source,listed\n" + "".join(f"{name},bokeh,2012-09-04\n" for name in "ABCDEF")
    work = opened(tmp_path_factory.mktemp("market") / "home", listings=listings, stays=None)
    scored_market(work)
    return work


@pytest.fixture(scope="module")
def judged(market: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """After a night. Not to be written to."""
    return judge(elsewhere(market, tmp_path_factory.mktemp("judged") / "home"))


def elsewhere(work: Workspace, folder: Path, *, own: float = 0.65) -> Workspace:
    """A copy of the home, with this threshold."""
    shutil.copytree(work.settings.home, folder)
    settings = work.settings.model_copy(update={"home": folder, "signal": Signal(score_threshold=own)})
    return Workspace.open(settings.model_copy(update={"universe": folder / "universe.csv"}), as_of=work.as_of, clock=work.clock)


def test_every_session_and_horizon_has_its_row(market: Workspace, judged: Workspace):
    rows = stored(judged, "signal_quality")
    days = sessions(Window(D(2012, 10, 1), D(2013, 3, 2)))
    assert rows.select("horizon", "session").rows() == [(horizon, day) for horizon in HORIZONS for day in days]
    scores = stored(judged, "oos_predictions").select("ticker", "session", "score")
    prices = stored(judged, "prices").filter(pl.col("session") >= days[0])
    expected = measure(scores, prices.lazy(), since=days[0], as_of=NIGHT)
    assert_frame_equal(rows.drop("model", "among", "scores"), expected, check_column_order=False, check_exact=True)
    assert rows.filter(horizon=1)["ic"].mean() > 0.3


@pytest.mark.parametrize("table", JUDGED)
def test_no_row_breaks_a_rule_of_its_table(judged: Workspace, table: str):
    rows = stored(judged, table)
    assert [rule for rule in rules(table) if rows.select(broken(rule).any()).item()] == []


def test_nothing_is_missing_after_it_and_everything_before(market: Workspace, judged: Workspace):
    for table in JUDGED:
        assert lacking(market, table) == ["2012-10", "2013-01"]
        assert lacking(judged, table) == []
    assert {window for _, window in missing_cells(PHASE, market, tickers=market.universe.tickers)} == {"2012-10", "2013-01"}


def test_again_changes_no_file(judged: Workspace):
    files = [path for table in JUDGED for path in (judged.lake.root / table).rglob("*.parquet")]
    before = [(path, path.stat().st_mtime_ns) for path in files]
    judge(judged)
    assert [(path, path.stat().st_mtime_ns) for path in files] == before
    assert len(before) == 4


def test_a_later_night_fills_what_had_not_ended_and_moves_nothing_else(market: Workspace, judged: Workspace, tmp_path: Path):
    work = elsewhere(market, tmp_path / "home")
    early = at(work, EARLIER)
    judge(early)
    then = stored(work, "signal_quality")
    assert then["session"].max() == EARLIER
    assert then.filter(pl.col("ends") > EARLIER)["ic"].null_count() == sum(HORIZONS)
    ended = pl.col("ends") <= EARLIER
    same = stored(judged, "signal_quality")
    assert_frame_equal(then.filter(ended), same.filter(ended), check_exact=True)
    assert [lacking(early, table) for table in JUDGED] == [[], []]
    assert lacking(work, "signal_quality") == ["2012-10", "2013-01"]  # the last twenty sessions of the first quarter
    assert lacking(work, "threshold_sweep") == ["2013-01"]
    judge(work)
    for table in JUDGED:
        assert_frame_equal(stored(work, table), stored(judged, table), check_exact=True)


def test_an_earlier_night_after_the_later_one_lacks_nothing(judged: Workspace):
    for night in (EARLIER, D(2012, 11, 15)):
        assert [lacking(at(judged, night), table) for table in JUDGED] == [[], []]


def test_one_quarter_alone_comes_back_row_for_row(judged: Workspace, tmp_path: Path):
    work = elsewhere(judged, tmp_path / "home")
    quarter = work.quarter_windows()["2012-10"]
    for table in JUDGED:
        work.lake.replace(table, TABLES[table].empty, keys=None, window=quarter)
        assert lacking(work, table) == ["2012-10"]
    signals.judge_scores(work, {"2012-10": quarter})
    signals.sweep_thresholds(work, {"2012-10": quarter})
    for table in JUDGED:
        assert_frame_equal(stored(work, table), stored(judged, table), check_exact=True)


def test_rows_of_another_model_stand_no_longer(judged: Workspace, tmp_path: Path):
    work = elsewhere(judged, tmp_path / "home")
    write_models(work, "first", "third")
    scores = stored(work, "oos_predictions")
    third = pl.when(pl.col("model_run_id") == "second").then(pl.lit("third")).otherwise("model_run_id").alias("model_run_id")
    work.lake.replace("oos_predictions", scores.with_columns(third), keys=None, window=work.out_of_sample)
    assert [lacking(work, table) for table in JUDGED] == [["2013-01"], ["2013-01"]]


def test_rows_among_other_names_stand_no_longer(judged: Workspace, tmp_path: Path):
    folder = elsewhere(judged, tmp_path / "home").settings.home
    fewer = opened(folder, listings="ticker,source,listed\n" + "".join(f"{name},bokeh,2012-09-04\n" for name in "ABCDE"), stays=None)
    assert [lacking(fewer, table) for table in JUDGED] == [["2012-10", "2013-01"]] * 2
    judge(fewer)
    assert [lacking(fewer, table) for table in JUDGED] == [[], []]
    assert set(stored(fewer, "signal_quality")["scored"]) == {5}


def test_only_members_of_the_day_are_measured(market: Workspace, tmp_path: Path):
    folder = elsewhere(market, tmp_path / "home").settings.home
    listings = (folder / "universe.csv").read_text()
    stays = "".join(f"{name},2012-09-04,{'2012-12-31' if name == 'F' else ''}\n" for name in "ABCDEF")
    work = judge(opened(folder, listings=listings, stays="ticker,start,end\n" + stays))
    counts = stored(work, "signal_quality").group_by(pl.col("session") < D(2013, 1, 1)).agg(pl.col("scored").unique())
    assert dict(counts.rows()) == {True: [6], False: [5]}
    assert [lacking(work, table) for table in JUDGED] == [[], []]


def test_the_sweep_has_the_users_own_account(judged: Workspace, tmp_path: Path):
    work = elsewhere(judged, tmp_path / "home", own=0.58)
    backtests.backtest_together(work, work.quarter_windows())
    assert lacking(work, "threshold_sweep") == ["2012-10", "2013-01"]
    assert lacking(work, "signal_quality") == []
    signals.sweep_thresholds(work, work.quarter_windows())
    rows = stored(work, "threshold_sweep")
    ends = [D(2012, 12, 31), NIGHT]
    assert rows.select("threshold", "session").rows() == [(each, end) for each in sorted((*GRID, 0.58)) for end in ends]
    own = {"strategy": "threshold", "account": "portfolio"}
    equity, trades = (stored(work, table).filter(**own) for table in ("equity", "trades"))
    for end in ends:
        done = performance(equity.filter(pl.col("session") <= end), trades.filter(pl.col("session") <= end))
        [row] = rows.filter(threshold=0.58, session=end).to_dicts()
        assert row["n_trades"] == done.n_trades > 10
        assert [row[name] for name in FIGURES] == [getattr(done, name) for name in FIGURES]
    assert rows.filter(session=NIGHT)["n_entries"].is_sorted(descending=True)
    back = elsewhere(work, tmp_path / "back")
    assert lacking(back, "threshold_sweep") == []  # the grid is there; a threshold that is no longer asked for is in nobody's way


def test_the_figures_say_what_the_pictures_need(judged: Workspace, tmp_path: Path):
    work = elsewhere(judged, tmp_path / "home")
    result = signals.judge_scores(work, {"2013-01": work.quarter_windows()["2013-01"]})
    assert set(result.rows["session"].dt.year()) == {2013}
    assert set(result.figures) == {"record", "beside_baselines", "quarter 2013-01", "by_year"}
    assert list(result.figures["record"]) == [f"horizon {horizon}" for horizon in HORIZONS]
    assert result.figures["record"]["horizon 1"].startswith("rank IC +0.")
    assert result.figures["by_year"]["year"].to_list() == [2012, 2013]
    swept = signals.sweep_thresholds(work, work.quarter_windows())
    fixed = backtests.backtest_together(work, work.quarter_windows()).rows.filter(strategy="top_fifth", account="portfolio")
    wealth = fixed.sort("session")["equity"].to_numpy()
    returns = wealth[1:] / wealth[:-1] - 1
    assert swept.figures["sharpe_of_top_fifth"] == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(252))
