from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from quant_assets.adjustments import forward_adjusted
from quant_assets.errors import BadArgument
from quant_assets.labels.concurrency import average_uniqueness
from quant_assets.labels.weights import class_balance, combine, return_attribution, time_decay
from quant_assets_tests.features.panels import SESSIONS, bars
from quant_assets_tests.labels.overlaps import depends, overlapping, spanning
from quant_assets_tests.labels.tapes import CALENDAR, hand_made

PRICES = pl.concat([bars(name, 60) for name in ("AAA", "BBB", "CCC", "DDD")])


@settings(max_examples=20, derandomize=True)
@given(told=overlapping())
def test_a_return_is_shared_among_the_labels_that_depend_on_it(told: tuple[list[tuple[int, int]], list[str]]):
    spans, tickers = told
    adjusted = forward_adjusted(PRICES.lazy()).collect()
    log_close = np.stack([adjusted.filter(ticker=name)["adj_close"].log().to_numpy() for name in sorted(set(tickers))])
    returns = np.diff(log_close, prepend=log_close[:, :1])
    matrix = depends(spans, tickers)
    shared = matrix.sum(axis=0)
    expected = np.abs((matrix * returns / np.where(shared > 0, shared, 1)).sum(axis=(1, 2)))
    found = return_attribution(spanning(spans, tickers), PRICES.lazy(), CALENDAR)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_a_return_over_a_hole_is_that_of_the_next_bar_and_later_bars_are_not_read():
    tape = hand_made({SESSIONS[0]: 10.0, SESSIONS[1]: 10.0, SESSIONS[3]: 11.0, SESSIONS[4]: 22.0, SESSIONS[5]: -1.0, SESSIONS[6]: 1.0})
    found = return_attribution(spanning([(1, 2), (2, 3), (4, 4)]), tape.lazy(), CALENDAR)
    assert found.tolist() == pytest.approx([0.0, np.log(1.1), np.log(2)])


def test_a_weight_halves_in_its_half_life_of_sessions():
    """Christmas and New Year are no sessions."""
    labels = spanning([(first, first + 2) for first in range(230, 250)])
    weights = time_decay(labels, CALENDAR, half_life=4, as_of=SESSIONS[251])
    assert weights[-1] == 1.0
    np.testing.assert_allclose(weights[4:], 2 * weights[:-4])
    sunday = time_decay(labels, CALENDAR, half_life=4, as_of=SESSIONS[252].replace(day=2))
    assert (SESSIONS[252].day, sunday.tolist()) == (3, weights.tolist())


def test_classes_count_as_scikit_learn_balances_them():
    label = pl.Series([1, -1, 0, 1, 1, 1, 0], dtype=pl.Int8)
    weights = class_balance(label)
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", label.to_numpy()))
    assert {round(weights[(label == one).to_numpy()].sum(), 12) for one in (-1, 0, 1)} == {round(7 / 3, 12)}


@settings(max_examples=30, derandomize=True)
@given(pairs=st.lists(st.tuples(st.floats(0.001, 10), st.floats(0.001, 10)), min_size=1, max_size=20))
def test_combined_weights_are_the_product_with_mean_one(pairs: list[tuple[float, float]]):
    first, second = np.array(pairs).T
    weights = combine(first, second)
    assert weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(weights / weights[0], first * second / (first[0] * second[0]))


def test_all_reasons_together():
    labels = spanning([(1, 4), (2, 5), (3, 6), (20, 21)]).with_columns(label=pl.Series([1, 0, 1, 1]))
    reasons = (
        average_uniqueness(labels, CALENDAR),
        return_attribution(labels, PRICES.lazy(), CALENDAR),
        time_decay(labels, CALENDAR, half_life=10, as_of=SESSIONS[30]),
        class_balance(labels["label"]),
    )
    weights = combine(*reasons)
    assert weights.mean() == pytest.approx(1.0)
    assert (weights > 0).all()


LABELS = spanning([(1, 3), (2, 4)])


@pytest.mark.parametrize(
    ("weigh", "message"),
    [
        (lambda: time_decay(LABELS, CALENDAR, half_life=0, as_of=SESSIONS[9]), "half-life 0 is not above 0"),
        (lambda: time_decay(LABELS, CALENDAR, half_life=5, as_of=SESSIONS[3]), "a label that ends 2010-01-08 is not known on 2010-01-07"),
        (
            lambda: time_decay(LABELS.with_columns(label_end=pl.lit(None, dtype=pl.Date)), CALENDAR, half_life=5, as_of=SESSIONS[9]),
            "a label that ends None is not known",
        ),
        (
            lambda: time_decay(LABELS, CALENDAR.filter(pl.col("session") > SESSIONS[3]), half_life=5, as_of=SESSIONS[9]),
            "a label ends 2010-01-07, which is none of the 7.. sessions given; give every exchange session from the first label_end",
        ),
        (
            lambda: time_decay(LABELS, CALENDAR.filter(pl.col("session") < SESSIONS[9]), half_life=5, as_of=SESSIONS[9]),
            "the 9 sessions given end before 2010-01-15",
        ),
        (
            lambda: time_decay(LABELS, CALENDAR.filter(pl.col("session") != SESSIONS[4]), half_life=5, as_of=SESSIONS[9]),
            "a label ends 2010",
        ),
        (lambda: time_decay(LABELS.clear(), CALENDAR.clear(), half_life=5, as_of=SESSIONS[9]), "the 0 sessions given end before"),
        (lambda: class_balance(pl.Series([1, 1])), "0 of 2 labels are null and 1 classes differ"),
        (lambda: class_balance(pl.Series([1, 0, None])), "1 of 3 labels are null"),
        (lambda: combine(), "weights of no labels cannot be multiplied"),
        (lambda: combine(np.ones(2), np.ones(3)), r"weights of \[2, 3\] labels cannot be multiplied"),
        (lambda: combine(np.array([1.0, -1.0])), "1 weights are negative or not finite"),
        (lambda: combine(np.array([1.0, np.nan])), "1 weights are negative or not finite"),
        (lambda: combine(np.zeros(2)), "no product of the weights of 2 labels is above 0"),
    ],
)
def test_impossible_weights_are_refused(weigh, message: str):
    with pytest.raises(BadArgument, match=message):
        weigh()
