"""Skill against scikit-learn, scipy and arch, and where there is nothing to measure."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from arch.bootstrap import CircularBlockBootstrap
from scipy.stats import spearmanr
from sklearn.metrics import log_loss, roc_auc_score

from quant_assets.validation.skill import BLOCK_SESSIONS, FEWEST_SESSIONS, RESAMPLES, SCORE_BINS, SEED, Skill, measure
from quant_assets_tests.small import FEATURES, labelled

NAMES = ("A", "B", "C", "D", "E", "F")


def scored(n_sessions: int = 300, *, signal: float = 0.3, digits: int = 2, seed: int = 5) -> pl.DataFrame:
    """Scores with ties (two digits), a known share of signal, and some rows without score or label."""
    rows = labelled(n_sessions, NAMES, seed=seed)
    noise = pl.Series(np.random.default_rng(seed).normal(size=rows.height))
    score = 1 / (1 + (-(signal * rows[FEATURES[0]] + (1 - signal) * noise)).exp())
    out = rows.with_columns(score=score.round(digits), base_rate=pl.lit(0.52))
    gap = pl.int_range(pl.len()) % 37
    return out.with_columns(pl.when(gap != 3).then("score").alias("score"), pl.when(gap != 5).then("label").alias("label"))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return scored()


@pytest.fixture(scope="module")
def skill(rows: pl.DataFrame) -> Skill:
    return measure(rows, threshold=0.65)


def known(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop_nulls(["score", "label"])


def test_point_estimates_are_those_of_sklearn(rows: pl.DataFrame, skill: Skill):
    label, score = known(rows)["label"].to_numpy(), known(rows)["score"].to_numpy()
    assert skill.auc == pytest.approx(roc_auc_score(label, score), rel=1e-14)
    assert skill.log_loss == pytest.approx(log_loss(label, score), rel=1e-14)
    assert skill.base_log_loss == pytest.approx(-np.mean(np.where(label == 1, np.log(0.52), np.log(0.48))))
    assert skill.base_rate == label.mean()
    assert skill.share_above_threshold == np.mean(score > 0.65)
    assert (skill.n_rows, skill.n_sessions, skill.n_names) == (known(rows).height, 300, 6)
    assert (skill.first, skill.last) == (rows["session"].min(), rows["session"].max())


def weighted_aucs(rows: pl.DataFrame) -> np.ndarray:
    """The AUC of every resample of sessions, by sklearn with each row weighted by how often its session was drawn."""
    day = rows["session"].rank("dense").to_numpy().astype(int) - 1
    n_days = day.max() + 1
    label, score = rows["label"].to_numpy(), rows["score"].to_numpy()
    bootstrap = CircularBlockBootstrap(BLOCK_SESSIONS, np.arange(n_days), seed=SEED)
    draws = (np.bincount(positional[0], minlength=n_days) for positional, _ in bootstrap.bootstrap(RESAMPLES))
    return np.array([roc_auc_score(label, score, sample_weight=drawn[day]) for drawn in draws])


def test_the_interval_is_that_of_weighted_aucs(rows: pl.DataFrame, skill: Skill):
    """Ties included: two digits on 1,700 rows."""
    assert known(rows)["score"].n_unique() < 100
    expected = np.percentile(weighted_aucs(known(rows)), [2.5, 97.5])
    assert (skill.auc_low, skill.auc_high) == pytest.approx(expected, rel=1e-12)
    assert skill.auc_low < skill.auc < skill.auc_high


def test_of_many_scores_those_given_often_are_told_apart():
    """More scores than bins, and most rows have one of three neighbouring ones: two of those in one bin would move the limits by 0.04."""
    rows = labelled(FEWEST_SESSIONS, [f"N{place}" for place in range(25)]).with_row_index()
    often = 0.5 + 1e-6 * (pl.col("label") + pl.col("index") % 2)
    rows = rows.with_columns(
        base_rate=pl.lit(0.5), score=pl.when(pl.col("index") % 7 < 3).then(pl.col("index") / rows.height).otherwise(often)
    )
    assert rows["score"].n_unique() > SCORE_BINS
    found = measure(rows, threshold=0.65)
    assert (found.auc_low, found.auc_high) == pytest.approx(np.percentile(weighted_aucs(rows), [2.5, 97.5]), abs=1e-4)


def test_years_are_measured_apart(rows: pl.DataFrame, skill: Skill):
    """2011 has 48 sessions, too few for an interval."""
    assert [year for year, *_ in skill.by_year] == [2010, 2011]
    for year, auc, *_ in skill.by_year:
        part = known(rows).filter(pl.col("session").dt.year() == year)
        assert auc == pytest.approx(roc_auc_score(part["label"], part["score"]), rel=1e-14)
    first = known(rows).filter(pl.col("session").dt.year() == 2010)
    assert skill.by_year[0][2:] == pytest.approx(np.percentile(weighted_aucs(first), [2.5, 97.5]), rel=1e-12)
    assert skill.by_year[1][2:] == (None, None)


@pytest.mark.parametrize("n_sessions", [5, 21, 22, 42, 104])
def test_below_five_blocks_there_is_no_interval_and_nothing_is_proven(n_sessions: int):
    few = measure(scored(n_sessions, signal=0.9), threshold=0.65)
    assert few.auc > 0.7
    assert few.rank_ic > 0.3
    assert (few.auc_low, few.auc_high, few.rank_ic_low, few.rank_ic_high) == (None, None, None, None)
    assert few.unproven == f"unproven: out-of-sample AUC {few.auc:.3f} of {n_sessions} sessions, 105 are needed for an interval"


def test_five_blocks_have_an_interval():
    """Of the AUC; not all of these sessions have five names with a score and a label, so those with a rank IC are too few."""
    enough = measure(scored(FEWEST_SESSIONS, signal=0.9), threshold=0.65)
    assert 0.5 < enough.auc_low < enough.auc < enough.auc_high
    assert enough.unproven is None
    assert enough.rank_ic > 0.3
    assert (enough.rank_ic_low, enough.rank_ic_high) == (None, None)


def test_rank_ic_against_a_loop(rows: pl.DataFrame, skill: Skill):
    """Spearman by scipy on each session with five names or more, ties ranked by their average."""
    each = []
    for day in rows["session"].unique().sort():
        part = known(rows).filter(session=day)
        if part.height >= 5:
            each.append(spearmanr(part["score"], part["ret"]).statistic)
    assert 200 < len(each) < 300
    assert skill.rank_ic == pytest.approx(np.mean(each), rel=1e-12)
    assert skill.rank_ic_low < skill.rank_ic < skill.rank_ic_high
    assert skill.rank_ic_low > 0


def test_perfect_and_inverted_scores(rows: pl.DataFrame):
    perfect = measure(rows.with_columns(score=0.1 + 0.8 * pl.col("label")), threshold=0.65)
    assert (perfect.auc, perfect.auc_low, perfect.auc_high) == (1.0, 1.0, 1.0)
    assert perfect.unproven is None
    inverted = measure(rows.with_columns(score=0.9 - 0.8 * pl.col("label")), threshold=0.65)
    assert (inverted.auc, inverted.auc_high) == (0.0, 0.0)
    assert inverted.unproven == "unproven: out-of-sample AUC 0.000, interval 0.000 to 0.000 lies below 0.5"


def test_shuffled_scores_are_unproven(rows: pl.DataFrame):
    shuffled = measure(rows.with_columns(pl.col("score").shuffle(seed=1)), threshold=0.65)
    assert shuffled.auc_low < 0.5 < shuffled.auc_high
    assert shuffled.rank_ic_low < 0 < shuffled.rank_ic_high
    assert shuffled.unproven.endswith("includes 0.5")
    assert measure(rows, threshold=0.65).unproven is None


def test_names_of_a_session_moving_together_widen_the_interval():
    """Each row six times over, as six names that do the same: no more is known than from one name."""
    one = scored().filter(ticker="A")
    copies = pl.concat([one.with_columns(ticker=pl.lit(name)) for name in NAMES])
    narrow, wide = measure(one, threshold=0.65), measure(copies, threshold=0.65)
    assert (wide.auc_low, wide.auc_high) == pytest.approx((narrow.auc_low, narrow.auc_high), rel=1e-12)


def test_nothing_to_measure(rows: pl.DataFrame):
    empty = measure(rows.clear(), threshold=0.65)
    assert dataclasses.asdict(empty) == dataclasses.asdict(Skill(0, 0, 0))
    assert empty.unproven == "unproven: no out-of-sample score has a known label yet"
    assert measure(rows.with_columns(score=pl.lit(None, dtype=pl.Float64)), threshold=0.65).auc is None
    one_outcome = measure(rows.with_columns(label=pl.lit(1)), threshold=0.65)
    assert one_outcome.auc is None
    assert one_outcome.n_rows > 0


def test_few_names_have_no_rank_ic(rows: pl.DataFrame):
    skill = measure(rows.filter(pl.col("ticker") < "E"), threshold=0.65)
    assert (skill.rank_ic, skill.rank_ic_low, skill.rank_ic_high) == (None, None, None)
    constant = measure(rows.with_columns(score=0.5), threshold=0.65)
    assert (constant.auc, constant.rank_ic) == (0.5, None)
