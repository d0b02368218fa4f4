"""Learners on 277 real histories, 2003 to 2012: what the house adds to a library's fit, what tuning costs, what the scores were worth.

Run `python benchmarks/learners.py`. Every quarter of five years is scored by models that learned from labels which had ended before it; the
pooled model and the bare library take turns on the same rows, so that their ratio holds on a busy machine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sklearn.metrics  # noqa: F401  loaded before the clock starts
import xgboost as xgb
from features import BARS, DECADE, bars
from rich.console import Console
from rich.table import Table

from quant_assets.backtest.breakdowns import by_year
from quant_assets.backtest.metrics import measure as performance_of
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.backtest.run import backtest_portfolio
from quant_assets.backtest.track import Track
from quant_assets.calendars import Window, quarter_window, session_table, sessions
from quant_assets.features.compute import compute
from quant_assets.features.sets import BASELINE
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.models import pooled, rivals
from quant_assets.models.baselines import Majority, Persistence
from quant_assets.models.learner import Learner
from quant_assets.models.linear import Logistic, Ridge
from quant_assets.models.terms import HORIZON_SESSIONS, MODEL_NAME
from quant_assets.models.trees import CatBoost, LightGBM
from quant_assets.models.tune import Search, tune
from quant_assets.schemas import TABLES
from quant_assets.settings import Grids, Settings
from quant_assets.sources import sources
from quant_assets.steps.at_once import AT_ONCE, at_once
from quant_assets.steps.models import model_row, registry, score_quarters
from quant_assets.validation.purged import recent_slice
from quant_assets.validation.skill import measure
from quant_assets.workspace import Workspace

FIRST_CUTOFF, LAST_CUTOFF = dt.date(2008, 1, 1), dt.date(2012, 10, 1)
TRIALS, TRIALS_BY_DEFAULT = 10, 50
THRESHOLD = 0.65
RETURNS = "ridge on returns"


@dataclass
class Clock:
    """Seconds of the machine and of its processors, summed up."""

    wall: float = 0.0
    processor: float = 0.0

    def of(self, work: Callable[[], Any]) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        return result

    def __str__(self) -> str:
        return f"{self.wall:.1f} s, of the processors {self.processor:.1f} s"


def panel(prices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(features, labels) of the decade."""
    [indices] = sources(Settings(profile="offline"), "index_prices")
    index = indices.normalise(indices.fetch(["sp500"], DECADE), fetched_at=dt.datetime(2013, 1, 2, tzinfo=dt.UTC))
    features = compute({"prices": prices, "index_prices": index}, names=(*BASELINE, "atr_14"))
    days = session_table(Window(DECADE.start, DECADE.end + dt.timedelta(days=30)))
    labels = forward_return_labels(prices.lazy(), days, as_of=dt.date(2012, 12, 31))
    return features, labels


def cutoffs() -> Iterator[dt.date]:
    cutoff = FIRST_CUTOFF
    while cutoff <= LAST_CUTOFF:
        yield cutoff
        cutoff = quarter_window(cutoff).end


def bare(rows: pl.DataFrame) -> Callable[[], xgb.Booster]:
    """The same two fits as a user of XGBoost writes them, from arrays that lie ready."""
    fit, validation, every = [
        (part.select(BASELINE).cast(pl.Float32).to_numpy(), part["label"].to_numpy()) for part in (*recent_slice(rows, 252), rows)
    ]

    def fits() -> xgb.Booster:
        def matrix(part: tuple[Any, Any], like: xgb.DMatrix | None = None) -> xgb.QuantileDMatrix:
            return xgb.QuantileDMatrix(part[0], label=part[1], feature_names=list(BASELINE), nthread=1, ref=like)

        learnt = matrix(fit)
        held = matrix(validation, learnt)
        scout = xgb.train(pooled.PARAMETERS, learnt, 300, evals=[(held, "held")], early_stopping_rounds=25, verbose_eval=False)
        return xgb.train(pooled.PARAMETERS, matrix(every), scout.best_iteration + 1)

    return fits


