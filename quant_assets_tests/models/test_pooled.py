"""The pooled model: the same bytes from the same past, whatever the future holds."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from sklearn.metrics import log_loss, roc_auc_score

from quant_assets.calendars import Window, session_offset, sessions
from quant_assets.errors import ModelError
from quant_assets.models import pooled
from quant_assets.models.evidence import by_fold
from quant_assets.models.pooled import TrainedModel, content_hash, importances, predict, score_interval, train, training_rows, with_history
from quant_assets.models.terms import OWN_MODEL_SESSIONS
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets_tests.small import FEATURES, labelled

CUTOFF = dt.date(2010, 10, 1)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    """Real training on a small scale."""
    for name, value in {"MEMBERS": 6, "MIN_TRAINING_SESSIONS": 80, "VALIDATION_SESSIONS": 40, "MIN_HISTORY_SESSIONS": 20}.items():
        monkeypatch.setattr(pooled, name, value)
    monkeypatch.setattr(pooled, "PARAMETERS", pooled.PARAMETERS | {"min_child_weight": 5})


def tables(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows.select("ticker", "session", *FEATURES), rows.select("ticker", "session", "label", "label_end", "ret")


def trained(rows: pl.DataFrame, *, with_members: bool = False, cutoff: dt.date = CUTOFF) -> TrainedModel:
    return train(training_rows(*tables(rows), cutoff), cutoff, with_members=with_members, features=FEATURES)


def raw(model: TrainedModel) -> list[bytes]:
    return [bytes(booster.save_raw("ubj")) for booster in (model.booster, *model.members)]


def test_training_twice_gives_the_same_bytes():
    rows = labelled(240)
    one, two = trained(rows, with_members=True), trained(rows, with_members=True)
    assert raw(one) == raw(two)
    assert len(set(raw(one))) == 7
    assert one.lake_version == two.lake_version


def test_the_order_of_the_stored_rows_does_not_matter():
    rows = labelled(240)
    assert raw(trained(rows.sample(fraction=1, shuffle=True, seed=1))) == raw(trained(rows))


def test_the_future_changes_nothing():
    """Everything from the cut-off on, and every label that ends within the embargo or after it, is corrupted."""
    rows = labelled(240)
    limit = session_offset(CUTOFF, -5)
    late = pl.col("label_end") >= limit
    noise = [pl.when(pl.col("session") >= CUTOFF).then(1e6).otherwise(name).alias(name) for name in FEATURES]
    corrupted = rows.with_columns(*noise, label=pl.when(late).then(1 - pl.col("label")).otherwise("label"))
    assert not corrupted.equals(rows)
    before = trained(rows, with_members=True)
    assert raw(trained(corrupted, with_members=True)) == raw(before)
    assert raw(trained(rows.filter(pl.col("label_end") < limit), with_members=True)) == raw(before)
    assert before.train_end == session_offset(CUTOFF, -9)  # its label ends 3 sessions later, and 5 lie between that and the cut-off
    past = rows.with_columns(label=pl.when(pl.col("label_end") == session_offset(limit, -1)).then(1 - pl.col("label")).otherwise("label"))
    assert raw(trained(past)) != raw(trained(rows))


def test_what_a_model_says_of_itself():
    rows = labelled(240)
    model = trained(rows, with_members=True)
    used = training_rows(*tables(rows), CUTOFF)
    assert (model.n_rows, model.n_tickers) == (used.height, 3)
    assert (model.train_start, model.train_end) == (used["session"].min(), used["session"].max())
    assert model.base_rate == pytest.approx(used["label"].mean())
    assert model.validation_auc > 0.7
    assert model.validation_log_loss < np.log(2)
    assert model.booster.num_boosted_rounds() == model.best_round
    assert importances(model.booster)[0][0] == FEATURES[0]
    assert sum(share for _, share in importances(model.booster)) == pytest.approx(1)


def test_history_counts_stored_sessions_of_each_name():
    """A name's first 19 rows are not learned from, wherever it begins."""
    late = labelled(120).filter((pl.col("ticker") != "B") | (pl.col("session") > dt.date(2010, 3, 1)))
    kept = with_history(late.sample(fraction=1, shuffle=True, seed=2))
    for ticker in "ABC":
        days = late.filter(ticker=ticker)["session"].sort().to_list()
        assert kept.filter(ticker=ticker)["session"].sort().to_list() == days[19:]


def test_other_features_or_another_order_are_refused():
    rows = labelled(240)
    model = trained(rows)
    for features in (FEATURES[::-1], FEATURES[:2], (*FEATURES, "ret")):
        with pytest.raises(ModelError, match=f"the model learned .*{FEATURES[0]}.* and was given"):
            predict(model.booster, rows, features=features)


