"""What all learners share: what they refuse, how they are stored, scikit-learn's grammar."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score

from quant_assets.errors import BadArgument, ModelError
from quant_assets.models.baselines import Majority, Persistence
from quant_assets.models.linear import Logistic, Ridge
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets_tests.models.planted import FEATURES, planted

ROWS = planted(120)
X, Y, SPAN = ROWS.select(FEATURES), ROWS["label"], ROWS.select("label_start", "label_end")
N = ROWS.height


def with_value(name: str, value: float | None) -> pl.DataFrame:
    return X.with_columns(pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(value, dtype=pl.Float64)).otherwise(name).alias(name))


def target(value: float) -> pl.Series:
    return pl.concat([pl.Series([value] * 3), Y[3:].cast(pl.Float64)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": X.to_pandas()}, r"X is a pandas.DataFrame; pass a polars DataFrame"),
        ({"X": X.lazy()}, r"X is a polars.LazyFrame; .*`collect` a lazy one"),
        ({"X": X.select()}, r"X has no column \(at least 1\)"),
        ({"y": Y.cast(pl.String) + " up"}, r"y holds String, not numbers"),
        ({"y": ["up", "down"] * 600}, r"y holds <U4, not numbers"),
        ({"y": np.ones((N, 2))}, r"y has 2 dimensions \(limit 1\)"),
        ({"sample_weight": ["a"] * N}, r"sample_weight holds <U1, not numbers"),
    ],
)
def test_what_is_no_table_or_no_number(given: dict[str, Any], message: str):
    with pytest.raises(BadArgument, match=message):
        Logistic().fit(**({"X": X, "y": Y} | given))


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (Logistic(alpha=0), "alpha of this Logistic is 0; set alpha to a number above 0"),
        (Ridge(alpha=-1), "alpha of this Ridge is -1; set alpha to a number from 0"),
        (Logistic(feature_names=("a", "b", "a", "c")), r"feature_names has a twice \(limit: once\)"),
    ],
)
def test_parameters_outside_their_limits(learner: Any, message: str):
    with pytest.raises(BadArgument, match=message):
        learner.fit(X.to_numpy() if learner.feature_names else X, Y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": Y * 0}, r"classification needs both 0 and 1 among its 1200 targets, which are 0; "),
        ({"y": Y * 2 - 1}, r"which are -1, 1; .* turn the target into 0 and 1"),
        ({"y": target(np.nan)}, r"y has 3 missing and 0 infinite values \(limit 0\)"),
        ({"y": target(np.inf)}, r"y has 0 missing and 3 infinite values"),
        ({"y": Y.cast(pl.Float64).set(Y == 0, None)}, rf"y has {(Y == 0).sum()} missing"),
        ({"y": Y[1:]}, r"y has 1199 rows and X 1200"),
        ({"sample_weight": np.ones(N + 1)}, r"sample_weight has 1201 rows and X 1200"),
        ({"sample_weight": np.r_[np.nan, np.ones(N - 1)]}, r"sample_weight has 1 missing .*; give each row a weight"),
        ({"sample_weight": np.r_[-1, -2, np.ones(N - 2)]}, r"2 weights are below 0 and 1198 above"),
        ({"sample_weight": np.zeros(N)}, r"0 weights are below 0 and 0 above"),
        ({"label_span": SPAN[:-1]}, r"label_span has 1199 rows and X 1200"),
        (
            {"X": with_value("noise_a", np.inf).with_columns(noise_b=with_value("noise_b", -np.inf)["noise_b"])},
            r"in noise_a \(2\), noise_b \(2\)",
        ),
        ({"X": X.with_columns(noise_b=pl.lit(None, dtype=pl.Float64))}, r"unknown in all 1200 rows: noise_b; "),
        ({"X": X.with_columns(noise_b=pl.lit(None))}, r"unknown in all 1200 rows: noise_b; "),
        ({"X": X.with_columns(noise_b=pl.lit("high"))}, r"features must be numbers, not noise_b \(String\)"),
        ({"X": X[:5], "y": [0, 1, 0, 1, 1]}, r"5 rows \(at least 6 are needed\)"),
        ({"X": X.to_numpy()}, r"an array names no columns; pass feature_names"),
    ],
)
def test_refused(given: dict[str, Any], message: str):
    with pytest.raises(ModelError, match=message):
        Logistic().fit(**({"X": X, "y": Y} | given))


def test_an_unknown_span_is_refused():
    with pytest.raises(BadArgument, match="1 of 1200 label spans are unknown"):
        Logistic().fit(X, Y, label_span=SPAN.with_columns(label_end=pl.when(pl.int_range(pl.len()) > 0).then("label_end")))


def test_other_columns_or_another_order_are_refused_with_both_lists():
    learned = Logistic().fit(X, Y)
    for other in (X.select(FEATURES[::-1]), X.select(FEATURES[:2]), X.with_columns(more=1.0)):
        with pytest.raises(ModelError) as refused:
            learned.scores(other)
        assert f"the model learned {list(FEATURES)} and was given {other.columns}" in str(refused.value)
    with pytest.raises(ModelError, match=r"infinite values in ret_1 \(2\)"):
        learned.predict(with_value("ret_1", np.inf))


def test_a_frame_and_an_array_are_the_same_rows():
    framed = Logistic().fit(X, Y)
    plain = Logistic(feature_names=FEATURES).fit(X.to_numpy(), Y.to_list())
    assert (plain.scores(X.to_numpy()) == framed.scores(X)).all()
    assert plain.feature_names_in_.tolist() == framed.feature_names_in_.tolist() == list(FEATURES)
    with pytest.raises(ModelError, match=r"X has the shape \(1200, 3\) and 4 feature names"):
        plain.scores(X.to_numpy()[:, :3])


def test_tasks_and_what_they_answer():
    chances = Logistic().fit(X, Y)
    assert chances.predict_proba(X).shape == (N, 2)
    np.testing.assert_allclose(chances.predict_proba(X).sum(axis=1), 1)
    assert (chances.predict(X) == (chances.predict_proba(X)[:, 1] > 0.5)).all()
    numbers = Ridge().fit(X, ROWS["ret"])
    assert (numbers.predict(X) == numbers.scores(X)).all()
    with pytest.raises(ModelError, match="a regression gives no probabilities"):
        numbers.predict_proba(X)
    with pytest.raises(ModelError, match="Majority has no task 'ranking'; choose among classification, regression"):
        Majority(task="ranking").fit(X, Y)
    with pytest.raises(ModelError, match="this Ridge has learned nothing yet"):
        Ridge().predict(X)
    with pytest.raises(ModelError, match="this Ridge has learned nothing yet; call fit first"):
        Ridge().to_bytes()


def test_the_grammar_of_scikit_learn():
    learner = Logistic(alpha=10.0)
    assert clone(learner).get_params() == {"alpha": 10.0, "feature_names": None}
    assert clone(learner).set_params(alpha=3.0).alpha == 3.0
    assert is_classifier(learner)
    assert not is_classifier(Ridge())
    folds = PurgedKFold(4, label_span=SPAN)
    values = cross_val_score(learner, X, Y.to_numpy(), cv=folds, scoring="roc_auc", params={"label_span": SPAN})
    assert values.shape == (4,)
    assert values.mean() > 0.55


def test_damaged_bytes_are_no_model():
    raw = Logistic().fit(X, Y).to_bytes()
    for damaged in (b"", raw[:-1], raw[: len(raw) // 2], raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:], b"rubbish" + raw):
        with pytest.raises(ModelError, match=rf"the {len(damaged)} bytes are no stored learner, or damaged"):
            Logistic.from_bytes(damaged)
    with pytest.raises(ModelError, match=r"the stored learner is a Logistic, not a Persistence; call Logistic.from_bytes"):
        Persistence.from_bytes(raw)