def walk(features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Scores of every quarter by each model, long: model, ticker, session, score, base_rate."""
    house, library = Clock(), Clock()
    others: dict[str, Learner] = {"logistic": Logistic(), "persistence": Persistence(), "majority": Majority(), RETURNS: Ridge()}
    found, rounds = [], []
    for cutoff in cutoffs():

        def learn(cutoff: dt.date = cutoff) -> tuple[pl.DataFrame, pooled.TrainedModel]:
            rows = pooled.training_rows(features, labels, cutoff)
            return rows, pooled.train(rows, cutoff, with_members=False, features=BASELINE)

        rows, model = house.of(learn)
        library.of(bare(rows))
        rounds.append(model.best_round)
        window = quarter_window(cutoff)
        asked = pooled.with_history(features.filter(pl.col("session") < window.end)).filter(pl.col("session") >= cutoff)
        scores = {"pooled XGBoost": pooled.predict(model.booster, asked, features=BASELINE)}
        X, span = rows.select(BASELINE), rows.select("label_start", "label_end")
        for name, learner in others.items():
            learned = learner.fit(X, rows["ret" if name == RETURNS else "label"], label_span=span)
            scores[name] = learned.scores(asked.select(BASELINE))
        keys = asked.select("ticker", "session", base_rate=pl.lit(model.base_rate))
        found += [keys.with_columns(model=pl.lit(name), score=pl.Series(score)) for name, score in scores.items()]
        print(f"  {cutoff}: {rows.height:,} rows, {model.best_round} trees", flush=True)
    print(f"Twenty quarters, pooled model with its rows: {house}; bare XGBoost from arrays: {library}.")
    print(f"Ratio {house.wall / library.wall:.2f}, of processor seconds {house.processor / library.processor:.2f} (target: at most 1.1).")
    print(f"Median number of trees: {np.median(rounds):.0f}.", flush=True)
    night = Clock()
    night.of(lambda: nightly(features, labels))
    told = f"The same models as a backfill trains them, {AT_ONCE} at once, with five folds, SHAP values and curves: {night}"
    print(f"{told}, {night.wall / library.wall:.2f} of bare XGBoost's one after another.", flush=True)
    return pl.concat(found)


def nightly(features: pl.DataFrame, labels: pl.DataFrame) -> None:
    def learn(cutoff: dt.date) -> None:
        pooled.train(pooled.training_rows(features, labels, cutoff), cutoff, features=BASELINE, with_evidence=True)

    for _ in at_once(learn, list(cutoffs())):
        pass


def one_fit(rows: pl.DataFrame) -> None:
    X, span = rows.select(BASELINE), rows.select("label_start", "label_end")
    for learner in (LightGBM(), CatBoost()):
        clock = Clock()
        learned = clock.of(lambda learner=learner: learner.fit(X, rows["label"], label_span=span))
        print(f"{type(learner).__name__}, {rows.height:,} rows, held year and refit, {learned.best_round_} trees: {clock}", flush=True)


def tuned(rows: pl.DataFrame) -> None:
    """On every third session, whose labels do not overlap: a third of the rows tells nearly as much."""
    thin = rows.filter((pl.col("session").rank("dense") - 1) % HORIZON_SESSIONS == 0)
    clock = Clock()
    learner = LightGBM()
    found = clock.of(
        lambda: tune(
            learner,
            thin.select(BASELINE),
            thin["label"],
            label_span=thin.select("label_start", "label_end"),
            search=Search(n_trials=TRIALS),
        )
    )
    pruned = sum(attempt.value is None for attempt in found.trials)
    print(f"LightGBM, {TRIALS} trials x 5 purged folds of {thin.height:,} rows, {pruned} pruned: {clock}.")
    more, n_names = TRIALS_BY_DEFAULT / TRIALS, thin["ticker"].n_unique()
    print(f"{TRIALS_BY_DEFAULT} at that rate, for all {n_names} names: {Clock(more * clock.wall, more * clock.processor)}.")
    print(f"AUC in the folds {found.trials[0].value:.4f} by default, {found.value:.4f} at best, by {dict(found.params)}.", flush=True)


def told(figure: float | None, low: float | None, high: float | None) -> str:
    if figure is None or low is None or high is None:
        return "" if figure is None else f"{figure:.3f}"
    return f"{figure:.3f} ({low:.3f} to {high:.3f})"


def record(scores: pl.DataFrame, labels: pl.DataFrame) -> Table:
    """AUC and rank IC by model and year with their 95 % intervals, as `measure` gives them."""
    known = scores.join(labels.drop_nulls("label"), on=["ticker", "session"])
    table = Table(box=None, title=f"{known['session'].n_unique():,} sessions out of sample, 95 % intervals", title_justify="left")
    spans = {str(year): pl.col("session").dt.year() == year for year in range(FIRST_CUTOFF.year, LAST_CUTOFF.year + 1)} | {
        "all": pl.lit(True)
    }
    for column in ("", "", *spans):
        table.add_column(column)
    for name in scores["model"].unique(maintain_order=True):
        skills = [measure(known.filter((pl.col("model") == name) & inside), threshold=THRESHOLD) for inside in spans.values()]
        table.add_row(name, "AUC", *(told(skill.auc, skill.auc_low, skill.auc_high) for skill in skills))
        table.add_row("", "rank IC", *(told(skill.rank_ic, skill.rank_ic_low, skill.rank_ic_high) for skill in skills))
        if name != RETURNS:
            table.add_row("", "log-loss", *(f"{skill.log_loss:.4f}, base {skill.base_log_loss:.4f}" for skill in skills))
        print(f"  measured: {name}", flush=True)
    return table


def accounts(prices: pl.DataFrame, scores: pl.DataFrame, features: pl.DataFrame) -> Table:
    """Sharpe ratio by year, after costs, of what traded the pooled model's scores by the default trade, beside buy-and-hold."""
    mine = scores.filter(model="pooled XGBoost").select("ticker", "session", "score")
    first, last = mine["session"].min(), mine["session"].max()
    inside = prices.filter(pl.col("session").is_between(first, last))
    atr = features.select("ticker", "session", "atr_14").filter(pl.col("session").is_between(first, last))
    booked = backtest_portfolio(inside, mine, atr, as_of=last, threshold=THRESHOLD)
    table = Table(box=None, title="Portfolio of $10,000, after costs: Sharpe ratio by year (total return)", title_justify="left")
    years = range(FIRST_CUTOFF.year, LAST_CUTOFF.year + 1)
    for column in ("", *map(str, years), "all", "trades"):
        table.add_column(column)
    for strategy in STRATEGIES:
        track = Track.of(booked.equity.filter(strategy=strategy), booked.trades.filter(strategy=strategy))
        whole, yearly = performance_of(track), by_year(track)
        shown = {row["year"]: row for row in yearly.iter_rows(named=True)}
        cells = [f"{shown[year]['sharpe'] or 0:+.2f} ({shown[year]['total_return']:+.1%})" for year in years]
        table.add_row(strategy, *cells, f"{whole['sharpe'] or 0:+.2f} ({whole['total_return']:+.1%})", f"{whole['n_trades']:,.0f}")
    return table


def scoring() -> None:
    """The nightly step on a lake of 500 names and ten years: the running quarter by the model of its cut-off, written and logged."""
    rng, names = np.random.default_rng(7), [f"N{place:03}" for place in range(500)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "universe.csv").write_text("\n".join(["ticker,source,listed", *(f"{name},bokeh,2003-01-02" for name in names), ""]))
        grids = Grids(history_start=dt.date(2003, 1, 1), first_cutoff=LAST_CUTOFF, first_decision=LAST_CUTOFF)
        settings = Settings(home=home, profile="offline", universe=home / "universe.csv", grids=grids)
        work = Workspace.open(settings, as_of=dt.date(2012, 12, 28))
        days = pl.DataFrame({"session": sessions(work.history)})
        keys = pl.DataFrame({"ticker": names}).join(days, how="cross")
        rows = keys.with_columns(pl.Series(name, rng.normal(size=keys.height)) for name in BASELINE)
        spec = TABLES["features"]
        others = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in spec.schema.items() if name not in rows.columns]
        work.lake.replace("features", spec.conform(rows.with_columns(others).select(list(spec.schema))), keys=names, window=work.history)
        labels = keys.with_columns(label=pl.Series(rng.integers(0, 2, keys.height)), ret=pl.Series(rng.normal(size=keys.height)))
        ends = days.with_columns(label_start="session", label_end=pl.col("session").shift(-HORIZON_SESSIONS))
        known = labels.join(ends, on="session").drop_nulls()
        learnt = pooled.training_rows(rows.filter(pl.col("ticker") < "N050"), known, LAST_CUTOFF)
        model = pooled.train(learnt, LAST_CUTOFF, features=BASELINE)
        logged = registry(work).log(model, partition="2012-10", files=rivals.taught(learnt, BASELINE))
        day = Window(LAST_CUTOFF, LAST_CUTOFF + dt.timedelta(days=1))
        work.lake.replace("model_runs", model_row(work, model, logged.run_id, name=MODEL_NAME), keys=None, window=day)
        taken = []
        for _ in range(3):
            clock = Clock()
            quarter = {"2012-10": quarter_window(LAST_CUTOFF)}
            found = clock.of(lambda quarter=quarter: score_quarters(work, names, quarter, run_id=None))
            taken.append(clock)
        n = found.rows.filter(session=work.as_of)["score"].count()
        print(f"Nightly scoring of {n} names, {found.rows.height:,} scores of the quarter: {min(taken, key=lambda clock: clock.wall)}.")
        print("(best of three; target: below 2 s)", flush=True)


def main(only: str | None) -> None:
    if not BARS.exists():
        sys.exit(f"{BARS} is not there: set QUANT_ASSETS_SHARED to the folder with shared data")
    if only in (None, "scoring"):
        scoring()
    if only == "scoring":
        return
    prices = bars(DECADE)
    features, labels = panel(prices)
    print(f"{features.height:,} rows of {features['ticker'].n_unique()} names, {len(BASELINE)} features.", flush=True)
    last = pooled.training_rows(features, labels, LAST_CUTOFF)
    if only in (None, "fits"):
        one_fit(last)
    if only in (None, "tuning"):
        tuned(last)
    if only in (None, "walk"):
        scores = walk(features, labels)
        Console(width=190).print(record(scores, labels))
        Console(width=190).print(accounts(prices, scores, features))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("scoring", "fits", "tuning", "walk"))
    main(parser.parse_args().only)