def test_scores_are_probabilities_of_any_rows():
    rows = labelled(240)
    model = trained(rows)
    scores = predict(model.booster, rows, features=FEATURES)
    assert scores.shape == (rows.height,)
    assert ((scores > 0) & (scores < 1)).all()
    part = predict(model.booster, rows[100:130], features=FEATURES)
    assert (part == scores[100:130]).all()
    assert predict(model.booster, rows.clear(), features=FEATURES).shape == (0,)
    blank = rows.head(3).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in FEATURES)
    assert np.isfinite(predict(model.booster, blank, features=FEATURES)).all()


def test_the_interval_is_that_of_the_members():
    rows = labelled(240)
    model = trained(rows, with_members=True)
    limits = score_interval(model.members, rows, features=FEATURES)
    each = np.array([predict(member, rows, features=FEATURES) for member in model.members])
    assert limits.shape == (rows.height, 2)
    assert (limits[:, 0] < limits[:, 1]).all()
    assert (limits[:, 0] >= each.min(axis=0)).all()
    assert (limits[:, 1] <= each.max(axis=0)).all()
    np.testing.assert_allclose(limits[7], np.percentile(each[:, 7], [2.5, 97.5]))
    score = predict(model.booster, rows, features=FEATURES)
    assert np.mean((limits[:, 0] < score) & (score < limits[:, 1])) > 0.5


def test_members_learn_from_blocks_of_consecutive_sessions(monkeypatch: pytest.MonkeyPatch):
    """Each row weighs as often as its session was drawn, and draws run on for 21 sessions, around the end to the beginning."""
    weights: list[np.ndarray] = []
    set_weight = xgb.QuantileDMatrix.set_weight
    monkeypatch.setattr(xgb.QuantileDMatrix, "set_weight", lambda matrix, weight: weights.append(weight) or set_weight(matrix, weight))
    used = training_rows(*tables(labelled(240)), CUTOFF)
    train(used, CUTOFF, with_members=True, features=FEATURES)
    n_sessions = used["session"].n_unique()
    assert len(weights) == 6
    for weight in weights:
        per_session = (
            used.select("session", weight=pl.Series(weight)).group_by("session", maintain_order=True).agg(pl.col("weight").unique())
        )
        drawn = per_session["weight"].list.first().to_numpy()
        assert (per_session["weight"].list.len() == 1).all()
        assert drawn.sum() == n_sessions
        n_blocks = -(-n_sessions // 21)
        steps = np.diff(np.append(drawn, drawn[0]))
        assert np.abs(steps).sum() <= 2 * n_blocks
    assert len({weight.tobytes() for weight in weights}) == 6


@pytest.mark.parametrize("kind", ["short", "one outcome", "none"])
def test_too_little_to_learn_from(kind: str):
    rows = labelled(90) if kind == "short" else labelled(240)
    if kind == "one outcome":
        rows = rows.with_columns(label=pl.lit(1, dtype=pl.Int8))
    with pytest.raises(ModelError, match=r"cut-off 2010-10-01: \d+ labelled sessions \(at least 80 with both outcomes are needed\)"):
        trained(rows.clear() if kind == "none" else rows)


def with_label(rows: pl.DataFrame, held: bool, label: int) -> pl.DataFrame:
    """One outcome only in the last 40 learnable sessions, or before them."""
    start = training_rows(*tables(rows), CUTOFF)["session"].unique().sort()[-40]
    late = pl.col("session") >= start
    return rows.with_columns(label=pl.when(late if held else ~late).then(label).otherwise("label").cast(pl.Int8))


def test_fewer_rows_than_a_tree_needs_to_split_are_refused(monkeypatch: pytest.MonkeyPatch):
    """Of 40 held sessions, 8 that the purge and the embargo cost, and three names: 4 x 2 x 60 / 0.8 = 600 rows are not there."""
    monkeypatch.setattr(pooled, "PARAMETERS", pooled.PARAMETERS | {"min_child_weight": 60})
    used = training_rows(*tables(labelled(240)), CUTOFF)
    left = used.height - 3 * (40 + 8)
    with pytest.raises(ModelError, match=rf"{left} of {used.height} rows are left before the 40 held sessions.*at least 600 rows with two"):
        trained(labelled(240))


@pytest.mark.parametrize("label", [0, 1])
def test_one_outcome_before_the_held_sessions_or_in_them_is_refused(label: int):
    with pytest.raises(ModelError, match=r"before the 40 held sessions, with 1 outcomes"):
        trained(with_label(labelled(240), held=False, label=label))
    with pytest.raises(ModelError, match=rf"{120 * label} of the 120 labels in the 40 held sessions are 1 \(both outcomes are needed\)"):
        trained(with_label(labelled(240), held=True, label=label))


def test_features_that_teach_nothing_are_refused():
    rows = labelled(240)
    one, other = FEATURES[:2]
    infinite = rows.with_columns(pl.when(pl.int_range(pl.len()) == 100).then(np.inf).otherwise(one).alias(one))
    with pytest.raises(ModelError, match=rf"infinite values in {one} \(1\)"):
        trained(infinite)
    unknown = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(other))
    with pytest.raises(ModelError, match=rf"unknown in all \d+ rows: {other}; "):
        trained(unknown)
    alone = labelled(240, ("A",)).with_columns(pl.lit(None, dtype=pl.Float64).alias(other))
    assert importances(trained(alone).booster)[0][0] == one


def test_a_name_alone_has_a_model_once_it_has_sessions_enough(monkeypatch: pytest.MonkeyPatch):
    """With one session fewer than OWN_MODEL_SESSIONS, no tree could split before the held year."""
    monkeypatch.undo()
    days = sessions(Window(dt.date(2000, 1, 1), dt.date(2008, 1, 1)))
    rng = np.random.default_rng(1)
    values = rng.normal(size=(len(days) - 3, len(FEATURES)))
    label = (values[:, 0] + rng.normal(size=len(values)) > 0).astype(np.int8)
    rows = pl.DataFrame(values, schema=list(FEATURES)).with_columns(
        ticker=pl.lit("A"), session=pl.Series(days[:-3]), label_end=pl.Series(days[3:]), label=pl.Series(label), ret=pl.lit(0.01)
    )
    assert trained(rows, cutoff=days[OWN_MODEL_SESSIONS]).n_rows == 1260
    with pytest.raises(ModelError, match=r"999 of 1,259 rows are left before the 252 held sessions.*at least 1,000 rows"):
        trained(rows, cutoff=days[OWN_MODEL_SESSIONS - 1])


def test_evidence_tells_how_the_parameters_do_in_each_fold():
    """Each fold by a booster that learned on the others, purged and embargoed, with the chosen number of trees."""
    used = training_rows(*tables(labelled(240)), CUTOFF)
    model = train(used, CUTOFF, features=FEATURES, with_evidence=True)
    losses, aucs = [], []
    for learnt, tested in PurgedKFold(label_span=used.select("label_end", label_start="session")).split(used):
        known, held = used[learnt], used[tested]
        matrix = xgb.QuantileDMatrix(known.select(FEATURES).to_numpy(), label=known["label"].to_numpy(), nthread=1)
        booster = xgb.train(pooled.PARAMETERS, matrix, num_boost_round=model.best_round)
        score = booster.inplace_predict(held.select(FEATURES).to_numpy())
        losses.append(log_loss(held["label"], score))
        aucs.append(roc_auc_score(held["label"], score))
    assert model.by_fold["cv_log_loss"] == pytest.approx(losses, rel=1e-5)
    assert model.by_fold["cv_auc"] == pytest.approx(aucs, rel=1e-5)
    assert trained(labelled(240)).by_fold == {}
    start = used["session"].unique().sort()[45]
    turned = used.with_columns(label=pl.when(pl.col("session") < start).then(0).otherwise("label").cast(pl.Int8))
    figures = by_fold(turned, FEATURES, pooled.PARAMETERS, n_rounds=2)
    assert [auc is None for auc in figures["cv_auc"]] == [True, False, False, False, False]
    assert all(np.isfinite(loss) for loss in figures["cv_log_loss"])


def test_the_hash_is_of_values_not_of_memory():
    frame = pl.DataFrame({"ticker": ["A", "B", "C"], "x": [1.0, None, 3.0], "day": [dt.date(2012, 1, 3)] * 3})
    leftover = pl.DataFrame({"ticker": ["Z", "A", "B", "C"], "x": [9.0, 1.0, 2.0, 3.0]}).with_columns(
        x=pl.when(pl.col("x") != 2).then("x"), day=dt.date(2012, 1, 3)
    )[1:]
    assert leftover.equals(frame)
    same = content_hash(frame)
    assert content_hash(leftover) == content_hash(pl.concat([frame[:1], frame[1:]])) == same
    for other in (
        frame.with_columns(x=pl.Series([1.0, 3.0, None])),
        frame.with_columns(x=pl.Series([1.0, 0.0, 3.0])),
        frame.reverse(),
        frame.rename({"x": "y"}),
        frame.with_columns(ticker=pl.Series(["A", "BC", ""])),
        frame.cast({"x": pl.Float32}),
    ):
        assert content_hash(other) != same
